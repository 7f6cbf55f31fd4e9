// SPDX-License-Identifier: BSD-3-Clause
//
// simd/log.hpp against the long double logarithm, from the smallest r to sums of the longest rows.
#include "support/packs.hpp"

#include <tarn/simd/log.hpp>

#include <cmath>

namespace {

using namespace support;
namespace simd = tarn::simd;
namespace simd = tarn::simd;
using doubles = simd::doubles<arch>;

double of(double r) { return simd::log_of_one_plus<arch>(r); }

TEST(log_of_one_plus, is_within_four_units_of_2_52) {
    random_bits random(1);
    long double worst = 0;
    const auto check = [&](double r) {
        const long double exact = std::log1p(static_cast<long double>(r));
        const long double error = std::fabs(static_cast<long double>(of(r)) - exact) / exact;
        worst = std::max(worst, error);
        ASSERT_LE(error, 4 * 0x1p-53L) << r;
    };
    for (int round = 0; round < 200000; ++round) {
        const double r = std::ldexp(1.0 + static_cast<double>(random.next() >> 12) * 0x1p-52,
                                    static_cast<int>(random.below(150)) - 80);
        check(r);
    }
    for (const double edge : {0.40625, std::sqrt(2.0) - 1, 1.0, std::sqrt(8.0) - 1, 0x1p-300, 0x1p300}) {
        for (const double r : {std::nextafter(edge, 0.0), edge, std::nextafter(edge, 1e308)})
            check(r);
    }
    std::printf("    worst %.2Lf units of 2^-53\n", worst * 0x1p53L);
}

TEST(log_of_one_plus, zero_and_nan) {
    EXPECT_EQ(of(0.0), 0.0);
    EXPECT_FALSE(std::signbit(of(0.0)));
    EXPECT_TRUE(std::isnan(of(std::numeric_limits<double>::quiet_NaN())));
}

TEST(log_of_one_plus, packs_have_the_bits_of_single_numbers) {
    random_bits random(2);
    alignas(64) double r[16];
    alignas(64) double result[16];
    for (int round = 0; round < 1000; ++round) {
        for (double& v : r)
            v = std::ldexp(1.0 + static_cast<double>(random.next() >> 12) * 0x1p-52,
                           static_cast<int>(random.below(40)) - 20);
        simd::log_of_one_plus<arch>(simd::double_pack<arch>::load(r)).store(result);
        for (int i = 0; i < 16; ++i)
            ASSERT_EQ(result[i], of(r[i]));
    }
}

} // namespace
