// SPDX-License-Identifier: BSD-3-Clause
//
// Token pooling against long double: every pooling and all of them together, with masks, weights and offsets, and what
// it makes of special values.
#include "support/rows.hpp"
#include "support/token_pool.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// Sequences of 0, 1, 2, ... tokens, in no order.
std::vector<std::ptrdiff_t> uneven_offsets(std::ptrdiff_t sequences, std::ptrdiff_t most, std::uint64_t seed) {
    random_bits random(seed);
    std::vector<std::ptrdiff_t> r{0};
    for (std::ptrdiff_t i = 0; i < sequences; ++i)
        r.push_back(r.back() + random.below(most + 1));
    return r;
}

class token_pool : public tier_test {
protected:
    template <class R> void check(const token_problem<R>& p, const tarn::token_poolings& m, bool with_index) {
        const pooled<R> r = pool(tarn::on(GetParam()), p, m, with_index);
        for (std::ptrdiff_t s = 0; s < p.sequences(); ++s) {
            int indexed = 0;
            for (int k = 0; k < m.count; ++k) {
                for (std::ptrdiff_t c = 0; c < p.channels; ++c) {
                    const auto e = p.exact(s, c, m.pooling[k]);
                    const R y = r.y[static_cast<std::size_t>((s * m.count + k) * p.channels + c)];
                    ASSERT_EQ("", token_error(y, e, m.pooling[k], p.end(s) - p.begin(s)))
                        << "sequence " << s << " of " << p.end(s) - p.begin(s) << " tokens, pooling "
                        << static_cast<int>(m.pooling[k]) << ", channel " << c << " of " << p.channels;
                    if (with_index && is_extreme(m.pooling[k])) {
                        const std::ptrdiff_t columns = static_cast<std::ptrdiff_t>(r.index.size()) / p.sequences();
                        ASSERT_EQ(r.index[static_cast<std::size_t>(s * columns + indexed * p.channels + c)], e.token)
                            << "sequence " << s << ", channel " << c << " of " << p.channels;
                    }
                }
                indexed += is_extreme(m.pooling[k]);
            }
        }
    }
    template <class R> void check_all(const token_problem<R>& p) {
        for (const token_pooling one : all_poolings) {
            check(p, one, false);
            if (HasFatalFailure())
                return;
        }
        using t = token_pooling;
        check(p, {t::max, t::min}, true);
        check(p, {t::max}, true);
        check(p, {t::last, t::min, t::sum, t::mean, t::weighted_mean, t::position_weighted_mean, t::max, t::cls}, true);
        check(p, {t::mean_sqrt, t::max, t::mean, t::mean, t::min, t::max}, false);
    }
};
TARN_TEST_ON_ALL_TIERS(token_pool);

TEST_P(token_pool, few_tokens_and_channels) {
    for (std::ptrdiff_t channels = 1; channels <= 35; ++channels) {
        for (const bool masked : {false, true}) {
            const auto seed = static_cast<std::uint64_t>(channels);
            check_all(token_problem<float>::of(uneven_offsets(20, 18, seed), channels, masked, seed));
            check_all(token_problem<double>::of(uneven_offsets(20, 18, seed), channels, masked, seed));
            if (HasFatalFailure())
                return;
        }
    }
}

TEST_P(token_pool, many_tokens_and_channels) {
    for (const std::ptrdiff_t channels : {64, 127, 129, 255, 256, 257, 500, 768}) {
        for (const bool masked : {false, true}) {
            check_all(token_problem<float>::of(uneven_offsets(6, 150, 3), channels, masked, 4));
            check_all(token_problem<double>::of(uneven_offsets(6, 150, 5), channels, masked, 6));
            if (HasFatalFailure())
                return;
        }
    }
    // More channels than are worked on at once, and x that no cache holds.
    for (const std::ptrdiff_t channels : {4095, 8193, 9000})
        check_all(token_problem<float>::batch(2, 70, channels, true, 7));
}

// Sums in which nearly everything cancels, and of 70000 tokens.
TEST_P(token_pool, sums_are_rounded_once) {
    for (const double offset : {0.0, 1000.0, -1e6}) {
        check_all(token_problem<float>::batch(3, 300, 20, true, 8, 1e-3, offset));
        check_all(token_problem<double>::batch(3, 300, 20, true, 9, 1e-3, offset));
    }
    check_all(token_problem<float>::batch(1, 70000, 3, false, 10));
    auto p = token_problem<float>::batch(1, 4, 40, false, 11);
    for (std::ptrdiff_t c = 0; c < 40; ++c) {
        p.at(0, c) = 1e30f;
        p.at(1, c) = 1;
        p.at(2, c) = -1e30f;
        p.at(3, c) = static_cast<float>(c);
    }
    auto d = token_problem<double>::batch(1, 4, 40, false, 11);
    std::copy(p.x.begin(), p.x.end(), d.x.begin());
    const auto y = pool(tarn::on(GetParam()), d, token_pooling::sum).y;
    for (std::ptrdiff_t c = 0; c < 40; ++c)
        EXPECT_EQ(y[static_cast<std::size_t>(c)], static_cast<double>(c + 1));
}

