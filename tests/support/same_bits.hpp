// SPDX-License-Identifier: BSD-3-Clause
//
// Windows for which kernels have loops of their own, which have to give the bits of the others.
#pragma once

#include "support/executors.hpp"
#include "support/pooled.hpp"
#include "support/tiers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
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
            const std::ptrdiff_t most = i % 12 == 9 ? 600 : i % 3 == 0 ? 70 : whole ? 99 : 2;
            const std::ptrdiff_t channels = 1 + up_to(most);
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
// share no element, and those or all lanes of one have more elements than are worked on at once.
template <class T, class Values, class Run> void check_large_windows(Values values, Run run) {
    const std::vector<std::vector<axis_case>> all = {{{17, 17, 1, 0, 0, 1}, {19, 19, 1, 0, 0, 1}},
                                                     {{9, 9, 9, 0, 0, 1}, {5, 5, 5, 0, 0, 1}},
                                                     {{3, 2, 2, 0, 0, 1}, {40, 19, 20, 3, 2, 1}},
                                                     {{41, 11, 13, 4, 5, 1}, {23, 9, 17, 2, 0, 2}},
                                                     {{2, 2, 2, 0, 0, 1}, {13, 5, 7, 1, 1, 2}, {11, 3, 3, 0, 0, 1}},
                                                     {{25, 12, 12, 0, 0, 2}, {300, 280, 300, 0, 0, 1}},
                                                     {{5, 2, 2, 0, 0, 1}, {7, 3, 3, 1, 1, 1}},
                                                     {{4, 2, 2, 0, 0, 1}, {6, 2, 2, 0, 0, 1}},
                                                     {{7, 7, 7, 0, 0, 1}, {7, 7, 7, 0, 0, 1}},
                                                     {{3, 3, 3, 1, 1, 1}, {2, 3, 3, 1, 0, 1}},
                                                     {{3, 3, 3, 0, 0, 1}, {2, 2, 2, 0, 0, 1}}};
    unsigned seed = 100;
    for (const auto& axes : all) {
        for (std::ptrdiff_t channels : {8, 16, 17, 40, 64, 100, 259, 1000, 4099}) {
            window_case windows;
            windows.axes = axes;
            if (channels > 300 && product(windows.in()) > 50)
                continue;
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

// run(x, y, window) of small maps: what lies beside the windows, or between maps, changes no bit.
template <class T, class Run> void check_beside(Run run) {
    std::mt19937 random(11);
    std::normal_distribution<double> normal(0, 3);
    for (const std::array<std::ptrdiff_t, 3>& c : // extent, kernel, stride
         {std::array<std::ptrdiff_t, 3>{5, 2, 2}, {7, 2, 2}, {7, 2, 3}, {8, 3, 3}, {9, 2, 2}, {9, 3, 3}, {10, 4, 5}}) {
        const std::ptrdiff_t n = c[0];
        const std::ptrdiff_t out = (n - c[1]) / c[2] + 1;
        const std::ptrdiff_t used = (out - 1) * c[2] + c[1];
        for (std::ptrdiff_t maps : {1, 5, 40}) {
            std::vector<double> given(static_cast<std::size_t>(maps * n * n));
            for (double& v : given)
                v = normal(random);
            const auto results = [&](double beside, std::ptrdiff_t gap) {
                std::vector<T> x(static_cast<std::size_t>(maps * (n * n + gap)));
                auto view = tarn::make_view(x.data(), maps, n, n);
                view.stride[0] = n * n + gap;
                for (std::ptrdiff_t m = 0; m < maps; ++m) {
                    for (std::ptrdiff_t i = 0; i < n * n; ++i)
                        view(m, i / n, i % n) = static_cast<T>(
                            i / n < used && i % n < used ? given[static_cast<std::size_t>(m * n * n + i)] : beside);
                }
                std::vector<T> y(static_cast<std::size_t>(maps * out * out));
                run(view, tarn::make_view(y.data(), maps, out, out), tarn::pool_window{{c[1], c[1]}, {c[2], c[2]}});
                return y;
            };
            const std::vector<T> expected = results(0, 3);
            for (double beside : {0.0, 1e30, -1e30, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
                const std::vector<T> got = results(beside, 0);
                ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)), 0)
                    << maps << " maps of " << n << ", kernel " << c[1] << ", stride " << c[2] << ", beside " << beside;
            }
        }
    }
}

// run(x, y, window) of windows of three rows and columns: of maps with gaps, map behind map, side by side, and map by map,
// results have the same bits. values(n, seed): so many elements.
template <class T, class Values, class Run> void check_threes(Values values, Run run) {
    struct sample {
        std::ptrdiff_t channels;
        axis_case height, width;
    };
    const axis_case around[] = {{2, 3, 1, 1, 1, 1},  {4, 3, 1, 1, 1, 1},   {7, 3, 1, 1, 1, 1},  {9, 3, 1, 1, 1, 1},
                                {16, 3, 1, 1, 1, 1}, {29, 3, 1, 1, 1, 1},  {40, 3, 1, 1, 1, 1}, {128, 3, 1, 1, 1, 1},
                                {67, 3, 1, 1, 1, 1}, {256, 3, 1, 1, 1, 1}, {300, 3, 1, 1, 1, 1}};
    std::vector<sample> samples;
    for (const axis_case& height : around) {
        for (const axis_case& width : around) {
            const std::ptrdiff_t size = height.extent * width.extent;
            const auto left = static_cast<std::ptrdiff_t>(samples.size() % 7);
            // Together a few times what is worked on at once.
            if (size <= (thinned() ? 300 : 10000))
                samples.push_back({size > 2000 ? 1 + left % 3 : 2000 / size + 17 + left, height, width});
        }
    }
    const axis_case others[] = {{9, 3, 2, 1, 1, 1}, {12, 3, 2, 0, 1, 1}, {15, 3, 1, 0, 1, 1}, {3, 3, 1, 1, 0, 1}};
    for (const axis_case& height : others) {
        for (const axis_case& width : others) {
            for (std::ptrdiff_t channels : {16, 37, 260})
                samples.push_back({channels, height, width});
        }
    }
    unsigned seed = 900;
    for (const sample& s : samples) {
        window_case windows;
        windows.axes = {s.height, s.width};
        windows.ceil = seed % 4 == 0;
        const std::ptrdiff_t in = product(windows.in());
        const std::vector<double> x_values = values(static_cast<std::size_t>(s.channels * in), seed);
        const auto results = [&](memory_order o, std::ptrdiff_t channels, const std::vector<double>& elements,
                                 bool gaps_in_y = false) {
            map_call<T> c;
            c.channels = channels;
            placed_map<T> x(c.full(windows.in()), o, seed % 2 == 0);
            placed_map<T> y(c.full(windows.out()), gaps_in_y ? memory_order::gaps : o, seed % 2 == 0);
            x.put(elements);
            y.fill(static_cast<T>(77.0f));
            run(x.template view<4>(), y.template view<4>(), windows.window());
            return y.get();
        };
        const auto same = [&](const std::vector<T>& got, const std::vector<T>& expected, const char* what) {
            ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)), 0)
                << what << ", " << s.channels << " channels: " << windows;
        };
        const std::vector<T> expected = results(memory_order::gaps, s.channels, x_values);
        same(results(memory_order::channels_first, s.channels, x_values), expected, "channels first");
        same(results(memory_order::channels_last, s.channels, x_values), expected, "channels last");
        const std::ptrdiff_t map = s.channels / 2;
        const std::ptrdiff_t out = product(windows.out());
        for (bool gaps_in_y : {false, true}) {
            same(results(memory_order::channels_first, 1,
                         {x_values.begin() + map * in, x_values.begin() + (map + 1) * in}, gaps_in_y),
                 {expected.begin() + map * out, expected.begin() + (map + 1) * out}, "one map");
        }
        if (testing::Test::HasFatalFailure())
            return;
        ++seed;
    }
}

