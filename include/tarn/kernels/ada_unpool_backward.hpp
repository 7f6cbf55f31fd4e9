// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of adaUnPool in what it spreads: sums of dz with the weights of windows.
#pragma once

#include <tarn/kernels/ada_pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> class unpool_gradient {
    using similar_shares = similarity_shares<A, false>;

public:
    static constexpr int fields = 1;
    static constexpr bool reads_beside = true;

    TARN_NOINLINE static void run_planes(const dispatch::ada_unpool_gradients& c) noexcept {
        unpool_gradient gradient(c);
        whole_windows<A, unpool_gradient>::run(c.windows, gradient);
    }

    TARN_INLINE const dispatch::plane_operand& beside() const noexcept { return c_.dz; }
    TARN_INLINE void begin(const windows_of_row& row, std::ptrdiff_t at) noexcept { beta_.begin(row, at); }
    template <class Elements>
    TARN_INLINE void run(const Elements& e, numbers<A> n, numbers<A> one_by_n, std::ptrdiff_t at,
                         numbers<A>* to) const noexcept {
        const numbers<A> zero(number<A>(0));
        const numbers<A> one(number<A>(1));
        const numbers<A> beta = beta_.at(at);
        numbers<A> state[similarity_states<A, false>::fields];
        similarity_states<A, false>().run(e, n, one_by_n, at, state);
        const auto similar = similar_shares::of_state(state, beta);
        const auto rest = rest_.of(one - beta, e.reduce(rest_.windows_by));
        // In units of their own the products neither overflow nor are denormal.
        const numbers<A> size =
            e.template sum_beside<1>([](numbers<A>, numbers<A> dz, auto, auto& sum, auto first) TARN_LAMBDA {
                 sum.field[0] = decltype(first)::value ? xsimd::abs(dz) : sum.field[0] + xsimd::abs(dz);
             }).field[0];
        const auto unit = window_unit<A>::of(size);
        // What is no member has a dz of 0.
        const numbers<A> sum =
            e.template sum_beside<1>([&](numbers<A> x, numbers<A> dz, auto, auto& sums, auto first) TARN_LAMBDA {
                 const numbers<A> both = rest_.add(similar_shares::add(zero, similar, zero, {{x}}), rest, x);
                 const numbers<A> w = counted<A>(both, numbers<A>(window_unit<A>::least));
                 const numbers<A> v = unit.scaled(dz);
                 sums.field[0] = decltype(first)::value ? w * v : simd::fmadd<A>(w, v, sums.field[0]);
             }).field[0];
        to[0] = unit.original(c_.times_members ? sum * n : sum);
        if constexpr (Elements::clipped)
            to[0] = simd::select<A>(n == zero, zero, to[0]);
    }

private:
    TARN_INLINE explicit unpool_gradient(const dispatch::ada_unpool_gradients& c) noexcept
        : c_(c), beta_(c.beta), rest_(c.windows, false) {}

    const dispatch::ada_unpool_gradients& c_;
    batch_of_betas<A> beta_;
    far_rule<A> rest_;
};

}}}} // namespace tarn::kernels
