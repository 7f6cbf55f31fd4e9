// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels that reduce windows.
#pragma once

#include <tarn/element.hpp>

#include <cstddef>

namespace tarn { inline namespace v0 { namespace dispatch {

constexpr int window_axes = 3;

// Windows along one axis: number i has its taps at i * stride - before + t * dilation, t = 0 .. kernel - 1, of which
// those in 0 .. in - 1 are its members.
struct window_axis {
    std::ptrdiff_t in = 1, out = 1;
    std::ptrdiff_t kernel = 1, stride = 1, dilation = 1;
    std::ptrdiff_t before = 0, after = 0; // padding
};

// Elements of an operand along the axes of windows, depth, height and width; columns are `lanes` elements side by side,
// or one.
struct plane_operand {
    void* data;
    element type;
    std::ptrdiff_t step[window_axes];
    std::ptrdiff_t across; // from plane to plane
};

// state: what kernels keep of a window as numbers of their type, the greatest's tap or all that a result is made of.
enum class index_kind { int32, int64, state };

struct index_operand {
    void* data = nullptr; // null: none
    index_kind kind = index_kind::int32;
    std::ptrdiff_t step[window_axes] = {};
    std::ptrdiff_t across = 0;
    std::ptrdiff_t along = 0; // from lane to lane
    std::ptrdiff_t first = 0; // of the first window of the first plane
    std::ptrdiff_t field = 0; // from one number of a state to the next
};

// What an average divides by.
struct window_divisor {
    bool count_padding = false;
    double fixed = 0; // 0: the number of members
};

// What a generalized mean is of: powers p of elements, those below epsilon as epsilon.
struct window_power {
    double p = 3, epsilon = 1e-6;
};

// Planes of windows, of which rows first_row .. last_row - 1 of depth and height together, and columns first_column ..
// last_column - 1, are wanted.
struct window_planes {
    plane_operand x, y;
    index_operand index; // of the element within its plane
    std::ptrdiff_t lanes;
    window_axis axis[window_axes];
    std::ptrdiff_t planes;
    std::ptrdiff_t first_row, last_row;
    std::ptrdiff_t first_column, last_column; // of windows
    window_divisor divisor;
    window_power power;
    double scale; // of the elements as logits, if they are
    bool ahead;   // ask for elements before they are needed: x does not lie in a cache
};

// Gradients of windows: dy of their results, dx of the elements of their planes. Rows of `windows` are those of dx, its
// columns are not looked at, and its x only by kernels that say so.
struct window_gradients {
    window_planes windows;
    plane_operand dy, dx;
};

template <class T> struct pool_backward_table {
    void (*max)(const window_gradients&) noexcept; // reads x
    void (*average)(const window_gradients&) noexcept;
};

template <class T> struct pool_table {
    void (*max)(const window_planes&) noexcept;
    void (*max_index)(const window_planes&) noexcept;
    void (*average)(const window_planes&) noexcept;       // of few rows and columns
    void (*exact_average)(const window_planes&) noexcept; // sums keep what their additions lose
};

}}} // namespace tarn::dispatch
