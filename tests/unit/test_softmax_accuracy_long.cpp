// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of 1e6 and 64e6 logits keep the bound of 4 ulp: the sum of that many weights is still good.
#include "support/inputs.hpp"
#include "support/oracle.hpp"
#include "support/tiers.hpp"

#include <cstdio>
#include <utility>

namespace {

using namespace support;

constexpr double bound = 4.0;

class softmax_of_long_rows : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_of_long_rows);

TEST_P(softmax_of_long_rows, a_million) {
    double worst = 0;
    for (const std::ptrdiff_t n : {262147, 524287, 999983}) {
        for (const double sd : {1.0, 50.0}) {
            const auto x = normal_logits(n, sd, sd == 1.0 ? -1e6 : 1000.0, static_cast<std::uint64_t>(n));
            const auto exact = exact_softmax(x.data(), n, 1.0f);
            std::vector<float> y(x.size());
            for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
                tarn::softmax_options options;
                options.stores = how;
                tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), n), tarn::make_view(y.data(), n),
                              options);
                const double error = worst_error(y.data(), exact);
                EXPECT_LE(error, bound) << n << ", sd " << sd;
                worst = std::max(worst, error);
            }
        }
        if (sanitized)
            break;
    }
    RecordProperty("worst_ulp", std::to_string(worst));
    std::printf("    worst %.3f ulp\n", worst);
}

// exp in double is good to 2^-52, so only the sum is kept in long double here.
TEST(softmax_of_a_very_long_row, sixty_four_million) {
    const std::ptrdiff_t n = thinned() ? 1'000'003 : 64'000'000;
    auto x = normal_logits(1'000'003, 1.0, 0.0, 64);
    x.resize(static_cast<std::size_t>(n));
    for (std::size_t i = 1'000'003; i < x.size(); ++i)
        x[i] = x[i - 1'000'003] + 0x1p-10f;
    std::vector<float> y(x.size());
    tarn::softmax(tarn::make_view(x.data(), n), tarn::make_view(y.data(), n));
    long double sum = 0;
    double part = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        part += std::exp(static_cast<double>(x[i]));
        if (i % 4096 == 0)
            sum += std::exchange(part, 0);
    }
    sum += part;
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); i += 13)
        worst = std::max(worst, ulp_error(y[i], std::exp(static_cast<double>(x[i])) / sum));
    EXPECT_LE(worst, bound);
    RecordProperty("worst_ulp", std::to_string(worst));
    std::printf("    worst %.3f ulp\n", worst);
}

} // namespace
