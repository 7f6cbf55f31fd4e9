// SPDX-License-Identifier: BSD-3-Clause
//
// Plans applied, undone and composed, against their definitions in long double.
#include "support/merge.hpp"
#include "support/oracle.hpp"

#include <tarn/half.hpp>
#include <tarn/range.hpp>

#include <cstring>

namespace {

using namespace support;
using tarn::merge_mode;
using indices = std::vector<std::int32_t>;

class merge_plan : public tier_test {};
TARN_TEST_ON_ALL_TIERS(merge_plan);

template <class T, class U> void expect_merged(tarn::tier tier, std::uint64_t seed) {
    using N = number_of<T>;
    random_bits random(seed);
    for (int round = 0; round < 60; ++round) {
        const std::ptrdiff_t batch = 1 + random.below(3);
        const std::ptrdiff_t tokens = random.below(40);
        const std::ptrdiff_t slots = random.below(tokens + 1);
        const std::ptrdiff_t channels = random.below(80);
        const int layout = static_cast<int>(random.below(4));
        indices assign;
        for (std::ptrdiff_t b = 0; b < batch; ++b) {
            const indices a = random_assignment(tokens, slots, random);
            assign.insert(assign.end(), a.begin(), a.end());
        }
        tarn::merge_plan plan;
        tarn::merge_plan_from(tarn::on(tier), tarn::make_view(assign.data(), batch, tokens), slots, plan);
        placed_rows<T> x(batch, tokens, channels, layout);
        std::vector<N> size(static_cast<std::size_t>(batch * tokens)),
            slot_size(static_cast<std::size_t>(batch * slots));
        for (N& s : size)
            s = random.below(9) == 0
                    ? N(0)
                    : static_cast<N>(random.below(9) == 0 ? -1.5 : 0.1 + static_cast<double>(random.below(100)));
        for (std::ptrdiff_t b = 0; b < batch; ++b)
            for (std::ptrdiff_t t = 0; t < tokens; ++t)
                for (std::ptrdiff_t c = 0; c < channels; ++c)
                    x.at(b, t, c) = T(static_cast<N>(random.normal()));
        for (const merge_mode mode : {merge_mode::mean, merge_mode::sum, merge_mode::max, merge_mode::prune}) {
            for (const bool sized : {false, true}) {
                placed_rows<U> y(batch, slots, channels, (layout + round) % 4);
                const auto where = tarn::on(tier);
                if (sized)
                    tarn::merge_apply(where, x.in(), tarn::make_view(size.data(), batch, tokens), plan, y.view(),
                                      tarn::make_view(slot_size.data(), batch, slots), {mode});
                else if (batch == 1)
                    tarn::merge_apply(where, x.first(), plan, y.first(), {mode});
                else
                    tarn::merge_apply(where, x.in(), plan, y.view(), {mode});
                EXPECT_EQ(y.untouched(), y.gaps());
                for (std::ptrdiff_t b = 0; b < batch; ++b) {
                    const plain_plan p = plan_of(plan, b);
                    const auto weight = [&](std::size_t t) {
                        return sized ? static_cast<long double>(size[static_cast<std::size_t>(b * tokens) + t]) : 1.0L;
                    };
                    for (std::int32_t s = 0; s < slots; ++s) {
                        long double total = 0;
                        std::ptrdiff_t members = 0;
                        for (std::size_t t = 0; t < p.assign.size(); ++t) {
                            total += p.assign[t] == s ? std::max(weight(t), 0.0L) : 0;
                            members += p.assign[t] == s;
                        }
                        if (sized) {
                            EXPECT_NEAR(slot_size[static_cast<std::size_t>(b * slots + s)], static_cast<double>(total),
                                        static_cast<double>(unit_of<N>(total)) * 0.501 *
                                            static_cast<double>(sizeof(N) == 8 ? members + 1 : 1));
                        }
                        for (std::ptrdiff_t c = 0; c < channels; ++c) {
                            const auto value = [&](std::size_t t) {
                                return exact(x.at(b, static_cast<std::ptrdiff_t>(t), c));
                            };
                            const plain_slot e = merged_slot(p, s, mode, value, weight);
                            const long double got = exact(y.at(b, s, c));
                            const bool by_token = mode == merge_mode::max || mode == merge_mode::prune ||
                                                  (members == 1 && mode == merge_mode::mean);
                            const long double bound =
                                by_token && std::is_same<T, U>::value
                                    ? 0
                                    : unit_of<U>(e.value) * (sizeof(N) == 8 ? 1.01L : 0.501L) +
                                          std::ldexp(e.magnitude * static_cast<long double>(members), -52) +
                                          (sizeof(U) == 2 ? std::ldexp(std::fabs(e.value), -23) : 0);
                            EXPECT_LE(std::fabs(got - e.value), bound)
                                << "round " << round << " mode " << static_cast<int>(mode) << " sized " << sized
                                << " slot " << s << " channel " << c << " members " << members << " seed " << seed;
                            if (testing::Test::HasFailure())
                                return;
                        }
                    }
                }
            }
        }
        // Undone.
        placed_rows<T> slots_in(batch, slots, channels, layout);
        for (std::ptrdiff_t b = 0; b < batch; ++b)
            for (std::ptrdiff_t s = 0; s < slots; ++s)
                for (std::ptrdiff_t c = 0; c < channels; ++c)
                    slots_in.at(b, s, c) = T(static_cast<N>(random.normal()));
        placed_rows<U> back(batch, tokens, channels, (layout + round + 1) % 4);
        tarn::merge_undo(tarn::on(tier), slots_in.in(), plan, back.view());
        EXPECT_EQ(back.untouched(), back.gaps());
        for (std::ptrdiff_t b = 0; b < batch; ++b) {
            for (std::ptrdiff_t t = 0; t < tokens; ++t) {
                const std::int32_t s = assign[static_cast<std::size_t>(b * tokens + t)];
                for (std::ptrdiff_t c = 0; c < channels; ++c)
                    EXPECT_EQ(exact(back.at(b, t, c)), s < 0 ? 0 : exact(slots_in.at(b, s, c)));
            }
        }
    }
}
TEST_P(merge_plan, floats) { expect_merged<float, float>(GetParam(), 1); }
TEST_P(merge_plan, doubles) { expect_merged<double, double>(GetParam(), 2); }
TEST_P(merge_plan, float16) { expect_merged<tarn::float16, tarn::float16>(GetParam(), 3); }
TEST_P(merge_plan, bfloat16) { expect_merged<tarn::bfloat16, tarn::bfloat16>(GetParam(), 4); }
TEST_P(merge_plan, float16_to_float) { expect_merged<tarn::float16, float>(GetParam(), 5); }
TEST_P(merge_plan, bfloat16_to_float) { expect_merged<tarn::bfloat16, float>(GetParam(), 6); }

// The published sums of rows, and sizes, of a weighted merge of the sample.
TEST_P(merge_plan, published_values) {
    const std::vector<double> x = sample_tokens();
    tarn::merge_plan plan;
    tarn::tome_options o;
    o.r = 3;
    tarn::tome_plan(tarn::on(GetParam()), tarn::make_view(x.data(), 12, 4), plan, o);
    std::vector<double> size(12), y(36), slot_size(9);
    std::iota(size.begin(), size.end(), 1.0);
    tarn::merge_apply(tarn::on(GetParam()), tarn::make_view(x.data(), 12, 4), size, plan,
                      tarn::make_view(y.data(), 9, 4), slot_size);
    const double sums[] = {1.357503490492, 0.200431292320, 1.172936063966, 0.472050587408, 1.222465790992,
                           0.113273298127, 0.799498211660, 1.914363514487, 4.180718145462};
    EXPECT_EQ(slot_size, (std::vector<double>{3, 9, 7, 2, 4, 11, 8, 11, 23}));
    for (std::size_t s = 0; s < 9; ++s)
        EXPECT_NEAR(y[4 * s] + y[4 * s + 1] + y[4 * s + 2] + y[4 * s + 3], sums[s], 1e-12) << s;
}

TEST_P(merge_plan, special_values) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float inf = std::numeric_limits<float>::infinity();
    // Slots: {0, 1, 2}, {3, 4}, {5}, {}; token 6 is dropped.
    const indices assign = {0, 0, 0, 1, 1, 2, -1};
    tarn::merge_plan plan;
    tarn::merge_plan_from(assign, 4, plan);
    const std::vector<float> x = {1,      nan,  -0.0f, // token 0
                                  3,      2,    0.0f,  // 1
                                  2,      5,    0.0f,  // 2
                                  inf,    -inf, 1,     // 3
                                  -inf,   -inf, nan,   // 4
                                  1e-42f, nan,  -0.0f, // 5
                                  nan,    nan,  nan};
    const auto run = [&](merge_mode mode, std::vector<float> size) {
        std::vector<float> y(12), total(4);
        if (size.empty())
            tarn::merge_apply(tarn::on(GetParam()), tarn::make_view(x.data(), 7, 3), plan,
                              tarn::make_view(y.data(), 4, 3), {mode});
        else
            tarn::merge_apply(tarn::on(GetParam()), tarn::make_view(x.data(), 7, 3), size, plan,
                              tarn::make_view(y.data(), 4, 3), total, {mode});
        return y;
    };
    const auto is = [](float a, float b) { return std::memcmp(&a, &b, 4) == 0 || (std::isnan(a) && std::isnan(b)); };
    const std::vector<float> greatest = run(merge_mode::max, {});
    const float expected_max[] = {3, nan, -0.0f, inf, -inf, nan, 1e-42f, nan, -0.0f, 0, 0, 0};
    const std::vector<float> mean = run(merge_mode::mean, {});
    const float expected_mean[] = {2, nan, 0, nan, -inf, nan, 1e-42f, nan, -0.0f, 0, 0, 0};
    const std::vector<float> sum = run(merge_mode::sum, {});
    const float expected_sum[] = {6, nan, 0, nan, -inf, nan, 1e-42f, nan, -0.0f, 0, 0, 0};
    const std::vector<float> prune = run(merge_mode::prune, {});
    const float expected_prune[] = {1, nan, -0.0f, inf, -inf, 1, 1e-42f, nan, -0.0f, 0, 0, 0};
    // Tokens without size, or with less, are not looked at.
    const std::vector<float> weighted = run(merge_mode::mean, {0, 1, 3, -1, 0, 4, 1});
    const float expected_weighted[] = {2.25f, 4.25f, 0, 0, 0, 0, 1e-42f, nan, -0.0f, 0, 0, 0};
    const std::vector<float> weighted_sum = run(merge_mode::sum, {0, 1, 3, -1, 2, 0, 1});
    const float expected_weighted_sum[] = {9, 17, 0, -inf, -inf, nan, 0, 0, 0, 0, 0, 0};
    for (std::size_t i = 0; i < 12; ++i) {
        EXPECT_TRUE(is(greatest[i], expected_max[i])) << i << ' ' << greatest[i];
        EXPECT_TRUE(is(mean[i], expected_mean[i])) << i << ' ' << mean[i];
        EXPECT_TRUE(is(sum[i], expected_sum[i])) << i << ' ' << sum[i];
        EXPECT_TRUE(is(prune[i], expected_prune[i])) << i << ' ' << prune[i];
        EXPECT_TRUE(is(weighted[i], expected_weighted[i])) << i << ' ' << weighted[i];
        EXPECT_TRUE(is(weighted_sum[i], expected_weighted_sum[i])) << i << ' ' << weighted_sum[i];
    }
    // An infinite size, and one that is NaN.
    const std::vector<float> infinite = run(merge_mode::mean, {inf, 1, 1, 1, 1, nan, 1});
    EXPECT_TRUE(std::isnan(infinite[0]));
    EXPECT_TRUE(std::isnan(infinite[6]));
}

