// SPDX-License-Identifier: BSD-3-Clause
//
// The tokens that take part, a group at a time, as rows of numbers: where they lie, or converted into a buffer.
#pragma once

#include <tarn/dispatch/token_pool_table.hpp>
#include <tarn/half.hpp>
#include <tarn/kernels/convert.hpp>
#include <tarn/simd/bytes.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Enough rows that what is loaded and stored of the accumulators does not count. An even number.
constexpr int tokens_of_group = 8;

// Some tokens in their order.
struct token_group {
    std::ptrdiff_t token[tokens_of_group];
    int count = 0;
};

// Goes through the tokens that are kept.
class kept_tokens {
public:
    TARN_INLINE explicit kept_tokens(const dispatch::token_span& s) noexcept : span_(s) {}

    // False if there are no more.
    TARN_INLINE bool next(token_group& group) noexcept {
        int count = 0;
        for (; count < tokens_of_group && at_ < span_.tokens; ++at_) {
            if (span_.keep && span_.keep[at_ * span_.keep_along] == 0) {
                skip();
                if (at_ == span_.tokens)
                    break;
            }
            group.token[count++] = at_;
        }
        group.count = count;
        return count > 0;
    }
    // The tokens behind the last, where the next sequence lies most often.
    TARN_INLINE token_group behind() const noexcept {
        token_group group;
        for (; group.count < tokens_of_group; ++group.count)
            group.token[group.count] = span_.tokens + group.count;
        return group;
    }

private:
    TARN_NOINLINE void skip() noexcept {
        at_ += simd::first_byte(span_.keep + at_ * span_.keep_along, span_.keep_along, span_.tokens - at_);
    }

    const dispatch::token_span& span_;
    std::ptrdiff_t at_ = 0;
};

// The first and the last token that are kept; -1 if there is none.
TARN_INLINE std::ptrdiff_t first_kept(const dispatch::token_span& s) noexcept {
    const std::ptrdiff_t i = s.keep ? simd::first_byte(s.keep, s.keep_along, s.tokens) : 0;
    return i < s.tokens ? i : -1;
}
TARN_INLINE std::ptrdiff_t last_kept(const dispatch::token_span& s) noexcept {
    return (s.keep ? simd::end_of_bytes(s.keep, s.keep_along, s.tokens) : s.tokens) - 1;
}

// One number of any type.
template <class A> TARN_INLINE number<A> load_number(const dispatch::stored_rows& row, std::ptrdiff_t i) noexcept {
    const std::ptrdiff_t at = i * row.along;
    if constexpr (simd::is_double<A>)
        return static_cast<const double*>(row.data)[at];
    else if (row.type == element::float32)
        return static_cast<const float*>(row.data)[at];
    else if (row.type == element::float16)
        return detail::widen_float16(static_cast<const std::uint16_t*>(row.data)[at]);
    else
        return detail::widen_bfloat16(static_cast<const std::uint16_t*>(row.data)[at]);
}

TARN_INLINE void store_index(const dispatch::stored_indices& to, std::ptrdiff_t at, std::int64_t index) noexcept {
    const auto narrow = static_cast<std::int32_t>(index);
    if (to.wide)
        __builtin_memcpy(static_cast<char*>(to.data) + at * 8, &index, 8);
    else
        __builtin_memcpy(static_cast<char*>(to.data) + at * 4, &narrow, 4);
}

TARN_INLINE std::int64_t load_index(const dispatch::stored_indices& from, std::ptrdiff_t at) noexcept {
    std::int32_t narrow = 0;
    std::int64_t wide = 0;
    if (from.wide)
        __builtin_memcpy(&wide, static_cast<const char*>(from.data) + at * 8, 8);
    else
        __builtin_memcpy(&narrow, static_cast<const char*>(from.data) + at * 4, 4);
    return from.wide ? wide : narrow;
}

// Whether rows are numbers side by side.
template <class A> TARN_INLINE bool is_direct(const dispatch::stored_rows& rows) noexcept {
    return rows.along == 1 && rows.type == (simd::is_double<A> ? element::float64 : element::float32);
}

// The rows of a group whose elements lie side by side, line behind line of the cache: processors see ahead along one such
// stream, but not where eight rows are read in turn. They come into L2: L1 has no room for two groups.
class token_lines {
public:
    TARN_INLINE void begin(const dispatch::stored_rows& x, const token_group& group, std::ptrdiff_t channels) noexcept {
        count_ = group.count;
        length_ = channels * detail::size_of(x.type);
        for (int i = 0; i < count_; ++i)
            row_[i] = static_cast<const char*>(x.data) + group.token[i] * x.across * detail::size_of(x.type);
        now_ = 0;
        at_ = 0;
    }
    // Asks for the next lines, as many as hold so many bytes.
    template <class A> TARN_INLINE void ask(std::ptrdiff_t bytes) noexcept {
        for (; bytes > 0 && now_ < count_; bytes -= 64) {
            simd::prefetch_far<A>(reinterpret_cast<const number<A>*>(row_[now_] + at_));
            at_ += 64;
            if (at_ >= length_) {
                at_ = 0;
                ++now_;
            }
        }
    }

private:
    const char* row_[tokens_of_group];
    std::ptrdiff_t length_ = 0, at_ = 0;
    int count_ = 0, now_ = 0;
};

// The rows of a group.
template <class A> struct token_numbers {
    const number<A>* row[tokens_of_group];
    int count;
};

// Numbers of the rows of a group in a buffer: a quarter of L1.
template <class A> struct token_buffer {
    static constexpr std::ptrdiff_t columns = 1024 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    alignas(64) number<A> numbers[tokens_of_group * columns];
};

// Channels first..first+n-1 of the tokens of a group.
template <class A>
TARN_INLINE token_numbers<A> rows_in_place(const dispatch::stored_rows& x, const token_group& group,
                                           std::ptrdiff_t first) noexcept {
    token_numbers<A> r;
    r.count = group.count;
    for (int i = 0; i < group.count; ++i)
        r.row[i] = static_cast<const number<A>*>(x.data) + group.token[i] * x.across + first;
    return r;
}
// The same through the buffer; at most as many channels as it has columns.
template <class A>
TARN_NOINLINE token_numbers<A> rows_converted(const dispatch::stored_rows& x, const token_group& group,
                                              std::ptrdiff_t first, std::ptrdiff_t n,
                                              token_buffer<A>& buffer) noexcept {
    token_numbers<A> r;
    r.count = group.count;
    constexpr std::ptrdiff_t columns = token_buffer<A>::columns;
    for (int i = 0; i < group.count;) {
        int end = i + 1;
        while (end < group.count && group.token[end] == group.token[end - 1] + 1)
            ++end;
        dispatch::stored_rows from = x;
        from.data =
            static_cast<char*>(x.data) + (group.token[i] * x.across + first * x.along) * detail::size_of(x.type);
        convert<A>::widen({from, buffer.numbers + i * columns, columns, end - i, n});
        for (; i < end; ++i)
            r.row[i] = buffer.numbers + i * columns;
    }
    return r;
}

}}}} // namespace tarn::kernels
