// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/gem_table.hpp>
#include <tarn/indices.hpp>
#include <tarn/pool.hpp>
#include <tarn/shape/gem_groups.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/gem_backward_kernels.hpp>
#include <tarn/dispatch/gem_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(gem)
TARN_DEFINE_KERNELS_OF(gem_backward)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

struct gem_pool_options {
    // The power: any number, +inf or -inf. 1: the mean, 0: the geometric mean, inf: the greatest, -inf: the least.
    double p = 3;
    // Smaller elements count as this: 2^-126 (doubles 2^-1000) to 2^127.
    double epsilon = 1e-6;
};

struct ggem_pool_options {
    double epsilon = 1e-6; // as for gem_pool
};

namespace shape {

template <class N, class Executor>
void run_gem(const place<Executor>& where, const char* op, const window_geometry& g, const operand& x, const operand& y,
             const gem_groups& groups, double epsilon) {
    const dispatch::gem_table<N>& kernels = gem_kernels_of<N>(check_tier(op, where.tier_index));
    if (size(y) == 0)
        return;
    const operand x_group = groups.first(x);
    const operand y_group = groups.first(y);
    const map_loops loops(g, g.axis[0].out * g.axis[1].out, 2, operand_list::of(x_group, y_group));
    const auto run_group = [&](std::ptrdiff_t group, std::ptrdiff_t begin, std::ptrdiff_t end) {
        dispatch::window_power power{groups.of(group), epsilon};
        const auto kernel = gem_kernel(kernels, power);
        loops.run(begin, end, [&](const map_loops::part& p) {
            dispatch::window_planes w = loops.windows(p);
            groups.move(w.x, x, group);
            groups.move(w.y, y, group);
            w.power = power;
            kernel(w);
        });
    };
    groups.run(where, loops.items(), loops.cost(static_cast<double>(element_size(x)), 0), run_group);
}

template <class N, class Executor>
void gem_pool(const place<Executor>& where, const operand& x, const operand& y, const pool_window& window,
              const gem_pool_options& options) {
    constexpr const char* op = "gem_pool";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_pool(op, x, y, g);
    check_power(op, options.p);
    check_gem_epsilon<N>(op, options.epsilon);
    run_gem<N>(where, op, g, x, y, {1, 0, nullptr, options.p}, options.epsilon);
}

template <class N, class Executor>
void ggem_pool(const place<Executor>& where, const operand& x, const operand& p, const operand& y,
               const pool_window& window, const ggem_pool_options& options) {
    constexpr const char* op = "ggem_pool";
    check_operand(op, "input", x);
    check_operand(op, "p", p);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    const gem_groups groups = check_groups(op, window, g, x, p);
    check_pool(op, x, y, g);
    if (size(y) > 0)
        check_apart(op, p, y, "output", "p");
    check_gem_epsilon<N>(op, options.epsilon);
    run_gem<N>(where, op, g, x, y, groups, options.epsilon);
}

inline void check_gem_backward(const char* op, const pool_window& window, const window_geometry& g,
                               const window_gradient_operands& o, const gem_groups& groups) {
    check_window_gradients(op, g, o);
    for (std::ptrdiff_t i = 0; i < groups.count; ++i) {
        if (is_infinite_power(groups.of(i)))
            check_taps(op, g, window);
    }
}

template <class N, class Executor>
void run_gem_backward(const place<Executor>& where, const char* op, const window_geometry& g,
                      const window_gradient_operands& o, const gem_groups& groups, double epsilon) {
    const tier t = check_tier(op, where.tier_index);
    const dispatch::gem_table<N>& means = gem_kernels_of<N>(t);
    const dispatch::gem_backward_table<N>& kernels = gem_backward_kernels_of<N>(t);
    if (size(o.x) == 0) {
        for (std::ptrdiff_t i = 0; o.dparameter && i < groups.count; ++i)
            groups.put(*o.dparameter, i, 0);
        return;
    }
    const operand x_group = groups.first(o.x);
    const operand dy_group = groups.first(o.dy);
    const operand dx_group = groups.first(o.dx);
    const map_loops loops(g, g.axis[0].in * g.axis[1].in, 3, operand_list::of(x_group, dy_group, dx_group),
                          rows_of_gradients(g), g.rows_of_tiles());
    // What a part of a group gives to dp.
    const auto run_items = [&](std::ptrdiff_t group, std::ptrdiff_t begin, std::ptrdiff_t end) {
        dispatch::window_power power{groups.of(group), epsilon};
        const auto mean = gem_kernel(means, power);
        double sum = 0;
        loops.run(begin, end, [&](const map_loops::part& p) {
            dispatch::gem_gradients c{
                {loops.windows(p), loops.plane(1, p), loops.plane(2, p)}, mean, o.dparameter ? &sum : nullptr};
            groups.move(c.windows.x, o.x, group);
            groups.move(c.dy, o.dy, group);
            groups.move(c.dx, o.dx, group);
            c.windows.power = power;
            if (is_infinite_power(power.p))
                kernels.extreme(c);
            else if (!o.dparameter && (power.p == 2 || power.p == 3 || power.p == 4))
                kernels.integer_powers[static_cast<int>(power.p) - 2](c);
            else if (is_quick_power(power.p))
                kernels.quick_powers(c);
            else
                kernels.powers(c);
        });
        return sum;
    };
    const item_cost item = loops.cost(static_cast<double>(element_size(o.x)), static_cast<double>(element_size(o.dx)));
    if (!o.dparameter) {
        groups.run(where, loops.items(), item, run_items);
        return;
    }
    const gem_parts parts(groups.count, loops.items());
    const item_cost cost = parts.cost(item);
    double sum[gem_parts::most];
    for (std::ptrdiff_t first = 0; first < groups.count; first += parts.groups) {
        const std::ptrdiff_t some = groups.count - first < parts.groups ? groups.count - first : parts.groups;
        where.parallel_for(some * parts.of_group, cost, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const std::ptrdiff_t part = i % parts.of_group;
                sum[i] = run_items(first + i / parts.of_group, parts.first_item(part), parts.first_item(part + 1));
            }
        });
        for (std::ptrdiff_t i = 0; i < some; ++i) {
            double total = 0;
            for (std::ptrdiff_t part = 0; part < parts.of_group; ++part)
                total += sum[i * parts.of_group + part];
            groups.put(*o.dparameter, first + i, total);
        }
    }
}

