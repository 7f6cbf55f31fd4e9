// SPDX-License-Identifier: BSD-3-Clause
//
// logaddexp and its gradients against long double, their special values, layouts, memory and errors.
#include "support/guarded.hpp"
#include "support/refusals.hpp"
#include "support/rows.hpp"

#include <tarn/log_softmax.hpp>
#include <tarn/range.hpp>
#include <tarn/softmax_backward.hpp>

#include <cmath>
#include <cstdio>

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
    EXPECT_EQ(refusal_of([&] { tarn::logaddexp(a, tarn::make_view(b.data(), 5), y); }),
              "tarn::logaddexp: second input extents {5}, expected {6}");
    EXPECT_EQ(refusal_of([&] { tarn::logaddexp(a, b, tarn::make_view(y.data(), 5)); }),
              "tarn::logaddexp: output extents {5}, expected {6}");
    EXPECT_EQ(refusal_of([&] {
                  tarn::logaddexp(tarn::make_view(a.data(), 5), tarn::make_view(b.data(), 5),
                                  tarn::make_view(a.data() + 1, 5));
              }),
              "tarn::logaddexp: output overlaps the input in part, expected memory apart from the input, or the input "
              "itself");
    EXPECT_EQ(y, std::vector<float>(6, -7.0f));
}

class logaddexp_gradients : public tier_test {
protected:
    template <class T> struct both { std::vector<T> a, b; };
    template <class T> both<T> of(const std::vector<T>& a, const std::vector<T>& b, const std::vector<T>& dy) const {
        both<T> d{std::vector<T>(a.size()), std::vector<T>(a.size())};
        tarn::logaddexp_backward(tarn::on(GetParam()), a, b, dy, d.a, d.b);
        return d;
    }
    template <class T> void check_accuracy(double bound) const;
};
TARN_TEST_ON_ALL_TIERS(logaddexp_gradients);

template <class T> void logaddexp_gradients::check_accuracy(double bound) const {
    const bool is_double = std::is_same<T, double>::value;
    const int least = is_double ? -1022 : -126;
    const int digits = is_double ? 52 : 23;
    const long double dropped = std::ldexp(1.0L, is_double ? -957 : -118);
    double worst = 0;
    std::uint64_t seed = 0;
    for (const double sd : {1e-3, 1.0, 10.0, 50.0, 1e6}) {
        for (const double offset : {0.0, -0.7, 1000.0, -1e6}) {
            const auto a = normal_logits<T>(5000, sd, offset, ++seed);
            const auto b = normal_logits<T>(5000, sd, offset, ++seed);
            const auto dy = normal_logits<T>(5000, offset < 0 ? 1e30 : 1, 0, ++seed);
            const auto d = of(a, b, dy);
            for (std::size_t i = 0; i < a.size(); ++i) {
                const auto apart = static_cast<long double>(b[i]) - static_cast<long double>(a[i]);
                const struct {
                    T got;
                    long double share;
                } results[] = {{d.a[i], 1 / (1 + std::exp(apart))}, {d.b[i], 1 / (1 + std::exp(-apart))}};
                for (const auto& r : results) {
                    const long double exact = static_cast<long double>(dy[i]) * r.share;
                    if (r.share < 2 * dropped || std::fabs(exact) < std::ldexp(1.0L, least)) {
                        ASSERT_LE(std::fabs(static_cast<long double>(r.got)), 2 * std::fabs(exact));
                        continue;
                    }
                    const long double unit = std::ldexp(1.0L, std::ilogb(exact) - digits);
                    const auto error = static_cast<double>(std::fabs(static_cast<long double>(r.got) - exact) / unit);
                    worst = std::max(worst, error);
                    ASSERT_LE(error, bound) << a[i] << " and " << b[i] << ", dy " << dy[i] << ": " << r.got;
                }
            }
        }
    }
    std::printf("    worst %.3f ulp\n", worst);
}
TEST_P(logaddexp_gradients, floats_are_within_the_bound) { check_accuracy<float>(4); }
TEST_P(logaddexp_gradients, doubles_are_within_the_bound) { check_accuracy<double>(4); }

