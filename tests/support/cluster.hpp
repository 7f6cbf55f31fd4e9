// SPDX-License-Identifier: BSD-3-Clause
//
// Clusters of tokens by their definition in long double, one step of an algorithm at a time: what follows from the
// clusters and centres that the library has found so far.
#pragma once

#include "support/merge.hpp"

#include <tarn/token_cluster.hpp>

namespace support {

// Tokens of all kinds, their weights, and what clusters begin with.
template <class T> struct cluster_problem {
    using N = number_of<T>;

    std::ptrdiff_t batch, tokens, channels, clusters;
    placed_rows<T> x;
    std::vector<N> weights;          // none: all 1
    std::vector<std::int32_t> start; // of every sequence; none: by weight

    static constexpr int kinds = 9;
    // Many ties, tokens that are not finite, all but equal ones, far away ones.
    cluster_problem(std::ptrdiff_t sequences, std::ptrdiff_t n, std::ptrdiff_t width, std::ptrdiff_t k, int layout,
                    int kind, random_bits& random)
        : batch(sequences), tokens(n), channels(width), clusters(k), x(sequences, n, width, layout) {
        constexpr N step = sizeof(T) == 2 ? N(0x1p-7) : std::numeric_limits<N>::epsilon();
        const double decades = kind != 8 || sizeof(T) == 2 ? 0 : sizeof(T) == 8 ? 250 : 30;
        const double scale = std::pow(10.0, random.below(2) ? decades : -decades);
        for (std::ptrdiff_t b = 0; b < batch; ++b) {
            for (std::ptrdiff_t t = 0; t < tokens; ++t) {
                const std::ptrdiff_t other = t == 0 ? 0 : random.below(kind == 1 ? std::min<std::ptrdiff_t>(t, 4) : t);
                const bool copied = t > 0 && ((kind == 1 && t >= 4) || (kind == 4 && random.below(4) != 0));
                const double far = kind == 6 && random.below(12) == 0 ? (sizeof(T) == 2 ? 3000.0 : 1e15) : 1;
                const bool zero = kind == 2 && random.below(3) == 0;
                for (std::ptrdiff_t c = 0; c < channels; ++c) {
                    const double offset = kind == 7 ? 100 : 0;
                    N v = static_cast<N>((random.normal() + offset) * scale * far);
                    if (copied)
                        v = static_cast<N>(x.at(b, other, c)) *
                            (1 + (kind == 4 ? step * static_cast<N>(random.below(2)) : N(0)));
                    x.at(b, t, c) = T(zero ? N(0) : v);
                }
                if (kind == 3 && channels > 0 && random.below(4) == 0)
                    x.at(b, t, random.below(channels)) =
                        T(random.below(2) ? std::numeric_limits<N>::quiet_NaN() : -std::numeric_limits<N>::infinity());
            }
        }
    }
    void add_weights(random_bits& random) {
        for (std::ptrdiff_t i = 0; i < batch * tokens; ++i) {
            const std::ptrdiff_t kind = random.below(12);
            weights.push_back(kind == 0   ? N(0)
                              : kind == 1 ? N(-2)
                              : kind == 2 ? std::numeric_limits<N>::quiet_NaN()
                              : kind == 3 ? std::numeric_limits<N>::infinity()
                                          : static_cast<N>(1 + random.below(5)) / 4);
        }
    }
    void add_start(random_bits& random) {
        for (std::ptrdiff_t i = 0; i < batch * clusters; ++i)
            start.push_back(static_cast<std::int32_t>(random.below(tokens)));
    }

    std::ptrdiff_t slots() const { return std::min(clusters, tokens); }
    long double weight(std::ptrdiff_t b, std::ptrdiff_t t) const {
        if (weights.empty())
            return 1;
        const N w = weights[static_cast<std::size_t>(b * tokens + t)];
        return w > 0 && std::isfinite(w) ? static_cast<long double>(w) : 0;
    }
    bool finite(std::ptrdiff_t b, std::ptrdiff_t t) {
        for (std::ptrdiff_t c = 0; c < channels; ++c) {
            if (!std::isfinite(static_cast<N>(x.at(b, t, c))))
                return false;
        }
        return true;
    }
    // The tokens that clusters begin with.
    std::vector<std::int32_t> first(std::ptrdiff_t b) {
        if (!start.empty() && clusters < tokens)
            return {start.begin() + b * clusters, start.begin() + (b + 1) * clusters};
        std::vector<std::int32_t> all(static_cast<std::size_t>(tokens));
        std::iota(all.begin(), all.end(), 0);
        if (clusters >= tokens)
            return all;
        std::stable_sort(all.begin(), all.end(), [&](std::int32_t i, std::int32_t j) {
            return finite(b, i) != finite(b, j) ? finite(b, i) : finite(b, i) && weight(b, i) > weight(b, j);
        });
        all.resize(static_cast<std::size_t>(slots()));
        return all;
    }
    // The cluster of tokens that are not finite.
    std::int32_t lost(std::ptrdiff_t b) {
        const std::vector<std::int32_t> tokens_of_start = first(b);
        for (std::size_t s = 0; s < tokens_of_start.size(); ++s) {
            if (!finite(b, tokens_of_start[s]))
                return static_cast<std::int32_t>(s);
        }
        return 0;
    }
    // Of a token and what row(c) is; NaN if one of them is not finite.
    template <class Row> long double distance(std::ptrdiff_t b, std::ptrdiff_t t, const Row& row) {
        long double sum = 0;
        for (std::ptrdiff_t c = 0; c < channels; ++c) {
            const long double d = exact(x.at(b, t, c)) - row(c);
            sum += d * d;
        }
        return std::isfinite(sum) ? sum : std::numeric_limits<long double>::quiet_NaN();
    }
    auto token(std::ptrdiff_t b, std::ptrdiff_t t) {
        return [this, b, t](std::ptrdiff_t c) { return exact(x.at(b, t, c)); };
    }
    // What roundings of two distances, or of two sums of so many, may make of their quotient.
    long double tolerance(std::ptrdiff_t terms = -2) const {
        return 1 + static_cast<long double>(channels + terms + 10) * 0x1p-52L;
    }

    // f(view of x, weights or none): x of rank 3, or of rank 2 if there is one sequence.
    template <class F> void with_operands(const F& f) {
        const auto weights_of = [&](auto tokens_view, auto weights_view) {
            if (weights.empty())
                f(tokens_view, tarn::none);
            else
                f(tokens_view, weights_view);
        };
        if (batch == 1)
            weights_of(x.first(), tarn::make_view(weights.data(), tokens));
        else
            weights_of(x.view(), tarn::make_view(weights.data(), batch, tokens));
    }
    tarn::cluster_options options(int iterations) const {
        tarn::cluster_options o;
        o.clusters = clusters;
        o.iterations = iterations;
        if (!start.empty() && batch == 1)
            o.start = tarn::make_view(start.data(), clusters);
        else if (!start.empty())
            o.start = tarn::make_view(start.data(), batch, clusters);
        return o;
    }
};

// Every token is with the nearest of the centres, the first of equal ones. row(s): a centre, as a function of c.
template <class T, class Row>
void expect_nearest(cluster_problem<T>& p, std::ptrdiff_t b, const plain_plan& plan, const Row& row) {
    const std::int32_t lost = p.lost(b);
    for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
        const std::int32_t got = plan.assign[static_cast<std::size_t>(t)];
        if (!p.finite(b, t)) {
            EXPECT_EQ(got, lost) << t;
            continue;
        }
        std::vector<long double> distance;
        for (std::ptrdiff_t s = 0; s < p.slots(); ++s)
            distance.push_back(p.distance(b, t, row(s)));
        long double least = std::numeric_limits<long double>::infinity();
        for (const long double d : distance)
            least = d < least ? d : least;
        ASSERT_GE(got, 0) << t;
        if (std::isinf(least)) {
            EXPECT_EQ(got, lost) << t;
            continue;
        }
        const long double of_got = distance[static_cast<std::size_t>(got)];
        EXPECT_LE(of_got, least * p.tolerance()) << "token " << t << " cluster " << got;
        for (std::int32_t s = 0; s < got; ++s) {
            bool same = true;
            for (std::ptrdiff_t c = 0; c < p.channels; ++c)
                same = same && row(s)(c) == row(got)(c);
            EXPECT_FALSE(same) << "token " << t << " cluster " << got << " instead of " << s;
        }
    }
}

