// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax, log-sum-exp and logaddexp of doubles: by every kernel on every tier, within 4 ulp next to 0 as well, by
// the rules for special values, with one row's bits whoever computes it, and without a denormal number.
#include "support/guarded.hpp"
#include "support/log_kernels.hpp"
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"
#include "support/mxcsr.hpp"
#include "support/near_denormal.hpp"

#include <cstdio>

namespace {

using namespace support;

constexpr double scales[] = {1, 0.1, -0.37, 3, -1e-5};

class double_logs : public log_kernel_test {};
TARN_TEST_ALL_LOG_KERNELS(double_logs);

TEST_P(double_logs, are_within_four_ulp) {
    double worst = 0, worst_sum = 0;
    std::uint64_t seed = 0;
    for (const std::ptrdiff_t n : edge_lengths({521, 1031, 8191, 65537, 131101})) {
        if (thinned() && n > 2000)
            continue;
        for (const double sd : {0.1, 1.0, 10.0, 400.0}) {
            ++seed;
            const double offset = seed % 5 == 0 ? 1e6 : seed % 3 == 0 ? -700 : 0;
            const double scale = scales[seed % 5];
            const auto x = normal_logits<double>(2 * n, sd, offset, seed);
            const auto got = logs_by(on(), by(), {2, n, scale}, x);
            for (std::ptrdiff_t r = 0; r < 2; ++r) {
                const double* const row = x.data() + r * n;
                const double error =
                    by().results ? worst_log_error(got.y.data() + r * n, exact_log_softmax(row, n, scale)) : 0;
                const double sum_error =
                    by().sums ? log_sum_error(got.sums[static_cast<std::size_t>(r)], exact_log_sum(row, n, scale)) : 0;
                worst = std::max(worst, error);
                worst_sum = std::max(worst_sum, sum_error);
                ASSERT_LE(std::max(error, sum_error), 4.0)
                    << "row " << r << " of " << n << ", sd " << sd << " offset " << offset << " scale " << scale;
            }
        }
    }
    std::printf("    worst %.3f ulp, sums %.3f\n", worst, worst_sum);
}

// A row that one element dominates, by all factors down to where nothing is left.
TEST_P(double_logs, next_to_zero) {
    double worst = 0;
    for (const std::ptrdiff_t n : {2, 9, 16, 100, 300}) {
        std::vector<double> x;
        const std::ptrdiff_t rows = 760;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            auto row = normal_logits<double>(n, 1, -static_cast<double>(r), static_cast<std::uint64_t>(r + n));
            row[static_cast<std::size_t>(r % n)] = 3.1;
            x.insert(x.end(), row.begin(), row.end());
        }
        const auto got = logs_by(on(), by(), {rows, n, 1.0}, x);
        for (std::ptrdiff_t r = 0; by().results && r < rows; ++r) {
            const double error = worst_log_error(got.y.data() + r * n, exact_log_softmax(x.data() + r * n, n, 1.0));
            worst = std::max(worst, error);
            ASSERT_LE(error, 4.0) << "row " << r << " of " << n;
        }
    }
    std::printf("    worst %.3f ulp\n", worst);
}

TEST_P(double_logs, rows_are_independent_and_follow_the_rules) {
    for (const std::ptrdiff_t n : {1, 2, 7, 8, 9, 16, 17, 40, 100, 256, 257, 300, 1000, 70000}) {
        if (thinned() && n > 2000)
            continue;
        for (const std::ptrdiff_t rows : {1, 7, 8, 19, 70}) {
            if (n > 1000 && rows > 8)
                continue;
            const double scale = rows % 2 ? 1.0 : -0.37;
            const bool lowest = rows == 8;
            const auto empty = lowest ? tarn::empty_row::zero : tarn::empty_row::nan;
            const long double value =
                lowest ? -std::numeric_limits<long double>::infinity() : std::numeric_limits<long double>::quiet_NaN();
            const auto x = mixed_rows<double>(rows, n, static_cast<std::uint64_t>(n + rows));
            const auto got = logs_by(on(), by(), {rows, n, scale, lowest}, x);
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const double* const row = x.data() + r * n;
                const auto alone = log_softmax_alone(on(), row, n, scale, empty);
                const double sum = logsumexp_alone(on(), row, n, scale);
                if (by().results) {
                    ASSERT_EQ("", difference(got.y.data() + r * n, alone.data(), n)) << "row " << r << " of " << n;
                }
                if (by().sums) {
                    ASSERT_EQ("", difference(&got.sums[static_cast<std::size_t>(r)], &sum, 1)) << r << " of " << n;
                }
                ASSERT_LE(specified_log_sum_error(sum, row, n, scale), 4.0) << "row " << r << " of " << n;
                const auto exact = specified_log_softmax(row, n, scale, value);
                for (std::size_t i = 0; i < exact.size(); ++i) {
                    if (lowest && std::isinf(exact[i]) && std::isinf(alone[i]))
                        continue;
                    ASSERT_LE(log_error(alone[i], exact[i]), 4.0) << "row " << r << " of " << n;
                }
            }
        }
    }
}

