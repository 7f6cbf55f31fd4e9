// SPDX-License-Identifier: BSD-3-Clause
//
// A row has the same bits from every kernel, AVX2 and AVX-512 give the same bits, and SSE2 differs in the last ones at
// most.
#include "support/kernels.hpp"
#include "support/rows.hpp"

#include <map>

namespace {

using namespace support;

const std::vector<std::ptrdiff_t>& lengths() {
    static const std::vector<std::ptrdiff_t> all =
        edge_lengths({1000, 1023, 1024, 1025, 4096, 8191, 8192, 8193, 65535, 65536, 65537, 65551, 131073});
    return all;
}

constexpr int families = 4;

struct family {
    double sd, offset;
    float scale;
    bool masked;
};
constexpr family family_of[families] = {
    {1, 0, 1, false}, {50, 1000, 1, false}, {10, -1e6, -0.37f, false}, {1, 0, 3, true}};

std::vector<float> logits(int f, std::ptrdiff_t n, std::uint64_t seed) {
    std::vector<float> x = normal_logits(n, family_of[f].sd, family_of[f].offset, seed);
    for (std::size_t i = 0; family_of[f].masked && i + 1 < x.size(); i += 3)
        x[i] = -std::numeric_limits<float>::infinity();
    return x;
}

class softmax_bits : public kernel_test {};
TARN_TEST_ALL_KERNELS(softmax_bits);

// Three rows at once, the middle one of another family.
TEST_P(softmax_bits, are_those_of_the_row_alone) {
    for (const std::ptrdiff_t n : lengths()) {
        if (n < shortest_row(by()) || n > longest_row(by()) || (thinned() && n > 10000))
            continue;
        for (int f = 0; f < families; ++f) {
            const float scale = family_of[f].scale;
            std::vector<float> x;
            for (const int g : {f, (f + 1) % families, f}) {
                const auto row = logits(g, n, static_cast<std::uint64_t>(n * 10) + x.size());
                x.insert(x.end(), row.begin(), row.end());
            }
            const auto y = softmax_by(on(), by(), {3, n, scale}, x);
            for (std::ptrdiff_t r = 0; r < 3; ++r) {
                const auto expected = softmax_alone(on(), x.data() + r * n, n, scale);
                ASSERT_EQ("", difference(y.data() + r * n, expected.data(), n)) << "row " << r << " of " << n;
            }
        }
    }
}

TEST(softmax_bits_of_tiers, avx512_equals_avx2) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    for (const std::ptrdiff_t n : lengths()) {
        for (int f = 0; f < families; ++f) {
            const auto x = logits(f, n, static_cast<std::uint64_t>(n));
            const auto a = softmax_alone(tarn::tier::avx2, x.data(), n, family_of[f].scale);
            const auto b = softmax_alone(tarn::tier::avx512, x.data(), n, family_of[f].scale);
            ASSERT_EQ("", difference(b.data(), a.data(), n)) << "length " << n;
        }
    }
}

// The weight and the factor may each differ in the last bit, which is up to four steps of the product.
TEST(softmax_bits_of_tiers, sse2_is_four_steps_away_at_most) {
    if (!tarn::available(tarn::tier::avx2)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx2);
    }
    std::map<std::int64_t, std::int64_t> histogram;
    for (const std::ptrdiff_t n : lengths()) {
        for (int f = 0; f < families; ++f) {
            const auto x = logits(f, n, static_cast<std::uint64_t>(n));
            const auto a = softmax_alone(tarn::tier::avx2, x.data(), n, family_of[f].scale);
            const auto b = softmax_alone(tarn::tier::sse2, x.data(), n, family_of[f].scale);
            for (std::size_t i = 0; i < x.size(); ++i) {
                if (a[i] > 0x1p-125f)
                    ++histogram[steps_between(a[i], b[i])];
            }
        }
    }
    for (const auto& entry : histogram)
        RecordProperty("steps_" + std::to_string(entry.first), std::to_string(entry.second));
    EXPECT_LE(histogram.rbegin()->first, 4);
    EXPECT_GT(histogram[0], histogram[1] + histogram[2] + histogram[3] + histogram[4]);
}

} // namespace
