// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of tokens into rows of slots, and back. Most slots hold one token, which is copied; the others are sums in
// double over their tokens, in the order of the tokens.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/plan_slots.hpp>
#include <tarn/simd/lanes.hpp>
#include <tarn/simd/sums.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

using dispatch::stored_rows;
using simd::double_pack;
using simd::doubles;

// Results of arithmetic below the least normal number are 0.
template <class A> constexpr double least_normal = simd::is_double<A> ? 0x1p-1022 : 0x1p-126;

template <class A> TARN_INLINE pack<A> normal_numbers(const double_pack<A>& v) noexcept {
    return simd::zero_below<A>(v, least_normal<A>).to_numbers();
}

// Rows of tokens or slots, a pack of channels at a time: elements of a type side by side, or of any type and stride
// through a buffer.
template <class A, element E> struct typed_rows {
    using type = typename stored<A, E>::type;
    type* data;
    std::ptrdiff_t across;

    TARN_INLINE static typed_rows of(const stored_rows& rows, number<A>*) noexcept {
        return {static_cast<type*>(rows.data), rows.across};
    }
    TARN_INLINE pack<A> load(std::ptrdiff_t r, std::ptrdiff_t c, int n) const noexcept {
        const type* const p = data + r * across + c;
        if (n == lanes<A>)
            return stored<A, E>::load(p);
        type few[lanes<A>] = {};
        for (int i = 0; i < n; ++i)
            few[i] = p[i];
        return stored<A, E>::load(few);
    }
    TARN_INLINE void store(std::ptrdiff_t r, std::ptrdiff_t c, int n, const pack<A>& v) const noexcept {
        type* const p = data + r * across + c;
        if (n == lanes<A>)
            return stored<A, E>::store(p, v);
        type few[lanes<A>];
        stored<A, E>::store(few, v);
        for (int i = 0; i < n; ++i)
            p[i] = few[i];
    }
};

template <class A> struct any_rows {
    stored_rows rows;
    number<A>* buffer; // of a pack

    TARN_INLINE static any_rows of(const stored_rows& given, number<A>* b) noexcept { return {given, b}; }
    TARN_INLINE pack<A> load(std::ptrdiff_t r, std::ptrdiff_t c, int n) const noexcept {
        transfer<A, true>(stored_row(rows, r), c, buffer, n);
        return simd::load_first<A>(buffer, n);
    }
    TARN_INLINE void store(std::ptrdiff_t r, std::ptrdiff_t c, int n, const pack<A>& v) const noexcept {
        simd::store<A>(buffer, v);
        transfer<A, false>(stored_row(rows, r), c, buffer, n);
    }
};

// f(kind of rows) for the kind that fits several operands, those without elements left out.
template <class Rows> struct rows_kind { using type = Rows; };
template <class A, class F, class... Operands>
TARN_INLINE void with_rows_kind(const F& f, const stored_rows& first, const Operands&... others) noexcept {
    const bool one_type =
        first.along == 1 && ((!others.data || (others.along == 1 && others.type == first.type)) && ...);
    if (!one_type)
        return f(rows_kind<any_rows<A>>{});
    if constexpr (simd::is_double<A>) {
        f(rows_kind<typed_rows<A, element::float64>>{});
    } else {
        if (first.type == element::float32)
            f(rows_kind<typed_rows<A, element::float32>>{});
        else if (first.type == element::bfloat16)
            f(rows_kind<typed_rows<A, element::bfloat16>>{});
        else
            f(rows_kind<typed_rows<A, element::float16>>{});
    }
}

// f(c, n) for all packs of channels.
template <class A, class F> TARN_INLINE void each_channel_pack(std::ptrdiff_t channels, const F& f) noexcept {
    std::ptrdiff_t c = 0;
    for (; c + lanes<A> <= channels; c += lanes<A>)
        f(c, lanes<A>);
    if (c < channels)
        f(c, static_cast<int>(channels - c));
}

