// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/masked_softmax_table.hpp>
#include <tarn/shape/masks.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/softmax.hpp>
#include <tarn/softmax_backward.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/masked_softmax_backward_kernels.hpp>
#include <tarn/dispatch/masked_softmax_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(masked_softmax)
TARN_DEFINE_KERNELS_OF(masked_softmax_backward)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

// The options belong to the backend: their constructors are functions, which files of different modes must not share.
//
// T: the type of elements of bias, slopes and sink: that of the logits, or another one that is worked on as they are
// (float beside 16 bits).
//
// The keys lie along `axis`, the queries along the axis before it, and all other axes are heads and batches. Operands
// are broadcast: aligned at the last axis, repeated along axes where their extent is 1 or missing.
template <class T = float> struct masked_softmax_options {
    // The axis to normalise along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // Multiplies the logits. Any number below 2^127 in magnitude; like soft_cap it is rounded to float for all types
    // but double.
    double scale = 1;
    // c from 2^-30 to 2^30: scaled logits become c * tanh(logit / c). 0: none.
    double soft_cap = 0;
    // Added to scaled and capped logits; broadcast to their extents.
    optional_view<const T> bias = {};
    // ALiBi: slope * (key - query - offset) is added; broadcast to the extents of heads and batches.
    optional_view<const T> slopes = {};
    // Which elements take part; broadcast to the extents of the logits.
    optional_view<const bool> keep = {};
    // Query i sees keys up to i + offset.
    bool causal = false;
    // Keys minus queries, where a query's own key lies: 0 aligns the first of both, keys - queries the last.
    std::ptrdiff_t offset = 0;
    // Query i sees keys from i + offset - window + 1 on; 0: from the first.
    std::ptrdiff_t window = 0;
    // A logit beside those of each row, neither scaled nor capped: its weight is part of the sum and has no result.
    // Broadcast to the extents of heads and batches.
    optional_view<const T> sink = {};
    // What a row is of which nothing is kept, or nothing above -inf, without a sink.
    v0::empty_row empty_row = v0::empty_row::zero;
    v0::stores stores = v0::stores::automatic;
};

template <class T = float> struct masked_softmax_backward_options {
    // Those of the forward call.
    int axis = -1;
    double scale = 1;
    double soft_cap = 0;
    optional_view<const bool> keep = {};
    bool causal = false;
    std::ptrdiff_t offset = 0;
    std::ptrdiff_t window = 0;
    // The input of the forward call. Only looked at, and necessary, with a soft cap.
    optional_view<const T> logits = {};
    // If given, the gradient of each row's sink: the extents of the result without the keys, or with extent 1 there.
    // The gradient of a sink that rows share is the sum of theirs.
    optional_view<T> sink_gradient = {};
};

