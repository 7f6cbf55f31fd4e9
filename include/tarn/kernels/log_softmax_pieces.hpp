// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp of one long row in pieces that threads share: the steps of log_sum.hpp.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/log_sum.hpp>
#include <tarn/kernels/pieces.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A>
struct log_softmax_row_pieces
    : weighed_pieces<A, dispatch::log_softmax_long_row<number<A>>, dispatch::log_softmax_row_numbers<number<A>>> {
    using row = dispatch::log_softmax_long_row<number<A>>;
    using numbers = dispatch::log_softmax_row_numbers<number<A>>;
    using base = weighed_pieces<A, row, numbers>;
    using base::refer;
    using base::weight_of;
    using step = dispatch::log_softmax_step;

    static piece_reading<A> read(const row& p, const numbers& n) noexcept {
        return with_sources<A>(
            p.length, [&](auto x) TARN_LAMBDA { return read_from(x, p, n); }, p.x);
    }
    static void next(numbers& n, const row& r) noexcept {
        const exp_base<A> base = exp_base<A>::of(r.scale);
        const row_total<A> sum = total_of<A>(n.reading);
        if (n.reads == step::nan) {
            const bool found = n.reading.high > 0;
            settle(n, log_sum_of_no_row<A>(n.sum, n.greatest, base, [found]() TARN_LAMBDA { return found; }));
            return;
        }
        if (n.reads == step::others) {
            const number<A> own = simd::greatest<A>(weight_of(r, n)(simd::broadcast<A>(n.greatest)));
            settle(n, {n.greatest, simd::log_of_one_plus<A>(excess_of_others<A>(sum, own)), false});
            return;
        }
        n.greatest = n.reading.greatest * base.sign();
        n.sum = n.reading.high;
        const reference<A> ref = reference<A>::of_greatest(n.greatest, base, weights_of<A>::bias);
        if (acceptable<A>(sum)) {
            const double excess = excess_of<A>(weight_of(r, n), sum, n.greatest);
            if (excess < least_excess<A>(r.length))
                refer(n, ref, step::others);
            else
                settle(n, {n.greatest, simd::log_of_one_plus<A>(excess), false});
        } else {
            refer(n, ref, n.reads == step::guessed_sum ? step::sum : step::nan);
        }
    }
    static void finish(const row& p, const numbers& n) noexcept {
        const auto result = sum_of(n).map_of(p.scale, p.empty_rows_lowest).on();
        const auto map = [&](auto y, auto x) TARN_LAMBDA { map_copied<A>(result, x, y, p.length); };
        with_results<A>(p.y, p.stream, p.length, map, p.x);
    }
    static number<A> log(const numbers& n, number<A> scale, double offset) noexcept {
        return sum_of(n).log_of_sum(scale, offset);
    }

    static constexpr dispatch::row_pieces<number<A>, row, numbers> functions = {&base::begin, &read, &base::add, &next,
                                                                                &finish};

private:
    template <class Source>
    TARN_INLINE static piece_reading<A> read_from(const Source& x, const row& p, const numbers& n) noexcept {
        if (n.reads == step::nan)
            return {has_nan<A>(x, p.length) ? 1.0 : 0.0, 0, -infinity};
        const exp_weight<A, false> weight = weight_of(p, n);
        if (n.reads == step::others)
            return reading_of<A>(sum_of_others<A>(weight, x, p.length, n.greatest));
        pack<A> greatest = simd::broadcast<A>(-infinity);
        const number<A> sign = exp_base<A>::of(p.scale).sign();
        const noting_source<A, Source> noting{x, simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f), &greatest};
        const row_total<A> sum = weigh_row<A, packs_added::singly>(weight, noting, no_sink{}, p.length);
        return reading_of<A>(sum, simd::greatest<A>(greatest));
    }
    TARN_INLINE static void settle(numbers& n, const log_sum<A>& s) noexcept {
        n.greatest = s.greatest;
        n.value = s.value;
        n.infinite = s.infinite;
        n.settled = true;
    }
    TARN_INLINE static log_sum<A> sum_of(const numbers& n) noexcept { return {n.greatest, n.value, n.infinite}; }
};

}}}} // namespace tarn::kernels
