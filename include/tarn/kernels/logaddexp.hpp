// SPDX-License-Identifier: BSD-3-Clause
//
// log(e^a + e^b) = max(a, b) + log(1 + e^-|a - b|), the second term in double.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/exp_weight.hpp>
#include <tarn/kernels/row_maps.hpp>
#include <tarn/simd/log.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct logaddexp {
    // The results of a row, as a source of packs.
    struct results {
        const exp_weight<A, true>& weight;
        const number<A>* a;
        const number<A>* b;

        TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept {
            return of(simd::load<A>(a + i), simd::load<A>(b + i));
        }
        TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
            return of(simd::load_first<A>(a + i, n), simd::load_first<A>(b + i, n));
        }
        TARN_INLINE void prefetch(std::ptrdiff_t) const noexcept {}

    private:
        TARN_INLINE pack<A> of(const pack<A>& p, const pack<A>& q) const noexcept {
            const pack<A> zero = simd::broadcast<A>(0);
            // Equal infinities have no difference.
            const pack<A> apart = simd::select_equal<A>(p, q, zero, simd::magnitude<A>(p - q));
            auto sum = simd::double_pack<A>::of(weight(zero - apart));
            simd::unroll<simd::double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
                auto& part = sum.part[decltype(i)::value];
                part = simd::log_of_one_plus_share<A>(part, weights_of<A>::common_factor);
            });
            sum.add(simd::double_pack<A>::of(simd::max_of<A>(p, q)));
            return sum.to_numbers();
        }
    };

    static void run(const dispatch::logaddexp_call<number<A>>& c) noexcept {
        const exp_weight<A, true> weight(exp_base<A>::of(1), reference<A>{0, 0});
        for (std::ptrdiff_t r = 0; r < c.rows; ++r)
            map_row<A>(results{weight, c.a + r * c.a_stride, c.b + r * c.b_stride}, unit_sink<A>{c.y + r * c.y_stride},
                       0, c.length, [](const pack<A>& v) TARN_LAMBDA { return v; });
    }
};

}}}} // namespace tarn::kernels
