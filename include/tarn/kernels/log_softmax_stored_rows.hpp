// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp of rows of any type and stride that no buffer holds.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/log_sum.hpp>
#include <tarn/kernels/stored_blocks.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct log_softmax_stored_rows {
    static void run(const dispatch::log_softmax_stored<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        block_buffer<A> in, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const auto x = block_source<A>::of(a.x, r, a.length, in);
            const log_sum<A> s = log_sum_of_row<A>(state, x, a.length, nothing_beside{});
            if (a.lse.data) {
                number<A> value = s.log_of_sum(a.scale, a.lse_offset);
                transfer<A, false>(a.lse, r, &value, 1);
            }
            if (a.y.data)
                map_copied<A>(s.map_of(a.scale, a.empty_rows_lowest).on(), x, block_sink<A>::of(a.y, r, a.length, out),
                              a.length);
        }
    }
};

}}}} // namespace tarn::kernels
