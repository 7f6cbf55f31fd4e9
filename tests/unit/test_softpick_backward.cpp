// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of softpick: its formula in long double, finite differences of the exact function, what is not kept,
// layouts, types, threads, memory outside the operands, and the errors of the boundary.
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/pick.hpp"
#include "support/refusals.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

template <class R, class Where>
std::vector<R> gradient_of(const Where& where, const pick_problem<R>& p, const std::vector<R>& y,
                           const std::vector<R>& dy) {
    std::vector<R> dx(y.size(), R(-77));
    const auto view = [&](auto* data) { return tarn::make_view(data, p.rows, p.n); };
    tarn::softpick_backward(where, view(p.x.data()), view(y.data()), view(dy.data()), view(dx.data()), p.options());
    return dx;
}

class softpick_backward : public tier_test {
protected:
    template <class R> void check(const pick_problem<R>& p) {
        const std::vector<R> y = p.results(tarn::on(GetParam()));
        const std::vector<R> dy = normal_logits<R>(p.rows * p.n, 1, 0.3, 77);
        const std::vector<R> dx = gradient_of(tarn::on(GetParam()), p, y, dy);
        const long double ulp = std::numeric_limits<R>::epsilon();
        const auto scale = static_cast<long double>(static_cast<R>(p.scale));
        for (std::ptrdiff_t row = 0; row < p.rows; ++row) {
            const auto e = p.exact(row);
            long double s = 0, magnitude = 0;
            for (std::ptrdiff_t i = row * p.n; i < (row + 1) * p.n; ++i) {
                const auto k = static_cast<std::size_t>(i);
                const long double product =
                    p.keeps(i) ? static_cast<long double>(y[k]) * static_cast<long double>(dy[k]) : 0;
                s += product;
                magnitude += std::fabs(product);
            }
            for (std::ptrdiff_t i = row * p.n; i < (row + 1) * p.n; ++i) {
                const auto k = static_cast<std::size_t>(i);
                if (!p.keeps(i)) {
                    ASSERT_EQ(dx[k], R(0)) << i;
                    continue;
                }
                const long double z = p.logit(i);
                const long double share = e.whole[static_cast<std::size_t>(i - row * p.n)] / e.divisor;
                const long double of_dy = z > 0 ? static_cast<long double>(dy[k]) : 0;
                const long double exact = scale * share * (of_dy - (z > 0 ? s : z < 0 ? -s : 0));
                const long double size = std::fabs(scale) * (std::fabs(static_cast<long double>(dy[k])) + magnitude);
                // A share below the normal numbers counts as 0.
                const long double bound = 8 * ulp * share * size + std::numeric_limits<R>::min() * (1 + size);
                // On SSE2 the divisor of floats next to 0 is less exact.
                ASSERT_LE(std::fabs(static_cast<long double>(dx[k]) - exact),
                          GetParam() == tarn::tier::sse2 ? 4 * bound : bound)
                    << "row " << row << ", element " << i - row * p.n << " of " << p.n;
                ASSERT_TRUE(dx[k] == 0 || std::fabs(dx[k]) >= std::numeric_limits<R>::min()) << dx[k];
            }
        }
    }
};
TARN_TEST_ON_ALL_TIERS(softpick_backward);

TEST_P(softpick_backward, formula) {
    for (const std::ptrdiff_t n : {1, 5, 16, 17, 33, 64, 100, 129, 300, 1000, 5000}) {
        for (const bool masked : {false, true}) {
            for (const double sd : {0.01, 1.0, 20.0}) {
                for (const double offset : {0.0, -100.0, 300.0}) {
                    for (const double scale : {1.0, -0.37}) {
                        auto p = pick_problem<float>::of(9, n, normal_logits<float>(9 * n, sd, offset, 1), masked, 2);
                        p.scale = scale;
                        check(p);
                        auto q = pick_problem<double>::of(3, n, normal_logits<double>(3 * n, sd, offset, 1), masked, 2);
                        q.scale = scale;
                        check(q);
                    }
                }
            }
        }
    }
}

// Of the exact function, in long double, around doubles; epsilon is too small to show.
TEST_P(softpick_backward, finite_differences) {
    for (const bool masked : {false, true}) {
        for (const double scale : {1.0, -0.7}) {
            auto p = pick_problem<double>::of(6, 7, normal_logits<double>(42, 1, 0.1, 3), masked, 4);
            p.scale = scale;
            p.epsilon = 0x1p-50;
            const std::vector<double> y = p.results(tarn::on(GetParam()));
            const std::vector<double> dy = normal_logits<double>(42, 1, 0.3, 77);
            const std::vector<double> dx = gradient_of(tarn::on(GetParam()), p, y, dy);
            const auto loss = [&](std::ptrdiff_t row) {
                const auto e = p.exact(row);
                long double sum = 0;
                for (std::ptrdiff_t i = 0; i < 7; ++i)
                    sum += std::max(0.0L, e.picked[static_cast<std::size_t>(i)]) / e.divisor *
                           static_cast<long double>(dy[static_cast<std::size_t>(row * 7 + i)]);
                return sum;
            };
            for (std::ptrdiff_t i = 0; i < 42; ++i) {
                double& v = p.x[static_cast<std::size_t>(i)];
                const double before = v;
                v = before + 1e-5;
                const double up = v;
                const long double more = loss(i / 7);
                v = before - 1e-5;
                const double down = v;
                const long double less = loss(i / 7);
                v = before;
                EXPECT_NEAR(dx[static_cast<std::size_t>(i)],
                            static_cast<double>((more - less) /
                                                (static_cast<long double>(up) - static_cast<long double>(down))),
                            1e-8)
                    << i;
            }
        }
    }
}

