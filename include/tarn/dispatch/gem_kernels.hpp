// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of generalized means of one tier as a table. Included by the three-line files of tarn::dispatch and by
// header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/gem_table.hpp>
#include <tarn/kernels/gem.hpp>
#include <tarn/kernels/pooled_windows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct gem_kernels {
    static constexpr dispatch::gem_table<number<A>> table = {
        &pooled_windows<A, gem_extreme<A>>,
        &pooled_windows<A, gem_logs<A>>,
        {&pooled_windows<A, gem_powers_of<A, gem_integer_powers<A, 2>>>,
         &pooled_windows<A, gem_powers_of<A, gem_integer_powers<A, 3>>>,
         &pooled_windows<A, gem_powers_of<A, gem_integer_powers<A, 4>>>},
        &pooled_windows<A, gem_powers_of<A, gem_quick_powers<A>>>,
        &pooled_windows<A, gem_powers_of<A, gem_powers<A>>>,
        &pooled_windows<A, gem_scaled_powers<A>>};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(gem)
