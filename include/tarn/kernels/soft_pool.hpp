// SPDX-License-Identifier: BSD-3-Clause
//
// Windows weighed by the exponentials of their elements. A state is the greatest element m, s = sum exp(t (x - m)), and
// a = sum exp(t (x - m)) (x - m). Two of them become one by an exponential of the distance of their m, which is below 1
// whatever the range of the elements; no other window has a part in it.
#pragma once

#include <tarn/kernels/exp_weight.hpp>
#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A weight that needs no clip and is not dropped. Where it takes hundreds of instructions, one copy of them serves all loops.
template <class A> struct near_weight {
    TARN_INLINE static numbers<A> of(const exp_weight<A, true>& exponential, numbers<A> x) noexcept {
        if constexpr (simd::exp2_traits<A>::is_compact)
            return exponential.of_near_difference(x);
        else
            return out_of_line(exponential, x);
    }
    TARN_NOINLINE static numbers<A> out_of_line(const exp_weight<A, true>& exponential, numbers<A> x) noexcept {
        return exponential.of_near_difference(x);
    }
};

// Two states by their first fields.
template <class A, class State> class states_by_height {
public:
    TARN_INLINE states_by_height(const State& a, const State& b) noexcept
        : a_(a), b_(b), second_(b.field[0] > a.field[0]) {}

    TARN_INLINE numbers<A> high(int f) const noexcept { return simd::select<A>(second_, b_.field[f], a_.field[f]); }
    TARN_INLINE numbers<A> low(int f) const noexcept { return simd::select<A>(second_, a_.field[f], b_.field[f]); }

private:
    const State &a_, &b_;
    const simd::mask<A> second_;
};

// exp(t d) for distances d <= 0, t >= 0. Distances are 0, or further than `step` / 2, so that neither they nor what
// becomes of them is denormal.
template <class A> class distance_weight {
public:
    static constexpr double step = simd::is_double<A> ? 0x1p-960 : 0x1p-100;

    // slope: of plus_logit.
    TARN_INLINE explicit distance_weight(double scale) noexcept : distance_weight(scale, scale) {}
    TARN_INLINE distance_weight(double scale, double slope) noexcept
        : exponential_(base_of(magnitude(scale)), reference<A>{0, 0}),
          furthest_(limited(furthest_of(magnitude(scale)))), nearest_(nearest_of(magnitude(scale))),
          slope_(static_cast<number<A>>(magnitude(slope))) {}

    // low - high <= 0, NaN if one of both is. Equal infinities have no distance.
    TARN_INLINE numbers<A> distance(numbers<A> low, numbers<A> high) const noexcept {
        const numbers<A> d = (low - numbers<A>(number<A>(step))) - high;
        return simd::select<A>(low == high, numbers<A>(number<A>(0)), d);
    }
    // Where a distance counts, it; elsewhere 0, and no weight.
    TARN_INLINE numbers<A> counted(numbers<A> d) const noexcept { return simd::zero_where_le<A>(d, d, furthest_); }
    // counted: counted(d).
    TARN_INLINE numbers<A> operator()(numbers<A> d, numbers<A> counted) const noexcept {
        return simd::zero_where_le<A>(weight_of(simd::min_of<A>(nearest_, counted)), d, furthest_);
    }
    // exp(t d) times a constant, for distances of both signs, none as far as the furthest.
    TARN_INLINE numbers<A> proportional(numbers<A> d) const noexcept { return near_weight<A>::of(exponential_, d); }
    // slope d + c, for c not next to 0.
    TARN_INLINE numbers<A> plus_logit(numbers<A> counted, numbers<A> c) const noexcept {
        return simd::fmadd<A>(slope_, simd::min_of<A>(nearest_, counted), c);
    }

private:
    // Above `most` all distances but 0 are beyond the furthest.
    TARN_INLINE static double magnitude(double scale) noexcept {
        constexpr double most = simd::is_double<A> ? 0x1p970 : 0x1p110;
        const double t = scale < 0 ? -scale : scale;
        return t < static_cast<double>(least_normal_number<A>) ? 0 : t > most ? most : t;
    }
    // The base of small scales is made of a large one: its parts would be denormal.
    TARN_INLINE static exp_base<A> base_of(double t) noexcept {
        constexpr double factor = simd::is_double<A> ? 0x1p100 : 0x1p60;
        if (t >= (simd::is_double<A> ? 0x1p-900 : 0x1p-60))
            return exp_base<A>::of(static_cast<number<A>>(t));
        const exp_base<A> b = exp_base<A>::of(static_cast<number<A>>(t * factor));
        const auto reduced = [](number<A> v) TARN_LAMBDA {
            constexpr number<A> least = least_normal_number<A> * number<A>(factor);
            const double large = v > -least && least > v ? 0 : static_cast<double>(v);
            return static_cast<number<A>>(simd::settled(large) * (1 / factor));
        };
        return {reduced(b.high), reduced(b.low)};
    }
    // Weights beyond are dropped, since they, or the product of one with its distance, would be denormal.
    TARN_INLINE static double furthest_of(double t) noexcept {
        constexpr double powers = simd::is_double<A> ? 955 : 118;
        std::int64_t bits;
        __builtin_memcpy(&bits, &t, sizeof bits);
        const auto above_one = static_cast<double>((bits >> 52) - 1022);
        const double left = powers - (above_one > 0 ? above_one : 0);
        constexpr double log_2 = 0.69314718055994530942;
        return t == 0 ? static_cast<double>(infinity) : (left > 0.5 ? left : 0.5) * log_2 / t;
    }
    TARN_INLINE static number<A> limited(double distance) noexcept {
        const bool inside = simd::is_double<A> || distance < 0x1.fp127;
        return inside ? -static_cast<number<A>>(distance) : -infinite<A>;
    }
    // Nearer ones have the weight 1, whose remainder could be denormal.
    TARN_INLINE static number<A> nearest_of(double t) noexcept {
        constexpr double power = simd::is_double<A> ? 0x1p-60 : 0x1p-40;
        const bool has = t > 0 && t <= (simd::is_double<A> ? 0x1p200 : 0x1p20);
        return has ? -static_cast<number<A>>(power / t) : number<A>(0);
    }
    TARN_INLINE numbers<A> weight_of(numbers<A> d) const noexcept {
        const numbers<A> w = near_weight<A>::of(exponential_, d);
        if constexpr (weights_of<A>::weight_of_one == 1)
            return w;
        else
            return w * numbers<A>(number<A>(1 / weights_of<A>::weight_of_one));
    }

    exp_weight<A, true> exponential_;
    numbers<A> furthest_, nearest_, slope_;
};