TEST_P(merge_plan, composed) {
    random_bits random(8);
    for (int round = 0; round < 200; ++round) {
        const std::ptrdiff_t batch = 1 + random.below(2);
        const std::ptrdiff_t n = random.below(30);
        const std::ptrdiff_t m = random.below(n + 1);
        const std::ptrdiff_t k = random.below(m + 1);
        indices a, b;
        for (std::ptrdiff_t i = 0; i < batch; ++i) {
            for (const std::int32_t s : random_assignment(n, m, random))
                a.push_back(s);
            for (const std::int32_t s : random_assignment(m, k, random))
                b.push_back(s);
        }
        const auto where = tarn::on(GetParam());
        tarn::merge_plan first, second, both;
        tarn::merge_plan_from(where, tarn::make_view(a.data(), batch, n), m, first);
        tarn::merge_plan_from(where, tarn::make_view(b.data(), batch, m), k, second);
        tarn::merge_compose(where, first, second, both);
        for (std::ptrdiff_t i = 0; i < batch; ++i) {
            const plain_plan p = plan_of(both, i);
            const plain_plan p1 = plan_of(first, i);
            const plain_plan p2 = plan_of(second, i);
            ASSERT_EQ(p.slots, k);
            for (std::size_t t = 0; t < p.assign.size(); ++t)
                EXPECT_EQ(p.assign[t], p1.assign[t] < 0 ? -1 : p2.assign[static_cast<std::size_t>(p1.assign[t])]);
            for (std::size_t s = 0; s < p.rep.size(); ++s) {
                std::int32_t stands = p2.rep[s] < 0 ? -1 : p1.rep[static_cast<std::size_t>(p2.rep[s])];
                if (stands < 0) {
                    const auto any = std::find(p.assign.begin(), p.assign.end(), static_cast<std::int32_t>(s));
                    stands = any == p.assign.end() ? -1 : static_cast<std::int32_t>(any - p.assign.begin());
                }
                EXPECT_EQ(p.rep[s], stands);
            }
        }
        // What is composed may be applied.
        std::vector<float> x(static_cast<std::size_t>(batch * n), 1.0f), y(static_cast<std::size_t>(batch * k));
        tarn::merge_apply(where, tarn::make_view(x.data(), batch, n, 1), both, tarn::make_view(y.data(), batch, k, 1));
    }
}

} // namespace
