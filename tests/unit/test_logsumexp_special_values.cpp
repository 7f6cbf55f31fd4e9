// SPDX-License-Identifier: BSD-3-Clause
//
// logsumexp and logmeanexp where they are special: empty axes, rows of one element, means of any content.
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"

#include <tarn/range.hpp>

#include <cfloat>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class logsumexp_special : public tier_test {};
TARN_TEST_ON_ALL_TIERS(logsumexp_special);

// Nothing to add: log 0, and no mean.
TEST_P(logsumexp_special, empty_axis) {
    const std::vector<float> nothing;
    float y = -1.0f;
    tarn::logsumexp(tarn::on(GetParam()), nothing, y);
    EXPECT_EQ(y, -inf);
    tarn::logmeanexp(tarn::on(GetParam()), nothing, y);
    EXPECT_TRUE(std::isnan(y));
    const float* const no_input = nullptr;
    std::vector<float> many(14, -1.0f);
    const auto out = tarn::make_view(many.data(), tarn::extents{2, 3}, tarn::strides{7, 2});
    tarn::logsumexp(tarn::on(GetParam()), tarn::make_view(no_input, 2, 0, 3), out, {1});
    for (std::size_t i = 0; i < many.size(); ++i)
        EXPECT_EQ(many[i], i % 7 < 5 && i % 7 % 2 == 0 ? -inf : -1.0f) << i;
    tarn::logmeanexp(tarn::on(GetParam()), tarn::make_view(no_input, 2, 0, 3), out, {1});
    for (std::size_t i = 0; i < many.size(); ++i)
        EXPECT_EQ(std::isnan(many[i]), i % 7 < 5 && i % 7 % 2 == 0) << i;
}

// scale * x, rounded once, of a denormal x as of 0.
TEST_P(logsumexp_special, rows_of_one) {
    const std::vector<float> x = {0.0f, -0.0f, 1.0f, -87.3f, 1e30f, -FLT_MAX, FLT_MAX, 1e-45f, 0.1f, nan, inf, -inf};
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    for (const float scale : {1.0f, -0.37f, 0.125f, 3.0f}) {
        std::vector<float> expected;
        for (const float v : x)
            expected.push_back(std::fabs(v) < FLT_MIN ? scale * 0.0f : scale * v);
        for (std::size_t i = 0; i < x.size(); ++i) {
            for (const float y :
                 {logsumexp_alone(GetParam(), &x[i], 1, scale), logmeanexp_alone(GetParam(), &x[i], 1, scale)})
                EXPECT_TRUE(std::isnan(expected[i]) ? std::isnan(y) : y == expected[i]) << y << " for " << x[i];
        }
        std::vector<float> y(x.size());
        tarn::logsumexp(tarn::on(GetParam()), tarn::make_view(x.data(), n, 1), y, {1, scale});
        for (std::size_t i = 0; i < x.size(); ++i)
            EXPECT_TRUE(std::isnan(expected[i]) ? std::isnan(y[i]) : y[i] == expected[i]) << y[i] << " for " << x[i];
    }
}

TEST_P(logsumexp_special, means_of_any_content) {
    for (const std::ptrdiff_t n : {1, 2, 15, 16, 33, 256, 257, 1000, 70001}) {
        if (thinned() && n > 10000)
            break;
        const long double offset = -std::log(static_cast<long double>(n));
        for (int kind = 0; kind < row_kinds; ++kind) {
            for (const float scale : {1.0f, -0.37f}) {
                const auto x = row_of_kind(kind, n, static_cast<std::uint64_t>(n + kind));
                EXPECT_LE(specified_log_sum_error(logmeanexp_alone(GetParam(), x.data(), n, scale), x.data(), n, scale,
                                                  offset),
                          4.0)
                    << "kind " << kind << ", length " << n << ", scale " << scale;
            }
        }
        // The mean of equal elements is the element.
        for (const float value : {0.0f, 1.0f, -300.0f, 1e8f}) {
            const std::vector<float> x(static_cast<std::size_t>(n), value);
            EXPECT_NEAR(logmeanexp_alone(GetParam(), x.data(), n), value, 0x1p-22f) << n;
        }
    }
}

} // namespace
