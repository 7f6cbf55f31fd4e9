// SPDX-License-Identifier: BSD-3-Clause
//
// The log-softmax kernels of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/kernels/log_softmax_columns.hpp>
#include <tarn/kernels/log_softmax_rows.hpp>
#include <tarn/kernels/logaddexp.hpp>

namespace tarn { inline namespace v0 {

inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct log_softmax_kernels {
    static constexpr dispatch::log_softmax_table table = {&log_softmax_rows<A>::run, &log_softmax_columns<A>::run,
                                                          &logaddexp<A>::run};
};

}} // namespace TARN_BACKEND::kernels

#if defined(TARN_KERNEL_TIER_sse2)
#define TARN_TABLE log_softmax_table_sse2
#elif defined(TARN_KERNEL_TIER_avx2)
#define TARN_TABLE log_softmax_table_avx2
#elif defined(TARN_KERNEL_TIER_avx512)
#define TARN_TABLE log_softmax_table_avx512
#endif

#if defined(TARN_TABLE)
namespace dispatch {
extern const log_softmax_table TARN_TABLE;
const log_softmax_table TARN_TABLE = kernels::log_softmax_kernels<simd::tier_arch>::table;
} // namespace dispatch
#undef TARN_TABLE
#endif

}} // namespace tarn
