// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of sparse softmax and its loss of one tier as a table. Included by the three-line files of tarn::dispatch and
// by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/sparse_softmax.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct sparse_softmax_kernels {
    static constexpr dispatch::sparse_softmax_table<number<A>> table = {&sparse_softmax_rows<A>::run,
                                                                        &sparse_softmax_rows<A>::run_stored};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(sparse_softmax)
