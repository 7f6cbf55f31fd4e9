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

namespace shape {

inline void check_power(const char* op, const char* argument, double p) {
    if (!(p == p))
        fail(op, argument, std::to_string(p), "a number or an infinity");
}
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

template <class N, class Executor>
void gem_pool(const place<Executor>& where, const operand& x, const operand& y, const pool_window& window,
              const gem_pool_options& options) {
    constexpr const char* op = "gem_pool";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_pool(op, x, y, g);
    check_power(op, "p", options.p);
    check_gem_epsilon<N>(op, options.epsilon);
    const tier t = check_tier(op, where.tier_index);
    dispatch::window_power power{options.p, options.epsilon};
    const auto kernel = gem_kernel(gem_kernels_of<N>(t), power);
    if (size(y) == 0)
        return;
    const window_loops loops(g, g.axis[0].out * g.axis[1].out, 2, operand_list::of(x, y));
    const auto run = [&](const window_loops::part& p) {
        dispatch::window_planes w = loops.windows(p);
        w.power = power;
        kernel(w);
    };
    where.parallel_for(loops.items(), loops.cost(static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
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
// Accuracy         floats: 1 ulp. Doubles: 2^-51 + 2^-50 / |p| of the result, and for |p| of at most 2^-11 2^-52 + 2^-51
//                  m, m the greatest |log2 max(x, epsilon)|. Of infinite p: exact.
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

} // namespace TARN_BACKEND
}} // namespace tarn
