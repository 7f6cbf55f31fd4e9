// SPDX-License-Identifier: BSD-3-Clause
//
// kernels/exp_weight.hpp: every form of the exponential against long double over a dense sweep: at most 1.5 * 2^-24 off
// g * 2^((x - centre) * scale * log2(e) - exponent), where g is the factor that all weights share.
#include "support/packs.hpp"

#include <tarn/kernels/exp_weight.hpp>

#include <cstdio>

namespace {

using namespace support;
namespace kernels = tarn::kernels;
using exp_base = kernels::exp_base<arch>;
using reference = kernels::reference<arch>;

// Of the table and of the polynomial, whose errors are not centred on 1.
constexpr long double common_factor = 1.538261175725582588947L * (1 + 0.31L * 0x1p-24L);
constexpr long double log2_e = 1.44269504088896340735992468100189214L;
constexpr long double bound = 1.5L * 0x1p-24L;
// The grid point is found without the low part of the base (and on SSE2 from a rounded product), so far from 0 the
// remainder leaves the polynomial's range a little.
constexpr long double far_bound = 2.25L * 0x1p-24L;

// log2 of a weight without the common factor.
long double exponent_of(float x, float scale, reference ref) {
    return (static_cast<long double>(x) - static_cast<long double>(ref.centre)) * static_cast<long double>(scale) *
               log2_e -
           static_cast<long double>(ref.exponent);
}

// The worst relative error of weight(x) for weights of 2^-118 to 2^119.
template <class Weight> long double sweep(const Weight& weight, float scale, reference ref, int steps) {
    long double worst = 0;
    const long double unit = 1 / (static_cast<long double>(scale) * log2_e);
    for (int i = 0; i < steps; i += lanes) {
        const auto x = filled<pack_array>([&](std::size_t lane) {
            const long double t = -117.9L + 236.9L * (i + static_cast<int>(lane)) / steps;
            return static_cast<float>((t + static_cast<long double>(ref.exponent)) * unit +
                                      static_cast<long double>(ref.centre));
        });
        const auto w = array_of(weight(pack_of(x)));
        for (std::size_t lane = 0; lane < x.size(); ++lane) {
            const long double t = exponent_of(x[lane], scale, ref);
            if (t < -118.0L || t > 119.0L)
                continue;
            const long double exact = common_factor * std::exp2(t);
            worst = std::max(worst, std::fabs(static_cast<long double>(w[lane]) / exact - 1));
        }
    }
    return worst;
}

constexpr float scales[] = {1.0f, -1.0f, 0.125f, 3.0f, -0.37f, 100.0f, 1e-20f, 0.7f};

template <bool Folded> void check(reference ref, int steps) {
    using weight = kernels::exp_weight<arch, Folded>;
    if (!weight::can_express(ref))
        return;
    for (const float scale : scales) {
        const long double worst = sweep(weight(exp_base::of(scale), ref), scale, ref, steps);
        ASSERT_LE(worst, std::fabs(ref.exponent) > 1000 ? far_bound : bound)
            << "scale " << scale << " exponent " << ref.exponent << " centre " << ref.centre << ": "
            << static_cast<double>(worst * 0x1p24L) << " * 2^-24";
    }
}

TEST(exp_weight, dense_sweep) {
    const kernels::exp_weight<arch, true> weight(exp_base::of(1.0f), {0.0f, 0.0f});
    const long double worst = sweep(weight, 1.0f, {0.0f, 0.0f}, 2'000'000);
    std::printf("    worst %.4f * 2^-24\n", static_cast<double>(worst * 0x1p24L));
    EXPECT_LE(worst, bound);
}

TEST(exp_weight, folded_form_of_every_exponent) {
    for (int e = -400; e <= 400 && !HasFatalFailure(); ++e)
        check<true>({static_cast<float>(e), 0.0f}, 2048);
    for (const float e : {-59999.0f, -30000.0f, 5000.0f, 59999.0f})
        check<true>({e, 0.0f}, 20000);
}

TEST(exp_weight, free_form_of_every_exponent) {
    for (int e = -400; e <= 400 && !HasFatalFailure(); e += 7)
        check<false>({static_cast<float>(e), 0.0f}, 2048);
    for (const float e : {-72060.0f, -59999.0f, 5000.0f, 72000.0f})
        check<false>({e, 0.0f}, 20000);
}

TEST(exp_weight, free_form_with_a_centre) {
    for (const float centre : {1e5f, -1e5f, 1e6f, -3e7f})
        check<false>({-60.0f, centre}, 20000);
}

// Sixteen references at once: each lane has the bits of its own.
TEST(exp_weight, by_lane_has_the_bits_of_each_reference) {
    random_bits random(1);
    for (const float scale : scales) {
        const auto greatest = filled<pack_array>([&](std::size_t i) {
            return i % 5 == 4 ? random_float(random, 100)
                   : i == 3   ? (scale < 0 ? inf : -inf)
                              : random_float(random, 10);
        });
        const exp_base base = exp_base::of(scale);
        const auto refs = kernels::pack_references<arch>::of_greatest(pack_of(greatest), base, 60.0f);
        const kernels::exp_weight_by_lane<arch> by_lane(base, refs);
        for (std::size_t lane = 0; lane < 16; ++lane) {
            const reference ref = reference::of_greatest(greatest[lane], base, 60.0f);
            EXPECT_TRUE(same_bits(array_of(refs.exponent)[lane], ref.exponent)) << greatest[lane];
            EXPECT_TRUE(same_bits(array_of(refs.centre)[lane], ref.centre)) << greatest[lane];
            const kernels::exp_weight<arch, false> alone(base, ref);
            for (int i = 0; i < 500; ++i) {
                const float x = greatest[lane] + random_float(random, 6) / scale;
                const float a = array_of(by_lane(tarn::simd::broadcast<arch>(x)))[lane];
                const float b = array_of(alone(tarn::simd::broadcast<arch>(x)))[lane];
                ASSERT_TRUE(same_bits(a, b)) << "lane " << lane << " at " << x << " scale " << scale;
            }
        }
    }
}

// Folded or free, the weights of one reference are the same: rows may change form.
TEST(exp_weight, forms_agree_bit_by_bit) {
    for (const float e : {-99.0f, -60.0f, 0.0f, 31.0f, 99.0f}) {
        for (const float scale : {1.0f, -0.37f}) {
            const exp_base base = exp_base::of(scale);
            const kernels::exp_weight<arch, true> folded(base, {e, 0.0f});
            const kernels::exp_weight<arch, false> loose(base, {e, 0.0f});
            for (int i = 0; i < 20000; ++i) {
                const float x = (e - 117.0f + 230.0f * static_cast<float>(i) / 20000) / (scale * 1.442695f);
                ASSERT_TRUE(same_bits(array_of(folded(batch(x)))[0], array_of(loose(batch(x)))[0])) << x;
            }
        }
    }
}

// A power of two in the reference is a power of two in the weight, and nothing else.
TEST(exp_weight, references_differ_by_powers_of_two) {
    const exp_base base = exp_base::of(1.0f);
    for (const float e : {-80.0f, -7.0f, 1.0f, 64.0f}) {
        const kernels::exp_weight<arch, true> a(base, {0.0f, 0.0f});
        const kernels::exp_weight<arch, true> b(base, {e, 0.0f});
        for (int i = 0; i < 20000; ++i) {
            const float x = -25.0f + 50.0f * static_cast<float>(i) / 20000;
            const float scaled = std::ldexp(array_of(a(batch(x)))[0], -static_cast<int>(e));
            if (scaled > 0x1p-110f && scaled < 0x1p110f) {
                ASSERT_TRUE(same_bits(array_of(b(batch(x)))[0], scaled)) << x << " exponent " << e;
            }
        }
    }
}

TEST(exp_weight, ends_and_nan) {
    const reference refs[] = {{0.0f, 0.0f}, {-60.0f, 0.0f}, {50.0f, 0.0f}};
    for (const reference ref : refs) {
        const kernels::exp_weight<arch, true> folded(exp_base::of(1.0f), ref);
        const kernels::exp_weight<arch, false> loose(exp_base::of(1.0f), ref);
        EXPECT_TRUE(std::isnan(array_of(folded(batch(qnan)))[0]));
        EXPECT_TRUE(std::isnan(array_of(loose(batch(qnan)))[0]));
        for (const float x : {inf, 3.4e38f, 1e9f}) {
            for (const float w : {array_of(folded(batch(x)))[0], array_of(loose(batch(x)))[0]})
                EXPECT_FALSE(w >= 0 && w <= kernels::weights_of<arch>::greatest_sum)
                    << "a sum with " << w << " of " << x << " is accepted";
        }
    }
}

// Whatever the bits of the scale, from which the bounds are computed.
TEST(exp_weight, vanishes_where_it_must) {
    for (int i = 1; i < 20000; ++i) {
        for (const float sign : {1.0f, -1.0f}) {
            const float scale = sign * static_cast<float>(i) * 0.000997f;
            const reference ref{i % 3 == 0 ? 0.0f : i % 3 == 1 ? -60.0f : 50.0f, 0.0f};
            const exp_base base = exp_base::of(scale);
            const kernels::exp_weight<arch, true> folded(base, ref);
            const kernels::exp_weight<arch, false> loose(base, ref);
            for (const float x : {-sign * inf, -sign * 3.4e38f, (ref.exponent - 121.0f) / (scale * 1.442695f)}) {
                ASSERT_TRUE(same_bits(array_of(loose(batch(x)))[0], 0.0f)) << x << " scale " << scale;
                // Without a mask: below 2^-118, so that no sum that is accepted can show it.
                ASSERT_LE(array_of(folded(batch(x)))[0], 0x1p-118f) << x << " scale " << scale;
                ASSERT_GE(array_of(folded(batch(x)))[0], 0.0f) << x << " scale " << scale;
            }
        }
    }
}

} // namespace