// Whether two maps have the same bits, or NaN in the same places.
template <class T> bool same_numbers(const std::vector<T>& a, const std::vector<T>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0 && !(std::isnan(a[i]) && std::isnan(b[i])))
            return false;
    }
    return true;
}

// Gradients of small windows that share elements, of many maps together, which lie side by side or map behind map, and of
// each of these alone; and with threads, which share maps' rows.
// run(where, x, dy, dx, window). values(n, seed): so many elements.
template <class T, class Values, class Run> void check_overlaps(tarn::tier tier, Values values, Run run) {
    struct sample {
        std::ptrdiff_t channels;
        axis_case height, width;
    };
    const std::vector<sample> samples = {
        {40, {7, 3, 1, 1, 1, 1}, {7, 3, 1, 1, 1, 1}},    {33, {9, 3, 2, 1, 1, 1}, {12, 3, 2, 1, 1, 1}},
        {19, {23, 3, 1, 0, 0, 1}, {70, 3, 1, 1, 1, 1}},  {17, {21, 3, 2, 1, 0, 1}, {131, 3, 2, 1, 1, 1}},
        {21, {8, 2, 2, 1, 1, 1}, {30, 2, 2, 1, 1, 1}},   {16, {14, 2, 1, 0, 0, 1}, {17, 2, 1, 1, 0, 1}},
        {18, {15, 5, 2, 2, 2, 1}, {33, 5, 3, 2, 2, 1}},  {20, {25, 3, 2, 1, 1, 3}, {29, 4, 1, 2, 2, 2}},
        {9, {1, 1, 1, 0, 0, 1}, {200, 3, 1, 1, 1, 1}},   {150, {30, 3, 1, 1, 1, 1}, {30, 3, 1, 1, 1, 1}},
        {260, {33, 3, 2, 1, 1, 1}, {40, 3, 1, 1, 1, 1}}, {8, {170, 6, 1, 0, 0, 3}, {147, 3, 3, 0, 0, 1}},
        {5, {211, 4, 3, 2, 2, 1}, {200, 3, 2, 1, 1, 1}}};
    unsigned seed = 500;
    for (const sample& s : samples) {
        // Instrumented kernels are some ten times slower.
        if (thinned() && s.channels * s.height.extent * s.width.extent > 40000)
            continue;
        for (const memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
            window_case windows;
            windows.axes = {s.height, s.width};
            windows.ceil = seed % 4 == 0;
            map_call<T> c;
            c.channels = s.channels;
            const auto full = [&](std::ptrdiff_t channels, const std::vector<std::ptrdiff_t>& space) {
                c.channels = channels;
                return c.full(space);
            };
            const auto part = [&](const std::vector<double>& all, std::ptrdiff_t channel, std::ptrdiff_t n) {
                return std::vector<double>(all.begin() + channel * n, all.begin() + (channel + 1) * n);
            };
            const std::ptrdiff_t in = product(windows.in());
            const std::ptrdiff_t out = product(windows.out());
            const std::vector<double> x_values = values(static_cast<std::size_t>(s.channels * in), seed++);
            const std::vector<double> dy_values = values(static_cast<std::size_t>(s.channels * out), seed++);
            const auto gradient = [&](const auto& where, std::ptrdiff_t channels, memory_order o,
                                      const std::vector<double>& x_part, const std::vector<double>& dy_part) {
                placed_map<T> x(full(channels, windows.in()), o, seed % 3 == 0);
                placed_map<T> dy(full(channels, windows.out()), o, seed % 3 == 0);
                placed_map<T> dx(full(channels, windows.in()), o, seed % 3 == 0);
                x.put(x_part);
                dy.put(dy_part);
                dx.fill(T(77));
                run(where, x.template view<4>(), dy.template view<4>(), dx.template view<4>(), windows.window());
                return dx.get();
            };
            std::vector<T> expected;
            for (std::ptrdiff_t i = 0; i < s.channels; ++i) {
                const std::vector<T> one = gradient(tarn::on(tier), 1, memory_order::channels_first,
                                                    part(x_values, i, in), part(dy_values, i, out));
                expected.insert(expected.end(), one.begin(), one.end());
            }
            const char* const name = order == memory_order::channels_first ? "channels first, " : "channels last, ";
            ASSERT_TRUE(same_numbers(gradient(tarn::on(tier), s.channels, order, x_values, dy_values), expected))
                << name << s.channels << " channels: " << windows;
            for (int threads : {2, 5}) {
                odd_threads executor{threads, 3};
                const auto where = tarn::on(tier, executor);
                ASSERT_TRUE(same_numbers(gradient(where, s.channels, order, x_values, dy_values), expected))
                    << name << threads << " threads, " << s.channels << " channels: " << windows;
            }
        }
    }
}

