// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of adaPool.
#pragma once

#include <tarn/dispatch/pool_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// How much of every window's result is eDSCW's: numbers along the axes of windows, floats or doubles, a step of 0 along
// those that share them.
struct ada_shares {
    const void* data; // null: all of it
    bool doubles;
    std::ptrdiff_t step[window_axes];

    TARN_INLINE double at(std::ptrdiff_t offset) const noexcept {
        if (doubles)
            return static_cast<const double*>(data)[offset];
        float v = static_cast<const float*>(data)[offset];
        // Not converted before it is known to be one: half a double may be a denormal float.
        __asm__("" : "+x"(v));
        return static_cast<double>(v);
    }
};

struct ada_windows {
    window_planes windows;
    ada_shares beta; // not looked at by kernels of eDSCW alone
};

template <class T> struct ada_pool_table {
    void (*pool)(const ada_windows&) noexcept;
    void (*edscw)(const ada_windows&) noexcept;
};

struct ada_gradients : window_gradients {
    ada_shares beta;
    bool times_members; // what windows give, for each of their members
};

// The gradients of windows in beta, of columns first_column .. last_column - 1, `most_beta_columns` at most.
constexpr std::ptrdiff_t most_beta_columns = 128;

// They read x.
template <class T> struct ada_pool_backward_table {
    void (*pool)(const ada_gradients&) noexcept;
    void (*edscw)(const ada_gradients&) noexcept;
    void (*beta)(const ada_gradients&, double* columns) noexcept; // added to the number of each column
};

// The gradient of what was spread: x of `windows` is the input of the pool, y the gradient.
struct ada_unpool_gradients {
    window_planes windows;
    ada_shares beta;
    plane_operand dz;
    bool times_members;
};

template <class T> struct ada_unpool_table {
    void (*unpool)(const ada_gradients&) noexcept; // dy is what is spread, dx where to
    void (*gradient)(const ada_unpool_gradients&) noexcept;
};

}}} // namespace tarn::dispatch
