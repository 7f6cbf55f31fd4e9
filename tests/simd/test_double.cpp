// SPDX-License-Identifier: BSD-3-Clause
//
// What kernels of doubles are made of: the exponential against long double, sums that lose nothing, products with a
// factor of twice the precision, and loads and stores of a few lanes.
#include "support/guarded.hpp"
#include "support/inputs.hpp"
#include "support/mxcsr.hpp"
#include "support/oracle.hpp"

#include <tarn/kernels/exp_weight.hpp>
#include <tarn/simd/sums.hpp>

#include <array>
#include <cstdio>
#include <gtest/gtest.h>

namespace {

using namespace support;
namespace kernels = tarn::kernels;
namespace simd = tarn::simd;
using arch = simd::tier_target<double>;
using exp_base = kernels::exp_base<arch>;
using reference = kernels::reference<arch>;
using range = kernels::weights_of<arch>;
using pack = simd::pack<arch>;
using batch = simd::doubles<arch>;
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr std::size_t lanes = static_cast<std::size_t>(simd::lanes<arch>);
using lane_array = std::array<double, lanes>;

pack pack_of(const lane_array& a) { return simd::load<arch>(a.data()); }
lane_array array_of(const pack& v) {
    lane_array a;
    simd::store<arch>(a.data(), v);
    return a;
}
// Any sign, exponents -e .. e.
double random_double(random_bits& random, int e) {
    const double m = 1.0 + static_cast<double>(random.next() >> 12) * 0x1p-52;
    return std::ldexp(random.next() % 2 ? m : -m, static_cast<int>(random.below(2 * e + 1)) - e);
}
lane_array random_lanes(random_bits& random, int e) {
    lane_array a;
    for (double& v : a)
        v = random_double(random, e);
    return a;
}
bool same(double a, double b) { return bits_of(a) == bits_of(b) || (a != a && b != b); }

// scale * log2(e) * (x - centre) - exponent, as integer and fraction, by sums of exact products.
struct exact_power {
    long double whole, fraction;

    exact_power(double x, double scale, reference ref) {
        constexpr long double log2_e = 0x1.71547652b82fe178p0L;
        constexpr long double log2_e_rest = -0x1.05e004be5b8bp-65L;
        const long double d = static_cast<long double>(x) - static_cast<long double>(ref.centre);
        const long double s = d * static_cast<long double>(scale);
        const long double s_rest = std::fma(d, static_cast<long double>(scale), -s);
        const long double t = s * log2_e;
        const long double t_rest = std::fma(s, log2_e, -t) + s * log2_e_rest + s_rest * log2_e;
        whole = std::nearbyint(t);
        fraction = (t - whole) + t_rest;
        whole -= static_cast<long double>(ref.exponent);
    }
};

// The worst relative error of weights from 2^-955 to 2^1015, in units of 2^-53.
template <class Weight> long double sweep(const Weight& weight, double scale, reference ref, int steps) {
    long double worst = 0;
    for (int i = 0; i < steps; i += static_cast<int>(lanes)) {
        lane_array x;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const double t = -955.0 + 1970.0 * (i + static_cast<int>(lane)) / steps + ref.exponent;
            x[lane] = t / (scale * 1.4426950408889634) + ref.centre;
        }
        const lane_array w = array_of(weight(pack_of(x)));
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const exact_power power(x[lane], scale, ref);
            if (power.whole < -955 || power.whole > 1015)
                continue;
            const long double exact = std::ldexp(std::exp2(power.fraction), static_cast<int>(power.whole));
            worst = std::max(worst, std::fabs(static_cast<long double>(w[lane]) / exact - 1) * 0x1p53L);
        }
    }
    return worst;
}

TEST(double_weight, is_nearly_rounded) {
    long double worst = 0;
    for (const double scale : {1.0, -1.0, 0.1, 3.0, -0.37, 1e-20, 1e10}) {
        for (const double exponent : {0.0, -540.0, 100.0, -59998.0, 71998.0}) {
            const reference ref{exponent, 0};
            using folded = kernels::exp_weight<arch, true>;
            const kernels::exp_weight<arch, false> loose(exp_base::of(scale), ref);
            worst = std::max(worst, sweep(loose, scale, ref, 200000));
            ASSERT_LE(worst, 2.25L) << scale << " " << exponent;
            if (!folded::can_express(ref))
                continue;
            worst = std::max(worst, sweep(folded(exp_base::of(scale), ref), scale, ref, 20000));
            ASSERT_LE(worst, 2.25L) << scale << " " << exponent;
        }
        for (const double centre : {1e6, -3e9}) {
            const reference ref{-540.0, centre};
            if (std::fabs(scale) < 1e-3 || std::fabs(scale) > 1e3)
                continue;
            worst =
                std::max(worst, sweep(kernels::exp_weight<arch, false>(exp_base::of(scale), ref), scale, ref, 20000));
            ASSERT_LE(worst, 2.25L) << scale << " " << centre;
        }
    }
    std::printf("    worst %.4Lf * 2^-53\n", worst);
}

