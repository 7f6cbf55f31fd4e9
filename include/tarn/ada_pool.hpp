// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/pool.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/ada_pool_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(ada_pool)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

namespace shape {

// A number for every window, aligned at the last axis of space, repeated along those where its extent is 1 or missing.
inline dispatch::ada_shares check_beta(const char* op, const operand& beta, const window_geometry& g) {
    check_operand(op, "beta", beta);
    dispatch::ada_shares r{beta.data, beta.type == element::float64, {}};
    std::ptrdiff_t expected[dispatch::window_axes];
    bool fits = beta.rank <= g.count;
    for (int i = 0; i < g.count; ++i)
        expected[i] = g.axis[dispatch::window_axes - g.count + i].out;
    for (int i = 0; i < beta.rank && fits; ++i) {
        const int axis = g.count - beta.rank + i;
        fits = beta.extent[i] == 1 || beta.extent[i] == expected[axis];
        r.step[dispatch::window_axes - beta.rank + i] = beta.extent[i] == 1 ? 0 : beta.stride[i];
    }
    if (!fits)
        fail(op, "beta", "extents " + list(beta.extent, beta.rank),
             "extents that broadcast to " + list(expected, g.count));
    return r;
}

// beta: null for eDSCW alone.
template <class N, class Executor>
void ada_pool(const place<Executor>& where, const char* op, const operand& x, const operand* beta, const operand& y,
              const pool_window& window) {
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_pool(op, x, y, g);
    const dispatch::ada_shares shares = beta ? check_beta(op, *beta, g) : dispatch::ada_shares{};
    const tier t = check_tier(op, where.tier_index);
    const dispatch::ada_pool_table<N>& kernels = ada_pool_kernels_of<N>(t);
    if (size(y) == 0)
        return;
    if (beta)
        check_apart(op, *beta, y, "output", "beta");
    const map_loops loops(g, g.axis[0].out * g.axis[1].out, 2, operand_list::of(x, y));
    const auto run = [&](const map_loops::part& p) {
        dispatch::ada_windows c{loops.windows(p), shares};
        c.windows.scale = 1;
        (beta ? kernels.pool : kernels.edscw)(c);
    };
    where.parallel_for(loops.items(), loops.cost(static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
}

template <class Beta, bool Viewable> TARN_INLINE constexpr void assert_beta() {
    using type = std::remove_const_t<typename Beta::value_type>;
    static_assert(!Viewable || std::is_same<type, float>::value || std::is_same<type, double>::value,
                  "tarn: beta is of float or double");
    static_assert(!Viewable || Beta::rank <= 3, "tarn: beta has at most the axes of space, 3");
}

} // namespace shape

// adaPool: two averages of every window in one, that of eDSCW, whose weights grow with the similarity of an element and
// the window's mean a, and that of eM, which is SoftPool (soft_pool.hpp):
//
//   y = b sum_i w_i x_i + (1 - b) sum_i e_i x_i,   w_i = exp(s_i) / sum_j exp(s_j),   s_i = 2 |x_i a| / (x_i^2 + a^2),
//                                                  e_i = exp(x_i) / sum_j exp(x_j)
//
// (AdaPool: Exponential Adaptive Pooling for Information-Retaining Downsampling, arXiv 2111.00772.) The similarity, the
// Dice-Sorensen coefficient, is 1 where |x_i| = |a|, and 0 where one of both is 0. edscw_pool below is the first average
// alone.
//
//   x        maps: float, double, float16 or bfloat16, rank 1 to 5, any strides. [..., channels, space...], or with
//            layout::channels_last [..., space..., channels]: 1 to 3 axes of space, as many as the kernel has numbers;
//            all other axes are independent of each other
//   beta     b: float or double, a number for all windows (rank 0), or regional: for every place of windows in space,
//            [space...] of y, shared by all maps; any strides, repeated along axes where its extent is 1 or missing.
//            Below 0 counts as 0, as does what is below 2^-60 (doubles: 2^-200); above 1 as 1
//   y        the type of x, or float for x of 16 bits; the extents that pool_output_extents gives, any strides but 0;
//            memory apart from x and beta
//   window   kernel, stride, padding, dilation, rounding and layout: see pool_window. Padding is no part of a mean and
//            has no weight. Default: windows side by side
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN in a window, or in its beta, gives NaN. With b of 0 the result is soft_pool's. Otherwise
//                  infinite elements give an infinity of their sign, those of both signs NaN. A window without members:
//                  0. Results below 2^-126 (doubles: 2^-1022) are 0.
// Accuracy         safe for elements of any size. The first average is within u (2 |y| + 8 k m) of the formula: m is the
//                  mean of |x_i|, k the rows and columns of a window together, u = 2^-24, for doubles 2^-53; the second
//                  within the bound of soft_pool. Together they are within both bounds, with their shares, and
//                  u (|first| + |second|) more. For results of 16 bits, half an ulp of theirs more.
// Determinism      the bits of a result depend on the members of its window, the kernel and beta only: not on the
//                  layout, strides, threads or other windows. The same on AVX2 and AVX-512; not on SSE2.
// Memory           x is read once from memory, by windows that overlap again from a cache; y is written once. No
//                  allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: those of max_pool;
//                  extents of beta.
template <class Executor, class X, class Beta, class Y>
TARN_INLINE void ada_pool(const place<Executor>& where, const X& x, const Beta& beta, Y&& y,
                          const pool_window& window) {
    const auto input = detail::input_view(x);
    const auto shares = detail::input_view(beta);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_beta<decltype(shares), detail::accepts_input<Beta>::value>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand b = shape::erase(shares);
    shape::ada_pool<number>(where, "ada_pool", shape::erase(input), &b, shape::erase(output), window);
}
template <class X, class Beta, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void ada_pool(const X& x, const Beta& beta, Y&& y, const pool_window& window) {
    ada_pool(on(serial), x, beta, static_cast<Y&&>(y), window);
}

// eDSCW, the first of the two averages alone: the bits that ada_pool gives with beta of 1. Of -x it is the negative, of
// c x the c-fold.
//
//   x, y, window, where   as for ada_pool
//
// Special values, accuracy, determinism, memory, errors   as ada_pool.
template <class Executor, class X, class Y>
TARN_INLINE void edscw_pool(const place<Executor>& where, const X& x, Y&& y, const pool_window& window) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::ada_pool<number>(where, "edscw_pool", shape::erase(input), nullptr, shape::erase(output), window);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void edscw_pool(const X& x, Y&& y, const pool_window& window) {
    edscw_pool(on(serial), x, static_cast<Y&&>(y), window);
}

} // namespace TARN_BACKEND
}} // namespace tarn
