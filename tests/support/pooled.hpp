// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of pooling operators on maps between guard pages, in every order of memory and type.
#pragma once

#include "support/windows.hpp"

#include <tarn/half.hpp>

#include <gtest/gtest.h>

namespace support {

// A call's input as numbers, [batch, channels, space...], and where it lies.
template <class T> struct map_call {
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

} // namespace support
