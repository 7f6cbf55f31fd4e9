// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of pooling operators on maps between guard pages, in every order of memory and type.
#pragma once

#include "support/executors.hpp"
#include "support/windows.hpp"

#include <tarn/half.hpp>
#include <tarn/pool.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

namespace support {

// A call's input as numbers, [batch, channels, space...], and where it lies.
template <class T> struct map_call {
    using element = T;

    window_case windows;
    std::ptrdiff_t batch = 1, channels = 1;
    memory_order x_order = memory_order::channels_first, y_order = memory_order::channels_first;
    bool at_end = true; // of the memory, else at its start

    std::vector<std::ptrdiff_t> full(std::vector<std::ptrdiff_t> space) const {
        space.insert(space.begin(), {batch, channels});
        return space;
    }
};

// Values in the order of their indices to memory, and back.
template <class T> class placed_map {
public:
    placed_map(const std::vector<std::ptrdiff_t>& n, memory_order order, bool at_end)
        : extent_(n), layout_(strided_layout::of(n, order)), memory_(layout_.span),
          data_(at_end ? memory_.against_end(layout_.span) : memory_.against_start()) {}
    void fill(T value) {
        for (std::ptrdiff_t i = 0; i < layout_.span; ++i)
            data_[i] = value;
    }
    template <class V> void put(const std::vector<V>& values) {
        std::size_t i = 0;
        for_elements(extent_, layout_, [&](std::ptrdiff_t offset) {
            if constexpr (sizeof(T) == 2)
                data_[offset] = T(static_cast<float>(values[i++]));
            else
                data_[offset] = static_cast<T>(values[i++]);
        });
    }
    std::vector<T> get() const {
        std::vector<T> values;
        for_elements(extent_, layout_, [&](std::ptrdiff_t offset) { values.push_back(data_[offset]); });
        return values;
    }
    // Elements between those of the map.
    std::vector<T> gaps() const {
        std::vector<bool> taken(static_cast<std::size_t>(layout_.span), false);
        for_elements(extent_, layout_, [&](std::ptrdiff_t offset) { taken[static_cast<std::size_t>(offset)] = true; });
        std::vector<T> values;
        for (std::ptrdiff_t i = 0; i < layout_.span; ++i) {
            if (!taken[static_cast<std::size_t>(i)])
                values.push_back(data_[i]);
        }
        return values;
    }
    template <int Rank> tarn::tensor_view<T, Rank> view() const { return view_of<Rank>(data_, extent_, layout_); }

private:
    std::vector<std::ptrdiff_t> extent_;
    strided_layout layout_;
    guarded_numbers<T> memory_;
    T* data_;
};

// Rows and columns of a window together: so many additions, one after the other.
inline double steps_of(const window_case& c) {
    std::ptrdiff_t rows = 1;
    for (std::size_t i = 0; i + 1 < c.axes.size(); ++i)
        rows *= c.axes[i].kernel;
    return static_cast<double>(rows + c.axes.back().kernel);
}

// The unit roundoff of what a result is rounded to.
template <class T> constexpr double unit_roundoff = 0;
template <> constexpr double unit_roundoff<float> = 0x1p-24;
template <> constexpr double unit_roundoff<double> = 0x1p-53;
template <> constexpr double unit_roundoff<tarn::float16> = 0x1p-11;
template <> constexpr double unit_roundoff<tarn::bfloat16> = 0x1p-8;

// Whether a result is what it should be: NaN or an infinity, or as near as a finite bound says.
inline bool is_within(long double v, long double expected, long double bound) {
    if (std::isnan(expected))
        return std::isnan(v);
    return v == expected || (std::isfinite(expected) && std::isfinite(bound) && std::fabs(v - expected) <= bound);
}

// f(rank as a constant) for maps of 1 to 3 axes of space beside batch and channels.
template <class F> void with_rank(std::size_t space, F f) {
    if (space == 1)
        f(std::integral_constant<int, 3>{});
    else if (space == 2)
        f(std::integral_constant<int, 4>{});
    else
        f(std::integral_constant<int, 5>{});
}

// A window for a map of up to so many elements along an axis.
template <class Random> axis_case random_axis(Random& random, std::ptrdiff_t most, std::ptrdiff_t most_kernel) {
    const auto up_to = [&](std::ptrdiff_t low, std::ptrdiff_t high) {
        return std::uniform_int_distribution<std::ptrdiff_t>(low, high)(random);
    };
    axis_case a;
    a.extent = up_to(1, most);
    a.kernel = up_to(1, most_kernel);
    a.stride = up_to(1, 4);
    a.before = up_to(0, a.kernel / 2);
    a.after = up_to(0, a.kernel / 2);
    a.dilation = up_to(0, 3) == 0 ? up_to(1, 3) : 1;
    return a;
}
template <class Random>
window_case random_windows(Random& random, std::size_t space, std::ptrdiff_t most, std::ptrdiff_t most_kernel) {
    window_case c;
    do {
        c.axes.clear();
        for (std::size_t i = 0; i < space; ++i)
            c.axes.push_back(random_axis(random, most, most_kernel));
        c.ceil = std::uniform_int_distribution<int>(0, 1)(random) == 1;
    } while (c.empty());
    return c;
}
// Sample number i of calls with these windows: one sample or more, and any order of memory. Now and then more channels
// than a register has lanes.
template <class T, class Random> map_call<T> random_call(Random& random, const window_case& windows, int i) {
    const auto up_to = [&](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
    map_call<T> c;
    c.windows = windows;
    c.batch = 1 + up_to(2);
    c.channels = i % 5 == 0 ? 1 + up_to(40) : 1 + up_to(3);
    c.x_order = memory_orders[up_to(3)];
    c.y_order = up_to(1) ? c.x_order : memory_orders[up_to(3)];
    c.at_end = up_to(1) == 1;
    return c;
}
// run(in, out) for sample number i: types of elements by turns, alike or not.
template <class Run> void with_types(int i, Run run) {
    switch (i % 6) {
    case 0:
    case 1:
        run(float(), float());
        break;
    case 2:
        run(double(), double());
        break;
    case 3:
        run(tarn::float16(), tarn::float16());
        break;
    case 4:
        run(tarn::bfloat16(), tarn::bfloat16());
        break;
    default:
        if (i % 4 < 2)
            run(tarn::float16(), float());
        else
            run(tarn::bfloat16(), float());
        break;
    }
}

// f(call, seed) for windows of one axis: kernels and strides up to 6, padding, dilation up to `most_dilation`, both
// roundings.
template <class F>
void each_window_of_one_axis(std::initializer_list<std::ptrdiff_t> extents, std::ptrdiff_t most_dilation, F f) {
    unsigned seed = 1;
    for (std::ptrdiff_t extent : extents) {
        axis_case a;
        a.extent = extent;
        for (a.kernel = 1; a.kernel <= 6; ++a.kernel)
            for (a.stride = 1; a.stride <= 6; ++a.stride)
                for (a.before = 0; a.before <= a.kernel / 2; ++a.before)
                    for (a.dilation = 1; a.dilation <= most_dilation; ++a.dilation)
                        for (bool ceil : {false, true}) {
                            a.after = seed % 3 == 0 ? a.kernel / 2 - a.before : a.before;
                            map_call<float> c;
                            c.windows = {{a}, ceil};
                            if (c.windows.empty())
                                continue;
                            c.channels = 1 + seed % 3;
                            c.x_order = c.y_order = memory_orders[seed / 3 % 2];
                            c.at_end = seed % 2 == 0;
                            f(c, seed++);
                            if (testing::Test::HasFatalFailure())
                                return;
                        }
    }
}
// f(call, an element of results, random, number, name) for samples of windows of one to three axes, whose maps have up
// to most[axes - 1] elements along each, in every order of memory, types by turns.
template <class F> void each_sample(unsigned seed, int samples, const std::array<std::ptrdiff_t, 3>& most, F f) {
    std::mt19937 random(seed);
    for (int i = 0; i < samples; ++i) {
        const auto space = static_cast<std::size_t>(1 + i % 3);
        const window_case windows = random_windows(random, space, most[space - 1], i % 7 == 0 ? 9 : 4);
        const std::string name = "sample " + std::to_string(i) + " of seed " + std::to_string(seed);
        with_types(i / 3, [&](auto in, auto out) {
            const auto c = random_call<decltype(in)>(random, windows, i);
            f(c, out, random, i, name);
        });
        if (testing::Test::HasFatalFailure())
            return;
    }
}

template <class T> std::vector<unsigned char> bytes_of(const std::vector<T>& v) {
    std::vector<unsigned char> b(v.size() * sizeof(T));
    if (!v.empty())
        std::memcpy(b.data(), v.data(), b.size());
    return b;
}

// Results of maps, [channels, n, n] numbers, do not depend on the layout, on what other maps hold, nor on who computes
// them: pool(where, x, y, window).
template <class T, class Pool>
void check_bits_of_maps(tarn::tier tier, const std::vector<T>& x, std::ptrdiff_t channels, std::ptrdiff_t n,
                        const tarn::pool_window& window, Pool pool) {
    const auto in = [&](auto& v) { return tarn::make_view(v.data(), channels, n, n); };
    const auto e = tarn::pool_output_extents(in(x), window);
    const auto out = [&](auto& v) { return tarn::make_view(v.data(), e[0], e[1], e[2]); };
    std::vector<T> y(static_cast<std::size_t>(e[0] * e[1] * e[2]));
    pool(tarn::on(tier), in(x), out(y), window);

    // As [space, channels], from [channels, space].
    const auto turned = [&](const std::vector<T>& v) {
        std::vector<T> t(v.size());
        const auto lanes = static_cast<std::size_t>(channels);
        for (std::size_t i = 0; i < v.size(); ++i)
            t[i % (v.size() / lanes) * lanes + i / (v.size() / lanes)] = v[i];
        return t;
    };
    const std::vector<T> x_last = turned(x);
    std::vector<T> y_last(y.size());
    tarn::pool_window last = window;
    last.layout = tarn::layout::channels_last;
    pool(tarn::on(tier), tarn::make_view(x_last.data(), n, n, channels),
         tarn::make_view(y_last.data(), e[1], e[2], channels), last);
    ASSERT_EQ(bytes_of(y_last), bytes_of(turned(y))) << "channels last";

    const std::size_t map = y.size() / static_cast<std::size_t>(channels);
    const std::ptrdiff_t some = channels / 3;
    const std::size_t behind = static_cast<std::size_t>(some) * map;
    std::vector<T> alone(map);
    pool(tarn::on(tier), tarn::make_view(x.data() + some * n * n, n, n), tarn::make_view(alone.data(), e[1], e[2]),
         window);
    ASSERT_EQ(std::memcmp(alone.data(), y.data() + behind, map * sizeof(T)), 0) << "one map alone";
    std::vector<T> beside = x;
    for (std::ptrdiff_t i = 0; i < some * n * n; ++i)
        beside[static_cast<std::size_t>(i)] = i % 3 == 0 ? T(1e30f) : -std::numeric_limits<T>::infinity();
    std::vector<T> z(y.size());
    pool(tarn::on(tier), in(beside), out(z), window);
    ASSERT_EQ(std::memcmp(z.data() + behind, y.data() + behind, (y.size() - behind) * sizeof(T)), 0) << "other maps";

    for (int threads : {2, 5, 9}) {
        std::vector<T> shared(y.size());
        odd_threads executor{threads, 3};
        pool(tarn::on(tier, executor), in(x), out(shared), window);
        ASSERT_EQ(bytes_of(shared), bytes_of(y)) << threads << " threads";
    }
}

// Results of maps, [7, 40, 40] numbers, are the same on AVX2 and AVX-512: pool(where, x, y, window).
template <class T, class Pool> void check_avx2_and_avx512_agree(const std::vector<T>& x, Pool pool) {
    const auto in = tarn::make_view(x.data(), 7, 40, 40);
    for (const tarn::pool_window& window : {tarn::pool_window{{3, 3}, {1, 1}, {1, 1}}, tarn::pool_window{{2, 2}},
                                            tarn::pool_window{{12, 12}, {5, 5}, {3, 3}}}) {
        const auto e = tarn::pool_output_extents(in, window);
        std::vector<T> y(static_cast<std::size_t>(e[0] * e[1] * e[2]));
        std::vector<T> z(y.size());
        pool(tarn::on(tarn::tier::avx512), in, tarn::make_view(z.data(), e[0], e[1], e[2]), window);
        pool(tarn::on(tarn::tier::avx2), in, tarn::make_view(y.data(), e[0], e[1], e[2]), window);
        EXPECT_EQ(bytes_of(y), bytes_of(z)) << "kernel " << window.kernel.value[0];
    }
}

} // namespace support
