// SPDX-License-Identifier: BSD-3-Clause
//
// What clusters of tokens touch and take: memory, stack, heap, threads, denormal numbers; and what they refuse.
#include "support/allocations.hpp"
#include "support/cluster.hpp"
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/mxcsr.hpp"
#include "support/refusals.hpp"
#include "support/stack.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;
using tarn::cluster_centre;
using indices = std::vector<std::int32_t>;

class token_cluster_resources : public tier_test {};
TARN_TEST_ON_ALL_TIERS(token_cluster_resources);

// Every buffer ends, then begins, at a page that must not be touched.
template <class T> void expect_no_faults(tarn::tier tier) {
    using N = number_of<T>;
    random_bits random(3);
    for (int round = 0; round < (thinned() ? 12 : 60); ++round) {
        const std::ptrdiff_t tokens = 1 + random.below(50);
        const std::ptrdiff_t channels = 1 + random.below(90);
        const std::ptrdiff_t clusters = 1 + random.below(tokens);
        guarded_numbers<T> x(tokens * channels), y(clusters * channels);
        guarded_numbers<N> weights(tokens), totals(clusters);
        guarded_numbers<std::int32_t> start(clusters), plan_memory(tarn::merge_plan_size(1, tokens, clusters));
        guarded_numbers<double> lent(tarn::k_medoids_scratch(tokens) / 8 +
                                     tarn::k_means_scratch<T>(channels, clusters) / 8 + 1);
        for (const bool end : {true, false}) {
            const auto place = [&](auto& memory, std::ptrdiff_t n) {
                return end ? memory.against_end(n) : memory.against_start();
            };
            T* const from = place(x, tokens * channels);
            T* const to = place(y, clusters * channels);
            N* const w = place(weights, tokens);
            N* const sums = place(totals, clusters);
            std::int32_t* const first = place(start, clusters);
            for (std::ptrdiff_t i = 0; i < tokens * channels; ++i)
                from[i] = T(static_cast<N>(random.normal()));
            for (std::ptrdiff_t t = 0; t < tokens; ++t)
                w[t] = static_cast<N>(random.below(4));
            for (std::ptrdiff_t s = 0; s < clusters; ++s)
                first[s] = static_cast<std::int32_t>(random.below(tokens));
            EXPECT_EQ(fault_in([&] {
                          tarn::merge_plan_view plan = tarn::make_merge_plan(
                              place(plan_memory, tarn::merge_plan_size(1, tokens, clusters)), 1, tokens, clusters);
                          const auto in = tarn::make_view<const T>(from, tokens, channels);
                          const auto out = tarn::make_view(to, clusters, channels);
                          const auto in_weights = tarn::make_view<const N>(w, tokens);
                          tarn::cluster_options o;
                          o.clusters = clusters;
                          o.iterations = 2;
                          if (round % 2 != 0)
                              o.start = tarn::make_view<const std::int32_t>(first, clusters);
                          const auto lend = [&](std::ptrdiff_t bytes) {
                              return tarn::on(tier, tarn::serial,
                                              tarn::scratch{place(lent, (bytes + 7) / 8), (bytes + 7) / 8 * 8});
                          };
                          const auto none = tarn::on(tier, tarn::serial, tarn::scratch{});
                          const std::ptrdiff_t of_means = tarn::k_means_scratch<T>(channels, clusters);
                          tarn::weighted_k_means(lend(of_means), in, in_weights, plan, out, o);
                          tarn::weighted_k_means(none, in, in_weights, plan, out, o);
                          tarn::weighted_k_medoids(lend(tarn::k_medoids_scratch(tokens)), in, in_weights, plan, o);
                          tarn::weighted_k_medoids(none, in, tarn::none, plan, o);
                          tarn::cluster_pool(lend(of_means), in, in_weights, plan, out, tarn::make_view(sums, clusters),
                                             {clusters});
                      }),
                      "")
                << "tokens " << tokens << " channels " << channels << " clusters " << clusters << " end " << end;
        }
    }
}
TEST_P(token_cluster_resources, guard_pages) {
    expect_no_faults<float>(GetParam());
    expect_no_faults<double>(GetParam());
    expect_no_faults<tarn::float16>(GetParam());
}

