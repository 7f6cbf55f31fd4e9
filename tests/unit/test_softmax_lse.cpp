// SPDX-License-Identifier: BSD-3-Clause
//
// The log-sum-exp that softmax fills beside its results: the same bits by every kernel, exact to 4 ulp of what
// exp(scale * x - lse) needs, and the results are those without it.
#include "support/kernels.hpp"
#include "support/refusals.hpp"
#include "support/rows.hpp"

#include <tarn/range.hpp>

#include <cmath>

namespace {

using namespace support;

// One row alone.
float lse_alone(tarn::tier t, const float* x, std::ptrdiff_t n, float scale) {
    std::vector<float> y(static_cast<std::size_t>(n));
    float lse = -77.0f;
    tarn::softmax(tarn::on(t), tarn::make_view(x, n), y, lse, {-1, scale});
    return lse;
}

long double exact_lse(const float* x, std::ptrdiff_t n, float scale, long double* greatest) {
    long double m = -HUGE_VALL;
    for (std::ptrdiff_t i = 0; i < n; ++i)
        m = std::max(m, static_cast<long double>(scale) * static_cast<long double>(x[i]));
    long double sum = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i)
        sum += std::exp(static_cast<long double>(scale) * static_cast<long double>(x[i]) - m);
    *greatest = m;
    return m + std::log(sum);
}

class softmax_lse_kernels : public kernel_test {};
TARN_TEST_ALL_KERNELS(softmax_lse_kernels);

TEST_P(softmax_lse_kernels, bits_do_not_depend_on_the_kernel) {
    for (const std::ptrdiff_t n : {1, 5, 16, 17, 64, 256, 257, 1000, 70000}) {
        if (n < shortest_row(by()) || n > longest_row(by()) || (thinned() && n > 1000))
            continue;
        const std::ptrdiff_t rows = n > 1000 ? 3 : 150;
        for (const float scale : {1.0f, -0.7f}) {
            const auto x = mixed_rows(rows, n, static_cast<std::uint64_t>(n));
            const placement place = place_rows(by(), rows, n);
            const std::ptrdiff_t size = place.size(rows, n);
            aligned_floats in(size), out(size), scratch(scratch_size(by(), n));
            each_placed(place, rows, n, [&](std::size_t dense, std::ptrdiff_t at) { in.data()[at] = x[dense]; });
            std::vector<float> lse(static_cast<std::size_t>(2 * rows), -77.0f);
            float* const y = by().in_place ? in.data() : out.data();
            run_kernel(on(), by(), {rows, n, scale}, in.data(), place, y, place,
                       by().scratch ? scratch.data() : nullptr, scratch_size(by(), n), lse.data(), 2);
            std::vector<float> expected(static_cast<std::size_t>(n)), got(static_cast<std::size_t>(n));
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const float alone = lse_alone(on(), x.data() + r * n, n, scale);
                ASSERT_EQ("", difference(&lse[static_cast<std::size_t>(2 * r)], &alone, 1))
                    << "row " << r << " of " << n;
                ASSERT_EQ(lse[static_cast<std::size_t>(2 * r + 1)], -77.0f);
                ASSERT_EQ("", difference(y + place.at(r, 0), softmax_alone(on(), x.data() + r * n, n, scale).data(), n,
                                         place.element));
            }
        }
    }
}

class softmax_lse : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_lse);

TEST_P(softmax_lse, accuracy) {
    double worst = 0;
    std::uint64_t seed = 1;
    for (const std::ptrdiff_t n : {1, 2, 3, 16, 100, 1000, 40000}) {
        for (const double sd : {0.0, 1e-3, 1.0, 10.0, 50.0}) {
            for (const double offset : {0.0, 1e-4, -3.0, 1000.0, -1e6, 1e8}) {
                for (const float scale : {1.0f, -1.0f, 0.37f, 1e-3f, 1e3f}) {
                    const auto x = normal_logits(n, sd, offset, ++seed);
                    const float lse = lse_alone(GetParam(), x.data(), n, scale);
                    long double greatest = 0;
                    const long double exact = exact_lse(x.data(), n, scale, &greatest);
                    const long double size = std::max({1.0L, std::fabs(exact), std::fabs(greatest)});
                    const long double unit = std::ldexp(1.0L, std::ilogb(static_cast<double>(size)) - 23);
                    worst =
                        std::max(worst, static_cast<double>(std::fabs(static_cast<long double>(lse) - exact) / unit));
                    ASSERT_LE(worst, 4.0) << "n " << n << " sd " << sd << " offset " << offset << " scale " << scale;
                }
            }
        }
    }
    RecordProperty("ulp", std::to_string(worst));
}

