// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of log(e^a + e^b): the shares of both in the sum, times dy. The greater one's share is 1 / (1 + w) and
// the other's w / (1 + w) with w = e^-|a - b|, so neither cancels.
#pragma once

#include <tarn/dispatch/softmax_backward_table.hpp>
#include <tarn/kernels/exp_weight.hpp>
#include <tarn/kernels/row_maps.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> class logaddexp_backward {
public:
    static void run(const dispatch::logaddexp_gradient_call<number<A>>& c) noexcept {
        const dropping_weight<A> weight(exp_base<A>::of(1), reference<A>{0, 0});
        for (std::ptrdiff_t r = 0; r < c.rows; ++r) {
            const unit_source<A> a{c.a + r * c.a_stride}, b{c.b + r * c.b_stride}, dy{c.dy + r * c.dy_stride};
            number<A>* const da = c.da ? c.da + r * c.da_stride : nullptr;
            number<A>* const db = c.db ? c.db + r * c.db_stride : nullptr;
            std::ptrdiff_t i = 0;
            for (; i + lanes<A> <= c.length; i += lanes<A>) {
                const both g = of(weight, a.at(i), b.at(i), dy.at(i));
                if (da)
                    unit_sink<A>{da}.put(i, g.a);
                if (db)
                    unit_sink<A>{db}.put(i, g.b);
            }
            if (i < c.length) {
                const int n = static_cast<int>(c.length - i);
                const both g = of(weight, a.first(i, n), b.first(i, n), dy.first(i, n));
                if (da)
                    unit_sink<A>{da}.put_first(i, g.a, n);
                if (db)
                    unit_sink<A>{db}.put_first(i, g.b, n);
            }
        }
    }

private:
    struct both {
        pack<A> a, b;
    };
    TARN_INLINE static both of(const dropping_weight<A>& weight, const pack<A>& a, const pack<A>& b,
                               const pack<A>& dy) noexcept {
        const pack<A> zero = simd::broadcast<A>(0);
        const pack<A> one = simd::broadcast<A>(static_cast<number<A>>(weights_of<A>::weight_of_one));
        const pack<A> greater = simd::max_of<A>(a, b);
        const pack<A> difference = a - b;
        // Equal infinities have no difference.
        const pack<A> apart = simd::select_equal<A>(a, b, zero, simd::magnitude<A>(difference));
        // What the difference lost by rounding counts as much as itself; where w vanishes there may be no such number.
        const pack<A> other = difference - a;
        const pack<A> lost = (a - (difference - other)) - (b + other);
        const pack<A> rest =
            simd::select_between<A>(apart, 0, 1000, simd::select_equal<A>(a, greater, zero - lost, lost), zero);
        pack<A> less = simd::each<A>([&](numbers<A> v) TARN_LAMBDA { return weight(v); }, zero - apart);
        less = less * (simd::broadcast<A>(1) + rest);
        const pack<A> sum = one + less;
        return {dy * (simd::select_equal<A>(a, greater, one, less) / sum),
                dy * (simd::select_equal<A>(b, greater, one, less) / sum)};
    }
};

}}}} // namespace tarn::kernels
