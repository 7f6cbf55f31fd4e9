// SPDX-License-Identifier: BSD-3-Clause
//
// simd/arithmetic.hpp: one rounding where there is a fused multiply-add and two where there is none, the order of operands of
// max and min for NaN, and products that vanish below a threshold.
#include "support/mxcsr.hpp"
#include "support/packs.hpp"

#include <tarn/simd/arithmetic.hpp>

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
        const auto c = filled<batch_array>([&](std::size_t i) {
            return round % 2 ? random_float(random, 20) : -rounded_product(a[i], b[i]);
        });
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

TEST(mul_where_ge, drops_what_is_below) {
    for (const float v : values) {
        for (const float threshold : {0.0f, 0x1p-126f, 1.0f, -1.0f, inf, qnan}) {
            for (const float factor : {1.0f, 0.3f, -2.0f}) {
                const float expected = v >= threshold ? v * factor : 0.0f * std::fabs(factor);
                for (const float r : array_of(simd::mul_where_ge<arch>(batch(v), batch(threshold), batch(factor)))) {
                    EXPECT_EQ(r, expected) << v << " against " << threshold << " times " << factor;
                    if (!(v >= threshold) && factor > 0) {
                        EXPECT_EQ(bits_of(r), 0u);
                    }
                }
            }
        }
    }
}

// What is dropped raises no flag: no denormal product is formed.
TEST(mul_where_ge, forms_no_dropped_product) {
    const auto v = filled<batch_array>([](std::size_t i) { return i % 2 ? 0x1p-100f : 1.0f; });
    const batch low = batch(0x1p-90f);
    const batch factor = batch(0x1p-60f);
    const batch given = batch_of(v);
    unsigned flags = 0;
    batch result;
    {
        const mxcsr_scope clear(0);
        result = simd::mul_where_ge<arch>(given, low, factor);
        flags = _mm_getcsr() & (underflow | denormal_operand);
    }
    EXPECT_EQ(array_of(result)[0], 0x1p-60f);
    EXPECT_EQ(flags, 0u);
}

} // namespace
