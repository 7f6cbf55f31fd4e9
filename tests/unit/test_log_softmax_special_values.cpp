// SPDX-License-Identifier: BSD-3-Clause
//
// NaN, infinities, the ends of the range, zeros and denormal logits, at every place of a row, for both kernels on every
// tier: results and logarithms of sums. Each special row lies between ordinary rows, which must keep their bits.
#include "support/log_kernels.hpp"
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"

#include <cfloat>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::ptrdiff_t lengths[] = {1, 7, 15, 16, 17, 31, 64, 257, 1000};

using row = std::vector<float>;

class log_softmax_special : public log_kernel_test {
protected:
    // Rows of one length, with an ordinary row before and after each of them.
    void check(const std::vector<row>& rows, float scale, bool lowest) {
        const auto n = static_cast<std::ptrdiff_t>(rows[0].size());
        const row ordinary = normal_logits(n, 2, 0, 3);
        const row expected = log_softmax_alone(on(), ordinary.data(), n, scale);
        const float expected_sum = logsumexp_alone(on(), ordinary.data(), n, scale);
        row x = ordinary;
        for (const row& r : rows) {
            x.insert(x.end(), r.begin(), r.end());
            x.insert(x.end(), ordinary.begin(), ordinary.end());
        }
        const auto count = static_cast<std::ptrdiff_t>(2 * rows.size() + 1);
        const log_results<> got = logs_by(on(), by(), {count, n, scale, lowest}, x);
        for (std::ptrdiff_t r = 0; r < count; ++r) {
            const float* const y = by().results ? got.y.data() + r * n : nullptr;
            const float* const sum = by().sums ? got.sums.data() + r : nullptr;
            const float* const given = x.data() + r * n;
            if (y && r % 2 == 0) {
                ASSERT_EQ("", difference(y, expected.data(), n)) << "neighbour " << r << ", length " << n;
            } else if (y) {
                ASSERT_LE(worst_log_error(y, specified_log_softmax(given, n, scale, lowest ? -inf : nan)), 4.0)
                    << "row " << r / 2 << ", length " << n << ", scale " << scale << ", first logit " << given[0]
                    << ", first result " << y[0];
            }
            if (sum && r % 2 == 0) {
                ASSERT_EQ("", difference(sum, &expected_sum, 1)) << "neighbour " << r << ", length " << n;
            } else if (sum) {
                ASSERT_LE(specified_log_sum_error(*sum, given, n, scale), 4.0)
                    << "row " << r / 2 << ", length " << n << ", scale " << scale << ", first logit " << given[0]
                    << ", result " << *sum;
            }
        }
    }
    // A value at every place of an ordinary row (of a long one: at both ends, and here and there).
    void check_everywhere(float value, float scale = 1.0f) {
        for (const std::ptrdiff_t n : lengths) {
            std::vector<row> rows;
            for (std::size_t i = 0; i < static_cast<std::size_t>(n);
                 i += n < 100 || (!thinned() && (i < 18 || i + 18 > static_cast<std::size_t>(n))) ? 1 : 49) {
                rows.push_back(normal_logits(n, 2, 0, i));
                rows.back()[i] = value;
            }
            check(rows, scale, false);
        }
    }
    // Rows filled with the pattern.
    void check_patterns(const std::vector<row>& patterns, float scale = 1.0f) {
        for (const std::ptrdiff_t n : lengths) {
            std::vector<row> rows;
            for (const row& pattern : patterns) {
                rows.emplace_back();
                for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
                    rows.back().push_back(pattern[i % pattern.size()]);
            }
            for (const bool lowest : {false, true})
                check(rows, scale, lowest);
        }
    }
};
TARN_TEST_ALL_LOG_KERNELS(log_softmax_special);

