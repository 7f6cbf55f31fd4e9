// SPDX-License-Identifier: BSD-3-Clause
//
// Stored elements of any type and stride as numbers side by side, and back: what lets every kernel know floats, or
// doubles, only.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/kernels/access.hpp>
#include <tarn/simd/half.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// How elements of each type are loaded and stored, a pack at a time.
template <class A, element E> struct stored;
template <class A> struct stored<A, element::float32> {
    using type = float;
    TARN_INLINE static pack<A> load(const float* p) noexcept { return simd::load<A>(p); }
    TARN_INLINE static void store(float* p, const pack<A>& v) noexcept { simd::store<A>(p, v); }
};
template <class A> struct stored<A, element::float64> {
    using type = double;
    TARN_INLINE static pack<A> load(const double* p) noexcept { return simd::load<A>(p); }
    TARN_INLINE static void store(double* p, const pack<A>& v) noexcept { simd::store<A>(p, v); }
};
template <class A> struct stored<A, element::float16> {
    using type = std::uint16_t;
    TARN_INLINE static pack<A> load(const std::uint16_t* p) noexcept { return simd::load_float16<A>(p); }
    TARN_INLINE static void store(std::uint16_t* p, const pack<A>& v) noexcept { simd::store_float16<A>(p, v); }
};
template <class A> struct stored<A, element::bfloat16> {
    using type = std::uint16_t;
    TARN_INLINE static pack<A> load(const std::uint16_t* p) noexcept { return simd::load_bfloat16<A>(p); }
    TARN_INLINE static void store(std::uint16_t* p, const pack<A>& v) noexcept { simd::store_bfloat16<A>(p, v); }
};

template <class A> struct convert {
    static void widen(const dispatch::convert_call<number<A>>& c) noexcept { begin<true>(c); }
    static void narrow(const dispatch::convert_call<number<A>>& c) noexcept { begin<false>(c); }

private:
    template <bool Widen> TARN_INLINE static void begin(const dispatch::convert_call<number<A>>& c) noexcept {
        if (c.stored.segments)
            segments<Widen>(c);
        else
            run<Widen>(c);
    }
    // Segment by segment, all rows together.
    template <bool Widen> TARN_NOINLINE static void segments(const dispatch::convert_call<number<A>>& c) noexcept {
        const dispatch::row_segments& s = *c.stored.segments;
        for (std::ptrdiff_t done = 0; done < c.length;) {
            const std::ptrdiff_t element = c.stored.first + done;
            std::ptrdiff_t segment = element / s.length;
            const std::ptrdiff_t within = element - segment * s.length;
            std::ptrdiff_t offset = within * c.stored.along;
            for (int i = s.loops - 1; i >= 0; --i) {
                offset += segment % s.extent[i] * s.stride[i];
                segment /= s.extent[i];
            }
            const std::ptrdiff_t rest = s.length - within;
            dispatch::convert_call<number<A>> piece = c;
            piece.stored.segments = nullptr;
            piece.stored.data = static_cast<char*>(c.stored.data) + offset * detail::size_of(c.stored.type);
            piece.numbers += done;
            piece.length = c.length - done < rest ? c.length - done : rest;
            run<Widen>(piece);
            done += piece.length;
        }
    }
    template <bool Widen> TARN_INLINE static void run(const dispatch::convert_call<number<A>>& c) noexcept {
        if constexpr (simd::is_double<A>)
            rows<Widen, element::float64>(c);
        else if (c.stored.type == element::bfloat16)
            rows<Widen, element::bfloat16>(c);
        else if (c.stored.type == element::float16)
            rows<Widen, element::float16>(c);
        else
            rows<Widen, element::float32>(c);
    }
    template <bool Widen, element E>
    TARN_NOINLINE static void rows(const dispatch::convert_call<number<A>>& c) noexcept {
        using type = typename stored<A, E>::type;
        auto* p = static_cast<type*>(c.stored.data);
        const bool joined = c.stored.along == 1 && c.stored.across == c.length && c.numbers_across == c.length;
        const std::ptrdiff_t count = joined ? 1 : c.rows;
        const std::ptrdiff_t length = joined ? c.rows * c.length : c.length;
        for (std::ptrdiff_t r = 0; r < count; ++r) {
            type* from = p + r * c.stored.across;
            number<A>* to = c.numbers + r * c.numbers_across;
            std::ptrdiff_t i = 0;
            if (c.stored.along == 1) {
                for (; i + lanes<A> <= length; i += lanes<A>) {
                    if constexpr (Widen)
                        simd::store<A>(to + i, stored<A, E>::load(from + i));
                    else
                        stored<A, E>::store(from + i, simd::load<A>(to + i));
                }
            }
            for (; i < length; i += lanes<A>) {
                const int n = length - i < lanes<A> ? static_cast<int>(length - i) : lanes<A>;
                type few[lanes<A>] = {};
                if constexpr (Widen) {
                    for (int k = 0; k < n; ++k)
                        few[k] = from[(i + k) * c.stored.along];
                    simd::store_first<A>(to + i, stored<A, E>::load(few), n);
                } else {
                    stored<A, E>::store(few, simd::load_first<A>(to + i, n));
                    for (int k = 0; k < n; ++k)
                        from[(i + k) * c.stored.along] = few[k];
                }
            }
        }
    }
};

