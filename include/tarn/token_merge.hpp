// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/merge_plan.hpp>

namespace tarn { inline namespace v0 {

inline namespace TARN_BACKEND {

// Of the backend: see masked_softmax_options.
struct tome_options {
    // How many tokens to merge into others; as many as may be at most, see tome_slots.
    std::ptrdiff_t r = 0;
    // Instead of r: how many slots there shall be; -1: r says.
    std::ptrdiff_t keep = -1;
    // Token 0 is a class token: it merges with none.
    bool class_token = false;
    // Token 1 is a distillation token: none merges into it.
    bool distillation_token = false;
    token_order order = token_order::official;
};

} // namespace TARN_BACKEND

// The slots that a plan of tome_plan has: tokens - r, r from 0 to half of the tokens that are not protected; 0 if there is
// no token that others may merge into.
TARN_INLINE constexpr std::ptrdiff_t tome_slots(std::ptrdiff_t tokens, const tome_options& options) noexcept {
    const std::ptrdiff_t free = tokens - options.class_token - options.distillation_token;
    const bool has_partner = tokens / 2 > static_cast<std::ptrdiff_t>(options.distillation_token);
    const std::ptrdiff_t most = has_partner && free > 0 ? free / 2 : 0;
    const std::ptrdiff_t r = options.keep < 0 ? options.r : tokens - options.keep;
    return tokens - (r < 0 ? 0 : r > most ? most : r);
}

// Bytes of scratch for tome_plan; what it has on its stack counts as none. T: the elements of the metric.
template <class T>
TARN_INLINE constexpr std::ptrdiff_t tome_scratch(std::ptrdiff_t tokens, std::ptrdiff_t width) noexcept {
    using number = detail::number_of<T>;
    const std::ptrdiff_t numbers = dispatch::tome_scratch<number>(tokens, width);
    return numbers <= dispatch::tome_stack<number> ? 0 : numbers * static_cast<std::ptrdiff_t>(sizeof(number)) + 64;
}

inline namespace TARN_BACKEND {

namespace shape {

// Returns the slots there will be.
inline std::ptrdiff_t check_tome(const sequences& metric, const tome_options& options, int tier_index) {
    constexpr const char* op = "tome_plan";
    if (metric.rows > most_tokens)
        fail(op, "metric", "extents " + metric.extents(), "at most 2^28 tokens");
    if (options.keep < -1)
        fail(op, "keep", std::to_string(options.keep), "a number of slots, or -1");
    check_tier(op, tier_index);
    return tome_slots(metric.rows, options);
}

template <class N, class Executor>
void tome_plan(const place<Executor>& where, const sequences& metric, merge_plan_view& plan,
               const tome_options& options) {
    constexpr const char* op = "tome_plan";
    const std::ptrdiff_t tokens = metric.rows;
    const std::ptrdiff_t slots = check_tome(metric, options, where.tier_index);
    check_plan_output(op, plan, metric.batch, tokens, slots);
    const tier t = check_tier(op, where.tier_index);
    plan.slots = slots;
    const auto& kernels = token_merge_kernels_of<N>(t);
    const std::ptrdiff_t needed = dispatch::tome_scratch<N>(tokens, metric.channels);
    const std::ptrdiff_t scratch = needed <= dispatch::tome_stack<N> || slots == tokens ? 0 : needed;
    const double bytes = static_cast<double>(tokens * metric.channels) * bytes_of_element(metric.all);
    const double pairs = static_cast<double>(tokens) * static_cast<double>(tokens) / 4;
    where.parallel_for(metric.batch, {bytes, 0, pairs * static_cast<double>(metric.channels) / 8},
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                           const number_buffer<N> buffer = buffer_for<N>(where, scratch);
                           for (std::ptrdiff_t b = begin; b < end; ++b) {
                               const dispatch::plan_arrays p = arrays_of(plan, b);
                               if (slots < tokens) {
                                   kernels.tome({p, metric.of(b), metric.channels, options.class_token,
                                                 options.distillation_token, options.order, buffer.data});
                                   continue;
                               }
                               for (std::ptrdiff_t i = 0; i < tokens; ++i)
                                   p.assign[i] = static_cast<std::int32_t>(i);
                               kernels.slots(p);
                           }
                       });
}

template <class Metric> TARN_INLINE constexpr void assert_metric() noexcept {
    static_assert(element_traits<typename Metric::value_type>::known,
                  "tarn: a metric of tokens is float, double, float16 or bfloat16");
    static_assert(Metric::rank == 2 || Metric::rank == 3,
                  "tarn: a metric of tokens has rank 2, [tokens, width], or 3, [batch, tokens, width]");
}

} // namespace shape

// The plan of bipartite soft matching: tokens of even position look for the most similar of odd position, and the r
// with the most similar partners merge into them. merge_apply then makes the slots, with the sizes of the tokens.
//
// Token Merging: Your ViT But Faster (arXiv 2210.09461). Similarity is the cosine of rows of the metric, which its
// authors take from the keys of attention, averaged over heads.
//
//   metric   float, double, float16 or bfloat16, [tokens, width] or [batch, tokens, width], any strides, broadcast
//            (stride 0) included
//   plan     merge_plan, which is resized, or merge_plan_view of the same batch and tokens, with room for tome_slots()
//            slots; plan.slots is set
//   options  see tome_options; at most half of the tokens that are not protected merge
//   where    tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// Ties             the smallest index wins, among partners and among tokens that merge.
// Special values   a row of 0 has the similarity 0 with every other. A token with NaN or an infinity in its metric is
//                  no partner, and merges only if no other is left, then into the first odd token that is not
//                  protected; so does one without a partner. Class and distillation tokens stay alone whatever they
//                  hold.
// Accuracy         rows are scaled to unit length, max(|x|, 1e-12) being the length, and rounded to float (doubles:
//                  kept); elements below 2^-30 (2^-400) of it count as 0; their products are added in double. Plans
//                  follow these similarities exactly: within 2^-22 (2^-50 for each element) of the exact cosine.
// Determinism      plans are the same on every tier, in any batch, for any number of threads and with any scratch.
// Memory           metric is read twice, the second time from a cache. tome_scratch() bytes of the thread's buffer, or
//                  of scratch that is lent; 32 KB, which 100 tokens of 64 floats take, lie on the stack. Without such
//                  memory, or above 4 MB, unit vectors are made again where they are needed, which takes several times
//                  as long. Where many tokens are all but equal, similarities are made twice: up to four times as long.
// Errors           std::invalid_argument (message and abort without exceptions), plan untouched: a plan of other
//                  extents or without room, more than 2^28 tokens.
template <class Executor, class Metric>
TARN_INLINE void tome_plan(const place<Executor>& where, const Metric& metric, merge_plan_view& plan,
                           const tome_options& options) {
    const auto input = detail::input_view(metric);
    if constexpr (detail::accepts_input<Metric>::value)
        shape::assert_metric<decltype(input)>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    shape::tome_plan<number>(where, shape::sequences("tome_plan", "metric", shape::erase(input)), plan, options);
}
template <class Executor, class Metric>
TARN_INLINE void tome_plan(const place<Executor>& where, const Metric& metric, merge_plan& plan,
                           const tome_options& options) {
    const auto input = detail::input_view(metric);
    if constexpr (detail::accepts_input<Metric>::value)
        shape::assert_metric<decltype(input)>();
    const shape::sequences rows("tome_plan", "metric", shape::erase(input));
    const std::ptrdiff_t slots = shape::check_tome(rows, options, where.tier_index);
    plan.resize(rows.batch, rows.rows, slots);
    tome_plan(where, metric, plan.view(), options);
}
template <class Metric, class Plan, std::enable_if_t<!detail::is_place<Metric>::value, int> = 0>
TARN_INLINE void tome_plan(const Metric& metric, Plan& plan, const tome_options& options) {
    tome_plan(on(serial), metric, plan, options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
