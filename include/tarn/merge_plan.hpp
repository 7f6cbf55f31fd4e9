// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/merge_plan_view.hpp>
#include <tarn/shape/merging.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

// The tokens of every slot made one: their mean, sum or greatest, or the one that stands for the slot; with sizes mean
// and sum weigh every token with its own, y = sum_i s_i x_i / sum_i s_i, and slot_size = sum_i s_i.
//
//   x          tokens: float, double, float16 or bfloat16, [tokens, channels] or [batch, tokens, channels], any strides
//   size       how much every token stands for: float, beside doubles double; [tokens] or [batch, tokens], any strides
//   plan       merge_plan or merge_plan_view
//   y          slots: the type of x, or float for x of 16 bits; [slots, channels] or [batch, slots, channels], any
//              strides but 0, apart from x
//   slot_size  as size, with slots for tokens
//   options    mode: merge_mode::mean (default), sum, max or prune; stores: how results reach memory
//   where      tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   NaN and infinities belong to their slot, in mode max NaN wins; the first of equal greatest counts.
//                  Sizes below 0 count as 0, and a token of size 0 is not looked at by mean and sum. A slot without
//                  tokens, or of size 0 in sum: 0. A slot of a single token is that token, bit for bit (in a sum, if
//                  its size is 1). Other means and sums below 2^-126 (doubles: up to 2^-1022) are 0.
// Accuracy         sums of floats in double: within 0.501 ulp of the exact mean or sum plus 2^-52 of sum |s_i x_i| / S
//                  for each token. Doubles: sums of n tokens within n * 2^-53 of sum |s_i x_i|, one rounding more for
//                  the quotient.
// Determinism      tokens of a slot are added in their order; results depend on nothing else, of floats not on the tier
//                  either.
// Memory           x is read once, y written once; no buffer.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that do not
//                  fit the plan, a plan whose indices do not belong together (they are read once), overlap.
template <class Executor, class X, class Y>
TARN_INLINE void merge_apply(const place<Executor>& where, const X& x, const merge_plan_view& plan, Y&& y,
                             const merge_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    if constexpr (detail::accepts_input<X>::value && detail::accepts_output<Y>::value)
        shape::assert_tokens<decltype(input), decltype(output)>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::merge_apply<number>(where, shape::erase(input), nullptr, plan, shape::erase(output), nullptr, options,
                               TARN_STREAMING_BYTES);
}
template <class X, class Y, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void merge_apply(const X& x, const merge_plan_view& plan, Y&& y, const merge_options& options = {}) {
    merge_apply(on(serial), x, plan, static_cast<Y&&>(y), options);
}
template <class Executor, class X, class S, class Y, class R>
TARN_INLINE void merge_apply(const place<Executor>& where, const X& x, const S& size, const merge_plan_view& plan,
                             Y&& y, R&& slot_size, const merge_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto sizes = detail::input_view(size);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    const auto slot_sizes = detail::output_view(static_cast<R&&>(slot_size));
    if constexpr (detail::accepts_input<X>::value && detail::accepts_output<Y>::value &&
                  detail::accepts_input<S>::value && detail::accepts_output<R>::value) {
        shape::assert_tokens<decltype(input), decltype(output)>();
        shape::assert_sizes<decltype(input), decltype(sizes)>();
        shape::assert_sizes<decltype(input), decltype(slot_sizes)>();
    }
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand s = shape::erase(sizes);
    const shape::operand r = shape::erase(slot_sizes);
    shape::merge_apply<number>(where, shape::erase(input), &s, plan, shape::erase(output), &r, options,
                               TARN_STREAMING_BYTES);
}
template <class X, class S, class Y, class R, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void merge_apply(const X& x, const S& size, const merge_plan_view& plan, Y&& y, R&& slot_size,
                             const merge_options& options = {}) {
    merge_apply(on(serial), x, size, plan, static_cast<Y&&>(y), static_cast<R&&>(slot_size), options);
}

// Every token takes the row of its slot, x_i = y_assign(i); tokens that are dropped take 0. The transpose of
// merge_apply with merge_mode::sum, and its gradient.
//
//   y        slots: float, double, float16 or bfloat16, [slots, channels] or [batch, slots, channels], any strides
//   plan     merge_plan or merge_plan_view
//   x        tokens: the type of y, or float for y of 16 bits; any strides but 0, apart from y
//   how      stores::automatic (default), cached or streaming
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Rows are copied bit for bit. Memory: y is read once, x written once. Errors: as merge_apply.
template <class Executor, class Y, class X>
TARN_INLINE void merge_undo(const place<Executor>& where, const Y& y, const merge_plan_view& plan, X&& x,
                            stores how = stores::automatic) {
    const auto input = detail::input_view(y);
    const auto output = detail::output_view(static_cast<X&&>(x));
    if constexpr (detail::accepts_input<Y>::value && detail::accepts_output<X>::value)
        shape::assert_tokens<decltype(input), decltype(output)>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::merge_undo<number>("merge_undo", where, shape::erase(input), plan, shape::erase(output), how,
                              TARN_STREAMING_BYTES);
}
template <class Y, class X, std::enable_if_t<!detail::is_place<Y>::value, int> = 0>
TARN_INLINE void merge_undo(const Y& y, const merge_plan_view& plan, X&& x, stores how = stores::automatic) {
    merge_undo(on(serial), y, plan, static_cast<X&&>(x), how);
}