namespace shape {

// N: the type that elements are worked on in.
template <class N, class T, class Executor>
void masked_softmax(const place<Executor>& where, const operand& x, const operand& y,
                    const masked_softmax_options<T>& options, double streaming_bytes) {
    constexpr const char* op = "masked_softmax";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    check_same_extents(op, x, y);
    const key_axis axis = key_axis::of(op, options.axis, x.rank);
    check_mask(op, options, axis, static_cast<bool>(options.slopes));
    const auto given = [&](const char* argument, const optional_view<const T>& v, axis_span without) {
        return v ? broadcast(op, argument, erase(v), x, without) : operand{};
    };
    const operand bias = given("bias", options.bias, {0, 0});
    const operand slopes = given("slopes", options.slopes, axis.keys_and_queries());
    const operand sink = given("sink", options.sink, axis.keys_and_queries());
    mask_operands mask(op, options, x, axis, static_cast<bool>(options.slopes));
    const tier t = check_tier(op, where.tier_index);
    const dispatch::masked_softmax_table<N>& kernels = masked_softmax_kernels_of<N>(t);
    const dispatch::softmax_table<N>& plain = softmax_kernels_of<N>(t);
    if (size(x) == 0)
        return;
    const bool in_place = check_overlap(op, x, y);
    mask.check_apart_from(op, y);

    operand_list operands;
    operands.add(x);
    const auto add = [&](const char* argument, const optional_view<const T>& v, const operand& o) {
        if (!v)
            return -1;
        check_apart(op, o, y, argument, "output");
        return operands.add(o);
    };
    const int bias_at = add("bias", options.bias, bias);
    const int output = operands.add(y);
    const int whole = operands.count;
    const int slopes_at = add("slopes", options.slopes, slopes);
    const int sink_at = add("sink", options.sink, sink);
    mask.add_to(operands);

    const row_loops loops(axis.keys, whole, output, kernel_layouts::rows_only, operands);
    const row_parts<N> parts(loops, whole, 1u << output, block_rule::shared_results, operands,
                             sink_at < 0 ? stack_share::most : stack_share::half);
    const bool stream = streams(options.stores, in_place, bytes_of(x) + bytes_of(y), streaming_bytes);
    const auto run = [&](const row_part<N>& p) {
        const dispatch::mask_of_rows<N> m = mask.of<N>(options, options.empty_row == empty_row::zero, p);
        const optional_parts<N> part{p};
        if (p.stored)
            kernels.stored({p.rows_of(0), p.rows_of(output), part.rows_of(bias_at), p.rows, p.length, m,
                            part.numbers_of(slopes_at), part.numbers_of(sink_at)});
        else
            kernels.rows({p.input(0), p.output(output), p.rows, p.length, p.across[0], p.across[output], m,
                          part.input(bias_at), part.across(bias_at), part.input(slopes_at), part.across(slopes_at),
                          part.input(sink_at), part.across(sink_at), stream && !p.buffered, !p.buffered, p.scratch.data,
                          plain.rows[static_cast<int>(dispatch::row_kernel::short_rows)]});
    };
    run_parts(where, t, loops, parts, loops.cost(bytes_of_element(x), bytes_of_element(y)), run,
              kept_rows_scratch(loops, parts, stream || in_place));
}

template <class N, class T, class Executor>
void masked_softmax_backward(const place<Executor>& where, const operand& y, const operand& dy, const operand& dx,
                             const masked_softmax_backward_options<T>& options) {
    constexpr const char* op = "masked_softmax_backward";
    check_operand(op, "input", y);
    check_operand(op, "gradient", dy);
    check_operand(op, "output", dx);
    check_same_extents(op, y, dy, "gradient");
    check_same_extents(op, y, dx);
    const key_axis axis = key_axis::of(op, options.axis, y.rank);
    check_mask(op, options, axis, false);
    if (options.soft_cap > 0 && !options.logits)
        fail(op, "logits", "missing", "the input of masked_softmax, since there is a soft cap");
    const bool capped = options.soft_cap > 0;
    operand x = {};
    if (capped) {
        x = erase(options.logits);
        check_operand(op, "logits", x);
        if (x.rank != y.rank)
            fail(op, "logits", "extents " + list(x.extent, x.rank), list(y.extent, y.rank));
        check_same_extents(op, y, x, "logits");
    }
    operand sink = {};
    const bool wants_sink = static_cast<bool>(options.sink_gradient);
    if (wants_sink) {
        sink = erase(options.sink_gradient);
        check_operand(op, "sink_gradient", sink);
        sink = check_reduced(op, y, axis.keys, sink, "sink_gradient");
    }
    mask_operands mask(op, options, y, axis, false);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::masked_softmax_backward_table<N>& kernels = masked_softmax_backward_kernels_of<N>(t);
    if (wants_sink && size(sink) > 0)
        check_distinct(op, erase(options.sink_gradient), "sink_gradient");
    if (size(y) == 0) {
        if (wants_sink && axis.keys.length(y) == 0)
            fill(sink, 0);
        return;
    }
    check_overlap(op, y, dx);
    check_overlap(op, dy, dx);
    mask.check_apart_from(op, dx);
    if (capped)
        check_apart(op, x, dx, "logits", "output");
    if (wants_sink) {
        for (const operand* v : {&y, &dy, &dx})
            check_apart(op, sink, *v, "sink_gradient", "other operands");
        if (capped)
            check_apart(op, sink, x, "sink_gradient", "logits");
    }

    operand_list operands;
    operands.add(y);
    operands.add(dy);
    const int x_at = capped ? operands.add(x) : -1;
    const int output = operands.add(dx);
    const int whole = operands.count;
    const int sink_at = wants_sink ? operands.add(sink) : -1;
    mask.add_to(operands);
    const row_loops loops(axis.keys, whole, output, kernel_layouts::rows_only, operands);
    const row_parts<N> parts(loops, whole, 1u << output | (wants_sink ? 1u << sink_at : 0u), block_rule::shared_results,
                             operands);
    const auto run = [&](const row_part<N>& p) {
        const dispatch::mask_of_rows<N> m = mask.of<N>(options, true, p);
        const optional_parts<N> part{p};
        if (p.stored)
            kernels.stored({p.rows_of(0), p.rows_of(1), p.rows_of(output), p.rows, p.length, m, part.rows_of(x_at),
                            part.numbers_of(sink_at)});
        else
            kernels.rows({p.input(0), p.input(1), p.output(output), p.rows, p.length, p.across[0], p.across[1],
                          p.across[output], m, part.input(x_at), part.across(x_at), part.output(sink_at),
                          part.across(sink_at)});
    };
    run_parts(where, t, loops, parts, loops.cost(bytes_of_element(y) + bytes_of_element(dy), bytes_of_element(dx)),
              run);
}

} // namespace shape

