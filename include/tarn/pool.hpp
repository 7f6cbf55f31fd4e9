// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/pool_table.hpp>
#include <tarn/shape/indices.hpp>
#include <tarn/shape/windows.hpp>

#include <array>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/pool_backward_kernels.hpp>
#include <tarn/dispatch/pool_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(pool)
TARN_DEFINE_KERNELS_OF(pool_backward)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

struct average_pool_options {
    // Whether padding counts among what the sum is divided by; what ceil_mode adds behind it never does.
    bool count_include_padding = false;
    // What the sum is divided by instead, if not 0.
    std::ptrdiff_t divisor = 0;
};

namespace shape {

inline void check_pool(const char* op, const operand& x, const operand& y, const window_geometry& g) {
    check_window_extents(op, "output", g, x, y);
    if (size(y) > 0) {
        check_distinct(op, y);
        check_apart(op, x, y);
    }
}

// Kernels count the elements of a window in floats.
inline void check_taps(const char* op, const window_geometry& g, const pool_window& window) {
    double taps = 1;
    for (const dispatch::window_axis& a : g.axis)
        taps *= static_cast<double>(a.kernel);
    if (taps > 0x1p24)
        fail(op, "kernel", list(window.kernel.value, window.kernel.count),
             "windows of at most 2^24 elements where it matters which is the greatest");
}
inline void check_divisor(const char* op, const average_pool_options& options) {
    if (options.divisor < 0)
        fail(op, "divisor", std::to_string(options.divisor), "0 for none, or a number of at least 1");
}
// Operand 2 as indices.
inline dispatch::index_operand index_of(const map_loops& loops, const map_loops::part& p) noexcept {
    const dispatch::plane_operand v = loops.plane(2, p);
    return {v.data,
            v.type == element::int64 ? dispatch::index_kind::int64 : dispatch::index_kind::int32,
            {v.step[0], v.step[1], v.step[2]},
            v.across,
            loops.lane_step(2)};
}

template <class N, class Executor>
void max_pool(const place<Executor>& where, const operand& x, const operand& y, const operand* index,
              const pool_window& window) {
    constexpr const char* op = "max_pool";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_pool(op, x, y, g);
    if (index) {
        check_operand(op, "indices", *index);
        check_window_extents(op, "indices", g, x, *index);
        check_taps(op, g, window);
        std::ptrdiff_t elements = 1;
        for (const dispatch::window_axis& a : g.axis)
            elements *= a.in;
        if (index->type == element::int32 && elements > 0x7fffffff)
            fail(op, "indices", "of 32 bits", "64 bits for maps of more than 2^31 - 1 elements");
    }
    const tier t = check_tier(op, where.tier_index);
    const dispatch::pool_table<N>& kernels = pool_kernels_of<N>(t);
    if (size(y) == 0)
        return;
    if (index) {
        check_distinct(op, *index, "indices");
        check_apart(op, x, *index, "indices");
        check_apart(op, y, *index, "indices", "output");
    }
    operand_list operands = operand_list::of(x, y);
    if (index)
        operands.add(*index);
    const map_loops loops(g, g.axis[0].out * g.axis[1].out, 2, operands);
    const auto run = [&](const map_loops::part& p) {
        dispatch::window_planes w = loops.windows(p);
        if (index)
            w.index = index_of(loops, p);
        (index ? kernels.max_index : kernels.max)(w);
    };
    where.parallel_for(loops.items(), loops.cost(static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
}

template <class N, class Executor>
void average_pool(const place<Executor>& where, const operand& x, const operand& y, const pool_window& window,
                  const average_pool_options& options) {
    constexpr const char* op = "average_pool";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_pool(op, x, y, g);
    check_divisor(op, options);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::pool_table<N>& kernels = pool_kernels_of<N>(t);
    if (size(y) == 0)
        return;
    // So many additions leave an error of a few ulp.
    const bool few = g.axis[0].kernel * g.axis[1].kernel + g.axis[2].kernel <= 16;
    const map_loops loops(g, g.axis[0].out * g.axis[1].out, 2, operand_list::of(x, y));
    const auto run = [&](const map_loops::part& p) {
        dispatch::window_planes w = loops.windows(p);
        w.divisor = {options.count_include_padding, static_cast<double>(options.divisor)};
        (few ? kernels.average : kernels.exact_average)(w);
    };
    where.parallel_for(loops.items(), loops.cost(static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
}

// Blocks of gradients have so many rows at least, where windows that reach into several are reduced for each.
inline std::ptrdiff_t rows_of_gradients(const window_geometry& g) noexcept {
    const std::ptrdiff_t rows = g.axis[0].in * g.axis[1].in;
    return g.reach() < rows / 4 ? 4 * g.reach() + 1 : rows;
}

// x: the map, or for gradients that do not read it again dx.
template <class Executor, class Kernel>
void run_gradients(const place<Executor>& where, const window_geometry& g, const operand& x, const operand& dy,
                   const operand& dx, const dispatch::window_divisor& divisor, Kernel kernel,
                   std::ptrdiff_t least_rows = 1) {
    const map_loops loops(g, g.axis[0].in * g.axis[1].in, 3, operand_list::of(x, dy, dx), least_rows,
                          g.rows_of_tiles());
    const auto run = [&](const map_loops::part& p) {
        dispatch::window_gradients c{loops.windows(p), loops.plane(1, p), loops.plane(2, p)};
        c.windows.divisor = divisor;
        kernel(c);
    };
    where.parallel_for(loops.items(),
                       loops.cost(static_cast<double>(element_size(x)), static_cast<double>(element_size(dx))),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
}

template <class N, class Executor>
void max_pool_backward(const place<Executor>& where, const operand& x, const operand& dy, const operand& dx,
                       const pool_window& window) {
    constexpr const char* op = "max_pool_backward";
    check_operand(op, "input", x);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_window_gradients(op, g, {x, dy, dx});
    check_taps(op, g, window);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::pool_backward_table<N>& kernels = pool_backward_kernels_of<N>(t);
    if (size(x) == 0)
        return;
    run_gradients(where, g, x, dy, dx, {}, kernels.max, rows_of_gradients(g));
}

template <class N, class Executor>
void average_pool_backward(const place<Executor>& where, const operand& dy, const operand& dx,
                           const pool_window& window, const average_pool_options& options) {
    constexpr const char* op = "average_pool_backward";
    check_operand(op, "gradient", dy);
    check_operand(op, "output", dx);
    const window_geometry g = check_window(op, window, dx.extent, dx.rank);
    check_window_extents(op, "gradient", g, dx, dy);
    check_divisor(op, options);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::pool_backward_table<N>& kernels = pool_backward_kernels_of<N>(t);
    if (size(dx) == 0)
        return;
    check_distinct(op, dx);
    check_apart(op, dy, dx, "output", "gradient");
    run_gradients(where, g, dx, dy, dx, {options.count_include_padding, static_cast<double>(options.divisor)},
                  kernels.average);
}

template <class Input, class Output, bool Viewable> TARN_INLINE constexpr void assert_pool() {
    static_assert(!Viewable || detail::is_element_pair<typename Input::value_type, typename Output::value_type>::value,
                  "tarn: pooling takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits with "
                  "results in float");
    static_assert(!Viewable || Input::rank == Output::rank, "tarn: input and output of pooling have different ranks");
    static_assert(!Viewable || Input::rank >= 1, "tarn: pooling needs an axis of space: operands of rank 1 to 5");
}

} // namespace shape

// The extents of what pooling gives for an input: those of the input, but for the axes of space the number of windows.
//
//   x        the input of the pooling operator, of any rank from 1 to 5; only its extents matter
// Errors     std::invalid_argument (message and abort without exceptions): those of the operators for a window.
template <class X> TARN_INLINE auto pool_output_extents(const X& x, const pool_window& window) {
    const auto input = detail::input_view(x);
    constexpr int rank = decltype(input)::rank;
    std::array<std::ptrdiff_t, static_cast<std::size_t>(rank)> r{};
    const shape::window_geometry g = shape::check_window("pool_output_extents", window, input.extent, rank);
    for (int i = 0; i < rank; ++i)
        r[static_cast<std::size_t>(i)] = g.in_space(i) ? g.of(i).out : input.extent[i];
    return r;
}

// The greatest element of every window, and which it is.
//
//   x        maps: float, double, float16 or bfloat16, rank 1 to 5, any strides. [..., channels, space...], or with
//            layout::channels_last [..., space..., channels]: 1 to 3 axes of space, as many as the kernel has numbers;
//            all other axes are independent of each other
//   y        the type of x, or float for x of 16 bits; the extents that pool_output_extents gives, any strides but 0;
//            memory apart from x
//   indices  std::int32_t or std::int64_t, the extents of y, any strides but 0: where the element is within its map,
//            counted along the axes of space, the last fastest; -1 in windows without members. tarn::none, or left
//            out: not wanted
//   window   kernel, stride, padding, dilation, rounding and layout: see pool_window. Default: windows side by side
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN is greater than any number. Of equal elements, and of several NaN, the first in the order of
//                  indices counts. A window without members (all of it padding): -inf.
// Accuracy         exact. The same on all tiers.
// Memory           x is read once from memory, by windows that overlap again from a cache; y is written once. No
//                  allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents, a window
//                  that pool_window does not allow or that has no room in x, null data, outputs with a stride of 0 or
//                  that certainly share elements with another operand, indices of 32 bits for maps of 2^31 elements.
template <class Executor, class X, class Y>
TARN_INLINE void max_pool(const place<Executor>& where, const X& x, Y&& y, const pool_window& window) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::max_pool<number>(where, shape::erase(input), shape::erase(output), nullptr, window);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void max_pool(const X& x, Y&& y, const pool_window& window) {
    max_pool(on(serial), x, static_cast<Y&&>(y), window);
}
template <class Executor, class X, class Y, class Indices>
TARN_INLINE void max_pool(const place<Executor>& where, const X& x, Y&& y, Indices&& indices,
                          const pool_window& window) {
    if constexpr (detail::is_none<Indices>) {
        max_pool(where, x, static_cast<Y&&>(y), window);
    } else {
        const auto input = detail::input_view(x);
        const auto output = detail::output_view(static_cast<Y&&>(y));
        const auto index = detail::output_view(static_cast<Indices&&>(indices));
        constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
        shape::assert_pool<decltype(input), decltype(output), viewable>();
        constexpr bool has_index = detail::accepts_output<Indices>::value;
        static_assert(!has_index || detail::is_index<typename decltype(index)::value_type>,
                      "tarn: indices are std::int32_t or std::int64_t");
        static_assert(!(viewable && has_index) || decltype(index)::rank == decltype(output)::rank,
                      "tarn: indices have the rank of the output");
        using number = detail::number_of<typename decltype(input)::value_type>;
        const shape::operand where_to = shape::erase_indices(index);
        shape::max_pool<number>(where, shape::erase(input), shape::erase(output), &where_to, window);
    }
}
template <class X, class Y, class Indices, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void max_pool(const X& x, Y&& y, Indices&& indices, const pool_window& window) {
    max_pool(on(serial), x, static_cast<Y&&>(y), static_cast<Indices&&>(indices), window);
}

// The average of every window: the sum of its members divided by their number, or by what the options say.
//
//   x, y, window, where   as for max_pool
//   options               see average_pool_options
//
// Special values   NaN gives NaN; so do +inf and -inf in one window. A window without members: 0. Results below 2^-126
//                  (doubles: 2^-1022) are 0.
// Accuracy         within 9 * 2^-24 (doubles: 2^-53) of sum |x| / divisor; 2 of them for windows of which rows and
//                  columns are more than 16 together.
// Determinism      the bits of a result depend on the members of its window, the kernel and the options only: not on
//                  the tier, the layout, strides, threads or other windows.
// Memory, errors   as max_pool; a divisor below 0.
template <class Executor, class X, class Y>
TARN_INLINE void average_pool(const place<Executor>& where, const X& x, Y&& y, const pool_window& window,
                              const average_pool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::average_pool<number>(where, shape::erase(input), shape::erase(output), window, options);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void average_pool(const X& x, Y&& y, const pool_window& window, const average_pool_options& options = {}) {
    average_pool(on(serial), x, static_cast<Y&&>(y), window, options);
}

// The gradient of max_pool: dx_i is the sum of dy over the windows of which x_i is the greatest element, the first of
// several, or the first NaN.
//
//   x        the input of the forward call
//   dy       the type of x; the extents of its results, any strides
//   dx       the type of x, or float for x of 16 bits; the extents of x, any strides but 0; memory apart from x and dy
//   window, where   as for max_pool
//
// Accuracy         sums of floats, doubles for doubles, in the order of the windows: exact where windows do not overlap.
// Determinism      on all tiers the same; the bits do not depend on threads or on other maps.
// Memory           x is read once, by windows that overlap again from a cache; dx is written once, of channels last by
//                  windows that overlap again in a cache. No allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as max_pool.
template <class Executor, class X, class DY, class DX>
TARN_INLINE void max_pool_backward(const place<Executor>& where, const X& x, const DY& dy, DX&& dx,
                                   const pool_window& window) {
    const auto input = detail::input_view(x);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::max_pool_backward<number>(where, shape::erase(input), shape::erase(gradient), shape::erase(output), window);
}
template <class X, class DY, class DX, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void max_pool_backward(const X& x, const DY& dy, DX&& dx, const pool_window& window) {
    max_pool_backward(on(serial), x, dy, static_cast<DX&&>(dx), window);
}

// The gradient of average_pool: dx_i is the sum, over the windows of which x_i is a member, of dy divided by what the
// window's sum was divided by.
//
//   dy       float, double, float16 or bfloat16; the extents of the results of average_pool, any strides
//   dx       the type of dy, or float for dy of 16 bits; the extents of the input of the forward call, any strides but
//            0; memory apart from dy
//   window, options, where   as for average_pool
//
// Special values   quotients below 2^-126 (doubles: 2^-1022) count as 0.
// Accuracy         within (2 + w) * 2^-24 (doubles: 2^-53) of the sum of |dy| / divisor over its w windows.
// Determinism, memory, errors   as max_pool_backward; a divisor below 0.
template <class Executor, class DY, class DX>
TARN_INLINE void average_pool_backward(const place<Executor>& where, const DY& dy, DX&& dx, const pool_window& window,
                                       const average_pool_options& options = {}) {
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable = detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(gradient)::value_type>;
    shape::average_pool_backward<number>(where, shape::erase(gradient), shape::erase(output), window, options);
}
template <class DY, class DX, std::enable_if_t<!detail::is_place<DY>::value, int> = 0>
TARN_INLINE void average_pool_backward(const DY& dy, DX&& dx, const pool_window& window,
                                       const average_pool_options& options = {}) {
    average_pool_backward(on(serial), dy, static_cast<DX&&>(dx), window, options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
