// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/softpick_table.hpp>
#include <tarn/shape/masks.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/softmax_backward.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/softpick_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(softpick)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

// Of the backend: see masked_softmax_options.
struct softpick_options {
    // The axis to normalise along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // Multiplies the logits, without rounding them. Any number below 2^127 in magnitude, itself rounded to float for
    // all types but double.
    double scale = 1;
    // Which elements take part; broadcast to the extents of the logits: aligned at the last axis, repeated along axes
    // where its extent is 1 or missing.
    optional_view<const bool> keep = {};
    // Added to the sum after it was divided by exp(max(0, greatest logit)); 2^-50 to 1.
    double epsilon = 1e-8;
    v0::stores stores = v0::stores::automatic;
};

namespace shape {

// What softpick and its gradient have in common. A softpick has no causal limit of its own.
struct softpick_mask {
    double scale;
    double soft_cap = 0;
    optional_view<const bool> keep;
    bool causal = false;
    std::ptrdiff_t offset = 0, window = 0;
    int axis;

    explicit softpick_mask(const softpick_options& o) : scale(o.scale), keep(o.keep), axis(o.axis) {}
};

inline void check_softpick(const char* op, const softpick_options& o) {
    check_scale(op, o.scale);
    if (!is_within(o.epsilon, 0x1p-50, 1))
        fail(op, "epsilon", std::to_string(o.epsilon), "2^-50 to 1");
}

// N: the type that elements are worked on in.
template <class N, class Executor>
void softpick(const place<Executor>& where, const operand& x, const operand& y, const softpick_options& options,
              double streaming_bytes) {
    constexpr const char* op = "softpick";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    check_same_extents(op, x, y);
    const key_axis axis = key_axis::of(op, options.axis, x.rank);
    check_softpick(op, options);
    const softpick_mask options_of_mask(options);
    mask_operands mask(op, options_of_mask, x, axis, false);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::softpick_table<N>& kernels = softpick_kernels_of<N>(t);
    if (size(x) == 0)
        return;
    const bool in_place = check_overlap(op, x, y);
    mask.check_apart_from(op, y);

    operand_list operands;
    operands.add(x);
    const int output = operands.add(y);
    mask.add_to(operands);
    const row_loops loops(axis.keys, 2, output, kernel_layouts::rows_only, operands);
    const row_parts<N> parts(loops, 2, 1u << output, block_rule::shared_results, operands);
    const bool stream = streams(options.stores, in_place, bytes_of(x) + bytes_of(y), streaming_bytes);
    const auto epsilon = static_cast<N>(options.epsilon);
    const auto run = [&](const row_part<N>& p) {
        const dispatch::mask_of_rows<N> m = mask.of<N>(options_of_mask, true, p);
        if (p.stored)
            kernels.stored({p.rows_of(0), p.rows_of(output), p.rows, p.length, m, epsilon});
        else
            kernels.rows({p.input(0), p.output(output), p.rows, p.length, p.across[0], p.across[output], m, epsilon,
                          stream && !p.buffered, !p.buffered, p.scratch.data});
    };
    run_parts(where, t, loops, parts, loops.cost(bytes_of_element(x), bytes_of_element(y)), run,
              kept_rows_scratch(loops, parts, stream || in_place));
}

template <class N, class Executor>
void softpick_backward(const place<Executor>& where, const operand& x, const operand& y, const operand& dy,
                       const operand& dx, const softpick_options& options) {
    constexpr const char* op = "softpick_backward";
    check_operand(op, "logits", x);
    check_operand(op, "input", y);
    check_operand(op, "gradient", dy);
    check_operand(op, "output", dx);
    check_same_extents(op, x, y, "input");
    check_same_extents(op, x, dy, "gradient");
    check_same_extents(op, x, dx);
    const key_axis axis = key_axis::of(op, options.axis, x.rank);
    check_softpick(op, options);
    const softpick_mask options_of_mask(options);
    mask_operands mask(op, options_of_mask, x, axis, false);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::softpick_table<N>& kernels = softpick_kernels_of<N>(t);
    if (size(x) == 0)
        return;
    for (const operand* v : {&x, &y, &dy})
        check_overlap(op, *v, dx);
    mask.check_apart_from(op, dx);

    operand_list operands;
    operands.add(x);
    operands.add(y);
    operands.add(dy);
    const int output = operands.add(dx);
    mask.add_to(operands);
    const row_loops loops(axis.keys, 4, output, kernel_layouts::rows_only, operands);
    const row_parts<N> parts(loops, 4, 1u << output, block_rule::shared_results, operands);
    const auto epsilon = static_cast<N>(options.epsilon);
    const auto run = [&](const row_part<N>& p) {
        const dispatch::mask_of_rows<N> m = mask.of<N>(options_of_mask, true, p);
        if (p.stored)
            kernels.backward_stored(
                {p.rows_of(0), p.rows_of(1), p.rows_of(2), p.rows_of(output), p.rows, p.length, m, epsilon});
        else
            kernels.backward({p.input(0), p.input(1), p.input(2), p.output(output), p.rows, p.length, p.across[0],
                              p.across[1], p.across[2], p.across[output], m, epsilon});
    };
    run_parts(where, t, loops, parts,
              loops.cost(bytes_of_element(x) + bytes_of_element(y) + bytes_of_element(dy), bytes_of_element(dx)), run);
}

} // namespace shape

