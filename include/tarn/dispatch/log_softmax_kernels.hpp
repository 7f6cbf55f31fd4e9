// SPDX-License-Identifier: BSD-3-Clause
//
// The log-softmax kernels of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/log_softmax_columns.hpp>
#include <tarn/kernels/log_softmax_pieces.hpp>
#include <tarn/kernels/log_softmax_rows.hpp>
#include <tarn/kernels/log_softmax_stored_rows.hpp>
#include <tarn/kernels/logaddexp.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct log_softmax_kernels {
    static constexpr dispatch::log_softmax_table<number<A>> table = {
        &log_softmax_rows<A>::run, &log_softmax_columns<A>::run,         &log_softmax_stored_rows<A>::run,
        &logaddexp<A>::run,        log_softmax_row_pieces<A>::functions, &log_softmax_row_pieces<A>::log};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(log_softmax)
