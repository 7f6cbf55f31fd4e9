// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/softmax_backward_table.hpp>
#include <tarn/indices.hpp>
#include <tarn/shape/pieces.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/shape/tiers.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/softmax_backward_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(softmax_backward)

namespace tarn { inline namespace v0 {

struct softmax_backward_options {
    // The axis of the operator, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // The scale that the operator was given.
    double scale = 1;
    v0::stores stores = v0::stores::automatic;
    // How many adjacent axes, from that one on, are one row together; the last of them is the fastest.
    int axes = 1;
};

inline namespace TARN_BACKEND {

namespace shape {

template <class T, class Executor>
void softmax_backward(const char* op, dispatch::softmax_gradient of, const place<Executor>& where, const operand& y,
                      const operand& dy, const operand& dx, const softmax_backward_options& options,
                      double streaming_bytes) {
    check_operand(op, "input", y);
    check_operand(op, "gradient", dy);
    check_operand(op, "output", dx);
    check_same_extents(op, y, dy, "gradient");
    check_same_extents(op, y, dx);
    const axis_span axes = check_axes(op, options.axis, options.axes, y.rank);
    check_scale(op, options.scale);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::softmax_backward_table<T>& kernels = softmax_backward_kernels_of<T>(t);
    const auto scale = static_cast<T>(options.scale);
    if (size(y) == 0)
        return;
    const bool over_input = check_overlap(op, y, dx);
    const bool over_gradient = check_overlap(op, dy, dx);
    const bool stream = streams(options.stores, over_input || over_gradient, bytes_of(y) + bytes_of(dy) + bytes_of(dx),
                                streaming_bytes);
    const row_loops loops(axes, 3, 2, y, dy, dx);
    const row_parts<T> parts(loops, 3, 1u << 2, block_rule::shared_results, y, dy, dx);
    const int g = static_cast<int>(of);
    const bool shared = run_in_pieces(where, loops, parts, [&](const auto& p) {
        const dispatch::softmax_backward_long_row<T> row{p.rows_of(0), p.rows_of(1), 0,     0,
                                                         p.rows_of(2), p.length,     scale, stream};
        take_in_pieces(where, kernels.pieces[g], row, true);
    });
    if (shared)
        return;
    const auto kernel = loops.by_columns() ? kernels.columns[g] : kernels.rows[g];
    const item_cost cost = loops.cost(bytes_of_element(y) + bytes_of_element(dy), bytes_of_element(dx));
    run_parts(where, t, loops, parts, cost, [&](const row_part<T>& part) {
        const auto& step = loops.by_columns() ? part.along : part.across;
        if (part.stored)
            kernels.stored[g]({part.rows_of(0), part.rows_of(1), part.rows_of(2), part.rows, part.length, scale});
        else
            kernel({part.input(0), part.input(1), nullptr, nullptr, part.output(2), part.rows, part.length, step[0],
                    step[1], step[2], 0, 0, scale, stream && !part.buffered});
    });
}

template <class T, class Executor>
void logsumexp_backward(const place<Executor>& where, const operand& x, const operand& given_lse,
                        const operand& given_dlse, const operand& dx, const softmax_backward_options& options,
                        double streaming_bytes) {
    constexpr const char* op = "logsumexp_backward";
    check_operand(op, "input", x);
    check_operand(op, "logsumexp", given_lse);
    check_operand(op, "gradient", given_dlse);
    check_operand(op, "output", dx);
    const axis_span axes = check_axes(op, options.axis, options.axes, x.rank);
    const operand lse = check_reduced(op, x, axes, given_lse, "logsumexp");
    const operand dlse = check_reduced(op, x, axes, given_dlse, "gradient");
    check_same_extents(op, x, dx);
    check_scale(op, options.scale);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::softmax_backward_table<T>& kernels = softmax_backward_kernels_of<T>(t);
    const auto scale = static_cast<T>(options.scale);
    if (size(x) == 0)
        return;
    const bool in_place = check_overlap(op, x, dx);
    check_apart(op, dx, lse, "logsumexp", "output");
    check_apart(op, dx, dlse, "gradient", "output");
    const bool stream = streams(options.stores, in_place, bytes_of(x) + bytes_of(dx), streaming_bytes);
    const row_loops loops(axes, 2, 1, x, dx, lse, dlse);
    const row_parts<T> parts(loops, 2, 1u << 1, block_rule::elements, x, dx, lse, dlse);
    const int g = static_cast<int>(dispatch::softmax_gradient::logsumexp);
    const bool shared = run_in_pieces(where, loops, parts, [&](const auto& p) {
        const auto& convert = convert_kernels_of<T>(t);
        const dispatch::softmax_backward_long_row<T> row{
            p.rows_of(0), {}, p.number_of(convert, 2), p.number_of(convert, 3), p.rows_of(1), p.length, scale, stream};
        take_in_pieces(where, kernels.pieces[g], row, true);
    });
    if (shared)
        return;
    const auto kernel = loops.by_columns() ? kernels.columns[g] : kernels.rows[g];
    run_parts(where, t, loops, parts, loops.cost(bytes_of_element(x), bytes_of_element(dx)),
              [&](const row_part<T>& part) {
                  const auto& step = loops.by_columns() ? part.along : part.across;
                  kernel({part.input(0), nullptr, part.input(2), part.input(3), part.output(1), part.rows, part.length,
                          step[0], 0, step[1], part.across[2], part.across[3], scale, stream && !part.buffered});
              });
}

// da, db: null if not wanted; one of them is. Every element by itself: whichever axis lies side by side is a row.
template <class T, class Executor>
void logaddexp_backward(const place<Executor>& where, const operand& a, const operand& b, const operand& dy,
                        const operand* da, const operand* db) {
    constexpr const char* op = "logaddexp_backward";
    check_operand(op, "first input", a);
    check_operand(op, "second input", b);
    check_operand(op, "gradient", dy);
    check_same_extents(op, a, b, "second input");
    check_same_extents(op, a, dy, "gradient");
    const auto name_of = [&](const operand* d) { return d == da ? "first output" : "second output"; };
    for (const operand* d : {da, db}) {
        if (d) {
            check_operand(op, name_of(d), *d);
            check_same_extents(op, a, *d, name_of(d));
        }
    }
    const tier t = check_tier(op, where.tier_index);
    if (size(a) == 0)
        return;
    double written = 0;
    operand_list list = operand_list::of(a, b, dy);
    const int inputs = list.count;
    for (const operand* d : {da, db}) {
        if (d) {
            for (int k = 0; k < inputs; ++k)
                check_overlap(op, *list.item[k], *d, name_of(d));
            written += bytes_of_element(*d);
            list.add(*d);
        }
    }
    if (da && db)
        check_apart(op, *da, *db, "second output", "first output");
    const int last = list.count - 1;
    const unsigned outputs = ((1u << list.count) - 1u) & ~((1u << inputs) - 1u);
    const row_loops loops(elementwise_axis(list), list.count, last, kernel_layouts::rows_and_columns, list);
    const row_parts<T> parts(loops, list.count, outputs, block_rule::elements, list);
    const bool columns = loops.by_columns();
    const auto kernel = softmax_backward_kernels_of<T>(t).logaddexp;
    const double read = bytes_of_element(a) + bytes_of_element(b) + bytes_of_element(dy);
    run_parts(where, t, loops, parts, loops.cost(read, written), [&](const row_part<T>& part) {
        const auto& step = columns ? part.along : part.across;
        kernel({part.input(0), part.input(1), part.input(2), da ? part.output(inputs) : nullptr,
                db ? part.output(last) : nullptr, columns ? part.length : part.rows, columns ? part.rows : part.length,
                step[0], step[1], step[2], step[inputs], step[last]});
    });
}

// AnyGradient: the gradient has one number for a row, which may be float for input of 16 bits.
template <class Input, class Gradient, class Output, bool Viewable, bool AnyGradient = false>
TARN_INLINE constexpr void assert_gradient() noexcept {
    using value = typename Input::value_type;
    static_assert(
        !Viewable || ((std::is_same<value, typename Gradient::value_type>::value ||
                       (AnyGradient && detail::is_element_pair<value, typename Gradient::value_type>::value)) &&
                      detail::is_element_pair<value, typename Output::value_type>::value),
        "tarn: gradients of the softmax family take operands of float, double, float16 or bfloat16, of one type, or "
        "of 16 bits with results in float");
    static_assert(!Viewable || Input::rank == Output::rank,
                  "tarn: input and output of a gradient have different ranks");
    static_assert(!Viewable || Input::rank >= 1, "tarn: a gradient needs an axis: operands of rank 1 to 5");
}

} // namespace shape

// The gradient of softmax: dx_i = scale * y_i * (dy_i - sum_j y_j dy_j) along the axes of softmax, from its result y =
// softmax(x) and the gradient dy of what y went into. The Jacobian is symmetric: with a tangent for dy, dx is the
// tangent of y.
//
//   y        float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included: what softmax
//            returned, in 0..1
//   dy       the type and extents of y, any strides
//   dx       the type of y, or float for y of 16 bits; the extents of y, any strides but 0; y or dy itself, or memory
//            apart from them
//   options  see softmax_backward_options; scale is the one of the forward call
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   a row with NaN in y or dy: NaN. +-inf in dy, whatever y is there: no element of the row is finite.
//                  y = 0 (a logit of -inf): 0. Rows of 0 (empty_row::zero): 0. Results below 2^-126 (doubles: 2^-1022)
//                  are 0. An axis of extent 0: nothing is written. Denormal elements count as 0.
// Accuracy         within 4 ulp of y_i * (|dy_i| + sum_j |y_j dy_j|) * |scale|, for gradients whose sum_j |y_j dy_j|,
//                  times |scale| if that is below 1, is above 2^-70 (doubles: 2^-800). In smaller ones products below
//                  2^-126 (2^-1022) count as 0.
// Determinism      the bits of a row depend on the row, its length and the scale only; see softmax.
// Memory           y and dy are read once from memory and once from a cache; dx written once. No buffer for floats side
//                  by side, along a row or across rows; for others see softmax.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax.
template <class Executor, class Y, class DY, class DX>
TARN_INLINE void softmax_backward(const place<Executor>& where, const Y& y, const DY& dy, DX&& dx,
                                  const softmax_backward_options& options = {}) {
    const auto input = detail::input_view(y);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<Y>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_gradient<decltype(input), decltype(gradient), decltype(output), viewable>();
    static_assert(!viewable || decltype(input)::rank == decltype(gradient)::rank,
                  "tarn: input and gradient of softmax_backward have different ranks");
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::softmax_backward<number>("softmax_backward", dispatch::softmax_gradient::softmax, where, shape::erase(input),
                                    shape::erase(gradient), shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class Y, class DY, class DX>
TARN_INLINE void softmax_backward(const Y& y, const DY& dy, DX&& dx, const softmax_backward_options& options = {}) {
    softmax_backward(on(serial), y, dy, static_cast<DX&&>(dx), options);
}

// The gradient of log_softmax: dx_i = scale * (dy_i - exp(y_i) * sum_j dy_j) along the axes of log_softmax, from its
// result y = log_softmax(x) and the gradient dy of what y went into.
//
//   y, dy, dx, options, where   as for softmax_backward; y is what log_softmax returned, at most 0
//
// Special values   NaN in a row of dy: the row is NaN; +-inf in it: no element is finite. NaN in y: NaN there. y = -inf:
//                  scale * dy_i, in a row of nothing else (empty_row::zero) as well. An axis of extent 0: nothing is
//                  written. Denormal elements count as 0.
// Accuracy         within 4 ulp of (|dy_i| + exp(y_i) * sum_j |dy_j|) * |scale|; exp(y) below 2^-118 (doubles: 2^-957)
//                  counts as 0, and so do results below 2^-126 (2^-1022).
// Determinism, memory, errors   as softmax_backward.
template <class Executor, class Y, class DY, class DX>
TARN_INLINE void log_softmax_backward(const place<Executor>& where, const Y& y, const DY& dy, DX&& dx,
                                      const softmax_backward_options& options = {}) {
    const auto input = detail::input_view(y);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<Y>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_gradient<decltype(input), decltype(gradient), decltype(output), viewable>();
    static_assert(!viewable || decltype(input)::rank == decltype(gradient)::rank,
                  "tarn: input and gradient of log_softmax_backward have different ranks");
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::softmax_backward<number>("log_softmax_backward", dispatch::softmax_gradient::log_softmax, where,
                                    shape::erase(input), shape::erase(gradient), shape::erase(output), options,
                                    TARN_STREAMING_BYTES);
}
template <class Y, class DY, class DX>
TARN_INLINE void log_softmax_backward(const Y& y, const DY& dy, DX&& dx, const softmax_backward_options& options = {}) {
    log_softmax_backward(on(serial), y, dy, static_cast<DX&&>(dx), options);
}

// The gradient of logsumexp (and of logmeanexp, with its own lse + log n): dx_i = dlse * scale * exp(scale * x_i -
// lse), the softmax of the row times dlse, with lse = logsumexp(x) along the same axes.
//
//   x         float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included
//   lse, dlse the type of x, or float for x of 16 bits; the extents of x without the axes, or with extent 1 there; apart
//             from dx. The result is as exact as lse: prefer float where there is a choice
//   dx        the type of x, or float for x of 16 bits; the extents of x, any strides but 0; x itself, or memory apart
//             from it
//   options   see softmax_backward_options; scale is the one of the forward call
//   where     tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   x = -inf: 0. NaN or +inf in x, or NaN in lse or dlse: NaN there. A row of -inf (lse = -inf): NaN.
//                  Results below 2^-126 (doubles: 2^-1022) are 0. An axis of extent 0: nothing is written.
//                  Denormal elements count as 0.
// Accuracy         within 4 ulp of the exact result for the lse given (measured: 3.7, of doubles), for |dlse * scale|
//                  below 2^110 and |lse| below 49900. Beyond that lse, of doubles lse / scale, is rounded to what it is
//                  multiplied with, and logits above it count as it.
// Determinism      the bits of an element depend on it, on lse, dlse and the scale only.
// Memory           x is read once, dx written once. No buffer but the stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax.
template <class Executor, class X, class L, class DL, class DX>
TARN_INLINE void logsumexp_backward(const place<Executor>& where, const X& x, const L& lse, const DL& dlse, DX&& dx,
                                    const softmax_backward_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto sums = detail::input_view(lse);
    const auto gradient = detail::input_view(dlse);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_input<L>::value &&
                              detail::accepts_input<DL>::value && detail::accepts_output<DX>::value;
    shape::assert_gradient<decltype(input), decltype(gradient), decltype(output), viewable, true>();
    static_assert(
        !viewable ||
            detail::is_element_pair<typename decltype(input)::value_type, typename decltype(sums)::value_type>::value,
        "tarn: logsumexp_backward takes lse in the type of the input, or in float");
    static_assert(!viewable || (decltype(sums)::rank <= decltype(input)::rank &&
                                decltype(gradient)::rank <= decltype(input)::rank),
                  "tarn: lse and its gradient have at most the rank of the input");
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::logsumexp_backward<number>(where, shape::erase(input), shape::erase(sums), shape::erase(gradient),
                                      shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class X, class L, class DL, class DX>
TARN_INLINE void logsumexp_backward(const X& x, const L& lse, const DL& dlse, DX&& dx,
                                    const softmax_backward_options& options = {}) {
    logsumexp_backward(on(serial), x, lse, dlse, static_cast<DX&&>(dx), options);
}

// The gradients of logaddexp(a, b): da = dy * e^a / (e^a + e^b), db = dy * e^b / (e^a + e^b), element by element.
//
//   a, b     float, double, float16 or bfloat16, rank 1 to 5, equal extents, any strides, broadcast (stride 0) included
//   dy       the type and extents of a, any strides: the gradient of what logaddexp returned
//   da, db   the type of a, or float for 16 bits; the extents of a, any strides but 0; a, b or dy itself, or memory
//            apart from them, and apart from each other; tarn::none in the place of one: not wanted
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   a = b, infinities too: half of dy to each. Otherwise -inf in one of a and b, or +inf in the other:
//                  0 * dy to the first and dy to the other. NaN in a, b or dy: NaN in both. Denormal elements count as 0.
// Accuracy         within 4 ulp (measured: 3.1); shares below 2^-118 (doubles: 2^-957) count as 0, and so do results
//                  below 2^-126 (2^-1022).
// Determinism      the bits of a result depend on its a, b and dy only.
// Memory           a, b and dy are read once, da and db written once. No buffer but the stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax.
template <class Executor, class X, class Z, class DY, class DA, class DB>
TARN_INLINE void logaddexp_backward(const place<Executor>& where, const X& a, const Z& b, const DY& dy, DA&& da,
                                    DB&& db) {
    static_assert(!detail::is_none<DA> || !detail::is_none<DB>, "tarn: logaddexp_backward has nothing to write");
    const auto first = detail::input_view(a);
    const auto second = detail::input_view(b);
    const auto gradient = detail::input_view(dy);
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<Z>::value && detail::accepts_input<DY>::value;
    using value = typename decltype(first)::value_type;
    static_assert(!viewable || (std::is_same<value, typename decltype(second)::value_type>::value &&
                                decltype(first)::rank == decltype(second)::rank &&
                                decltype(first)::rank == decltype(gradient)::rank),
                  "tarn: inputs and gradient of logaddexp_backward have one type and one rank");
    const auto erased = [&](auto&& d) -> shape::operand {
        if constexpr (detail::is_none<decltype(d)>) {
            return {};
        } else {
            using output = decltype(d);
            const auto view = detail::output_view(static_cast<output>(d));
            shape::assert_gradient<decltype(first), decltype(gradient), decltype(view),
                                   viewable && detail::accepts_output<output>::value>();
            return shape::erase(view);
        }
    };
    const shape::operand to_a = erased(static_cast<DA&&>(da));
    const shape::operand to_b = erased(static_cast<DB&&>(db));
    shape::logaddexp_backward<detail::number_of<value>>(where, shape::erase(first), shape::erase(second),
                                                        shape::erase(gradient), detail::is_none<DA> ? nullptr : &to_a,
                                                        detail::is_none<DB> ? nullptr : &to_b);
}
template <class X, class Z, class DY, class DA, class DB>
TARN_INLINE void logaddexp_backward(const X& a, const Z& b, const DY& dy, DA&& da, DB&& db) {
    logaddexp_backward(on(serial), a, b, dy, static_cast<DA&&>(da), static_cast<DB&&>(db));
}

} // namespace TARN_BACKEND
}} // namespace tarn
