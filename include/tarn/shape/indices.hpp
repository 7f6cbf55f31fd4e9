// SPDX-License-Identifier: BSD-3-Clause
//
// Operands of indices: integers of 32 or 64 bits.
#pragma once

#include <tarn/shape/checks.hpp>

#include <cstdint>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

template <class Indices, class Output, bool Viewable> TARN_INLINE constexpr void assert_indices() {
    using type = typename Indices::value_type;
    static_assert(!Viewable || (std::is_integral<type>::value && std::is_signed<type>::value &&
                                (sizeof(type) == 4 || sizeof(type) == 8)),
                  "tarn: indices are std::int32_t or std::int64_t");
    static_assert(!Viewable || Indices::rank == Output::rank, "tarn: indices have the rank of the output");
}

// The view with elements of the same size in place of its integers.
template <class T, int Rank> TARN_INLINE operand erase_indices(const tensor_view<T, Rank>& v) noexcept {
    operand r{v.data, sizeof(T) == 8 ? element::float64 : element::float32, Rank, {}, {}};
    for (int i = 0; i < Rank; ++i) {
        r.extent[i] = v.extent[i];
        r.stride[i] = v.stride[i];
    }
    return r;
}

}}}} // namespace tarn::shape
