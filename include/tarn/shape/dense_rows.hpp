// SPDX-License-Identifier: BSD-3-Clause
//
// Calls on a few numbers: operands that are one dense block of rows need no plan, and their ranks are known to the
// compiler.
#pragma once

#include <tarn/tensor_view.hpp>

#include <cstdint>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

struct dense_rows {
    std::ptrdiff_t rows, columns; // columns 0: not such a block

    // x and y as rows along the last axis, one after the other without gaps, up to `most` elements, apart or the same.
    // Says yes only where no check of the boundary would complain.
    template <class T, class U, int Rank>
    TARN_INLINE static dense_rows of(const tensor_view<T, Rank>& x, const tensor_view<U, Rank>& y, int axis,
                                     std::ptrdiff_t most) noexcept {
        std::ptrdiff_t size = 1;
        bool good = Rank > 0 && (axis == -1 || axis == Rank - 1) && x.data && y.data;
        for (int i = Rank - 1; i >= 0 && good; --i) {
            const std::ptrdiff_t extent = x.extent[i];
            good = extent == y.extent[i] && extent > 0 && extent <= most && x.stride[i] == size && y.stride[i] == size;
            size *= good ? extent : 1;
            good = good && size <= most;
        }
        const auto from = reinterpret_cast<std::uintptr_t>(x.data);
        const auto to = reinterpret_cast<std::uintptr_t>(y.data);
        const auto bytes = static_cast<std::uintptr_t>(size) * (sizeof(T) > sizeof(U) ? sizeof(T) : sizeof(U));
        const bool apart = (from > to ? from - to : to - from) >= bytes;
        const bool same = from == to && sizeof(T) == sizeof(U);
        if (!good || !(apart || same))
            return {0, 0};
        const std::ptrdiff_t columns = x.extent[Rank > 0 ? Rank - 1 : 0];
        return {size / columns, columns};
    }
};

}}}} // namespace tarn::shape
