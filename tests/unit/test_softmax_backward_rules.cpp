// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients: special values, memory outside the operands, denormal numbers, and the errors of the boundary.
#include "support/gradients.hpp"
#include "support/guarded.hpp"

#include <stdexcept>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class gradient_rules : public gradient_test {
protected:
    template <class T> gradient_problem<T> problem_of(const std::vector<T>& x, std::ptrdiff_t n, int seed) const {
        return gradient_problem<T>::of(of(), on(), x, n, 1.0, static_cast<std::uint64_t>(seed));
    }

    // `sizes` of gradients, the greatest of which leave nothing of a weight of 0 either.
    template <class T> void check_masked(std::initializer_list<T> sizes) const {
        for (const std::ptrdiff_t n : {2, 17, 100, 300}) {
            auto x = normal_logits<T>(4 * n, 1, 0, 1);
            for (std::size_t i = 0; i < x.size(); i += 2)
                x[i] = -inf;
            for (const T size : sizes) {
                auto p = problem_of(x, n, 2);
                for (std::size_t i = 0; i < p.dy.size(); ++i)
                    p.dy[i] = of() != gradient::logsumexp && x[i] == -inf && i % 4 == 0 ? 0 : p.dy[i] * size;
                const auto dx = gradient_of(of(), tarn::on(on()), p);
                for (std::size_t i = 0; i < x.size(); ++i) {
                    ASSERT_FALSE(std::isnan(dx[i])) << i;
                    if (x[i] == -inf) {
                        ASSERT_EQ(dx[i], of() == gradient::log_softmax ? p.dy[i] : 0) << i << ", size " << size;
                    }
                }
            }
        }
    }
    template <class T> void check_nan() const {
        for (const std::ptrdiff_t n : {2, 17, 129, 300}) {
            const std::ptrdiff_t rows = 20;
            const auto p = problem_of(normal_logits<T>(rows * n, 1, 0, 3), n, 4);
            const auto clean = gradient_of(of(), tarn::on(on()), p);
            for (const std::ptrdiff_t at : {std::ptrdiff_t{0}, n / 2, n - 1}) {
                auto spoilt = p;
                spoilt.dy[static_cast<std::size_t>(of() == gradient::logsumexp ? 7 : 7 * n + at)] = nan;
                const auto dx = gradient_of(of(), tarn::on(on()), spoilt);
                for (std::ptrdiff_t i = 0; i < rows * n; ++i) {
                    const auto k = static_cast<std::size_t>(i);
                    if (i / n == 7) {
                        ASSERT_TRUE(std::isnan(dx[k])) << i;
                    } else {
                        ASSERT_EQ(dx[k], clean[k]) << i;
                    }
                }
            }
            auto spoilt = p;
            spoilt.y[static_cast<std::size_t>(7 * n)] = nan;
            EXPECT_TRUE(std::isnan(gradient_of(of(), tarn::on(on()), spoilt)[static_cast<std::size_t>(7 * n)]));
        }
    }
    // An infinite gradient, of an element with or without weight, spoils its row and no other.
    template <class T> void check_infinite() const {
        for (const std::ptrdiff_t n : {2, 17, 129, 300}) {
            const std::ptrdiff_t rows = 20;
            auto x = normal_logits<T>(rows * n, 1, 0, 3);
            x[static_cast<std::size_t>(7 * n)] = -inf;
            const auto p = problem_of(x, n, 4);
            const auto clean = gradient_of(of(), tarn::on(on()), p);
            for (const std::ptrdiff_t at : {std::ptrdiff_t{0}, n - 1}) {
                auto spoilt = p;
                spoilt.dy[static_cast<std::size_t>(7 * n + at)] = at == 0 ? inf : -inf;
                const auto dx = gradient_of(of(), tarn::on(on()), spoilt);
                for (std::ptrdiff_t i = 0; i < rows * n; ++i) {
                    const auto k = static_cast<std::size_t>(i);
                    if (i / n != 7) {
                        ASSERT_EQ(dx[k], clean[k]) << i;
                    } else {
                        ASSERT_FALSE(std::isfinite(dx[k])) << i;
                    }
                }
            }
        }
    }
    template <class T> void check_rows_without_weight() const {
        const std::vector<T> x(40, -inf);
        auto p = problem_of(x, 20, 5);
        for (const T v : gradient_of(of(), tarn::on(on()), p))
            EXPECT_TRUE(std::isnan(v));
        if (of() == gradient::logsumexp)
            return;
        // As empty_row::zero leaves them.
        p.y.assign(p.y.size(), of() == gradient::softmax ? 0 : -inf);
        const auto dx = gradient_of(of(), tarn::on(on()), p);
        for (std::size_t i = 0; i < dx.size(); ++i)
            EXPECT_EQ(dx[i], of() == gradient::softmax ? 0 : p.dy[i]);
    }
    // Gradients next to the least number, of rows of all spreads.
    template <class T> void check_denormals(T small) const {
        for (const std::ptrdiff_t n : {7, 33, 300, 1000}) {
            for (const double sd : {1.0, 50.0}) {
                auto p = problem_of(normal_logits<T>(20 * n, sd, 0, 8), n, 9);
                for (std::size_t i = 0; i < p.dy.size() / 2; ++i)
                    p.dy[i] *= small;
                for (const T v : gradient_of(of(), tarn::on(on()), p))
                    ASSERT_NE(std::fpclassify(v), FP_SUBNORMAL) << n << ", sd " << sd;
            }
        }
    }
};
TARN_TEST_ALL_GRADIENTS(gradient_rules);

