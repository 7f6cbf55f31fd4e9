// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/shape/pieces.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/shape/tiers.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/log_softmax_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(log_softmax)

namespace tarn { inline namespace v0 {

struct log_softmax_options {
    // The axis to normalise along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // Multiplies the logits; 1 / temperature. Any number below 2^127 in magnitude, negative and 0 included; rounded to
    // float for all types but double.
    double scale = 1;
    // What a row of -inf becomes: NaN, or the logarithm of zero, -inf.
    v0::empty_row empty_row = v0::empty_row::nan;
    v0::stores stores = v0::stores::automatic;
    // How many adjacent axes, from that one on, are one row together; the last of them is the fastest.
    int axes = 1;
};

struct logsumexp_options {
    // The axis to reduce, in the logical order of the input; negative counts from the end.
    int axis = -1;
    // Multiplies the logits; 1 / temperature. Any number below 2^127 in magnitude, negative and 0 included; rounded to
    // float for all types but double.
    double scale = 1;
    // How many adjacent axes, from that one on, are one row together; the last of them is the fastest.
    int axes = 1;
};

inline namespace TARN_BACKEND {

namespace shape {

// What log_softmax and logsumexp ask of a row, and which operands they have beside x; -1: none.
template <class T> struct log_softmax_request {
    T scale;
    double lse_offset;
    bool empty_rows_lowest;
    bool stream;
    int y, lse;
};

template <class T, class Executor>
void run_log_softmax(const place<Executor>& where, tier t, const row_loops& loops, const row_parts<T>& parts,
                     item_cost cost, const log_softmax_request<T>& request) {
    const dispatch::log_softmax_table<T>& kernels = log_softmax_kernels_of<T>(t);
    const dispatch::stored_rows absent = {};
    const bool shared = run_in_pieces(where, loops, parts, [&](const auto& p) {
        const bool results = request.y >= 0;
        const dispatch::log_softmax_long_row<T> row{
            p.rows_of(0),  results ? p.rows_of(request.y) : absent, p.length, request.scale, request.empty_rows_lowest,
            request.stream};
        const auto numbers = take_in_pieces(where, kernels.pieces, row, results);
        if (request.lse >= 0)
            with_zero_denormals([&] {
                p.put_number(convert_kernels_of<T>(t), request.lse,
                             kernels.log_of_pieces(numbers, request.scale, request.lse_offset));
            });
    });
    if (shared)
        return;
    const auto kernel = loops.by_columns() ? kernels.columns : kernels.rows;
    run_parts(where, t, loops, parts, cost, [&](const row_part<T>& part) {
        const auto& step = loops.by_columns() ? part.along : part.across;
        if (part.stored)
            kernels.stored({part.rows_of(0), request.y < 0 ? absent : part.rows_of(request.y),
                            request.lse < 0 ? absent : part.numbers_of(request.lse), part.rows, part.length,
                            request.scale, request.lse_offset, request.empty_rows_lowest});
        else
            kernel({part.input(0), request.y < 0 ? nullptr : part.output(request.y),
                    request.lse < 0 ? nullptr : part.output(request.lse), part.rows, part.length, step[0],
                    request.y < 0 ? 0 : step[request.y], request.lse < 0 ? 0 : part.across[request.lse], request.scale,
                    request.lse_offset, request.empty_rows_lowest, request.stream && !part.buffered});
    });
}

template <class T, class Executor>
void log_softmax(const place<Executor>& where, const operand& x, const operand& y, const log_softmax_options& options,
                 double streaming_bytes) {
    constexpr const char* op = "log_softmax";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    check_same_extents(op, x, y);
    const axis_span axes = check_axes(op, options.axis, options.axes, x.rank);
    check_scale(op, options.scale);
    const tier t = check_tier(op, where.tier_index);
    if (size(x) == 0)
        return;
    const bool in_place = check_overlap(op, x, y);
    const row_loops loops(axes, 2, 1, x, y);
    const row_parts<T> parts(loops, 2, 1u << 1, block_rule::shared_results, x, y);
    const bool stream = streams(options.stores, in_place, bytes_of(x) + bytes_of(y), streaming_bytes);
    run_log_softmax<T>(where, t, loops, parts, loops.cost(bytes_of_element(x), bytes_of_element(y)),
                       {static_cast<T>(options.scale), 0.0, options.empty_row == empty_row::zero, stream, 1, -1});
}

// logsumexp, and logmeanexp if `mean`.
template <class T, class Executor>
void logsumexp(const char* op, const place<Executor>& where, const operand& x, const operand& y,
               const logsumexp_options& options, bool mean) {
    check_operand(op, "input", x);
    const axis_span axes = check_axes(op, options.axis, options.axes, x.rank);
    check_operand(op, "output", y);
    const operand out = check_reduced(op, x, axes, y);
    check_scale(op, options.scale);
    const tier t = check_tier(op, where.tier_index);
    if (size(out) == 0)
        return;
    check_distinct(op, y);
    const std::ptrdiff_t length = axes.length(x);
    if (length == 0) {
        fill(out, mean ? __builtin_nanf("") : -__builtin_huge_valf());
        return;
    }
    check_apart(op, x, out);
    const row_loops loops(axes, 1, 0, x, out);
    const row_parts<T> parts(loops, 1, 1u << 1, block_rule::whole_rows, x, out);
    const double offset = mean ? -__builtin_log(static_cast<double>(length)) : 0.0;
    run_log_softmax<T>(where, t, loops, parts, loops.cost(bytes_of_element(x), 0),
                       {static_cast<T>(options.scale), offset, false, false, -1, 1});
}

template <class T, class Executor>
void logaddexp(const place<Executor>& where, const operand& a, const operand& b, const operand& y) {
    constexpr const char* op = "logaddexp";
    check_operand(op, "first input", a);
    check_operand(op, "second input", b);
    check_operand(op, "output", y);
    check_same_extents(op, a, b, "second input");
    check_same_extents(op, a, y);
    const tier t = check_tier(op, where.tier_index);
    if (size(a) == 0)
        return;
    check_overlap(op, a, y);
    check_overlap(op, b, y);
    const operand_list list = operand_list::of(a, b, y);
    const row_loops loops(elementwise_axis(list), 3, 2, kernel_layouts::rows_and_columns, list);
    const row_parts<T> parts(loops, 3, 1u << 2, block_rule::elements, list);
    const bool columns = loops.by_columns();
    const auto kernel = log_softmax_kernels_of<T>(t).logaddexp;
    const item_cost cost = loops.cost(bytes_of_element(a) + bytes_of_element(b), bytes_of_element(y));
    run_parts(where, t, loops, parts, cost, [&](const row_part<T>& part) {
        const auto& step = columns ? part.along : part.across;
        kernel({part.input(0), part.input(1), part.output(2), columns ? part.length : part.rows,
                columns ? part.rows : part.length, step[0], step[1], step[2]});
    });
}

} // namespace shape

// y_i = scale * x_i - log sum_j exp(scale * x_j) along one axis, or along adjacent axes together, evaluated as scale *
// (x_i - max) - log sum.
//
// The logarithm of softmax without the softmax: results are exact far below where a softmax vanishes, and
// log-probabilities next to 0 keep all their digits.
//
//   x        float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included
//   y        the type of x, or float for x of 16 bits; the extents of x, any strides but 0; x itself (in place) or
//            memory apart from it
//   options  see log_softmax_options
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN or +inf in a row (after scaling): the whole row is NaN. -inf: -inf. A row of -inf: NaN, or -inf
//                  with empty_row::zero. A row of one element: 0. No result is above 0, and those above -2^-126
//                  (doubles: -2^-1022) are 0.
//                  An axis of extent 0: nothing is written. Finite logits further below the greatest than the
//                  type reaches give -inf. Denormal elements count as 0.
// Accuracy         at most 4 ulp of the exact value, next to 0 as well (measured: 2.8, in rows sought for it). For
//                  doubles 3.1 were measured. 16-bit results are the float results rounded once.
// Determinism      the bits of a row depend on the row, its length and the scale only; see softmax.
// Memory           x is read once from memory and once from a cache, and once more where one element has all but 1e-5
//                  (short rows: 1e-8, doubles: 1e-13) of the probability; y written once. No buffer for elements side
//                  by side, along a row or across rows, but of 16 bits; for others see softmax.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax.
template <class Executor, class X, class Y>
TARN_INLINE void log_softmax(const place<Executor>& where, const X& x, Y&& y, const log_softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    using input_value = typename decltype(input)::value_type;
    using output_value = typename decltype(output)::value_type;
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    static_assert(!viewable || detail::is_element_pair<input_value, output_value>::value,
                  "tarn: log_softmax takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits "
                  "with results in float");
    static_assert(!viewable || decltype(input)::rank == decltype(output)::rank,
                  "tarn: input and output of log_softmax have different ranks");
    static_assert(!viewable || decltype(input)::rank >= 1, "tarn: log_softmax needs an axis: operands of rank 1 to 5");
    shape::log_softmax<detail::number_of<input_value>>(where, shape::erase(input), shape::erase(output), options,
                                                       TARN_STREAMING_BYTES);
}
template <class X, class Y> TARN_INLINE void log_softmax(const X& x, Y&& y, const log_softmax_options& options = {}) {
    log_softmax(on(serial), x, static_cast<Y&&>(y), options);
}

// y = log sum_j exp(scale * x_j) along one axis, or along adjacent axes together.
//
//   x        float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included
//   y        the type of x, or float for x of 16 bits; the extents of x without the axes, or with extent 1 there; a
//            number for x of rank 1; apart from x
//   options  see logsumexp_options
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN in a row: NaN. Otherwise +inf (after scaling) in a row: +inf. A row of -inf: -inf. A row of one
//                  element: scale * x, rounded once. An axis of extent 0: -inf. Denormal elements count as 0.
// Accuracy         within 4 ulp of the largest of |y|, |scale * max x| and log of the number of terms that count;
//                  measured 2.4, in rows sought for it. 16-bit results are the float results rounded once.
// Determinism      the bits of a row depend on the row, its length and the scale only; see softmax.
// Memory           x is read once, and again where one element has all but 1e-5 (short rows: 1e-8) of the sum. Buffers
//                  as log_softmax.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that do not
//                  fit or are negative, axis or axes out of range, null data, scale NaN or too large, outputs that certainly
//                  overlap the input or themselves, a tier that is not available.
template <class Executor, class X, class Y>
TARN_INLINE void logsumexp(const place<Executor>& where, const X& x, Y&& y, const logsumexp_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    shape::assert_reduction<X, Y>(input, output);
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::logsumexp<number>("logsumexp", where, shape::erase(input), shape::erase(output), options, false);
}
template <class X, class Y> TARN_INLINE void logsumexp(const X& x, Y&& y, const logsumexp_options& options = {}) {
    logsumexp(on(serial), x, static_cast<Y&&>(y), options);
}

// y = log((1/n) sum_j exp(scale * x_j)) along an axis of n elements: logsumexp less log n, subtracted before it is
// rounded. An axis of extent 0 gives NaN; for all else see logsumexp.
template <class Executor, class X, class Y>
TARN_INLINE void logmeanexp(const place<Executor>& where, const X& x, Y&& y, const logsumexp_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    shape::assert_reduction<X, Y>(input, output);
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::logsumexp<number>("logmeanexp", where, shape::erase(input), shape::erase(output), options, true);
}
template <class X, class Y> TARN_INLINE void logmeanexp(const X& x, Y&& y, const logsumexp_options& options = {}) {
    logmeanexp(on(serial), x, static_cast<Y&&>(y), options);
}

// y = log(e^a + e^b) = max(a, b) + log(1 + e^-|a - b|), element by element: the sum of two numbers given by their
// logarithms.
//
//   a, b     float, double, float16 or bfloat16, rank 1 to 5, equal extents, any strides, broadcast (stride 0) included
//   y        the type of a, or float for 16 bits; the same extents, any strides but 0; a or b itself, or memory apart
//            from them
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN in a or b: NaN. Otherwise +inf in one: +inf. -inf in one: the other. -inf in both: -inf.
//                  Denormal elements count as 0.
// Accuracy         within 4 ulp of the largest of |y|, |max(a, b)| and log(1 + e^-|a - b|); measured 1.6. 16-bit
//                  results are the float results rounded once.
// Determinism      the bits of a result depend on its a and b only.
// Memory           a and b are read once, y written once. No buffer but the stack.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax.
template <class Executor, class X, class Z, class Y>
TARN_INLINE void logaddexp(const place<Executor>& where, const X& a, const Z& b, Y&& y) {
    const auto first = detail::input_view(a);
    const auto second = detail::input_view(b);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<Z>::value && detail::accepts_output<Y>::value;
    using first_value = typename decltype(first)::value_type;
    static_assert(
        !viewable || (std::is_same<first_value, typename decltype(second)::value_type>::value &&
                      detail::is_element_pair<first_value, typename decltype(output)::value_type>::value),
        "tarn: logaddexp takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits with results "
        "in float");
    static_assert(!viewable || (decltype(first)::rank == decltype(second)::rank &&
                                decltype(first)::rank == decltype(output)::rank && decltype(first)::rank >= 1),
                  "tarn: operands of logaddexp have one rank, 1 to 5");
    shape::logaddexp<detail::number_of<first_value>>(where, shape::erase(first), shape::erase(second),
                                                     shape::erase(output));
}
template <class X, class Z, class Y> TARN_INLINE void logaddexp(const X& a, const Z& b, Y&& y) {
    logaddexp(on(serial), a, b, static_cast<Y&&>(y));
}

} // namespace TARN_BACKEND
}} // namespace tarn
