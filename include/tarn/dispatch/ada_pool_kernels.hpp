// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of adaPool of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/ada_pool.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct ada_pool_kernels {
    static constexpr dispatch::ada_pool_table<number<A>> table = {&ada_results<A, true>::pool,
                                                                  &ada_results<A, false>::pool};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(ada_pool)
