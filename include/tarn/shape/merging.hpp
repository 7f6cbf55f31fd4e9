// SPDX-License-Identifier: BSD-3-Clause
//
// From merge plans and operands to kernels: checks, and tokens dealt out to threads.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/merge_plan_view.hpp>
#include <tarn/shape/merge_plans.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/token_merge_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(token_merge)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

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

}}}} // namespace tarn::shape