TEST_P(token_cluster_resources, stack_and_heap) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames and owns malloc";
    }
    for (const std::ptrdiff_t tokens : {20, 196, 300}) {
        const std::ptrdiff_t clusters = tokens / 3;
        const std::vector<float> x = normal_logits<float>(tokens * 64, 1, 0, 1);
        const std::vector<double> d(x.begin(), x.end());
        const std::vector<tarn::bfloat16> h(x.begin(), x.end());
        const std::vector<float> w(static_cast<std::size_t>(tokens), 1.0f);
        std::vector<float> y(x.size()), totals(static_cast<std::size_t>(clusters));
        std::vector<double> z(x.size());
        tarn::merge_plan plan;
        plan.resize(1, tokens, clusters);
        tarn::cluster_options o;
        o.clusters = clusters;
        const auto in = [&](const auto& v) { return tarn::make_view(v.data(), tokens, 64); };
        const auto out = [&](auto& v) { return tarn::make_view(v.data(), clusters, 64); };
        const auto calls = [&](const auto& where) {
            tarn::weighted_k_means(where, in(x), w, plan, out(y), o);
            tarn::weighted_k_means(where, in(h), w, plan, out(y), o);
            tarn::weighted_k_means(where, in(d), tarn::none, plan, out(z), o);
            tarn::weighted_k_medoids(where, in(x), w, plan, o);
            tarn::weighted_k_medoids(where, in(d), tarn::none, plan, o);
            tarn::cluster_pool(where, in(x), w, plan, out(y), totals, {clusters});
        };
        const auto none = tarn::on(GetParam(), tarn::serial, tarn::scratch{});
        EXPECT_LE(stack_of([&] { calls(tarn::on(GetParam())); }), 64 * 1024) << tokens;
        EXPECT_LE(stack_of([&] { calls(none); }), 64 * 1024) << tokens;
        EXPECT_EQ(allocations_in([&] { calls(none); }).all, 0) << tokens;
        std::vector<char> lent(static_cast<std::size_t>(
            std::max(tarn::k_means_scratch<double>(64, clusters), tarn::k_medoids_scratch(tokens))));
        const tarn::scratch memory{lent.data(), static_cast<std::ptrdiff_t>(lent.size())};
        EXPECT_EQ(allocations_in([&] { calls(tarn::on(GetParam(), tarn::serial, memory)); }).all, 0) << tokens;
    }
}

// Any number of threads, any scratch, and sequences alone give the plans and bits of a batch; of floats every tier does.
template <class T> struct results {
    indices means, medoids;
    std::vector<T> centres, pooled;

    results(const std::vector<T>& x, const std::vector<T>& w, std::ptrdiff_t batch) {
        batch_ = batch;
        tokens_ = static_cast<std::ptrdiff_t>(w.size()) / batch;
        channels_ = static_cast<std::ptrdiff_t>(x.size()) / batch / tokens_;
        x_ = x.data();
        w_ = w.data();
    }
    template <class Where> results of(const Where& where) const {
        results r = *this;
        const std::ptrdiff_t clusters = tokens_ / 3;
        const auto view = tarn::make_view(x_, batch_, tokens_, channels_);
        const auto weights = tarn::make_view(w_, batch_, tokens_);
        const auto rows = [&](std::vector<T>& v) {
            v.resize(static_cast<std::size_t>(batch_ * clusters * channels_));
            return tarn::make_view(v.data(), batch_, clusters, channels_);
        };
        const auto plan = [&](indices& v) {
            v.resize(static_cast<std::size_t>(tarn::merge_plan_size(batch_, tokens_, clusters)));
            return tarn::make_merge_plan(v.data(), batch_, tokens_, clusters);
        };
        tarn::cluster_options o;
        o.clusters = clusters;
        tarn::merge_plan_view one = plan(r.means);
        tarn::weighted_k_means(where, view, weights, one, rows(r.centres), o);
        one = plan(r.medoids);
        tarn::weighted_k_medoids(where, view, weights, one, o);
        tarn::merge_plan any;
        tarn::cluster_pool(where, view, weights, any, rows(r.pooled), tarn::none, {clusters});
        return r;
    }
    // Sequence b alone.
    results alone(std::ptrdiff_t b) const {
        results r = *this;
        r.batch_ = 1;
        r.x_ += b * tokens_ * channels_;
        r.w_ += b * tokens_;
        return r;
    }
    // Whether assignments, centres and pooled tokens of b are those of a result of b alone.
    bool holds(const results& one, std::ptrdiff_t b) const {
        const auto part = [&](const auto& all, const auto& v, std::ptrdiff_t n) {
            return std::equal(v.begin(), v.begin() + n, all.begin() + b * n);
        };
        const auto n = static_cast<std::ptrdiff_t>(one.centres.size());
        return part(means, one.means, tokens_) && part(medoids, one.medoids, tokens_) &&
               part(centres, one.centres, n) && part(pooled, one.pooled, n);
    }
    bool operator==(const results& b) const {
        return means == b.means && medoids == b.medoids && centres == b.centres && pooled == b.pooled;
    }

private:
    std::ptrdiff_t batch_, tokens_, channels_;
    const T *x_, *w_;
};
template <class T> void expect_invariance(tarn::tier tier, bool on_every_tier) {
    const std::ptrdiff_t batch = 5;
    const std::ptrdiff_t tokens = thinned() ? 43 : 133;
    const std::ptrdiff_t channels = thinned() ? 70 : 150;
    std::vector<T> x = normal_logits<T>(batch * tokens * channels, 1, 0.2, 5);
    std::vector<T> w;
    random_bits random(6);
    for (std::ptrdiff_t t = 0; t < batch * tokens; ++t) {
        w.push_back(static_cast<T>(1 + random.below(100)) / 7);
        for (std::ptrdiff_t c = 0; c < channels && t % 3 == 0; ++c) // ties, and all but ties
            x[static_cast<std::size_t>(t * channels + c)] =
                x[static_cast<std::size_t>(t / 9 * 9 * channels + c)] *
                (t % 2 ? T(1) : T(1) + 2 * std::numeric_limits<T>::epsilon() * static_cast<T>(random.below(3)));
    }
    const results<T> problem(x, w, batch);
    const results<T> one = problem.of(tarn::on(tier));
    if (on_every_tier) {
        EXPECT_TRUE(one == problem.of(tarn::on(tarn::tier::sse2)));
    } else if (tier != tarn::tier::sse2) {
        EXPECT_TRUE(one == problem.of(tarn::on(tarn::tier::avx2)));
    }
    EXPECT_TRUE(one == problem.of(tarn::on(tier, tarn::serial, tarn::scratch{})));
    for (int threads = 2; threads <= 4; threads += 2) {
        const odd_threads executor{threads, 3};
        EXPECT_TRUE(one == problem.of(tarn::on(tier, executor))) << threads;
    }
    for (std::ptrdiff_t b = 0; b < batch; ++b)
        EXPECT_TRUE(one.holds(problem.alone(b).of(tarn::on(tier)), b)) << b;
}
TEST_P(token_cluster_resources, threads_batches_scratch_and_tiers) {
    expect_invariance<float>(GetParam(), true);
    expect_invariance<double>(GetParam(), false);
}

