// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of the gradient of masked softmax of one tier as a table. Included by the three-line files of
// tarn::dispatch and by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/masked_softmax_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct masked_softmax_backward_kernels {
    static constexpr dispatch::masked_softmax_backward_table<number<A>> table = {&masked_backward_rows<A>::run,
                                                                                 &masked_backward_stored_rows<A>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(masked_softmax_backward)
