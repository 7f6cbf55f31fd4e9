// SPDX-License-Identifier: BSD-3-Clause
//
// The exponential under every softmax-like kernel: weight(x) = g * 2^((x - centre) * scale * log2(e) - exponent).
//
// The common factor g and the power of two cancel in the quotient of a weight and a sum of weights, so `exponent` may
// be any integer that keeps the sum inside the accepted range: the result has the same bits. The grid of 1/8 leaves |r|
// <= 1/16 for a polynomial of degree 3, and the table is tuned to nearly exact floats; together 0.36 of 2^-24 before
// the last rounding.
#pragma once

#include <tarn/simd/exp2.hpp>
#include <tarn/simd/pack.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

using simd::floats;
using simd::pack;

constexpr float infinity = __builtin_huge_valf();
// Quotients below this become 0. A little above 2^-126, so that a rounded product never falls below it.
constexpr float least_result = 0x1.000008p-126f;
// Weights below 2^-118 are dropped, and sums are accepted from 2^8: what is dropped is below 2^-126 of the sum, where
// the result is 0 by definition.
constexpr float least_weight_exponent = -119.5f;
constexpr float least_sum = 0x1p+8f;
constexpr float greatest_sum = 0x1p+120f;

// The factor g of all weights, with the one that the polynomial carries.
constexpr double common_factor = 0x1.89cb7cp+0 * (1 + 0.31 * 0x1p-24);

// scale * log2(e) as the sum of two floats. The scale of the logits is part of the base of the exponential, so it costs
// nothing and rounds nothing; a negative scale is a base below 1.
struct exp_base {
    float high, low;

    TARN_INLINE static exp_base of(float scale) noexcept {
        const double exact = static_cast<double>(scale) * 1.4426950408889634074;
        const float high = static_cast<float>(exact);
        return {high, static_cast<float>(exact - static_cast<double>(high))};
    }
    TARN_INLINE float sign() const noexcept { return high < 0 ? -1.0f : 1.0f; }
};

// Where a row's weights are centred. All rows whose greatest logit is below `far` in units of powers of two use centre
// 0; beyond it the greatest logit itself is subtracted, which is exact for all logits that matter.
struct reference {
    float exponent;
    float centre;

    static constexpr float far = 72000;
    // References carried from other rows stay well below `far`, so a row's centre depends on the row alone.
    static constexpr float carried_limit = 60000;

    // For a row whose greatest logit, in the direction of the scale, is m: its weight is near 2^bias.
    TARN_INLINE static reference of_greatest(float m, exp_base base, float bias) noexcept {
        const float t = m * base.high;
        if (t < far && t > -far)
            return {nearest_integer(t, 1.5f * 0x1p23f) - bias, 0.0f};
        // An empty row has no greatest logit to subtract; +inf makes the row NaN, as it must.
        return {-bias, m * base.sign() == -infinity ? 0.0f : m};
    }
    template <class Number> TARN_INLINE static Number nearest_integer(Number t, Number rounding) noexcept {
        const Number shifted = t + rounding;
        return shifted - rounding;
    }
};

// The same for sixteen rows.
template <class A> struct pack_references {
    pack<A> exponent, centre;

    TARN_INLINE static pack_references of_greatest(const pack<A>& m, exp_base base, float bias) noexcept {
        const auto number = [](float v) TARN_LAMBDA { return simd::broadcast<A>(v); };
        const pack<A> t = m * number(base.high);
        const pack<A> near = reference::nearest_integer(t, number(1.5f * 0x1p23f)) - number(bias);
        const float empty = -infinity * base.sign();
        return {simd::select_between<A>(t, -reference::far, reference::far, near, number(-bias)),
                simd::select_between<A>(t, -reference::far, reference::far, number(0.0f),
                                        simd::select_equal<A>(m, empty, number(0.0f), m))};
    }
};