TEST_P(logaddexp_gradients, are_the_slopes_of_logaddexp) {
    const std::ptrdiff_t n = 200;
    const auto a = normal_logits<double>(n, 3, 0, 1);
    const auto b = normal_logits<double>(n, 3, 0, 2);
    const auto dy = normal_logits<double>(n, 1, 0, 3);
    const auto d = of(a, b, dy);
    const double h = 0x1p-17;
    const auto slope = [&](bool in_a) {
        std::vector<double> high(a.size()), low(a.size()), at = in_a ? a : b;
        const auto run = [&](double step, std::vector<double>& y) {
            for (std::size_t i = 0; i < a.size(); ++i)
                at[i] = (in_a ? a : b)[i] + step;
            tarn::logaddexp(tarn::on(GetParam()), in_a ? at : a, in_a ? b : at, y);
        };
        run(h, high);
        run(-h, low);
        for (std::size_t i = 0; i < a.size(); ++i)
            high[i] = dy[i] * (high[i] - low[i]) / (2 * h);
        return high;
    };
    const auto slope_a = slope(true), slope_b = slope(false);
    for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_NEAR(d.a[i], slope_a[i], 1e-9);
        ASSERT_NEAR(d.b[i], slope_b[i], 1e-9);
    }
}

TEST_P(logaddexp_gradients, special_values) {
    for (const std::ptrdiff_t n : {1, 5, 16, 37, 64}) {
        for (std::ptrdiff_t at = 0; at < n; ++at) {
            const struct {
                float a, b, dy, da, db;
            } cases[] = {{nan, 1, 1, nan, nan},       {1, nan, 1, nan, nan},
                         {1, 2, nan, nan, nan},       {inf, 1, 3, 3, 0},
                         {1, inf, 3, 0, 3},           {-inf, 1, 3, 0, 3},
                         {1, -inf, 3, 3, 0},          {inf, inf, 3, 1.5f, 1.5f},
                         {-inf, -inf, 3, 1.5f, 1.5f}, {inf, -inf, 3, 3, 0},
                         {3e38f, -3e38f, 3, 3, 0},    {-3e38f, 3e38f, 3, 0, 3},
                         {0, 0, 3, 1.5f, 1.5f},       {0, 0, 3e38f, 1.5e38f, 1.5e38f},
                         {1, inf, inf, nan, inf}};
            for (const auto& c : cases) {
                std::vector<float> a(static_cast<std::size_t>(n), 2.0f), b(a.size(), -inf), dy(a.size(), -1.0f);
                std::vector<float> da = dy, db(a.size(), -0.0f);
                const auto k = static_cast<std::size_t>(at);
                a[k] = c.a, b[k] = c.b, dy[k] = c.dy, da[k] = c.da, db[k] = c.db;
                const auto d = of(a, b, dy);
                for (std::size_t i = 0; i < a.size(); ++i) {
                    ASSERT_TRUE(d.a[i] == da[i] || (std::isnan(d.a[i]) && std::isnan(da[i]))) << c.a << " and " << c.b;
                    ASSERT_TRUE(d.b[i] == db[i] || (std::isnan(d.b[i]) && std::isnan(db[i]))) << c.a << " and " << c.b;
                }
            }
        }
    }
}

// Both together, each alone, each in the place of every input, and swapped: the same bits.
TEST_P(logaddexp_gradients, any_place) {
    const auto where = tarn::on(GetParam());
    for (const std::ptrdiff_t n : {1, 7, 16, 100, 3001}) {
        const auto a = normal_logits(n, 3, 0, 1), b = normal_logits(n, 3, 0, 2), dy = normal_logits(n, 1, 0, 3);
        const auto d = of(a, b, dy);
        std::vector<float> alone(a.size());
        tarn::logaddexp_backward(where, a, b, dy, alone, tarn::none);
        EXPECT_EQ(alone, d.a);
        tarn::logaddexp_backward(where, a, b, dy, tarn::none, alone);
        EXPECT_EQ(alone, d.b);
        const auto swapped = of(b, a, dy);
        EXPECT_EQ(swapped.a, d.b);
        EXPECT_EQ(swapped.b, d.a);
        for (int first = 0; first < 3; ++first) {
            for (int second = 0; second < 3; ++second) {
                std::vector<float> in[3] = {a, b, dy};
                if (first == second)
                    continue;
                tarn::logaddexp_backward(where, in[0], in[1], in[2], in[first], in[second]);
                EXPECT_EQ(in[first], d.a);
                EXPECT_EQ(in[second], d.b);
            }
        }
    }
}