// Softmax of scaled, capped, biased and masked logits along one axis:
//
//   z = scale * x, or soft_cap * tanh(scale * x / soft_cap)
//   z = z + bias + slope * (key - query - offset)
//   y = exp(z) / (exp(sink) + sum exp(z)) where the key is kept, 0 elsewhere
//
// Kept is what `keep`, the causal limit and the window leave together. What is not kept is skipped: it may be NaN.
//
// Attention with Linear Biases (arXiv 2108.12409) describes the slopes, Efficient Streaming Language Models with
// Attention Sinks (arXiv 2309.17453) the softmax with one more logit; the order of the steps is that of the ONNX
// operator Attention. Beware of the offset: it is 0 in ONNX and in PyTorch's is_causal, keys - queries in
// FlashAttention.
//
//   x        logits [..., queries, keys]: float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast
//            (stride 0) included
//   y        the type of x, or float for x of 16 bits; the extents of x, any strides but 0; x itself (in place) or
//            memory apart from it
//   options  see masked_softmax_options; their operands lie apart from y
//   where    tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// Special values   NaN or +inf among the kept z, or in sink: the whole row is NaN, also where nothing is kept. -inf:
//                  weight 0 (but -soft_cap if capped). A row of which nothing is kept, or only -inf: 0, or NaN with
//                  empty_row::nan; with a sink above -inf always 0. Results below 2^-126 (doubles: 2^-1022) are 0.
//                  Denormal elements count as 0.
// Accuracy         at most 4 ulp of the exact softmax of z. Without cap, bias, slopes and sink z is exact; otherwise it
//                  is rounded, by up to 5 ulp of what a cap gives and half an ulp of what every other product and sum
//                  gives: an error of e in z is one of e * y in the result.
// Determinism      the bits of a row depend on the row, what is kept of it and the options only; see softmax. Limits
//                  and a keep mask that leave the same may differ in the last bit.
// Memory           x and bias are read once, y is written once. Of floats and doubles side by side in rows of more than
//                  256 elements (127 with sinks), only the part is read that holds all that is kept. Buffers as for
//                  softmax; rows whose elements lie apart, along other axes included, are converted in blocks.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax;
//                  operands that do not broadcast, a negative window or soft_cap, limits without an axis of queries.
template <class Executor, class X, class Y,
          class T = typename decltype(detail::input_view(std::declval<const X&>()))::value_type>
