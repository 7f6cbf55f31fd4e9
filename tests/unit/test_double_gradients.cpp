// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of doubles: within 4 ulp of the magnitudes that they are made of, and what differences of the forward
// operators say.
#include "support/gradients.hpp"
#include "support/rows.hpp"

#include <cstdio>

namespace {

using namespace support;

class double_gradients : public gradient_test {};
TARN_TEST_ALL_GRADIENTS(double_gradients);

TEST_P(double_gradients, are_within_four_ulp) {
    double worst = 0;
    std::uint64_t seed = 0;
    for (const std::ptrdiff_t n : edge_lengths({521, 1031, 4097, 65537, 131101})) {
        if (thinned() && n > 2000)
            continue;
        for (const double sd : {1.0, 10.0, 100.0}) {
            ++seed;
            const double offset = seed % 3 == 0 ? 1000 : 0;
            const double scale = seed % 4 == 1 ? 0.1 : seed % 4 == 2 ? -0.37 : 1;
            const std::ptrdiff_t rows = n < 300 ? 11 : 2;
            const auto p = gradient_problem<double>::of(of(), on(), normal_logits<double>(rows * n, sd, offset, seed),
                                                        n, scale, seed + 1);
            for (const auto how : {tarn::stores::cached, tarn::stores::streaming}) {
                const auto dx = gradient_of(of(), tarn::on(on()), p, how);
                for (std::ptrdiff_t r = 0; r < rows; ++r) {
                    const auto exact = exact_gradients(of(), p, r);
                    for (std::ptrdiff_t i = 0; i < n; ++i) {
                        const double error =
                            gradient_error(dx[static_cast<std::size_t>(r * n + i)], exact[static_cast<std::size_t>(i)]);
                        worst = std::max(worst, error);
                        ASSERT_LE(error, 4.0) << "row " << r << " of " << n << ", element " << i << ", sd " << sd
                                              << " offset " << offset << " scale " << scale;
                    }
                }
            }
        }
    }
    std::printf("    worst %.3f ulp\n", worst);
}

// Central differences of sum dy y, in steps that lose a third of the digits.
TEST_P(double_gradients, are_differences_of_the_forward_operator) {
    const std::ptrdiff_t n = 12;
    const double scale = 0.7, h = 1e-5;
    const auto x = normal_logits<double>(n, 1, 0, 3);
    const auto p = gradient_problem<double>::of(of(), on(), x, n, scale, 4);
    const auto dx = gradient_of(of(), tarn::on(on()), p);
    const auto value = [&](std::vector<double> at) {
        std::vector<double> y(at.size());
        double sum = 0;
        if (of() == gradient::logsumexp) {
            tarn::logsumexp(tarn::on(on()), at, y[0], {-1, scale});
            return p.dy[0] * y[0];
        }
        if (of() == gradient::softmax)
            tarn::softmax(tarn::on(on()), at, y, {-1, scale});
        else
            tarn::log_softmax(tarn::on(on()), at, y, {-1, scale});
        for (std::size_t i = 0; i < y.size(); ++i)
            sum += p.dy[i] * y[i];
        return sum;
    };
    for (std::size_t i = 0; i < x.size(); ++i) {
        auto above = x, below = x;
        above[i] += h;
        below[i] -= h;
        EXPECT_NEAR(dx[i], (value(above) - value(below)) / (above[i] - below[i]), 1e-9) << i;
    }
}

// In place over either operand, along either axis.
TEST_P(double_gradients, have_the_bits_of_rows_alone) {
    const std::ptrdiff_t rows = 21;
    for (const std::ptrdiff_t n : {1, 7, 8, 9, 12, 15, 40, 129, 300}) {
        const auto p = gradient_problem<double>::of(of(), on(), normal_logits<double>(rows * n, 3, 0, 5), n, 0.1, 6);
        const auto expected = gradient_of(of(), tarn::on(on()), p);
        const bool numbers = of() == gradient::logsumexp;
        const steps dense{n, 1}, columns{1, rows};
        std::vector<double> y = p.y;
        run_gradient<decltype(tarn::on(on())), double>(of(), tarn::on(on()), p, dense.view(y.data(), rows, n),
                                                       dense.view(p.dy.data(), rows, numbers ? 1 : n),
                                                       dense.view(y.data(), rows, n), tarn::stores::automatic);
        ASSERT_EQ("", difference(y.data(), expected.data(), rows * n)) << n;
        std::vector<double> yt(p.y.size()), dyt(p.y.size());
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                yt[static_cast<std::size_t>(i * rows + r)] = p.y[static_cast<std::size_t>(r * n + i)];
                if (!numbers)
                    dyt[static_cast<std::size_t>(i * rows + r)] = p.dy[static_cast<std::size_t>(r * n + i)];
            }
        }
        run_gradient<decltype(tarn::on(on())), double>(of(), tarn::on(on()), p, columns.view(yt.data(), rows, n),
                                                       columns.view(dyt.data(), rows, n),
                                                       columns.view(yt.data(), rows, n), tarn::stores::automatic);
        for (std::ptrdiff_t r = 0; r < rows; ++r)
            ASSERT_EQ("", difference(yt.data() + r, expected.data() + r * n, n, rows)) << "column " << r << " of " << n;
    }
}

} // namespace
