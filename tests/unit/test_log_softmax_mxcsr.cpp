// SPDX-License-Identifier: BSD-3-Clause
//
// No denormal number is met or made: the sticky flags of the CPU stay clear on the inputs that make others slow. The
// control bits of the caller are neither changed nor relied on.
#include "support/log_kernels.hpp"
#include "support/mxcsr.hpp"
#include "support/near_denormal.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr std::ptrdiff_t lengths[] = {2, 7, 16, 17, 33, 64, 100, 256, 257, 300, 1000, 5000};
const std::ptrdiff_t rows = thinned() ? 17 : 35;

// All but the last family: of logits that small, differences are denormal themselves.
std::vector<std::vector<float>> families(std::ptrdiff_t n) {
    auto r = near_denormal(rows, n);
    r.pop_back();
    return r;
}

class log_softmax_mxcsr : public log_kernel_test {};
TARN_TEST_ALL_LOG_KERNELS(log_softmax_mxcsr);

TEST_P(log_softmax_mxcsr, no_denormal_is_met_or_made) {
    for (const std::ptrdiff_t n : lengths) {
        if (thinned() && n >= 300)
            continue;
        int number = 0;
        for (const std::vector<float>& x : families(n)) {
            for (const float scale : {1.0f, -0.37f}) {
                unsigned after = 0;
                {
                    fill_stack();
                    const mxcsr_scope clear(0);
                    logs_by(on(), by(), {rows, n, scale}, x);
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

TEST_P(log_softmax_mxcsr, flush_modes_change_nothing_and_stay) {
    for (const std::ptrdiff_t n : lengths) {
        if (thinned() && n >= 300)
            continue;
        for (const std::vector<float>& x : families(n)) {
            const log_results<> expected = logs_by(on(), by(), {rows, n}, x);
            const mxcsr_scope set(flush_to_zero | denormals_are_zero);
            const log_results<> got = logs_by(on(), by(), {rows, n}, x);
            ASSERT_EQ(_mm_getcsr() & (flush_to_zero | denormals_are_zero), flush_to_zero | denormals_are_zero);
            ASSERT_EQ("", difference(got.y.data(), expected.y.data(), by().results ? rows * n : 0)) << "length " << n;
            ASSERT_EQ("", difference(got.sums.data(), expected.sums.data(), by().sums ? rows : 0)) << "length " << n;
        }
    }
}

// Results are for rounding to nearest; other modes cost accuracy, and neither sense nor special values.
TEST_P(log_softmax_mxcsr, other_rounding_modes_keep_the_rules) {
    const std::ptrdiff_t n = 100;
    const auto x = mixed_rows(40, n, 8);
    const log_results<> expected = logs_by(on(), by(), {40, n}, x);
    for (unsigned mode = 1; mode < 4; ++mode) {
        log_results<> got;
        {
            const mxcsr_scope set(mode << rounding_shift);
            got = logs_by(on(), by(), {40, n}, x);
            ASSERT_EQ(_mm_getcsr() >> rounding_shift & 3, mode);
        }
        const auto check = [](const std::vector<float>& y, const std::vector<float>& nearest) {
            for (std::size_t i = 0; i < y.size(); ++i) {
                ASSERT_EQ(std::isnan(y[i]), std::isnan(nearest[i])) << "number " << i;
                if (!std::isnan(y[i]) && y[i] != nearest[i]) {
                    ASSERT_NEAR(y[i], nearest[i], 1e-5f * (1 + std::fabs(nearest[i]))) << "number " << i;
                }
            }
        };
        check(got.y, expected.y);
        check(got.sums, expected.sums);
    }
}

} // namespace
