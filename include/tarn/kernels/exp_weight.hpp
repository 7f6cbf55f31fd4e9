// SPDX-License-Identifier: BSD-3-Clause
//
// The exponential under every softmax-like kernel: weight(x) = g * 2^((x - centre) * scale * log2(e) - exponent).
//
// The common factor g and the power of two cancel in the quotient of a weight and a sum of weights, so `exponent` may
// be any integer (for doubles an even one) that keeps the sum inside the accepted range: the result has the same bits.
// For floats, the grid of 1/8 leaves |r| <= 1/16 for a polynomial of degree 3, and the table is tuned to nearly exact
// floats; together 0.36 of 2^-24 before the last rounding. For doubles, the grid of integers leaves |r| <= 1/2 for a
// polynomial of degree 11, 2^-57.8 off.
#pragma once

#include <tarn/simd/exp2.hpp>
#include <tarn/simd/pack.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

using simd::number;
using simd::numbers;
using simd::pack;

constexpr float infinity = __builtin_huge_valf();

// The range of weights, of their sums and of results.
template <class T> struct range_of_weights;
template <> struct range_of_weights<float> {
    // Quotients below this become 0. A little above 2^-126, so that a rounded product never falls below it.
    static constexpr float least_result = 0x1.000008p-126f;
    // Weights below 2^-118 are dropped, and sums are accepted from 2^8: what is dropped is below 2^-126 of the sum,
    // where the result is 0 by definition. On the grid, and half a step off it.
    static constexpr float least_exponent = -119.5f;
    static constexpr float half_step = 0.0625f;
    static constexpr float greatest_exponent = 126.5f;
    static constexpr float least_sum = 0x1p+8f;
    static constexpr float greatest_sum = 0x1p+120f;
    // Rows are centred here, and looked for again where their sums leave the middle of the range.
    static constexpr float bias = 60;
    static constexpr float bias_of_part = 20; // where a row's greatest is only that of a part
    static constexpr double lower_middle = 0x1p40, upper_middle = 0x1p80;
    static constexpr float to_even = 1.5f * 0x1p23f; // references: any integer
    static constexpr float to_grid = 1.5f * 0x1p20f; // the eighths
    // The factor g of all weights, with the one that the polynomial carries.
    static constexpr double common_factor = 0x1.89cb7cp+0 * (1 + 0.31 * 0x1p-24);
    static constexpr double weight_of_one = 0x1.89cb7cp+0; // exactly
};
template <> struct range_of_weights<double> {
    static constexpr double least_result = 0x1.0000000000008p-1022;
    // Weights below 2^-957 are dropped, and sums are accepted from 2^66: what additions of weights lose is not
    // denormal.
    static constexpr double least_exponent = -957;
    static constexpr double half_step = 0.5;
    static constexpr double greatest_exponent = 1021.75;
    static constexpr double least_sum = 0x1p+66;
    static constexpr double greatest_sum = 0x1p+1016;
    static constexpr double bias = 540;
    static constexpr double bias_of_part = 240;
    static constexpr double lower_middle = 0x1p340, upper_middle = 0x1p740;
    // Ties between integers go to the even one, so references must be even for all to break them alike.
    static constexpr double to_even = 1.5 * 0x1p53;
    static constexpr double to_grid = 1.5 * 0x1p52;
    static constexpr double common_factor = 1;
    static constexpr double weight_of_one = 1;
};
template <class A> using weights_of = range_of_weights<number<A>>;

