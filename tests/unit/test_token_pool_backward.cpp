// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of token pooling against its formula in long double and against finite differences; stack and heap of
// both directions.
#include "support/allocations.hpp"
#include "support/rows.hpp"
#include "support/stack.hpp"
#include "support/token_pool.hpp"

#include <tarn/range.hpp>
#include <tarn/token_pool_backward.hpp>

namespace {

using namespace support;
using t = token_pooling;

class token_pool_backward : public tier_test {
protected:
    // Forward and backward of a problem with tokens before and after all sequences.
    template <class R> void check(const token_problem<R>& p, const tarn::token_poolings& m, bool with_index) {
        constexpr std::ptrdiff_t before = 3, after = 2;
        const std::ptrdiff_t s = p.sequences(), n = p.tokens() + before + after;
        const auto size = static_cast<std::size_t>(n * p.channels);
        const R nan = std::numeric_limits<R>::quiet_NaN();
        std::vector<R> x(size, nan), dx(size, R(-77)), w(static_cast<std::size_t>(n), nan),
            dw(static_cast<std::size_t>(n), R(-77));
        std::copy(p.x.begin(), p.x.end(), x.begin() + before * p.channels);
        std::copy(p.weights.begin(), p.weights.end(), w.begin() + before);
        const std::unique_ptr<bool[]> keep(new bool[static_cast<std::size_t>(n)]);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            keep[static_cast<std::size_t>(i)] = i < before || i >= n - after || p.keeps(i - before);
            for (std::ptrdiff_t c = 0; !keep[static_cast<std::size_t>(i)] && c < p.channels; ++c)
                x[static_cast<std::size_t>(i * p.channels + c)] = nan;
        }
        std::vector<std::int32_t> offsets;
        for (const std::ptrdiff_t v : p.offsets)
            offsets.push_back(static_cast<std::int32_t>(v + before));
        const auto dy = normal_logits<R>(s * m.count * p.channels, 1, 0, 21);
        bool weighted = false;
        int indexed = 0;
        for (int k = 0; k < m.count; ++k) {
            weighted = weighted || m.pooling[k] == t::weighted_mean;
            indexed += is_extreme(m.pooling[k]);
        }
        const tarn::optional_view<const bool> kept = tarn::make_view(static_cast<const bool*>(keep.get()), n);
        const tarn::optional_view<const R> weights = tarn::make_view(static_cast<const R*>(w.data()), n);
        tarn::token_pool_backward_options<R> o{m, kept, weights, {}};
        if (weighted)
            o.weight_gradient = dw;
        const auto gradient = tarn::make_view(dy.data(), s, m.count, p.channels);
        const auto xs = tarn::make_view(static_cast<const R*>(x.data()), n, p.channels);
        const auto to = tarn::make_view(dx.data(), n, p.channels);
        const auto where = tarn::on(GetParam());
        if (with_index && indexed > 0) {
            std::vector<std::int32_t> index(static_cast<std::size_t>(s * indexed * p.channels));
            const auto indices = tarn::make_view(index.data(), s, indexed, p.channels);
            std::vector<R> y(dy.size());
            tarn::token_pool(where, xs, offsets, tarn::make_view(y.data(), s, m.count, p.channels), indices,
                             tarn::token_pool_options<R>{m, kept, weights, 0});
            if (weighted)
                tarn::token_pool_backward(where, xs, offsets, indices, gradient, to, o);
            else
                tarn::token_pool_backward(where, tarn::none, offsets, indices, gradient, to, o);
        } else if (indexed > 0 || weighted) {
            tarn::token_pool_backward(where, xs, offsets, tarn::none, gradient, to, o);
        } else {
            tarn::token_pool_backward(where, tarn::none, offsets, tarn::none, gradient, to, o);
        }
        for (std::ptrdiff_t i = 0; i < n * p.channels; ++i) {
            if (i / p.channels < before || i / p.channels >= n - after) {
                ASSERT_EQ(dx[static_cast<std::size_t>(i)], 0) << i;
            }
        }
        constexpr long double unit = std::numeric_limits<R>::epsilon();
        for (std::ptrdiff_t q = 0; q < s; ++q) {
            const auto dy_of = [&](int k, std::ptrdiff_t c) {
                return static_cast<long double>(dy[static_cast<std::size_t>((q * m.count + k) * p.channels + c)]);
            };
            const auto tokens = p.kept(q);
            std::vector<std::vector<long double>> shares;
            std::vector<std::vector<std::ptrdiff_t>> places;
            std::vector<long double> means;
            for (std::ptrdiff_t c = 0; weighted && c < p.channels; ++c)
                means.push_back(p.exact(q, c, t::weighted_mean).value);
            for (int k = 0; k < m.count; ++k) {
                shares.push_back(is_extreme(m.pooling[k]) ? std::vector<long double>() : p.shares(q, m.pooling[k]));
                places.emplace_back();
                for (std::ptrdiff_t c = 0; is_extreme(m.pooling[k]) && c < p.channels; ++c)
                    places.back().push_back(p.exact(q, c, m.pooling[k]).token);
            }
            std::size_t rank = 0;
            for (std::ptrdiff_t i = p.begin(q); i < p.end(q); ++i) {
                const bool takes_part = p.keeps(i);
                for (std::ptrdiff_t c = 0; c < p.channels; ++c) {
                    long double e = 0, magnitude = 0;
                    for (int k = 0; takes_part && k < m.count; ++k) {
                        const auto kk = static_cast<std::size_t>(k);
                        const long double term = is_extreme(m.pooling[k])
                                                     ? (places[kk][static_cast<std::size_t>(c)] == i ? dy_of(k, c) : 0)
                                                     : shares[kk][rank] * dy_of(k, c);
                        e += term;
                        magnitude += std::fabs(term);
                    }
                    const R got = dx[static_cast<std::size_t>((i + before) * p.channels + c)];
                    const long double allowed = m.count == 1 ? (sizeof(R) == 4 ? 0.51L : 2.0L) : m.count + 1.0L;
                    ASSERT_LE(std::fabs(got - e), allowed * unit * magnitude)
                        << "sequence " << q << ", token " << i << ", channel " << c << " of " << p.channels << ": "
                        << got << ", expected " << static_cast<double>(e);
                }
                if (weighted) {
                    long double sum = 0, product = 0, mean = 0, magnitude = 0;
                    for (const std::ptrdiff_t j : tokens)
                        sum += static_cast<long double>(p.weights[static_cast<std::size_t>(j)]);
                    for (int k = 0; k < m.count; ++k) {
                        for (std::ptrdiff_t c = 0; m.pooling[k] == t::weighted_mean && c < p.channels; ++c) {
                            const long double y = means[static_cast<std::size_t>(c)];
                            product += static_cast<long double>(p.at(i, c)) * dy_of(k, c);
                            mean += y * dy_of(k, c);
                            magnitude += std::fabs(static_cast<long double>(p.at(i, c)) * dy_of(k, c)) +
                                         std::fabs(y * dy_of(k, c));
                        }
                    }
                    const long double e = takes_part && sum != 0 ? (product - mean) / sum : 0;
                    // Products of doubles are rounded, and their sums.
                    const auto terms = static_cast<long double>(p.channels) + static_cast<long double>(tokens.size());
                    const long double allowed = sizeof(R) == 4 ? 2 : 2 + terms;
                    ASSERT_LE(std::fabs(dw[static_cast<std::size_t>(i + before)] - e),
                              takes_part ? allowed * unit * magnitude / std::fabs(sum) : 0.0L)
                        << "weight " << i << " of sequence " << q;
                }
                rank += takes_part;
            }
        }
    }
    template <class R> void check_all(const token_problem<R>& p) {
        for (const t one : all_poolings) {
            check(p, one, true);
            check(p, one, false);
            if (HasFatalFailure())
                return;
        }
        check(p, {t::max, t::mean, t::min, t::cls, t::weighted_mean, t::last, t::max, t::position_weighted_mean}, true);
        check(p, {t::weighted_mean, t::min, t::weighted_mean, t::cls, t::sum}, false);
        check(p, {t::cls, t::sum, t::last, t::mean, t::cls}, false);
    }
};
TARN_TEST_ON_ALL_TIERS(token_pool_backward);

