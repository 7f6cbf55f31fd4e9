// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient kernels of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/logaddexp_backward.hpp>
#include <tarn/kernels/logsumexp_backward.hpp>
#include <tarn/kernels/softmax_backward.hpp>
#include <tarn/kernels/softmax_backward_pieces.hpp>
#include <tarn/kernels/softmax_backward_stored.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softmax_backward_kernels {
    static constexpr dispatch::softmax_backward_table<number<A>> table = {
        {&backward_rows<A, softmax_gradient<A>>::run, &backward_rows<A, log_softmax_gradient<A>>::run,
         &logsumexp_backward<A>::run_rows},
        {&backward_columns<A, softmax_gradient<A>>::run, &backward_columns<A, log_softmax_gradient<A>>::run,
         &logsumexp_backward<A>::run_columns},
        {&backward_stored_rows<A, softmax_gradient<A>>::run, &backward_stored_rows<A, log_softmax_gradient<A>>::run,
         nullptr},
        {backward_row_pieces<A, softmax_gradient<A>>::functions,
         backward_row_pieces<A, log_softmax_gradient<A>>::functions, logsumexp_backward_pieces<A>::functions},
        &logaddexp_backward<A>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(softmax_backward)