// scale * log2(e) as the sum of two numbers. The scale of the logits is part of the base of the exponential, so it
// costs nothing and rounds nothing; a negative scale is a base below 1.
template <class A> struct exp_base {
    number<A> high, low;

    TARN_INLINE static exp_base of(number<A> scale) noexcept {
        if constexpr (simd::is_double<A>) {
            using doubles = simd::doubles<A>;
            const doubles s(scale);
            const doubles log2_e(1.4426950408889634074);
            const doubles high = s * log2_e;
            const doubles low =
                simd::fmadd<A>(s, doubles(0x1.777d0ffda0d24p-56), simd::product_error<A>(s, log2_e, high));
            return {simd::first_lane<A>(high), simd::first_lane<A>(low)};
        } else {
            const double exact = static_cast<double>(scale) * 1.4426950408889634074;
            const float high = static_cast<float>(exact);
            return {high, static_cast<float>(exact - static_cast<double>(high))};
        }
    }
    TARN_INLINE number<A> sign() const noexcept { return high < 0 ? -1.0f : 1.0f; }
};

template <class Number> TARN_INLINE Number nearest(Number t, Number rounding) noexcept {
    const Number shifted = t + rounding;
    return shifted - rounding;
}

// Where a row's weights are centred. All rows whose greatest logit is below `far` in units of powers of two use centre
// 0; beyond it the greatest logit itself is subtracted, which is exact for all logits that matter.
template <class A> struct reference {
    using number = simd::number<A>;
    number exponent;
    number centre;

    static constexpr number far = 72000;
    // References carried from other rows stay well below `far`, so a row's centre depends on the row alone.
    static constexpr number carried_limit = 60000;

    // For a row whose greatest logit, in the direction of the scale, is m: its weight is near 2^bias.
    TARN_INLINE static reference of_greatest(number m, exp_base<A> base, number bias) noexcept {
        const number t = m * base.high;
        if (t < far && t > -far)
            return {nearest<number>(t, weights_of<A>::to_even) - bias, 0};
        // An empty row has no greatest logit to subtract; +inf makes the row NaN, as it must.
        return {-bias, m * base.sign() == -infinity ? 0 : m};
    }
};

// The same for a pack of rows.
template <class A> struct pack_references {
    pack<A> exponent, centre;

    TARN_INLINE static pack_references of_greatest(const pack<A>& m, exp_base<A> base, number<A> bias) noexcept {
        const auto all = [](number<A> v) TARN_LAMBDA { return simd::broadcast<A>(v); };
        const pack<A> t = m * all(base.high);
        const pack<A> near = nearest(t, all(weights_of<A>::to_even)) - all(bias);
        const number<A> empty = -infinity * base.sign();
        const number<A> far = reference<A>::far;
        return {simd::select_between<A>(t, -far, far, near, all(-bias)),
                simd::select_between<A>(t, -far, far, all(0), simd::select_equal<A>(m, empty, all(0), m))};
    }
};

// What a reference means for a tier's instructions: for one row (Number = number<A>) or for a pack of them (Number =
// pack<A>). The weight is dropped where n <= least; clip_low and clip_high, unused with scalef, keep the exponent from
// wrapping.
template <class A, class Number> struct exp_bounds {
    Number grid, least, clip_low, clip_high, exponent, centre;

    // The fields one after the other, for Number = pack.
    TARN_INLINE void store(number<A> (*fields)[simd::lanes<A>]) const noexcept {
        const Number* const members[] = {&grid, &least, &clip_low, &clip_high, &exponent, &centre};
        for (int i = 0; i < 6; ++i)
            simd::store(fields[i], *members[i]);
    }

    // `make` turns a number into a Number. The bounds lie half a step off the grid (the clips a quarter of one, for
    // doubles): on it, clipped arguments would have denormal remainders. A scale of 0 makes the clip NaN, which clips
    // nothing.
    template <class Convert>
    TARN_INLINE static exp_bounds of(exp_base<A> base, Number exponent, Number centre, Convert make) noexcept {
        using range = weights_of<A>;
        const Number rounding = make(range::to_grid);
        const Number least = exponent + make(range::least_exponent + range::half_step);
        if constexpr (simd::exp2_traits<A>::has_scalef)
            return {rounding, least, least, least, exponent, centre};
        const Number high = make(base.high);
        const Number one = high / high;
        // One power below `least`: rounded to the grid, clipped arguments must not come out above it.
        const Number low = (least - make(simd::is_double<A> ? 0.75f : 1.0f)) / high * one;
        const Number top = (exponent + make(range::greatest_exponent + range::half_step)) / high * one;
        const Number grid = rounding - exponent;
        if (base.high < 0)
            return {grid, least, top, low, exponent, centre};
        return {grid, least, low, top, exponent, centre};
    }
};

