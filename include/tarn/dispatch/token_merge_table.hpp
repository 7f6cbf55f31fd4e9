// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of merge plans and token merging.
#pragma once

#include <tarn/dispatch/convert_table.hpp>

#include <cstdint>

namespace tarn { inline namespace v0 {

// What becomes of the tokens of a slot.
enum class merge_mode {
    mean,  // their mean, weighted if there are sizes
    sum,   // their sum, weighted if there are sizes
    max,   // the greatest of every channel
    prune, // the token that stands for the slot; the others are dropped
};

// In which order kept tokens stand.
enum class token_order {
    official, // as its authors have it: kept tokens of even position, the most similar first (by position if there is
              // a class token), then those of odd position
    position, // as they stood
};

namespace dispatch {

// The plan of one sequence; see merge_plan_view.
struct plan_arrays {
    std::ptrdiff_t tokens, slots;
    std::int32_t *assign, *rep, *order, *offsets;
};

// The slots that first meet the tokens first..last-1 of one sequence; over all tokens every slot once. x: rows of
// tokens, y: rows of slots. sizes and slot_sizes may be null.
template <class T> struct merge_call {
    plan_arrays plan;
    std::ptrdiff_t first, last, channels;
    merge_mode mode;
    stored_rows x, y;
    const T* sizes;
    std::ptrdiff_t sizes_stride;
    T* slot_sizes;
    std::ptrdiff_t slot_sizes_stride;
    bool stream;
};

// The gradient of that. dx: of tokens; dy: of slots. x is looked at for mode max and for size gradients, y for size
// gradients of means. sizes and size_gradient may be null.
template <class T> struct merge_backward_call {
    plan_arrays plan;
    std::ptrdiff_t first, last, channels;
    merge_mode mode;
    stored_rows x, y, dy, dx;
    const T* sizes;
    std::ptrdiff_t sizes_stride;
    T* size_gradient;
    std::ptrdiff_t size_gradient_stride;
    bool stream;
};

// Bipartite matching of the tokens of one sequence: plan.tokens - plan.slots of them merge, at least one.
template <class T> struct tome_call {
    plan_arrays plan;
    stored_rows metric;
    std::ptrdiff_t width;
    bool class_token, distillation_token;
    token_order order;
    T* scratch; // tome_scratch() numbers at a 64-byte boundary; null: do without
};

// Numbers of scratch that kernels have on their stack.
template <class T> constexpr std::ptrdiff_t tome_stack = 32768 / static_cast<std::ptrdiff_t>(sizeof(T));

// Numbers of scratch: unit vectors of even tokens as rows, of odd tokens in panels of a cache line, and of one panel as
// rows.
template <class T>
TARN_INLINE constexpr std::ptrdiff_t tome_scratch(std::ptrdiff_t tokens, std::ptrdiff_t width) noexcept {
    constexpr std::ptrdiff_t line = 64 / static_cast<std::ptrdiff_t>(sizeof(T));
    const std::ptrdiff_t panels = (tokens / 2 + line - 1) / line;
    const std::ptrdiff_t rows = ((tokens + 1) / 2 * width + line - 1) / line * line;
    return rows + panels * line * (width + 1) + line * width;
}

template <class T> struct token_merge_table {
    void (*slots)(const plan_arrays&) noexcept; // order, offsets and rep from assign
    void (*apply)(const merge_call<T>&) noexcept;
    void (*spread)(const merge_call<T>&) noexcept; // x from y: tokens take what their slots have
    void (*backward)(const merge_backward_call<T>&) noexcept;
    void (*tome)(const tome_call<T>&) noexcept;
};

} // namespace dispatch
}} // namespace tarn
