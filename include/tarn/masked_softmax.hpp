// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/masked_softmax_table.hpp>
#include <tarn/shape/broadcast.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/softmax.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/masked_softmax_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(masked_softmax)

namespace tarn { inline namespace v0 {

// T: the type of elements of bias, slopes and sink: that of the logits, or another one that is worked on as they are
// (float beside 16 bits).
//
// The keys lie along `axis`, the queries along the axis before it, and all other axes are heads and batches. Operands
// are broadcast: aligned at the last axis, repeated along axes where their extent is 1 or missing.
template <class T = float> struct masked_softmax_options {
    // The axis to normalise along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // Multiplies the logits. Any number below 2^127 in magnitude.
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

inline namespace TARN_BACKEND {

namespace shape {

// What operators know of masked rows, with element types erased.
struct masked_operands {
    operand bias, slopes, keep, sink; // only those that are given are set
    bool has_bias, has_slopes, has_keep, has_sink;

    template <class T>
    static masked_operands of(const char* op, const masked_softmax_options<T>& o, const operand& x, axis_span axis) {
        masked_operands m = {};
        const bool has_queries = axis.first > 0;
        const axis_span row{has_queries ? axis.first - 1 : axis.first, has_queries ? 2 : 1};
        const auto set = [&](const char* argument, const auto& given, operand& v, bool& has, axis_span without) {
            has = static_cast<bool>(given);
            if (has)
                v = broadcast(op, argument, erase(given), x, without);
        };
        set("bias", o.bias, m.bias, m.has_bias, {0, 0});
        set("slopes", o.slopes, m.slopes, m.has_slopes, row);
        set("keep", o.keep, m.keep, m.has_keep, {0, 0});
        set("sink", o.sink, m.sink, m.has_sink, row);
        if (!has_queries && (o.causal || o.window != 0 || m.has_slopes))
            fail(op, "axis", std::to_string(o.axis),
                 "an axis of keys behind one of queries for a causal limit, a window or slopes");
        return m;
    }
    template <class F> void each(F f) const {
        if (has_bias)
            f(bias, "bias");
        if (has_slopes)
            f(slopes, "slopes");
        if (has_keep)
            f(keep, "keep");
        if (has_sink)
            f(sink, "sink");
    }
};

template <class T> void check_mask(const char* op, const masked_softmax_options<T>& o) {
    check_scale(op, o.scale);
    if (o.soft_cap != 0 && !(o.soft_cap >= 0x1p-30 && o.soft_cap <= 0x1p30))
        fail(op, "soft_cap", std::to_string(o.soft_cap), "0 for none, or 2^-30 to 2^30");
    if (o.window < 0)
        fail(op, "window", std::to_string(o.window), "0 for none, or a number of keys");
}

// The part of the options that kernels know. Rows are shorter than 2^60.
template <class N, class T> dispatch::mask_of_rows<N> mask_of(const masked_softmax_options<T>& o) noexcept {
    constexpr std::ptrdiff_t most = std::ptrdiff_t{1} << 61;
    const auto limited = [](std::ptrdiff_t v) { return v < -most ? -most : v > most ? most : v; };
    return {static_cast<N>(o.scale),
            static_cast<N>(o.soft_cap),
            nullptr,
            0,
            0,
            {o.causal, limited(o.offset), limited(o.window)},
            0,
            0,
            o.empty_row == empty_row::zero};
}

// N: the type that elements are worked on in.
template <class N, class T, class Executor>
void masked_softmax(const place<Executor>& where, const operand& x, const operand& y,
                    const masked_softmax_options<T>& options, double streaming_bytes) {
    constexpr const char* op = "masked_softmax";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    check_same_extents(op, x, y);
    const axis_span axis = check_axes(op, options.axis, 1, x.rank);
    check_mask(op, options);
    const masked_operands m = masked_operands::of(op, options, x, axis);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::masked_softmax_table<N>& kernels = masked_softmax_kernels_of<N>(t);
    const dispatch::softmax_table<N>& plain = softmax_kernels_of<N>(t);
    if (size(x) == 0)
        return;
    const bool in_place = check_overlap(op, x, y);
    m.each([&](const operand& v, const char* argument) { check_apart(op, v, y, argument, "output"); });

    operand_list operands;
    operands.add(x);
    const int bias = m.has_bias ? operands.add(m.bias) : -1;
    const int output = operands.add(y);
    const int whole = operands.count;
    const int slopes = m.has_slopes ? operands.add(m.slopes) : -1;
    const int sink = m.has_sink ? operands.add(m.sink) : -1;
    const int keep = m.has_keep ? operands.add(m.keep) : -1;
    // Has no elements: where it would be is the index of the query.
    operand query_index{nullptr, element::byte, x.rank, {}, {}};
    for (int i = 0; i < x.rank; ++i) {
        query_index.extent[i] = x.extent[i];
        query_index.stride[i] = i == axis.first - 1;
    }
    const bool wants_query = options.causal || options.window > 0 || m.has_slopes;
    const int query = wants_query ? operands.add(query_index) : -1;

    const row_loops loops(axis, whole, output, kernel_layouts::rows_only, operands);
    const row_parts<N> parts(loops, whole, 1u << output, block_rule::shared_results, operands,
                             sink < 0 ? stack_share::whole : stack_share::half);
    const double bytes = bytes_of(x) + bytes_of(y);
    const bool stream = streams(options.stores, in_place, bytes, streaming_bytes);
    const std::ptrdiff_t n = loops.axis().extent;
    const bool wants_scratch = n > dispatch::stack_buffered_columns<N> && (stream || in_place) && !parts.buffered() &&
                               n <= dispatch::most_buffered_columns<N>;
    const std::ptrdiff_t scratch = wants_scratch ? dispatch::buffered_scratch<N>(n) : parts.scratch_numbers();
    const dispatch::convert_table<N>& convert = convert_kernels_of<N>(t);
    const auto run = [&](const row_part<N>& p) {
        dispatch::mask_of_rows<N> mask = mask_of<N>(options);
        if (keep >= 0) {
            mask.keep = static_cast<const unsigned char*>(p.data[keep]);
            mask.keep_along = p.along[keep];
            mask.keep_across = p.across[keep];
        }
        if (query >= 0) {
            mask.query = p.place[query];
            mask.query_across = p.across[query];
        }
        if (p.stored) {
            const auto rows = [&](int k) { return k < 0 ? dispatch::stored_rows{} : p.rows_of(k); };
            const auto numbers = [&](int k) { return k < 0 ? dispatch::stored_rows{} : p.numbers_of(k); };
            kernels.stored({rows(0), rows(output), rows(bias), p.rows, p.length, mask, numbers(slopes), numbers(sink)});
            return;
        }
        const auto input = [&](int k) { return k < 0 ? nullptr : p.input(k); };
        const auto across = [&](int k) { return k < 0 ? 0 : p.across[k]; };
        kernels.rows({p.input(0), p.output(output), p.rows, p.length, p.across[0], p.across[output], mask, input(bias),
                      across(bias), input(slopes), across(slopes), input(sink), across(sink), stream && !p.buffered,
                      !p.buffered, p.scratch.data, p.scratch.size,
                      plain.rows[static_cast<int>(dispatch::row_kernel::short_rows)]});
    };
    where.parallel_for(loops.items(), loops.cost(bytes_of_element(x), bytes_of_element(y)),
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                           parts.run(convert, begin, end, buffer_for<N>(where, scratch), run);
                       });
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
// Accuracy         at most 4 ulp of the exact softmax of z. Without cap, bias, slopes and sink z is exact; otherwise it
//                  is rounded, with up to 3 ulp of scale * x after a cap and half an ulp of what each further step
//                  gives: an error of e in z is one of e * y in the result.
// Determinism      the bits of a row depend on the row, what is kept of it and the options only; see softmax. Limits
//                  and a keep mask that leave the same may differ in the last bit.
// Memory           x and bias are read once, y is written once, and nothing but y is touched outside the part of a row
//                  that holds all that is kept. Buffers as for softmax; rows whose elements lie apart, along other
//                  axes included, are converted in blocks.
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

} // namespace TARN_BACKEND
}} // namespace tarn
