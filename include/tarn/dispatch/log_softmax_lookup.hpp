// SPDX-License-Identifier: BSD-3-Clause
//
// The log-softmax tables of tarn::dispatch by tier. Included once, by a file compiled for plain x86-64.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/dispatch/tier.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

extern const log_softmax_table log_softmax_table_sse2;
extern const log_softmax_table log_softmax_table_avx2;
extern const log_softmax_table log_softmax_table_avx512;

const log_softmax_table& log_softmax_table_of(tier t) noexcept {
    switch (t) {
    case tier::avx512:
        return log_softmax_table_avx512;
    case tier::avx2:
        return log_softmax_table_avx2;
    default:
        return log_softmax_table_sse2;
    }
}

}}} // namespace tarn::dispatch
