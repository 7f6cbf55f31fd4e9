// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of generalized means of one tier as a table. Included by the three-line files of tarn::dispatch and by
// header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/gem_table.hpp>
#include <tarn/kernels/gem.hpp>
#include <tarn/kernels/window_lines.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct gem_kernels {
    static constexpr dispatch::gem_table<number<A>> table = {
        &window_lines<A, gem_extreme<A>>::run,
        &window_lines<A, gem_logs<A>>::run,
        {&window_lines<A, gem_powers_of<A, gem_integer_powers<A, 2>>>::run,
         &window_lines<A, gem_powers_of<A, gem_integer_powers<A, 3>>>::run,
         &window_lines<A, gem_powers_of<A, gem_integer_powers<A, 4>>>::run},
        &window_lines<A, gem_powers_of<A, gem_quick_powers<A>>>::run,
        &window_lines<A, gem_powers_of<A, gem_powers<A>>>::run,
        &window_lines<A, gem_scaled_powers<A>>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(gem)
