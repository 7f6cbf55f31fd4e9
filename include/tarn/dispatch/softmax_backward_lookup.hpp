// SPDX-License-Identifier: BSD-3-Clause
//
// The tables of the softmax gradients of tarn::dispatch by tier. Included once, by a file compiled for plain x86-64.
#pragma once

#include <tarn/dispatch/softmax_backward_table.hpp>
#include <tarn/dispatch/tier.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

extern const softmax_backward_table softmax_backward_table_sse2;
extern const softmax_backward_table softmax_backward_table_avx2;
extern const softmax_backward_table softmax_backward_table_avx512;

const softmax_backward_table& softmax_backward_table_of(tier t) noexcept {
    switch (t) {
    case tier::avx512:
        return softmax_backward_table_avx512;
    case tier::avx2:
        return softmax_backward_table_avx2;
    default:
        return softmax_backward_table_sse2;
    }
}

}}} // namespace tarn::dispatch