// What a reference means for a tier's instructions: for one row (Number = float) or for sixteen (Number = pack).
// The weight is dropped where n <= least; clip_low and clip_high, unused with scalef, keep the exponent from wrapping.
template <class Number> struct exp_bounds {
    Number grid, least, clip_low, clip_high, exponent, centre;

    // The fields one after the other, for Number = pack.
    TARN_INLINE void store(float (*fields)[simd::lanes]) const noexcept {
        const Number* const members[] = {&grid, &least, &clip_low, &clip_high, &exponent, &centre};
        for (int i = 0; i < 6; ++i)
            simd::store(fields[i], *members[i]);
    }

    // `number` turns a float into a Number. The bounds lie half a table step off the grid: on it, clipped arguments
    // would have denormal remainders. A scale of 0 makes the clip NaN, which clips nothing.
    template <bool HasScalef, class Convert>
    TARN_INLINE static exp_bounds of(exp_base base, Number exponent, Number centre, Convert number) noexcept {
        const Number rounding = number(1.5f * 0x1p20f);
        const Number least = exponent + number(least_weight_exponent + 0.0625f);
        if constexpr (HasScalef)
            return {rounding, least, least, least, exponent, centre};
        const Number high = number(base.high);
        const Number one = high / high;
        // One power below `least`: rounded to the grid, clipped arguments must not come out above it.
        const Number low = (least - number(1.0f)) / high * one;
        const Number top = (exponent + number(126.5625f)) / high * one;
        const Number grid = rounding - exponent;
        if (base.high < 0)
            return {grid, least, top, low, exponent, centre};
        return {grid, least, low, top, exponent, centre};
    }
};

