// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp of rows of any type and stride that no buffer holds.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/log_sum.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct log_softmax_stored_rows {
    static void run(const dispatch::log_softmax_stored<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        stored_buffer<A> in, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const auto x = any_source<A>::of(a.x, r, in);
            const log_sum<A> s = log_sum_of_row<A>(state, x, a.length, nothing_beside{});
            if (a.lse.data) {
                number<A> value = s.log_of_sum(a.scale, a.lse_offset);
                transfer<A, false>(a.lse, r, &value, 1);
            }
            if (a.y.data)
                map_row<A>(x, any_sink<A>::of(a.y, r, out), 0, a.length, s.map_of(a.scale, a.empty_rows_lowest).on());
        }
    }
};

}}}} // namespace tarn::kernels
