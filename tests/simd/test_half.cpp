// SPDX-License-Identifier: BSD-3-Clause
//
// 16-bit elements: every one to float, and floats to them, against the definition of the formats in double; the packs
// against the scalar conversions.
#include "support/inputs.hpp"
#include "support/oracle.hpp"

#include <tarn/half.hpp>
#include <tarn/simd/half.hpp>

#include <cmath>
#include <gtest/gtest.h>

namespace {

using namespace support;
namespace simd = tarn::simd;
using arch = simd::tier_target<float>;

// A format with `precision` bits in the significand, exponents from `least` to `greatest` for numbers 1.f * 2^e.
struct format {
    int fraction_bits, least, greatest;

    int bias() const { return greatest; }
    double value(std::uint16_t h) const {
        const int exponent = h >> fraction_bits & ((1 << (15 - fraction_bits)) - 1);
        const int fraction = h & ((1 << fraction_bits) - 1);
        const double sign = h & 0x8000 ? -1 : 1;
        if (exponent > greatest + bias())
            return fraction ? std::nan("") : sign * HUGE_VAL;
        if (exponent == 0)
            return sign * std::ldexp(fraction, least - fraction_bits);
        return sign * std::ldexp(1.0 + std::ldexp(fraction, -fraction_bits), exponent - bias());
    }
    // The number of the format nearest to v, ties to the even one.
    double nearest(double v) const {
        if (v != v || std::isinf(v) || v == 0)
            return v;
        const int exponent = std::max(std::ilogb(v), least);
        const double unit = std::ldexp(1.0, exponent - fraction_bits);
        const double rounded = std::nearbyint(v / unit) * unit;
        return std::fabs(rounded) >= std::ldexp(1.0, greatest + 1) ? std::copysign(HUGE_VAL, v) : rounded;
    }
};
constexpr format of_float16{10, -14, 15};
constexpr format of_bfloat16{7, -126, 127};

bool same(double a, double b) { return a == b ? std::signbit(a) == std::signbit(b) : a != a && b != b; }

// The floats at, just below and just above every number of the format and every tie between two; and others.
std::vector<float> interesting(const format& f) {
    std::vector<float> r;
    const float inf = std::numeric_limits<float>::infinity();
    for (int h = 0; h < 0x10000; ++h) {
        const double v = f.value(static_cast<std::uint16_t>(h));
        const double next = f.value(static_cast<std::uint16_t>(h + 1));
        for (const double at : {v, (v + next) / 2}) {
            const auto x = static_cast<float>(at);
            r.insert(r.end(), {x, std::nextafter(x, inf), std::nextafter(x, -inf)});
        }
    }
    random_bits random(3);
    for (int i = 0; i < (1 << 20); ++i)
        r.push_back(float_of(static_cast<std::uint32_t>(random.next())));
    for (const float v : {65504.0f, 65519.996f, 65520.0f, 65536.0f, 3.4e38f, 3.3961776e38f, 1e-45f, 1e-40f, 5.96e-8f,
                          2.98e-8f, 2.9802324e-8f, 0.0f, inf, std::nanf("")})
        r.insert(r.end(), {v, -v});
    r.push_back(float_of(0x7f800001u)); // a signalling NaN whose upper half is that of infinity
    r.resize((r.size() + 15) / 16 * 16);
    return r;
}

template <class Half> void check_scalars(const format& f) {
    for (int h = 0; h < 0x10000; ++h) {
        Half v;
        v.bits = static_cast<std::uint16_t>(h);
        ASSERT_TRUE(same(static_cast<double>(static_cast<float>(v)), f.value(v.bits))) << "bits " << h;
    }
    for (const float x : interesting(f)) {
        const Half v(x);
        ASSERT_TRUE(same(f.value(v.bits), f.nearest(static_cast<double>(x)))) << x << " gave bits " << v.bits;
    }
}
TEST(half, float16_by_its_definition) { check_scalars<tarn::float16>(of_float16); }
TEST(half, bfloat16_by_its_definition) { check_scalars<tarn::bfloat16>(of_bfloat16); }

template <class Half, class Load, class Store> void check_packs(const format& f, Load load, Store store) {
    alignas(64) float floats[16];
    std::uint16_t halves[16 + 2];
    for (int first = 0; first < 0x10000; first += 16) {
        for (int k = 0; k < 16; ++k)
            halves[1 + k] = static_cast<std::uint16_t>(first + k);
        simd::store<arch>(floats, load(halves + 1));
        for (int k = 0; k < 16; ++k) {
            Half v;
            v.bits = halves[1 + k];
            const float expected = v;
            ASSERT_TRUE(bits_of(floats[k]) == bits_of(expected) || (floats[k] != floats[k] && expected != expected))
                << "bits " << v.bits;
        }
    }
    const std::vector<float> x = interesting(f);
    for (std::size_t i = 0; i < x.size(); i += 16) {
        halves[0] = halves[17] = 0x1234;
        store(halves + 1, simd::load<arch>(x.data() + i));
        for (std::size_t k = 0; k < 16; ++k) {
            const Half expected(x[i + k]);
            Half got;
            got.bits = halves[1 + k];
            ASSERT_TRUE(got.bits == expected.bits ||
                        (x[i + k] != x[i + k] && static_cast<float>(got) != static_cast<float>(got)))
                << x[i + k] << " gave bits " << got.bits << ", expected " << expected.bits;
        }
        ASSERT_EQ(halves[0], 0x1234);
        ASSERT_EQ(halves[17], 0x1234);
    }
}
TEST(half, packs_of_float16) {
    check_packs<tarn::float16>(
        of_float16, [](const std::uint16_t* p) { return simd::load_float16<arch>(p); },
        [](std::uint16_t* p, const simd::pack<arch>& v) { simd::store_float16<arch>(p, v); });
}
TEST(half, packs_of_bfloat16) {
    check_packs<tarn::bfloat16>(
        of_bfloat16, [](const std::uint16_t* p) { return simd::load_bfloat16<arch>(p); },
        [](std::uint16_t* p, const simd::pack<arch>& v) { simd::store_bfloat16<arch>(p, v); });
}

} // namespace
