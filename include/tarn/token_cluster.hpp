// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/token_cluster_table.hpp>
#include <tarn/indices.hpp>
#include <tarn/merge_plan.hpp>
#include <tarn/shape/token_clusters.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/token_cluster_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(token_cluster)

namespace tarn { inline namespace v0 {

// What stands for the tokens of a cluster.
enum class cluster_centre {
    mean,   // their weighted mean: k-means
    medoid, // the one of them of least weighted distance to the others: k-medoids
};

inline namespace TARN_BACKEND {

// Of the backend: see masked_softmax_options.
struct cluster_options {
    // How many clusters; as many as tokens at most, see cluster_slots.
    std::ptrdiff_t clusters = 1;
    // Iterations at most: where nothing changes any more, the rest are left out.
    int iterations = 5;
    // The tokens that clusters begin with: [clusters], or [batch, clusters]. None: those of greatest weight.
    optional_view<const std::int32_t> start = {};
};

struct cluster_pool_options {
    std::ptrdiff_t clusters = 1;
    int iterations = 5;
    cluster_centre centre = cluster_centre::mean;
};

} // namespace TARN_BACKEND

// The slots that a plan of so many clusters has.
TARN_INLINE constexpr std::ptrdiff_t cluster_slots(std::ptrdiff_t tokens, std::ptrdiff_t clusters) noexcept {
    return clusters < tokens ? clusters : tokens;
}

// Bytes of scratch for weighted_k_means, and for cluster_pool with means. T: the elements of the tokens.
template <class T>
TARN_INLINE constexpr std::ptrdiff_t k_means_scratch(std::ptrdiff_t channels, std::ptrdiff_t clusters) noexcept {
    using number = detail::number_of<T>;
    return dispatch::k_means_scratch<number>(channels, clusters) * static_cast<std::ptrdiff_t>(sizeof(number)) + 64;
}
// Bytes of scratch for weighted_k_medoids, and for cluster_pool with medoids.
TARN_INLINE constexpr std::ptrdiff_t k_medoids_scratch(std::ptrdiff_t tokens) noexcept {
    return dispatch::k_medoids_scratch(tokens) * 8 + 64;
}

inline namespace TARN_BACKEND {

namespace shape {

// f(kernels, sequence, call) for all sequences; cycles: of one.
template <class N, class Scratch, class Executor, class F>
void each_clustering(const char* op, const place<Executor>& where, const cluster_operands<N>& operands,
                     merge_plan_view& plan, std::ptrdiff_t scratch, double cycles, const F& f) {
    const sequences& x = operands.x();
    const tier t = check_tier(op, where.tier_index);
    check_plan_output(op, plan, x.batch, x.rows, operands.slots());
    plan.slots = operands.slots();
    operands.set_start(plan);
    const auto& kernels = token_cluster_kernels_of<N>(t);
    const double bytes = static_cast<double>(x.rows * x.channels) * bytes_of_element(x.all);
    where.parallel_for(x.batch, {bytes, 0, cycles}, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        const auto buffer = buffer_for<Scratch>(where, plan.slots == plan.tokens ? 0 : scratch);
        for (std::ptrdiff_t b = begin; b < end; ++b)
            f(kernels, operands.of(plan, b), buffer.data);
    });
}

template <class N, class Executor>
void k_means(const char* op, const place<Executor>& where, const cluster_operands<N>& operands, merge_plan_view& plan,
             int iterations) {
    const sequences& x = operands.x();
    const double products = static_cast<double>(x.rows) * static_cast<double>(operands.slots()) *
                            static_cast<double>(x.channels) * (iterations + 1.0);
    each_clustering<N, N>(op, where, operands, plan, dispatch::k_means_scratch<N>(x.channels, operands.slots()),
                          products / 8, [](const auto& kernels, dispatch::cluster_call<N> call, N* scratch) {
                              call.scratch = scratch;
                              kernels.k_means(call);
                          });
}

template <class N, class Executor>
void k_medoids(const char* op, const place<Executor>& where, const cluster_operands<N>& operands,
               merge_plan_view& plan) {
    const sequences& x = operands.x();
    const double pairs = static_cast<double>(x.rows) * static_cast<double>(x.rows);
    each_clustering<N, double>(op, where, operands, plan, dispatch::k_medoids_scratch(x.rows),
                               pairs * static_cast<double>(x.channels) / 4,
                               [](const auto& kernels, dispatch::cluster_call<N> call, double* distances) {
                                   call.distances = distances;
                                   kernels.k_medoids(call);
                               });
}

// f(plan) makes a plan with room for it. What it reads may be the plan that is there.
template <class F>
void with_room(merge_plan& plan, const sequences& x, std::ptrdiff_t slots, bool reads_plan, const F& f) {
    merge_plan made;
    merge_plan& target = reads_plan ? made : plan;
    target.resize(x.batch, x.rows, slots);
    f(target.view());
    if (reads_plan)
        plan = static_cast<merge_plan&&>(made);
}
template <class F> void with_room(merge_plan_view& plan, const sequences&, std::ptrdiff_t, bool, const F& f) {
    f(plan);
}

template <class X, class W> TARN_INLINE constexpr void assert_clusters() noexcept {
    if constexpr (detail::accepts_input<X>::value) {
        using input = decltype(detail::input_view(std::declval<const X&>()));
        assert_tokens<input, input>();
        if constexpr (!detail::is_none<W>) {
            if constexpr (detail::accepts_input<W>::value)
                assert_sizes<input, decltype(detail::input_view(std::declval<const W&>()))>();
        }
    }
}
template <class W> TARN_INLINE operand erase_weights(const W& weights) noexcept {
    if constexpr (detail::is_none<W>)
        return {};
    else
        return erase(detail::input_view(weights));
}

} // namespace shape

// Clusters of tokens by weighted k-means: Lloyd's iterations, in which every token goes to the nearest centre and every
// centre to the weighted mean of its tokens, c_k = sum_i w_i x_i / sum_i w_i. Last, tokens go to the final centres.
// merge_apply then makes the slots, and merge_undo brings them back.
//
// Token Pooling in Vision Transformers (arXiv 2110.03860); Least squares quantization in PCM (Lloyd, 1982).
//
//   x        tokens: float, double, float16 or bfloat16, [tokens, channels] or [batch, tokens, channels], any strides
//   weights  how much every token counts: float, beside doubles double; [tokens] or [batch, tokens], any strides; or
//            tarn::none: all 1
//   plan     merge_plan, which is resized, or merge_plan_view of the same batch and tokens, with room for
//            cluster_slots() slots; plan.slots is set. The first of its tokens stands for a slot
//   centres  the type of x, or float for x of 16 bits; [slots, channels] or [batch, slots, channels], any strides but
//            0, apart from x. In every iteration they are rounded to their type
//   options  clusters (at least as many as tokens: every token is one), iterations (default 5, at least 0), start
//            (default: the tokens of greatest weight)
//   where    tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// Ties             the smallest index, among centres that are equally near and among tokens of equal weight.
// Special values   a weight below 0, NaN or infinite counts as 0. A cluster without tokens, or whose weights are all 0,
//                  keeps its centre. A token with NaN or an infinity starts a cluster only if it is given or no other
//                  is left, and moves no centre; no other token is near it. All such tokens go to the first cluster
//                  that one of them started, or to cluster 0. Means below 2^-126 (doubles: up to 2^-1022) are 0.
// Accuracy         distances that decide are sum (x - c)^2 in double, within (channels + 8) * 2^-53 of the exact ones
//                  for these centres; of doubles, elements below 2^-400 of the greatest count as 0. Means as in
//                  merge_apply.
// Determinism      plans and centres are the same in any batch, for any number of threads and with any scratch; of
//                  floats and without weights on every tier, of doubles with weights on AVX2 and AVX-512.
// Memory           x is read two times in every iteration, from a cache if it fits. k_means_scratch() bytes of the
//                  thread's buffer, or of scratch that is lent; without such memory, or above 4 MB, it takes about ten
//                  times as long.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that do not
//                  fit, a start that is no token, fewer than 1 cluster, more than 2^28 tokens, overlap.
template <class Executor, class X, class W, class Plan, class C>
TARN_INLINE void weighted_k_means(const place<Executor>& where, const X& x, const W& weights, Plan& plan, C&& centres,
                                  const cluster_options& options) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<C&&>(centres));
    shape::assert_clusters<X, W>();
    if constexpr (detail::accepts_input<X>::value && detail::accepts_output<C>::value)
        shape::assert_tokens<decltype(input), decltype(output)>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    constexpr const char* op = "weighted_k_means";
    const shape::operand w = shape::erase_weights(weights);
    const shape::operand c = shape::erase(output);
    const shape::cluster_operands<number> operands(op, shape::erase(input), detail::is_none<W> ? nullptr : &w,
                                                   "weights", &c, "centres", options.clusters, options.iterations,
                                                   options.start);
    shape::check_tier(op, where.tier_index);
    shape::with_room(plan, operands.x(), operands.slots(), static_cast<bool>(options.start),
                     [&](merge_plan_view& room) { shape::k_means(op, where, operands, room, options.iterations); });
}
template <class X, class W, class Plan, class C, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void weighted_k_means(const X& x, const W& weights, Plan& plan, C&& centres,
                                  const cluster_options& options) {
    weighted_k_means(on(serial), x, weights, plan, static_cast<C&&>(centres), options);
}

