// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of one long row in pieces that threads share: a sum with a guessed reference, and if that was wrong the
// greatest logit and a sum with its reference.
#pragma once

#include <tarn/kernels/pieces.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A>
struct softmax_row_pieces
    : weighed_pieces<A, dispatch::softmax_long_row<number<A>>, dispatch::softmax_row_numbers<number<A>>> {
    using row = dispatch::softmax_long_row<number<A>>;
    using numbers = dispatch::softmax_row_numbers<number<A>>;
    using base = weighed_pieces<A, row, numbers>;
    using base::refer;
    using base::weight_of;
    using step = dispatch::softmax_step;

    static piece_reading<A> read(const row& p, const numbers& n) noexcept {
        if (n.reads == step::greatest) {
            const number<A> sign = exp_base<A>::of(p.scale).sign();
            const auto greatest = [&](auto x) TARN_LAMBDA { return greatest_of_row<A>(x, p.length, sign); };
            return {0, 0, sign * with_sources<A>(p.length, greatest, p.x)};
        }
        const exp_weight<A, false> weight = weight_of(p, n);
        const auto sum = [&](auto x) TARN_LAMBDA { return weigh_row<A>(weight, x, no_sink{}, p.length); };
        return reading_of<A>(with_sources<A>(p.length, sum, p.x));
    }
    static void next(numbers& n, const row& r) noexcept {
        if (n.reads == step::greatest) {
            const exp_base<A> base = exp_base<A>::of(r.scale);
            refer(n, reference<A>::of_greatest(n.reading.greatest * base.sign(), base, weights_of<A>::bias), step::sum);
            return;
        }
        n.acceptable = acceptable<A>(n.reading.high);
        n.settled = n.acceptable || n.reads == step::sum;
        n.reads = step::greatest;
        if (n.acceptable) {
            const auto result = normaliser<A>::of(total_of<A>(n.reading));
            n.high = result.high;
            n.low = result.low;
            n.threshold = result.threshold;
        }
    }
    static void finish(const row& p, const numbers& n) noexcept {
        if (!n.acceptable) {
            const number<A> value = n.reading.high == 0 && p.zero_empty_rows ? 0.0f : __builtin_nanf("");
            const auto fill = [&](auto y, auto) TARN_LAMBDA { fill_row<A>(y, p.length, value); };
            with_results<A>(p.y, p.stream, p.length, fill, p.x);
            return;
        }
        const auto weight = weight_of(p, n);
        const auto scaled = normaliser<A>{n.high, n.low, n.threshold}.on();
        const auto result = [weight, scaled](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); };
        const auto map = [&](auto y, auto x) TARN_LAMBDA { map_copied<A>(result, x, y, p.length); };
        with_results<A>(p.y, p.stream, p.length, map, p.x);
    }
    static number<A> log(const numbers& n, number<A> scale) noexcept {
        number<A> value = 0;
        row_logs<A> logs(&value, 1, scale);
        logs.note({n.reading.high, {n.exponent, n.centre}}, n.acceptable);
        logs.flush();
        return value;
    }

    static constexpr dispatch::row_pieces<number<A>, row, numbers> functions = {&base::begin, &read, &base::add, &next,
                                                                                &finish};
};

}}}} // namespace tarn::kernels
