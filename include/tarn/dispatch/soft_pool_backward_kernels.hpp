// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of the gradient of SoftPool of one tier as a table. Included by the three-line files of tarn::dispatch and
// by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/soft_pool_table.hpp>
#include <tarn/kernels/soft_pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct soft_pool_backward_kernels {
    static constexpr dispatch::soft_pool_backward_table<number<A>> table = {&window_adjoint<A, soft_shares<A>>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(soft_pool_backward)
