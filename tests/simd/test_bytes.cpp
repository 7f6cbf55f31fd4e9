// SPDX-License-Identifier: BSD-3-Clause
//
// simd/bytes.hpp: every mask of a pack, whatever the bytes that are not 0, and searches from both ends.
#include "support/guarded.hpp"
#include "support/packs.hpp"

#include <tarn/simd/bytes.hpp>

namespace {

using namespace support;
namespace simd = tarn::simd;

template <class T> void check_where() {
    using A = simd::target<arch::arch, T>;
    constexpr int n = simd::lanes<A>;
    guarded_numbers<unsigned char> memory(64);
    random_bits random(1);
    T v[n], otherwise[n], got[n];
    for (int i = 0; i < n; ++i) {
        v[i] = static_cast<T>(i + 1);
        otherwise[i] = static_cast<T>(-i - 1);
    }
    for (int mask = 0; mask < 1 << n; ++mask) {
        for (const bool at_end : {false, true}) {
            unsigned char* const p = at_end ? memory.against_end(n) : memory.against_start();
            for (int i = 0; i < n; ++i)
                p[i] = mask >> i & 1 ? static_cast<unsigned char>(1 + random.below(255)) : 0;
            simd::store<A>(got, simd::where_bytes<A>(p, simd::load<A>(v), simd::load<A>(otherwise)));
            for (int i = 0; i < n; ++i)
                ASSERT_EQ(got[i], mask >> i & 1 ? v[i] : otherwise[i]) << mask << ", lane " << i;
        }
    }
}
TEST(bytes, choose_floats) { check_where<float>(); }
TEST(bytes, choose_doubles) { check_where<double>(); }

// The first few bytes of a mask, and nothing read beside them.
template <class T> void check_where_first() {
    using A = simd::target<arch::arch, T>;
    constexpr int n = simd::lanes<A>;
    guarded_numbers<unsigned char> memory(64);
    random_bits random(3);
    T v[n], otherwise[n], got[n];
    for (int i = 0; i < n; ++i) {
        v[i] = static_cast<T>(i + 1);
        otherwise[i] = static_cast<T>(-i - 1);
    }
    for (int count = 0; count <= n; ++count) {
        for (int repeat = 0; repeat < 200; ++repeat) {
            unsigned char* const p = repeat % 2 ? memory.against_end(count) : memory.against_start();
            for (int i = 0; i < count; ++i)
                p[i] = static_cast<unsigned char>(random.below(2) ? 1 + random.below(255) : 0);
            simd::store<A>(got, simd::where_first_bytes<A>(p, count, simd::load<A>(v), simd::load<A>(otherwise)));
            for (int i = 0; i < n; ++i)
                ASSERT_EQ(got[i], i < count && p[i] ? v[i] : otherwise[i]) << "lane " << i << " of " << count;
        }
    }
}
TEST(bytes, choose_first_floats) { check_where_first<float>(); }
TEST(bytes, choose_first_doubles) { check_where_first<double>(); }

TEST(bytes, gathered) {
    guarded_numbers<unsigned char> memory(400);
    random_bits random(2);
    for (std::ptrdiff_t n = 0; n <= 64; ++n) {
        for (const std::ptrdiff_t along : {0, 1, 3, -2}) {
            const std::ptrdiff_t reach = n > 0 ? (n - 1) * std::abs(along) + 1 : 0;
            unsigned char* const begin = memory.against_end(reach);
            for (std::ptrdiff_t i = 0; i < reach; ++i)
                begin[i] = static_cast<unsigned char>(random.next());
            const unsigned char* const p = along < 0 && n > 0 ? begin + reach - 1 : begin;
            unsigned char got[65] = {};
            got[n] = 77;
            simd::gather_bytes(p, along, n, got);
            for (std::ptrdiff_t i = 0; i < n; ++i)
                ASSERT_EQ(got[i], p[i * along]) << i << " of " << n;
            ASSERT_EQ(got[n], 77);
        }
    }
}

TEST(bytes, all_set) {
    guarded_numbers<unsigned char> memory(400);
    for (std::ptrdiff_t n = 0; n <= 200; ++n) {
        unsigned char* const p = memory.against_end(n);
        std::fill(p, p + n, static_cast<unsigned char>(n % 2 ? 1 : 255));
        ASSERT_TRUE(simd::all_bytes_set<arch>(p, n)) << n;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const unsigned char before = p[i];
            p[i] = 0;
            ASSERT_FALSE(simd::all_bytes_set<arch>(p, n)) << i << " of " << n;
            p[i] = before;
        }
    }
}

TEST(bytes, first_and_last) {
    guarded_numbers<unsigned char> memory(400);
    for (std::ptrdiff_t n = 0; n <= 40; ++n) {
        for (const std::ptrdiff_t along : {1, 3}) {
            const std::ptrdiff_t reach = n > 0 ? (n - 1) * along + 1 : 0;
            unsigned char* const p = memory.against_end(reach);
            for (std::ptrdiff_t first = 0; first <= n; ++first) {
                for (std::ptrdiff_t last = first; last <= n; ++last) {
                    std::fill(p, p + reach, along == 1 ? 0 : 1);
                    for (std::ptrdiff_t i = 0; i < n; ++i)
                        p[i * along] = first < n && (i == first || i == last) ? 200 : 0;
                    const std::ptrdiff_t end = first == n ? 0 : last < n ? last + 1 : first + 1;
                    ASSERT_EQ(simd::first_byte(p, along, n), first) << n;
                    ASSERT_EQ(simd::end_of_bytes(p, along, n), end) << n << " " << first << " " << last;
                }
            }
        }
    }
}

} // namespace
