// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of top_k and its softmax.
#pragma once

#include <tarn/dispatch/convert_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// An element on its way into the result.
template <class T> struct candidate {
    T value;
    std::ptrdiff_t index;
};

// What selecting up to `most` elements at once takes: twice as many candidates and a few, as many for sorting them, and
// a number for each of twice as many groups of elements.
template <class T> TARN_INLINE constexpr std::ptrdiff_t most_candidates(std::ptrdiff_t most) {
    return 2 * most + 256 / static_cast<std::ptrdiff_t>(sizeof(T));
}
template <class T> TARN_INLINE constexpr std::ptrdiff_t most_groups(std::ptrdiff_t most) {
    constexpr auto four_packs = 256 / static_cast<std::ptrdiff_t>(sizeof(T));
    return (2 * most + four_packs - 1) / four_packs * four_packs;
}
template <class T> TARN_INLINE constexpr std::ptrdiff_t selection_scratch(std::ptrdiff_t most) {
    return 2 * most_candidates<T>(most) * static_cast<std::ptrdiff_t>(sizeof(candidate<T>) / sizeof(T)) +
           most_groups<T>(most);
}
// The stack has room for so many (23 KB). More are selected round by round, or at once in scratch.
constexpr std::ptrdiff_t selected_on_stack = 256;
constexpr std::ptrdiff_t selected_in_scratch = 32768;

template <class T> struct top_k_rows {
    stored_rows x; // for `rows` numbers side by side
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t k;
    stored_rows values, indices; // data null: not wanted
    bool softmax;                // values are softmax's; otherwise the elements
    T scale;
    bool zero_empty_rows;
    T* scratch; // selection_scratch() numbers for `scratch_most` elements, or null
    std::ptrdiff_t scratch_most;
};

template <class T> struct top_k_table {
    void (*rows)(const top_k_rows<T>&) noexcept;
    void (*stored)(const top_k_rows<T>&) noexcept; // rows of any type and stride, read where they are
};

}}} // namespace tarn::dispatch
