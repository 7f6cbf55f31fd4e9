// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of the online softmax state of one tier as a table. Included by the three-line files of tarn::dispatch
// and by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/softmax_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softmax_state_kernels {
    static constexpr dispatch::softmax_state_table<number<A>> table = {
        &softmax_state<A>::push, &softmax_state<A>::merge, &softmax_state<A>::read};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(softmax_state)
