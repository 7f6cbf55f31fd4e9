// SPDX-License-Identifier: BSD-3-Clause
//
// simd/exp2.hpp: the table, the remainder that is rounded once, and the masks that drop what is too small.
#include "support/mxcsr.hpp"
#include "support/packs.hpp"

#include <tarn/simd/exp2.hpp>

namespace {

using namespace support;
namespace simd = tarn::simd;
using traits = simd::exp2_traits<arch>;

// In the middle between the factors of the eight entries.
constexpr long double common_factor = 1.538261175725582588947L;

// The entries are 2^(j/8) times one factor, to 0.07 of half an ulp: the tuning that the accuracy rests on.
TEST(exp2_table, is_tuned) {
    for (int j = 0; j < 8; ++j) {
        const long double exact = common_factor * std::exp2(static_cast<long double>(j) / 8);
        const float entry = simd::kernel::exp2_entry(j);
        const long double half_ulp = std::ldexp(1.0L, std::ilogb(exact) - 24);
        EXPECT_LE(std::fabs(static_cast<long double>(entry) - exact), 0.07L * half_ulp) << j;
    }
}

// n in eighths, as the shifted grid carries it. Tiers without scalef apply the power of two with the entry or after it.
TEST(exp2_lookup, finds_the_entry_and_the_power_of_two) {
    const auto table = simd::exp2_table<arch>(1.0f);
    for (int eighths = -8 * 120; eighths <= 8 * 120; ++eighths) {
        const float n = static_cast<float>(eighths) / 8;
        const batch grid = batch(n + 1.5f * 0x1p20f);
        const int j = ((eighths % 8) + 8) % 8;
        batch entry = simd::exp2_lookup<arch>(table, grid);
        float expected = simd::kernel::exp2_entry(j);
        if constexpr (!traits::has_scalef) {
            entry = simd::exp2_apply<arch>(entry, grid);
            expected = std::ldexp(expected, (eighths - j) / 8);
        }
        for (const float v : array_of(entry))
            ASSERT_TRUE(same_bits(v, expected)) << n;
    }
}

// In every rounding mode: results elsewhere keep their sense in all of them.
TEST(exp2_floor, rounds_down_in_every_mode) {
    for (unsigned mode = 0; mode < 4; ++mode) {
        for (int eighths = -8 * 40; eighths <= 8 * 40; ++eighths) {
            const float n = static_cast<float>(eighths) / 8;
            batch_array result;
            {
                const mxcsr_scope scope(mode << rounding_shift);
                result = array_of(simd::exp2_floor<arch>(batch(n)));
            }
            for (const float v : result)
                ASSERT_EQ(v, std::floor(n)) << "mode " << mode;
        }
    }
}

// x * (high + low) - n to within 2^-27 of a sixteenth, although x * high alone is a thousand times coarser.
TEST(exp2_remainder, is_rounded_at_the_end_only) {
    random_bits random(1);
    long double worst = 0;
    for (int round = 0; round < 20000; ++round) {
        const double scale = std::ldexp(1.0 + static_cast<double>(random.next() >> 12) * 0x1p-52,
                                        static_cast<int>(random.below(20)) - 10);
        const auto high = static_cast<float>(scale);
        const auto low = static_cast<float>(scale - static_cast<double>(high));
        const float t = random_float(random, 5);
        const float x = t / high;
        const long double exact_t =
            static_cast<long double>(x) * (static_cast<long double>(high) + static_cast<long double>(low));
        const auto n = static_cast<float>(std::round(exact_t * 8) / 8);
        const long double exact = exact_t - static_cast<long double>(n);
        const auto r = array_of(simd::exp2_remainder<arch>(batch(x), batch(high), batch(low), batch(n)));
        for (const float v : r)
            worst = std::max(worst, std::fabs(static_cast<long double>(v) - exact));
    }
    EXPECT_LE(worst, 0x1p-28L);
}

constexpr float values[] = {-inf, -200.0f, -119.5f, -119.4375f, 0.0f, 100.0f, inf, qnan};

TEST(zero_where_le, keeps_what_is_greater_and_nan) {
    if constexpr (!traits::has_scalef) {
        for (const float x : values) {
            for (const float v : array_of(simd::zero_where_le<arch>(batch(3.0f), batch(x), batch(-119.4375f))))
                EXPECT_TRUE(same_bits(v, x <= -119.4375f ? 0.0f : 3.0f)) << x;
        }
    }
}

TEST(scale_where_gt, scales_what_is_greater_and_keeps_nan) {
    if constexpr (traits::has_scalef) {
        for (const float x : values) {
            const auto r =
                array_of(simd::scale_where_gt<arch>(batch(3.0f), batch(2.875f), batch(x), batch(-119.4375f)));
            for (const float v : r)
                EXPECT_TRUE(same_bits(v, x <= -119.4375f ? 0.0f : 12.0f)) << x;
        }
        for (const float v : array_of(simd::scale_where_gt<arch>(batch(qnan), batch(qnan), batch(qnan), batch(0.0f))))
            EXPECT_TRUE(std::isnan(v));
        for (const float v : array_of(simd::scale<arch>(batch(3.0f), batch(-2.125f))))
            EXPECT_EQ(v, 0.375f);
    } else {
        GTEST_SKIP() << "this tier has no scalef";
    }
}

} // namespace