TEST_P(log_softmax_special, nan_makes_the_row_nan) { check_everywhere(nan); }
TEST_P(log_softmax_special, plus_infinity_makes_the_row_nan_and_the_sum_infinite) { check_everywhere(inf); }
TEST_P(log_softmax_special, minus_infinity_stays) { check_everywhere(-inf); }
TEST_P(log_softmax_special, a_mask_of_a_billion) { check_everywhere(-1e9f); }
TEST_P(log_softmax_special, the_lowest_float) { check_everywhere(-FLT_MAX); }
TEST_P(log_softmax_special, the_greatest_float) { check_everywhere(FLT_MAX); }

TEST_P(log_softmax_special, mixtures) {
    check_patterns({{nan, inf},
                    {inf, nan},
                    {-inf, nan},
                    {nan, -inf},
                    {inf, -inf},
                    {-inf, inf},
                    {nan},
                    {inf},
                    {-inf, -inf, -inf, nan},
                    {FLT_MAX, -FLT_MAX},
                    {FLT_MAX, -inf},
                    {-FLT_MAX, -inf},
                    {FLT_MAX},
                    {-FLT_MAX},
                    {FLT_MAX, nan}});
}

TEST_P(log_softmax_special, rows_without_weight) {
    check_patterns({{-inf}, {-inf, 0.0f}, {-inf}, {1.0f, -inf, -inf}, {nan, -inf}, {inf, -inf}});
}

TEST_P(log_softmax_special, negative_scale_swaps_infinities) {
    check_everywhere(inf, -1.0f);
    check_everywhere(-inf, -0.37f);
    check_patterns({{inf}, {-inf}, {inf, 1.0f}, {nan}, {inf, -inf}, {nan, inf}, {FLT_MAX}, {FLT_MAX, -FLT_MAX}}, -1.0f);
}

TEST_P(log_softmax_special, scale_zero_makes_the_row_uniform) {
    for (const float scale : {0.0f, -0.0f})
        check_patterns({{1.0f, -2.0f, 1e30f}, {FLT_MAX, -FLT_MAX}, {inf, 0.0f}, {-inf, 0.0f}, {nan, 0.0f}, {-inf}},
                       scale);
}

TEST_P(log_softmax_special, scales_beyond_the_range) {
    for (const float scale : {1e38f, -1e38f, 100.0f, 0.5f, 2e-38f}) {
        check_patterns({{FLT_MAX, -FLT_MAX}, {3e38f}, {-3e38f}, {1e30f, 0.0f}, {-1e30f, 1e30f}, {1.0f, 2.0f}, {-inf}},
                       scale);
    }
}

TEST_P(log_softmax_special, zeros_and_denormal_logits) {
    check_patterns({{0.0f, -0.0f}, {-0.0f}, {1e-45f, -1e-45f, 1e-39f}, {1e-40f, 1.0f}, {-1e-40f, -80.0f, 0.0f}});
    check_patterns({{0.0f, -0.0f}, {1e-45f, -1e-45f, 1e-39f}}, 1e30f);
}

TEST_P(log_softmax_special, far_rows) {
    check_patterns({{1e8f, 1e8f + 8, 1e8f - 16},
                    {-1e8f, -1e8f + 8, -1e8f - 16},
                    {1e30f, 1e30f * (1 + 0x1p-23f)},
                    {-1e30f, -1e30f * (1 + 0x1p-23f)},
                    {1.6e38f, -1.6e38f},
                    {88, -88},
                    {100, 0, -100},
                    {0, -103, -105},
                    {1e4f, -1e4f}});
    check_patterns({{1e8f, 1e8f + 8, 1e8f - 16}, {1e30f, 2e30f}, {0, -87.4f, -87.3f, -103, -104}}, 0.125f);
}

// 71999 and 72001 in powers of two: on both sides of where kernels begin to subtract the greatest logit.
TEST_P(log_softmax_special, both_sides_of_the_switch_to_centred_rows) {
    std::vector<row> patterns;
    for (const float t : {59999.0f, 60001.0f, 71999.0f, 72000.0f, 72001.0f}) {
        for (const float sign : {1.0f, -1.0f}) {
            const float x = sign * t * 0.69314718f;
            patterns.push_back({x, x - 1, x - 20, x - 85, x - 0.5f});
        }
    }
    check_patterns(patterns);
}

} // namespace
