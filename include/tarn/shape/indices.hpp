// SPDX-License-Identifier: BSD-3-Clause
//
// Operands of integers, without their types.
#pragma once

#include <tarn/indices.hpp>
#include <tarn/shape/checks.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

template <class T, int Rank> TARN_INLINE operand erase_indices(const tensor_view<T, Rank>& v) noexcept {
    operand r{v.data, sizeof(T) == 8 ? element::int64 : element::int32, Rank, {}, {}};
    for (int i = 0; i < Rank; ++i) {
        r.extent[i] = v.extent[i];
        r.stride[i] = v.stride[i];
    }
    return r;
}

template <class Offsets> TARN_INLINE operand erase_offsets(const Offsets& offsets) noexcept {
    const auto v = detail::input_view(offsets);
    static_assert(decltype(v)::rank == 1, "tarn: offsets have rank 1");
    return erase_indices(v);
}

// The integer so many elements from the first.
TARN_INLINE std::int64_t index_at(const operand& v, std::ptrdiff_t elements) noexcept {
    const char* const p = static_cast<const char*>(v.data) + elements * element_size(v);
    std::int32_t narrow = 0;
    std::int64_t wide = 0;
    if (v.type == element::int64)
        __builtin_memcpy(&wide, p, sizeof wide);
    else
        __builtin_memcpy(&narrow, p, sizeof narrow);
    return v.type == element::int64 ? wide : narrow;
}

}}}} // namespace tarn::shape
