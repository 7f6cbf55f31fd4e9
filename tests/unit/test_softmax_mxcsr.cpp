// SPDX-License-Identifier: BSD-3-Clause
//
// No denormal number is met or made: the sticky flags of the CPU stay clear on the inputs that make others slow. The
// control bits of the caller are neither changed nor relied on.
#include "support/kernels.hpp"
#include "support/mxcsr.hpp"
#include "support/near_denormal.hpp"
#include "support/rows.hpp"

#include <cmath>

namespace {

using namespace support;

constexpr std::ptrdiff_t lengths[] = {2, 7, 16, 17, 33, 64, 100, 256, 257, 300, 1000, 5000};
const std::ptrdiff_t rows = thinned() ? 17 : 35;

class softmax_mxcsr : public kernel_test {
protected:
    bool takes(std::ptrdiff_t n) const {
        return n >= shortest_row(by()) && n <= longest_row(by()) && (!thinned() || n < 300);
    }
};
TARN_TEST_ALL_KERNELS(softmax_mxcsr);

TEST_P(softmax_mxcsr, no_denormal_is_met_or_made) {
    for (const std::ptrdiff_t n : lengths) {
        if (!takes(n))
            continue;
        int number = 0;
        for (const std::vector<float>& x : near_denormal(rows, n)) {
            for (const float scale : {1.0f, -0.37f}) {
                unsigned after = 0;
                {
                    fill_stack();
                    const mxcsr_scope clear(0);
                    softmax_by(on(), by(), {rows, n, scale}, x);
                    after = _mm_getcsr();
                }
                ASSERT_EQ(after & denormal_operand, 0u)
                    << "family " << number << ", length " << n << ", scale " << scale;
                ASSERT_EQ(after & underflow, 0u) << "family " << number << ", length " << n << ", scale " << scale;
            }
            ++number;
        }
    }
}

TEST_P(softmax_mxcsr, flush_modes_change_nothing_and_stay) {
    for (const std::ptrdiff_t n : lengths) {
        if (!takes(n))
            continue;
        for (const std::vector<float>& x : near_denormal(rows, n)) {
            const auto expected = softmax_by(on(), by(), {rows, n}, x);
            for (const unsigned mode : {flush_to_zero, denormals_are_zero, flush_to_zero | denormals_are_zero}) {
                const mxcsr_scope set(mode);
                const auto y = softmax_by(on(), by(), {rows, n}, x);
                const unsigned after = _mm_getcsr();
                ASSERT_EQ(after & (flush_to_zero | denormals_are_zero), mode);
                ASSERT_EQ("", difference(y.data(), expected.data(), rows * n)) << "mode " << mode << ", length " << n;
            }
        }
    }
}

// Results are for rounding to nearest; other modes cost accuracy, and neither sense nor special values.
TEST_P(softmax_mxcsr, other_rounding_modes_keep_the_rules) {
    const std::ptrdiff_t n = 100;
    const auto x = mixed_rows(40, n, 8);
    const auto expected = softmax_by(on(), by(), {40, n}, x);
    for (unsigned mode = 1; mode < 4; ++mode) {
        std::vector<float> y;
        {
            const mxcsr_scope set(mode << rounding_shift);
            y = softmax_by(on(), by(), {40, n}, x);
            ASSERT_EQ(_mm_getcsr() >> rounding_shift & 3, mode);
        }
        for (std::size_t i = 0; i < y.size(); ++i) {
            ASSERT_EQ(std::isnan(y[i]), std::isnan(expected[i])) << "row " << i / n;
            if (!std::isnan(y[i])) {
                ASSERT_NEAR(y[i], expected[i], 1e-5f) << "row " << i / n;
            }
        }
    }
}

} // namespace