TEST_P(token_pool_backward, formula) {
    for (const std::ptrdiff_t channels : {1, 2, 15, 16, 17, 40, 250, 896, 1000, 2100}) {
        for (const bool masked : {false, true}) {
            const auto seed = static_cast<std::uint64_t>(channels);
            std::vector<std::ptrdiff_t> offsets{0, 0, 1, 3, 20, 20, 33, 50, 51, 70};
            check_all(token_problem<float>::of(offsets, channels, masked, seed));
            check_all(token_problem<double>::of(offsets, channels, masked, seed + 1));
            if (HasFatalFailure())
                return;
        }
    }
}

// More tokens than products are kept of.
TEST_P(token_pool_backward, many_tokens) {
    check(token_problem<float>::batch(2, 2500, 9, true, 22), {t::weighted_mean, t::max}, true);
    check(token_problem<double>::batch(2, 2500, 9, true, 23), {t::weighted_mean, t::max}, false);
    for (const t extreme : {t::max, t::min}) {
        check(token_problem<float>::batch(2, 300, 70, true, 24), {extreme}, false);
        check(token_problem<double>::batch(2, 300, 70, true, 25), {extreme}, false);
    }
}

TEST_P(token_pool_backward, weights_that_add_up_to_nothing) {
    auto p = token_problem<float>::batch(1, 4, 20, false, 24);
    p.weights = {1, -1, 2, -2};
    check(p, {t::weighted_mean, t::sum}, false);
}