// Clusters of tokens by weighted k-medoids: as weighted_k_means, but the centre of a cluster is the one of its tokens
// with the least sum_j w_j |x_i - x_j|^2 over its tokens. These stand for the slots: plan.rep holds the medoids, and
// merge_apply with merge_mode::prune takes them. A cluster without tokens has none, -1.
//
//   x, weights, plan, options, where   as in weighted_k_means
//
// Ties, special values, determinism and errors as there; sums are of doubles, in the order of the tokens, so plans are
// the same on every tier. Accuracy: sums within (channels + tokens + 10) * 2^-53 of the exact ones. Memory:
// k_medoids_scratch() bytes, a double for every pair of tokens; without such memory, or above 4 MB, distances are made
// again in every iteration.
template <class Executor, class X, class W, class Plan>
TARN_INLINE void weighted_k_medoids(const place<Executor>& where, const X& x, const W& weights, Plan& plan,
                                    const cluster_options& options) {
    const auto input = detail::input_view(x);
    shape::assert_clusters<X, W>();
    using number = detail::number_of<typename decltype(input)::value_type>;
    constexpr const char* op = "weighted_k_medoids";
    const shape::operand w = shape::erase_weights(weights);
    const shape::cluster_operands<number> operands(op, shape::erase(input), detail::is_none<W> ? nullptr : &w,
                                                   "weights", nullptr, "centres", options.clusters, options.iterations,
                                                   options.start);
    shape::check_tier(op, where.tier_index);
    shape::with_room(plan, operands.x(), operands.slots(), static_cast<bool>(options.start),
                     [&](merge_plan_view& room) { shape::k_medoids(op, where, operands, room); });
}
template <class X, class W, class Plan, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void weighted_k_medoids(const X& x, const W& weights, Plan& plan, const cluster_options& options) {
    weighted_k_medoids(on(serial), x, weights, plan, options);
}