// The weight of 0, and what a difference from it needs. Differences are too large by `tiny`, of which nothing is left
// in results, and are never denormal.
template <class A> struct unit_weight {
    static constexpr double tiny = simd::is_double<A> ? 0x1p-1000 : 0x1p-119;
    // The weight of the greatest logit must be above this: then `tiny` is below the last bit of any product that
    // counts.
    static constexpr double least_level = simd::is_double<A> ? 0x1p+80 : 0x1p+56;

    number<A> one;   // 0 where it would be dropped
    number<A> zero;  // 0, but NaN if `one` is 0
    number<A> least; // smaller products with `one` would be denormal

    TARN_INLINE explicit unit_weight(reference<A> ref) noexcept : one(0), zero(__builtin_nanf("")), least(0) {
        const double w = weights_of<A>::weight_of_one * simd::power_of_two(-static_cast<double>(ref.exponent));
        if (ref.centre != 0 || w < simd::power_of_two(weights_of<A>::least_exponent + 1))
            return;
        one = static_cast<number<A>>(w);
        zero = 0;
        // Below 1 it is no normal number itself, and remainders are never so small.
        if (w < 1)
            least = static_cast<number<A>>((simd::is_double<A> ? 0x1p-1020 : 0x1p-125) / w);
    }
};

