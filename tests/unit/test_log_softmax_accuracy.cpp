// SPDX-License-Identifier: BSD-3-Clause
//
// Both kernels on every tier are within 4 ulp of the exact log-softmax, and their sums within 4 ulp of what they are
// made of, whatever the size, spread and offset of the logits and the scale.
#include "support/inputs.hpp"
#include "support/log_kernels.hpp"
#include "support/log_oracle.hpp"

#include <cstdio>

namespace {

using namespace support;

constexpr double bound = 4.0;
constexpr double spreads[] = {0.001, 1, 10, 50};
constexpr double offsets[] = {0, 1000, -1000, 1e6, -1e6, 1e8, 49800};
constexpr float scales[] = {1, 0.125f, -1, 3, -0.37f, 0, 1e-30f, 100};

// Rows of normal logits and their exact results.
struct rows_case {
    std::ptrdiff_t rows, n;
    double sd, offset;
    float scale;
    std::vector<float> x;
    std::vector<exact_log_sum> sums;
    std::vector<std::vector<long double>> y;

    rows_case(std::ptrdiff_t r, std::ptrdiff_t c, double d, double o, float s, std::uint64_t seed)
        : rows(r), n(c), sd(d), offset(o), scale(s), x(normal_logits(r * c, d, o, seed)) {
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            sums.emplace_back(x.data() + i * n, n, scale);
            y.push_back(exact_log_softmax(x.data() + i * n, n, scale));
        }
    }
};

// Lengths up to four packs of 16 and a tail, with every combination of spread, offset and scale.
const std::vector<rows_case>& short_lengths() {
    static const std::vector<rows_case> cases = [] {
        std::vector<rows_case> r;
        std::uint64_t seed = 0;
        for (std::ptrdiff_t n = 1; n <= 4 * 16 + 3; ++n) {
            for (const double sd : spreads) {
                for (const double offset : offsets) {
                    for (const float scale : scales) {
                        if (++seed % (thinned() ? 11 : 1) == 0)
                            r.emplace_back(2, n, sd, offset, scale, seed);
                    }
                }
            }
        }
        return r;
    }();
    return cases;
}

// Enough rows for whole tiles and wide blocks.
const std::vector<rows_case>& many_rows() {
    static const std::vector<rows_case> cases = [] {
        std::vector<rows_case> r;
        std::uint64_t seed = 100000;
        for (const std::ptrdiff_t n : {1, 7, 16, 33, 100, 131, 256}) {
            for (const double sd : spreads)
                ++seed, r.emplace_back(thinned() ? 20 : 150, n, sd, offsets[seed % 7], scales[seed % 8], seed);
        }
        return r;
    }();
    return cases;
}

// Prime lengths: each ends somewhere else in packs, blocks and chunks.
const std::vector<rows_case>& primes() {
    static const std::vector<rows_case> cases = [] {
        std::vector<rows_case> r;
        std::uint64_t seed = 200000;
        for (const std::ptrdiff_t n : {257, 521, 1031, 2053, 4099, 8191, 16411, 65537, 65599, 131071, 131101}) {
            for (const double sd : spreads) {
                ++seed;
                if (!thinned() || n < 70000)
                    r.emplace_back(n < 5000 ? 3 : 1, n, sd, offsets[seed % 7], seed % 3 ? 1.0f : scales[seed % 8],
                                   seed);
            }
        }
        return r;
    }();
    return cases;
}

// Rows that one element dominates, so that its log-probability is next to 0. Equal others would all be rounded the same
// way if they were added to the element.
const std::vector<rows_case>& dominated_rows() {
    static const std::vector<rows_case> cases = [] {
        std::vector<rows_case> r;
        for (const std::ptrdiff_t n : {2, 16, 33, 100, 256, 257, 1000, 70001}) {
            if (thinned() && n > 10000)
                break;
            for (int gap = 8; gap <= 112; gap += n > 10000 ? 26 : n > 100 ? 5 : 1) {
                for (const bool equal : {true, false}) {
                    rows_case c(1, n, equal ? 0 : 1, 0, 1, static_cast<std::uint64_t>(gap));
                    c.x[static_cast<std::size_t>(gap * 7 % n)] = 0.7f + static_cast<float>(gap);
                    c.sums = {exact_log_sum(c.x.data(), n, 1)};
                    c.y = {exact_log_softmax(c.x.data(), n, 1)};
                    r.push_back(c);
                }
            }
        }
        return r;
    }();
    return cases;
}

class log_softmax_accuracy : public log_kernel_test {
protected:
    void check(const std::vector<rows_case>& cases) {
        double worst = 0;
        double worst_sum = 0;
        for (const rows_case& c : cases) {
            const log_results<> got = logs_by(on(), by(), {c.rows, c.n, c.scale}, c.x);
            for (std::size_t r = 0; r < c.y.size(); ++r) {
                const double error =
                    by().results ? worst_log_error(&got.y[r * static_cast<std::size_t>(c.n)], c.y[r]) : 0.0;
                const double sum_error = by().sums ? log_sum_error(got.sums[r], c.sums[r]) : 0.0;
                worst = std::max(worst, error);
                worst_sum = std::max(worst_sum, sum_error);
                ASSERT_LE(std::max(error, sum_error), bound)
                    << "row " << r << " of " << c.n << ", sd " << c.sd << " offset " << c.offset << " scale " << c.scale
                    << ", results " << error << ", sum " << sum_error;
            }
        }
        RecordProperty("worst_ulp", std::to_string(worst));
        RecordProperty("worst_ulp_of_sums", std::to_string(worst_sum));
        std::printf("    worst %.3f ulp, of sums %.3f\n", worst, worst_sum);
    }
};
TARN_TEST_ALL_LOG_KERNELS(log_softmax_accuracy);

TEST_P(log_softmax_accuracy, every_short_length) { check(short_lengths()); }
TEST_P(log_softmax_accuracy, many_rows) { check(many_rows()); }
TEST_P(log_softmax_accuracy, primes) { check(primes()); }
TEST_P(log_softmax_accuracy, dominated_rows) { check(dominated_rows()); }

// Exactly 0 where an element is alone, whatever its weight.
TEST_P(log_softmax_accuracy, an_element_alone_has_0) {
    constexpr float nothing = -std::numeric_limits<float>::infinity();
    for (const std::ptrdiff_t n : {1, 2, 15, 16, 17, 100, 257, 300}) {
        const std::ptrdiff_t rows = 70;
        std::vector<float> x(static_cast<std::size_t>(rows * n), nothing);
        for (std::ptrdiff_t r = 0; r < rows; ++r)
            x[static_cast<std::size_t>(r * n + r % n)] = 37.7f * static_cast<float>(r) - 1000.0f;
        const log_results<> got = logs_by(on(), by(), {rows, n}, x);
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            const auto at = static_cast<std::size_t>(r * n + r % n);
            if (by().results) {
                ASSERT_EQ(got.y[at], 0.0f) << x[at] << " in a row of " << n;
            }
            if (by().sums) {
                ASSERT_EQ(got.sums[static_cast<std::size_t>(r)], x[at]) << "in a row of " << n;
            }
        }
    }
}

} // namespace
