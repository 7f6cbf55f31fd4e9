// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient kernels of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/kernels/logsumexp_backward.hpp>
#include <tarn/kernels/softmax_backward.hpp>

namespace tarn { inline namespace v0 {

inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softmax_backward_kernels {
    static constexpr dispatch::softmax_backward_table table = {
        {&backward_rows<A, softmax_gradient<A>>::run, &backward_rows<A, log_softmax_gradient<A>>::run,
         &logsumexp_backward<A>::run_rows},
        {&backward_columns<A, softmax_gradient<A>>::run, &backward_columns<A, log_softmax_gradient<A>>::run,
         &logsumexp_backward<A>::run_columns}};
};

}} // namespace TARN_BACKEND::kernels

#if defined(TARN_KERNEL_TIER_sse2)
#define TARN_TABLE softmax_backward_table_sse2
#elif defined(TARN_KERNEL_TIER_avx2)
#define TARN_TABLE softmax_backward_table_avx2
#elif defined(TARN_KERNEL_TIER_avx512)
#define TARN_TABLE softmax_backward_table_avx512
#endif

#if defined(TARN_TABLE)
namespace dispatch {
extern const softmax_backward_table TARN_TABLE;
const softmax_backward_table TARN_TABLE = kernels::softmax_backward_kernels<simd::tier_arch>::table;
} // namespace dispatch
#undef TARN_TABLE
#endif

}} // namespace tarn
