// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of SoftPool.
#pragma once

#include <tarn/dispatch/pool_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

template <class T> struct soft_pool_table {
    void (*forward)(const window_planes&) noexcept; // looks at the scale
};

struct soft_gradients : window_gradients {
    bool exact; // or weights are taken for constants
};

// They read x, and look at the scale of the windows.
template <class T> struct soft_pool_backward_table { void (*gradients)(const soft_gradients&) noexcept; };

}}} // namespace tarn::dispatch
