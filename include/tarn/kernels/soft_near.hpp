// SPDX-License-Identifier: BSD-3-Clause
//
// Windows for the gradient of SoftPool. Elements near 0 have weights e = exp(t x), times a constant, that do not depend on
// a window: with the sums s of these and a of e t x over a window, t y = a / s. Windows with other elements have NaN for s;
// they are left to soft_window.
#pragma once

#include <tarn/kernels/soft_sums.hpp>
#include <tarn/kernels/window_shares.hpp>
#include <tarn/simd/settled.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Weights of elements with |t x| up to 16: 2^-47 to 1.
template <class A> class near_weights {
    using range = soft_range<number<A>>;

public:
    TARN_INLINE explicit near_weights(double scale) noexcept
        : exponential_(base_of(scale), reference<A>{24, 0}), scale_(number_of(scale)), least_(least_of(scale)),
          greatest_(greatest_of(scale)) {}

    // e and e t x, NaN and 0 for other elements; and x itself.
    TARN_INLINE element_numbers<A, 3> of(numbers<A> x) const noexcept {
        const numbers<A> zero(number<A>(0));
        const numbers<A> size = xsimd::abs(x);
        const auto inside = size <= greatest_;
        // Smaller logits are nothing beside 1.
        const numbers<A> near = simd::select<A>(inside & (size >= least_), x, zero);
        const numbers<A> e = near_weight<A>::of(exponential_, near);
        return {{simd::select<A>(inside, e, numbers<A>(not_a_number)), product<A>(e, product<A>(scale_, near)), x}};
    }

private:
    static constexpr number<A> not_a_number = static_cast<number<A>>(__builtin_nanf(""));
    static constexpr double least_logit = simd::is_double<A> ? 0x1p-55 : 0x1p-26;

    TARN_INLINE static double magnitude(double t) noexcept { return t < 0 ? -t : t; }
    // Below the least scale all weights are 1.
    TARN_INLINE static bool counts(double scale) noexcept { return magnitude(scale) >= range::least_scale; }
    TARN_INLINE static exp_base<A> base_of(double scale) noexcept {
        return counts(scale) ? exp_base<A>::of(number_of(scale)) : exp_base<A>{0, 0};
    }
    // Settled, since compilers convert before they choose.
    TARN_INLINE static number<A> number_of(double scale) noexcept {
        return static_cast<number<A>>(simd::settled(counts(scale) ? scale : 0.0));
    }
    TARN_INLINE static number<A> least_of(double scale) noexcept {
        constexpr auto normal = static_cast<double>(least_normal_number<A>);
        constexpr auto greatest = static_cast<double>(range::greatest);
        const double least = counts(scale) ? least_logit / magnitude(scale) : 2 * greatest;
        const double inside = simd::settled(least < normal ? normal : least > greatest ? greatest : least);
        return least > greatest ? infinite<A> : static_cast<number<A>>(inside);
    }
    TARN_INLINE static number<A> greatest_of(double scale) noexcept {
        const bool bounded = magnitude(scale) * static_cast<double>(range::greatest) > 16;
        return bounded ? static_cast<number<A>>(16 / magnitude(scale)) : range::greatest;
    }

    exp_weight<A, true> exponential_;
    numbers<A> scale_, least_, greatest_;
};

template <class A> class near_window : public soft_sum_window<A, 2> {
public:
    using typename soft_sum_window<A, 2>::state;
    static constexpr int kept = 2;

    TARN_INLINE explicit near_window(const dispatch::window_planes& c) noexcept : weights_(c.scale) {}

    TARN_INLINE static number<A> neutral(int) noexcept { return 0; }
    TARN_INLINE element_numbers<A, 3> numbers_of(numbers<A> x) const noexcept { return weights_.of(x); }
    TARN_INLINE static state of(const element_numbers<A, 3>& e) noexcept { return {{e.number[0], e.number[1]}}; }
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept { return of(numbers_of(x)); }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        return {{a.field[0] + b.field[0], a.field[1] + b.field[1]}};
    }
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>&) noexcept { return s.field[0]; }

private:
    near_weights<A> weights_;
};

}}}} // namespace tarn::kernels
