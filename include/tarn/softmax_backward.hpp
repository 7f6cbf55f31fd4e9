// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/softmax_backward_table.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/rows.hpp>
#include <tarn/shape/stores.hpp>
#include <tarn/shape/tiers.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/softmax_backward_kernels.hpp>
#endif

namespace tarn { inline namespace v0 {

struct softmax_backward_options {
    // The axis of the operator, in the logical order of the operands; negative counts from the end.
    int axis = -1;
    // The scale that the operator was given.
    float scale = 1.0f;
    v0::stores stores = v0::stores::automatic;
};

#if defined(TARN_DISPATCH)
namespace dispatch {
const softmax_backward_table& softmax_backward_table_of(tier t) noexcept;
}
#endif

inline namespace TARN_BACKEND {

namespace shape {

TARN_INLINE const dispatch::softmax_backward_table& softmax_backward_kernels_of([[maybe_unused]] tier t) noexcept {
#if defined(TARN_DISPATCH)
    return dispatch::softmax_backward_table_of(t);
#else
    return kernels::softmax_backward_kernels<simd::tier_arch>::table;
#endif
}

// One kernel call for every run of rows; place(call, offsets) fills in where its operands begin.
template <class Executor, class Place>
void run_backward(const place<Executor>& where, const dispatch::softmax_backward_table& kernels,
                  dispatch::softmax_gradient of, const row_loops& loops, item_cost cost,
                  const dispatch::softmax_backward_call& call, const Place& place) {
    const auto kernel = (loops.by_columns() ? kernels.columns : kernels.rows)[static_cast<int>(of)];
    where.parallel_for(loops.items(), cost, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        loops.run(begin, end, [&](const std::ptrdiff_t* offset, std::ptrdiff_t rows) {
            dispatch::softmax_backward_call part = call;
            part.rows = rows;
            place(part, offset);
            kernel(part);
        });
    });
}

template <class Executor>
void softmax_backward(const char* op, dispatch::softmax_gradient of, const place<Executor>& where, const operand& y,
                      const operand& dy, const operand& dx, const softmax_backward_options& options,
                      double streaming_bytes) {
    check_operand(op, "input", y);
    check_operand(op, "gradient", dy);
    check_operand(op, "output", dx);
    check_same_extents(op, y, dy, "gradient");
    check_same_extents(op, y, dx);
    const int axis = check_axis(op, options.axis, y.rank);
    check_scale(op, options.scale);
    const auto& kernels = softmax_backward_kernels_of(check_tier(op, where.tier_index));
    if (size(y) == 0)
        return;
    const bool over_input = check_overlap(op, y, dx);
    const bool over_gradient = check_overlap(op, dy, dx);
    const bool in_place = over_input || over_gradient;
    const row_loops loops(axis, 3, 2, 0, y, dy, dx);
    const loop& step = loops.by_columns() ? loops.axis() : loops.inner();
    dispatch::softmax_backward_call call = {};
    call.length = loops.axis().extent;
    call.y_stride = step.stride[0];
    call.dy_stride = step.stride[1];
    call.dx_stride = step.stride[2];
    call.scale = options.scale;
    call.stream =
        streams(options.stores, in_place, 3.0 * static_cast<double>(size(y)) * sizeof(float), streaming_bytes);
    run_backward(where, kernels, of, loops, loops.cost(8, 4), call,
                 [&](dispatch::softmax_backward_call& part, const std::ptrdiff_t* offset) {
                     part.y = static_cast<const float*>(y.data) + offset[0];
                     part.dy = static_cast<const float*>(dy.data) + offset[1];
                     part.dx = static_cast<float*>(const_cast<void*>(dx.data)) + offset[2];
                 });
}

template <class Executor>
void logsumexp_backward(const place<Executor>& where, const operand& x, const operand& given_lse,
                        const operand& given_dlse, const operand& dx, const softmax_backward_options& options,
                        double streaming_bytes) {
    constexpr const char* op = "logsumexp_backward";
    check_operand(op, "input", x);
    check_operand(op, "logsumexp", given_lse);
    check_operand(op, "gradient", given_dlse);
    check_operand(op, "output", dx);
    const int axis = check_axis(op, options.axis, x.rank);
    const operand lse = check_reduced(op, x, axis, given_lse, "logsumexp");
    const operand dlse = check_reduced(op, x, axis, given_dlse, "gradient");
    check_same_extents(op, x, dx);
    check_scale(op, options.scale);
    const auto& kernels = softmax_backward_kernels_of(check_tier(op, where.tier_index));
    if (size(x) == 0)
        return;
    const bool in_place = check_overlap(op, x, dx);
    check_apart(op, dx, lse, "logsumexp", "output");
    check_apart(op, dx, dlse, "gradient", "output");
    const row_loops loops(axis, 2, 1, 0, x, dx, lse, dlse);
    const loop& step = loops.by_columns() ? loops.axis() : loops.inner();
    dispatch::softmax_backward_call call = {};
    call.length = loops.axis().extent;
    call.y_stride = step.stride[0];
    call.dx_stride = step.stride[1];
    call.lse_stride = loops.inner().stride[2];
    call.dlse_stride = loops.inner().stride[3];
    call.scale = options.scale;
    call.stream =
        streams(options.stores, in_place, 2.0 * static_cast<double>(size(x)) * sizeof(float), streaming_bytes);
    run_backward(where, kernels, dispatch::softmax_gradient::logsumexp, loops, loops.cost(4, 4), call,
                 [&](dispatch::softmax_backward_call& part, const std::ptrdiff_t* offset) {
                     part.y = static_cast<const float*>(x.data) + offset[0];
                     part.dx = static_cast<float*>(const_cast<void*>(dx.data)) + offset[1];
                     part.lse = static_cast<const float*>(lse.data) + offset[2];
                     part.dlse = static_cast<const float*>(dlse.data) + offset[3];
                 });
}

template <class Input, class Gradient, class Output, bool Viewable>
TARN_INLINE constexpr void assert_gradient() noexcept {
    static_assert(!Viewable || (std::is_same<typename Input::value_type, float>::value &&
                                std::is_same<typename Gradient::value_type, float>::value &&
                                std::is_same<typename Output::value_type, float>::value),
                  "tarn: gradients of the softmax family take float operands");
    static_assert(!Viewable || Input::rank == Output::rank,
                  "tarn: input and output of a gradient have different ranks");
    static_assert(!Viewable || Input::rank >= 1, "tarn: a gradient needs an axis: operands of rank 1 to 5");
}

} // namespace shape

// The gradient of softmax: dx_i = scale * y_i * (dy_i - sum_j y_j dy_j) along one axis, from the result y = softmax(x)
// and the gradient dy of what y went into. The Jacobian is symmetric: with a tangent for dy, dx is the tangent of y.
//
//   y        float, rank 1 to 5, any strides, broadcast (stride 0) included: what softmax returned, in 0..1
//   dy       float, the extents of y, any strides
//   dx       float, the extents of y, any strides but 0; y or dy itself, or memory apart from them
//   options  see softmax_backward_options; scale is the one of the forward call
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   a row with NaN in y or dy, or +-inf in dy where y is not 0: NaN. y = 0 (a logit of -inf): 0. Rows of
//                  0 (empty_row::zero): 0. Results below 2^-126 are 0. An axis of extent 0: nothing is written.
// Accuracy         within 4 ulp of y_i * (|dy_i| + sum_j |y_j dy_j|) * |scale|; the sum is exact to 2^-48.
// Determinism      the bits of a row depend on the row, its length and the scale only; see softmax.
// Memory           y and dy are read once from memory and once from a cache; dx written once. No buffer.
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
    shape::softmax_backward("softmax_backward", dispatch::softmax_gradient::softmax, where, shape::erase(input),
                            shape::erase(gradient), shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class Y, class DY, class DX>
TARN_INLINE void softmax_backward(const Y& y, const DY& dy, DX&& dx, const softmax_backward_options& options = {}) {
    softmax_backward(on(serial), y, dy, static_cast<DX&&>(dx), options);
}

// The gradient of log_softmax: dx_i = scale * (dy_i - exp(y_i) * sum_j dy_j) along one axis, from the result y =
// log_softmax(x) and the gradient dy of what y went into.
//
//   y, dy, dx, options, where   as for softmax_backward; y is what log_softmax returned, at most 0
//
// Special values   NaN in a row of dy: the row is NaN; NaN in y: NaN there. y = -inf: scale * dy_i. An axis of extent
//                  0: nothing is written.
// Accuracy         within 4 ulp of (|dy_i| + exp(y_i) * sum_j |dy_j|) * |scale|; exp(y) below 2^-118 counts as 0.
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
    shape::softmax_backward("log_softmax_backward", dispatch::softmax_gradient::log_softmax, where, shape::erase(input),
                            shape::erase(gradient), shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class Y, class DY, class DX>
TARN_INLINE void log_softmax_backward(const Y& y, const DY& dy, DX&& dx, const softmax_backward_options& options = {}) {
    log_softmax_backward(on(serial), y, dy, static_cast<DX&&>(dx), options);
}

// The gradient of logsumexp (and of logmeanexp, with its own lse + log n): dx_i = dlse * scale * exp(scale * x_i -
// lse), the softmax of the row times dlse, with lse = logsumexp(x) along the axis.
//
//   x         float, rank 1 to 5, any strides, broadcast (stride 0) included
//   lse, dlse float, the extents of x without the axis, or with extent 1 there; apart from dx
//   dx        float, the extents of x, any strides but 0; x itself, or memory apart from it
//   options   see softmax_backward_options; scale is the one of the forward call
//   where     tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   x = -inf: 0. NaN or +inf in x, or NaN in lse or dlse: NaN there. A row of -inf (lse = -inf): NaN.
//                  Results below 2^-126 are 0. An axis of extent 0: nothing is written.
// Accuracy         within 4 ulp for |lse| below 49900; beyond it lse, a float, holds no more than its own last place, and
//                  logits above it count as it.
// Determinism      the bits of an element depend on it, on lse, dlse and the scale only.
// Memory           x is read once, dx written once. No buffer.
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
    shape::assert_gradient<decltype(input), decltype(gradient), decltype(output), viewable>();
    static_assert(!viewable || std::is_same<typename decltype(sums)::value_type, float>::value,
                  "tarn: logsumexp_backward takes float operands");
    static_assert(!viewable || ((decltype(sums)::rank == decltype(input)::rank ||
                                 decltype(sums)::rank == decltype(input)::rank - 1) &&
                                (decltype(gradient)::rank == decltype(input)::rank ||
                                 decltype(gradient)::rank == decltype(input)::rank - 1)),
                  "tarn: lse and its gradient have the rank of the input, or one less");
    shape::logsumexp_backward(where, shape::erase(input), shape::erase(sums), shape::erase(gradient),
                              shape::erase(output), options, TARN_STREAMING_BYTES);
}
template <class X, class L, class DL, class DX>
TARN_INLINE void logsumexp_backward(const X& x, const L& lse, const DL& dlse, DX&& dx,
                                    const softmax_backward_options& options = {}) {
    logsumexp_backward(on(serial), x, lse, dlse, static_cast<DX&&>(dx), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