// y_i = max(0, exp(z_i) - 1) / (sum_j |exp(z_j) - 1| + epsilon * exp(m)), z = scale * x, m = max(0, max z), along one
// axis: a softmax that gives exact zeros and need not add up to 1. Sums run over what is kept.
//
// Softpick: No Attention Sink, No Massive Activations with Rectified Softmax (arXiv 2504.20966). Its code takes max z
// for m, which is the same where m is above 0, and overflows below -88.
//
//   x        logits: float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included
//   y        the type of x, or float for x of 16 bits; the extents of x, any strides but 0; x itself (in place) or
//            memory apart from it
//   options  see softpick_options; keep lies apart from y
//   where    tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// Special values   NaN or +inf among the kept z: the whole row is NaN. -inf counts as not kept (also with a scale of
//                  0), and what is not kept gives 0 and is not looked at. A row of nothing, or of nothing above 0: 0.
//                  Results below 2^-126 (doubles: 2^-1022) are 0. Denormal elements count as 0.
// Accuracy         within 8 ulp of the exact result, next to 0 as well; on SSE2, without a fused multiply-add, within
//                  32 ulp for |z| from 0.04 to 0.7, and 8 elsewhere.
// Determinism      the bits of a row depend on the row, what is kept of it and the options only; see softmax.
// Memory           x is read once, y written once. Of floats and doubles side by side, in rows of more than 256, only the
//                  part is read that holds all that is kept. Buffers as for masked_softmax.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax; a mask
//                  that does not broadcast, epsilon outside 2^-50 to 1.
template <class Executor, class X, class Y>
TARN_INLINE void softpick(const place<Executor>& where, const X& x, Y&& y, const softpick_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    static_assert(
        !viewable ||
            detail::is_element_pair<typename decltype(input)::value_type, typename decltype(output)::value_type>::value,
        "tarn: softpick takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits with "
        "results in float");
    static_assert(!viewable || decltype(input)::rank == decltype(output)::rank,
                  "tarn: input and output of softpick have different ranks");
    static_assert(!viewable || decltype(input)::rank >= 1, "tarn: softpick needs an axis: operands of rank 1 to 5");
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::softpick<number>(where, shape::erase(input), shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void softpick(const X& x, Y&& y, const softpick_options& options = {}) {
    softpick(on(serial), x, static_cast<Y&&>(y), options);
}

// The gradient of softpick: dx_i = scale * exp(z_i) / D * ([z_i > 0] dy_i - sign(z_i) * sum_j y_j dy_j), D what the
// forward call divided by, 0 where nothing is kept; from its input x, its result y and the gradient dy of what y went
// into. What epsilon * exp(m) changes, of the order of epsilon, is left out, as in the paper.
//
//   x        the logits of the forward call
//   y, dy    the type and extents of x, any strides: what softpick returned, and the gradient of that
//   dx       the type of x, or float for x of 16 bits; the extents of x, any strides but 0; x, y or dy itself, or
//            memory apart from them
//   options  those of the forward call; stores is not looked at
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   z = 0, or -inf beside ordinary logits: 0. What is not kept gives 0, and dy is not looked at there.
//                  NaN or +inf among the kept z: NaN in all that is kept of the row. Results below 2^-126 (doubles:
//                  2^-1022) are 0. Denormal elements count as 0.
// Accuracy         within 8 ulp of exp(z_i) / D * (|dy_i| + sum_j |y_j dy_j|) * |scale| (on SSE2: 32); exp(z_i) / D
//                  below 2^-126 (doubles: 2^-1022) counts as 0.
// Determinism      the bits of a row depend on the row, what is kept of it and the options only; see softmax.
// Memory           x is read three times, y and dy are read twice, all but once from a cache; dx is written once.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softpick.
template <class Executor, class X, class Y, class DY, class DX>
TARN_INLINE void softpick_backward(const place<Executor>& where, const X& x, const Y& y, const DY& dy, DX&& dx,
                                   const softpick_options& options = {}) {
    const auto logits = detail::input_view(x);
    const auto input = detail::input_view(y);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_input<Y>::value &&
                              detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_gradient<decltype(input), decltype(gradient), decltype(output), viewable>();
    shape::assert_gradient<decltype(input), decltype(logits), decltype(output), viewable>();
    static_assert(!viewable || (decltype(input)::rank == decltype(gradient)::rank &&
                                decltype(input)::rank == decltype(logits)::rank),
                  "tarn: the operands of softpick_backward have different ranks");
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::softpick_backward<number>(where, shape::erase(logits), shape::erase(input), shape::erase(gradient),
                                     shape::erase(output), options);
}
template <class X, class Y, class DY, class DX, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void softpick_backward(const X& x, const Y& y, const DY& dy, DX&& dx,
                                   const softpick_options& options = {}) {
    softpick_backward(on(serial), x, y, dy, static_cast<DX&&>(dx), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