TEST_P(softpick_backward, special_values) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::ptrdiff_t n : {6, 40, 300}) {
        auto p = pick_problem<float>::of(4, n, normal_logits<float>(4 * n, 1, 0, 5), true, 6);
        for (std::ptrdiff_t i = 0; i < n; ++i) // all are kept in the last rows
            p.keep[static_cast<std::size_t>(2 * n + i)] = p.keep[static_cast<std::size_t>(3 * n + i)] = true;
        p.x[static_cast<std::size_t>(2 * n)] = -inf;
        p.x[static_cast<std::size_t>(2 * n + 1)] = 0;
        p.x[static_cast<std::size_t>(2 * n + 2)] = 1;
        p.x[static_cast<std::size_t>(3 * n + 1)] = nan;
        const auto y = p.results(tarn::on(GetParam()));
        std::vector<float> dy = normal_logits<float>(4 * n, 1, 0, 7);
        const auto clean = gradient_of(tarn::on(GetParam()), p, y, dy);
        EXPECT_EQ(clean[static_cast<std::size_t>(2 * n)], 0.0f);
        EXPECT_EQ(clean[static_cast<std::size_t>(2 * n + 1)], 0.0f);
        EXPECT_NE(clean[static_cast<std::size_t>(2 * n + 2)], 0.0f);
        for (std::ptrdiff_t i = 3 * n; i < 4 * n; ++i)
            EXPECT_TRUE(std::isnan(clean[static_cast<std::size_t>(i)])) << i;
        for (std::ptrdiff_t i = 0; i < 2 * n; ++i) {
            if (!p.keep[static_cast<std::size_t>(i)])
                dy[static_cast<std::size_t>(i)] = nan;
        }
        EXPECT_EQ("", difference(gradient_of(tarn::on(GetParam()), p, y, dy).data(), clean.data(), 4 * n)) << n;
        // NaN in a gradient, or in a logit: all that is kept of the row, and nothing else.
        std::ptrdiff_t first = 0;
        while (!p.keep[static_cast<std::size_t>(first)])
            ++first;
        dy[static_cast<std::size_t>(first)] = nan;
        p.x[static_cast<std::size_t>(n + n / 2)] = nan;
        p.keep[static_cast<std::size_t>(n + n / 2)] = true;
        p.keep[static_cast<std::size_t>(n)] = p.keep[static_cast<std::size_t>(n + n / 2 + 1)] = false;
        const auto spoilt = gradient_of(tarn::on(GetParam()), p, p.results(tarn::on(GetParam())), dy);
        for (std::ptrdiff_t i = 0; i < 2 * n; ++i) {
            const auto k = static_cast<std::size_t>(i);
            if (p.keep[k]) {
                EXPECT_TRUE(std::isnan(spoilt[k])) << i << " of " << n;
            } else {
                EXPECT_EQ(spoilt[k], 0.0f) << i << " of " << n;
            }
        }
    }
}

template <class T, class U, class Where>
std::string difference_from_dense(tarn::tier t, const Where& where, std::ptrdiff_t n, bool columns, int in_place) {
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;
    constexpr std::ptrdiff_t rows = 9;
    auto p = pick_problem<R>::of(rows, n, normal_logits<R>(rows * n, 1, 0, 8), true, 9);
    std::vector<R> dy = normal_logits<R>(rows * n, 1, 0, 10);
    const auto round = [](std::vector<R>& v) {
        for (R& e : v)
            e = static_cast<R>(static_cast<T>(e));
    };
    round(p.x);
    round(dy);
    std::vector<R> y = p.results(tarn::on(t));
    round(y);
    const std::vector<R> expected = gradient_of(tarn::on(t), p, y, dy);
    const std::ptrdiff_t along = columns ? rows : 1, across = columns ? 1 : n;
    std::vector<T> memory[3];
    const std::vector<R>* const given[] = {&p.x, &y, &dy};
    for (int k = 0; k < 3; ++k) {
        memory[k].resize(p.x.size());
        for (std::ptrdiff_t i = 0; i < rows * n; ++i)
            memory[k][static_cast<std::size_t>(i / n * across + i % n * along)] =
                static_cast<T>((*given[k])[static_cast<std::size_t>(i)]);
    }
    std::vector<U> dx(p.x.size());
    U* to = dx.data();
    if constexpr (std::is_same<T, U>::value)
        to = in_place > 0 ? memory[in_place - 1].data() : to;
    const auto view = [&](auto* data) {
        return tarn::make_view(data, tarn::extents{rows, n}, tarn::strides{across, along});
    };
    const auto in = [&](int k) { return view(static_cast<const T*>(memory[k].data())); };
    tarn::softpick_backward(where, in(0), in(1), in(2), view(to), p.options());
    for (std::ptrdiff_t i = 0; i < rows * n; ++i) {
        const auto got = static_cast<R>(to[i / n * across + i % n * along]);
        const auto wanted = static_cast<R>(static_cast<U>(expected[static_cast<std::size_t>(i)]));
        if (bits_of(got) != bits_of(wanted))
            return "element " + std::to_string(i) + " is " + std::to_string(got) + ", expected " +
                   std::to_string(wanted);
    }
    return "";
}