// The tokens of a cluster that count for its centre.
template <class T>
std::vector<std::ptrdiff_t> members_of(cluster_problem<T>& p, std::ptrdiff_t b, const plain_plan& plan,
                                       std::ptrdiff_t s) {
    std::vector<std::ptrdiff_t> r;
    for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
        if (plan.assign[static_cast<std::size_t>(t)] == s && p.finite(b, t))
            r.push_back(t);
    }
    return r;
}

// Centres after those `before`, of the clusters of a plan: their means, or where they were. U: their type.
template <class U, class T, class Before, class After>
void expect_means(cluster_problem<T>& p, std::ptrdiff_t b, const plain_plan& plan, const Before& before,
                  const After& after) {
    using N = number_of<T>;
    for (std::ptrdiff_t s = 0; s < p.slots(); ++s) {
        const std::vector<std::ptrdiff_t> members = members_of(p, b, plan, s);
        long double total = 0;
        for (const std::ptrdiff_t t : members)
            total += p.weight(b, t);
        for (std::ptrdiff_t c = 0; c < p.channels; ++c) {
            long double mean = 0;
            long double magnitude = 0;
            for (const std::ptrdiff_t t : members) {
                mean += p.weight(b, t) * p.token(b, t)(c) / total;
                magnitude += std::fabs(p.weight(b, t) * p.token(b, t)(c) / total);
            }
            const long double got = after(s)(c);
            if (total == 0) {
                EXPECT_TRUE(got == before(s)(c) || (std::isnan(got) && std::isnan(before(s)(c)))) << s << ' ' << c;
                continue;
            }
            const long double bound = members.size() == 1
                                          ? 0
                                          : unit_of<U>(mean) * (sizeof(N) == 8 ? 1.01L : 0.501L) +
                                                std::ldexp(magnitude * static_cast<long double>(members.size()), -51) +
                                                (sizeof(U) == 2 ? std::ldexp(std::fabs(mean), -23) : 0);
            EXPECT_LE(std::fabs(got - mean), bound) << "cluster " << s << " channel " << c;
        }
    }
}

