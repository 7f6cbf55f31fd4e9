// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of any type and stride that no buffer holds: weights computed twice, nothing written in between.
#pragma once

#include <tarn/kernels/softmax_row.hpp>
#include <tarn/kernels/stored_blocks.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softmax_stored_rows {
    static void run(const dispatch::softmax_stored<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        block_buffer<A> in, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const auto x = block_source<A>::of(a.x, r, a.length, in);
            const auto y = block_sink<A>::of(a.y, r, a.length, out);
            optimistic_row<A>(
                state, [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, no_sink{}, a.length); },
                [&](normaliser<A> normal) TARN_LAMBDA {
                    const auto scaled = normal.on();
                    state.with_weight([&](const auto& weight) TARN_LAMBDA {
                        const auto result = [own = weight, scaled](const pack<A>& v)
                                                TARN_LAMBDA { return scaled(own(v)); };
                        map_copied<A>(result, x, y, a.length);
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
