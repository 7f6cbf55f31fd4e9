// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/pool.hpp>
#include <tarn/shape/beta_sums.hpp>
#include <tarn/shape/denormals.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/ada_pool_backward_kernels.hpp>
#include <tarn/dispatch/ada_pool_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(ada_pool)
TARN_DEFINE_KERNELS_OF(ada_pool_backward)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

namespace shape {

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
        with_zero_denormals([&] { (beta ? kernels.pool : kernels.edscw)(c); });
    };
    where.parallel_for(loops.items(), loops.cost(static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
}

template <class N, class Executor>
void ada_pool_backward(const place<Executor>& where, const char* op, const window_gradient_operands& o,
                       const pool_window& window) {
    const operand* const beta = o.parameter;
    check_operand(op, "input", o.x);
    const window_geometry g = check_window(op, window, o.x.extent, o.x.rank);
    const dispatch::ada_shares shares = beta ? check_beta(op, *beta, g) : dispatch::ada_shares{};
    check_window_gradients(op, g, o);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::ada_pool_backward_table<N>& kernels = ada_pool_backward_kernels_of<N>(t);
    if (size(o.x) == 0) {
        if (o.dparameter)
            put_no_sums(*o.dparameter);
        return;
    }
    const auto run = [&](const dispatch::window_gradients& c) {
        dispatch::ada_gradients all{c, shares, false};
        all.windows.scale = 1;
        with_zero_denormals([&] { (beta ? kernels.pool : kernels.edscw)(all); });
    };
    run_gradients(where, g, o.x, o.dy, o.dx, {}, run, rows_of_gradients(g));
    if (o.dparameter)
        put_beta_sums<N>(where, kernels, g, o.x, o.dy, *beta, shares, *o.dparameter);
}
template <class N, class Executor>
void ada_pool_backward(const place<Executor>& where, const operand& x, const operand& beta, const operand& dy,
                       const operand& dx, const operand* dbeta, const pool_window& window) {
    ada_pool_backward<N>(where, "ada_pool_backward", {x, dy, dx, &beta, dbeta, "beta", "beta_gradient"}, window);
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
//            Below 0 counts as 0, as does what is below 2^-60 (doubles: 2^-480); above 1 as 1
//   y        the type of x, or float for x of 16 bits; the extents that pool_output_extents gives, any strides but 0;
//            memory apart from x and beta
//   window   kernel, stride, padding, dilation, rounding and layout: see pool_window. Padding is no part of a mean and
//            has no weight. Default: windows side by side
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN in a window, or in its beta, gives NaN. With b of 0 those of soft_pool. Otherwise
//                  infinite elements give an infinity of their sign, those of both signs NaN. A window without members:
//                  0. Results below 2^-126 (doubles: 2^-1022) are 0. Denormal elements count as 0.
// Accuracy         safe for elements of any size. With k the rows and columns of a window together, u = 2^-24, for doubles
//                  2^-53: the first average y is within u (2 |y| + 8 k m) of the formula, m the mean of |x_i|; the second
//                  z within u (2 |z| + 4 k sum_i e_i d_i (1 + d_i)) + k 2^-100 (doubles: 2^-960), d_i the distance of x_i
//                  from the greatest element or, if that is more, from the mean. Together they are within both bounds,
//                  with their shares, and u (|y| + |z|) more. For results of 16 bits, half an ulp of theirs more.
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

// The gradients of ada_pool: in x, with the results y_j and z_j of eDSCW and of SoftPool, the means a_j and the weights w
// and e of the windows j of which x_i is a member, of n_j members each, and in beta,
//
//   dx_i = sum_j dy_j (b_j (w_ij (1 + (x_i - y_j) ds/dx_i) + (1 / n_j) sum_k w_kj (x_k - y_j) ds/da_k) +
//                      (1 - b_j) e_ij (1 + x_i - z_j))
//   dbeta = sum dy_j (y_j - z_j), over all windows that share a beta
//
// with the derivatives of the similarity s of an element and the mean by both, which are taken for 0 where one of both
// is 0. (The published code takes the weights for constants, and has no gradient of beta in one of its modes.) Results
// are computed again from x, unrounded.
//
//   x, beta  the inputs of the forward call
//   dy       the type of x; the extents of its results, any strides
//   dx       the type of x, or float for x of 16 bits; the extents of x, any strides but 0; memory apart from all others
//   dbeta    float or double, the extents of beta, any strides but 0; memory apart from all others; tarn::none: not wanted
//   window, where   as for ada_pool
//
// Special values   NaN in a window, in its dy or its beta gives NaN to all its members, and to the gradient of its beta.
//                  Where one of both results is infinite, its equal members share what it has of dy and the others get
//                  0; dbeta is infinite or NaN. Where beta is below 0 or above 1, dbeta is 0. Products of dy and beta,
//                  1 - beta, weights and derivatives below 2^-100 (doubles: 2^-960) count as 0, and so do denormal
//                  elements; a dbeta of float below 2^-126 is 0.
// Accuracy         with u, k and m of ada_pool, c = min(1 / u, m / |a|), w windows of which an element is a member and
//                  f_ij the magnitude of what window j gives to element i, all parts of it positive: dx is within
//                  sum_j |dy_j| (b_j (u (w + 40) + 32 k u c) f_ij, and for the rest as soft_pool_backward) +
//                  2^-90 sum_j (1 + |dy_j|), for doubles 2^-940. Where positive and negative elements cancel, the
//                  gradient of what is next to 0 is known no better. dbeta: within the bounds of both averages, times
//                  |dy_j|, added.
// Determinism      dx: as ada_pool. dbeta: sums of doubles in a fixed order, which depends on extents, strides and the
//                  tier, not on threads.
// Memory           x and dy are read once, by windows that overlap again from a cache, and once more for dbeta; dx is
//                  written once. No allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as ada_pool; extents
//                  of dbeta.
template <class Executor, class X, class Beta, class DY, class DX, class DBeta>
TARN_INLINE void ada_pool_backward(const place<Executor>& where, const X& x, const Beta& beta, const DY& dy, DX&& dx,
                                   DBeta&& dbeta, const pool_window& window) {
    const auto input = detail::input_view(x);
    const auto shares = detail::input_view(beta);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    shape::assert_beta<decltype(shares), detail::accepts_input<Beta>::value>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand from = shape::erase(input);
    const shape::operand b = shape::erase(shares);
    const shape::operand dresult = shape::erase(gradient);
    const shape::operand to = shape::erase(output);
    if constexpr (detail::is_none<DBeta>) {
        shape::ada_pool_backward<number>(where, from, b, dresult, to, nullptr, window);
    } else {
        const auto beta_gradient = detail::output_view(static_cast<DBeta&&>(dbeta));
        shape::assert_beta<decltype(beta_gradient), detail::accepts_output<DBeta>::value>();
        static_assert(!detail::accepts_output<DBeta>::value || decltype(beta_gradient)::rank == decltype(shares)::rank,
                      "tarn: beta and its gradient have different ranks");
        const shape::operand db = shape::erase(beta_gradient);
        shape::ada_pool_backward<number>(where, from, b, dresult, to, &db, window);
    }
}
template <class X, class Beta, class DY, class DX, class DBeta, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void ada_pool_backward(const X& x, const Beta& beta, const DY& dy, DX&& dx, DBeta&& dbeta,
                                   const pool_window& window) {
    ada_pool_backward(on(serial), x, beta, dy, static_cast<DX&&>(dx), static_cast<DBeta&&>(dbeta), window);
}

// The gradient of edscw_pool: that of ada_pool with beta of 1.
//
//   x, dy, dx, window, where   as for ada_pool_backward
//
// Special values, accuracy, determinism, memory, errors   as ada_pool_backward.
template <class Executor, class X, class DY, class DX>
TARN_INLINE void edscw_pool_backward(const place<Executor>& where, const X& x, const DY& dy, DX&& dx,
                                     const pool_window& window) {
    const auto input = detail::input_view(x);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand from = shape::erase(input);
    const shape::operand dresult = shape::erase(gradient);
    const shape::operand to = shape::erase(output);
    shape::ada_pool_backward<number>(where, "edscw_pool_backward", {from, dresult, to}, window);
}
template <class X, class DY, class DX, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void edscw_pool_backward(const X& x, const DY& dy, DX&& dx, const pool_window& window) {
    edscw_pool_backward(on(serial), x, dy, static_cast<DX&&>(dx), window);
}

} // namespace TARN_BACKEND
}} // namespace tarn
