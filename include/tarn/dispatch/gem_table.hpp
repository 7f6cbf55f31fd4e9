// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of generalized means.
#pragma once

#include <tarn/dispatch/pool_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// All read windows and their `power`.
template <class T> struct gem_table {
    void (*extreme)(const window_planes&) noexcept;           // p = +inf, -inf
    void (*logs)(const window_planes&) noexcept;              // |p| <= 2^-11
    void (*integer_powers[3])(const window_planes&) noexcept; // p = 2, 3, 4
    void (*quick_powers)(const window_planes&) noexcept;      // 1 < |p| <= 7; of doubles as `powers`
    void (*powers)(const window_planes&) noexcept;            // |p| <= 7 for floats, 2^40 for doubles
    void (*scaled_powers)(const window_planes&) noexcept;     // |p| <= 2^40
};

// They read x, and look at the power of the windows.
struct gem_gradients : window_gradients {
    void (*mean)(const window_planes&) noexcept; // the kernel of the means
    double* dp;                                  // to which the gradient in p is added, or null
};

// All but the first two also give the gradient in p.
template <class T> struct gem_backward_table {
    void (*extreme)(const window_gradients&) noexcept;        // p = +inf, -inf
    void (*integer_powers[3])(const gem_gradients&) noexcept; // p = 2, 3, 4
    void (*quick_powers)(const gem_gradients&) noexcept;      // 1 < |p| <= 7; of doubles as `powers`
    void (*powers)(const gem_gradients&) noexcept;            // |p| <= 2^40
};

}}} // namespace tarn::dispatch
