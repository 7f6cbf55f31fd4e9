// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/conversions.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/softmax_table.hpp>
#include <tarn/shape/denormals.hpp>
#include <tarn/shape/dense_rows.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/softmax_plan.hpp>
#include <tarn/shape/tiers.hpp>
#include <tarn/where.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/softmax_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(softmax)

namespace tarn { inline namespace v0 {

struct softmax_options {
    // The axis to normalise along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // Multiplies the logits; 1 / temperature. Any number below 2^127 in magnitude, negative and 0 included. Costs
    // nothing and is exact: the product is never rounded. Rounded to float for all types but double;
    // denormal ones count as 0.
    double scale = 1;
    // What a row of -inf becomes.
    v0::empty_row empty_row = v0::empty_row::nan;
    // automatic, or one by name: optimistic, three_pass_recompute, three_pass_reload, two_pass, online. All give the same
    // bits. A name keeps threads from sharing a row, and is without effect along other axes, and for rows whose elements
    // lie apart or need a buffer that is not there.
    softmax_algorithm algorithm = softmax_algorithm::automatic;
    // How results reach memory: automatic (past the caches if input and output exceed TARN_STREAMING_BYTES and are
    // apart), cached, streaming. three_pass_reload never streams.
    v0::stores stores = v0::stores::automatic;
    // How many adjacent axes, from that one on, are one row together; the last of them is the fastest.
    int axes = 1;
};

namespace detail {
template <class T> using is_options = std::is_same<remove_cvref_t<T>, softmax_options>;
}

inline namespace TARN_BACKEND {

namespace shape {

// A dense block of a few short rows on the best tier, without checks and plans, which would take longer than the rows.
// False if it is not one.
template <class T, int Rank>
TARN_INLINE bool softmax_of_few(int tier_index, const tensor_view<const T, Rank>& x, const tensor_view<T, Rank>& y,
                                const softmax_options& options) noexcept {
    const dense_rows block = dense_rows::of(x, y, options.axis, few_elements);
    const bool ordinary = options.axes == 1 && tier_index == place<const serial_executor>::best &&
                          is_scale(options.scale) && options.algorithm == softmax_algorithm::automatic &&
                          options.stores != stores::streaming;
    if (!ordinary || block.columns == 0 || block.columns > dispatch::short_row_columns)
        return false;
    [[maybe_unused]] const zero_denormals scope;
    softmax_kernels_of<T>(best_tier())
        .rows[static_cast<int>(dispatch::row_kernel::short_rows)](
            {x.data, y.data, block.rows, block.columns, block.columns, block.columns, static_cast<T>(options.scale),
             options.empty_row == empty_row::zero, false, nullptr, 0});
    return true;
}

// T: the type that elements are worked on in. lse null: not wanted.
template <class T, class Executor>
void softmax(const place<Executor>& where, const operand& x, const operand& y, const operand* given_lse,
             const softmax_options& options, double streaming_bytes) {
    constexpr const char* op = "softmax";
    check_operand(op, "input", x);
    check_operand(op, "output", y);
    check_same_extents(op, x, y);
    const axis_span axes = check_axes(op, options.axis, options.axes, x.rank);
    operand lse = {};
    if (given_lse) {
        check_operand(op, "logsumexp", *given_lse);
        lse = check_reduced(op, x, axes, *given_lse, "logsumexp");
    }
    check_scale(op, options.scale);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::softmax_table<T>& kernels = softmax_kernels_of<T>(t);
    const dispatch::convert_table<T>& convert = convert_kernels_of<T>(t);
    if (given_lse && size(lse) > 0)
        check_distinct(op, *given_lse, "logsumexp");
    if (size(x) == 0) {
        if (given_lse && axes.length(x) == 0)
            fill(lse, -__builtin_huge_valf());
        return;
    }
    const bool in_place = check_overlap(op, x, y);
    if (given_lse) {
        check_apart(op, lse, x, "logsumexp", "input");
        check_apart(op, lse, y, "logsumexp", "output");
    }
    const bool zero_empty_rows = options.empty_row == empty_row::zero;
    const softmax_plan<T> plan(
        x, y, given_lse ? &lse : nullptr, axes,
        {static_cast<T>(options.scale), zero_empty_rows, options.algorithm, options.stores, streaming_bytes}, in_place);
    if constexpr (!std::is_same<std::remove_cv_t<Executor>, serial_executor>::value) {
        if (plan.in_pieces()) {
            plan.run_in_pieces(where, kernels, convert);
            return;
        }
    }
    where.parallel_for(plan.items(), plan.cost(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        [[maybe_unused]] const zero_denormals scope;
        plan.run(kernels, convert, begin, end, buffer_for<T>(where, plan.scratch_numbers()));
    });
}

// The views of x and y, with one message for one mistake: a refused operand has been reported before.
template <class X, class Y, class Input, class Output>
TARN_INLINE constexpr void assert_softmax(const Input&, const Output&) noexcept {
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    static_assert(!viewable || detail::is_element_pair<typename Input::value_type, typename Output::value_type>::value,
                  "tarn: softmax takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits with "
                  "results in "
                  "float");
    static_assert(!viewable || Input::rank == Output::rank, "tarn: input and output of softmax have different ranks");
    static_assert(!viewable || Input::rank >= 1, "tarn: softmax needs an axis: operands of rank 1 to 5");
}

} // namespace shape

// y_i = exp(scale * x_i) / sum_j exp(scale * x_j) along one axis, or along adjacent axes together.
//
// Online normalizer calculation for softmax (arXiv 1805.02867) and The Two-Pass Softmax Algorithm (arXiv 2001.04438)
// describe the known schemes. By default tarn guesses the reference exponent that they search for, checks the guess by
// the sum, and repeats what fails: one read and one write of memory for rows that fit a cache.
//
//   x        float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included
//   y        the type of x, or float for x of 16 bits; the extents of x, any strides but 0; x itself (in place) or
//            memory apart from it
//   options  see softmax_options
//   where    tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// Special values   NaN or +inf in a row (after scaling): the whole row is NaN. -inf: weight 0. A row of -inf: NaN, or 0
//                  with empty_row::zero. An axis of extent 0: nothing is written. Results below 2^-126, of doubles
//                  below 2^-1022, are 0. Denormal elements count as 0.
// Accuracy         at most 4 ulp of the exact softmax of the given numbers, whatever their size or offset; measured 2.8
//                  over rows of 1 to 64e6 logits of standard deviation 1 to 50 and offsets to 1e6, for doubles as well.
//                  16-bit results are the float results rounded once.
// Determinism      the bits of a row depend on the row, its length and the scale only: not on other rows, position,
//                  strides, alignment, in place, stores, algorithm, threads, compiler, nor on AVX2 against AVX-512.
//                  SSE2 has no fused multiply-add and may differ by a few units in the last place.
// Threads          an executor is dealt rows; along other axes, blocks of 128 columns. Of at most 32 rows of 262144
//                  elements or more (8, if a buffer has to convert them) each is shared, and read twice, unless an
//                  algorithm is named.
// Memory           rows that fit a cache: x read once, y written once. Rows above 262144 columns with streaming stores,
//                  or above 4096 without scratch: x read twice (SSE2: y written twice). Above 4096 columns in place or
//                  streaming, and along other axes, a buffer is used (doubles: half as many): scratch lent by tarn::on,
//                  or the thread's own.
//                  It holds two rows of floats or doubles and 15 KB; along other axes 128 columns of them. At most 64 KB
//                  of stack. By name, two_pass, online and three_pass_recompute read x two, two and three times;
//                  three_pass_reload reads it twice, and writes y twice. Elements of 16 bits, and rows whose elements
//                  lie apart, are converted in blocks: on the stack, above 9 KB in that buffer, and where that is too
//                  small x is read twice. The same for rows of several axes that no single stride runs through. Their
//                  results do not stream.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that differ
//                  or are negative, axis or axes out of range, null data, scale NaN or too large, outputs that certainly
//                  overlap the input or themselves, a tier that is not available.
template <class Executor, class X, class Y>
TARN_INLINE void softmax(const place<Executor>& where, const X& x, Y&& y, const softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    shape::assert_softmax<X, Y>(input, output);
    if constexpr (detail::accepts_input<X>::value && detail::accepts_output<Y>::value &&
                  std::is_same<Executor, const serial_executor>::value &&
                  std::is_same<typename decltype(input)::value_type,
                               detail::number_of<typename decltype(input)::value_type>>::value) {
        if (shape::softmax_of_few(where.tier_index, input, output, options))
            return;
    }
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::softmax<number>(where, shape::erase(input), shape::erase(output), nullptr, options, TARN_STREAMING_BYTES);
}
template <class X, class Y> TARN_INLINE void softmax(const X& x, Y&& y, const softmax_options& options = {}) {
    softmax(on(serial), x, static_cast<Y&&>(y), options);
}

// The same, and the log-sum-exp of every row, log sum_j exp(scale * x_j), from the sum that its softmax needs anyway: a
// few nanoseconds for a row.
//
//   lse      the type of x, or float for x of 16 bits; the extents of x without the axes, or with extent 1 there; apart
//            from x and y
//
// Special values   a row that softmax makes NaN: NaN, but -inf for a row of -inf. An axis of extent 0: -inf.
// Accuracy         within 4 ulp of the largest of 1, |lse| and |scale * max x|: what exp(scale * x - lse) needs.
//                  logsumexp is as exact next to 0 as well.
template <class Executor, class X, class Y, class L, std::enable_if_t<!detail::is_options<L>::value, int> = 0>
TARN_INLINE void softmax(const place<Executor>& where, const X& x, Y&& y, L&& lse,
                         const softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    const auto sums = detail::output_view(static_cast<L&&>(lse));
    shape::assert_softmax<X, Y>(input, output);
    shape::assert_reduction<X, L>(input, sums);
    const shape::operand logs = shape::erase(sums);
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::softmax<number>(where, shape::erase(input), shape::erase(output), &logs, options, TARN_STREAMING_BYTES);
}
template <class X, class Y, class L,
          std::enable_if_t<!detail::is_place<X>::value && !detail::is_options<L>::value, int> = 0>
TARN_INLINE void softmax(const X& x, Y&& y, L&& lse, const softmax_options& options = {}) {
    softmax(on(serial), x, static_cast<Y&&>(y), static_cast<L&&>(lse), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
