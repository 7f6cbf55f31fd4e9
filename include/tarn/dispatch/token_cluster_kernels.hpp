// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of clusters of tokens of one tier as a table. Included by the three-line files of tarn::dispatch and by
// header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/k_means.hpp>
#include <tarn/kernels/k_medoids.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct token_cluster_kernels {
    static constexpr dispatch::token_cluster_table<number<A>> table = {&k_means<A>::run, &k_medoids<A>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(token_cluster)