// References are even, so ties between integers are broken alike and weights differ by the power of two alone.
TEST(double_weight, has_one_significand_for_all_references) {
    random_bits random(2);
    const exp_base base = exp_base::of(1.0);
    const auto extended = [&](double x) {
        batch v(0.0), n(0.0);
        kernels::exp_weight<arch, false>::extended({}, batch(base.high), batch(base.low), batch(x), v, n);
        return std::ldexp(simd::first_lane<arch>(v), static_cast<int>(simd::first_lane<arch>(n)));
    };
    for (const double e : {-540.0, -200.0, 2.0, 64.0}) {
        const kernels::exp_weight<arch, true> a(base, {0, 0});
        const kernels::exp_weight<arch, true> b(base, {e, 0});
        const kernels::exp_weight<arch, false> c(base, {e, 0});
        for (int i = 0; i < 20000; ++i) {
            const double x = static_cast<double>(random.below(400000)) / 1000.0 - 200.0;
            const pack p = simd::broadcast<arch>(x);
            const double expected = array_of(a(p))[0];
            ASSERT_TRUE(same(std::ldexp(array_of(b(p))[0], static_cast<int>(e)), expected)) << x << " " << e;
            ASSERT_TRUE(same(std::ldexp(array_of(c(p))[0], static_cast<int>(e)), expected)) << x << " " << e;
            ASSERT_TRUE(same(extended(x), expected)) << x;
        }
    }
}

TEST(double_weight, by_lane_has_the_bits_of_each_reference) {
    random_bits random(3);
    for (const double scale : {1.0, -0.37, 0.1}) {
        const exp_base base = exp_base::of(scale);
        lane_array greatest = random_lanes(random, 9);
        greatest[3] = scale < 0 ? inf : -inf;
        greatest[5] = 1e9;
        const auto refs = kernels::pack_references<arch>::of_greatest(pack_of(greatest), base, range::bias);
        const kernels::exp_weight_by_lane<arch> by_lane(base, refs);
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const reference ref = reference::of_greatest(greatest[lane], base, range::bias);
            EXPECT_TRUE(same(array_of(refs.exponent)[lane], ref.exponent));
            EXPECT_TRUE(same(array_of(refs.centre)[lane], ref.centre));
            EXPECT_EQ(std::fmod(ref.exponent, 2.0), 0.0);
            const kernels::exp_weight<arch, false> alone(base, ref);
            for (int i = 0; i < 500; ++i) {
                const pack x = simd::broadcast<arch>(greatest[lane] + random_double(random, 8) / scale);
                ASSERT_TRUE(same(array_of(by_lane(x))[lane], array_of(alone(x))[lane])) << lane;
            }
        }
    }
}

TEST(double_weight, ends_and_nan) {
    for (const double exponent : {0.0, -540.0, 500.0}) {
        const kernels::exp_weight<arch, true> folded(exp_base::of(1.0), {exponent, 0});
        const kernels::exp_weight<arch, false> loose(exp_base::of(1.0), {exponent, 0});
        const auto both = [&](double x) {
            return std::array<double, 2>{array_of(folded(simd::broadcast<arch>(x)))[0],
                                         array_of(loose(simd::broadcast<arch>(x)))[0]};
        };
        for (const double w : both(std::nan("")))
            EXPECT_TRUE(std::isnan(w));
        for (const double x : {inf, 1e308, 1e9}) {
            for (const double w : both(x))
                EXPECT_FALSE(w >= 0 && w <= range::greatest_sum) << "a sum with " << w << " of " << x;
        }
        for (const double x : {-inf, -1e308, -1e9, (exponent - 958.0) / 1.4426950408889634}) {
            EXPECT_TRUE(same(both(x)[1], 0.0)) << x;
            EXPECT_LE(both(x)[0], 0x1p-957) << x;
            EXPECT_GE(both(x)[0], 0.0) << x;
        }
    }
}

TEST(double_weight, meets_no_denormal) {
    for (const double x : {0.0, 1e-300, -1e-300, 1e-160, -1e-155, 0x1p-54, 1.0, -700.0, -inf, -1e300}) {
        const kernels::exp_weight<arch, true> folded(exp_base::of(1.0), {0, 0});
        unsigned after = 0;
        lane_array w;
        {
            const mxcsr_scope clear(0);
            w = array_of(folded(simd::broadcast<arch>(x)));
            after = _mm_getcsr();
        }
        EXPECT_EQ(after & (denormal_operand | underflow), 0u) << x;
        if (std::fabs(x) < 0x1p-60) {
            EXPECT_EQ(w[0], 1.0) << x;
        }
    }
}

