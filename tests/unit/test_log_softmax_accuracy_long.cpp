// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of 1e6 and 64e6 logits keep the bound of 4 ulp: the sum of that many weights is still good.
#include "support/inputs.hpp"
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"

#include <cstdio>
#include <utility>

namespace {

using namespace support;

constexpr double bound = 4.0;

class log_softmax_of_long_rows : public tier_test {};
TARN_TEST_ON_ALL_TIERS(log_softmax_of_long_rows);

TEST_P(log_softmax_of_long_rows, a_million) {
    double worst = 0;
    double worst_sum = 0;
    for (const std::ptrdiff_t n : {262147, 999983}) {
        for (const double sd : {1.0, 50.0}) {
            const auto x = normal_logits(n, sd, sd == 1.0 ? -1e6 : 1000.0, static_cast<std::uint64_t>(n));
            const auto exact = exact_log_softmax(x.data(), n, 1.0f);
            std::vector<float> y(x.size());
            for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
                tarn::log_softmax_options options;
                options.stores = how;
                tarn::log_softmax(tarn::on(GetParam()), tarn::make_view(x.data(), n), tarn::make_view(y.data(), n),
                                  options);
                worst = std::max(worst, worst_log_error(y.data(), exact));
            }
            worst_sum =
                std::max(worst_sum, specified_log_sum_error(logsumexp_alone(GetParam(), x.data(), n), x.data(), n, 1));
            EXPECT_LE(std::max(worst, worst_sum), bound) << n << ", sd " << sd;
        }
        if (sanitized)
            break;
    }
    RecordProperty("worst_ulp", std::to_string(worst));
    RecordProperty("worst_ulp_of_sums", std::to_string(worst_sum));
    std::printf("    worst %.3f ulp, of sums %.3f\n", worst, worst_sum);
}

// exp in double is good to 2^-52, so only the sum is kept in long double here.
TEST(log_softmax_of_a_very_long_row, sixty_four_million) {
    const std::ptrdiff_t n = thinned() ? 1'000'003 : 64'000'000;
    auto x = normal_logits(1'000'003, 1.0, 0.0, 64);
    x.resize(static_cast<std::size_t>(n));
    for (std::size_t i = 1'000'003; i < x.size(); ++i)
        x[i] = x[i - 1'000'003] + 0x1p-10f;
    float of_all = 0;
    tarn::logsumexp(tarn::make_view(x.data(), n), of_all);
    float of_mean = 0;
    tarn::logmeanexp(tarn::make_view(x.data(), n), of_mean);
    long double sum = 0;
    double part = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        part += std::exp(static_cast<double>(x[i]));
        if (i % 4096 == 0)
            sum += std::exchange(part, 0);
    }
    sum += part;
    const long double exact = std::log(sum);
    EXPECT_LE(units_between(of_all, exact, exact), bound);
    EXPECT_LE(units_between(of_mean, exact - std::log(static_cast<long double>(n)), exact), bound);
    // In place, so that a small machine has the memory.
    std::vector<std::pair<std::size_t, float>> samples;
    for (std::size_t i = 0; i < x.size(); i += 13)
        samples.emplace_back(i, x[i]);
    tarn::log_softmax(tarn::make_view(x.data(), n), tarn::make_view(x.data(), n));
    double worst = 0;
    for (const auto& sample : samples)
        worst = std::max(worst, log_error(x[sample.first], static_cast<long double>(sample.second) - exact));
    EXPECT_LE(worst, bound);
    RecordProperty("worst_ulp", std::to_string(worst));
    std::printf("    worst %.3f ulp\n", worst);
}

} // namespace
