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
    void (*powers)(const window_planes&) noexcept;            // |p| <= 7 for floats, 2^40 for doubles
    void (*scaled_powers)(const window_planes&) noexcept;     // |p| <= 2^40
};

}}} // namespace tarn::dispatch
