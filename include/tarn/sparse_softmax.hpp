// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/sparse_softmax_table.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/selected.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/softmax_backward.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/sparse_softmax_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(sparse_softmax)

namespace tarn { inline namespace v0 {

struct sparse_softmax_options {
    // The axis to normalise along, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // How many elements take part: the greatest, equal ones by index; at least 1. All if there are fewer. Where results
    // are values and indices, their extent counts instead.
    std::ptrdiff_t k = 10;
    // What a row of -inf becomes.
    v0::empty_row empty_row = v0::empty_row::nan;
    v0::stores stores = v0::stores::automatic;
};

inline namespace TARN_BACKEND { namespace shape {

// What a call has beside x; null: nothing.
struct sparse_softmax_operands {
    const operand* y = nullptr;
    selected_operand values = {}, indices = {};
    const operand* targets = nullptr;
    const operand* loss = nullptr;
    const operand* loss_gradient = nullptr;
};

// An operand with one element for every row, as bytes.
inline selected_operand number_of_row(const operand& v) noexcept { return {v, true}; }

// N: the type that elements are worked on in.
template <class N, class Executor>
void sparse_softmax(const char* op, const place<Executor>& where, const operand& x,
                    const sparse_softmax_operands& given, const sparse_softmax_options& options,
                    double streaming_bytes) {
    check_operand(op, "input", x);
    const axis_span axis = check_axes(op, options.axis, 1, x.rank);
    const bool selects = given.values.wanted || given.indices.wanted;
    const std::ptrdiff_t k = selects ? check_selected(op, x, axis.first, given.values, given.indices) : options.k;
    if (k < 1)
        fail(op, "k", std::to_string(k), "at least 1");
    if (given.y) {
        check_operand(op, "output", *given.y);
        check_same_extents(op, x, *given.y);
    }
    operand row[3] = {};
    const operand* const of_rows[3] = {given.targets, given.loss, given.loss_gradient};
    const char* const names[3] = {"targets", "loss", "gradient"};
    for (int i = 0; i < 3; ++i) {
        if (!of_rows[i])
            continue;
        check_operand(op, names[i], *of_rows[i]);
        row[i] = check_reduced(op, x, axis, *of_rows[i], names[i]);
    }
    const tier t = check_tier(op, where.tier_index);
    const dispatch::sparse_softmax_table<N>& kernels = sparse_softmax_kernels_of<N>(t);
    if (given.targets)
        check_indices(op, "targets", row[0], x.extent[axis.first]);
    if (given.loss && size(row[1]) > 0)
        check_distinct(op, *given.loss, "loss");
    if (size(x) == 0) {
        if (given.values.wanted)
            fill(given.values.view, 0);
        if (given.indices.wanted)
            fill_indices(given.indices.view, -1);
        return;
    }
    const bool in_place = given.y && check_overlap(op, x, *given.y);
    check_selected_apart(op, x, given.values, given.indices);
    const operand* const written = given.y ? given.y : given.loss ? &row[1] : nullptr;
    if (given.loss)
        check_apart(op, row[1], x, "loss", "input");
    if (given.targets)
        check_apart(op, *written, row[0], given.y ? "output" : "loss", "targets");
    if (given.loss_gradient)
        check_apart(op, *written, row[2], "output", "gradient");

    operand_list operands;
    operands.add(x);
    int whole = 1;
    if (given.y)
        whole += operands.add(*given.y);
    const selected_operand beside[5] = {given.values,
                                        given.indices,
                                        {row[0], given.targets != nullptr},
                                        {row[1], given.loss != nullptr},
                                        {row[2], given.loss_gradient != nullptr}};
    operand bytes[5];
    int at[5] = {};
    for (int i = 0; i < 5; ++i) {
        if (beside[i].wanted) {
            bytes[i] = beside[i].as_bytes(axis.first);
            at[i] = operands.add(bytes[i]);
        }
    }
    const row_loops loops(axis, whole, whole - 1, kernel_layouts::rows_only, operands);
    const row_parts<N> parts(loops, whole, given.y ? 2u : 0u, block_rule::whole_rows, operands);
    const bool stream = given.y && streams(options.stores, in_place, bytes_of(x) + bytes_of(*given.y), streaming_bytes);
    const auto run = [&](const row_part<N>& p) {
        dispatch::stored_rows of_row[5] = {};
        for (int i = 0; i < 5; ++i)
            of_row[i] = beside[i].rows(axis.first, p.data[at[i]], p.across[at[i]]);
        const dispatch::sparse_softmax_rows<N> call{{p.rows_of(0), p.rows, p.length, k, of_row[0], of_row[1], true, 1,
                                                     options.empty_row == empty_row::zero, nullptr, 0},
                                                    given.y ? p.rows_of(1) : dispatch::stored_rows{},
                                                    stream && !p.buffered && !p.stored,
                                                    of_row[2],
                                                    of_row[3],
                                                    of_row[4]};
        if (p.stored)
            kernels.stored(call);
        else
            kernels.rows(call);
    };
    run_parts<kept_denormals>(where, t, loops, parts,
                              loops.cost(bytes_of_element(x), given.y ? bytes_of_element(*given.y) : 0), run);
}

template <class X, class Y, class Input, class Output>
TARN_INLINE constexpr void assert_sparse_softmax(const Input&, const Output&) noexcept {
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    static_assert(
        !viewable || detail::is_element_pair<typename Input::value_type, typename Output::value_type>::value,
        "tarn: sparse_softmax takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits "
        "with results in float");
    static_assert(!viewable || Input::rank == Output::rank,
                  "tarn: input and output of sparse_softmax have different ranks");
    static_assert(!viewable || Input::rank >= 1, "tarn: sparse_softmax needs an axis: operands of rank 1 to 5");
}

} // namespace shape
} // namespace TARN_BACKEND

inline namespace TARN_BACKEND {

// y_i = exp(x_i) / sum_j exp(x_j) over the k greatest elements of a row, 0 for all others.
//
// Sparse-softmax: A Simpler and Faster Alternative Softmax Transformation (arXiv 2112.12433).
//
//   x        float, double, float16 or bfloat16, rank 1 to 5, any strides, broadcast (stride 0) included
//   y        the type of x, or float for x of 16 bits; the extents of x, any strides but 0; x itself (in place) or
//            memory apart from it
//   options  see sparse_softmax_options
//   where    tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// Special values   NaN or +inf in a row: the whole row is NaN. Elements of -inf give 0. A row of -inf: NaN, or 0 with
//                  empty_row::zero. With k of at least the length of the row: the bits of softmax. Results below 2^-126,
//                  of doubles below 2^-1022, are 0.
// Accuracy         at most 4 ulp of the exact result.
// Determinism      the bits of a row depend on the row and k only; see softmax.
// Memory           x is read once, y written once; above 256 elements, where they are not all, x is read again for every
//                  256 of them, and twice more. Blocks as for softmax.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as softmax; k below 1.
template <class Executor, class X, class Y>
TARN_INLINE void sparse_softmax(const place<Executor>& where, const X& x, Y&& y,
                                const sparse_softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    shape::assert_sparse_softmax<X, Y>(input, output);
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand to = shape::erase(output);
    shape::sparse_softmax_operands operands;
    operands.y = &to;
    shape::sparse_softmax<number>("sparse_softmax", where, shape::erase(input), operands, options,
                                  TARN_STREAMING_BYTES);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void sparse_softmax(const X& x, Y&& y, const sparse_softmax_options& options = {}) {
    sparse_softmax(on(serial), x, static_cast<Y&&>(y), options);
}

// The same as values, in descending order, and indices, as softmax_top_k has them; k is their extent along the axis.
// Either may be tarn::none. Cells for which there are no elements: value 0, index -1.
template <class Executor, class X, class V, class I,
          std::enable_if_t<!std::is_same<detail::remove_cvref_t<I>, sparse_softmax_options>::value, int> = 0>
TARN_INLINE void sparse_softmax(const place<Executor>& where, const X& x, V&& values, I&& indices,
                                const sparse_softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    shape::assert_selected<X, V, I>(input);
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::sparse_softmax_operands operands;
    operands.values = shape::selected_operand::of_values(static_cast<V&&>(values));
    operands.indices = shape::selected_operand::of_indices(static_cast<I&&>(indices));
    shape::sparse_softmax<number>("sparse_softmax", where, shape::erase(input), operands, options,
                                  TARN_STREAMING_BYTES);
}
template <class X, class V, class I,
          std::enable_if_t<!detail::is_place<X>::value &&
                               !std::is_same<detail::remove_cvref_t<I>, sparse_softmax_options>::value,
                           int> = 0>
TARN_INLINE void sparse_softmax(const X& x, V&& values, I&& indices, const sparse_softmax_options& options = {}) {
    sparse_softmax(on(serial), x, static_cast<V&&>(values), static_cast<I&&>(indices), options);
}

// The gradient of sparse_softmax, from its dense result y and the gradient dy of what y went into: that of softmax,
// since what was not selected has y = 0. Which elements are selected does not change.
template <class Executor, class Y, class DY, class DX>
TARN_INLINE void sparse_softmax_backward(const place<Executor>& where, const Y& y, const DY& dy, DX&& dx,
                                         const softmax_backward_options& options = {}) {
    softmax_backward(where, y, dy, static_cast<DX&&>(dx), options);
}
template <class Y, class DY, class DX, std::enable_if_t<!detail::is_place<Y>::value, int> = 0>
TARN_INLINE void sparse_softmax_backward(const Y& y, const DY& dy, DX&& dx,
                                         const softmax_backward_options& options = {}) {
    softmax_backward(y, dy, static_cast<DX&&>(dx), options);
}

// loss = log sum_j exp(x_j) over the k greatest elements of a row - x_t: the cross-entropy of sparse_softmax, finite for
// targets t that are not among them as well.
//
//   x         as for sparse_softmax
//   targets   t for every row, 0 to n - 1: signed integers of 32 or 64 bits, the extents of x without the axis, or with
//             extent 1 there
//   loss      the type of x, or float for x of 16 bits; extents as for targets; apart from x and targets
//   options   see sparse_softmax_options; empty_row and stores are not looked at
//
// Special values   NaN or +inf in a row, and a row of -inf: NaN. A target of -inf: +inf. Never below 0.
// Accuracy         within 4 ulp of its two parts, max x - x_t and log sum_j exp(x_j - max x), none of them below 0: exact
//                  next to 0 as well.
// Memory           x is read once.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that do not
//                  fit, targets outside the row, k below 1, overlap, a tier that is not available.
template <class Executor, class X, class I, class L>
TARN_INLINE void sparse_softmax_loss(const place<Executor>& where, const X& x, const I& targets, L&& loss,
                                     const sparse_softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto index = detail::input_view(targets);
    const auto output = detail::output_view(static_cast<L&&>(loss));
    shape::assert_reduction<X, L>(input, output);
    shape::assert_indices<I>(index);
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand of_rows = shape::erase_indices(index);
    const shape::operand to = shape::erase(output);
    shape::sparse_softmax_operands operands;
    operands.targets = &of_rows;
    operands.loss = &to;
    shape::sparse_softmax<number>("sparse_softmax_loss", where, shape::erase(input), operands, options,
                                  TARN_STREAMING_BYTES);
}
template <class X, class I, class L, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void sparse_softmax_loss(const X& x, const I& targets, L&& loss,
                                     const sparse_softmax_options& options = {}) {
    sparse_softmax_loss(on(serial), x, targets, static_cast<L&&>(loss), options);
}

// The gradient of the loss: dx_i = dloss * (y_i - [i = t]), y what sparse_softmax makes of x. The target counts where it
// is not selected too, so what a row adds up to is 0.
//
//   dloss    the type of x, one for every row: extents as for targets
//   dx       as y of sparse_softmax
//
// Special values   rows with NaN or +inf, and rows of -inf: NaN. Results below 2^-126, of doubles 2^-1022, are 0, but for
//                  the target's.
// Accuracy         within 5 ulp of |dloss| * (y_i + [i = t]); y_i below 2^-126 (doubles: 2^-1022) counts as 0.
template <class Executor, class X, class I, class DL, class DX>
TARN_INLINE void sparse_softmax_loss_backward(const place<Executor>& where, const X& x, const I& targets,
                                              const DL& dloss, DX&& dx, const sparse_softmax_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto index = detail::input_view(targets);
    const auto gradient = detail::input_view(dloss);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    shape::assert_sparse_softmax<X, DX>(input, output);
    shape::assert_indices<I>(index);
    static_assert(
        !detail::accepts_input<DL>::value ||
            std::is_same<typename decltype(gradient)::value_type, typename decltype(input)::value_type>::value,
        "tarn: sparse_softmax_loss_backward takes a gradient of the type of its logits");
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand of_rows = shape::erase_indices(index);
    const shape::operand given = shape::erase(gradient);
    const shape::operand to = shape::erase(output);
    shape::sparse_softmax_operands operands;
    operands.y = &to;
    operands.targets = &of_rows;
    operands.loss_gradient = &given;
    shape::sparse_softmax<number>("sparse_softmax_loss_backward", where, shape::erase(input), operands, options,
                                  TARN_STREAMING_BYTES);
}
template <class X, class I, class DL, class DX, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void sparse_softmax_loss_backward(const X& x, const I& targets, const DL& dloss, DX&& dx,
                                              const sparse_softmax_options& options = {}) {
    sparse_softmax_loss_backward(on(serial), x, targets, dloss, static_cast<DX&&>(dx), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
