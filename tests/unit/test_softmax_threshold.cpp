// SPDX-License-Identifier: BSD-3-Clause
//
// Results around 2^-126, float by float: each is 0 or normal, with the right one of both, no flag is raised, and the
// caller's flush modes change no bit. The sums are no floats, so the threshold and the factor are rounded, also both
// downwards.
#include "support/kernels.hpp"
#include "support/mxcsr.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr std::ptrdiff_t n = 18;
constexpr std::ptrdiff_t rows = 16;
const int rounds = thinned() ? 300 : 2000;

// Two great logits, and sixteen neighbouring floats whose results lie around 2^-126.
std::vector<float> threshold_rows(random_bits& random) {
    const long double log_of_least = -126 * std::log(2.0L);
    std::vector<float> x;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        const float top = static_cast<float>(random.below(1 << 24)) * 0x1p-20f;
        const float gap = static_cast<float>(random.below(1 << 24)) * 0x1p-23f;
        x.push_back(top);
        x.push_back(top - gap);
        const long double log_of_sum =
            static_cast<long double>(top) + std::log1p(std::exp(-static_cast<long double>(gap)));
        const std::uint32_t middle = bits_of(static_cast<float>(log_of_sum + log_of_least));
        for (std::uint32_t i = 0; i < 16; ++i)
            x.push_back(float_of(middle + i - 8));
    }
    return x;
}

class softmax_threshold : public kernel_test {};
TARN_TEST_ALL_KERNELS(softmax_threshold);

TEST_P(softmax_threshold, results_are_zero_or_normal) {
    if (n < shortest_row(by()))
        return;
    random_bits random(1);
    for (int round = 0; round < rounds; ++round) {
        const std::vector<float> x = threshold_rows(random);
        std::vector<float> y, flushed;
        unsigned flags = 0;
        {
            const mxcsr_scope clear(0);
            y = softmax_by(on(), by(), {rows, n}, x);
            flags = _mm_getcsr() & (underflow | denormal_operand);
        }
        {
            const mxcsr_scope flush(flush_to_zero | denormals_are_zero);
            flushed = softmax_by(on(), by(), {rows, n}, x);
        }
        ASSERT_EQ(flags, 0u) << "round " << round;
        ASSERT_EQ("", difference(flushed.data(), y.data(), rows * n)) << "round " << round;
        for (const float v : y)
            ASSERT_TRUE(v == 0.0f || v >= 0x1p-126f) << v;
        for (std::ptrdiff_t r = 0; r < rows && round % 100 == 0; ++r)
            ASSERT_LE(worst_error(y.data() + r * n, exact_softmax(x.data() + r * n, n, 1.0f)), 4.0);
    }
}

} // namespace
