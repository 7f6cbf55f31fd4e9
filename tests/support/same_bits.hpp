// SPDX-License-Identifier: BSD-3-Clause
//
// Windows for which kernels have loops of their own, which have to give the bits of the others.
#pragma once

#include "support/pooled.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace support {

// Gradients of windows that cover their maps like tiles.
// run(x, dy, dx, window) of maps in the usual orders, and of the same maps with gaps between their elements. values(n,
// seed): so many elements.
template <class T, class Values, class Run> void check_tilings(Values values, Run run) {
    const std::vector<std::vector<std::ptrdiff_t>> kernels = {{2},    {3},       {20},      {2, 2},    {1, 2},
                                                              {4, 2}, {3, 3},    {1, 4},    {5, 6},    {3, 17},
                                                              {7, 7}, {2, 1, 2}, {2, 2, 2}, {1, 3, 1}, {2, 4, 5}};
    std::mt19937 random(20);
    const auto up_to = [&](std::ptrdiff_t n) {
        return static_cast<std::ptrdiff_t>(random() % static_cast<unsigned>(n + 1));
    };
    unsigned seed = 0;
    for (const auto& kernel : kernels) {
        for (int i = 0; i < 24; ++i) {
            const bool whole = i % 5 == 4; // a window for each map
            window_case windows;
            for (std::ptrdiff_t k : kernel) {
                const bool last = windows.axes.size() + 1 == kernel.size();
                const std::ptrdiff_t tiles = last && i % 3 > 0 ? 1 + up_to(40) : 1 + up_to(3);
                windows.axes.push_back({whole ? k : tiles * k + up_to(k - 1), k, whole && i % 2 == 0 ? 1 : k, 0, 0, 1});
            }
            const memory_order order = i % 3 == 0 ? memory_order::channels_last : memory_order::channels_first;
            const std::ptrdiff_t channels = i % 3 == 0 ? 1 + up_to(70) : 1 + up_to(whole ? 99 : 2);
            map_call<T> c;
            c.windows = windows;
            c.batch = 1 + up_to(2);
            c.channels = channels;
            const auto n_in = static_cast<std::size_t>(c.batch * channels * product(windows.in()));
            const auto n_out = static_cast<std::size_t>(c.batch * channels * product(windows.out()));
            const std::vector<double> x_values = values(n_in, seed++);
            const std::vector<double> dy_values = values(n_out, seed++);
            const auto gradient = [&](memory_order o, bool at_end) {
                placed_map<T> x(c.full(windows.in()), o, at_end);
                placed_map<T> dy(c.full(windows.out()), o, at_end);
                placed_map<T> dx(c.full(windows.in()), o, at_end);
                x.put(x_values);
                dy.put(dy_values);
                dx.fill(T(77));
                with_rank(kernel.size(), [&](auto rank) {
                    constexpr int R = decltype(rank)::value;
                    run(x.template view<R>(), dy.template view<R>(), dx.template view<R>(), windows.window());
                });
                for (T v : dx.gaps())
                    EXPECT_EQ(v, T(77));
                return dx.get();
            };
            const std::vector<T> expected = gradient(memory_order::gaps, true);
            const std::vector<T> got = gradient(order, i % 2 == 0);
            ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)), 0)
                << "number " << i << ": " << windows;
        }
    }
}

// run(x, y, window) of maps of many channels, which lie side by side or map behind map: results have the same bits. Windows
// have more elements than are worked on at once, and share none.
template <class T, class Values, class Run> void check_large_windows(Values values, Run run) {
    const std::vector<std::vector<axis_case>> all = {{{17, 17, 1, 0, 0, 1}, {19, 19, 1, 0, 0, 1}},
                                                     {{9, 9, 9, 0, 0, 1}, {5, 5, 5, 0, 0, 1}},
                                                     {{3, 2, 2, 0, 0, 1}, {40, 19, 20, 3, 2, 1}},
                                                     {{41, 11, 13, 4, 5, 1}, {23, 9, 17, 2, 0, 2}},
                                                     {{2, 2, 2, 0, 0, 1}, {13, 5, 7, 1, 1, 2}, {11, 3, 3, 0, 0, 1}},
                                                     {{25, 12, 12, 0, 0, 2}, {300, 280, 300, 0, 0, 1}}};
    unsigned seed = 100;
    for (const auto& axes : all) {
        for (std::ptrdiff_t channels : {8, 16, 17, 40, 64, 100, 259}) {
            window_case windows;
            windows.axes = axes;
            const std::vector<std::ptrdiff_t> in = windows.in();
            const std::vector<std::ptrdiff_t> out = windows.out();
            const std::vector<double> x_values = values(static_cast<std::size_t>(channels * product(in)), seed++);
            const auto results = [&](memory_order o) {
                map_call<T> c;
                c.channels = channels;
                placed_map<T> x(c.full(in), o, seed % 2 == 0);
                placed_map<T> y(c.full(out), o, seed % 2 == 0);
                x.put(x_values);
                y.fill(T(77));
                with_rank(axes.size(), [&](auto rank) {
                    constexpr int R = decltype(rank)::value;
                    run(x.template view<R>(), y.template view<R>(), windows.window());
                });
                return y.get();
            };
            const std::vector<T> expected = results(memory_order::channels_first);
            const std::vector<T> got = results(memory_order::channels_last);
            ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)), 0)
                << channels << " channels: " << windows;
        }
    }
}

} // namespace support