TEST_P(token_pool_backward, finite_differences) {
    using problem = token_problem<double>;
    for (const t mode : all_poolings) {
        auto p = problem::batch(2, 7, 5, true, 25);
        const auto g = normal_logits<double>(10, 1, 0, 26);
        const auto loss = [&](const problem& q) {
            const auto y = pool(tarn::on(GetParam()), q, mode).y;
            double sum = 0;
            for (std::size_t i = 0; i < y.size(); ++i)
                sum += y[i] * g[i];
            return sum;
        };
        std::vector<double> dx(70), dw(14);
        tarn::token_pool_backward_options<double> o;
        o.modes = mode;
        o.keep = tarn::make_view(static_cast<const bool*>(p.keep.get()), 2, 7);
        o.weights = tarn::make_view(static_cast<const double*>(p.weights.data()), 2, 7);
        if (mode == t::weighted_mean)
            o.weight_gradient = tarn::make_view(dw.data(), 2, 7);
        tarn::token_pool_backward(tarn::on(GetParam()),
                                  tarn::make_view(static_cast<const double*>(p.x.data()), 2, 7, 5), tarn::none,
                                  tarn::make_view(g.data(), 2, 5), tarn::make_view(dx.data(), 2, 7, 5), o);
        const auto slope = [&](double& v) {
            const double at = v, h = 1e-5;
            v = at + h;
            const double up = loss(p);
            v = at - h;
            const double down = loss(p);
            v = at;
            return (up - down) / (2 * h);
        };
        for (std::size_t i = 0; i < 70; ++i)
            ASSERT_NEAR(dx[i], slope(p.x[i]), 1e-8) << static_cast<int>(mode) << ", number " << i;
        for (std::size_t i = 0; mode == t::weighted_mean && i < 14; ++i)
            ASSERT_NEAR(dw[i], slope(p.weights[i]), 1e-8) << "weight " << i;
    }
}

// x may become its own gradient.
TEST_P(token_pool_backward, in_place) {
    auto p = token_problem<float>::batch(3, 20, 1000, true, 27);
    const auto dy = normal_logits<float>(3 * 2 * 1000, 1, 0, 28);
    std::vector<float> dx(p.x.size()), dw(60), dw_in_place(60);
    tarn::token_pool_backward_options<float> o;
    o.modes = {t::max, t::weighted_mean};
    o.keep = tarn::make_view(static_cast<const bool*>(p.keep.get()), 3, 20);
    o.weights = tarn::make_view(static_cast<const float*>(p.weights.data()), 3, 20);
    o.weight_gradient = tarn::make_view(dw.data(), 3, 20);
    const auto gradient = tarn::make_view(dy.data(), 3, 2000);
    const auto x = tarn::make_view(p.x.data(), 3, 20, 1000);
    tarn::token_pool_backward(tarn::on(GetParam()), x, tarn::none, gradient, tarn::make_view(dx.data(), 3, 20, 1000),
                              o);
    o.weight_gradient = tarn::make_view(dw_in_place.data(), 3, 20);
    tarn::token_pool_backward(tarn::on(GetParam()), x, tarn::none, gradient, x, o);
    EXPECT_EQ("", difference(p.x.data(), dx.data(), static_cast<std::ptrdiff_t>(dx.size())));
    EXPECT_EQ(dw, dw_in_place);
}

TEST_P(token_pool_backward, stack_and_heap) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames and owns malloc";
    }
    const tarn::token_poolings m = {t::max, t::mean, t::min, t::weighted_mean, t::position_weighted_mean};
    for (const std::ptrdiff_t channels : {16, 1000, 9000}) {
        const auto p = token_problem<float>::batch(2, 20, channels, true, 29);
        std::vector<float> y(static_cast<std::size_t>(2 * 5 * channels)), dx(p.x.size()), dw(40);
        std::vector<int> index(static_cast<std::size_t>(2 * 2 * channels));
        const std::vector<tarn::bfloat16> h(p.x.begin(), p.x.end());
        std::vector<tarn::bfloat16> hy(y.size());
        tarn::token_pool_options<float> o;
        o.modes = m;
        o.weights = tarn::make_view(static_cast<const float*>(p.weights.data()), 2, 20);
        const auto all = [&] {
            const auto where = tarn::on(GetParam());
            const auto x = tarn::make_view(p.x.data(), 2, 20, channels);
            tarn::token_pool(where, x, tarn::make_view(y.data(), 2, 5, channels),
                             tarn::make_view(index.data(), 2, 2, channels), o);
            tarn::token_pool(where, tarn::make_view(h.data(), 2, 20, channels),
                             tarn::make_view(hy.data(), 2, 5, channels), o);
            tarn::token_pool_backward(
                where, x, tarn::none, tarn::make_view(y.data(), 2, 5, channels),
                tarn::make_view(dx.data(), 2, 20, channels),
                tarn::token_pool_backward_options<float>{m, {}, o.weights, tarn::make_view(dw.data(), 2, 20)});
        };
        EXPECT_LE(stack_of(all), 64 * 1024) << channels;
        EXPECT_EQ(allocations_in(all).all, 0) << channels;
    }
}

} // namespace
