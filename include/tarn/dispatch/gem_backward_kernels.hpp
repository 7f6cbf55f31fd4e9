// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of the gradients of generalized means of one tier as a table. Included by the three-line files of
// tarn::dispatch and by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/gem_table.hpp>
#include <tarn/kernels/gem_backward.hpp>
#include <tarn/kernels/gem_quick_shares.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct gem_backward_kernels {
    static constexpr dispatch::gem_backward_table<number<A>> table = {
        &window_adjoint<A, extreme_shares<A, gem_extreme_index<A>>>::run,
        {&window_adjoint<A, gem_integer_shares<A, 2>>::run, &window_adjoint<A, gem_integer_shares<A, 3>>::run,
         &window_adjoint<A, gem_integer_shares<A, 4>>::run},
        &window_adjoint<A, std::conditional_t<simd::is_double<A>, gem_shares<A>, gem_quick_shares<A>>>::run,
        &window_adjoint<A, gem_shares<A>>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(gem_backward)