TEST_P(logaddexp_gradients, nothing_outside_the_operands) {
    guarded_floats a(400), b(400), dy(400), da(400), db(400);
    for (std::ptrdiff_t n = 1; n <= 140; ++n) {
        for (const bool at_end : {false, true}) {
            const auto place = [&](guarded_floats& memory) {
                return at_end ? memory.against_end(n) : memory.against_start();
            };
            for (guarded_floats* input : {&a, &b, &dy})
                std::fill_n(place(*input), n, 1.0f);
            ASSERT_EQ("", fault_in([&] {
                          tarn::logaddexp_backward(tarn::on(GetParam()), tarn::make_view(place(a), n),
                                                   tarn::make_view(place(b), n), tarn::make_view(place(dy), n),
                                                   tarn::make_view(place(da), n), tarn::make_view(place(db), n));
                      }))
                << n;
        }
    }
}

// 16 bits by columns: converted in blocks, with both results.
TEST_P(logaddexp_gradients, halves_are_floats_rounded_once) {
    const std::ptrdiff_t rows = 40, n = 60;
    std::vector<tarn::bfloat16> a, b, dy;
    std::vector<float> wide[3];
    std::uint64_t seed = 0;
    for (auto* v : {&a, &b, &dy}) {
        for (const float e : normal_logits(rows * n, 2, 0, ++seed)) {
            v->push_back(tarn::bfloat16(e));
            wide[v == &a ? 0 : v == &b ? 1 : 2].push_back(static_cast<float>(v->back()));
        }
    }
    const auto d = of(wide[0], wide[1], wide[2]);
    const auto view = [&](auto& v) { return tarn::make_view(v.data(), tarn::extents{n, rows}, tarn::strides{1, n}); };
    std::vector<tarn::bfloat16> da(a.size()), db(a.size());
    tarn::logaddexp_backward(tarn::on(GetParam()), view(a), view(b), view(dy), view(da), view(db));
    std::vector<float> wide_a(a.size());
    tarn::logaddexp_backward(tarn::on(GetParam()), view(a), view(b), view(dy), view(wide_a), tarn::none);
    EXPECT_EQ(wide_a, d.a);
    for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(static_cast<float>(da[i]), static_cast<float>(tarn::bfloat16(d.a[i])));
        ASSERT_EQ(static_cast<float>(db[i]), static_cast<float>(tarn::bfloat16(d.b[i])));
    }
}

TEST(logaddexp_gradient_errors, are_told) {
    std::vector<float> a(6, 1.0f), b(6, 2.0f), dy(6, 1.0f), da(6, -7.0f), db = da;
    const auto five = [](std::vector<float>& v) { return tarn::make_view(v.data(), 5); };
    EXPECT_EQ(refusal_of([&] { tarn::logaddexp_backward(a, five(b), dy, da, db); }),
              "tarn::logaddexp_backward: second input extents {5}, expected {6}");
    EXPECT_EQ(refusal_of([&] { tarn::logaddexp_backward(a, b, five(dy), da, db); }),
              "tarn::logaddexp_backward: gradient extents {5}, expected {6}");
    EXPECT_EQ(refusal_of([&] { tarn::logaddexp_backward(a, b, dy, five(da), db); }),
              "tarn::logaddexp_backward: first output extents {5}, expected {6}");
    EXPECT_EQ(refusal_of([&] { tarn::logaddexp_backward(a, b, dy, tarn::none, five(db)); }),
              "tarn::logaddexp_backward: second output extents {5}, expected {6}");
    EXPECT_EQ(refusal_of([&] { tarn::logaddexp_backward(a, b, dy, da, da); }),
              "tarn::logaddexp_backward: second output overlaps the first output, expected memory apart from the first "
              "output");
    EXPECT_EQ(
        refusal_of([&] {
            tarn::logaddexp_backward(five(a), five(b), five(dy), tarn::none, tarn::make_view(dy.data() + 1, 5));
        }),
        "tarn::logaddexp_backward: second output overlaps the input in part, expected memory apart from the input, or "
        "the input "
        "itself");
    EXPECT_EQ(da, std::vector<float>(6, -7.0f));
    EXPECT_EQ(db, da);
}

} // namespace
