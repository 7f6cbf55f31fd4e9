// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of SoftPool of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/soft_pool_table.hpp>
#include <tarn/kernels/soft_sums.hpp>
#include <tarn/kernels/pooled_windows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct soft_pool_kernels {
    static constexpr dispatch::soft_pool_table<number<A>> table = {&pooled_windows<A, soft_pool_window<A>>};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(soft_pool)
