// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/top_k_table.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/selected.hpp>
#include <tarn/shape/stores.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/top_k_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(top_k)

namespace tarn { inline namespace v0 {

struct top_k_options {
    // The axis to select along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
};

struct softmax_top_k_options {
    // The axis to normalise and to select along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // Multiplies the logits; see softmax_options. Below 0 the smallest logits come first.
    double scale = 1;
    // What a row of -inf becomes.
    v0::empty_row empty_row = v0::empty_row::nan;
};

inline namespace TARN_BACKEND { namespace shape {

// What both ask of a row.
struct selection_request {
    bool softmax;
    double scale;
    bool zero_empty_rows;
};

// N: the type that elements are worked on in.
template <class N, class Executor>
void top_k(const char* op, const place<Executor>& where, const operand& x, const selected_operand& values,
           const selected_operand& indices, int given_axis, const selection_request& request) {
    check_operand(op, "input", x);
    const axis_span axis = check_axes(op, given_axis, 1, x.rank);
    const std::ptrdiff_t k = check_selected(op, x, axis.first, values, indices);
    check_scale(op, request.scale);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::top_k_table<N>& kernels = top_k_kernels_of<N>(t);
    if (size(x) == 0) {
        // Rows without elements.
        if (values.wanted)
            fill(values.view, request.softmax ? 0 : -__builtin_huge_valf());
        if (indices.wanted)
            fill_indices(indices.view, -1);
        return;
    }
    check_selected_apart(op, x, values, indices);

    const operand value_bytes = values.as_bytes(axis.first);
    const operand index_bytes = indices.as_bytes(axis.first);
    operand_list operands;
    operands.add(x);
    const int to_values = values.wanted ? operands.add(value_bytes) : 0;
    const int to_indices = indices.wanted ? operands.add(index_bytes) : 0;
    const row_loops loops(axis, 1, 0, kernel_layouts::rows_only, operands);
    const row_parts<N> parts(loops, 1, 0, block_rule::whole_rows, operands);
    const std::ptrdiff_t most = k < dispatch::selected_in_scratch ? k : std::ptrdiff_t{dispatch::selected_in_scratch};
    const std::ptrdiff_t scratch = parts.buffered()                  ? parts.scratch_numbers()
                                   : k > dispatch::selected_on_stack ? dispatch::selection_scratch<N>(most)
                                                                     : 0;
    const auto run = [&](const row_part<N>& p) {
        const bool lent = p.scratch.data && k > dispatch::selected_on_stack;
        const dispatch::top_k_rows<N> call{p.rows_of(0),
                                           p.rows,
                                           p.length,
                                           k,
                                           values.rows(axis.first, p.data[to_values], p.across[to_values]),
                                           indices.rows(axis.first, p.data[to_indices], p.across[to_indices]),
                                           request.softmax,
                                           static_cast<N>(request.scale),
                                           request.zero_empty_rows,
                                           lent ? p.scratch.data : nullptr,
                                           most};
        if (p.stored)
            kernels.stored(call);
        else
            kernels.rows(call);
    };
    run_parts<kept_denormals>(where, t, loops, parts, loops.cost(bytes_of_element(x), 0), run, scratch);
}

template <class Executor, class X, class V, class I>
TARN_INLINE void select(const char* op, const place<Executor>& where, const X& x, V&& values, I&& indices, int axis,
                        const selection_request& request) {
    const auto input = detail::input_view(x);
    assert_selected<X, V, I>(input);
    using number = detail::number_of<typename decltype(input)::value_type>;
    top_k<number>(op, where, erase(input), selected_operand::of_values(static_cast<V&&>(values)),
                  selected_operand::of_indices(static_cast<I&&>(indices)), axis, request);
}

}} // namespace TARN_BACKEND::shape

inline namespace TARN_BACKEND {

// The k greatest elements along an axis in descending order, and where they are; k is the extent of the results.
//
//   x        float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included
//   values   the type of x, or float for x of 16 bits; the extents of x, but k, at least 1, along the axis; any strides
//            but 0; apart from x; or tarn::none
//   indices  32-bit or 64-bit signed integers, extents as for values; from 0 along the axis; or tarn::none
//   options  see top_k_options
//   where    tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// Special values   NaN come first. Equal elements, 0 and -0 among them, and NaN, come by index, the smallest first. Cells
//                  for which there are no elements: value -inf, index -1.
// Accuracy         values are the elements themselves.
// Determinism      the same results on every tier, whatever strides, threads and memory.
// Memory           x is read once; for k above 16 (doubles: 8) twice, the second time from a cache. Above 256 elements
//                  scratch is used as for softmax; without, and above 32768, x is read again for every 256 (32768) of
//                  them. Elements of 16 bits, and rows whose elements lie apart, are converted in blocks as for softmax.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that do not
//                  fit, k below 1, an axis out of range, null data, outputs that certainly overlap, 32-bit indices for
//                  rows above 2^31 elements, a tier that is not available.
template <class Executor, class X, class V, class I>
TARN_INLINE void top_k(const place<Executor>& where, const X& x, V&& values, I&& indices,
                       const top_k_options& options = {}) {
    shape::select("top_k", where, x, static_cast<V&&>(values), static_cast<I&&>(indices), options.axis,
                  {false, 1, false});
}
template <class X, class V, class I, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void top_k(const X& x, V&& values, I&& indices, const top_k_options& options = {}) {
    top_k(on(serial), x, static_cast<V&&>(values), static_cast<I&&>(indices), options);
}

// The k greatest of softmax(scale * x) along an axis in descending order, and where they are, in one read of x: softmax
// is not written.
//
// Online normalizer calculation for softmax (arXiv 1805.02867), with the optimistic scheme of softmax.
//
//   operands as for top_k; options: see softmax_top_k_options
//
// Special values   the order is that of scale * x by the rules of top_k (with a scale of 0 that of x), so results that
//                  round to the same number keep the order of their logits. A row with NaN or +inf (after scaling): all
//                  values are NaN. A row of -inf: NaN, or 0 with empty_row::zero. Cells for which there are no elements:
//                  value 0, index -1.
// Accuracy, determinism   the bits of tarn::softmax, for every element that is selected.
// Memory           x is read once; else as top_k.
// Errors           as top_k; scale NaN or too large.
template <class Executor, class X, class V, class I>
TARN_INLINE void softmax_top_k(const place<Executor>& where, const X& x, V&& values, I&& indices,
                               const softmax_top_k_options& options = {}) {
    shape::select("softmax_top_k", where, x, static_cast<V&&>(values), static_cast<I&&>(indices), options.axis,
                  {true, options.scale, options.empty_row == empty_row::zero});
}
template <class X, class V, class I, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void softmax_top_k(const X& x, V&& values, I&& indices, const softmax_top_k_options& options = {}) {
    softmax_top_k(on(serial), x, static_cast<V&&>(values), static_cast<I&&>(indices), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