template <class N, class Executor>
void gem_pool_backward(const place<Executor>& where, const operand& x, const operand& dy, const operand& dx,
                       const operand* dp, const pool_window& window, const gem_pool_options& options) {
    constexpr const char* op = "gem_pool_backward";
    check_operand(op, "input", x);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_power(op, options.p);
    check_gem_epsilon<N>(op, options.epsilon);
    const gem_groups groups{1, 0, nullptr, options.p};
    const window_gradient_operands o{x, dy, dx, nullptr, dp, "p", "p_gradient"};
    check_gem_backward(op, window, g, o, groups);
    run_gem_backward<N>(where, op, g, o, groups, options.epsilon);
}

template <class N, class Executor>
void ggem_pool_backward(const place<Executor>& where, const operand& x, const operand& p, const operand& dy,
                        const operand& dx, const operand* dp, const pool_window& window,
                        const ggem_pool_options& options) {
    constexpr const char* op = "ggem_pool_backward";
    check_operand(op, "input", x);
    check_operand(op, "p", p);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    const gem_groups groups = check_groups(op, window, g, x, p);
    check_gem_epsilon<N>(op, options.epsilon);
    const window_gradient_operands o{x, dy, dx, &p, dp, "p", "p_gradient"};
    check_gem_backward(op, window, g, o, groups);
    run_gem_backward<N>(where, op, g, o, groups, options.epsilon);
}

template <class P, bool Viewable> TARN_INLINE constexpr void assert_powers() {
    using power = std::remove_const_t<typename P::value_type>;
    static_assert(!Viewable || std::is_same<power, float>::value || std::is_same<power, double>::value,
                  "tarn: powers and gradients in them are float or double");
}

} // namespace shape