TEST_P(softmax_lse, special_rows) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const auto of = [&](std::vector<float> x) {
        return lse_alone(GetParam(), x.data(), static_cast<std::ptrdiff_t>(x.size()), 1.0f);
    };
    EXPECT_EQ(of({-inf, -inf, -inf}), -inf);
    EXPECT_EQ(of(std::vector<float>(300, -inf)), -inf);
    EXPECT_TRUE(std::isnan(of({1.0f, std::nanf("")})));
    EXPECT_TRUE(std::isnan(of({1.0f, inf})));
    EXPECT_EQ(of({1e30f, 0.0f}), 1e30f);
    EXPECT_EQ(of({-inf, 3.0f}), 3.0f);
    EXPECT_EQ(of({}), -inf);
    float lse[2] = {7.0f, 7.0f};
    float* const none = nullptr;
    tarn::softmax(tarn::on(GetParam()), tarn::make_view(none, 2, 0), tarn::make_view(none, 2, 0), lse);
    EXPECT_EQ(lse[0], -inf);
    EXPECT_EQ(lse[1], -inf);
    tarn::softmax(tarn::on(GetParam()), tarn::make_view(none, 0, 2), tarn::make_view(none, 0, 2),
                  tarn::make_view(none, 0));
}

TEST_P(softmax_lse, refuses_what_does_not_fit) {
    std::vector<float> x(12, 1.0f), y(12, 5.0f), lse(4, 5.0f);
    const auto in = tarn::make_view(x.data(), 3, 4);
    const auto out = tarn::make_view(y.data(), 3, 4);
    const auto on = tarn::on(GetParam());
    EXPECT_EQ(refusal_of([&] { tarn::softmax(on, in, out, lse); }),
              "tarn::softmax: logsumexp extents {4}, expected {3}");
    EXPECT_EQ(refusal_of([&] { tarn::softmax(on, in, out, tarn::make_view(lse.data(), 4, 1)); }),
              "tarn::softmax: logsumexp extents {4,1}, expected {3,1}");
    EXPECT_EQ(refusal_of([&] { tarn::softmax(on, in, out, tarn::make_view(x.data() + 5, 3)); }),
              "tarn::softmax: logsumexp overlaps the input, expected memory apart from the input");
    EXPECT_EQ(refusal_of([&] { tarn::softmax(on, in, out, tarn::make_view(y.data(), 3)); }),
              "tarn::softmax: logsumexp overlaps the output, expected memory apart from the output");
    EXPECT_EQ(refusal_of(
                  [&] { tarn::softmax(on, in, out, tarn::make_view(lse.data(), tarn::extents{3}, tarn::strides{0})); }),
              "tarn::softmax: logsumexp strides {0}, expected no stride of 0 along an extent above 1");
    EXPECT_EQ(y, std::vector<float>(12, 5.0f));
    EXPECT_EQ(lse, std::vector<float>(4, 5.0f));
    EXPECT_EQ(refusal_of([&] { tarn::softmax(on, in, out, tarn::make_view(lse.data(), 1, 4), {0}); }), "no exception");
}

TEST(softmax_lse_call, without_a_place) {
    const std::vector<float> x = {1.0f, 2.0f};
    std::vector<float> y(2);
    float lse = 0;
    tarn::softmax(x, y, lse);
    EXPECT_NEAR(lse, 2.3132617f, 1e-6f);
    tarn::softmax(x, y, lse, {0, 2.0f});
    EXPECT_NEAR(lse, 4.126928f, 1e-6f);
}

} // namespace
