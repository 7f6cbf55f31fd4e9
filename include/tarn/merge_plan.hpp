// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/token_merge_table.hpp>
#include <tarn/shape/merge_plans.hpp>
#include <tarn/shape/stores.hpp>

#include <new>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/token_merge_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(token_merge)

namespace tarn { inline namespace v0 {

inline namespace TARN_BACKEND {

// Which slot every token goes to, for `batch` sequences of `tokens` tokens each: what operators that merge, prune or
// cluster tokens return, and what is applied to anything that has a row for every token. Indices of a caller's memory;
// for sequence b:
//
//   assign   assign[b * tokens + t]: the slot of token t; -1: it is dropped
//   order    order + b * tokens: all tokens, those of slot 0 first, in a slot the first token first; those that are
//            dropped come last
//   offsets  offsets + b * (capacity + 1): slots + 1 numbers, where each slot begins in order, and where the last ends
//   rep      rep + b * capacity: the token that stands for each slot; -1 for a slot without tokens
//
// capacity is the room for slots; slots is how many there are, the same in all sequences. Of the backend: see
// masked_softmax_options.
struct merge_plan_view {
    std::ptrdiff_t batch = 0, tokens = 0, capacity = 0, slots = 0;
    std::int32_t *assign = nullptr, *order = nullptr, *offsets = nullptr, *rep = nullptr;
};

} // namespace TARN_BACKEND

// The indices that a plan takes.
TARN_INLINE constexpr std::ptrdiff_t merge_plan_size(std::ptrdiff_t batch, std::ptrdiff_t tokens,
                                                     std::ptrdiff_t capacity) noexcept {
    return batch * (2 * tokens + 2 * capacity + 1);
}
// A plan in so many indices of the caller's, to be filled.
TARN_INLINE constexpr merge_plan_view make_merge_plan(std::int32_t* indices, std::ptrdiff_t batch,
                                                      std::ptrdiff_t tokens, std::ptrdiff_t capacity) noexcept {
    merge_plan_view p;
    p.batch = batch;
    p.tokens = tokens;
    p.capacity = capacity;
    p.assign = indices;
    p.order = p.assign + batch * tokens;
    p.offsets = p.order + batch * tokens;
    p.rep = p.offsets + batch * (capacity + 1);
    return p;
}

// A plan with memory of its own, which grows to what is asked for. Wherever a plan is read or made, it may stand for a
// merge_plan_view.
class merge_plan {
public:
    TARN_INLINE merge_plan() noexcept {}
    TARN_INLINE merge_plan(const merge_plan& other) { assign(other); }
    TARN_INLINE merge_plan(merge_plan&& other) noexcept { swap(other); }
    TARN_INLINE merge_plan& operator=(const merge_plan& other) {
        if (this != &other)
            assign(other);
        return *this;
    }
    TARN_INLINE merge_plan& operator=(merge_plan&& other) noexcept {
        swap(other);
        return *this;
    }
    TARN_INLINE ~merge_plan() { ::operator delete(indices_); }

    // Room for a plan; what it held is lost. May throw std::bad_alloc.
    TARN_INLINE void resize(std::ptrdiff_t batch, std::ptrdiff_t tokens, std::ptrdiff_t capacity) {
        const std::ptrdiff_t n = merge_plan_size(batch, tokens, capacity);
        if (n > size_) {
            auto* const more = static_cast<std::int32_t*>(::operator new(static_cast<std::size_t>(n) * 4));
            ::operator delete(indices_);
            indices_ = more;
            size_ = n;
        }
        view_ = make_merge_plan(indices_, batch, tokens, capacity);
    }

    TARN_INLINE merge_plan_view& view() noexcept { return view_; }
    TARN_INLINE const merge_plan_view& view() const noexcept { return view_; }
    TARN_INLINE operator const merge_plan_view&() const noexcept { return view_; }