// Medoids after those `before`, of the clusters of a plan.
template <class T>
void expect_medoids(cluster_problem<T>& p, std::ptrdiff_t b, const plain_plan& plan,
                    const std::vector<std::int32_t>& before, const std::vector<std::int32_t>& after) {
    for (std::ptrdiff_t s = 0; s < p.slots(); ++s) {
        const auto at = static_cast<std::size_t>(s);
        const std::vector<std::ptrdiff_t> members = members_of(p, b, plan, s);
        long double total = 0;
        std::vector<long double> costs;
        for (const std::ptrdiff_t i : members) {
            total += p.weight(b, i);
            long double sum = 0;
            for (const std::ptrdiff_t j : members)
                sum += p.weight(b, j) * p.distance(b, i, p.token(b, j));
            costs.push_back(sum);
        }
        if (total == 0) {
            EXPECT_EQ(after[at], before[at]) << s;
            continue;
        }
        const auto found = std::find(members.begin(), members.end(), after[at]);
        ASSERT_NE(found, members.end()) << "medoid " << after[at] << " of cluster " << s;
        const long double cost = costs[static_cast<std::size_t>(found - members.begin())];
        EXPECT_LE(cost, *std::min_element(costs.begin(), costs.end()) * p.tolerance(p.tokens)) << s;
        EXPECT_EQ(std::find(costs.begin(), costs.end(), cost) - costs.begin(), found - members.begin()) << s;
    }
}

} // namespace support
