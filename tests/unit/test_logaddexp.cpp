// SPDX-License-Identifier: BSD-3-Clause
//
// logaddexp against long double, its special values, layouts, memory and errors.
#include "support/guarded.hpp"
#include "support/rows.hpp"

#include <tarn/log_softmax.hpp>
#include <tarn/range.hpp>

#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class logaddexp : public tier_test {
protected:
    std::vector<float> of(const std::vector<float>& a, const std::vector<float>& b) const {
        std::vector<float> y(a.size());
        tarn::logaddexp(tarn::on(GetParam()), a, b, y);
        return y;
    }
};
TARN_TEST_ON_ALL_TIERS(logaddexp);

TEST_P(logaddexp, is_within_the_bound) {
    double worst = 0;
    std::uint64_t seed = 0;
    for (const double sd : {1e-3, 1.0, 10.0, 50.0, 1e6}) {
        for (const double offset : {0.0, -0.7, 1000.0, -1e6}) {
            const auto a = normal_logits(5000, sd, offset, ++seed);
            const auto b = normal_logits(5000, sd, offset, ++seed);
            const auto y = of(a, b);
            for (std::size_t i = 0; i < y.size(); ++i) {
                const long double greater = std::max(a[i], b[i]);
                const long double rest =
                    std::log1p(std::exp(-std::fabs(static_cast<long double>(a[i]) - static_cast<long double>(b[i]))));
                const long double size = std::max({std::fabs(greater + rest), std::fabs(greater), rest});
                const long double unit = std::ldexp(1.0L, std::max(-126, std::ilogb(size)) - 23);
                const auto error =
                    static_cast<double>(std::fabs(static_cast<long double>(y[i]) - (greater + rest)) / unit);
                worst = std::max(worst, error);
                ASSERT_LE(error, 4.0) << a[i] << " and " << b[i] << ": " << y[i];
            }
        }
    }
    std::printf("    worst %.3f ulp\n", worst);
}

TEST_P(logaddexp, special_values) {
    for (const std::ptrdiff_t n : {1, 5, 16, 37, 64, 100}) {
        for (std::ptrdiff_t at = 0; at < n; ++at) {
            const struct {
                float a, b, y;
            } cases[] = {{nan, 1, nan},      {1, nan, nan},    {nan, inf, nan},        {inf, nan, nan},
                         {inf, 1, inf},      {-inf, 1, 1},     {1, -inf, 1},           {inf, inf, inf},
                         {-inf, -inf, -inf}, {inf, -inf, inf}, {3e38f, -3e38f, 3e38f}, {0, 0, 0.69314718f}};
            for (const auto& c : cases) {
                std::vector<float> a(static_cast<std::size_t>(n), 2.0f);
                std::vector<float> b(a.size(), -inf);
                a[static_cast<std::size_t>(at)] = c.a;
                b[static_cast<std::size_t>(at)] = c.b;
                std::vector<float> expected(a.size(), 2.0f);
                expected[static_cast<std::size_t>(at)] = c.y;
                const auto y = of(a, b);
                ASSERT_EQ("", difference(y.data(), expected.data(), n))
                    << c.a << " and " << c.b << " at " << at << " of " << n;
            }
        }
    }
}

TEST_P(logaddexp, any_layout_and_place) {
    const std::ptrdiff_t rows = 21;
    for (const std::ptrdiff_t n : {1, 7, 16, 40}) {
        const auto a = normal_logits(rows * n, 3, 0, 1);
        const auto b = normal_logits(rows * n, 3, 0, 2);
        const auto expected = of(a, b);
        const struct {
            std::ptrdiff_t row, element;
        } places[] = {{n, 1}, {n + 5, 1}, {1, rows}, {1, 30}, {3, 3 * rows}, {-n, 1}};
        for (const auto& place : places) {
            const std::ptrdiff_t base = place.row < 0 ? -place.row * (rows - 1) : 0;
            const auto size =
                static_cast<std::size_t>(base + (place.row > 0 ? place.row : 0) * rows + place.element * n);
            std::vector<float> p(size), q(size), y(size);
            const auto at = [&](std::ptrdiff_t r, std::ptrdiff_t i) {
                return static_cast<std::size_t>(base + r * place.row + i * place.element);
            };
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                for (std::ptrdiff_t i = 0; i < n; ++i) {
                    p[at(r, i)] = a[static_cast<std::size_t>(r * n + i)];
                    q[at(r, i)] = b[static_cast<std::size_t>(r * n + i)];
                }
            }
            const auto view = [&](std::vector<float>& v) {
                return tarn::make_view(v.data() + base, tarn::extents{rows, n},
                                       tarn::strides{place.row, place.element});
            };
            for (std::vector<float>* to : {&y, &p}) {
                tarn::logaddexp(tarn::on(GetParam()), view(p), view(q), view(*to));
                for (std::ptrdiff_t r = 0; r < rows; ++r) {
                    for (std::ptrdiff_t i = 0; i < n; ++i)
                        ASSERT_EQ((*to)[at(r, i)], expected[static_cast<std::size_t>(r * n + i)])
                            << n << ", step " << place.row;
                }
            }
        }
    }
}

TEST_P(logaddexp, nothing_outside_the_operands) {
    guarded_floats a(400), b(400), y(400);
    for (std::ptrdiff_t n = 1; n <= 140; ++n) {
        for (const bool at_end : {false, true}) {
            const auto place = [&](guarded_floats& memory) {
                return at_end ? memory.against_end(n) : memory.against_start();
            };
            std::fill_n(place(a), n, 1.0f);
            std::fill_n(place(b), n, 2.0f);
            ASSERT_EQ("", fault_in([&] {
                          tarn::logaddexp(tarn::on(GetParam()), tarn::make_view(place(a), n),
                                          tarn::make_view(place(b), n), tarn::make_view(place(y), n));
                      }))
                << n;
        }
    }
}

TEST(logaddexp_errors, are_told) {
    std::vector<float> a(6, 1.0f), b(6, 2.0f), y(6, -7.0f);
    const auto message = [&](auto call) -> std::string {
        try {
            call();
        } catch (const std::invalid_argument& error) {
            return error.what();
        }
        return "nothing thrown";
    };
    EXPECT_EQ(message([&] { tarn::logaddexp(a, tarn::make_view(b.data(), 5), y); }),
              "tarn::logaddexp: second input extents {5}, expected {6}");
    EXPECT_EQ(message([&] { tarn::logaddexp(a, b, tarn::make_view(y.data(), 5)); }),
              "tarn::logaddexp: output extents {5}, expected {6}");
    EXPECT_EQ(message([&] {
                  tarn::logaddexp(tarn::make_view(a.data(), 5), tarn::make_view(b.data(), 5),
                                  tarn::make_view(a.data() + 1, 5));
              }),
              "tarn::logaddexp: output overlaps the input in part, expected memory apart from the input, or the input "
              "itself");
    EXPECT_EQ(y, std::vector<float>(6, -7.0f));
}

} // namespace
