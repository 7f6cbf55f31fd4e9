// SPDX-License-Identifier: BSD-3-Clause
//
// simd/sums.hpp: the one order of additions (lanes i and i + 8, then i + 4, i + 2, i + 1), bit by bit against a plain
// model, alone and sixteen rows at a time.
#include "support/packs.hpp"

#include <tarn/simd/sums.hpp>

#include <cstring>

namespace {

using namespace support;
namespace simd = tarn::simd;
using double_pack = simd::double_pack<arch>;
using sums = simd::float_sums<arch>;
using doubles_array = std::array<double, 16>;

doubles_array array_of(const double_pack& v) {
    alignas(64) doubles_array a;
    v.store(a.data());
    return a;
}
double_pack double_pack_of(const doubles_array& values) {
    alignas(64) const doubles_array a = values;
    return double_pack::load(a.data());
}

// The order itself.
double model_total(doubles_array v) {
    for (std::size_t half = 8; half > 0; half /= 2) {
        for (std::size_t i = 0; i < half; ++i)
            v[i] += v[i + half];
    }
    return v[0];
}

// Doubles of very different sizes: another order gives other bits.
doubles_array random_doubles(random_bits& random) {
    doubles_array a;
    for (double& v : a)
        v = std::ldexp(1.0 + static_cast<double>(random.next() >> 12) * 0x1p-52,
                       static_cast<int>(random.below(60)) - 30);
    return a;
}

bool same(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TEST(double_pack, total_has_the_order) {
    random_bits random(1);
    int differ = 0;
    for (int round = 0; round < 5000; ++round) {
        const doubles_array a = random_doubles(random);
        ASSERT_TRUE(same(sums{double_pack_of(a)}.total(), model_total(a)));
        double plain = 0;
        for (const double v : a)
            plain += v;
        differ += plain != model_total(a);
    }
    EXPECT_GT(differ, 1000) << "the numbers do not tell orders apart";
}

TEST(double_pack, totals_of_sixteen_rows_have_the_bits_of_one) {
    random_bits random(2);
    for (int round = 0; round < 500; ++round) {
        doubles_array rows[16];
        alignas(64) double folded[16 * 8];
        simd::row_totals<arch, 16> totals;
        for (std::size_t r = 0; r < 16; ++r) {
            rows[r] = random_doubles(random);
            sums{double_pack_of(rows[r])}.store_folded(folded + 8 * r);
        }
        totals.assign_folded(folded);
        for (std::size_t r = 0; r < 16; ++r)
            ASSERT_TRUE(same(totals[static_cast<int>(r)], sums{double_pack_of(rows[r])}.total())) << "row " << r;
    }
}

TEST(double_pack, adds_lane_by_lane) {
    random_bits random(3);
    const auto a = filled<pack_array>([&](std::size_t) { return random_float(random, 30); });
    const auto b = filled<pack_array>([&](std::size_t) { return random_float(random, 30); });
    sums s = sums::zero();
    for (const double v : array_of(s.lane))
        EXPECT_TRUE(same(v, 0.0));
    s.add(support::pack_of(a));
    s.add(sums::of(support::pack_of(b)));
    const auto result = array_of(s.lane);
    for (std::size_t i = 0; i < 16; ++i)
        EXPECT_TRUE(same(result[i], static_cast<double>(a[i]) + static_cast<double>(b[i]))) << "lane " << i;
}

TEST(double_pack, rounds_once_to_float) {
    random_bits random(4);
    for (int round = 0; round < 2000; ++round) {
        const doubles_array a = random_doubles(random);
        const auto rounded = support::array_of(double_pack_of(a).to_numbers());
        pack high, low;
        simd::row_totals<arch, 16> totals;
        for (int i = 0; i < 16; ++i)
            totals.set(i, a[static_cast<std::size_t>(i)]);
        totals.divide(3.0, high, low);
        for (std::size_t i = 0; i < 16; ++i) {
            ASSERT_TRUE(same_bits(rounded[i], static_cast<float>(a[i])));
            const double quotient = 3.0 / a[i];
            const double parts[2] = {static_cast<double>(support::array_of(high)[i]),
                                     static_cast<double>(support::array_of(low)[i])};
            ASSERT_LE(std::fabs(parts[0] + parts[1] - quotient), 0x1p-46 * std::fabs(quotient));
            ASSERT_GE(std::fabs(parts[1]), 0x1p-24 * std::fabs(parts[0]));
            ASSERT_LE(std::fabs(parts[1]), 0x1p-22 * std::fabs(parts[0]));
        }
    }
}

TEST(greatest, finds_it_in_any_lane_and_of_sixteen_packs) {
    random_bits random(5);
    for (int round = 0; round < 300; ++round) {
        alignas(64) float packs[16 * lanes];
        float expected[16];
        for (int r = 0; r < 16; ++r) {
            for (int i = 0; i < lanes; ++i)
                packs[r * lanes + i] = round % 3 ? random_float(random, 30) : -inf;
            packs[r * lanes + random.below(lanes)] = random_float(random, 3);
            expected[r] = *std::max_element(packs + r * lanes, packs + (r + 1) * lanes);
            ASSERT_EQ(simd::greatest<arch>(simd::load<arch>(packs + r * lanes)), expected[r]);
        }
        const auto all = support::array_of(simd::greatests<arch>(packs));
        for (std::size_t r = 0; r < 16; ++r)
            ASSERT_EQ(all[r], expected[r]) << "pack " << r;
    }
}

} // namespace