// The functor. Folded: centre 0 and a small exponent, the form for ordinary rows; otherwise any reference.
template <class A, bool Folded> struct exp_weight {
    using traits = simd::exp2_traits<A>;
    typename traits::table table;
    numbers<A> base_high, base_low, grid, least, clip_low, clip_high, exponent, centre;

    TARN_INLINE exp_weight(exp_base<A> base, reference<A> ref) noexcept
        : table(simd::exp2_table<A>(1)), base_high(base.high), base_low(base.low), grid(0), least(0), clip_low(0),
          clip_high(0), exponent(0), centre(0) {
        refer_to(
            exp_bounds<A, number<A>>::of(base, ref.exponent, ref.centre, [](number<A> v) TARN_LAMBDA { return v; }));
    }

    // Whether the form can express a reference: its constants must stay normal numbers.
    TARN_INLINE static bool can_express(reference<A> ref) noexcept {
        constexpr number<A> limit = folds_exponent ? 100 : reference<A>::carried_limit;
        return !Folded || (ref.centre == 0 && ref.exponent <= limit && ref.exponent >= -limit);
    }

    // Number: number<A>, the same for all lanes, or numbers<A>, one for each (not Folded).
    template <class Number> TARN_INLINE void refer_to(const exp_bounds<A, Number>& b) noexcept {
        if constexpr (folds_exponent)
            table = simd::exp2_table<A>(static_cast<number<A>>(simd::power_of_two(-static_cast<double>(b.exponent))));
        grid = numbers<A>(b.grid);
        least = numbers<A>(b.least);
        clip_low = numbers<A>(b.clip_low);
        clip_high = numbers<A>(b.clip_high);
        exponent = numbers<A>(b.exponent);
        centre = numbers<A>(b.centre);
    }

    TARN_INLINE numbers<A> operator()(numbers<A> x) const noexcept {
        numbers<A> v[1] = {x};
        together(v);
        return v[0];
    }
    // Of N registers, step by step: schedulers hold few instructions, and one weight is a long chain of them.
    template <int N> TARN_INLINE void together(numbers<A> (&x)[N]) const noexcept {
        place(x);
        differences_together(x);
    }
    // The same for a difference from the centre that needs no clip.
    TARN_INLINE numbers<A> of_difference(numbers<A> x) const noexcept {
        numbers<A> v[1] = {x};
        differences_together(v);
        return v[0];
    }
    template <int N> TARN_INLINE void differences_together(numbers<A> (&x)[N]) const noexcept {
        numbers<A> position[N], n[N];
        reduce(x, position, n);
        each<N>([&](int k) TARN_LAMBDA { x[k] = two_to(position[k], x[k], table); });
        each<N>([&](int k) TARN_LAMBDA { x[k] = scaled(x[k], position[k], n[k]); });
    }
    // And whose weight is not dropped.
    TARN_INLINE numbers<A> of_near_difference(numbers<A> x) const noexcept {
        if constexpr (traits::has_scalef) {
            numbers<A> r[1] = {x}, position[1], n[1];
            reduce(r, position, n);
            return simd::scale<A>(two_to(position[0], r[0], table), folds_exponent ? n[0] : n[0] - exponent);
        } else {
            return of_difference(x);
        }
    }

    // weight(x) - one: exp(x) - 1 without loss next to 0.
    TARN_INLINE numbers<A> less(numbers<A> x, const unit_weight<A>& unit) const noexcept {
        numbers<A> v[1] = {x};
        less_together(v, unit);
        return v[0];
    }
    template <int N> TARN_INLINE void less_together(numbers<A> (&x)[N], const unit_weight<A>& unit) const noexcept {
        const numbers<A> one(unit.one);
        const numbers<A> tiny(unit_weight<A>::tiny);
        place(x);
        numbers<A> position[N], n[N];
        reduce(x, position, n);
        if constexpr (traits::has_table && simd::has_fused_fmadd<A>) {
            numbers<A> q[N];
            // Unclipped, remainders of logits far below have no end.
            if constexpr (traits::has_scalef)
                each<N>([&](int k) TARN_LAMBDA { x[k] = simd::zero_where_le<A>(x[k], n[k], least); });
            each<N>([&](int k) TARN_LAMBDA { q[k] = exact_slope_of(x[k]); });
            // Entries are nearly exact, and so is their difference from 1.
            each<N>([&](int k) TARN_LAMBDA {
                numbers<A> t = simd::exp2_lookup<A>(table, position[k]);
                if constexpr (traits::has_scalef)
                    t = simd::scale_where_gt<A>(t, folds_exponent ? n[k] : n[k] - exponent, n[k], least);
                else if constexpr (!Folded)
                    t = simd::zero_where_le<A>(t, n[k], least);
                position[k] = t;
            });
            each<N>([&](int k)
                        TARN_LAMBDA { x[k] = simd::fmadd<A>(position[k] * q[k], x[k], (position[k] - one) + tiny); });
        } else {
            each<N>([&](int k) TARN_LAMBDA {
                const numbers<A> q = exact_slope_of(x[k]) * x[k];
                const numbers<A> near = simd::zero_where_le<A>(q, xsimd::abs(q), numbers<A>(unit.least)) * one;
                const numbers<A> far = scaled(two_to(position[k], x[k], table), position[k], n[k]) - one;
                x[k] = simd::select<A>(n[k] == numbers<A>(unit.zero), near, far) + tiny;
            });
        }
    }

    // The weight for the reference 0 as v * 2^n with n integral and v from 1 to 4, for doubles from 0.7 to 1.5; for |x|
    // within reference::far.
    TARN_INLINE static void extended(const typename traits::table& table, numbers<A> base_high, numbers<A> base_low,
                                     numbers<A> x, numbers<A>& v, numbers<A>& n) noexcept {
        using range = weights_of<A>;
        const numbers<A> grid(range::to_grid);
        const numbers<A> steps = simd::fmadd<A>(x, base_high, grid) - grid;
        const numbers<A> r = simd::exp2_remainder<A>(x, base_high, base_low, steps);
        if constexpr (traits::has_table) {
            n = simd::exp2_floor<A>(steps);
            const numbers<A> position = steps - n + grid;
            v = two_to(position, r, table);
            if constexpr (!traits::has_scalef)
                v = simd::exp2_apply<A>(v, position);
        } else {
            n = steps;
            v = two_to(grid, r, table);
        }
    }

    TARN_INLINE pack<A> operator()(const pack<A>& x) const noexcept {
        if constexpr (traits::is_compact) {
            pack<A> v = x;
            together(v.part);
            return v;
        } else {
            return out_of_line(*this, x);
        }
    }
    // Of N packs, four registers at a time.
    template <int N> TARN_INLINE void together(pack<A> (&x)[N]) const noexcept {
        if constexpr (traits::is_compact)
            simd::four_at_a_time<A>(x, [&](auto& v) TARN_LAMBDA { together(v); });
        else
            simd::unroll<N>([&](auto k) TARN_LAMBDA { x[decltype(k)::value] = (*this)(x[decltype(k)::value]); });
    }

    TARN_INLINE pack<A> less(const pack<A>& x, const unit_weight<A>& unit) const noexcept {
        if constexpr (traits::is_compact)
            return simd::each<A>([&](numbers<A> v) TARN_LAMBDA { return less(v, unit); }, x);
        else
            return less_out_of_line(*this, x, unit);
    }
    template <int N> TARN_INLINE void less_together(pack<A> (&x)[N], const unit_weight<A>& unit) const noexcept {
        if constexpr (traits::is_compact)
            simd::four_at_a_time<A>(x, [&](auto& v) TARN_LAMBDA { less_together(v, unit); });
        else
            simd::unroll<N>([&](auto k) TARN_LAMBDA { x[decltype(k)::value] = less(x[decltype(k)::value], unit); });
    }

private:
    // The power of two of the reference is part of the table.
    static constexpr bool folds_exponent = Folded && traits::has_scalef && traits::has_table;

    template <int N, class F> TARN_INLINE static void each(F f) noexcept {
        simd::unroll<N>([&](auto k) TARN_LAMBDA { f(decltype(k)::value); });
    }
    // Logits as differences from the centre, clipped where the exponent would wrap.
    template <int N> TARN_INLINE void place(numbers<A> (&x)[N]) const noexcept {
        each<N>([&](int k) TARN_LAMBDA {
            if constexpr (!Folded)
                x[k] = x[k] - centre;
            if constexpr (!traits::has_scalef)
                x[k] = simd::min_of<A>(clip_high, simd::max_of<A>(clip_low, x[k])); // NaN passes
        });
    }
    // Differences to remainders: position on the grid and power of two.
    template <int N>
    TARN_INLINE void reduce(numbers<A> (&x)[N], numbers<A> (&position)[N], numbers<A> (&n)[N]) const noexcept {
        each<N>([&](int k) TARN_LAMBDA { position[k] = simd::fmadd<A>(x[k], base_high, grid); });
        each<N>([&](int k) TARN_LAMBDA { n[k] = position[k] - grid; });
        each<N>([&](int k) TARN_LAMBDA { x[k] = simd::exp2_remainder<A>(x[k], base_high, base_low, n[k]); });
    }
    // p times its power of two, 0 where that is dropped.
    TARN_INLINE numbers<A> scaled(numbers<A> p, [[maybe_unused]] numbers<A> position, numbers<A> n) const noexcept {
        if constexpr (traits::has_scalef)
            return simd::scale_where_gt<A>(p, folds_exponent ? n : n - exponent, n, least);
        else if constexpr (Folded)
            return simd::exp2_apply<A>(p, position);
        else
            return simd::zero_where_le<A>(simd::exp2_apply<A>(p, position), n, least);
    }
    // (2^r - 1) / r without the common factor that slope_of carries for floats.
    TARN_INLINE static numbers<A> exact_slope_of(numbers<A> r) noexcept {
        if constexpr (traits::has_table) {
            const numbers<A> q = simd::fmadd<A>(r, numbers<A>(9.61812910e-3f), numbers<A>(5.55093170e-2f));
            return simd::fmadd<A>(simd::fmadd<A>(q, r, numbers<A>(2.40226508e-1f)), r, numbers<A>(6.93147178e-1f));
        } else {
            return slope_of(r);
        }
    }
    // (2^r - 1) / r.
    TARN_INLINE static numbers<A> slope_of(numbers<A> r) noexcept {
        if constexpr (traits::has_table) {
            constexpr float c1 = 6.9314722124e-1f;
            constexpr float c2 = 2.4026407730e-1f;
            constexpr float c3 = 5.5498901498e-2f;
            return simd::fmadd<A>(simd::fmadd<A>(r, numbers<A>(c3), numbers<A>(c2)), r, numbers<A>(c1));
        } else {
            return simd::exp2_slope<A>(r);
        }
    }
    // 2^(position + r), or without its power of two: see exp2_lookup and exp2_apply.
    TARN_INLINE static numbers<A> two_to([[maybe_unused]] numbers<A> position, numbers<A> r,
                                         [[maybe_unused]] const typename traits::table& table) noexcept {
        const numbers<A> q = slope_of(r);
        if constexpr (traits::has_table) {
            const numbers<A> t = simd::exp2_lookup<A>(table, position);
            // No product of t and r, nor of r and q, is ever formed by itself: r may be tiny, t as small as weights
            // are, and the product denormal.
            return simd::fmadd<A>(t * q, r, t);
        } else {
            return simd::fmadd<A>(q, r, numbers<A>(1.0));
        }
    }
    // Where a pack takes hundreds of instructions, one copy of them serves all kernels.
    TARN_NOINLINE static pack<A> out_of_line(const exp_weight& weight, const pack<A>& x) noexcept {
        return simd::each<A>([&](numbers<A> part) TARN_LAMBDA { return weight(part); }, x);
    }
    TARN_NOINLINE static pack<A> less_out_of_line(const exp_weight& weight, const pack<A>& x,
                                                  const unit_weight<A>& unit) noexcept {
        return simd::each<A>([&](numbers<A> part) TARN_LAMBDA { return weight.less(part, unit); }, x);
    }
};