TEST_P(softpick_backward, any_layout_and_type) {
    for (const std::ptrdiff_t n : {1, 16, 37, 129, 700, 10000}) {
        for (int how = 0; how < 16; ++how) {
            const bool columns = how & 1, lent = how & 2;
            const int in_place = how >> 2;
            const tarn::serial_executor serial;
            const odd_threads threads{3, 4};
            const auto check = [&](auto where) {
                ASSERT_EQ("", (difference_from_dense<float, float>(GetParam(), where, n, columns, in_place)));
                ASSERT_EQ("", (difference_from_dense<double, double>(GetParam(), where, n, columns, in_place)));
                ASSERT_EQ("", (difference_from_dense<tarn::bfloat16, tarn::bfloat16>(GetParam(), where, n, columns,
                                                                                     in_place)));
                ASSERT_EQ("", (difference_from_dense<tarn::float16, float>(GetParam(), where, n, columns, 0)));
            };
            SCOPED_TRACE(std::to_string(n) + " way " + std::to_string(how));
            if (lent)
                check(tarn::on(GetParam(), serial, tarn::scratch{}));
            else
                check(tarn::on(GetParam(), threads));
            if (HasFatalFailure())
                return;
        }
    }
}

TEST_P(softpick_backward, nothing_outside_and_nothing_denormal) {
    constexpr std::ptrdiff_t most = 20 * 300;
    guarded_floats x(most), y(most), dy(most), dx(most);
    guarded_numbers<bool> keep(most);
    for (const std::ptrdiff_t n : {1, 2, 7, 15, 16, 17, 31, 33, 63, 65, 129, 300}) {
        for (const double sd : {1.0, 50.0}) {
            const auto p = pick_problem<float>::of(20, n, normal_logits<float>(20 * n, sd, 0, 11), true, 12);
            const auto results = p.results(tarn::on(GetParam()));
            const auto given = normal_logits<float>(20 * n, 1, 0, 13);
            for (const bool at_end : {false, true}) {
                const auto place = [&](auto& memory, const auto* from) {
                    auto* const to = at_end ? memory.against_end(20 * n) : memory.against_start();
                    if (from)
                        std::copy(from, from + 20 * n, to);
                    return tarn::make_view(to, 20, n);
                };
                auto o = p.options();
                o.keep = place(keep, p.keep.get());
                const auto from = place(x, p.x.data());
                const auto with = place(y, results.data());
                const auto gradient = place(dy, given.data());
                const auto to = place(dx, static_cast<const float*>(nullptr));
                ASSERT_EQ("",
                          fault_in([&] { tarn::softpick_backward(tarn::on(GetParam()), from, with, gradient, to, o); }))
                    << n << at_end;
                for (std::ptrdiff_t i = 0; i < 20 * n; ++i)
                    ASSERT_NE(std::fpclassify(to.data[i]), FP_SUBNORMAL) << n << ", sd " << sd;
            }
        }
    }
}

class softpick_backward_errors : public refusal_test {};

TEST_F(softpick_backward_errors, are_told) {
    using tarn::extents;
    const auto e = extents{4, 5};
    EXPECT_EQ(message_of([&] {
                  tarn::softpick_backward(in(e), in(extents{4, 6}), in(e), out(e));
              }),
              "tarn::softpick_backward: input extents {4,6}, expected {4,5}");
    EXPECT_EQ(message_of([&] {
                  tarn::softpick_backward(in(e), in(e), in(extents{5, 5}), out(e));
              }),
              "tarn::softpick_backward: gradient extents {5,5}, expected {4,5}");
    EXPECT_EQ(message_of([&] {
                  tarn::softpick_backward(in(e), in(e), in(e), out(extents{3, 5}));
              }),
              "tarn::softpick_backward: output extents {3,5}, expected {4,5}");
    EXPECT_EQ(message_of([&] { tarn::softpick_backward(in(e), in(e), in(e), out(e), {3}); }),
              "tarn::softpick_backward: axis 3, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message_of([&] {
                  tarn::softpick_backward(in(e), in(e), in(e), out(e), {-1, 1, {}, 0});
              }),
              "tarn::softpick_backward: epsilon 0.000000, expected 2^-50 to 1");
}

} // namespace
