// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients against long double, and against differences of the forward operators.
#include "support/gradients.hpp"

#include <cstdio>

namespace {

using namespace support;

class gradient_accuracy : public gradient_test {
protected:
    double worst_ = 0;
    void check(std::ptrdiff_t rows, std::ptrdiff_t n, double sd, double offset, float scale, std::uint64_t seed) {
        const auto p =
            gradient_problem<>::of(of(), on(), normal_logits(rows * n, sd, offset, seed), n, scale, seed + 1);
        const auto dx = gradient_of(of(), tarn::on(on()), p, seed % 2 ? tarn::stores::streaming : tarn::stores::cached);
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            const auto exact = exact_gradients(of(), p, r);
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const double error =
                    gradient_error(dx[static_cast<std::size_t>(r * n + i)], exact[static_cast<std::size_t>(i)]);
                worst_ = std::max(worst_, error);
                ASSERT_LE(error, 4.0) << "element " << i << " of row " << r << " of " << n << ", sd " << sd
                                      << " offset " << offset << " scale " << scale << ": "
                                      << dx[static_cast<std::size_t>(r * n + i)];
            }
        }
    }
    void TearDown() override {
        if (!IsSkipped())
            std::printf("    worst %.3f ulp\n", worst_);
    }
};
TARN_TEST_ALL_GRADIENTS(gradient_accuracy);

TEST_P(gradient_accuracy, every_short_length) {
    std::uint64_t seed = 0;
    for (std::ptrdiff_t n = 1; n <= 67; ++n) {
        for (const double sd : {0.1, 1.0, 10.0, 50.0})
            check(3, n, sd, seed % 3 ? 0.0 : -300.0, seed % 4 ? 1.0f : -0.37f, seed), ++seed;
    }
}

TEST_P(gradient_accuracy, longer_rows) {
    std::uint64_t seed = 1000;
    for (const std::ptrdiff_t n : {127, 128, 129, 257, 1031, 4099, 65537, 131101}) {
        for (const double sd : {0.1, 1.0, 10.0, 50.0}) {
            for (const double offset : {0.0, 1000.0, -3e4}) {
                if (thinned() && n > 5000)
                    continue;
                check(n < 5000 ? 5 : 1, n, sd, offset, seed % 3 ? 1.0f : 0.125f, seed), ++seed;
            }
        }
    }
}

// Gradients of any size: powers of two, up to the greatest for which results are finite. Those of softmax below 2^-70 may be
// off by 2^-124 for every element of the row.
TEST_P(gradient_accuracy, gradients_of_any_size) {
    for (const int exponent : {-110, -90, -62, -30, 20, 63, 64, 65, 100, 115}) {
        if (of() == gradient::log_softmax && exponent < -62)
            continue; // differences of such numbers are denormal
        if (of() == gradient::logsumexp && exponent > 100)
            continue; // weights that are dropped would have results
        for (const std::ptrdiff_t n : {1, 3, 16, 33, 100, 300}) {
            for (const float scale : {1.0f, -0.3f, 12.0f}) {
                auto p = gradient_problem<>::of(of(), on(), normal_logits(n, 3, 0, static_cast<std::uint64_t>(n)), n,
                                                scale, 5);
                for (float& dy : p.dy)
                    dy = std::ldexp(dy, exponent);
                const auto dx = gradient_of(of(), tarn::on(on()), p);
                const auto exact = exact_gradients(of(), p, 0);
                for (std::size_t i = 0; i < dx.size(); ++i) {
                    const bool near = of() == gradient::softmax && exponent < -70 &&
                                      std::fabs(static_cast<double>(dx[i]) - static_cast<double>(exact[i].value)) <=
                                          static_cast<double>(p.y[i]) * 12.5 * std::ldexp(static_cast<double>(n), -124);
                    if (!near) {
                        ASSERT_LE(gradient_error(dx[i], exact[i]), 4.0)
                            << "element " << i << " of " << n << ", gradients of 2^" << exponent << ", scale " << scale
                            << ": " << dx[i] << ", exact " << static_cast<double>(exact[i].value);
                    }
                }
            }
        }
    }
}

// The derivative along one logit, by central differences in double of an operator whose own error is far below the
// step.
TEST_P(gradient_accuracy, differences_of_the_forward_operator) {
    const std::ptrdiff_t n = 11;
    const float scale = 0.75f;
    const auto x = normal_logits(n, 1, 0, 7);
    const auto p = gradient_problem<>::of(of(), on(), x, n, scale, 8);
    const auto dx = gradient_of(of(), tarn::on(on()), p);
    const auto value = [&](const std::vector<double>& at) {
        double sum = 0;
        for (const double v : at)
            sum += std::exp(static_cast<double>(scale) * v);
        double result = 0;
        for (std::size_t i = 0; i < at.size(); ++i) {
            const double t = static_cast<double>(scale) * at[i];
            if (of() == gradient::softmax)
                result += static_cast<double>(p.dy[i]) * std::exp(t) / sum;
            if (of() == gradient::log_softmax)
                result += static_cast<double>(p.dy[i]) * (t - std::log(sum));
        }
        return of() == gradient::logsumexp ? static_cast<double>(p.dy[0]) * std::log(sum) : result;
    };
    for (std::size_t i = 0; i < x.size(); ++i) {
        constexpr double step = 1e-5;
        std::vector<double> up(x.begin(), x.end());
        std::vector<double> down(x.begin(), x.end());
        up[i] += step;
        down[i] -= step;
        EXPECT_NEAR(dx[i], (value(up) - value(down)) / (2 * step), 1e-6) << i;
    }
}

} // namespace
