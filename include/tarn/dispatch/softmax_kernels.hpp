// SPDX-License-Identifier: BSD-3-Clause
//
// The softmax kernels of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/softmax_columns.hpp>
#include <tarn/kernels/softmax_pieces.hpp>
#include <tarn/kernels/softmax_rows.hpp>
#include <tarn/kernels/softmax_short_rows.hpp>
#include <tarn/kernels/softmax_stored_rows.hpp>
#include <tarn/kernels/softmax_streams.hpp>
#include <tarn/kernels/softmax_two_reads.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Rows that no cache holds. Registers of 16 bytes take longer for an exponential than memory for a weight, which is
// written and read again.
template <class A>
using rows_beyond_caches =
    std::conditional_t<sizeof(simd::numbers<A>) == 16, cached_rows<A>, two_read_rows<A, guessed_sum>>;

// A table's entries in the order of dispatch::row_kernel.
template <class A> struct softmax_kernels {
    static constexpr dispatch::softmax_table<number<A>> table = {
        {&short_rows<A>::run, &cached_rows<A>::run, &buffered_rows<A>::run, &rows_beyond_caches<A>::run,
         &two_read_rows<A, extended_sum>::run, &two_read_rows<A, online_sum>::run, &three_pass_rows<A, false>::run,
         &three_pass_rows<A, true>::run},
        &softmax_columns<A>::run,
        &softmax_stored_rows<A>::run,
        softmax_row_pieces<A>::functions,
        &softmax_row_pieces<A>::log,
    };
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(softmax)