// The functor. Folded: centre 0 and a small exponent, the form for ordinary rows; otherwise any reference.
template <class A, bool Folded> struct exp_weight {
    using traits = simd::exp2_traits<A>;
    typename traits::table table;
    floats<A> base_high, base_low, grid, least, clip_low, clip_high, exponent, centre;

    TARN_INLINE exp_weight(exp_base base, reference ref) noexcept
        : table(simd::exp2_table<A>(traits::has_scalef && Folded ? power_of_two(-ref.exponent) : 1.0f)),
          base_high(base.high), base_low(base.low), grid(0.0f), least(0.0f), clip_low(0.0f), clip_high(0.0f),
          exponent(0.0f), centre(0.0f) {
        refer_to(exp_bounds<float>::of<traits::has_scalef>(base, ref.exponent, ref.centre,
                                                           [](float v) TARN_LAMBDA { return v; }));
    }

    // Whether the form can express a reference: its constants must stay normal floats.
    TARN_INLINE static bool can_express(reference ref) noexcept {
        constexpr float limit = traits::has_scalef ? 100.0f : reference::carried_limit;
        return !Folded || (ref.centre == 0 && ref.exponent <= limit && ref.exponent >= -limit);
    }

    // Number: float, the same for all lanes, or floats<A>, one for each.
    template <class Number> TARN_INLINE void refer_to(const exp_bounds<Number>& b) noexcept {
        grid = floats<A>(b.grid);
        least = floats<A>(b.least);
        clip_low = floats<A>(b.clip_low);
        clip_high = floats<A>(b.clip_high);
        exponent = floats<A>(b.exponent);
        centre = floats<A>(b.centre);
    }

    TARN_INLINE floats<A> operator()(floats<A> x) const noexcept {
        if constexpr (!Folded)
            x = x - centre;
        if constexpr (!traits::has_scalef)
            x = simd::min_of<A>(clip_high, simd::max_of<A>(clip_low, x)); // NaN passes
        const floats<A> position = simd::fmadd<A>(x, base_high, grid);
        const floats<A> n = position - grid;
        const floats<A> r = simd::exp2_remainder<A>(x, base_high, base_low, n);
        const floats<A> p = polynomial(simd::exp2_lookup<A>(table, position), r);
        if constexpr (traits::has_scalef)
            return simd::scale_where_gt<A>(p, Folded ? n : n - exponent, n, least);
        else if constexpr (Folded)
            return simd::exp2_apply<A>(p, position);
        else
            return simd::zero_where_le<A>(simd::exp2_apply<A>(p, position), n, least);
    }

    // The weight for the reference 0 as v * 2^n with v from 1 to 4 and n integral; for |x| within reference::far.
    TARN_INLINE static void extended(const typename traits::table& table, floats<A> base_high, floats<A> base_low,
                                     floats<A> x, floats<A>& v, floats<A>& n) noexcept {
        const floats<A> grid(1.5f * 0x1p20f);
        const floats<A> eighths = simd::fmadd<A>(x, base_high, grid) - grid;
        n = reference::nearest_integer(eighths - floats<A>(0.4375f), floats<A>(1.5f * 0x1p23f));
        const floats<A> position = eighths - n + grid;
        const floats<A> r = simd::exp2_remainder<A>(x, base_high, base_low, eighths);
        const floats<A> p = polynomial(simd::exp2_lookup<A>(table, position), r);
        if constexpr (traits::has_scalef)
            v = p;
        else
            v = simd::exp2_apply<A>(p, position);
    }

    TARN_INLINE pack<A> operator()(const pack<A>& x) const noexcept {
        if constexpr (traits::is_compact)
            return simd::each<A>([&](floats<A> part) TARN_LAMBDA { return (*this)(part); }, x);
        else
            return out_of_line(*this, x);
    }

private:
    static constexpr float c1 = 6.9314722124e-1f;
    static constexpr float c2 = 2.4026407730e-1f;
    static constexpr float c3 = 5.5498901498e-2f;

    // t * 2^r
    TARN_INLINE static floats<A> polynomial(floats<A> t, floats<A> r) noexcept {
        const floats<A> q = simd::fmadd<A>(simd::fmadd<A>(r, floats<A>(c3), floats<A>(c2)), r, floats<A>(c1));
        // No product of t and r, nor of r and q, is ever formed by itself: r may be tiny, t as small as weights are,
        // and the product denormal.
        return simd::fmadd<A>(t * q, r, t);
    }
    // Where a pack takes hundreds of instructions, one copy of them serves all kernels.
    TARN_NOINLINE static pack<A> out_of_line(const exp_weight& weight, const pack<A>& x) noexcept {
        return simd::each<A>([&](floats<A> part) TARN_LAMBDA { return weight(part); }, x);
    }
    TARN_INLINE static float power_of_two(float e) noexcept {
        const std::int32_t bits = (static_cast<std::int32_t>(e) + 127) << 23;
        float f;
        __builtin_memcpy(&f, &bits, sizeof f);
        return f;
    }
};

// Sixteen rows side by side, each lane with a reference of its own.
template <class A> struct exp_weight_by_lane {
    exp_bounds<pack<A>> bounds;
    exp_weight<A, false> common;

    TARN_INLINE exp_weight_by_lane(exp_base base, const pack_references<A>& refs) noexcept
        : bounds(exp_bounds<pack<A>>::template of<simd::exp2_traits<A>::has_scalef>(
              base, refs.exponent, refs.centre, [](float v) TARN_LAMBDA { return simd::broadcast<A>(v); })),
          common(base, reference{0, 0}) {}

    TARN_INLINE pack<A> operator()(const pack<A>& x) const noexcept {
        return simd::each<A>(
            [&](floats<A> v, floats<A> grid, floats<A> least, floats<A> low, floats<A> high, floats<A> exponent,
                floats<A> centre) TARN_LAMBDA {
                exp_weight<A, false> weight = common;
                weight.refer_to(exp_bounds<floats<A>>{grid, least, low, high, exponent, centre});
                return weight(v);
            },
            x, bounds.grid, bounds.least, bounds.clip_low, bounds.clip_high, bounds.exponent, bounds.centre);
    }
};

}}}} // namespace tarn::kernels
