// SPDX-License-Identifier: BSD-3-Clause
//
// Pooling compiled into its caller.
#include "support/tiers.hpp"

#include <tarn/ada_pool.hpp>
#include <tarn/ada_unpool.hpp>
#include <tarn/gem.hpp>
#include <tarn/pool.hpp>
#include <tarn/soft_pool.hpp>

#include <cmath>
#include <vector>

namespace {

TEST(pool_header_only, max_and_average) {
    const std::ptrdiff_t n = 40;
    std::vector<float> x(static_cast<std::size_t>(3 * n * n));
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(i * 37 % 101);
    const auto view = tarn::make_view(x.data(), 3, n, n);
    for (std::ptrdiff_t k : {2, 3}) {
        const tarn::pool_window window{{k, k}};
        const auto e = tarn::pool_output_extents(view, window);
        std::vector<float> max(static_cast<std::size_t>(e[0] * e[1] * e[2]));
        std::vector<float> average(max.size());
        std::vector<std::int32_t> index(max.size());
        tarn::max_pool(view, tarn::make_view(max.data(), e[0], e[1], e[2]),
                       tarn::make_view(index.data(), e[0], e[1], e[2]), window);
        tarn::average_pool(view, tarn::make_view(average.data(), e[0], e[1], e[2]), window);
        std::size_t at = 0;
        for (std::ptrdiff_t c = 0; c < 3; ++c)
            for (std::ptrdiff_t i = 0; i < e[1]; ++i)
                for (std::ptrdiff_t j = 0; j < e[2]; ++j, ++at) {
                    float greatest = -1;
                    float sum = 0;
                    for (std::ptrdiff_t t = 0; t < k * k; ++t) {
                        const float v = view(c, i * k + t / k, j * k + t % k);
                        greatest = v > greatest ? v : greatest;
                        sum += v;
                    }
                    ASSERT_EQ(max[at], greatest);
                    ASSERT_EQ(x[static_cast<std::size_t>(c * n * n + index[at])], greatest);
                    ASSERT_NEAR(average[at], sum / static_cast<float>(k * k), 1e-4);
                }
    }
}

TEST(pool_header_only, generalized_mean) {
    const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
    for (double p : {3.0, -1.5}) {
        double sum = 0;
        for (float v : x)
            sum += std::pow(static_cast<double>(v), p);
        float y = 0;
        tarn::gem_pool(tarn::make_view(x.data(), 2, 4), tarn::make_view(&y, 1, 1), {{2, 4}}, {p});
        EXPECT_NEAR(static_cast<double>(y), std::pow(sum / 8, 1 / p), 1e-6);
        std::vector<float> dx(8);
        float dp = 0;
        double weighted = 0;
        for (float v : x)
            weighted += std::pow(static_cast<double>(v), p) / sum * std::log(static_cast<double>(v));
        const float dy = 2;
        const auto mean = static_cast<double>(y);
        tarn::gem_pool_backward(tarn::make_view(x.data(), 2, 4), tarn::make_view(&dy, 1, 1),
                                tarn::make_view(dx.data(), 2, 4), dp, {{2, 4}}, {p});
        EXPECT_NEAR(static_cast<double>(dx[2]), 2 / 8.0 * std::pow(3 / mean, p - 1), 1e-6);
        EXPECT_NEAR(static_cast<double>(dp), 2 * mean / p * (weighted - std::log(mean)), 1e-6);
    }
}

TEST(pool_header_only, soft) {
    const std::vector<float> x = {0, 1, 2, 3, 90, 0, -4, -4};
    std::vector<float> y(4);
    tarn::soft_pool(tarn::make_view(x.data(), 8), tarn::make_view(y.data(), 4), {{2}});
    const float pair = 1 / (1 + std::exp(-1.0f));
    const std::vector<float> expected = {pair, 2 + pair, 90, -4};
    for (std::size_t i = 0; i < y.size(); ++i)
        EXPECT_NEAR(y[i], expected[i], 1e-6);
    std::vector<float> dx(8);
    tarn::soft_pool_backward(tarn::make_view(x.data(), 8), tarn::make_view(y.data(), 4), tarn::make_view(dx.data(), 8),
                             {{2}}, {1, tarn::soft_pool_gradient::weights_only});
    EXPECT_NEAR(dx[1], pair * y[0], 1e-6);
    tarn::soft_pool_backward(tarn::make_view(x.data(), 8), tarn::make_view(y.data(), 4), tarn::make_view(dx.data(), 8),
                             {{2}});
    EXPECT_NEAR(dx[1], pair * (2 - pair) * y[0], 1e-6);
}

TEST(pool_header_only, adaptive) {
    const std::vector<float> x = {1, 3, 0, 2, -4, -4};
    std::vector<float> y(3);
    const auto in = tarn::make_view(x.data(), 6);
    const auto out = tarn::make_view(y.data(), 3);
    tarn::edscw_pool(in, out, {{2}});
    // Of 1 and 3 the mean is 2, of 0 and 2 it is 1: similarities 0.8 and 12 / 13, 0 and 0.8.
    const float first = (std::exp(0.8f) + 3 * std::exp(12 / 13.0f)) / (std::exp(0.8f) + std::exp(12 / 13.0f));
    const float second = 2 * std::exp(0.8f) / (1 + std::exp(0.8f));
    const std::vector<float> expected = {first, second, -4};
    const float soft = 2 / (1 + std::exp(-2.0f));
    for (std::size_t i = 0; i < y.size(); ++i)
        EXPECT_NEAR(y[i], expected[i], 1e-6);
    tarn::ada_pool(in, 0.25f, out, {{2}});
    EXPECT_NEAR(y[1], second / 4 + soft * 3 / 4, 1e-6);
    std::vector<float> z(6);
    tarn::ada_unpool(in, 0.25f, out, tarn::make_view(z.data(), 6), {{2}});
    EXPECT_NEAR(z[4], -4, 1e-5);
    std::vector<float> dx(6);
    float dbeta = 0;
    const std::vector<float> dy = {0, 1, 0};
    tarn::ada_pool_backward(in, 0.25f, tarn::make_view(dy.data(), 3), tarn::make_view(dx.data(), 6), dbeta, {{2}});
    EXPECT_NEAR(dbeta, second - soft, 1e-6);
    EXPECT_EQ(dx[0], 0);
}

} // namespace
