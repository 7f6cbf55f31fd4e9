// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/ada_pool.hpp>
#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/dispatch/family.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/ada_unpool_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(ada_unpool)

namespace tarn { inline namespace v0 {

// mean: windows have y as their mean again. sum: they have it as their sum, what the published code computes.
enum class unpool_scale { mean, sum };

inline namespace TARN_BACKEND {

struct ada_unpool_options {
    unpool_scale scale = unpool_scale::mean;
};

namespace shape {

inline void check_disjoint(const char* op, const pool_window& window, const window_geometry& g) {
    bool disjoint = true;
    for (const dispatch::window_axis& a : g.axis) {
        std::ptrdiff_t common = a.stride;
        for (std::ptrdiff_t r = a.dilation; r != 0;) {
            const std::ptrdiff_t rest = common % r;
            common = r;
            r = rest;
        }
        // So many windows after one lies the next whose taps are those of the first, moved by so many taps.
        const bool meets = a.kernel > a.stride / common && a.out > a.dilation / common;
        disjoint = disjoint && !meets;
    }
    if (!disjoint)
        fail(op, "stride", list(window.stride.value, window.stride.count),
             "windows that have no element in common, of kernel " + list(window.kernel.value, window.kernel.count));
}

template <class N, class Executor>
void ada_unpool(const place<Executor>& where, const operand& x, const operand& beta, const operand& y, const operand& z,
                const pool_window& window, const ada_unpool_options& options) {
    constexpr const char* op = "ada_unpool";
    check_operand(op, "input", x);
    check_operand(op, "results", y);
    check_operand(op, "output", z);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_disjoint(op, window, g);
    check_window_extents(op, "results", g, x, y);
    check_same_extents(op, x, z);
    const dispatch::ada_shares shares = check_beta(op, beta, g);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::ada_unpool_table<N>& kernels = ada_unpool_kernels_of<N>(t);
    if (size(x) == 0)
        return;
    check_distinct(op, z);
    check_apart(op, x, z);
    check_apart(op, y, z, "output", "results");
    check_apart(op, beta, z, "output", "beta");
    run_gradients(where, g, x, y, z, {}, [&](const dispatch::window_gradients& c) {
        dispatch::ada_gradients all{c, shares, options.scale == unpool_scale::mean};
        all.windows.scale = 1;
        with_zero_denormals([&] { kernels.unpool(all); });
    });
}

template <class N, class Executor>
void ada_unpool_backward(const place<Executor>& where, const operand& x, const operand& beta, const operand& dz,
                         const operand& dy, const pool_window& window, const ada_unpool_options& options) {
    constexpr const char* op = "ada_unpool_backward";
    check_operand(op, "input", x);
    check_operand(op, "gradient", dz);
    check_operand(op, "output", dy);
    const window_geometry g = check_window(op, window, x.extent, x.rank);
    check_disjoint(op, window, g);
    check_window_extents(op, "output", g, x, dy);
    check_same_extents(op, x, dz, "gradient");
    const dispatch::ada_shares shares = check_beta(op, beta, g);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::ada_unpool_table<N>& kernels = ada_unpool_kernels_of<N>(t);
    if (size(dy) == 0)
        return;
    check_distinct(op, dy);
    check_apart(op, x, dy);
    check_apart(op, dz, dy, "output", "gradient");
    check_apart(op, beta, dy, "output", "beta");
    const map_loops loops(g, g.axis[0].out * g.axis[1].out, 3, operand_list::of(x, dy, dz));
    const auto run = [&](const map_loops::part& p) {
        dispatch::ada_unpool_gradients c{loops.windows(p), shares, loops.plane(2, p),
                                         options.scale == unpool_scale::mean};
        c.windows.scale = 1;
        with_zero_denormals([&] { kernels.gradient(c); });
    };
    where.parallel_for(loops.items(), loops.cost(2 * static_cast<double>(element_size(x)), 0),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) { loops.run(begin, end, run); });
}

} // namespace shape

// adaUnPool: spreads results y of windows over their elements with the weights that ada_pool gave these,
//
//   z_i = n y (b w_i + (1 - b) e_i), or with unpool_scale::sum without n, the number of members
//
// for i a member of the window; 0 for elements that no window has. w and e are the weights of ada_pool for x, which are
// computed again from it. (AdaPool: Exponential Adaptive Pooling for Information-Retaining Downsampling, arXiv
// 2111.00772, whose code has the sum.) Of equal elements it gives y to each, or y / n.
//
//   x        the input of the pool
//   beta     as for ada_pool
//   y        what is spread: the type of x; the extents that pool_output_extents gives, any strides
//   z        the type of x, or float for x of 16 bits; the extents of x, any strides but 0; memory apart from all others
//   window   as for ada_pool; windows have no element in common
//   options  see ada_unpool_options
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN in a window of x, in y or in beta gives NaN to all members. Where an average of a window is
//                  infinite, its equal members share. Products n y b and n y (1 - b), of weights with them, and parts of
//                  results below 2^-100 (doubles: 2^-960) in magnitude count as 0, and so do denormal elements.
// Accuracy         with u = 2^-24, for doubles 2^-53, and a and m the mean of x and of |x|, k the rows and columns of a
//                  window together: the weight w_i is within 8 u + 8 k u min(1 / u, m / |a|) of itself, and e_i within
//                  u (4 + 4 k (1 + d)^2) of itself, d the greatest distance of an element from the greatest that has a
//                  weight. Where positive and negative elements cancel, what elements next to 0 have in common with the
//                  mean is known no better.
// Determinism      as ada_pool.
// Memory           x and y are read once, z is written once. No allocation, at most 64 KB of stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as ada_pool; windows
//                  with common elements.
template <class Executor, class X, class Beta, class Y, class Z>
TARN_INLINE void ada_unpool(const place<Executor>& where, const X& x, const Beta& beta, const Y& y, Z&& z,
                            const pool_window& window, const ada_unpool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto shares = detail::input_view(beta);
    const auto results = detail::input_view(y);
    const auto output = detail::output_view(static_cast<Z&&>(z));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<Y>::value && detail::accepts_output<Z>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(results), decltype(output), viewable>();
    shape::assert_beta<decltype(shares), detail::accepts_input<Beta>::value>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::ada_unpool<number>(where, shape::erase(input), shape::erase(shares), shape::erase(results),
                              shape::erase(output), window, options);
}
template <class X, class Beta, class Y, class Z, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void ada_unpool(const X& x, const Beta& beta, const Y& y, Z&& z, const pool_window& window,
                            const ada_unpool_options& options = {}) {
    ada_unpool(on(serial), x, beta, y, static_cast<Z&&>(z), window, options);
}

// The gradient of ada_unpool in what it spreads. ada_unpool is linear in y: this is its transpose,
//
//   dy = n sum_i (b w_i + (1 - b) e_i) dz_i, or with unpool_scale::sum without n
//
// over the members i of a window, with the weights of ada_unpool, which are taken for constants: there is no gradient of
// x and beta.
//
//   x, beta         as for ada_unpool
//   dz              the type of x; the extents of x, any strides
//   dy              the type of x, or float for x of 16 bits; the extents that pool_output_extents gives, any strides but
//                   0; memory apart from all others
//   window, options, where   as for ada_unpool
//
// Special values   NaN in a window of x or dz, or in beta, gives NaN; infinite dz give an infinity or NaN. Where an average
//                  of a window is infinite, its equal members have equal weights. A window without members: 0. Weights
//                  below 2^-60 (doubles: 2^-480) count as 0, and so do dz below 2^-40 (2^-180) of the sum of |dz| in
//                  their window. Results below 2^-125 (2^-1021) are 0.
// Accuracy         within sum n |dz_i| (b dw_i + (1 - b) de_i) + (6 + k) u sum n w |dz|, where dw_i and de_i are the errors
//                  of the weights, k and u as for ada_unpool.
// Determinism      as ada_pool.
// Memory           x and dz are read once, dy is written once. No allocation, at most 64 KB of stack.
// Errors           as ada_unpool.
template <class Executor, class X, class Beta, class DZ, class DY>
TARN_INLINE void ada_unpool_backward(const place<Executor>& where, const X& x, const Beta& beta, const DZ& dz, DY&& dy,
                                     const pool_window& window, const ada_unpool_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto shares = detail::input_view(beta);
    const auto gradient = detail::input_view(dz);
    const auto output = detail::output_view(static_cast<DY&&>(dy));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<DZ>::value && detail::accepts_output<DY>::value;
    shape::assert_pool<decltype(input), decltype(output), viewable>();
    shape::assert_pool<decltype(gradient), decltype(output), viewable>();
    shape::assert_beta<decltype(shares), detail::accepts_input<Beta>::value>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::ada_unpool_backward<number>(where, shape::erase(input), shape::erase(shares), shape::erase(gradient),
                                       shape::erase(output), window, options);
}
template <class X, class Beta, class DZ, class DY, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void ada_unpool_backward(const X& x, const Beta& beta, const DZ& dz, DY&& dy, const pool_window& window,
                                     const ada_unpool_options& options = {}) {
    ada_unpool_backward(on(serial), x, beta, dz, static_cast<DY&&>(dy), window, options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