// Four packs of elements on their way to or from memory.
template <class A> struct stored_buffer {
    alignas(64) number<A> numbers[4 * lanes<A>] = {};
};

// The n elements of a row from i on, to numbers or from them.
template <class A, bool Widen>
TARN_NOINLINE void transfer(const dispatch::stored_rows& row, std::ptrdiff_t i, number<A>* numbers,
                            std::ptrdiff_t n) noexcept {
    const dispatch::convert_call<number<A>> call{row.from(i), numbers, 0, 1, n};
    if (Widen)
        convert<A>::widen(call);
    else
        convert<A>::narrow(call);
}
TARN_INLINE dispatch::stored_rows stored_row(dispatch::stored_rows rows, std::ptrdiff_t r) noexcept {
    rows.data = static_cast<char*>(rows.data) + r * rows.across * detail::size_of(rows.type);
    return rows;
}

// A source and a sink for rows of any type and stride, through a buffer in L1: for loops that ask for prefetch(i)
// before the four packs from i on, i a multiple of four packs, and write these in order.
template <class A> struct any_source {
    dispatch::stored_rows row;
    number<A>* buffer;

    TARN_INLINE static any_source of(const dispatch::stored_rows& rows, std::ptrdiff_t r,
                                     stored_buffer<A>& b) noexcept {
        return {stored_row(rows, r), b.numbers};
    }
    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { transfer<A, true>(row, i, buffer, 4 * lanes<A>); }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return simd::load<A>(buffer + i % (4 * lanes<A>)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        transfer<A, true>(row, i, buffer, n);
        return simd::load_first<A>(buffer, n);
    }
};

template <class A> struct any_sink {
    dispatch::stored_rows row;
    number<A>* buffer;

    TARN_INLINE static any_sink of(const dispatch::stored_rows& rows, std::ptrdiff_t r, stored_buffer<A>& b) noexcept {
        return {stored_row(rows, r), b.numbers};
    }
    TARN_INLINE void put(std::ptrdiff_t i, const pack<A>& v) const noexcept {
        const std::ptrdiff_t at = i % (4 * lanes<A>);
        simd::store<A>(buffer + at, v);
        if (at == 3 * lanes<A>)
            transfer<A, false>(row, i - at, buffer, 4 * lanes<A>);
    }
    TARN_INLINE void put_first(std::ptrdiff_t i, const pack<A>& v, int n) const noexcept {
        simd::store_first<A>(buffer, v, n);
        transfer<A, false>(row, i, buffer, n);
    }
};

}}}} // namespace tarn::kernels
