// SPDX-License-Identifier: BSD-3-Clause
//
// One long row in pieces that threads share. A piece is a chunk of row_sum.hpp, so the bits are those of the row taken
// by any other kernel.
#pragma once

#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softmax_row_pieces {
    using piece = dispatch::softmax_piece<number<A>>;
    using numbers = dispatch::softmax_row_numbers<number<A>>;

    static_assert(dispatch::softmax_piece_size == chunk_size, "a piece is a chunk");

    static numbers guess(const piece& p) noexcept {
        softmax_rows_state<A> state(p.scale, false);
        guess_reference<A>(state, unit_source<A>{p.x}, p.length);
        return {state.ref.exponent, state.ref.centre, 0, 0, 0, 0, 0, false};
    }
    static numbers refer(number<A> greatest, number<A> scale) noexcept {
        const reference<A> ref = reference<A>::of_greatest(greatest, exp_base<A>::of(scale), weights_of<A>::bias);
        return {ref.exponent, ref.centre, 0, 0, 0, 0, 0, false};
    }
    static number<A> greatest(const piece& p) noexcept {
        return greatest_of_row<A>(unit_source<A>{p.x}, p.length, exp_base<A>::of(p.scale).sign());
    }
    static dispatch::softmax_piece_sum sum(const piece& p, const numbers& row) noexcept {
        const row_total<A> sum = weigh_row<A>(weight_of(p, row), unit_source<A>{p.x}, no_sink{}, p.length);
        if constexpr (simd::is_double<A>)
            return {sum.high, sum.low};
        else
            return {sum, 0.0};
    }
    static void add(numbers& row, const dispatch::softmax_piece_sum& part) noexcept {
        if constexpr (simd::is_double<A>) {
            simd::exact_sum sum = {row.sum, row.sum_low};
            simd::add_total(sum, {part.high, part.low});
            row.sum = sum.high;
            row.sum_low = sum.low;
        } else {
            row.sum += part.high;
        }
    }
    static void normalise(numbers& row) noexcept {
        row.acceptable = acceptable<A>(row.sum);
        if (!row.acceptable)
            return;
        normaliser<A> n = {};
        if constexpr (simd::is_double<A>)
            n = normaliser<A>::of({row.sum, row.sum_low});
        else
            n = normaliser<A>::of(row.sum);
        row.high = n.high;
        row.low = n.low;
        row.threshold = n.threshold;
    }
    static number<A> log(const numbers& row, number<A> scale) noexcept {
        number<A> value = 0;
        row_logs<A> logs(&value, 1, scale);
        logs.note({row.sum, {row.exponent, row.centre}}, row.acceptable);
        logs.flush();
        return value;
    }
    static void finish(const piece& p, const numbers& row) noexcept {
        const auto weight = weight_of(p, row);
        const auto scaled = normaliser<A>{row.high, row.low, row.threshold}.on();
        const auto result = [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); };
        if (p.stream) {
            map_row_to_lines<A, true>(unit_source<A>{p.x}, p.y, p.length, result);
            simd::stream_fence<A>();
        } else {
            map_row_to_lines<A, false>(unit_source<A>{p.x}, p.y, p.length, result);
        }
    }
    static void fill(const piece& p, number<A> value) noexcept { fill_row<A>(unit_sink<A>{p.y}, p.length, value); }

    static constexpr dispatch::softmax_pieces<number<A>> functions = {&guess,     &refer, &greatest, &sum, &add,
                                                                      &normalise, &log,   &finish,   &fill};

private:
    TARN_INLINE static exp_weight<A, false> weight_of(const piece& p, const numbers& row) noexcept {
        return {exp_base<A>::of(p.scale), reference<A>{row.exponent, row.centre}};
    }
};

}}}} // namespace tarn::kernels
