// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/rows.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/shape/tiers.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/log_softmax_kernels.hpp>
#endif

namespace tarn { inline namespace v0 {

struct log_softmax_options {
    // The axis to normalise along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // Multiplies the logits; 1 / temperature. Any number below 2^127 in magnitude, negative and 0 included.
    float scale = 1.0f;
    // What a row of -inf becomes: NaN, or the logarithm of zero, -inf.
    v0::empty_row empty_row = v0::empty_row::nan;
    v0::stores stores = v0::stores::automatic;
};

struct logsumexp_options {
    // The axis to reduce, in the logical order of the input; negative counts from the end.
    int axis = -1;
    // Multiplies the logits; 1 / temperature. Any number below 2^127 in magnitude, negative and 0 included.
    float scale = 1.0f;
};

#if defined(TARN_DISPATCH)
namespace dispatch {
const log_softmax_table& log_softmax_table_of(tier t) noexcept;
}
#endif

inline namespace TARN_BACKEND {

namespace shape {

TARN_INLINE const dispatch::log_softmax_table& log_softmax_kernels_of([[maybe_unused]] tier t) noexcept {
#if defined(TARN_DISPATCH)
    return dispatch::log_softmax_table_of(t);
#else
    return kernels::log_softmax_kernels<simd::tier_arch>::table;
#endif
}

// One kernel call for every run of rows; place(call, offsets) fills in where its operands begin.
template <class Executor, class Place>
void run_log_softmax(const place<Executor>& where, const dispatch::log_softmax_table& kernels, const row_loops& loops,
                     item_cost cost, dispatch::log_softmax_call call, const Place& place) {
    const auto kernel = loops.by_columns() ? kernels.columns : kernels.rows;
    const loop& step = loops.by_columns() ? loops.axis() : loops.inner();
    call.length = loops.axis().extent;
    call.x_stride = step.stride[0];
    call.y_stride = step.stride[1];
    call.lse_stride = loops.inner().stride[1];
    where.parallel_for(loops.items(), cost, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        loops.run(begin, end, [&](const std::ptrdiff_t* offset, std::ptrdiff_t rows) {
            dispatch::log_softmax_call part = call;
            part.rows = rows;
            place(part, offset);
            kernel(part);
        });
    });
}

template <class Executor>
void log_softmax(const place<Executor>& where, const operand& x, const operand& y, const log_softmax_options& options,
                 double streaming_bytes) {
    constexpr const char* op = "log_softmax";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    check_same_extents(op, x, y);
    const int axis = check_axis(op, options.axis, x.rank);
    check_scale(op, options.scale);
    const auto& kernels = log_softmax_kernels_of(check_tier(op, where.tier_index));
    if (size(x) == 0)
        return;
    const bool in_place = check_overlap(op, x, y);
    const row_loops loops(axis, 2, 1, 0, x, y);
    dispatch::log_softmax_call call = {};
    call.scale = options.scale;
    call.empty_rows_lowest = options.empty_row == empty_row::zero;
    call.stream =
        streams(options.stores, in_place, 2.0 * static_cast<double>(size(x)) * sizeof(float), streaming_bytes);
    run_log_softmax(where, kernels, loops, loops.cost(4, 4), call,
                    [&](dispatch::log_softmax_call& part, const std::ptrdiff_t* offset) {
                        part.x = static_cast<const float*>(x.data) + offset[0];
                        part.y = static_cast<float*>(const_cast<void*>(y.data)) + offset[1];
                    });
}

// logsumexp, and logmeanexp if `mean`.
template <class Executor>
void logsumexp(const char* op, const place<Executor>& where, const operand& x, const operand& y,
               const logsumexp_options& options, bool mean) {
    check_operand(op, "input", x);
    const int axis = check_axis(op, options.axis, x.rank);
    check_operand(op, "output", y);
    const operand out = check_reduced(op, x, axis, y);
    check_scale(op, options.scale);
    const auto& kernels = log_softmax_kernels_of(check_tier(op, where.tier_index));
    if (size(out) == 0)
        return;
    check_distinct(op, out);
    if (x.extent[axis] == 0) {
        fill(out, mean ? __builtin_nanf("") : -__builtin_huge_valf());
        return;
    }
    check_apart(op, x, out);
    const row_loops loops(axis, 1, 0, 0, x, out);
    dispatch::log_softmax_call call = {};
    call.scale = options.scale;
    call.lse_offset = mean ? -__builtin_log(static_cast<double>(x.extent[axis])) : 0.0;
    run_log_softmax(where, kernels, loops, loops.cost(4, 0), call,
                    [&](dispatch::log_softmax_call& part, const std::ptrdiff_t* offset) {
                        part.x = static_cast<const float*>(x.data) + offset[0];
                        part.lse = static_cast<float*>(const_cast<void*>(out.data)) + offset[1];
                    });
}

// Every element by itself: whichever axis lies side by side is a row.
template <class Executor>
void logaddexp(const place<Executor>& where, const operand& a, const operand& b, const operand& y) {
    constexpr const char* op = "logaddexp";
    check_operand(op, "first input", a);
    check_operand(op, "second input", b);
    check_operand(op, "output", y);
    check_same_extents(op, a, b, "second input");
    check_same_extents(op, a, y);
    const auto& kernels = log_softmax_kernels_of(check_tier(op, where.tier_index));
    if (size(a) == 0)
        return;
    check_overlap(op, a, y);
    check_overlap(op, b, y);
    const row_loops loops(a.rank - 1, 3, 2, 0, a, b, y);
    const bool columns = loops.by_columns();
    const loop& step = columns ? loops.axis() : loops.inner();
    where.parallel_for(loops.items(), loops.cost(8, 4), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        loops.run(begin, end, [&](const std::ptrdiff_t* offset, std::ptrdiff_t count) {
            const std::ptrdiff_t length = loops.axis().extent;
            kernels.logaddexp({static_cast<const float*>(a.data) + offset[0],
                               static_cast<const float*>(b.data) + offset[1],
                               static_cast<float*>(const_cast<void*>(y.data)) + offset[2], columns ? length : count,
                               columns ? count : length, step.stride[0], step.stride[1], step.stride[2]});
        });
    });
}

} // namespace shape

// y_i = scale * x_i - log sum_j exp(scale * x_j) along one axis, evaluated as scale * (x_i - max) - log sum.
//
// The logarithm of softmax without the softmax: results are exact far below where a softmax vanishes, and
// log-probabilities next to 0 keep all their digits.
//
//   x        float, rank 1 to 5, any strides, broadcast (stride 0) included
//   y        float, the extents of x, any strides but 0; x itself (in place) or memory apart from it
//   options  see log_softmax_options
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN or +inf in a row (after scaling): the whole row is NaN. -inf: -inf. A row of -inf: NaN, or -inf
//                  with empty_row::zero. A row of one element: 0. No result is above 0, and those above -2^-126 are 0.
//                  An axis of extent 0: nothing is written. Finite logits more than 3.4e38 below the greatest give
//                  -inf.
// Accuracy         at most 4 ulp of the exact value, next to 0 as well (measured: 2.8, in rows sought for it).
// Determinism      the bits of a row depend on the row, its length and the scale only; see softmax.
// Memory           x is read once from memory and once from a cache, and once more where one element has all but 1e-5
//                  (short rows: 1e-8) of the probability; y written once. No buffer.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax.
template <class Executor, class X, class Y>
TARN_INLINE void log_softmax(const place<Executor>& where, const X& x, Y&& y, const log_softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    using input_value = typename decltype(input)::value_type;
    using output_value = typename decltype(output)::value_type;
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    static_assert(!viewable || (std::is_same<input_value, float>::value && std::is_same<output_value, float>::value),
                  "tarn: log_softmax takes float operands");
    static_assert(!viewable || decltype(input)::rank == decltype(output)::rank,
                  "tarn: input and output of log_softmax have different ranks");
    static_assert(!viewable || decltype(input)::rank >= 1, "tarn: log_softmax needs an axis: operands of rank 1 to 5");
    shape::log_softmax(where, shape::erase(input), shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class X, class Y> TARN_INLINE void log_softmax(const X& x, Y&& y, const log_softmax_options& options = {}) {
    log_softmax(on(serial), x, static_cast<Y&&>(y), options);
}

// y = log sum_j exp(scale * x_j) along one axis.
//
//   x        float, rank 1 to 5, any strides, broadcast (stride 0) included
//   y        float, the extents of x without the axis, or with extent 1 there; a float for x of rank 1; apart from x
//   options  see logsumexp_options
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN in a row: NaN. Otherwise +inf (after scaling) in a row: +inf. A row of -inf: -inf. A row of one
//                  element: scale * x, rounded once. An axis of extent 0: -inf.
// Accuracy         within 4 ulp of the largest of |y|, |scale * max x| and log of the number of terms that count;
//                  measured 2.4, in rows sought for it.
// Determinism      the bits of a row depend on the row, its length and the scale only; see softmax.
// Memory           x is read once, and again where one element has all but 1e-5 (short rows: 1e-8) of the sum. No
//                  buffer.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that do not
//                  fit or are negative, axis out of range, null data, scale NaN or too large, outputs that certainly
//                  overlap the input or themselves, a tier that is not available.
template <class Executor, class X, class Y>
TARN_INLINE void logsumexp(const place<Executor>& where, const X& x, Y&& y, const logsumexp_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    shape::assert_reduction<X, Y>(input, output);
    shape::logsumexp("logsumexp", where, shape::erase(input), shape::erase(output), options, false);
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
    shape::logsumexp("logmeanexp", where, shape::erase(input), shape::erase(output), options, true);
}
template <class X, class Y> TARN_INLINE void logmeanexp(const X& x, Y&& y, const logsumexp_options& options = {}) {
    logmeanexp(on(serial), x, static_cast<Y&&>(y), options);
}

// y = log(e^a + e^b) = max(a, b) + log(1 + e^-|a - b|), element by element: the sum of two numbers given by their logarithms.
//
//   a, b     float, rank 1 to 5, equal extents, any strides, broadcast (stride 0) included
//   y        float, the same extents, any strides but 0; a or b itself, or memory apart from them
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN in a or b: NaN. Otherwise +inf in one: +inf. -inf in one: the other. -inf in both: -inf.
// Accuracy         within 4 ulp of the largest of |y|, |max(a, b)| and log(1 + e^-|a - b|); measured 1.6.
// Determinism      the bits of a result depend on its a and b only.
// Memory           a and b are read once, y written once. No buffer.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax.
template <class Executor, class X, class Z, class Y>
TARN_INLINE void logaddexp(const place<Executor>& where, const X& a, const Z& b, Y&& y) {
    const auto first = detail::input_view(a);
    const auto second = detail::input_view(b);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    constexpr bool viewable =
        detail::accepts_input<X>::value && detail::accepts_input<Z>::value && detail::accepts_output<Y>::value;
    static_assert(!viewable || (std::is_same<typename decltype(first)::value_type, float>::value &&
                                std::is_same<typename decltype(second)::value_type, float>::value &&
                                std::is_same<typename decltype(output)::value_type, float>::value),
                  "tarn: logaddexp takes float operands");
    static_assert(!viewable || (decltype(first)::rank == decltype(second)::rank &&
                                decltype(first)::rank == decltype(output)::rank && decltype(first)::rank >= 1),
                  "tarn: operands of logaddexp have one rank, 1 to 5");
    shape::logaddexp(where, shape::erase(first), shape::erase(second), shape::erase(output));
}
template <class X, class Z, class Y> TARN_INLINE void logaddexp(const X& a, const Z& b, Y&& y) {
    logaddexp(on(serial), a, b, static_cast<Y&&>(y));
}

} // namespace TARN_BACKEND
}} // namespace tarn
