// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of the gradients of adaPool of one tier as a table. Included by the three-line files of tarn::dispatch and
// by header-only calls.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/ada_pool_backward.hpp>
#include <tarn/kernels/beta_gradient.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct ada_pool_backward_kernels {
    static constexpr dispatch::ada_pool_backward_table<number<A>> table = {
        &window_adjoint<A, ada_pool_shares<A, true>>::run, &window_adjoint<A, edscw_shares<A>>::run,
        &beta_gradient<A>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(ada_pool_backward)