// The generalized mean of every window, ((1 / n) sum max(x, epsilon)^p)^(1 / p) of its n members.
// "Fine-tuning CNN Image Retrieval with No Human Annotation" (arXiv 1711.02512).
//
//   x, y     as for max_pool
//   window   as for max_pool; to pool whole maps, a kernel of their extents
//   options  the power and what elements are at least: see gem_pool_options
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   p = 0, +inf and -inf are limits: the geometric mean, the greatest and the least of max(x, epsilon);
//                  |p| above 2^40 counts as infinite. NaN gives NaN. An infinite element gives infinity, but where p is
//                  negative it adds 0 to the sum, and only windows of nothing else give infinity. A window without
//                  members (all of it padding): 0. Neither powers nor sums overflow or vanish, whatever p.
// Accuracy         floats: 2^-24 + 2^-34 of the result, but for 1 < |p| <= 7 other than 2, 3 and 4
//                  2^-24 (1.75 + 1.5 / |p|). Doubles, with k the rows and columns of a window together:
//                  2^-51 + (2^-50 + k 2^-53) / |p|; for |p| of at most 2^-11 and finite elements
//                  2^-52 + (2^-51 + k 2^-53) m, m the greatest |log2 max(x, epsilon)|. Of infinite p: exact.
// Determinism      the bits of a result depend on the members of its window, the kernel and the options only: not on
//                  AVX2 or AVX-512, the layout, strides, threads or other windows.
// Memory           x is read once from memory, by windows that overlap again from a cache; y is written once. No
//                  allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as max_pool; p is
//                  NaN, epsilon is out of its range.
template <class Executor, class X, class Y>
TARN_INLINE void gem_pool(const place<Executor>& where, const X& x, Y&& y, const pool_window& window,
                          const gem_pool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::gem_pool<number>(where, shape::erase(input), shape::erase(output), window, options);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void gem_pool(const X& x, Y&& y, const pool_window& window, const gem_pool_options& options = {}) {
    gem_pool(on(serial), x, static_cast<Y&&>(y), window, options);
}

// The same with a power for each group of channels: group i of g groups is channels i * c / g to (i + 1) * c / g - 1.
// "Group Generalized Mean Pooling for Vision Transformer" (arXiv 2212.04114). As many powers as channels: each its own.
//
//   x, y     as for gem_pool; channels are the axis before those of the windows, or the last with channels_last
//   p        float or double, one axis of g powers, any stride; g divides the channels. Powers as for gem_pool, NaN gives
//            NaN; they are read while results are written, so y must not share memory with them
//   window, where   as for gem_pool
//   options  see ggem_pool_options
//
// Special values, accuracy, determinism, memory, errors   as gem_pool, whose bits results have; no channels, or as many
//          powers as do not divide them.
template <class Executor, class X, class P, class Y>
TARN_INLINE void ggem_pool(const place<Executor>& where, const X& x, const P& p, Y&& y, const pool_window& window,
                           const ggem_pool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto powers = detail::input_view(p);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<P>::value && detail::accepts_output<Y>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_powers<decltype(powers), viewable>();
    static_assert(!viewable || decltype(powers)::rank == 1, "tarn: powers have one axis, of groups");
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::ggem_pool<number>(where, shape::erase(input), shape::erase(powers), shape::erase(output), window, options);
}
template <class X, class P, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void ggem_pool(const X& x, const P& p, Y&& y, const pool_window& window,
                           const ggem_pool_options& options = {}) {
    ggem_pool(on(serial), x, p, static_cast<Y&&>(y), window, options);
}

// The gradients of gem_pool: in x, with the results y_j of the windows j of which x_i is a member, of n_j members each,
// and in p, with h_j the derivative of y_j,
//
//   dx_i = sum_j dy_j (1 / n_j) (x_i / y_j)^(p - 1), 0 for x_i below epsilon
//   dp   = sum_j dy_j h_j,   h_j = (y_j / p) (sum_i W_ij ln x_i - ln y_j),   W_ij = x_i^p / sum_k x_k^p
//
// where x counts as epsilon if it is less. Results are computed again from x.
//
//   x        the input of the forward call
//   dy       the type of x; the extents of its results, any strides
//   dx       the type of x, or float for x of 16 bits; the extents of x, any strides but 0; memory apart from x and dy
//   dp       a float or double; memory apart from all others; tarn::none: not wanted
//   window, options, where   as for gem_pool
//
// Special values   p = 0 and the infinite p are limits: h = y Var(ln x) / 2; dy to the first element that is the
//                  greatest or the least, and not below epsilon, and h = 0. NaN in a window, or in its dy, gives NaN to
//                  all its members that are not below epsilon, with an infinite p only to the first; and to dp. Of an
//                  infinite result x / y is 1 for infinite elements and 0 for others, and dp is NaN, which it may also
//                  be where products dy y are infinite. Products with dy of magnitudes below 2^-100 (doubles: 2^-960)
//                  may count as 0; for p of 2, 3 and 4 powers of x / y below 2^-120 (doubles: 2^-960), for dp products
//                  dy y of doubles below 2^-800, too.
// Accuracy         u = 2^-24, for doubles 2^-53; v is the bound of gem_pool, s = v + 8 u; x_i has w windows. dx: within
//                  (|p - 1| s + (8 + w) u) sum_j |dy_j| (1 / n_j) (x_i / y_j)^(p - 1) + 2^-90 sum_j (1 + |dy_j|), for
//                  doubles 2^-940. dp: within s sum_j |dy_j| ((1 + |p|) h_j + y_j (s + sum_i W_ij |ln(x_i / y_j)|)).
//                  For gradients of 16 bits, half an ulp of theirs more.
// Determinism      dx: as gem_pool; but its bits depend on whether dp is wanted. dp: sums in a fixed order, which
//                  depends on extents, strides and the tier, not on threads.
// Memory           x is read for the results and again for the gradients, from a cache where windows fit into one; dx
//                  is written once, of channels last and with an infinite p by windows that overlap again in a cache. No
//                  allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as gem_pool; with
//                  an infinite p windows of more than 2^24 elements.
template <class Executor, class X, class DY, class DX, class DP>
TARN_INLINE void gem_pool_backward(const place<Executor>& where, const X& x, const DY& dy, DX&& dx, DP&& dp,
                                   const pool_window& window, const gem_pool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    const auto run = [&](const shape::operand* to) {
        shape::gem_pool_backward<number>(where, shape::erase(input), shape::erase(gradient), shape::erase(output), to,
                                         window, options);
    };
    if constexpr (detail::is_none<DP>) {
        run(nullptr);
    } else {
        const auto power = detail::output_view(static_cast<DP&&>(dp));
        constexpr bool has_power = detail::accepts_output<DP>::value;
        shape::assert_powers<decltype(power), has_power>();
        static_assert(!has_power || decltype(power)::rank == 0, "tarn: the gradient in the power is a number");
        const shape::operand to = shape::erase(power);
        run(&to);
    }
}
template <class X, class DY, class DX, class DP, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void gem_pool_backward(const X& x, const DY& dy, DX&& dx, DP&& dp, const pool_window& window,
                                   const gem_pool_options& options = {}) {
    gem_pool_backward(on(serial), x, dy, static_cast<DX&&>(dx), static_cast<DP&&>(dp), window, options);
}

// The gradients of ggem_pool: those of gem_pool for every group of channels.
//
//   x, dy, dx   as for gem_pool_backward
//   p        as for ggem_pool; it is read while gradients are written, so these must not share memory with it
//   dp       float or double, one axis of as many numbers as p, any stride but 0; memory apart from all others; or
//            tarn::none
//   window, options, where   as for ggem_pool
//
// Special values, accuracy, determinism, memory, errors   as gem_pool_backward, whose bits dx has; a power of NaN gives
//          NaN; errors of ggem_pool.
template <class Executor, class X, class P, class DY, class DX, class DP>
TARN_INLINE void ggem_pool_backward(const place<Executor>& where, const X& x, const P& p, const DY& dy, DX&& dx,
                                    DP&& dp, const pool_window& window, const ggem_pool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto powers = detail::input_view(p);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_input<P>::value &&
                              detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    shape::assert_powers<decltype(powers), viewable>();
    static_assert(!viewable || decltype(powers)::rank == 1, "tarn: powers have one axis, of groups");
    using number = detail::number_of<typename decltype(input)::value_type>;
    const auto run = [&](const shape::operand* to) {
        shape::ggem_pool_backward<number>(where, shape::erase(input), shape::erase(powers), shape::erase(gradient),
                                          shape::erase(output), to, window, options);
    };
    if constexpr (detail::is_none<DP>) {
        run(nullptr);
    } else {
        const auto given = detail::output_view(static_cast<DP&&>(dp));
        constexpr bool has_powers = detail::accepts_output<DP>::value;
        shape::assert_powers<decltype(given), has_powers>();
        static_assert(!has_powers || decltype(given)::rank == 1,
                      "tarn: the gradient in the powers has one axis, of groups");
        const shape::operand to = shape::erase(given);
        run(&to);
    }
}
template <class X, class P, class DY, class DX, class DP, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void ggem_pool_backward(const X& x, const P& p, const DY& dy, DX&& dx, DP&& dp, const pool_window& window,
                                    const ggem_pool_options& options = {}) {
    ggem_pool_backward(on(serial), x, p, dy, static_cast<DX&&>(dx), static_cast<DP&&>(dp), window, options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