// Copies rows; of one type and side by side whatever the type is, as bytes.
template <class A> class row_copy {
public:
    TARN_INLINE row_copy(const stored_rows& from, const stored_rows& to, std::ptrdiff_t channels, bool stream) noexcept
        : from_(from), to_(to), channels_(channels), size_(detail::size_of(from.type)),
          as_bytes_(from.type == to.type && from.along == 1 && to.along == 1), stream_(stream) {}

    // next: where the row after this one will go. It is asked for meanwhile: stores to rows that take turns wait for
    // memory more than loads do.
    TARN_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t to, std::ptrdiff_t next) const noexcept {
        if (as_bytes_)
            bytes(static_cast<const char*>(from_.data) + r * from_.across * size_,
                  static_cast<char*>(to_.data) + to * to_.across * size_, (next - to) * to_.across * size_,
                  channels_ * size_);
        else
            convert(r, to);
    }

private:
    TARN_INLINE void bytes(const char* from, char* to, std::ptrdiff_t next, std::ptrdiff_t n) const noexcept {
        constexpr std::ptrdiff_t line = 64;
        const auto load = [&](std::ptrdiff_t i)
                              TARN_LAMBDA { return simd::load<A>(reinterpret_cast<const number<A>*>(from + i)); };
        std::ptrdiff_t i = 0;
        if (stream_ && reinterpret_cast<std::uintptr_t>(to) % line == 0) {
            for (; i + line <= n; i += line)
                simd::stream<A>(reinterpret_cast<number<A>*>(to + i), load(i));
        }
        for (; i + 4 * line <= n; i += 4 * line) {
            if (next != 0)
                simd::unroll<4>(
                    [&](auto k) TARN_LAMBDA { __builtin_prefetch(to + next + i + decltype(k)::value * line, 1, 3); });
            pack<A> v[4];
            simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = load(i + decltype(k)::value * line); });
            simd::unroll<4>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                simd::store<A>(reinterpret_cast<number<A>*>(to + i + K * line), v[K]);
            });
        }
        for (; i + 16 <= n; i += 16)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                             _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
        for (; i + 2 <= n; i += 2)
            __builtin_memcpy(to + i, from + i, 2);
    }
    TARN_NOINLINE void convert(std::ptrdiff_t r, std::ptrdiff_t to) const noexcept {
        alignas(64) number<A> buffer[lanes<A>];
        const any_rows<A> x{from_, buffer};
        const any_rows<A> y{to_, buffer};
        each_channel_pack<A>(channels_,
                             [&](std::ptrdiff_t c, int n) TARN_LAMBDA { y.store(to, c, n, x.load(r, c, n)); });
    }

    const stored_rows &from_, &to_;
    std::ptrdiff_t channels_, size_;
    bool as_bytes_, stream_;
};

template <class A>
TARN_NOINLINE void zero_row(const stored_rows& y, std::ptrdiff_t r, std::ptrdiff_t channels) noexcept {
    alignas(64) number<A> buffer[lanes<A>];
    const any_rows<A> rows{y, buffer};
    each_channel_pack<A>(channels,
                         [&](std::ptrdiff_t c, int n) TARN_LAMBDA { rows.store(r, c, n, simd::broadcast<A>(0)); });
}

// How much a token counts: its size, 0 for one below 0, or 1.
template <class T> struct token_weights {
    const T* sizes;
    std::ptrdiff_t stride;

    TARN_INLINE double operator[](std::ptrdiff_t token) const noexcept {
        if (!sizes)
            return 1;
        const T size = sizes[token * stride];
        return size <= 0 ? 0.0 : static_cast<double>(size);
    }
    TARN_INLINE double total(const slot_members& m) const noexcept {
        if (!sizes)
            return static_cast<double>(m.count);
        double sum = 0;
        for (std::ptrdiff_t i = 0; i < m.count; ++i)
            sum += (*this)[m.token[i]];
        return sum;
    }
};

TARN_INLINE bool is_ordinary(double weight) noexcept { return weight > 0 && weight < __builtin_huge_val(); }

