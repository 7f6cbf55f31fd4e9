// SPDX-License-Identifier: BSD-3-Clause
//
// simd/arithmetic.hpp: one rounding where there is a fused multiply-add and two where there is none, the order of
// operands of max and min for NaN, and products that vanish below a threshold.
#include "support/mxcsr.hpp"
#include "support/packs.hpp"

#include <tarn/simd/reduce.hpp>

namespace {

using namespace support;
namespace simd = tarn::simd;

// a * b in a variable that no compiler fuses away.
float rounded_product(float a, float b) {
    const volatile float p = a * b;
    return p;
}

TEST(fmadd, rounds_once_on_fma_tiers_and_twice_on_sse2) {
    random_bits random(1);
    int differ = 0;
    for (int round = 0; round < 20000; ++round) {
        const auto a = filled<batch_array>([&](std::size_t) { return random_float(random, 20); });
        const auto b = filled<batch_array>([&](std::size_t) { return random_float(random, 20); });
        const auto c = filled<batch_array>(
            [&](std::size_t i) { return round % 2 ? random_float(random, 20) : -rounded_product(a[i], b[i]); });
        const auto sum = array_of(simd::fmadd<arch>(batch_of(a), batch_of(b), batch_of(c)));
        const auto difference = array_of(simd::fmsub<arch>(batch_of(a), batch_of(b), batch_of(c)));
        for (std::size_t i = 0; i < sum.size(); ++i) {
            const float once = std::fma(a[i], b[i], c[i]);
            const float twice = rounded_product(a[i], b[i]) + c[i];
            ASSERT_EQ(sum[i], has_fma ? once : twice);
            ASSERT_EQ(difference[i], has_fma ? std::fma(a[i], b[i], -c[i]) : rounded_product(a[i], b[i]) - c[i]);
            differ += once != twice;
        }
    }
    EXPECT_GT(differ, 1000) << "the numbers do not tell one rounding from two";
}

constexpr float values[] = {0.0f, -0.0f, 1.0f, -1.0f, 3e38f, -3e38f, inf, -inf, qnan, 0x1p-126f, 0x1p-149f};

TEST(max_of, gives_the_second_operand_for_nan) {
    for (const float x : values) {
        for (const float otherwise : values) {
            const float expected_max = x > otherwise ? x : otherwise;
            const float expected_min = x < otherwise ? x : otherwise;
            for (const float v : array_of(simd::max_of<arch>(batch(x), batch(otherwise))))
                EXPECT_TRUE(same_bits(v, expected_max)) << x << " and " << otherwise;
            for (const float v : array_of(simd::min_of<arch>(batch(x), batch(otherwise))))
                EXPECT_TRUE(same_bits(v, expected_min)) << x << " and " << otherwise;
        }
    }
}

TEST(keep_where_ge, drops_what_is_below) {
    for (const float v : values) {
        for (const float threshold : values) {
            for (const float r : array_of(simd::keep_where_ge<arch>(batch(v), batch(threshold))))
                EXPECT_TRUE(same_bits(r, v >= threshold ? v : 0.0f)) << v << " against " << threshold;
        }
    }
}

// The product with 1 / d in two floats is the quotient, rounded once: at most the worst of a few million roundings is
// off.
TEST(mul_pair, rounds_once) {
    random_bits random(3);
    long double worst = 0;
    for (int round = 0; round < 20000; ++round) {
        const double factor = 1.0 / static_cast<double>(std::fabs(random_float(random, 20)));
        const auto high = static_cast<float>(factor * simd::below_one<arch>);
        const auto low = static_cast<float>(factor - static_cast<double>(high));
        const auto v = filled<batch_array>([&](std::size_t) { return random_float(random, 20); });
        const auto r = array_of(simd::mul_pair<arch>(batch_of(v), batch(high), batch(low)));
        for (std::size_t i = 0; i < r.size(); ++i) {
            const long double exact = static_cast<long double>(v[i]) * static_cast<long double>(factor);
            const long double ulp =
                std::fabs(static_cast<long double>(std::nextafter(r[i], inf)) - static_cast<long double>(r[i]));
            worst = std::max(worst, std::fabs(static_cast<long double>(r[i]) - exact) / ulp);
        }
    }
    EXPECT_LE(worst, 0.500001L);
}

TEST(mul_pair, a_number_over_itself_is_one) {
    random_bits random(4);
    for (int round = 0; round < 100000; ++round) {
        const float v = std::fabs(random_float(random, 30));
        const double inverse = 1.0 / static_cast<double>(v);
        const auto high = static_cast<float>(inverse * simd::below_one<arch>);
        const auto low = static_cast<float>(inverse - static_cast<double>(high));
        ASSERT_EQ(array_of(simd::mul_pair<arch>(batch(v), batch(high), batch(low)))[0], 1.0f) << v;
    }
}

} // namespace
