// SPDX-License-Identifier: BSD-3-Clause
//
// Indices in the order of something that is known of each.
#pragma once

#include <tarn/config.hpp>

#include <cstddef>
#include <cstdint>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Sorts n indices: a merge sort of runs that grow. before(a, b): whether a must stand before b; if neither must, both
// keep their order. `spare` has room for as many. Returns the list, which is one of the two.
template <class F>
TARN_INLINE std::int32_t* sort_indices(std::int32_t* list, std::int32_t* spare, std::ptrdiff_t n,
                                       const F& before) noexcept {
    std::int32_t* from = list;
    std::int32_t* to = spare;
    for (std::ptrdiff_t run = 1; run < n; run *= 2) {
        for (std::ptrdiff_t begin = 0; begin < n; begin += 2 * run) {
            std::ptrdiff_t i = begin;
            std::ptrdiff_t j = begin + run < n ? begin + run : n;
            const std::ptrdiff_t middle = j;
            const std::ptrdiff_t end = begin + 2 * run < n ? begin + 2 * run : n;
            std::ptrdiff_t k = begin;
            while (i < middle && j < end) {
                const bool later = before(from[j], from[i]);
                to[k++] = later ? from[j] : from[i];
                j += later;
                i += !later;
            }
            while (i < middle)
                to[k++] = from[i++];
            while (j < end)
                to[k++] = from[j++];
        }
        std::int32_t* const other = from;
        from = to;
        to = other;
    }
    return from;
}

}}}} // namespace tarn::kernels