// The sum of a thousand doubles in each lane and of all lanes: as if it were rounded once.
TEST(double_sums, lose_nothing) {
    random_bits random(4);
    for (int round = 0; round < 200; ++round) {
        auto sums = simd::double_sums<arch>::zero();
        long double exact = 0, exact_rest = 0;
        const auto add = [&](double v) {
            const long double before = exact;
            exact = before + static_cast<long double>(v);
            const long double rounded = exact - before;
            exact_rest += (before - (exact - rounded)) + (static_cast<long double>(v) - rounded);
        };
        for (int i = 0; i < 1000; ++i) {
            const lane_array v = random_lanes(random, 30);
            sums.add(pack_of(v));
            for (const double e : v)
                add(e);
        }
        const simd::exact_sum total = sums.total();
        const long double error =
            ((static_cast<long double>(total.high) - exact) + static_cast<long double>(total.low)) - exact_rest;
        ASSERT_LE(std::fabs(error), 0x1p-90L * 0x1p45L);
        ASSERT_EQ(total.high + total.low, total.high);
        // Alone, folded, and column by column.
        alignas(64) double folded[lanes * 8] = {};
        for (std::size_t r = 0; r < lanes; ++r)
            sums.store_folded(folded + 8 * r);
        simd::row_totals<arch, static_cast<int>(lanes)> totals;
        totals.assign_folded(folded);
        for (int r = 0; r < static_cast<int>(lanes); ++r) {
            ASSERT_TRUE(same(totals.high[r], total.high));
            ASSERT_TRUE(same(totals.low[r], total.low));
        }
    }
}

TEST(double_sums, totals_divide_to_twice_the_precision) {
    random_bits random(5);
    simd::row_totals<arch, static_cast<int>(lanes)> totals;
    for (int round = 0; round < 5000; ++round) {
        for (int i = 0; i < static_cast<int>(lanes); ++i) {
            const double high = std::fabs(random_double(random, 400));
            totals.set(i, {high, high * 0x1p-54 * static_cast<double>(random.below(3) - 1)});
        }
        pack high, low;
        totals.divide(0x1p200, high, low);
        for (std::size_t i = 0; i < lanes; ++i) {
            const long double p = array_of(high)[i];
            const long double q = array_of(low)[i];
            const simd::exact_sum total = totals[static_cast<int>(i)];
            const long double t = static_cast<long double>(total.high) + static_cast<long double>(total.low);
            ASSERT_LE(std::fabs((p + q) * t * 0x1p-200L - 1), 0x1p-62L);
            ASSERT_GE(q, 0x1p-53L * p);
            ASSERT_LE(q, 5 * 0x1p-52L * p);
            // A row of one element is 1.
            const pack weight = simd::broadcast<arch>(total.high);
            if (total.low == 0) {
                ASSERT_EQ(array_of(simd::mul_pair<arch>(weight, high, low))[i], 0x1p200);
            }
        }
    }
}

TEST(double_memory, touches_the_first_lanes_alone) {
    guarded_numbers<double> memory(64);
    for (int n = 1; n <= static_cast<int>(lanes); ++n) {
        double* const p = memory.against_end(n);
        for (int i = 0; i < n; ++i)
            p[i] = i + 1;
        lane_array loaded = {}, filled = {};
        ASSERT_EQ("", fault_in([&] {
                      const pack v = simd::load_first<arch>(p, n);
                      loaded = array_of(v);
                      filled = array_of(simd::first_or<arch>(v, n, -7.0));
                      simd::store_first<arch>(p, v + v, n);
                  }))
            << n;
        for (int i = 0; i < static_cast<int>(lanes); ++i) {
            const auto at = static_cast<std::size_t>(i);
            EXPECT_EQ(loaded[at], i < n ? i + 1 : 0);
            EXPECT_EQ(filled[at], i < n ? i + 1 : -7);
            if (i < n) {
                EXPECT_EQ(p[i], 2 * (i + 1));
            }
        }
        double* const q = memory.against_start();
        for (int i = 0; i < 16; ++i)
            q[i] = -1;
        simd::store_first<arch>(q + 3, simd::broadcast<arch>(5.0), n);
        for (int i = 0; i < 16; ++i)
            EXPECT_EQ(q[i], i >= 3 && i < 3 + n ? 5 : -1) << n;
    }
}

TEST(double_greatest, finds_it_in_any_lane) {
    random_bits random(6);
    for (int round = 0; round < 300; ++round) {
        alignas(64) double packs[lanes * lanes];
        for (double& v : packs)
            v = round % 3 ? random_double(random, 30) : -inf;
        const lane_array all = array_of(simd::greatests<arch>(packs));
        for (std::size_t r = 0; r < lanes; ++r) {
            const double expected = *std::max_element(packs + r * lanes, packs + (r + 1) * lanes);
            ASSERT_EQ(simd::greatest<arch>(simd::load<arch>(packs + r * lanes)), expected);
            ASSERT_EQ(all[r], expected);
        }
    }
}

TEST(double_power_of_two, is_exact_and_vanishes) {
    for (int n = -1100; n <= 1023; ++n) {
        const double p = simd::first_lane<arch>(simd::exp2_of_integer<arch>(batch(static_cast<double>(n))));
        ASSERT_EQ(p, n < -400 ? 0.0 : std::ldexp(1.0, n)) << n;
    }
    EXPECT_EQ(simd::first_lane<arch>(simd::exp2_of_integer<arch>(batch(-130000.0))), 0.0);
}

} // namespace
