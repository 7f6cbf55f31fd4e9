// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of merge plans and token merging of one tier as a table. Included by the three-line files of
// tarn::dispatch and by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/merge_backward.hpp>
#include <tarn/kernels/merge_rows.hpp>
#include <tarn/kernels/tome.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct token_merge_kernels {
    static constexpr dispatch::token_merge_table<number<A>> table = {
        &plan_slots<A>::run, &merge_rows<A>::run, &spread_rows<A>::run, &merge_gradients<A>::run, &tome<A>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(token_merge)