// The gradient of merge_undo: dy_s = sum of the dx of the slot's tokens. merge_apply with merge_mode::sum.
template <class Executor, class DX, class DY>
TARN_INLINE void merge_undo_backward(const place<Executor>& where, const DX& dx, const merge_plan_view& plan, DY&& dy,
                                     stores how = stores::automatic) {
    merge_apply(where, dx, plan, static_cast<DY&&>(dy), {merge_mode::sum, how});
}
template <class DX, class DY, std::enable_if_t<!detail::is_place<DX>::value, int> = 0>
TARN_INLINE void merge_undo_backward(const DX& dx, const merge_plan_view& plan, DY&& dy,
                                     stores how = stores::automatic) {
    merge_undo_backward(on(serial), dx, plan, static_cast<DY&&>(dy), how);
}

// The gradient of merge_apply; plans are constants. For token i of slot s, of total size S:
//
//   mean       dx_i = s_i / S * dy_s,  dsize_i = (x_i - y_s) . dy_s / S
//   sum        dx_i = s_i * dy_s,      dsize_i = x_i . dy_s
//   max        dx_i = dy_s in the channels where x_i is the first of the greatest of its slot, else 0; dsize_i = 0
//   prune      dx_i = dy_s for the token that stands for the slot, else 0; dsize_i = 0
//
// The gradient of slot_size is not in it: merge_undo spreads that over the tokens.
//
//   x, size, plan, options   those of the forward call; without sizes x is looked at in mode max only
//   y                        what the forward call returned, of the type of x
//   dy                       the gradient of that: the type of x, the extents of y, any strides
//   dx                       the type of x, or float for x of 16 bits; the extents of x, any strides but 0, apart
//   dsize                    as size
//   where                    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   tokens that are dropped or of size 0 get 0, and all of a slot of size 0; a size below 0 has the
//                  gradient 0. Results below 2^-126 (doubles: up to 2^-1022) are 0; a share of 1 is a copy of dy.
// Accuracy         dx within 1 ulp (doubles 2); dsize within 2^-50 of sum |x - y| |dy| / S for each channel, and one
//                  rounding.
// Determinism      as merge_apply.
// Memory           dy is read once, dx written once; x is read twice in mode max; for dsize x, y and dy are read again.
// Errors           as merge_apply.
template <class Executor, class X, class DY, class DX>
TARN_INLINE void merge_apply_backward(const place<Executor>& where, const X& x, const merge_plan_view& plan,
                                      const DY& dy, DX&& dx, const merge_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    if constexpr (detail::accepts_input<X>::value && detail::accepts_input<DY>::value &&
                  detail::accepts_output<DX>::value) {
        shape::assert_tokens<decltype(input), decltype(output)>();
        shape::assert_tokens<decltype(gradient), decltype(input)>();
    }
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::merge_apply_backward<number>(where, shape::erase(input), nullptr, plan, nullptr, shape::erase(gradient),
                                        shape::erase(output), nullptr, options, TARN_STREAMING_BYTES);
}
template <class X, class DY, class DX, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void merge_apply_backward(const X& x, const merge_plan_view& plan, const DY& dy, DX&& dx,
                                      const merge_options& options = {}) {
    merge_apply_backward(on(serial), x, plan, dy, static_cast<DX&&>(dx), options);
}
template <class Executor, class X, class S, class Y, class DY, class DX, class DS>
TARN_INLINE void merge_apply_backward(const place<Executor>& where, const X& x, const S& size,
                                      const merge_plan_view& plan, const Y& y, const DY& dy, DX&& dx, DS&& dsize,
                                      const merge_options& options = {}) {
    const auto input = detail::input_view(x);
    const auto sizes = detail::input_view(size);
    const auto result = detail::input_view(y);
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    const auto size_gradient = detail::output_view(static_cast<DS&&>(dsize));
    if constexpr (detail::accepts_input<X>::value && detail::accepts_input<DY>::value &&
                  detail::accepts_output<DX>::value && detail::accepts_input<S>::value &&
                  detail::accepts_input<Y>::value && detail::accepts_output<DS>::value) {
        shape::assert_tokens<decltype(input), decltype(output)>();
        shape::assert_tokens<decltype(gradient), decltype(input)>();
        shape::assert_tokens<decltype(result), decltype(input)>();
        shape::assert_sizes<decltype(input), decltype(sizes)>();
        shape::assert_sizes<decltype(input), decltype(size_gradient)>();
    }
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand s = shape::erase(sizes);
    const shape::operand ds = shape::erase(size_gradient);
    const shape::operand r = shape::erase(result);
    shape::merge_apply_backward<number>(where, shape::erase(input), &s, plan, &r, shape::erase(gradient),
                                        shape::erase(output), &ds, options, TARN_STREAMING_BYTES);
}
template <class X, class S, class Y, class DY, class DX, class DS,
          std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void merge_apply_backward(const X& x, const S& size, const merge_plan_view& plan, const Y& y, const DY& dy,
                                      DX&& dx, DS&& dsize, const merge_options& options = {}) {
    merge_apply_backward(on(serial), x, size, plan, y, dy, static_cast<DX&&>(dx), static_cast<DS&&>(dsize), options);
}

