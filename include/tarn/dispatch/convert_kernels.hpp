// SPDX-License-Identifier: BSD-3-Clause
//
// The conversion kernels of one tier as a table. Included by the three-line files of tarn::dispatch and by header-only
// calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/convert.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct convert_kernels {
    static constexpr dispatch::convert_table<number<A>> table = {&convert<A>::widen, &convert<A>::narrow};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(convert)
