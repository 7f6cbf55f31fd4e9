// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of token pooling and its gradient of one tier as a table. Included by the three-line files of
// tarn::dispatch and by header-only calls.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/kernels/token_pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct token_pool_kernels {
    static constexpr dispatch::token_pool_table<number<A>> table = {&token_pool<A>::run, &token_pool_backward<A>::run,
                                                                    &token_weights_backward<A>::run};
};

}}}} // namespace tarn::kernels

TARN_DEFINE_TABLES(token_pool)