// No arithmetic meets or makes a denormal number, whatever the range of the data.
template <class T> void expect_no_denormal_numbers(tarn::tier tier) {
    constexpr int most = sizeof(T) == 4 ? 125 : 1000;
    for (const double scale : {1.0, 1e-30, 1e30}) {
        const std::ptrdiff_t tokens = 61;
        const std::ptrdiff_t channels = 45;
        std::vector<T> x = normal_logits<T>(tokens * channels, scale, 0, 8);
        random_bits random(4);
        for (T& v : x) {
            v = std::fabs(v) < T(1e-36) ? T(0) : v;
            if (random.below(4) == 0)
                v = static_cast<T>(std::ldexp(v >= 0 ? 1.0 : -1.0, static_cast<int>(random.below(2 * most)) - most));
        }
        std::vector<T> y(x.size()), w;
        for (std::ptrdiff_t t = 0; t < tokens; ++t)
            w.push_back(static_cast<T>(1 + random.below(100)));
        for (const std::ptrdiff_t clusters : {20, 40}) {
            tarn::merge_plan plan;
            tarn::cluster_options o;
            o.clusters = clusters;
            unsigned flags = 0;
            {
                const mxcsr_scope scope(_mm_getcsr() & ~all_flags);
                const auto in = tarn::make_view(x.data(), tokens, channels);
                const auto out = tarn::make_view(y.data(), clusters, channels);
                const auto none = tarn::on(tier, tarn::serial, tarn::scratch{});
                tarn::weighted_k_means(tarn::on(tier), in, w, plan, out, o);
                tarn::weighted_k_means(none, in, w, plan, out, o);
                tarn::weighted_k_medoids(tarn::on(tier), in, w, plan, o);
                tarn::cluster_pool(tarn::on(tier), in, w, plan, out, tarn::none, {clusters});
                flags = _mm_getcsr();
            }
            EXPECT_EQ(flags & (underflow | denormal_operand), 0u) << scale;
            for (const T v : y)
                EXPECT_FALSE(v != 0 && std::fabs(v) < std::numeric_limits<T>::min());
        }
    }
}
TEST_P(token_cluster_resources, no_denormal_numbers) {
    expect_no_denormal_numbers<float>(GetParam());
    expect_no_denormal_numbers<double>(GetParam());
}

class token_cluster_refusals : public refusal_test {};

