// SPDX-License-Identifier: BSD-3-Clause
//
// simd/float_powers.hpp against long double: every significand, and all remainders of a grid.
#include "support/packs.hpp"

#include <tarn/simd/float_powers.hpp>

#include <cmath>

namespace {

using namespace support;
namespace simd = tarn::simd;
using target = simd::tier_target<float>;
using floats = simd::numbers<target>;
constexpr int size = static_cast<int>(floats::size);

TEST(float_powers, log2) {
    alignas(64) float v[size], k[size], log[size];
    double worst = 0;
    for (int exponent : {-126, -1, 0, 127}) {
        for (int i = 0; i < (1 << 23); i += size) {
            for (int lane = 0; lane < size; ++lane)
                v[lane] = std::ldexp(1 + static_cast<float>(i + lane) * 0x1p-23f, exponent);
            floats whole;
            simd::log2_of<target>(floats::load_aligned(v), whole).store_aligned(log);
            whole.store_aligned(k);
            for (int lane = 0; lane < size; ++lane) {
                const double exact = std::log2(static_cast<double>(v[lane])) - static_cast<double>(k[lane]);
                worst = std::max(worst, std::fabs(static_cast<double>(log[lane]) - exact));
                ASSERT_LE(std::fabs(log[lane]), 0.5000001f) << v[lane];
            }
        }
    }
    EXPECT_LE(worst, std::exp2(simd::has_fused_fmadd<target> ? -24.8 : -23.9));
    std::printf("    worst 2^%.2f\n", std::log2(worst));
}

TEST(float_powers, exp2_slope) {
    alignas(64) float r[size], slope[size];
    double worst = 0;
    for (int i = -(1 << 22); i <= (1 << 22) - size; i += size) {
        for (int lane = 0; lane < size; ++lane)
            r[lane] = static_cast<float>(i + lane) * 0x1p-23f;
        simd::exp2_slope<target>(floats::load_aligned(r)).store_aligned(slope);
        for (int lane = 0; lane < size; ++lane) {
            const double exact = std::exp2(static_cast<double>(r[lane]));
            const double made = 1 + static_cast<double>(slope[lane]) * static_cast<double>(r[lane]);
            worst = std::max(worst, std::fabs(made / exact - 1));
        }
    }
    EXPECT_LE(worst, std::exp2(-24.4));
    std::printf("    worst 2^%.2f\n", std::log2(worst));
}

TEST(float_powers, powers_of_two) {
    using doubles = simd::doubles<target>;
    constexpr int half = static_cast<int>(doubles::size);
    alignas(64) float n[size];
    alignas(64) double power[size];
    for (int first = -1022; first <= 1023 - size + 1; ++first) {
        for (int lane = 0; lane < size; ++lane)
            n[lane] = static_cast<float>(first + lane);
        doubles low, high;
        simd::powers_of_two<target>(floats::load_aligned(n) + floats(1.5f * 0x1p23f), low, high);
        low.store_aligned(power);
        high.store_aligned(power + half);
        for (int lane = 0; lane < size; ++lane)
            ASSERT_EQ(power[lane], std::ldexp(1.0, first + lane));
    }
}

} // namespace