namespace shape {

// weights, slot_weights: null if there are none.
template <class N, class Plan, class Executor>
void cluster_pool(const place<Executor>& where, const operand& x, const operand* weights, Plan& plan, const operand& y,
                  const operand* slot_weights, const cluster_pool_options& options) {
    constexpr const char* op = "cluster_pool";
    const bool means = options.centre == cluster_centre::mean;
    const cluster_operands<N> operands(op, x, weights, "significance", &y, "output", options.clusters,
                                       options.iterations, {});
    check_tier(op, where.tier_index);
    if (slot_weights) {
        check_sizes(op, "slot significance", *slot_weights, sequences(op, "output", y));
        if (size(*slot_weights) > 0) {
            check_distinct(op, *slot_weights, "slot significance");
            check_apart(op, *weights, *slot_weights, "slot significance", "significance");
            if (size(x) > 0) {
                check_apart(op, x, *slot_weights, "slot significance");
                check_apart(op, y, *slot_weights, "slot significance", "output");
            }
        }
    }
    with_room(plan, operands.x(), operands.slots(), false, [&](merge_plan_view& room) {
        if (means)
            k_means(op, where, operands, room, options.iterations);
        else
            k_medoids(op, where, operands, room);
        merge_apply<N>(where, x, weights, room, y, slot_weights, {means ? merge_mode::mean : merge_mode::prune},
                       TARN_STREAMING_BYTES);
    });
}

} // namespace shape

