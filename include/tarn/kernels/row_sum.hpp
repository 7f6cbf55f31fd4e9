// SPDX-License-Identifier: BSD-3-Clause
//
// The order in which a row's weights are added. It depends on the row's length alone, and every kernel keeps it, so a
// row has the same bits whichever kernel meets it:
//
//   packs 2j and 2j + 1 (16 floats each, or 8 doubles) are added, and the sum lane by lane to accumulators, which are
//   double for floats and twice as exact for doubles;
//   every 65536 elements the lanes are added in the order of sums.hpp, and these chunks one after the other.
//
// One rounding per element is what 4 ulp allow: with longer chains of float additions, rows in which one element
// dominates come to 6. Chunks are independent: several streams or threads may sum them, merged in order.
//
// Logarithms of sums want what is left beside a dominating element, and so no rounding at all: there every pack is
// added to the accumulators by itself.
#pragma once

#include <tarn/kernels/access.hpp>
#include <tarn/kernels/exp_weight.hpp>
#include <tarn/simd/sums.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

using simd::row_total;

constexpr std::ptrdiff_t chunk_size = 65536;

// How packs come to the accumulators.
enum class packs_added { in_pairs, singly };

template <packs_added How, class A>
TARN_INLINE void add_packs(simd::sum_pack<A>& sums, const pack<A>& a, const pack<A>& b) noexcept {
    if constexpr (How == packs_added::in_pairs) {
        sums.add(a + b);
    } else {
        sums.add(a);
        sums.add(b);
    }
}

// One pack's weights; lanes beyond the first n hold 0.
template <class A, class Weight, class Source>
TARN_INLINE pack<A> weigh_first(const Weight& weight, const Source& x, std::ptrdiff_t i, int n) noexcept {
    return simd::first_or<A>(weight(x.first(i, n)), n, 0.0f);
}

// The weights of N packs in their place, together where the weight has a way to.
template <class Weight> struct weighs_together : std::false_type {};
template <class A, bool Folded> struct weighs_together<exp_weight<A, Folded>> : std::true_type {};
template <class A, int N, class Weight> TARN_INLINE void weigh_each(const Weight& weight, pack<A> (&x)[N]) noexcept {
    if constexpr (weighs_together<Weight>::value && N * pack<A>::parts % 4 == 0)
        weight.together(x);
    else
        simd::unroll<N>([&](auto k) TARN_LAMBDA { x[decltype(k)::value] = weight(x[decltype(k)::value]); });
}

// Nothing to do beside the weights.
struct nothing_beside {
    TARN_INLINE void operator()(std::ptrdiff_t) const noexcept {}
};

// The sums of elements begin..end-1 lane by lane. adder.four(sums, i) adds the four packs from i on; adder.rest(sums,
// i, n, m) the first n lanes of the pack at i and, if m > 0, the first m of the next. beside(i) is called for
// every four packs from i on: work of another row, independent of this one, that fills the gaps.
template <class A, class Adder, class Beside>
TARN_INLINE simd::sum_pack<A> sum_span(const Adder& adder, std::ptrdiff_t begin, std::ptrdiff_t end,
                                       const Beside& beside) noexcept {
    auto sums = simd::sum_pack<A>::zero();
    std::ptrdiff_t i = begin;
    for (; i + 4 * lanes<A> <= end; i += 4 * lanes<A>) {
        adder.prefetch(i);
        adder.four(sums, i);
        beside(i);
    }
    for (; i < end; i += 2 * lanes<A>) {
        const std::ptrdiff_t rest = end - i;
        const int n = rest < lanes<A> ? static_cast<int>(rest) : lanes<A>;
        const int m = rest < 2 * lanes<A> ? static_cast<int>(rest) - lanes<A> : lanes<A>;
        adder.rest(sums, i, n, m);
    }
    return sums;
}
template <class A, class Adder, class Beside>
TARN_INLINE row_total<A> sum_chunks(const Adder& adder, std::ptrdiff_t n, const Beside& beside) noexcept {
    row_total<A> sum = {};
    for (std::ptrdiff_t i = 0; i < n; i += chunk_size)
        simd::add_total(sum, sum_span<A>(adder, i, n - i < chunk_size ? n : i + chunk_size, beside).total());
    return sum;
}

