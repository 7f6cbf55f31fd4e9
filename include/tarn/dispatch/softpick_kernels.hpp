// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of softpick and its gradient of one tier as a table. Included by the three-line files of tarn::dispatch
// and by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/softpick_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct softpick_kernels {
    static constexpr dispatch::softpick_table<number<A>> table = {&softpick_rows<A>::run, &softpick_rows<A>::run_stored,
                                                                  &softpick_backward_kernels<A>::run,
                                                                  &softpick_backward_kernels<A>::run_stored};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(softpick)