// Token pooling: the tokens of a sequence made fewer, by clusters that weigh every token with its significance and
// begin with the most significant ones. A cluster becomes the weighted mean of its tokens, or its medoid. As
// weighted_k_means or weighted_k_medoids, then merge_apply.
//
// Token Pooling in Vision Transformers (arXiv 2110.03860). The authors take for significance the attention that a token
// receives, summed over heads and queries. A class token is not for pooling: leave its row out.
//
//   x                   as in weighted_k_means
//   significance        as weights there, or tarn::none
//   plan                likewise
//   y                   as centres there: [slots, channels] or [batch, slots, channels]
//   slot_significance   the sum over the tokens of every slot: as significance, with slots for tokens; or tarn::none
//   options             clusters, iterations (default 5), centre: cluster_centre::mean (default) or medoid
//   where               tarn::on(tier, executor, scratch) as first argument; default: the best tier, in this thread
//
// The gradient is that of merge_apply with this plan, of mode mean with the significance for sizes, or of mode prune.
//
// Special values   of clusters as in weighted_k_means, of y as in merge_apply: NaN and infinities belong to their slot,
//                  and a slot without tokens, or means of a slot of significance 0, are 0.
// Accuracy, determinism, memory, errors: as in weighted_k_means, weighted_k_medoids and merge_apply.
template <class Executor, class X, class W, class Plan, class Y, class S>
TARN_INLINE void cluster_pool(const place<Executor>& where, const X& x, const W& significance, Plan& plan, Y&& y,
                              S&& slot_significance, const cluster_pool_options& options) {
    const auto input = detail::input_view(x);
    const auto output = detail::output_view(static_cast<Y&&>(y));
    shape::assert_clusters<X, W>();
    if constexpr (detail::accepts_input<X>::value && detail::accepts_output<Y>::value)
        shape::assert_tokens<decltype(input), decltype(output)>();
    static_assert(detail::is_none<S> || !detail::is_none<W>,
                  "tarn: cluster_pool gives the significance of slots only where tokens have one");
    using number = detail::number_of<typename decltype(input)::value_type>;
    const shape::operand w = shape::erase_weights(significance);
    shape::operand r = {};
    if constexpr (!detail::is_none<S>) {
        const auto sums = detail::output_view(static_cast<S&&>(slot_significance));
        if constexpr (detail::accepts_input<X>::value && detail::accepts_output<S>::value)
            shape::assert_sizes<decltype(input), decltype(sums)>();
        r = shape::erase(sums);
    }
    shape::cluster_pool<number>(where, shape::erase(input), detail::is_none<W> ? nullptr : &w, plan,
                                shape::erase(output), detail::is_none<S> ? nullptr : &r, options);
}
template <class X, class W, class Plan, class Y, class S, std::enable_if_t<!detail::is_place<X>::value, int> = 0>
TARN_INLINE void cluster_pool(const X& x, const W& significance, Plan& plan, Y&& y, S&& slot_significance,
                              const cluster_pool_options& options) {
    cluster_pool(on(serial), x, significance, plan, static_cast<Y&&>(y), static_cast<S&&>(slot_significance), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