    TARN_INLINE std::ptrdiff_t batch() const noexcept { return view_.batch; }
    TARN_INLINE std::ptrdiff_t tokens() const noexcept { return view_.tokens; }
    TARN_INLINE std::ptrdiff_t slots() const noexcept { return view_.slots; }

private:
    TARN_INLINE void assign(const merge_plan& other) {
        resize(other.batch(), other.tokens(), other.view_.capacity);
        view_.slots = other.view_.slots;
        const std::ptrdiff_t n = merge_plan_size(view_.batch, view_.tokens, view_.capacity);
        for (std::ptrdiff_t i = 0; i < n && other.indices_; ++i)
            indices_[i] = other.indices_[i];
    }
    TARN_INLINE void swap(merge_plan& other) noexcept {
        const merge_plan_view view = view_;
        std::int32_t* const indices = indices_;
        const std::ptrdiff_t size = size_;
        view_ = other.view_;
        indices_ = other.indices_;
        size_ = other.size_;
        other.view_ = view;
        other.indices_ = indices;
        other.size_ = size;
    }

    merge_plan_view view_;
    std::int32_t* indices_ = nullptr;
    std::ptrdiff_t size_ = 0;
};

struct merge_options {
    merge_mode mode = merge_mode::mean;
    v0::stores stores = v0::stores::automatic;
};

inline namespace TARN_BACKEND {

namespace shape {

// size and slot_size: null where the call has none; there is none of slots without one of tokens.
template <class N, class Executor>
void merge_apply(const place<Executor>& where, const operand& x_operand, const operand* size,
                 const merge_plan_view& plan, const operand& y_operand, const operand* slot_size,
                 const merge_options& options, double streaming_bytes) {
    constexpr const char* op = "merge_apply";
    const sequences x(op, "input", x_operand);
    const sequences y(op, "output", y_operand);
    check_plan(op, plan);
    check_rows(op, "input", x, plan.batch, plan.tokens, x.channels);
    check_rows(op, "output", y, plan.batch, plan.slots, x.channels);
    if (size)
        check_sizes(op, "size", *size, x);
    if (slot_size)
        check_sizes(op, "slot size", *slot_size, y);
    const tier t = check_tier(op, where.tier_index);
    if (plan.batch * plan.slots == 0)
        return;
    if (x.channels > 0) {
        check_distinct(op, y_operand);
        check_apart(op, x_operand, y_operand);
    }
    sequence_numbers<N> sizes{}, slot_sizes{};
    if (size)
        sizes = sequence_numbers<N>::of(*size);
    if (slot_size) {
        check_distinct(op, *slot_size, "slot size");
        check_apart(op, *size, *slot_size, "slot size", "size");
        slot_sizes = sequence_numbers<N>::of(*slot_size);
    }
    const bool stream = streams(options.stores, false, bytes_of(x_operand) + bytes_of(y_operand), streaming_bytes);
    const double row_bytes = static_cast<double>(x.channels) * bytes_of_element(x_operand);
    const auto& kernels = token_merge_kernels_of<N>(t);
    each_rows(where, plan.batch, plan.tokens, row_bytes,
              [&](std::ptrdiff_t b, std::ptrdiff_t first, std::ptrdiff_t last) {
                  kernels.apply({arrays_of(plan, b), first, last, x.channels, options.mode, x.of(b), y.of(b),
                                 sizes.at(b), sizes.stride, slot_sizes.at(b), slot_sizes.stride, stream});
              });
}

template <class N, class Executor>
void merge_undo(const char* op, const place<Executor>& where, const operand& y_operand, const merge_plan_view& plan,
                const operand& x_operand, stores how, double streaming_bytes) {
    const sequences y(op, "input", y_operand);
    const sequences x(op, "output", x_operand);
    check_plan(op, plan);
    check_rows(op, "input", y, plan.batch, plan.slots, y.channels);
    check_rows(op, "output", x, plan.batch, plan.tokens, y.channels);
    const tier t = check_tier(op, where.tier_index);
    if (plan.batch * plan.tokens * y.channels == 0)
        return;
    check_distinct(op, x_operand);
    if (plan.slots > 0)
        check_apart(op, y_operand, x_operand);
    const bool stream = streams(how, false, bytes_of(x_operand) + bytes_of(y_operand), streaming_bytes);
    const double row_bytes = static_cast<double>(y.channels) * bytes_of_element(x_operand);
    const auto& kernels = token_merge_kernels_of<N>(t);
    each_rows(where, plan.batch, plan.tokens, row_bytes,
              [&](std::ptrdiff_t b, std::ptrdiff_t first, std::ptrdiff_t last) {
                  kernels.spread({arrays_of(plan, b), first, last, y.channels, merge_mode::sum, x.of(b), y.of(b),
                                  nullptr, 0, nullptr, 0, stream});
              });
}

// y, size and dsize: null where the call has none.
template <class N, class Executor>
void merge_apply_backward(const place<Executor>& where, const operand& x_operand, const operand* size,
                          const merge_plan_view& plan, const operand* y_operand, const operand& dy_operand,
                          const operand& dx_operand, const operand* dsize, const merge_options& options,
                          double streaming_bytes) {
    constexpr const char* op = "merge_apply_backward";
    const sequences x(op, "input", x_operand);
    const sequences y(op, "output of the forward call", y_operand ? *y_operand : dy_operand);
    const sequences dy(op, "gradient", dy_operand);
    const sequences dx(op, "output", dx_operand);
    check_plan(op, plan);
    check_rows(op, "input", x, plan.batch, plan.tokens, x.channels);
    check_rows(op, "output of the forward call", y, plan.batch, plan.slots, x.channels);
    check_rows(op, "gradient", dy, plan.batch, plan.slots, x.channels);
    check_rows(op, "output", dx, plan.batch, plan.tokens, x.channels);
    if (size) {
        check_sizes(op, "size", *size, x);
        check_sizes(op, "size gradient", *dsize, x);
    }
    const tier t = check_tier(op, where.tier_index);
    if (plan.batch * plan.tokens == 0)
        return;
    if (x.channels > 0) {
        check_distinct(op, dx_operand);
        check_apart(op, x_operand, dx_operand);
    }
    if (x.channels > 0 && plan.slots > 0) {
        check_apart(op, dy_operand, dx_operand, "output", "gradient");
        check_apart(op, y.all, dx_operand, "output", "output of the forward call");
    }
    sequence_numbers<N> sizes{}, size_gradient{};
    if (size) {
        check_distinct(op, *dsize, "size gradient");
        check_apart(op, *size, *dsize, "size gradient", "size");
        sizes = sequence_numbers<N>::of(*size);
        size_gradient = sequence_numbers<N>::of(*dsize);
    }
    const bool stream = streams(options.stores, false, bytes_of(dy_operand) + bytes_of(dx_operand), streaming_bytes);
    const double row_bytes = static_cast<double>(x.channels) * bytes_of_element(x_operand);
    const auto& kernels = token_merge_kernels_of<N>(t);
    each_rows(where, plan.batch, plan.tokens, row_bytes,
              [&](std::ptrdiff_t b, std::ptrdiff_t first, std::ptrdiff_t last) {
                  kernels.backward({arrays_of(plan, b), first, last, x.channels, options.mode, x.of(b),
                                    y_operand ? y.of(b) : dispatch::stored_rows{}, dy.of(b), dx.of(b), sizes.at(b),
                                    sizes.stride, size_gradient.at(b), size_gradient.stride, stream});
              });
}

// The sorted parts of plans whose assignment is there.
template <class Executor> void sort_plan(const place<Executor>& where, tier t, const merge_plan_view& plan) {
    const auto& kernels = token_merge_kernels_of<float>(t);
    const double bytes = 16 * static_cast<double>(plan.tokens);
    where.parallel_for(plan.batch, {bytes, bytes, bytes}, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t b = begin; b < end; ++b)
            kernels.slots(arrays_of(plan, b));
    });
}

template <class T, int Rank, class Executor>
void merge_plan_from(const place<Executor>& where, const tensor_view<const T, Rank>& assign, std::ptrdiff_t slots,
                     merge_plan_view& plan) {
    constexpr const char* op = "merge_plan_from";
    const operand v = erase(assign);
    check_operand(op, "assignment", v);
    const std::ptrdiff_t batch = Rank == 2 ? assign.extent[0] : 1;
    const std::ptrdiff_t tokens = assign.extent[Rank - 1];
    if (slots < 0 || slots > tokens)
        fail(op, "slots", std::to_string(slots), "0 to " + std::to_string(tokens));
    check_plan_output(op, plan, batch, tokens, slots);
    const std::ptrdiff_t across = Rank == 2 ? assign.stride[0] : 0;
    const auto slot = [&](std::ptrdiff_t b, std::ptrdiff_t i) {
        return assign.data[b * across + i * assign.stride[Rank - 1]];
    };
    for (std::ptrdiff_t b = 0; b < batch; ++b) {
        for (std::ptrdiff_t i = 0; i < tokens; ++i) {
            if (slot(b, i) < -1 || slot(b, i) >= slots)
                fail(op, "assignment", std::to_string(slot(b, i)) + " of token " + std::to_string(i),
                     "-1 to " + std::to_string(slots - 1));
        }
    }
    const tier t = check_tier(op, where.tier_index);
    plan.slots = slots;
    for (std::ptrdiff_t b = 0; b < batch; ++b) {
        for (std::ptrdiff_t i = 0; i < tokens; ++i)
            plan.assign[b * tokens + i] = static_cast<std::int32_t>(slot(b, i));
    }
    sort_plan(where, t, plan);
}

inline void check_composable(const merge_plan_view& first, const merge_plan_view& second) {
    constexpr const char* op = "merge_compose";
    check_plan(op, first, "first plan");
    check_plan(op, second, "second plan");
    if (second.batch != first.batch || second.tokens != first.slots)
        fail(op, "second plan", "batch " + std::to_string(second.batch) + ", tokens " + std::to_string(second.tokens),
             "the batch and slots of the first plan: " + std::to_string(first.batch) + " and " +
                 std::to_string(first.slots));
}
template <class Executor>
void merge_compose(const place<Executor>& where, const merge_plan_view& first, const merge_plan_view& second,
                   merge_plan_view& plan) {
    constexpr const char* op = "merge_compose";
    check_composable(first, second);
    check_plan_output(op, plan, first.batch, first.tokens, second.slots);
    if (plan.batch * plan.tokens > 0 && (plan.assign == first.assign || plan.assign == second.assign))
        fail(op, "plan", "is one of those that are composed", "a plan of its own");
    const tier t = check_tier(op, where.tier_index);
    plan.slots = second.slots;
    for (std::ptrdiff_t b = 0; b < plan.batch; ++b) {
        const dispatch::plan_arrays one = arrays_of(first, b);
        const dispatch::plan_arrays two = arrays_of(second, b);
        const dispatch::plan_arrays both = arrays_of(plan, b);
        for (std::ptrdiff_t i = 0; i < plan.tokens; ++i)
            both.assign[i] = one.assign[i] < 0 ? -1 : two.assign[one.assign[i]];
    }
    sort_plan(where, t, plan);
    for (std::ptrdiff_t b = 0; b < plan.batch; ++b) {
        const dispatch::plan_arrays two = arrays_of(second, b);
        for (std::ptrdiff_t s = 0; s < plan.slots; ++s) {
            const std::int32_t stands = two.rep[s] < 0 ? -1 : arrays_of(first, b).rep[two.rep[s]];
            if (stands >= 0)
                arrays_of(plan, b).rep[s] = stands;
        }
    }
}

// Operands of tokens: elements of one type, or of 16 bits in and float out; sizes are float, beside doubles double.
template <class X, class Y> TARN_INLINE constexpr void assert_tokens() noexcept {
    static_assert(
        detail::is_element_pair<typename X::value_type, typename Y::value_type>::value,
        "tarn: tokens are float, double, float16 or bfloat16, of one type in all operands, or of 16 bits with "
        "results in float");
    static_assert(X::rank == Y::rank && (X::rank == 2 || X::rank == 3),
                  "tarn: tokens have rank 2, [tokens, channels], or 3, [batch, tokens, channels], in all operands");
}
template <class X, class S> TARN_INLINE constexpr void assert_sizes() noexcept {
    static_assert(std::is_same<typename S::value_type, detail::number_of<typename X::value_type>>::value,
                  "tarn: sizes of tokens are float, beside tokens of double double");
    static_assert(S::rank == X::rank - 1, "tarn: sizes of tokens have the axes of the tokens but the channels");
}

} // namespace shape

// The tokens of every slot made one: their mean, sum or greatest, or the one that stands for the slot; with sizes mean
// and sum weigh every token with its own, y = sum_i s_i x_i / sum_i s_i, and slot_size = sum_i s_i.
//
//   x          tokens: float, double, float16 or bfloat16, [tokens, channels] or [batch, tokens, channels], any strides
//   size       how much every token stands for: float, beside doubles double; [tokens] or [batch, tokens], any strides
//   plan       merge_plan or merge_plan_view
//   y          slots: the type of x, or float for x of 16 bits; [slots, channels] or [batch, slots, channels], any
//              strides but 0, apart from x
//   slot_size  as size, with slots for tokens
//   options    mode: merge_mode::mean (default), sum, max or prune
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