TEST_P(double_logs, no_denormal_is_met_or_made) {
    for (const std::ptrdiff_t n : {2, 7, 16, 17, 33, 64, 100, 256, 257, 1000}) {
        const std::ptrdiff_t rows = thinned() ? 9 : 19;
        int number = 0;
        for (const std::vector<double>& x : near_denormal<double>(rows, n)) {
            unsigned after = 0;
            {
                fill_stack();
                const mxcsr_scope clear(0);
                logs_by(on(), by(), {rows, n, 1.0}, x);
                after = _mm_getcsr();
            }
            ASSERT_EQ(after & (denormal_operand | underflow), 0u) << "family " << number << ", length " << n;
            ++number;
        }
    }
}

TEST_P(double_logs, touch_nothing_outside) {
    guarded_numbers<double> x_memory(2048 * 36), y_memory(2048 * 36), sums_memory(64);
    for (const std::ptrdiff_t n : edge_lengths({1000, 1023, 1024, 1025, 2048})) {
        for (const std::ptrdiff_t rows : {1, 2, 7, 8, 9, 17, 18}) {
            if (rows > 9 && n > 300)
                continue;
            const auto logits = mixed_rows<double>(rows, n, static_cast<std::uint64_t>(n));
            const placement place = place_rows(by(), rows, n);
            const std::ptrdiff_t size = place.size(rows, n);
            ASSERT_LE(size, 2048 * 36);
            for (const bool at_end : {true, false}) {
                const auto at = [&](guarded_numbers<double>& memory, std::ptrdiff_t count) {
                    return at_end ? memory.against_end(count) : memory.against_start();
                };
                double* const x = at(x_memory, size);
                double* const y = by().in_place ? x : at(y_memory, size);
                double* const sums = at(sums_memory, rows);
                each_placed(place, rows, n,
                            [&](std::size_t dense, std::ptrdiff_t placed) { x[placed] = logits[dense]; });
                ASSERT_EQ("", fault_in([&] {
                              run_log_kernel(on(), by(), {rows, n}, x, place, y, place, sums);
                          }))
                    << rows << " rows of " << n << (at_end ? " at the end" : " at the start") << " of a page";
            }
        }
    }
}

class double_logaddexp : public tier_test {};
TARN_TEST_ON_ALL_TIERS(double_logaddexp);

TEST_P(double_logaddexp, is_within_four_ulp) {
    random_bits random(9);
    const std::ptrdiff_t n = 20003;
    std::vector<double> a = normal_logits<double>(n, 30, 0, 1), b = normal_logits<double>(n, 30, 0, 2), y(a.size());
    for (std::size_t i = 0; i < a.size(); i += 3)
        b[i] = a[i] + normal_logits<double>(1, i % 2 ? 1e-3 : 1, 0, i)[0];
    constexpr double inf = std::numeric_limits<double>::infinity();
    a[0] = b[0] = -inf;
    a[1] = inf, b[1] = -inf;
    a[2] = b[2] = inf;
    a[3] = -inf, b[3] = 1.5;
    a[4] = std::numeric_limits<double>::quiet_NaN();
    tarn::logaddexp(tarn::on(GetParam()), tarn::make_view(a.data(), n), tarn::make_view(b.data(), n),
                    tarn::make_view(y.data(), n));
    EXPECT_EQ(y[0], -inf);
    EXPECT_EQ(y[1], inf);
    EXPECT_EQ(y[2], inf);
    EXPECT_EQ(y[3], 1.5);
    EXPECT_TRUE(std::isnan(y[4]));
    double worst = 0;
    for (std::size_t i = 5; i < a.size(); ++i) {
        const long double greater = std::max(a[i], b[i]);
        const long double apart = std::fabs(static_cast<long double>(a[i]) - static_cast<long double>(b[i]));
        const long double rest = std::log1p(std::exp(-apart));
        const double error =
            units_between(y[i], greater + rest, std::max({std::fabs(greater + rest), std::fabs(greater), rest}));
        worst = std::max(worst, error);
        ASSERT_LE(error, 4.0) << a[i] << " " << b[i];
    }
    std::printf("    worst %.3f ulp\n", worst);
}

} // namespace