// The same number of tokens wherever they lie: the same bits.
TEST_P(token_pool, padding_and_holes_do_not_show) {
    const auto bare = token_problem<float>::batch(1, 90, 100, false, 12);
    auto padded = token_problem<float>::batch(1, 300, 100, true, 13);
    std::fill(padded.x.begin(), padded.x.end(), nan);
    random_bits random(14);
    std::fill(padded.keep.get(), padded.keep.get() + 300, false);
    std::ptrdiff_t at = 5;
    for (std::ptrdiff_t i = 0; i < 90; ++i, at += 1 + (random.below(4) == 0 ? random.below(9) : 0)) {
        ASSERT_LT(at, 300);
        padded.keep[static_cast<std::size_t>(at)] = true;
        padded.weights[static_cast<std::size_t>(at)] = bare.weights[static_cast<std::size_t>(i)];
        for (std::ptrdiff_t c = 0; c < 100; ++c)
            padded.at(at, c) = bare.at(i, c);
    }
    for (const token_pooling p : all_poolings) {
        const auto a = pool(tarn::on(GetParam()), bare, p).y;
        const auto b = pool(tarn::on(GetParam()), padded, p).y;
        ASSERT_EQ("", difference(b.data(), a.data(), 100)) << static_cast<int>(p);
    }
}

// NaN at every token of groups and every channel, alone and with others.
TEST_P(token_pool, nan_in_every_place) {
    for (const std::ptrdiff_t channels : {1, 15, 16, 40}) {
        for (std::ptrdiff_t place = 0; place < 19; ++place) {
            auto p = token_problem<float>::batch(1, 19, channels, false, 15);
            auto d = token_problem<double>::batch(1, 19, channels, false, 15);
            for (std::ptrdiff_t c = 0; c < channels; c += 1 + c % 3) {
                for (std::ptrdiff_t i = place; i < 19; i += 7)
                    d.at(i, c) = p.at(i, c) = nan;
            }
            check_all(p);
            check_all(d);
            if (HasFatalFailure())
                return;
        }
    }
}

TEST_P(token_pool, special_values) {
    for (const float v : {inf, -inf, nan, 0.0f, -0.0f, 3.4e38f, -3.4e38f, 1e-39f}) {
        auto p = token_problem<float>::batch(3, 11, 37, true, 16);
        auto d = token_problem<double>::batch(3, 11, 37, true, 16);
        for (std::ptrdiff_t i = 0; i < 33; ++i) {
            for (std::ptrdiff_t c = 0; c < 37; c += 1 + i % 3)
                d.at(i, c) = p.at(i, c) = v;
            d.weights[static_cast<std::size_t>(i)] = p.weights[static_cast<std::size_t>(i)] = 1;
        }
        check_all(p);
        check_all(d);
    }
    // Ties: the first, and the sign of zeros with it.
    auto p = token_problem<float>::batch(1, 20, 40, false, 17);
    for (std::ptrdiff_t i = 0; i < 20; ++i) {
        for (std::ptrdiff_t c = 0; c < 40; ++c)
            p.at(i, c) = (i + c) % 3 == 0 ? -0.0f : 0.0f;
    }
    check_all(p);
    // inf - inf.
    p.at(3, 5) = inf;
    p.at(9, 5) = -inf;
    EXPECT_TRUE(std::isnan(pool(tarn::on(GetParam()), p, token_pooling::mean).y[5]));
}

TEST_P(token_pool, nothing_to_pool) {
    for (const float empty : {0.0f, -3.0f, nan}) {
        auto p = token_problem<float>::of({0, 0, 5, 5, 9}, 20, true, 18);
        std::fill(p.keep.get(), p.keep.get() + 9, false);
        p.empty_value = empty;
        check_all(p);
        // Weights that add up to nothing.
        p.keep.reset();
        for (std::size_t i = 0; i < 9; ++i)
            p.weights[i] = i % 2 ? 1.0f : -1.0f;
        p.weights[4] = 0;
        const auto y = pool(tarn::on(GetParam()), p, token_pooling::weighted_mean).y;
        for (const std::size_t s : {std::size_t{1}, std::size_t{3}}) {
            for (std::size_t c = 0; c < 20; ++c)
                ASSERT_EQ(bits_of(y[s * 20 + c]), bits_of(empty)) << s;
        }
    }
    float one = 7;
    std::int32_t index = 5;
    const auto none_of = [&](auto x, auto y) { tarn::token_pool(tarn::on(GetParam()), x, y, {token_pooling::max}); };
    // No tokens; no channels; no sequences.
    const float* nothing = nullptr;
    tarn::token_pool(tarn::on(GetParam()), tarn::make_view(nothing, 1, 0, 1), tarn::make_view(&one, 1, 1),
                     tarn::make_view(&index, 1, 1), {token_pooling::max});
    EXPECT_EQ(one, 0);
    EXPECT_EQ(index, -1);
    none_of(tarn::make_view(nothing, 3, 5, 0), tarn::make_view(static_cast<float*>(nullptr), 3, 0));
    none_of(tarn::make_view(nothing, 0, 5, 8), tarn::make_view(static_cast<float*>(nullptr), 0, 8));
}

} // namespace
