// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of adaUnPool of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/ada_pool_backward.hpp>
#include <tarn/kernels/ada_unpool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct ada_unpool_kernels {
    static constexpr dispatch::ada_unpool_table<number<A>> table = {&window_adjoint<A, ada_pool_shares<A, false>>::run,
                                                                    &unpool_gradient<A>::run_planes};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(ada_unpool)
