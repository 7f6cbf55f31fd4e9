// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of any type and stride that no buffer holds: weights computed twice, nothing written in between.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softmax_stored_rows {
    static void run(const dispatch::softmax_stored<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        stored_buffer<A> in, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const auto x = any_source<A>::of(a.x, r, in);
            const auto y = any_sink<A>::of(a.y, r, out);
            optimistic_row<A>(
                state, [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, no_sink{}, a.length); },
                [&](normaliser<A> result) TARN_LAMBDA {
                    const auto scaled = result.on();
                    state.with_weight([&](const auto& weight) TARN_LAMBDA {
                        map_row<A>(x, y, 0, a.length, [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); });
                        return 0.0;
                    });
                },
                [&]() TARN_LAMBDA { careful_row<A, false>(state, x, y, a.length); });
            if (a.lse.data) {
                number<A> value = 0;
                row_logs<A> logs(&value, 1, a.scale);
                note_last(logs, state);
                logs.flush();
                transfer<A, false>(a.lse, r, &value, 1);
            }
        }
    }
};

}}}} // namespace tarn::kernels