TEST_P(gradient_rules, masked_logits_get_nothing) {
    check_masked<float>({0x1p-100f, 1.0f, 0x1p49f, 0x1p115f});
    check_masked<double>({0x1p-900, 1.0, 0x1p300, 0x1p990});
}

TEST_P(gradient_rules, nan_stays_in_its_row) {
    check_nan<float>();
    check_nan<double>();
}

TEST_P(gradient_rules, infinite_gradients_stay_in_their_row) {
    if (of() == gradient::logsumexp)
        GTEST_SKIP() << "has one gradient for a row";
    check_infinite<float>();
    check_infinite<double>();
}

TEST_P(gradient_rules, rows_without_weight) {
    check_rows_without_weight<float>();
    check_rows_without_weight<double>();
}

// A lse of 3e38 may be less than the logit it came from by 1e31: the share of that logit is still 1, and no more.
TEST_P(gradient_rules, far_rows_stay_finite) {
    if (of() != gradient::logsumexp)
        GTEST_SKIP() << "takes no logits";
    for (const float far : {1e8f, 3e38f, -3e38f, 1e20f}) {
        for (const float scale : {0.75f, -0.37f, 1.0f, 0.1f}) {
            std::vector<float> x(40, -3.4e38f * (scale < 0 ? -1.0f : 1.0f));
            x[7] = x[31] = far;
            auto p = gradient_problem<>::of(of(), on(), x, 20, scale, 10);
            const auto dx = gradient_of(of(), tarn::on(on()), p);
            for (std::size_t i = 0; i < dx.size(); ++i) {
                ASSERT_LE(std::fabs(dx[i]), std::fabs(p.dy[i / 20] * scale) * 1.000001f) << far << ", scale " << scale;
            }
        }
    }
}

