// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/soft_pool_table.hpp>
#include <tarn/pool.hpp>
#include <tarn/shape/denormals.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/soft_pool_backward_kernels.hpp>
#include <tarn/dispatch/soft_pool_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(soft_pool)
TARN_DEFINE_KERNELS_OF(soft_pool_backward)

namespace tarn { inline namespace v0 {

// exact: of the formula. weights_only: as if the weights were constants, what the published code computes; it is the
// gradient of (1 / t) log sum exp(t x).
enum class soft_pool_gradient { exact, weights_only };

inline namespace TARN_BACKEND {

struct soft_pool_options {
    // t in exp(t x): 1 SoftPool, 0 the average, towards infinity the greatest element, below 0 towards the least.
    double scale = 1;
    // What soft_pool_backward computes; soft_pool does not look at it.
    soft_pool_gradient gradient = soft_pool_gradient::exact;
};

namespace shape {

template <class N, class Executor>
void soft_pool(const place<Executor>& where, const operand& x, const operand& y, const pool_window& window,
               const soft_pool_options& options) {
    constexpr const char* op = "soft_pool";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_pool(op, x, y, g);
    check_scale(op, options.scale);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::soft_pool_table<N>& kernels = soft_pool_kernels_of<N>(t);
    if (size(y) == 0)
        return;
    const map_loops loops(g, g.axis[0].out * g.axis[1].out, 2, operand_list::of(x, y));
    const auto run = [&](const map_loops::part& p) {
        dispatch::window_planes w = loops.windows(p);
        w.scale = options.scale;
        with_zero_denormals([&] { kernels.forward(w); });
    };
    where.parallel_for(loops.items(), loops.cost(static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
}

template <class N, class Executor>
void soft_pool_backward(const place<Executor>& where, const operand& x, const operand& dy, const operand& dx,
                        const pool_window& window, const soft_pool_options& options) {
    constexpr const char* op = "soft_pool_backward";
    check_operand(op, "input", x);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_window_gradients(op, g, {x, dy, dx});
    check_scale(op, options.scale);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::soft_pool_backward_table<N>& kernels = soft_pool_backward_kernels_of<N>(t);
    if (size(x) == 0)
        return;
    const bool exact = options.gradient == soft_pool_gradient::exact;
    const auto run = [&](dispatch::window_gradients& c) {
        c.windows.scale = options.scale;
        with_zero_denormals([&] { kernels.gradients({c, exact}); });
    };
    run_gradients(where, g, x, dy, dx, {}, run, rows_of_gradients(g));
}

} // namespace shape

// SoftPool: the average of every window, weighed by the exponentials of its elements,
//
//   y = sum_i w_i x_i,   w_i = exp(t x_i) / sum_j exp(t x_j)
//
// (Refining activation downsampling with SoftPool, arXiv 2101.00440, which has t = 1.)
//
//   x        maps: float, double, float16 or bfloat16, rank 1 to 5, any strides. [..., channels, space...], or with
//            layout::channels_last [..., space..., channels]: 1 to 3 axes of space, as many as the kernel has numbers;
//            all other axes are independent of each other
//   y        the type of x, or float for x of 16 bits; the extents that pool_output_extents gives, any strides but 0;
//            memory apart from x
//   window   kernel, stride, padding, dilation, rounding and layout: see pool_window. Padding has no weight. Default:
//            windows side by side
//   options  scale: t, below 2^127 in magnitude. Magnitudes below 2^-126 (doubles: 2^-1022) count as 0
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   for t >= 0: +inf gives +inf; -inf has no weight, but if all are -inf: -inf. For t < 0 the opposite
//                  of both. NaN gives NaN. A window without members: 0. Elements further apart than the greatest number
//                  of their type are apart as the infinite ones are. Results below 2^-126 (doubles: 2^-1022) are 0.
//                  Denormal elements count as 0.
// Accuracy         safe for elements of any size. With u = 2^-24 and k the rows and columns of a window together, within
//                  2 k u sum_i w_i |x_i|; less than 2^-125 of the greatest weight (doubles: 2^-399) may be none. Windows
//                  of more than 2^22 elements, or with one that is beyond 2^20 in magnitude or beyond 48000 / |t|: with
//                  m the greatest element in the direction of t and d_i = x_i - m, within u (2 |y| + 4 k sum_i w_i |d_i|
//                  (1 + |t d_i|)) + k 2^-100. (Doubles: u = 2^-53, 2^24, 2^200 and 2^-960.)
//                  Distances |d_i| may count as longer by k 2^-100. For results of 16 bits, half an ulp of theirs more.
// Determinism      the bits of a result depend on the members of its window, the kernel and the scale only: not on the
//                  layout, strides, threads or other windows. The same on AVX2 and AVX-512; not on SSE2.
// Memory           x is read once from memory, by windows that overlap again from a cache; y is written once. No
//                  allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: those of max_pool;
//                  a scale of NaN, or of 2^127 or more in magnitude.
template <class Executor, class X, class Y>
TARN_INLINE void soft_pool(const place<Executor>& where, const X& x, Y&& y, const pool_window& window,
                           const soft_pool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::soft_pool<number>(where, shape::erase(input), shape::erase(output), window, options);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void soft_pool(const X& x, Y&& y, const pool_window& window, const soft_pool_options& options = {}) {
    soft_pool(on(serial), x, static_cast<Y&&>(y), window, options);
}

// The gradient of soft_pool: with the weights w and the results y of the windows j of which x_i is a member,
//
//   dx_i = sum_j dy_j w_ij (1 + t (x_i - y_j)),   or with soft_pool_gradient::weights_only   sum_j dy_j w_ij
//
// Elements below y - 1/t have a negative derivative. Results are computed again from x, unrounded.
//
//   x        the input of the forward call
//   dy       the type of x; the extents of its results, any strides
//   dx       the type of x, or float for x of 16 bits; the extents of x, any strides but 0; memory apart from x and dy
//   window, options, where   as for soft_pool
//
// Special values   NaN in a window, and in its dy, gives NaN to all its members. Where a result is infinite, its equal
//                  members share dy and the others get 0. A product dy w below 2^-100 (doubles: 2^-960) may count as 0;
//                  denormal elements do.
// Accuracy         with u, d and k of soft_pool and w windows of which an element is a member, within
//                  u sum_j |dy_j| w_ij (w f + 4 k f^2) + 2^-90 sum_j (1 + |dy_j|), f = 1 + |t d_i| + |t (y_j - m_j)|, for
//                  doubles 2^-940. In windows with no |t x| beyond 16, (w + 4 k) (1 + |t x_i| + |t y_j|) in place of what
//                  is in brackets, if that is more.
// Determinism      as soft_pool.
// Memory           x and dy are read once, by windows that overlap again from a cache; dx is written once. No
//                  allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as soft_pool.
template <class Executor, class X, class DY, class DX>
TARN_INLINE void soft_pool_backward(const place<Executor>& where, const X& x, const DY& dy, DX&& dx,
                                    const pool_window& window, const soft_pool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::soft_pool_backward<number>(where, shape::erase(input), shape::erase(gradient), shape::erase(output), window,
                                      options);
}
template <class X, class DY, class DX, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void soft_pool_backward(const X& x, const DY& dy, DX&& dx, const pool_window& window,
                                    const soft_pool_options& options = {}) {
    soft_pool_backward(on(serial), x, dy, static_cast<DX&&>(dx), window, options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
