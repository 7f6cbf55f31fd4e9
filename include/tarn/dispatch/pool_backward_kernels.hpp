// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of the gradients of max and average pooling of one tier as a table. Included by the three-line files of
// tarn::dispatch and by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct pool_backward_kernels {
    static constexpr dispatch::pool_backward_table<number<A>> table = {
        &window_adjoint<A, extreme_shares<A, max_index_window<A>>>::run, &window_adjoint<A, average_shares<A>>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(pool_backward)
