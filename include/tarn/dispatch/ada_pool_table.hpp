// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of adaPool.
#pragma once

#include <tarn/dispatch/pool_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// How much of every window's result is eDSCW's: numbers along the axes of windows, floats or doubles, a step of 0 along
// those that share them.
struct ada_shares {
    const void* data;
    bool doubles;
    std::ptrdiff_t step[window_axes];
};

struct ada_windows {
    window_planes windows;
    ada_shares beta; // not looked at by kernels of eDSCW alone
};

template <class T> struct ada_pool_table {
    void (*pool)(const ada_windows&) noexcept;
    void (*edscw)(const ada_windows&) noexcept;
};

}}} // namespace tarn::dispatch
