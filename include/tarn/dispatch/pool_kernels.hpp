// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of max and average pooling of one tier as a table. Included by the three-line files of tarn::dispatch and
// by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/pool.hpp>
#include <tarn/kernels/pooled_windows.hpp>
#include <tarn/simd/at_most_avx2.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct pool_kernels {
    // To compare or add takes no longer than to load, and of loads of 64 bytes most lie in two cache lines.
    using B = simd::at_most_avx2<A>;
    static constexpr dispatch::pool_table<number<A>> table = {
        &pooled_windows<B, max_window<B>>, &pooled_windows<A, max_index_window<A>>,
        &pooled_windows<B, average_window<B>>, &pooled_windows<A, exact_average_window<A>>};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(pool)
