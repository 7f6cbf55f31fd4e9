// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/gem_table.hpp>
#include <tarn/pool.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/gem_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(gem)

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

template <class N> void check_gem_epsilon(const char* op, double epsilon) {
    constexpr bool doubles = sizeof(N) == 8;
    if (!(epsilon >= (doubles ? 0x1p-1000 : 0x1p-126) && epsilon <= 0x1p127))
        fail(op, "epsilon", std::to_string(epsilon), doubles ? "2^-1000 to 2^127" : "2^-126 to 2^127");
}

// The kernel for a power. Which it is depends on the power and the type only.
template <class N> auto gem_kernel(const dispatch::gem_table<N>& kernels, dispatch::window_power& power) noexcept {
    constexpr double greatest_scaled = 0x1p40;
    constexpr double least = 0x1p-11;
    constexpr double greatest_of_floats = 7;
    const double size = power.p < 0 ? -power.p : power.p;
    if (size > greatest_scaled)
        return kernels.extreme;
    if (size <= least) {
        // What powers so small would change of the geometric mean is nothing, and their products are denormal.
        if (size < 0x1p-100)
            power.p = 0;
        return kernels.logs;
    }
    if (power.p == 2 || power.p == 3 || power.p == 4)
        return kernels.integer_powers[static_cast<int>(power.p) - 2];
    return size <= greatest_of_floats ? kernels.powers : kernels.scaled_powers;
}

// Powers, one for each of so many groups of channels that follow each other.
struct gem_groups {
    std::ptrdiff_t count;
    int axis; // of the channels; not used for a single group
    const operand* p;
    double power;

    double of(std::ptrdiff_t group) const noexcept {
        if (!p)
            return power;
        const std::ptrdiff_t at = group * p->stride[0];
        return p->type == element::float64 ? static_cast<const double*>(p->data)[at]
                                           : static_cast<double>(static_cast<const float*>(p->data)[at]);
    }
    // The first group of an operand.
    operand first(const operand& v) const noexcept {
        operand r = v;
        if (p)
            r.extent[axis] /= count;
        return r;
    }
    // From group to group of an operand, in elements.
    std::ptrdiff_t step(const operand& v) const noexcept { return p ? v.extent[axis] / count * v.stride[axis] : 0; }
};

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
            w.x.data = static_cast<char*>(w.x.data) + group * groups.step(x) * element_size(x);
            w.y.data = static_cast<char*>(w.y.data) + group * groups.step(y) * element_size(y);
            w.power = power;
            kernel(w);
        });
    };
    const std::ptrdiff_t items = loops.items();
    where.parallel_for(groups.count * items, loops.cost(static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                           while (begin < end) {
                               const std::ptrdiff_t group = begin / items;
                               const std::ptrdiff_t first = group * items;
                               const std::ptrdiff_t last = end < first + items ? end : first + items;
                               run_group(group, begin - first, last - first);
                               begin = last;
                           }
                       });
}

template <class N, class Executor>
void gem_pool(const place<Executor>& where, const operand& x, const operand& y, const pool_window& window,
              const gem_pool_options& options) {
    constexpr const char* op = "gem_pool";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_pool(op, x, y, g);
    if (!(options.p == options.p))
        fail(op, "p", std::to_string(options.p), "a number or an infinity");
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
    const int axis = window.layout == layout::channels_last ? x.rank - 1 : g.first - 1;
    if (axis < 0)
        fail(op, "input", "extents " + list(x.extent, x.rank), "an axis of channels before those of the windows");
    check_pool(op, x, y, g);
    const std::ptrdiff_t groups = p.extent[0];
    if (groups < 1 || x.extent[axis] % groups != 0)
        fail(op, "p", "extents " + list(p.extent, 1),
             "as many powers as groups of equal size of " + std::to_string(x.extent[axis]) + " channels");
    if (size(y) > 0)
        check_apart(op, p, y, "output", "p");
    check_gem_epsilon<N>(op, options.epsilon);
    run_gem<N>(where, op, g, x, y, {groups, axis, &p, 0}, options.epsilon);
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
// Accuracy         floats: 2^-24 + 2^-34 of the result. Doubles: 2^-51 + 2^-50 / |p|; for |p| of at most 2^-11 and finite
//                  elements 2^-52 + 2^-51 m, m the greatest |log2 max(x, epsilon)|. Of infinite p: exact.
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
    using power = std::remove_const_t<typename decltype(powers)::value_type>;
    static_assert(!viewable || std::is_same<power, float>::value || std::is_same<power, double>::value,
                  "tarn: powers are float or double");
    static_assert(!viewable || decltype(powers)::rank == 1, "tarn: powers have one axis, of groups");
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::ggem_pool<number>(where, shape::erase(input), shape::erase(powers), shape::erase(output), window, options);
}
template <class X, class P, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void ggem_pool(const X& x, const P& p, Y&& y, const pool_window& window,
                           const ggem_pool_options& options = {}) {
    ggem_pool(on(serial), x, p, static_cast<Y&&>(y), window, options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
