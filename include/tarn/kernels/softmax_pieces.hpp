// SPDX-License-Identifier: BSD-3-Clause
//
// One long row in pieces that threads share. A piece is a chunk of row_sum.hpp, so the bits are those of the row taken
// by any other kernel.
#pragma once

#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softmax_row_pieces {
    using piece = dispatch::softmax_piece;
    using numbers = dispatch::softmax_row_numbers;

    static_assert(dispatch::softmax_piece_size == chunk_size, "a piece is a chunk");

    static numbers guess(const piece& p) noexcept {
        softmax_rows_state<A> state(p.scale, false);
        guess_reference<A>(state, unit_source<A>{p.x}, p.length);
        return {state.ref.exponent, state.ref.centre, 0, 0, 0, 0, false};
    }
    static numbers refer(float greatest, float scale) noexcept {
        const reference ref =
            reference::of_greatest(greatest, exp_base::of(scale), softmax_rows_state<A>::carried_bias);
        return {ref.exponent, ref.centre, 0, 0, 0, 0, false};
    }
    static float greatest(const piece& p) noexcept {
        return greatest_of_row<A>(unit_source<A>{p.x}, p.length, exp_base::of(p.scale).sign());
    }
    static double sum(const piece& p, const numbers& row) noexcept {
        return weigh_row<A>(weight_of(p, row), unit_source<A>{p.x}, no_sink{}, p.length);
    }
    static void normalise(numbers& row, double sum) noexcept {
        const normaliser n = normaliser::of(sum);
        row.high = n.high;
        row.low = n.low;
        row.threshold = n.threshold;
        row.sum = sum;
        row.acceptable = acceptable(sum);
    }
    static float log(const numbers& row, float scale) noexcept {
        float value = 0;
        row_logs<A> logs(&value, 1, scale);
        logs.note({row.sum, {row.exponent, row.centre}}, row.acceptable);
        logs.flush();
        return value;
    }
    static void finish(const piece& p, const numbers& row) noexcept {
        const auto weight = weight_of(p, row);
        const auto scaled = normaliser{row.high, row.low, row.threshold}.template on<A>();
        const auto result = [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); };
        if (p.stream) {
            map_row_to_lines<A, true>(unit_source<A>{p.x}, p.y, p.length, result);
            simd::stream_fence<A>();
        } else {
            map_row_to_lines<A, false>(unit_source<A>{p.x}, p.y, p.length, result);
        }
    }
    static void fill(const piece& p, float value) noexcept { fill_row<A>(unit_sink<A>{p.y}, p.length, value); }

    static constexpr dispatch::softmax_pieces functions = {&guess,     &refer, &greatest, &sum,
                                                           &normalise, &log,   &finish,   &fill};

private:
    TARN_INLINE static exp_weight<A, false> weight_of(const piece& p, const numbers& row) noexcept {
        return {exp_base::of(p.scale), reference{row.exponent, row.centre}};
    }
};

}}}} // namespace tarn::kernels