// The shortest form that drops weights on all tiers; where it is Folded it is for the references of that.
template <class A> using dropping_weight = exp_weight<A, simd::exp2_traits<A>::has_scalef>;

// A pack of rows side by side, each lane with a reference of its own: what the references mean, and the weights by them.
// common: of the same base.
template <class A>
TARN_INLINE exp_bounds<A, pack<A>> bounds_by_lane(exp_base<A> base, const pack_references<A>& refs) noexcept {
    return exp_bounds<A, pack<A>>::of(base, refs.exponent, refs.centre,
                                      [](number<A> v) TARN_LAMBDA { return simd::broadcast<A>(v); });
}
template <class A>
TARN_INLINE pack<A> weigh_by_lane(const exp_weight<A, false>& common, const exp_bounds<A, pack<A>>& bounds,
                                  const pack<A>& x) noexcept {
    return simd::each<A>(
        [&](numbers<A> v, numbers<A> grid, numbers<A> least, numbers<A> low, numbers<A> high, numbers<A> exponent,
            numbers<A> centre) TARN_LAMBDA {
            exp_weight<A, false> weight = common;
            weight.refer_to(exp_bounds<A, numbers<A>>{grid, least, low, high, exponent, centre});
            return weight(v);
        },
        x, bounds.grid, bounds.least, bounds.clip_low, bounds.clip_high, bounds.exponent, bounds.centre);
}

template <class A> struct exp_weight_by_lane {
    exp_bounds<A, pack<A>> bounds;
    exp_weight<A, false> common;

    TARN_INLINE exp_weight_by_lane(exp_base<A> base, const pack_references<A>& refs) noexcept
        : bounds(bounds_by_lane(base, refs)), common(base, reference<A>{0, 0}) {}

    TARN_INLINE pack<A> operator()(const pack<A>& x) const noexcept { return weigh_by_lane(common, bounds, x); }
};

}}}} // namespace tarn::kernels
