// SPDX-License-Identifier: BSD-3-Clause
//
// simd/memory.hpp and the loads and stores of pack.hpp: the first n lanes and no byte more, for every n, against pages
// that must not be touched.
#include "support/guarded.hpp"
#include "support/packs.hpp"

namespace {

using namespace support;
namespace simd = tarn::simd;

constexpr float untouched = -77.0f;

float number(std::ptrdiff_t i) { return static_cast<float>(i + 1); }

// n lanes of memory against the page after them and against the page before them.
template <class F> void at_both_edges(std::ptrdiff_t n, F f) {
    guarded_floats memory(64);
    for (float* const p : {memory.against_end(n), memory.against_start()}) {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            p[i] = number(i);
        f(p);
    }
}

TEST(load_n, reads_n_lanes_and_clears_the_others) {
    for (int n = -20; n <= width + 3; ++n) {
        const int count = std::min(std::max(n, 0), width);
        at_both_edges(count, [&](const float* p) {
            batch_array v;
            ASSERT_EQ("", fault_in([&] { v = array_of(simd::load_n<arch>(p, n)); })) << n;
            for (int i = 0; i < width; ++i)
                EXPECT_EQ(bits_of(v[static_cast<std::size_t>(i)]), bits_of(i < count ? number(i) : 0.0f))
                    << n << ", lane " << i;
        });
    }
}

TEST(store_n, writes_n_lanes) {
    const batch v = batch_of(filled<batch_array>([](std::size_t i) { return number(static_cast<std::ptrdiff_t>(i)); }));
    for (int n = -20; n <= width + 3; ++n) {
        const int count = std::min(std::max(n, 0), width);
        at_both_edges(count, [&](float* p) {
            std::fill(p, p + count, untouched);
            ASSERT_EQ("", fault_in([&] { simd::store_n<arch>(p, v, n); })) << n;
            for (int i = 0; i < count; ++i)
                EXPECT_EQ(p[i], number(i)) << n << ", lane " << i;
        });
        float inside[64];
        std::fill(std::begin(inside), std::end(inside), untouched);
        simd::store_n<arch>(inside + 32, v, n);
        for (int i = 0; i < 64; ++i)
            EXPECT_EQ(inside[i], i >= 32 && i < 32 + count ? number(i - 32) : untouched) << n << ", lane " << i - 32;
    }
}

TEST(load_first, and_store_first_touch_n_lanes_of_a_pack) {
    for (int n = 0; n <= lanes; ++n) {
        at_both_edges(n, [&](float* p) {
            pack_array v;
            ASSERT_EQ("", fault_in([&] { v = array_of(simd::load_first<arch>(p, n)); })) << n;
            for (int i = 0; i < lanes; ++i)
                EXPECT_EQ(bits_of(v[static_cast<std::size_t>(i)]), bits_of(i < n ? number(i) : 0.0f))
                    << n << ", lane " << i;
            std::fill(p, p + n, untouched);
            ASSERT_EQ("", fault_in([&] { simd::store_first<arch>(p, pack_of(v), n); })) << n;
            for (int i = 0; i < n; ++i)
                EXPECT_EQ(p[i], number(i)) << n << ", lane " << i;
        });
    }
}

TEST(first_or, fills_the_other_lanes) {
    const auto value =
        filled<pack_array>([](std::size_t i) { return i == 3 ? qnan : number(static_cast<std::ptrdiff_t>(i)); });
    const auto rest =
        filled<pack_array>([](std::size_t i) { return i == 5 ? qnan : -number(static_cast<std::ptrdiff_t>(i)); });
    for (int n = 0; n <= lanes; ++n) {
        const auto by_lane = array_of(simd::first_or<arch>(pack_of(value), n, pack_of(rest)));
        const auto by_number = array_of(simd::first_or<arch>(pack_of(value), n, -inf));
        for (std::size_t i = 0; i < by_lane.size(); ++i) {
            const bool first = static_cast<int>(i) < n;
            EXPECT_TRUE(same_bits(by_lane[i], first ? value[i] : rest[i])) << n;
            EXPECT_TRUE(same_bits(by_number[i], first ? value[i] : -inf)) << n;
        }
    }
}

TEST(stream, writes_a_whole_pack) {
    alignas(64) float p[3 * lanes];
    std::fill(std::begin(p), std::end(p), untouched);
    simd::stream<arch>(
        p + lanes, pack_of(filled<pack_array>([](std::size_t i) { return number(static_cast<std::ptrdiff_t>(i)); })));
    simd::stream_fence<arch>();
    for (int i = 0; i < 3 * lanes; ++i)
        EXPECT_EQ(p[i], i >= lanes && i < 2 * lanes ? number(i - lanes) : untouched);
}

// A hint for any address, mapped or not.
TEST(prefetch, never_faults) {
    guarded_floats memory(16);
    EXPECT_EQ("", fault_in([&] {
                  simd::prefetch<arch>(memory.against_end(0) + 100);
                  simd::prefetch<arch>(nullptr);
              }));
}

} // namespace