TARN_INLINE void masked_softmax(const place<Executor>& where, const X& x, Y&& y,
                                const masked_softmax_options<T>& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    shape::assert_softmax<X, Y>(input, output);
    using number = detail::number_of<typename decltype(input)::value_type>;
    static_assert(std::is_same<detail::number_of<T>, number>::value,
                  "tarn: masked_softmax takes options of double beside double, and of other types beside others");
    shape::masked_softmax<number>(where, shape::erase(input), shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class X, class Y, class T = typename decltype(detail::input_view(std::declval<const X&>()))::value_type,
          std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void masked_softmax(const X& x, Y&& y, const masked_softmax_options<T>& options = {}) {
    masked_softmax(on(serial), x, static_cast<Y&&>(y), options);
}

// The gradient of masked_softmax: dx_i = scale * y_i * (dy_i - sum_j y_j dy_j) where the key is kept, times 1 -
// tanh(scale * x_i / soft_cap)^2 with a soft cap, and 0 elsewhere; from its result y and the gradient dy of what y went
// into. The gradient of a row's sink is -(1 - sum_j y_j) * sum_j y_j dy_j. With a scale of 1 and no cap dx is the
// gradient of the bias, to be summed along the axes that it is repeated along. Slopes have none.
//
//   y        float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included: what
//            masked_softmax returned
//   dy       the type and extents of y, any strides
//   dx       the type of y, or float for y of 16 bits; the extents of y, any strides but 0; y or dy itself, or memory
//            apart from them
//   options  see masked_softmax_backward_options; their operands lie apart from dx
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   dy is not looked at where nothing is kept. NaN in y or dy where it is: NaN in all that is kept of
//                  the row. Rows of 0: 0. Results below 2^-126 (doubles: 2^-1022) are 0. Denormal elements count as 0.
// Accuracy         that of softmax_backward; with a soft cap 8 + 2 |scale * x / soft_cap| ulp more of the result.
//                  1 - sum_j y_j may be off by 2 ulp of 1.
// Determinism      the bits of a row depend on the row, what is kept of it and the options only; see softmax.
// Memory           y and dy are read once from memory and once from a cache, dx is written once. Buffers as for
//                  masked_softmax.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as masked_softmax;
//                  a soft cap without logits.
template <class Executor, class Y, class DY, class DX,
          class T = typename decltype(detail::input_view(std::declval<const Y&>()))::value_type>
TARN_INLINE void masked_softmax_backward(const place<Executor>& where, const Y& y, const DY& dy, DX&& dx,
                                         const masked_softmax_backward_options<T>& options = {}) {
    const auto input = detail::input_view(y);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    constexpr bool viewable =
        detail::accepts_input<Y>::value && detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    shape::assert_gradient<decltype(input), decltype(gradient), decltype(output), viewable>();
    static_assert(!viewable || decltype(input)::rank == decltype(gradient)::rank,
                  "tarn: input and gradient of masked_softmax_backward have different ranks");
    using number = detail::number_of<typename decltype(input)::value_type>;
    static_assert(
        std::is_same<detail::number_of<T>, number>::value,
        "tarn: masked_softmax_backward takes options of double beside double, and of other types beside others");
    shape::masked_softmax_backward<number>(where, shape::erase(input), shape::erase(gradient), shape::erase(output),
                                           options);
}
template <class Y, class DY, class DX,
          class T = typename decltype(detail::input_view(std::declval<const Y&>()))::value_type,
          std::enable_if_t<!detail::is_place<Y>::value, int> = 0>
TARN_INLINE void masked_softmax_backward(const Y& y, const DY& dy, DX&& dx,
                                         const masked_softmax_backward_options<T>& options = {}) {
    masked_softmax_backward(on(serial), y, dy, static_cast<DX&&>(dx), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
