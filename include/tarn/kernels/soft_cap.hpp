// SPDX-License-Identifier: BSD-3-Clause
//
// The hyperbolic tangent, and with it the soft cap of logits.
#pragma once

#include <tarn/kernels/exp_weight.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// tanh(u), within 3 ulp for |u| of at least 2^-60 (doubles: 4 ulp, 2^-400). NaN passes.
template <class A> struct hyperbolic_tangent {
    exp_weight<A, false> exponential; // common_factor * e^(2 u)

    TARN_INLINE hyperbolic_tangent() noexcept : exponential(exp_base<A>::of(2), reference<A>{0, 0}) {}

    TARN_INLINE pack<A> operator()(const pack<A>& given) const noexcept {
        const auto all = [](double v) TARN_LAMBDA { return simd::broadcast<A>(static_cast<number<A>>(v)); };
        // Beyond 22 the results are 1 and -1.
        const pack<A> u = simd::min_of<A>(all(22), simd::max_of<A>(all(-22), given));
        // 1 - 2 / (e^2u + 1) loses digits next to 0, where the series has them.
        const pack<A> far =
            all(1) - all(2 * weights_of<A>::common_factor) / (exponential(u) + all(weights_of<A>::common_factor));
        // A product with the square of a tiny number would be denormal.
        const pack<A> w = simd::fmadd<A>(u, u, all(simd::is_double<A> ? 0x1p-60 : 0x1p-30));
        pack<A> series;
        if constexpr (simd::is_double<A>)
            series =
                polynomial(w, -0x1.0da7286bd51e4p-16, 0x1.439121acacec6p-14, -0x1.df5579d919354p-13,
                           0x1.336612ea37b4cp-11, -0x1.7d68a330d6522p-10, 0x1.d6cf280ee6223p-9, -0x1.226e162bf8751p-7,
                           0x1.664f477adaceap-6, -0x1.ba1ba1b5064b2p-5, 0x1.111111110accdp-3, -0x1.55555555554ffp-2);
        else
            series =
                polynomial(w, -0.00570498715756, 0.0206390874643, -0.0537397151849, 0.133314421999, -0.333332819421);
        const pack<A> near = simd::fmadd<A>(series * w, u, u);
        return simd::select_between<A>(u, -0.625f, 0.625f, near, far);
    }

    // Its derivative 1 - tanh(u)^2, within 4 ulp, or 0 below 2^-118 (doubles: 2^-957).
    TARN_INLINE pack<A> slope(const pack<A>& u) const noexcept {
        const auto all = [](double v) TARN_LAMBDA { return simd::broadcast<A>(static_cast<number<A>>(v)); };
        // 4 e / (1 + e)^2, e = exp(-2 |u|), with the common factor in e.
        const pack<A> e = exponential(all(0) - simd::magnitude<A>(u));
        const pack<A> sum = e + all(weights_of<A>::common_factor);
        return e / sum * (all(4 * weights_of<A>::common_factor) / sum);
    }

private:
    template <class... Rest>
    TARN_INLINE static pack<A> polynomial(const pack<A>& w, double first, Rest... rest) noexcept {
        pack<A> r = simd::broadcast<A>(static_cast<number<A>>(first));
        ((r = simd::fmadd<A>(r, w, simd::broadcast<A>(static_cast<number<A>>(rest)))), ...);
        return r;
    }
};

}}}} // namespace tarn::kernels
