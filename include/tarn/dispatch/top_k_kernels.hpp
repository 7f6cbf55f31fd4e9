// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of top_k and softmax_top_k of one tier as a table. Included by the three-line files of tarn::dispatch and
// by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/top_k.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct top_k_kernels {
    static constexpr dispatch::top_k_table<number<A>> table = {&top_k_rows<A>::run, &top_k_rows<A>::run_stored};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(top_k)
