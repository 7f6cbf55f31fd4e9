// SPDX-License-Identifier: BSD-3-Clause
//
// simd/roots.hpp against roots in long double, over all exponents.
#include "support/packs.hpp"

#include <tarn/simd/roots.hpp>

#include <cmath>

namespace {

using namespace support;
namespace simd = tarn::simd;
using target = simd::tier_target<double>;
using doubles = simd::numbers<target>;

template <class Numbers> auto first(const Numbers& v) {
    alignas(64) typename Numbers::value_type lane[Numbers::size];
    v.store_aligned(lane);
    for (auto other : lane)
        EXPECT_EQ(other, lane[0]);
    return lane[0];
}

TEST(roots, cube_root_is_within_2_to_the_minus_40) {
    random_bits random(1);
    long double worst = 0;
    const auto check = [&](double v) {
        const long double exact = std::cbrt(static_cast<long double>(v));
        const long double error =
            std::fabs(static_cast<long double>(first(simd::cube_root<target>(doubles(v)))) - exact);
        worst = std::max(worst, error / exact);
        ASSERT_LE(error, 0x1p-40L * exact) << v;
    };
    for (int exponent = -1022; exponent < 1024; ++exponent) {
        for (double m : {1.0, 1.25, std::sqrt(2.0), std::nextafter(std::sqrt(2.0), 0.0), 1.75, std::nextafter(2.0, 0.0),
                         1.0 + static_cast<double>(random.next() >> 12) * 0x1p-52})
            check(std::ldexp(m, exponent));
    }
    for (int i = 0; i <= 100000; ++i)
        check(std::exp2(-0.5 + i * 1e-5));
    std::printf("    worst 2^%.2Lf\n", std::log2(worst));
}

// Of exponents from low to high - 1. Significands: how long they are.
template <class T> void check_inverse_cube_roots(int low, int high, int significand) {
    using A = simd::tier_target<T>;
    random_bits random(3);
    long double worst = 0;
    const auto check = [&](T v) {
        const long double exact = 1 / std::cbrt(static_cast<long double>(v));
        const auto root = static_cast<long double>(first(simd::inverse_cube_root<A>(simd::numbers<A>(v))));
        const long double error = std::fabs(root - exact) / std::ldexp(1.0L, std::ilogb(exact) + 1 - significand);
        worst = std::max(worst, error);
        ASSERT_LE(error, 2.5L) << v;
    };
    for (int exponent = low; exponent < high; ++exponent) {
        for (double m : {1.0, 1.25, std::sqrt(2.0), std::nextafter(std::sqrt(2.0), 0.0), 1.75})
            check(static_cast<T>(std::ldexp(m, exponent)));
        for (int i = 0; i < 200; ++i)
            check(static_cast<T>(std::ldexp(1 + static_cast<double>(random.next() >> 12) * 0x1p-52, exponent)));
    }
    std::printf("    worst %.2Lf ulp\n", worst);
}
TEST(roots, inverse_cube_root_is_within_2_and_a_half_ulp) {
    check_inverse_cube_roots<float>(-126, 127, 24);
    check_inverse_cube_roots<double>(-1022, 1023, 53);
}

TEST(roots, square_root_is_rounded_once) {
    random_bits random(2);
    for (int i = 0; i < 100000; ++i) {
        const double v = std::ldexp(1.0 + static_cast<double>(random.next() >> 12) * 0x1p-52,
                                    static_cast<int>(random.below(2046)) - 1022);
        ASSERT_EQ(first(simd::square_root<target>(doubles(v))), std::sqrt(v)) << v;
        using float_target = simd::tier_target<float>;
        const auto f = static_cast<float>(std::ldexp(v, -std::ilogb(v) + static_cast<int>(random.below(250)) - 125));
        ASSERT_EQ(first(simd::square_root<float_target>(simd::numbers<float_target>(f))), std::sqrt(f)) << f;
    }
}

} // namespace