// A plan from any assignment of tokens to slots: 0 to slots - 1, or -1 for tokens that are dropped. The first of its
// tokens stands for a slot.
//
//   assign   int32 or int64, [tokens] or [batch, tokens], any strides; it may be the plan's own
//   slots    at most as many as tokens
//   plan     merge_plan, which is resized, or merge_plan_view of the same batch and tokens with room for the slots
//
// Errors   std::invalid_argument, plan untouched: an index out of range, a plan of other extents.
template <class Executor, class Assign>
TARN_INLINE void merge_plan_from(const place<Executor>& where, const Assign& assign, std::ptrdiff_t slots,
                                 merge_plan_view& plan) {
    const auto indices = detail::input_view(assign);
    using index = typename decltype(indices)::value_type;
    static_assert(!detail::accepts_input<Assign>::value ||
                      (std::is_integral<index>::value && std::is_signed<index>::value && sizeof(index) >= 4),
                  "tarn: merge_plan_from takes indices of int32 or int64");
    static_assert(!detail::accepts_input<Assign>::value || indices.rank == 1 || indices.rank == 2,
                  "tarn: merge_plan_from takes indices of rank 1, [tokens], or 2, [batch, tokens]");
    shape::merge_plan_from(where, indices, slots, plan);
}
template <class Executor, class Assign>
TARN_INLINE void merge_plan_from(const place<Executor>& where, const Assign& assign, std::ptrdiff_t slots,
                                 merge_plan& plan) {
    const auto indices = detail::input_view(assign);
    constexpr int last = decltype(indices)::rank - 1;
    merge_plan made;
    if (slots >= 0 && indices.extent[last] >= 0 && indices.extent[0] >= 0 && slots <= indices.extent[last])
        made.resize(last > 0 ? indices.extent[0] : 1, indices.extent[last], slots);
    merge_plan_from(where, assign, slots, made.view());
    plan = static_cast<merge_plan&&>(made);
}
template <class Assign, class Plan, std::enable_if_t<!detail::is_place<Assign>::value, int> = 0>
TARN_INLINE void merge_plan_from(const Assign& assign, std::ptrdiff_t slots, Plan& plan) {
    merge_plan_from(on(serial), assign, slots, plan);
}

// The plan of one merge after another: what stands in a slot of the second from tokens of the first. Where a token came
// from after many merges, without a matrix of sources.
//
//   first, second   plans; second has the batch of first, and its slots for tokens
//   plan            merge_plan, which is resized, or merge_plan_view with the batch and tokens of first and room for
//                   the slots of second; neither of the two
//
// Errors   std::invalid_argument, plan untouched: plans that do not follow each other, indices that do not belong
//          together.
template <class Executor>
TARN_INLINE void merge_compose(const place<Executor>& where, const merge_plan_view& first,
                               const merge_plan_view& second, merge_plan_view& plan) {
    shape::merge_compose(where, first, second, plan);
}
template <class Executor>
TARN_INLINE void merge_compose(const place<Executor>& where, const merge_plan_view& first,
                               const merge_plan_view& second, merge_plan& plan) {
    shape::check_composable(first, second);
    merge_plan made;
    made.resize(first.batch, first.tokens, second.slots);
    merge_compose(where, first, second, made.view());
    plan = static_cast<merge_plan&&>(made);
}
template <class Plan>
TARN_INLINE void merge_compose(const merge_plan_view& first, const merge_plan_view& second, Plan& plan) {
    merge_compose(on(serial), first, second, plan);
}

} // namespace TARN_BACKEND
}} // namespace tarn