// Some numbers of a kind that few have: large, tiny, and 0.
inline std::vector<double> scattered(std::vector<double> v, unsigned seed) {
    const double factors[] = {25, 1e-40, 0, 1e25, 1e-17};
    for (std::size_t i = seed % 41; i < v.size(); i += 41)
        v[i] *= factors[(i + seed) % 5];
    return v;
}

// f(case, seed) for maps side by side that every loop of gradients takes some of, floats and doubles, as long as it is true.
template <class F> void each_side_by_side(F f) {
    const std::array<axis_case, 2> shapes[] = {
        {{{9, 3, 1, 1, 1, 1}, {31, 3, 1, 1, 1, 1}}}, {{{10, 3, 2, 1, 1, 1}, {13, 3, 2, 1, 1, 1}}},
        {{{8, 2, 2, 0, 0, 1}, {38, 2, 2, 0, 0, 1}}}, {{{7, 2, 2, 0, 0, 1}, {7, 2, 2, 0, 0, 1}}},
        {{{9, 3, 3, 0, 0, 1}, {12, 2, 2, 0, 0, 1}}}, {{{11, 4, 2, 1, 1, 2}, {12, 5, 1, 2, 2, 1}}},
        {{{7, 7, 7, 0, 0, 1}, {9, 9, 9, 0, 0, 1}}},  {{{13, 9, 2, 4, 4, 1}, {15, 10, 3, 2, 2, 1}}}};
    unsigned seed = 0;
    for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
        for (int turn = 0; turn < 3; ++turn) {
            for (const auto& [height, width] : shapes) {
                const std::ptrdiff_t channels = thinned() ? 18 : 35;
                const map_call<float> c{{{height, width}, false}, 1, channels, order, order, turn == 1};
                if (!f(c, ++seed))
                    return;
                const map_call<double> d{{{height, width}, false}, 1, channels, order, order, turn == 1};
                if (!f(d, ++seed))
                    return;
            }
        }
    }
}

} // namespace support
