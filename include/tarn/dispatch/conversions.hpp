// SPDX-License-Identifier: BSD-3-Clause
//
// Where operators find the conversion kernels of a tier.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/dispatch/tier.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/convert_kernels.hpp>
#endif

namespace tarn { inline namespace v0 {

#if defined(TARN_DISPATCH)
namespace dispatch {
const convert_table& convert_table_of(tier t) noexcept;
}
#endif

inline namespace TARN_BACKEND { namespace shape {

TARN_INLINE const dispatch::convert_table& convert_kernels_of([[maybe_unused]] tier t) noexcept {
#if defined(TARN_DISPATCH)
    return dispatch::convert_table_of(t);
#else
    return kernels::convert_kernels<simd::tier_arch>::table;
#endif
}

}} // namespace TARN_BACKEND::shape
}} // namespace tarn