TEST_P(gradient_rules, nothing_outside_the_operands) {
    const std::ptrdiff_t most = 40 * 300;
    guarded_floats y(most), dy(most), dx(most);
    for (const std::ptrdiff_t n : {1, 2, 15, 16, 17, 31, 33, 63, 65, 127, 129, 131, 191, 193, 257, 300}) {
        for (const std::ptrdiff_t rows : {1, 3, 17, 33}) {
            const auto p = gradient_problem<>::of(of(), on(), normal_logits(rows * n, 1, 0, 6), n, 1.0f, 7);
            for (const bool by_columns : {false, true}) {
                for (const bool at_end : {false, true}) {
                    for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
                        const std::ptrdiff_t size = rows * n;
                        float* const from = at_end ? y.against_end(size) : y.against_start();
                        float* const with = at_end ? dy.against_end(size) : dy.against_start();
                        float* const to = at_end ? dx.against_end(size) : dx.against_start();
                        std::copy(p.y.begin(), p.y.end(), from);
                        std::copy(p.dy.begin(), p.dy.end(), with);
                        const steps place = by_columns ? steps{1, rows} : steps{n, 1};
                        ASSERT_EQ("", fault_in([&] {
                                      run_gradient(of(), tarn::on(on()), p, place.view<const float>(from, rows, n),
                                                   place.view<const float>(with, rows, n), place.view(to, rows, n),
                                                   how);
                                  }))
                            << rows << " rows of " << n << (by_columns ? " as columns" : "") << (at_end ? ", end" : "");
                    }
                }
            }
        }
    }
}

TEST_P(gradient_rules, no_result_is_denormal) {
    check_denormals<float>(0x1p-120f);
    check_denormals<double>(0x1p-1015);
}

class gradient_errors : public testing::Test {
protected:
    std::vector<float> y = normal_logits(100, 1, 0, 1), dy = y, dx = std::vector<float>(100, -77.0f);
    template <class Call> std::string message_of(Call call) {
        std::string message = "nothing thrown";
        try {
            call();
        } catch (const std::invalid_argument& error) {
            message = error.what();
        }
        EXPECT_EQ(dx, std::vector<float>(100, -77.0f)) << "output changed";
        return message;
    }
};

TEST_F(gradient_errors, are_told_with_operator_and_argument) {
    using tarn::make_view;
    const auto view = [](std::vector<float>& v, std::ptrdiff_t r, std::ptrdiff_t n) {
        return make_view(v.data(), r, n);
    };
    EXPECT_EQ(message_of([&] { tarn::softmax_backward(view(y, 4, 5), view(dy, 4, 6), view(dx, 4, 5)); }),
              "tarn::softmax_backward: gradient extents {4,6}, expected {4,5}");
    EXPECT_EQ(message_of([&] { tarn::log_softmax_backward(view(y, 4, 5), view(dy, 4, 5), view(dx, 5, 4)); }),
              "tarn::log_softmax_backward: output extents {5,4}, expected {4,5}");
    EXPECT_EQ(message_of([&] { tarn::softmax_backward(view(y, 4, 5), view(dy, 4, 5), view(dx, 4, 5), {2}); }),
              "tarn::softmax_backward: axis 2, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message_of([&] {
                  tarn::softmax_backward(view(y, 4, 5), view(dy, 4, 5), view(dx, 4, 5), {-1, nan});
              }),
              "tarn::softmax_backward: scale nan, expected a number below 2^127 in magnitude");
    EXPECT_EQ(message_of([&] {
                  tarn::logsumexp_backward(view(y, 4, 5), make_view(dy.data(), 5), make_view(dy.data(), 4),
                                           view(dx, 4, 5));
              }),
              "tarn::logsumexp_backward: logsumexp extents {5}, expected {4}");
    EXPECT_EQ(message_of([&] {
                  tarn::logsumexp_backward(view(y, 4, 5), make_view(dy.data(), 4), view(dy, 4, 5), view(dx, 4, 5));
              }),
              "tarn::logsumexp_backward: gradient extents {4,5}, expected {4,1}");
    EXPECT_EQ(
        message_of([&] { tarn::softmax_backward(view(y, 4, 5), make_view(dx.data() + 1, 4, 5), view(dx, 4, 5)); }),
        "tarn::softmax_backward: output overlaps the input in part, expected memory apart from the input, or the "
        "input itself");
    EXPECT_EQ(message_of([&] {
                  tarn::logsumexp_backward(view(y, 4, 5), make_view(dx.data() + 3, 4), make_view(dy.data(), 4),
                                           view(dx, 4, 5));
              }),
              "tarn::logsumexp_backward: logsumexp overlaps the output, expected memory apart from the output");
}

} // namespace
