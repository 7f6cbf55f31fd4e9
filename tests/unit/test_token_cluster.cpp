// SPDX-License-Identifier: BSD-3-Clause
//
// Clusters of tokens: published values, every step of the algorithms by its definition, and pooling by clusters.
#include "support/cluster.hpp"
#include "support/oracle.hpp"

#include <tarn/range.hpp>

#include <cstring>

namespace {

using namespace support;
using tarn::cluster_centre;
using indices = std::vector<std::int32_t>;

class token_cluster : public tier_test {};
TARN_TEST_ON_ALL_TIERS(token_cluster);

// Twelve tokens without close decisions, and what a float64 reference makes of them.
template <class R> void expect_published_values(tarn::tier tier) {
    const std::vector<double> sample = sample_tokens();
    const std::vector<R> x(sample.begin(), sample.end());
    std::vector<R> weights, centres(12);
    for (int i = 0; i < 12; ++i)
        weights.push_back(static_cast<R>(1 + 0.5 * std::cos(i)));
    const auto view = tarn::make_view(x.data(), 12, 4);
    tarn::merge_plan plan;
    tarn::cluster_options o;
    o.clusters = 3;
    const auto objective = [&](int iterations) {
        o.iterations = iterations;
        tarn::weighted_k_means(tarn::on(tier), view, weights, plan, tarn::make_view(centres.data(), 3, 4), o);
        double sum = 0;
        for (std::size_t t = 0; t < 12; ++t) {
            for (std::size_t c = 0; c < 4; ++c) {
                const auto s = static_cast<std::size_t>(plan.view().assign[t]);
                sum += static_cast<double>(weights[t]) *
                       std::pow(static_cast<double>(x[4 * t + c]) - static_cast<double>(centres[4 * s + c]), 2);
            }
        }
        return sum;
    };
    EXPECT_NEAR(objective(0), 21.382386745268, sizeof(R) == 8 ? 1e-11 : 1e-5);
    const std::size_t first[] = {0, 6, 7};
    for (std::size_t s = 0; s < 3; ++s)
        EXPECT_EQ(centres[4 * s], x[4 * first[s]]);
    EXPECT_NEAR(objective(5), 14.114594969545, sizeof(R) == 8 ? 1e-11 : 1e-5);
    EXPECT_EQ(plan_of(plan).assign, (indices{0, 0, 2, 1, 0, 0, 1, 2, 0, 0, 1, 1}));
    tarn::weighted_k_medoids(tarn::on(tier), view, weights, plan, o);
    EXPECT_EQ(plan_of(plan).assign, (indices{0, 0, 2, 1, 0, 0, 2, 2, 0, 0, 1, 1}));
    EXPECT_EQ(plan_of(plan).rep, (indices{0, 11, 7}));
    // The same from the start that the weights lead to.
    const indices start = {0, 6, 7};
    o.start = start;
    tarn::weighted_k_medoids(tarn::on(tier), view, weights, plan, o);
    EXPECT_EQ(plan_of(plan).rep, (indices{0, 11, 7}));
}
TEST_P(token_cluster, published_values) {
    expect_published_values<float>(GetParam());
    expect_published_values<double>(GetParam());
}

// f(problem, name) for problems of all kinds, sizes and layouts.
template <class T, class F> void each_problem(int rounds, std::uint64_t seed, const F& f) {
    random_bits random(seed);
    for (int round = 0; round < (thinned() ? rounds / 3 : rounds) && !testing::Test::HasFailure(); ++round) {
        const int kind = round % cluster_problem<T>::kinds;
        const std::ptrdiff_t tokens = round < 3 ? round : 1 + random.below(round % 4 == 0 ? 90 : 40);
        const std::ptrdiff_t clusters = 1 + random.below(tokens + 2);
        const std::ptrdiff_t channels = kind == 5 ? random.below(3) : 1 + random.below(round % 3 == 0 ? 200 : 40);
        cluster_problem<T> p(1 + random.below(3), tokens, channels, clusters, static_cast<int>(random.below(4)), kind,
                             random);
        if (random.below(3) != 0)
            p.add_weights(random);
        if (random.below(3) == 0 && tokens > 0)
            p.add_start(random);
        SCOPED_TRACE("round " + std::to_string(round) + " kind " + std::to_string(kind) + " batch " +
                     std::to_string(p.batch) + " tokens " + std::to_string(tokens) + " clusters " +
                     std::to_string(clusters) + " channels " + std::to_string(channels) +
                     (p.weights.empty() ? "" : " weights") + (p.start.empty() ? "" : " start"));
        f(p);
    }
}

// What a call with so many iterations leaves; a call with one more goes on from there.
template <class T, class U> struct means_found {
    tarn::merge_plan plan;
    placed_rows<U> centres;

    means_found(cluster_problem<T>& p, tarn::tier tier, int iterations, int layout, bool has_scratch = true)
        : centres(p.batch, p.slots(), p.channels, layout) {
        const auto where = has_scratch ? tarn::on(tier, tarn::serial) : tarn::on(tier, tarn::serial, tarn::scratch{});
        p.with_operands([&](auto x, auto weights) {
            if constexpr (decltype(x)::rank == 2)
                tarn::weighted_k_means(where, x, weights, plan, centres.first(), p.options(iterations));
            else
                tarn::weighted_k_means(where, x, weights, plan, centres.view(), p.options(iterations));
        });
        EXPECT_EQ(centres.untouched(), centres.gaps());
    }
    auto rows(std::ptrdiff_t b) {
        return [this, b](std::ptrdiff_t s) {
            return [this, b, s](std::ptrdiff_t c) { return exact(centres.at(b, s, c)); };
        };
    }
};

template <class T, class U> void expect_k_means(tarn::tier tier, int rounds) {
    each_problem<T>(rounds, 11, [&](cluster_problem<T>& p) {
        const int layout = static_cast<int>(p.tokens % 4);
        for (int i = 0; i < 4 && !testing::Test::HasFailure(); ++i) {
            means_found<T, U> now(p, tier, i, layout);
            means_found<T, U> without_scratch(p, tier, i, layout, false);
            means_found<T, U> next(p, tier, i + 1, layout);
            for (std::ptrdiff_t b = 0; b < p.batch; ++b) {
                const plain_plan plan = plan_of(now.plan, b);
                expect_same(plan_of(without_scratch.plan, b), plan);
                ASSERT_EQ(plan.slots, p.slots());
                for (std::ptrdiff_t s = 0; s < p.slots(); ++s) {
                    const auto first = std::find(plan.assign.begin(), plan.assign.end(), static_cast<std::int32_t>(s));
                    EXPECT_EQ(plan.rep[static_cast<std::size_t>(s)],
                              first == plan.assign.end() ? -1 : first - plan.assign.begin());
                    for (std::ptrdiff_t c = 0; c < p.channels && i == 0; ++c) {
                        const long double token = p.token(b, p.first(b)[static_cast<std::size_t>(s)])(c);
                        const long double centre = now.rows(b)(s)(c);
                        EXPECT_TRUE(centre == token || (std::isnan(centre) && std::isnan(token))) << s;
                    }
                }
                if (p.clusters >= p.tokens) {
                    for (std::size_t t = 0; t < plan.assign.size(); ++t)
                        EXPECT_EQ(plan.assign[t], static_cast<std::int32_t>(t));
                    continue;
                }
                expect_nearest(p, b, plan, now.rows(b));
                expect_means<U>(p, b, plan, now.rows(b), next.rows(b));
            }
        }
    });
}
TEST_P(token_cluster, k_means_of_floats) { expect_k_means<float, float>(GetParam(), 80); }
TEST_P(token_cluster, k_means_of_doubles) { expect_k_means<double, double>(GetParam(), 45); }
TEST_P(token_cluster, k_means_of_halves) {
    expect_k_means<tarn::bfloat16, float>(GetParam(), 27);
    expect_k_means<tarn::float16, tarn::float16>(GetParam(), 27);
}

template <class T> void expect_k_medoids(tarn::tier tier, int rounds) {
    each_problem<T>(rounds, 12, [&](cluster_problem<T>& p) {
        const auto found = [&](int iterations, bool has_scratch) {
            tarn::merge_plan plan;
            const auto where =
                has_scratch ? tarn::on(tier, tarn::serial) : tarn::on(tier, tarn::serial, tarn::scratch{});
            p.with_operands([&](auto x, auto weights) {
                tarn::weighted_k_medoids(where, x, weights, plan, p.options(iterations));
            });
            return plan;
        };
        std::vector<indices> medoids;
        for (std::ptrdiff_t b = 0; b < p.batch; ++b)
            medoids.push_back(p.first(b));
        for (int i = 0; i < 4 && !testing::Test::HasFailure(); ++i) {
            const tarn::merge_plan now = found(i, true);
            const tarn::merge_plan without_scratch = found(i, false);
            const tarn::merge_plan next = found(i + 1, true);
            for (std::ptrdiff_t b = 0; b < p.batch; ++b) {
                const plain_plan plan = plan_of(now, b);
                expect_same(plan_of(without_scratch, b), plan);
                indices& medoid = medoids[static_cast<std::size_t>(b)];
                // A cluster whose medoid is elsewhere has no tokens.
                for (std::size_t s = 0; s < medoid.size(); ++s) {
                    const auto slot = static_cast<std::int32_t>(s);
                    const bool own = plan.assign[static_cast<std::size_t>(medoid[s])] == slot;
                    EXPECT_EQ(plan.rep[s], own ? medoid[s] : -1) << s;
                    EXPECT_EQ(std::count(plan.assign.begin(), plan.assign.end(), slot) > 0, own) << s;
                }
                if (p.clusters >= p.tokens)
                    continue;
                expect_nearest(p, b, plan,
                               [&](std::ptrdiff_t s) { return p.token(b, medoid[static_cast<std::size_t>(s)]); });
                indices after = medoid;
                const plain_plan then = plan_of(next, b);
                for (std::size_t s = 0; s < after.size(); ++s)
                    after[s] = then.rep[s] < 0 ? after[s] : then.rep[s];
                expect_medoids(p, b, plan, medoid, after);
                medoid = after;
            }
        }
    });
}
TEST_P(token_cluster, k_medoids_of_floats) { expect_k_medoids<float>(GetParam(), 54); }
TEST_P(token_cluster, k_medoids_of_doubles) { expect_k_medoids<double>(GetParam(), 36); }
TEST_P(token_cluster, k_medoids_of_halves) { expect_k_medoids<tarn::float16>(GetParam(), 27); }

// Equal tokens go to the first cluster, and the others keep where they were.
TEST_P(token_cluster, equal_tokens) {
    const std::vector<float> x(6 * 5, 1.5f);
    std::vector<float> centres(4 * 5);
    tarn::merge_plan plan;
    tarn::cluster_options o;
    o.clusters = 4;
    tarn::weighted_k_means(tarn::on(GetParam()), tarn::make_view(x.data(), 6, 5), tarn::none, plan,
                           tarn::make_view(centres.data(), 4, 5), o);
    EXPECT_EQ(plan_of(plan).assign, indices(6, 0));
    EXPECT_EQ(plan_of(plan).rep, (indices{0, -1, -1, -1}));
    EXPECT_EQ(centres, std::vector<float>(20, 1.5f));
    tarn::weighted_k_medoids(tarn::on(GetParam()), tarn::make_view(x.data(), 6, 5), tarn::none, plan, o);
    EXPECT_EQ(plan_of(plan).rep, (indices{0, -1, -1, -1}));
}

// A plan may begin with what stands for the slots of the one that it replaces.
TEST_P(token_cluster, start_of_the_plan_itself) {
    const std::vector<float> x = normal_logits<float>(40 * 7, 1, 0, 3);
    const auto view = tarn::make_view(x.data(), 40, 7);
    tarn::merge_plan once, twice;
    tarn::cluster_options o;
    o.clusters = 9;
    o.iterations = 1;
    tarn::weighted_k_medoids(tarn::on(GetParam()), view, tarn::none, twice, o);
    o.start = tarn::make_view(twice.view().rep, 9);
    tarn::weighted_k_medoids(tarn::on(GetParam()), view, tarn::none, twice, o);
    o.start = {};
    o.iterations = 2;
    tarn::weighted_k_medoids(tarn::on(GetParam()), view, tarn::none, once, o);
    expect_same(plan_of(twice), plan_of(once));
}

// Pooling is clusters, then their means or medoids.
template <class T, class U> void expect_pooled(tarn::tier tier) {
    using N = number_of<T>;
    each_problem<T>(27, 13, [&](cluster_problem<T>& p) {
        p.start.clear();
        for (const auto centre : {cluster_centre::mean, cluster_centre::medoid}) {
            tarn::cluster_pool_options o;
            o.clusters = p.clusters;
            o.iterations = 3;
            o.centre = centre;
            const bool means = centre == cluster_centre::mean;
            placed_rows<U> y(p.batch, p.slots(), p.channels, 1), expected(p.batch, p.slots(), p.channels, 2);
            std::vector<N> totals(static_cast<std::size_t>(p.batch * p.slots())), expected_totals(totals.size());
            tarn::merge_plan plan, clusters;
            const auto where = tarn::on(tier);
            p.with_operands([&](auto x, auto weights) {
                const auto rows = [&](placed_rows<U>& of) {
                    if constexpr (decltype(x)::rank == 2)
                        return of.first();
                    else
                        return of.view();
                };
                const auto sums = [&](std::vector<N>& of) {
                    if constexpr (decltype(x)::rank == 2)
                        return tarn::make_view(of.data(), p.slots());
                    else
                        return tarn::make_view(of.data(), p.batch, p.slots());
                };
                if (means)
                    tarn::weighted_k_means(where, x, weights, clusters, rows(expected), p.options(3));
                else
                    tarn::weighted_k_medoids(where, x, weights, clusters, p.options(3));
                const tarn::merge_options merge = {means ? tarn::merge_mode::mean : tarn::merge_mode::prune};
                if constexpr (std::is_same<decltype(weights), tarn::none_type>::value) {
                    tarn::cluster_pool(where, x, tarn::none, plan, rows(y), tarn::none, o);
                    tarn::merge_apply(where, x, clusters, rows(expected), merge);
                } else {
                    tarn::cluster_pool(where, x, weights, plan, rows(y), tarn::none, o);
                    tarn::merge_apply(where, x, weights, clusters, rows(expected), sums(expected_totals), merge);
                    placed_rows<U> again(p.batch, p.slots(), p.channels, 1);
                    tarn::cluster_pool(where, x, weights, plan, rows(again), sums(totals), o);
                    EXPECT_EQ(std::memcmp(again.memory.data(), y.memory.data(), y.memory.size() * sizeof(U)), 0);
                }
            });
            EXPECT_TRUE(totals.empty() ||
                        std::memcmp(totals.data(), expected_totals.data(), totals.size() * sizeof(N)) == 0);
            EXPECT_EQ(y.untouched(), y.gaps());
            for (std::ptrdiff_t b = 0; b < p.batch; ++b) {
                expect_same(plan_of(plan, b), plan_of(clusters, b));
                for (std::ptrdiff_t s = 0; s < p.slots(); ++s) {
                    for (std::ptrdiff_t c = 0; c < p.channels; ++c)
                        EXPECT_EQ(std::memcmp(&y.at(b, s, c), &expected.at(b, s, c), sizeof(U)), 0) << s << ' ' << c;
                }
            }
        }
    });
}
TEST_P(token_cluster, pooled) {
    expect_pooled<float, float>(GetParam());
    expect_pooled<tarn::float16, float>(GetParam());
    expect_pooled<tarn::bfloat16, tarn::bfloat16>(GetParam());
}

// The gradient of pooling is that of merge_apply with its plan.
TEST_P(token_cluster, gradient_of_pooling) {
    const std::ptrdiff_t tokens = 20;
    const std::ptrdiff_t channels = 6;
    std::vector<double> x = normal_logits<double>(tokens * channels, 1, 0, 4);
    std::vector<double> w, dy = normal_logits<double>(5 * channels, 1, 0, 5);
    for (std::ptrdiff_t t = 0; t < tokens; ++t)
        w.push_back(1 + 0.05 * static_cast<double>(t * 7 % 20));
    tarn::cluster_pool_options o;
    o.clusters = 5;
    tarn::merge_plan plan;
    std::vector<double> y(dy.size()), totals(5), dx(x.size()), dw(w.size());
    const auto view = [&](auto& v) { return tarn::make_view(v.data(), v.size() == x.size() ? tokens : 5, channels); };
    const auto loss = [&] {
        tarn::cluster_pool(tarn::on(GetParam()), view(x), w, plan, view(y), totals, o);
        return std::inner_product(y.begin(), y.end(), dy.begin(), 0.0);
    };
    loss();
    tarn::merge_apply_backward(tarn::on(GetParam()), view(x), w, plan, view(y), view(dy), view(dx), dw);
    const indices assign = plan_of(plan).assign;
    const auto slope = [&](double& v) {
        const double before = v;
        v = before + 1e-5;
        const double above = loss();
        v = before - 1e-5;
        const double below = loss();
        v = before;
        EXPECT_EQ(plan_of(plan).assign, assign);
        return (above - below) / 2e-5;
    };
    for (std::size_t i = 0; i < x.size(); ++i)
        EXPECT_NEAR(slope(x[i]), dx[i], 1e-8) << i;
    for (std::size_t i = 0; i < w.size(); ++i)
        EXPECT_NEAR(slope(w[i]), dw[i], 1e-8) << i;
}

} // namespace