TEST_F(token_cluster_refusals, operands) {
    using tarn::extents;
    using tarn::make_view;
    tarn::merge_plan plan;
    tarn::merge_plan_from(indices{0, 0}, 1, plan);
    tarn::cluster_options o;
    o.clusters = 3;
    const auto means = [&](auto input, auto weights, auto centres) {
        const std::string message = message_of([&] { tarn::weighted_k_means(input, weights, plan, centres, o); });
        EXPECT_EQ(plan_of(plan).assign, (indices{0, 0}));
        EXPECT_EQ(plan.slots(), 1);
        return message;
    };
    const auto x83 = in(extents{8, 3});
    const auto y33 = out(extents{3, 3});
    EXPECT_EQ(means(x83, tarn::none, out(extents{4, 3})),
              "tarn::weighted_k_means: centres extents {4,3}, expected {3,3}");
    EXPECT_EQ(means(x83, in(extents{7}), y33), "tarn::weighted_k_means: weights extents {7}, expected {8}");
    EXPECT_EQ(means(x83, tarn::none, make_view(x.data() + 3, 3, 3)),
              "tarn::weighted_k_means: centres overlaps the input, expected memory apart from the input");
    EXPECT_EQ(means(x83, make_view<const float>(y.data() + 2, 8), y33),
              "tarn::weighted_k_means: centres overlaps the weights, expected memory apart from the weights");
    EXPECT_EQ(means(x83, tarn::none, make_view(y.data(), extents{3, 3}, tarn::strides{0, 1})),
              "tarn::weighted_k_means: centres strides {0,1}, expected no stride of 0 along an extent above 1");
    o.clusters = 0;
    EXPECT_EQ(means(x83, tarn::none, y33), "tarn::weighted_k_means: clusters 0, expected at least 1");
    o.clusters = 3;
    o.iterations = -1;
    EXPECT_EQ(means(x83, tarn::none, y33), "tarn::weighted_k_means: iterations -1, expected at least 0");
    o.iterations = 5;
    const indices start = {0, 8, 1, 2, 3, -1};
    o.start = make_view(start.data(), 3);
    EXPECT_EQ(means(x83, tarn::none, y33), "tarn::weighted_k_means: start 8 of cluster 1, expected 0 to 7");
    o.start = make_view(start.data() + 3, 3);
    EXPECT_EQ(means(x83, tarn::none, y33), "tarn::weighted_k_means: start -1 of cluster 2, expected 0 to 7");
    o.start = make_view(start.data(), 2);
    EXPECT_EQ(means(x83, tarn::none, y33), "tarn::weighted_k_means: start extents {2}, expected {3}");
    o.start = make_view(start.data(), 2, 3);
    EXPECT_EQ(means(x83, tarn::none, y33), "tarn::weighted_k_means: start extents {2,3}, expected {3}");
    EXPECT_EQ(message_of([&] { tarn::weighted_k_medoids(x83, tarn::none, plan, o); }),
              "tarn::weighted_k_medoids: start extents {2,3}, expected {3}");
    EXPECT_EQ(means(in(extents{3, 8, 3}), tarn::none, out(extents{3, 3, 3})),
              "tarn::weighted_k_means: start extents {2,3}, expected {3,3}");
    o.start = {};
    indices memory(100);
    tarn::merge_plan_view small = tarn::make_merge_plan(memory.data(), 1, 8, 2);
    EXPECT_EQ(message_of([&] { tarn::weighted_k_means(x83, tarn::none, small, y33, o); }),
              "tarn::weighted_k_means: plan capacity 2, expected room for 3 slots");
    small = tarn::make_merge_plan(memory.data(), 1, 7, 3);
    EXPECT_EQ(message_of([&] { tarn::weighted_k_medoids(x83, tarn::none, small, o); }),
              "tarn::weighted_k_medoids: plan batch 1, tokens 7, expected 1 and 8");
    EXPECT_EQ(message_of([&] { tarn::cluster_pool(x83, in(extents{8}), plan, y33, make_view(y.data() + 9, 4), {3}); }),
              "tarn::cluster_pool: slot significance extents {4}, expected {3}");
    EXPECT_EQ(message_of([&] { tarn::cluster_pool(x83, in(extents{8}), plan, y33, make_view(y.data() + 8, 3), {3}); }),
              "tarn::cluster_pool: slot significance overlaps the output, expected memory apart from the output");
    EXPECT_EQ(message_of([&] { tarn::cluster_pool(x83, in(extents{8}), small, y33, tarn::none, {3}); }),
              "tarn::cluster_pool: plan batch 1, tokens 7, expected 1 and 8");
    EXPECT_EQ(memory, indices(100));
}

} // namespace
