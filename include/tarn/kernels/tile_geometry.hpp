// SPDX-License-Identifier: BSD-3-Clause
//
// Windows that cover their planes like tiles.
#pragma once

#include <tarn/kernels/window_shares.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Whether windows share no element and lie side by side, all of their taps members, in the rows of a call; and operands
// are read and written where they are.
template <class A, bool ReadsX> TARN_INLINE bool are_tiles(const dispatch::window_gradients& c) noexcept {
    const dispatch::window_planes& w = c.windows;
    const auto covers = [](const dispatch::window_axis& a) TARN_LAMBDA {
        return (a.stride == a.kernel || a.out == 1) && (a.dilation == 1 || a.kernel == 1) && a.before == 0 &&
               a.out <= a.in / a.kernel;
    };
    const auto direct = [&](const dispatch::plane_operand& v) TARN_LAMBDA {
        return v.type == element_traits<number<A>>::value && (w.lanes > 1 || v.step[2] == 1);
    };
    const std::ptrdiff_t rows = w.axis[0].in * w.axis[1].in;
    const auto begins = [&](std::ptrdiff_t row) TARN_LAMBDA {
        const std::ptrdiff_t d = row / w.axis[1].in;
        return row == rows || (d % w.axis[0].kernel == 0 && (row - d * w.axis[1].in) % w.axis[1].kernel == 0);
    };
    const bool whole = w.first_row == 0 && w.last_row == rows;
    return covers(w.axis[0]) && covers(w.axis[1]) && covers(w.axis[2]) && (!ReadsX || direct(w.x)) && direct(c.dy) &&
           direct(c.dx) && (whole || (w.axis[0].kernel == 1 && begins(w.first_row) && begins(w.last_row)));
}

// f(first row, window's depth, its height) for the rows of tiles of a plane; clear(row) for rows behind them.
template <class F, class Clear>
TARN_INLINE void each_row_of_tiles(const dispatch::window_planes& w, F f, Clear clear) noexcept {
    const dispatch::window_axis& depth = w.axis[0];
    const dispatch::window_axis& height = w.axis[1];
    std::ptrdiff_t r = w.first_row;
    for (std::ptrdiff_t d = quotient(r, height.in); r < w.last_row; ++d) {
        const bool inside = d < depth.out * depth.kernel;
        const std::ptrdiff_t i = quotient(d, depth.kernel);
        const std::ptrdiff_t begin = d * height.in;
        const std::ptrdiff_t end = least_of(begin + height.in, w.last_row);
        std::ptrdiff_t j = quotient(r - begin, height.kernel);
        for (; r < end && inside && j < height.out; ++j, r += height.kernel) {
            if (i * depth.kernel == d)
                f(r, i, j);
        }
        for (; r < end; ++r)
            clear(r);
    }
}

}}}} // namespace tarn::kernels