// Row s of y: the weighted sum of tokens, divided by `total`.
template <class A, class Weights, class Rows>
TARN_NOINLINE void weighted_sum(slot_members members, Weights weights, double total, Rows x, Rows y, std::ptrdiff_t s,
                                std::ptrdiff_t channels) noexcept {
    constexpr std::ptrdiff_t most_known = 8;
    double known[most_known];
    for (std::ptrdiff_t i = 0; i < members.count && i < most_known; ++i)
        known[i] = weights[members.token[i]];
    const double share = 1 / total;
    each_channel_pack<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
        auto sums = double_pack<A>::zero();
        for (std::ptrdiff_t i = 0; i < members.count; ++i) {
            const std::int32_t t = members.token[i];
            const double weight = i < most_known ? known[i] : weights[t];
            if (weight == 0)
                continue;
            const auto d = double_pack<A>::of(x.load(t, c, n));
            const doubles<A> w(weight);
            simd::unroll<double_pack<A>::parts>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                sums.part[K] = simd::fmadd<A>(d.part[K], w, sums.part[K]);
            });
        }
        // Of doubles the quotient is rounded once; of floats a product with an inverse is as good.
        if constexpr (simd::is_double<A>)
            sums = sums / double_pack<A>::broadcast(total);
        else
            sums.multiply(double_pack<A>::broadcast(share));
        y.store(s, c, n, normal_numbers<A>(sums));
    });
}

template <class A> class merge_rows {
public:
    using number = simd::number<A>;
    using call = dispatch::merge_call<number>;

    static void run(const call& a) noexcept {
        alignas(64) number buffers[2][lanes<A>];
        with_rows_kind<A>(
            [&](auto kind) TARN_LAMBDA {
                using rows = typename decltype(kind)::type;
                run_rows(a, rows::of(a.x, buffers[0]), rows::of(a.y, buffers[1]));
            },
            a.x, a.y);
        if (a.stream)
            simd::stream_fence<A>();
    }

private:
    // Slots in the order of their first tokens: tokens are read as they lie.
    template <class Rows> TARN_NOINLINE static void run_rows(const call& a, const Rows& x, const Rows& y) noexcept {
        const row_copy<A> copy(a.x, a.y, a.channels, a.stream);
        const token_weights<number> weights{a.sizes, a.sizes_stride};
        each_slot(a.plan, a.first, a.last, [&](std::ptrdiff_t s, const slot_members& members) TARN_LAMBDA {
            const double total = weights.total(members);
            if (a.slot_sizes)
                a.slot_sizes[s * a.slot_sizes_stride] = static_cast<number>(total);
            const std::int32_t lone = members.count == 1 ? members.token[0] : -1;
            const bool by_token = a.mode == merge_mode::prune || a.mode == merge_mode::max;
            const std::int32_t from = a.mode == merge_mode::prune ? a.plan.rep[s]
                                      : by_token || total == 1 || (a.mode == merge_mode::mean && is_ordinary(total))
                                          ? lone
                                          : -1;
            if (members.count == 0 || (!by_token && total == 0))
                zero_row<A>(a.y, s, a.channels);
            else if (from >= 0)
                copy(from, s, next_slot(a, s, members));
            else if (by_token)
                greatest(members, x, y, s, a.channels);
            else
                weighted_sum<A>(members, weights, a.mode == merge_mode::mean ? total : 1, x, y, s, a.channels);
        });
    }

    // The slot of the token behind the first of a slot.
    TARN_INLINE static std::ptrdiff_t next_slot(const call& a, std::ptrdiff_t s, const slot_members& members) noexcept {
        const std::ptrdiff_t t = members.token[0] + 1;
        return t < a.last && a.plan.assign[t] >= 0 ? a.plan.assign[t] : s;
    }

    template <class Rows>
    TARN_NOINLINE static void greatest(slot_members members, Rows x, Rows y, std::ptrdiff_t s,
                                       std::ptrdiff_t channels) noexcept {
        each_channel_pack<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
            pack<A> r = x.load(members.token[0], c, n);
            for (std::ptrdiff_t i = 1; i < members.count; ++i)
                r = simd::max_or_nan<A>(r, x.load(members.token[i], c, n));
            y.store(s, c, n, r);
        });
    }
};

// The transpose of a sum: every token takes the row of its slot, tokens that are dropped take 0.
template <class A> struct spread_rows {
    using number = simd::number<A>;

    static void run(const dispatch::merge_call<number>& a) noexcept {
        const row_copy<A> copy(a.y, a.x, a.channels, a.stream);
        for (std::ptrdiff_t t = a.first; t < a.last; ++t) {
            if (a.plan.assign[t] >= 0)
                copy(a.plan.assign[t], t, t);
            else
                zero_row<A>(a.x, t, a.channels);
        }
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
