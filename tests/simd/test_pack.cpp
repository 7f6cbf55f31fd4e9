// SPDX-License-Identifier: BSD-3-Clause
//
// simd/pack.hpp: sixteen lanes in order on every tier, operators lane by lane, selections, and tests of all lanes.
#include "support/packs.hpp"

namespace {

using namespace support;
namespace simd = tarn::simd;

pack_array random_array(std::uint64_t seed) {
    random_bits random(seed);
    return filled<pack_array>([&](std::size_t) { return random_float(random, 30); });
}

TEST(pack, has_sixteen_lanes_in_order) {
    static_assert(pack::parts * pack::width == 16);
    float memory[20];
    for (int i = 0; i < 20; ++i)
        memory[i] = static_cast<float>(i);
    const auto v = array_of(simd::load<arch>(memory + 3));
    for (std::size_t i = 0; i < v.size(); ++i)
        EXPECT_EQ(v[i], static_cast<float>(i + 3));
    for (const float lane : array_of(simd::broadcast<arch>(2.5f)))
        EXPECT_EQ(lane, 2.5f);
}

TEST(pack, operators_work_lane_by_lane) {
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        const auto a = random_array(seed);
        const auto b = random_array(seed + 1000);
        const pack p = pack_of(a);
        const pack q = pack_of(b);
        const auto sum = array_of(p + q);
        const auto difference = array_of(p - q);
        const auto product = array_of(p * q);
        const auto quotient = array_of(p / q);
        const auto greater = array_of(simd::max_of<arch>(p, q));
        for (std::size_t i = 0; i < a.size(); ++i) {
            ASSERT_EQ(sum[i], a[i] + b[i]);
            ASSERT_EQ(difference[i], a[i] - b[i]);
            ASSERT_EQ(product[i], a[i] * b[i]);
            ASSERT_EQ(quotient[i], a[i] / b[i]);
            ASSERT_EQ(greater[i], std::max(a[i], b[i]));
        }
    }
}

TEST(pack, max_of_passes_over_nan_and_thresholds_use_every_lane) {
    for (std::size_t at = 0; at < 16; ++at) {
        auto x = random_array(at);
        x[at] = qnan;
        const auto m = array_of(simd::max_of<arch>(pack_of(x), simd::broadcast<arch>(-5.0f)));
        EXPECT_EQ(m[at], -5.0f);
        auto v = filled<pack_array>([](std::size_t) { return 1.0f; });
        auto threshold = v;
        auto factor = v;
        v[at] = 2.0f;
        threshold[at] = 1.5f;
        factor[at] = 3.0f;
        const auto scaled = [&] {
            const auto kept = simd::keep_where_ge<arch>(pack_of(v), pack_of(threshold));
            return array_of(simd::mul_pair<arch>(kept, pack_of(factor), simd::broadcast<arch>(0.0f)));
        };
        const auto r = scaled();
        threshold[at] = 2.5f;
        const auto dropped = scaled();
        for (std::size_t i = 0; i < 16; ++i) {
            EXPECT_EQ(r[i], i == at ? 6.0f : 1.0f);
            EXPECT_EQ(dropped[i], i == at ? 0.0f : 1.0f);
        }
    }
}

TEST(pack, selections) {
    const pack a = simd::broadcast<arch>(1.0f);
    const pack b = simd::broadcast<arch>(2.0f);
    for (const float v :
         {-3.0f, -2.0f, std::nextafter(-2.0f, 0.0f), 0.0f, -0.0f, std::nextafter(2.0f, 0.0f), 2.0f, inf, -inf, qnan}) {
        for (std::size_t at = 0; at < 16; ++at) {
            auto x = filled<pack_array>([](std::size_t) { return 0.5f; });
            x[at] = v;
            const auto between = array_of(simd::select_between<arch>(pack_of(x), -2.0f, 2.0f, a, b));
            const auto equal = array_of(simd::select_equal<arch>(pack_of(x), -inf, a, b));
            for (std::size_t i = 0; i < 16; ++i) {
                EXPECT_EQ(between[i], x[i] > -2.0f && x[i] < 2.0f ? 1.0f : 2.0f) << x[i];
                EXPECT_EQ(equal[i], x[i] == -inf ? 1.0f : 2.0f) << x[i];
            }
        }
    }
}

TEST(pack, all_within_looks_at_every_lane_and_refuses_nan) {
    for (const float v : {-1.0f, 1.0f, 0.0f})
        EXPECT_TRUE(simd::all_within<arch>(simd::broadcast<arch>(v), -1.0f, 1.0f));
    for (const float v : {std::nextafter(1.0f, 2.0f), std::nextafter(-1.0f, -2.0f), inf, -inf, qnan}) {
        for (std::size_t at = 0; at < 16; ++at) {
            auto x = filled<pack_array>([](std::size_t) { return 0.5f; });
            x[at] = v;
            EXPECT_FALSE(simd::all_within<arch>(pack_of(x), -1.0f, 1.0f)) << v << " in lane " << at;
        }
    }
}

} // namespace