// sum exp(t x) x / sum exp(t x). A negative scale is a positive one of the elements' negatives.
template <class A> class soft_window : public window_reduction {
public:
    static constexpr int fields = 3;
    static constexpr bool has_pair = true;
    static constexpr number<A> empty = 0;
    using state = window_state<A, fields>;

    TARN_INLINE explicit soft_window(const dispatch::window_planes& c) noexcept
        : weight_(c.scale), sign_(number<A>(c.scale < 0 ? -0.0 : 0.0)) {}

    TARN_INLINE static number<A> neutral(int f) noexcept { return f == 0 ? -infinite<A> : number<A>(0); }
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        return {{x ^ sign_, numbers<A>(number<A>(1)), numbers<A>(number<A>(0))}};
    }
    // combine(lift(x), lift(y)).
    TARN_INLINE state pair(numbers<A> x, numbers<A> y, std::ptrdiff_t) const noexcept {
        const numbers<A> one(number<A>(1));
        const merged m = merge(x ^ sign_, y ^ sign_);
        return {{m.high, simd::fmadd<A>(m.weight, one, one), product<A>(m.weight, m.distance)}};
    }
    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t, std::ptrdiff_t) noexcept { return s; }
    // A greatest element of NaN makes both sums NaN.
    TARN_INLINE state combine(const state& a, const state& b) const noexcept {
        const states_by_height<A, state> by(a, b);
        const merged m = merge(a.field[0], b.field[0]);
        const numbers<A> moved = simd::fmadd<A>(m.distance, by.low(1), by.low(2));
        return {{m.high, simd::fmadd<A>(m.weight, by.low(1), by.high(1)), simd::fmadd<A>(m.weight, moved, by.high(2))}};
    }
    TARN_INLINE numbers<A> finish(const state& s, const window_scale<A>&) const noexcept {
        return simd::select<A>(s.field[1] == numbers<A>(number<A>(0)), numbers<A>(empty), value_of(s) ^ sign_);
    }
    // The result of a window with members, for a positive scale.
    TARN_INLINE static numbers<A> value_of(const state& s) noexcept {
        const numbers<A> q = below_greatest(s);
        // Added to a sum of neighbours of 0, the step keeps it from being denormal.
        const auto step = numbers<A>(number<A>(distance_weight<A>::step));
        const numbers<A> sum = (s.field[0] + (q - step)) + step;
        return simd::select<A>(q == numbers<A>(number<A>(0)), s.field[0], sum);
    }
    // a / s, the result less the greatest element.
    TARN_INLINE static numbers<A> below_greatest(const state& s) noexcept {
        const numbers<A> size = simd::max_of<A>(numbers<A>(number<A>(1)), s.field[1]); // NaN passes
        const numbers<A> a = s.field[2];
        const auto tiny = xsimd::abs(a) < size * numbers<A>(least_normal_number<A>);
        return simd::select<A>(tiny, numbers<A>(number<A>(0)), a) / size;
    }

private:
    // The greater of two, and how far and with what weight the other lies below it.
    struct merged {
        numbers<A> high, distance, weight;
    };
    TARN_INLINE merged merge(numbers<A> x, numbers<A> y) const noexcept {
        const numbers<A> high = simd::max_of<A>(y, x);
        const numbers<A> d = weight_.distance(simd::min_of<A>(x, y), high);
        const numbers<A> near = weight_.counted(d);
        return {high, near, weight_(d, near)};
    }

    distance_weight<A> weight_;
    numbers<A> sign_;
};

// The state itself.
template <class A> struct soft_state_window : soft_window<A> {
    using soft_window<A>::soft_window;
    static constexpr int kept = soft_window<A>::fields;

    TARN_INLINE static numbers<A> finish(const typename soft_window<A>::state& s, const window_scale<A>&) noexcept {
        return s.field[0];
    }
};

}}}} // namespace tarn::kernels