// Adds weights, and puts them to e.
template <class A, packs_added How, class Weight, class Source, class Sink> struct weights_adder {
    const Weight& weight;
    const Source& x;
    const Sink& e;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { x.prefetch(i); }
    TARN_INLINE void four(simd::sum_pack<A>& sums, std::ptrdiff_t i) const noexcept {
        pack<A> v[4];
        simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = x.at(i + decltype(k)::value * lanes<A>); });
        weigh_each(weight, v);
        simd::unroll<4>([&](auto k) TARN_LAMBDA { e.put(i + decltype(k)::value * lanes<A>, v[decltype(k)::value]); });
        add_packs<How>(sums, v[0], v[1]);
        add_packs<How>(sums, v[2], v[3]);
    }
    TARN_INLINE void rest(simd::sum_pack<A>& sums, std::ptrdiff_t i, int n, int m) const noexcept {
        if (m > 0) {
            pack<A> v[2] = {x.first(i, lanes<A>), x.first(i + lanes<A>, m)};
            weigh_each(weight, v);
            v[1] = simd::first_or<A>(v[1], m, 0.0f);
            e.put_first(i, v[0], lanes<A>);
            e.put_first(i + lanes<A>, v[1], m);
            add_packs<How>(sums, v[0], v[1]);
        } else {
            const pack<A> v = weigh_first<A>(weight, x, i, n);
            e.put_first(i, v, n);
            sums.add(v);
        }
    }
};

// Weights of elements begin..end-1 to e, and their sums lane by lane.
template <class A, packs_added How = packs_added::in_pairs, class Weight, class Source, class Sink, class Beside>
TARN_INLINE simd::sum_pack<A> weigh_span(const Weight& weight, const Source& x, const Sink& e, std::ptrdiff_t begin,
                                         std::ptrdiff_t end, const Beside& beside) noexcept {
    return sum_span<A>(weights_adder<A, How, Weight, Source, Sink>{weight, x, e}, begin, end, beside);
}

// Weights of a row of n elements to e, and their sum.
template <class A, packs_added How = packs_added::in_pairs, class Weight, class Source, class Sink, class Beside>
TARN_INLINE row_total<A> weigh_chunks(const Weight& weight, const Source& x, const Sink& e, std::ptrdiff_t n,
                                      const Beside& beside) noexcept {
    return sum_chunks<A>(weights_adder<A, How, Weight, Source, Sink>{weight, x, e}, n, beside);
}
template <class A, packs_added How = packs_added::in_pairs, class Weight, class Source, class Sink,
          class Beside = nothing_beside>
TARN_NOINLINE row_total<A> weigh_row(const Weight& given, Source x, Sink e, std::ptrdiff_t n,
                                     const Beside& given_beside = {}) noexcept {
    const Weight weight = given;
    const Beside beside = given_beside;
    return weigh_chunks<A, How>(weight, x, e, n, beside);
}

// sign * the greatest sign * x of a row; -sign * inf if there is none. NaN are passed over.
template <class A, class Source>
TARN_NOINLINE number<A> greatest_of_row(Source x, std::ptrdiff_t n, number<A> sign) noexcept {
    const pack<A> flip = simd::broadcast<A>(sign);
    pack<A> m[4];
    simd::unroll<4>([&](auto k) TARN_LAMBDA { m[decltype(k)::value] = simd::broadcast<A>(-__builtin_huge_valf()); });
    std::ptrdiff_t i = 0;
    for (; i + 4 * lanes<A> <= n; i += 4 * lanes<A>) {
        x.prefetch(i);
        simd::unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            m[K] = simd::max_of<A>(x.at(i + K * lanes<A>) * flip, m[K]);
        });
    }
    for_tail<A>(i, n, [&](auto k, std::ptrdiff_t at, int count) TARN_LAMBDA {
        constexpr int K = decltype(k)::value;
        m[K] = simd::max_of<A>(simd::first_or<A>(x.first(at, count) * flip, count, -__builtin_huge_valf()), m[K]);
    });
    return sign * simd::greatest<A>(simd::max_of<A>(simd::max_of<A>(m[0], m[1]), simd::max_of<A>(m[2], m[3])));
}

}}}} // namespace tarn::kernels
