// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of masked softmax: its formula in long double, finite differences of the exact function, what is not kept,
// layouts, types, threads, memory outside the operands, and the errors of the boundary.
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/masked.hpp"
#include "support/refusals.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr int gradient_features[] = {0,
                                     with_scale,
                                     with_keep,
                                     with_scale | with_causal,
                                     with_cap | with_scale,
                                     with_keep | with_window | with_sink,
                                     with_cap | with_keep | with_causal | with_sink,
                                     with_bias | with_slopes | with_sink,
                                     all_features};

template <class R> using backward_options = tarn::masked_softmax_backward_options<R>;

// The gradient of a problem for its own results, with dy in dense rows.
template <class R> struct gradients {
    std::vector<R> dx, of_sink; // a number for each row
};
template <class R, class T> backward_options<T> options_of(const masked_problem<R>& p) {
    backward_options<T> o;
    o.scale = p.scale;
    o.soft_cap = p.soft_cap;
    o.causal = p.causal;
    o.offset = p.offset;
    o.window = p.window;
    if (p.keep)
        o.keep = tarn::make_view(static_cast<const bool*>(p.keep.get()), p.heads, p.queries, p.keys);
    return o;
}
// Also without the gradients of sinks, for which rows may be taken in another way: with the same bits.
template <class R, class Where>
gradients<R> gradients_of(const Where& where, const masked_problem<R>& p, const std::vector<R>& y,
                          const std::vector<R>& dy) {
    gradients<R> g{std::vector<R>(y.size(), R(-77)), std::vector<R>(static_cast<std::size_t>(p.heads * p.queries))};
    auto o = options_of<R, R>(p);
    const auto view = [&](auto* data) { return tarn::make_view(data, p.heads, p.queries, p.keys); };
    if (p.soft_cap > 0)
        o.logits = view(p.x.data());
    std::vector<R> alone(y.size(), R(-77));
    tarn::masked_softmax_backward(where, view(y.data()), view(dy.data()), view(alone.data()), o);
    o.sink_gradient = tarn::make_view(g.of_sink.data(), p.heads, p.queries);
    tarn::masked_softmax_backward(where, view(y.data()), view(dy.data()), view(g.dx.data()), o);
    EXPECT_EQ("", difference(alone.data(), g.dx.data(), p.size())) << p.queries << "x" << p.keys;
    return g;
}

class masked_softmax_backward : public tier_test {
protected:
    template <class R> void check_formula(const masked_problem<R>& p) {
        const std::vector<R> y = p.results(tarn::on(GetParam()));
        const std::vector<R> dy = normal_logits<R>(p.size(), 1, 0.3, 77);
        const gradients<R> g = gradients_of(tarn::on(GetParam()), p, y, dy);
        const long double ulp = std::numeric_limits<R>::epsilon();
        const auto scale = static_cast<long double>(static_cast<R>(p.scale));
        const auto cap = static_cast<long double>(static_cast<R>(p.soft_cap));
        for (std::ptrdiff_t row = 0; row < p.heads * p.queries; ++row) {
            long double s = 0, magnitude = 0, total = 0;
            for (std::ptrdiff_t i = row * p.keys; i < (row + 1) * p.keys; ++i) {
                const auto k = static_cast<std::size_t>(i);
                const long double product = static_cast<long double>(y[k]) * static_cast<long double>(dy[k]);
                s += product;
                magnitude += std::fabs(product);
                total += static_cast<long double>(y[k]);
            }
            for (std::ptrdiff_t i = row * p.keys; i < (row + 1) * p.keys; ++i) {
                const auto k = static_cast<std::size_t>(i);
                if (!p.keeps(row, i - row * p.keys)) {
                    ASSERT_EQ(g.dx[k], R(0)) << "row " << row << " " << name_of_features(p.features);
                    continue;
                }
                const long double d = static_cast<long double>(dy[k]);
                long double slope = scale;
                if (p.features & with_cap) {
                    const long double e = std::exp(-2 * std::fabs(scale * static_cast<long double>(p.x[k]) / cap));
                    slope *= 4 * e / ((1 + e) * (1 + e));
                }
                const auto weight = static_cast<long double>(y[k]) * std::fabs(slope);
                const long double exact = static_cast<long double>(y[k]) * (d - s) * slope;
                // A cap's slope has an error of its own: 8 ulp, and that of its argument.
                const long double rest =
                    p.features & with_cap
                        ? std::fabs(exact) * (8 + 2 * std::fabs(scale * static_cast<long double>(p.x[k]) / cap))
                        : 0;
                const long double bound =
                    ulp * (4 * weight * (std::fabs(d) + magnitude) + rest) + std::numeric_limits<R>::min();
                ASSERT_LE(std::fabs(static_cast<long double>(g.dx[k]) - exact), bound)
                    << "row " << row << ", key " << i - row * p.keys << " of " << p.keys << " "
                    << name_of_features(p.features);
                ASSERT_TRUE(g.dx[k] == 0 || std::fabs(g.dx[k]) >= std::numeric_limits<R>::min()) << g.dx[k];
            }
            const long double of_sink = -(1 - total) * s;
            ASSERT_LE(std::fabs(static_cast<long double>(g.of_sink[static_cast<std::size_t>(row)]) - of_sink),
                      4 * ulp * (std::fabs(1 - total) + 0.5L) * magnitude + std::numeric_limits<R>::min())
                << "row " << row << " of " << p.keys << " " << name_of_features(p.features);
        }
    }
};
TARN_TEST_ON_ALL_TIERS(masked_softmax_backward);

TEST_P(masked_softmax_backward, formula) {
    for (const int features : gradient_features) {
        for (const std::ptrdiff_t keys : {1, 5, 16, 17, 33, 64, 100, 129, 300, 1000, 5000}) {
            // Short rows are taken by tiles: two of them and some rows.
            const std::ptrdiff_t rows = keys <= 129 ? 37 : 9;
            check_formula(masked_problem<float>::of(features, 2, rows, keys, 1));
            check_formula(masked_problem<double>::of(features, 2, rows, keys, 2));
        }
    }
}

// Of the exact function, in long double, around doubles.
TEST_P(masked_softmax_backward, finite_differences) {
    for (const int features : gradient_features) {
        auto p = masked_problem<double>::of(features, 2, 3, 7, 3, 1);
        const std::vector<double> y = p.results(tarn::on(GetParam()));
        const std::vector<double> dy = normal_logits<double>(p.size(), 1, 0.3, 77);
        const gradients<double> g = gradients_of(tarn::on(GetParam()), p, y, dy);
        constexpr double step = 1e-5;
        const auto loss = [&](std::ptrdiff_t row) {
            const auto e = p.exact_row(row);
            long double sum = 0;
            for (std::ptrdiff_t k = 0; k < p.keys; ++k)
                sum += e[static_cast<std::size_t>(k)] *
                       static_cast<long double>(dy[static_cast<std::size_t>(row * p.keys + k)]);
            return sum;
        };
        // How the loss of a row changes with a number that it depends on.
        const auto derivative = [&](double& v, std::ptrdiff_t row) {
            const double before = v;
            v = before + step;
            const double up = v;
            const long double more = loss(row);
            v = before - step;
            const double down = v;
            const long double less = loss(row);
            v = before;
            return static_cast<double>((more - less) / (static_cast<long double>(up) - static_cast<long double>(down)));
        };
        for (std::ptrdiff_t row = 0; row < 6; ++row) {
            bool keeps_any = false;
            for (std::ptrdiff_t k = 0; k < p.keys; ++k)
                keeps_any = keeps_any || p.keeps(row, k);
            for (std::ptrdiff_t k = 0; k < p.keys && keeps_any; ++k) {
                const auto i = static_cast<std::size_t>(row * p.keys + k);
                EXPECT_NEAR(g.dx[i], derivative(p.x[i], row), 2e-9)
                    << name_of_features(features) << " " << row << " " << k;
            }
            if (features & with_sink && keeps_any) {
                EXPECT_NEAR(g.of_sink[static_cast<std::size_t>(row)],
                            derivative(p.sink[static_cast<std::size_t>(row / p.queries)], row), 2e-9)
                    << name_of_features(features) << " " << row;
            }
        }
    }
}

TEST_P(masked_softmax_backward, what_is_not_kept_is_not_looked_at) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::ptrdiff_t keys : {5, 33, 100, 1000}) {
        for (const int features : {int{with_keep}, int{with_causal}, with_keep | with_window | with_cap}) {
            const auto p = masked_problem<float>::of(features, 2, 37, keys, 4);
            const auto y = p.results(tarn::on(GetParam()));
            std::vector<float> dy = normal_logits(p.size(), 1, 0, 5);
            const auto clean = gradients_of(tarn::on(GetParam()), p, y, dy);
            for (std::ptrdiff_t i = 0; i < p.size(); ++i) {
                if (!p.keeps(i / keys, i % keys))
                    dy[static_cast<std::size_t>(i)] = nan;
            }
            const auto spoilt = gradients_of(tarn::on(GetParam()), p, y, dy);
            ASSERT_EQ(spoilt.dx, clean.dx) << keys << " " << name_of_features(features);
            ASSERT_EQ(spoilt.of_sink, clean.of_sink);
            // NaN that is kept: all that is kept of its row, and nothing else.
            for (const std::ptrdiff_t row : {1, 4, 17}) {
                for (std::ptrdiff_t k = 0; k < keys; ++k) {
                    if (!p.keeps(row, k))
                        continue;
                    auto worse = dy;
                    worse[static_cast<std::size_t>(row * keys + k)] = nan;
                    const auto g = gradients_of(tarn::on(GetParam()), p, y, worse);
                    for (std::ptrdiff_t i = 0; i < p.size(); ++i) {
                        const auto at = static_cast<std::size_t>(i);
                        if (i / keys == row && p.keeps(row, i % keys)) {
                            ASSERT_TRUE(std::isnan(g.dx[at])) << i;
                        } else {
                            ASSERT_EQ(g.dx[at], clean.dx[at]) << i;
                        }
                    }
                    break;
                }
            }
        }
    }
}

// Without a mask it is the gradient of softmax, bit by bit.
TEST_P(masked_softmax_backward, is_that_of_softmax) {
    for (const std::ptrdiff_t keys : {5, 100, 129, 1000}) {
        const auto p = masked_problem<float>::of(with_scale, 1, 20, keys, 6);
        const auto y = p.results(tarn::on(GetParam()));
        const std::vector<float> dy = normal_logits(p.size(), 1, 0, 7);
        std::vector<float> expected(y.size());
        tarn::softmax_backward(tarn::on(GetParam()), tarn::make_view(y.data(), 20, keys),
                               tarn::make_view(dy.data(), 20, keys), tarn::make_view(expected.data(), 20, keys),
                               {-1, p.scale});
        EXPECT_EQ("", difference(gradients_of(tarn::on(GetParam()), p, y, dy).dx.data(), expected.data(), p.size()))
            << keys;
    }
}

// T is read and U written, along rows or columns, in place or not, with and without a buffer: the bits of dense rows, for
// 16 bits those of floats rounded once.
template <class T, class U, class Where>
std::string difference_from_dense(tarn::tier t, const Where& where, int features, std::ptrdiff_t keys, bool columns,
                                  int in_place, bool strided_keep) {
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;
    auto p = masked_problem<R>::template of<T>(features, 2, 7, keys, 8);
    std::vector<R> y = p.results(tarn::on(t)), dy = normal_logits<R>(p.size(), 1, 0, 9);
    std::vector<T> y_elements, dy_elements, x_elements(p.x.begin(), p.x.end());
    for (std::size_t i = 0; i < y.size(); ++i) {
        y_elements.push_back(static_cast<T>(y[i]));
        dy_elements.push_back(static_cast<T>(dy[i]));
        y[i] = static_cast<R>(y_elements[i]);
        dy[i] = static_cast<R>(dy_elements[i]);
    }
    const gradients<R> expected = gradients_of(tarn::on(t), p, y, dy);
    const auto at = [&](std::ptrdiff_t i) {
        const std::ptrdiff_t row = i / keys, k = i % keys;
        return static_cast<std::size_t>(columns ? row / p.queries * p.queries * keys + k * p.queries + row % p.queries
                                                : i);
    };
    const auto laid_out = [&](const std::vector<T>& v) {
        std::vector<T> r(v.size());
        for (std::ptrdiff_t i = 0; i < p.size(); ++i)
            r[at(i)] = v[static_cast<std::size_t>(i)];
        return r;
    };
    std::vector<T> ys = laid_out(y_elements), dys = laid_out(dy_elements);
    const std::vector<T> xs = laid_out(x_elements);
    std::vector<U> dx(ys.size());
    std::vector<U> of_sink(static_cast<std::size_t>(p.heads * p.queries));
    const auto view = [&](auto* data) {
        return columns ? tarn::make_view(data, tarn::extents{p.heads, p.queries, keys},
                                         tarn::strides{p.queries * keys, std::ptrdiff_t{1}, p.queries})
                       : tarn::make_view(data, tarn::extents{p.heads, p.queries, keys},
                                         tarn::strides{p.queries * keys, keys, std::ptrdiff_t{1}});
    };
    auto o = options_of<R, T>(p);
    const std::unique_ptr<bool[]> apart(new bool[static_cast<std::size_t>(2 * p.size())]());
    if (p.keep && strided_keep) {
        for (std::ptrdiff_t i = 0; i < p.size(); ++i)
            apart[static_cast<std::size_t>(2 * i)] = p.keep[static_cast<std::size_t>(i)];
        o.keep = tarn::make_view(static_cast<const bool*>(apart.get()), tarn::extents{p.heads, p.queries, keys},
                                 tarn::strides{2 * p.queries * keys, 2 * keys, std::ptrdiff_t{2}});
    }
    if (p.soft_cap > 0)
        o.logits = view(xs.data());
    U* to = dx.data();
    if constexpr (std::is_same<T, U>::value) {
        if (in_place)
            to = in_place == 1 ? ys.data() : dys.data();
        o.sink_gradient = tarn::make_view(of_sink.data(), p.heads, p.queries, 1);
    }
    tarn::masked_softmax_backward(where, view(static_cast<const T*>(ys.data())),
                                  view(static_cast<const T*>(dys.data())), view(to), o);
    for (std::ptrdiff_t i = 0; i < p.size(); ++i) {
        const auto wanted = static_cast<R>(static_cast<U>(expected.dx[static_cast<std::size_t>(i)]));
        const auto got = static_cast<R>(to[at(i)]);
        if (bits_of(wanted) != bits_of(got))
            return "element " + std::to_string(i) + " is " + std::to_string(got) + ", expected " +
                   std::to_string(wanted);
    }
    for (std::size_t i = 0; i < of_sink.size() && std::is_same<T, U>::value; ++i) {
        if (static_cast<R>(of_sink[i]) != static_cast<R>(static_cast<U>(expected.of_sink[i])))
            return "sink of row " + std::to_string(i);
    }
    return "";
}

TEST_P(masked_softmax_backward, any_layout_and_type) {
    for (const int features :
         {int{with_scale}, with_keep | with_cap, with_causal | with_window | with_sink, int{all_features}}) {
        for (const std::ptrdiff_t keys : {1, 16, 37, 129, 700, 10000}) {
            for (const bool columns : {false, true}) {
                for (const int in_place : {0, 1, 2}) {
                    for (const bool lent : {false, true}) {
                        const bool apart = in_place == 0;
                        const tarn::serial_executor serial;
                        const auto check = [&](auto where) {
                            ASSERT_EQ("", (difference_from_dense<float, float>(GetParam(), where, features, keys,
                                                                               columns, in_place, apart)));
                            ASSERT_EQ("", (difference_from_dense<double, double>(GetParam(), where, features, keys,
                                                                                 columns, in_place, apart)));
                            ASSERT_EQ("", (difference_from_dense<tarn::bfloat16, tarn::bfloat16>(
                                              GetParam(), where, features, keys, columns, in_place, apart)));
                            ASSERT_EQ("", (difference_from_dense<tarn::float16, float>(GetParam(), where, features,
                                                                                       keys, columns, 0, apart)));
                        };
                        SCOPED_TRACE(name_of_features(features) + " " + std::to_string(keys) +
                                     (columns ? " columns" : "") + " in place " + std::to_string(in_place) +
                                     (lent ? " lent" : ""));
                        if (lent)
                            check(tarn::on(GetParam(), serial, tarn::scratch{}));
                        else
                            check(tarn::on(GetParam()));
                        if (HasFatalFailure())
                            return;
                    }
                }
            }
        }
    }
}

TEST_P(masked_softmax_backward, any_number_of_threads) {
    for (const int features : {int{with_causal}, with_keep | with_cap}) {
        const auto p = masked_problem<float>::of(features, 3, 20, 130, 10);
        const auto y = p.results(tarn::on(GetParam()));
        const std::vector<float> dy = normal_logits(p.size(), 1, 0, 11);
        const auto expected = gradients_of(tarn::on(GetParam()), p, y, dy);
        for (int threads = 1; threads <= 9; ++threads) {
            const odd_threads executor{threads, 5};
            const auto g = gradients_of(tarn::on(GetParam(), executor), p, y, dy);
            ASSERT_EQ(g.dx, expected.dx) << threads;
            ASSERT_EQ(g.of_sink, expected.of_sink) << threads;
        }
    }
}

TEST_P(masked_softmax_backward, nothing_outside_the_operands) {
    constexpr std::ptrdiff_t most = 20 * 300;
    guarded_floats y(most), dy(most), x(most), dx(most), of_sink(20);
    guarded_numbers<bool> keep(most);
    for (const std::ptrdiff_t n : {1, 2, 7, 15, 16, 17, 31, 33, 63, 65, 129, 300}) {
        for (const std::ptrdiff_t rows : {1, 3, 20}) {
            for (const int features :
                 {int{with_keep}, with_causal | with_window | with_cap, with_keep | with_cap | with_sink}) {
                const auto p = masked_problem<float>::of(features, 1, rows, n, 12);
                const auto results = p.results(tarn::on(GetParam()));
                for (const bool at_end : {false, true}) {
                    const auto place = [&](auto& memory, const auto* from) {
                        auto* const to = at_end ? memory.against_end(p.size()) : memory.against_start();
                        if (from)
                            std::copy(from, from + p.size(), to);
                        return tarn::make_view(to, rows, n);
                    };
                    auto o = options_of<float, float>(p);
                    const auto from = place(y, results.data());
                    const auto with = place(dy, p.x.data());
                    const auto to = place(dx, static_cast<const float*>(nullptr));
                    if (features & with_cap)
                        o.logits = place(x, p.x.data());
                    if (features & with_keep)
                        o.keep = place(keep, p.keep.get());
                    o.sink_gradient =
                        tarn::make_view(at_end ? of_sink.against_end(rows) : of_sink.against_start(), rows);
                    ASSERT_EQ("",
                              fault_in([&] { tarn::masked_softmax_backward(tarn::on(GetParam()), from, with, to, o); }))
                        << rows << "x" << n << " " << name_of_features(features) << (at_end ? ", end" : "");
                }
            }
        }
    }
}

TEST_P(masked_softmax_backward, no_result_is_denormal) {
    for (const std::ptrdiff_t keys : {7, 100, 1000}) {
        for (const double sd : {1.0, 50.0}) {
            for (const int features : gradient_features) {
                const auto p = masked_problem<float>::of(features, 1, 18, keys, 13, sd);
                const auto y = p.results(tarn::on(GetParam()));
                std::vector<float> dy = normal_logits(p.size(), 1, 0, 14);
                for (std::size_t i = 0; i < dy.size() / 2; ++i)
                    dy[i] *= 0x1p-120f;
                const gradients<float> g = gradients_of(tarn::on(GetParam()), p, y, dy);
                for (const float v : g.dx)
                    ASSERT_NE(std::fpclassify(v), FP_SUBNORMAL)
                        << keys << ", sd " << sd << " " << name_of_features(features);
                for (const float v : g.of_sink)
                    ASSERT_NE(std::fpclassify(v), FP_SUBNORMAL) << keys << ", sd " << sd;
            }
        }
    }
}

// The gradient of a sink may be too small where that of a logit is not.
TEST_P(masked_softmax_backward, sinks_get_no_denormal) {
    const auto check = [&](auto y, auto dy) {
        using R = decltype(y);
        R dx = 5, of_sink = 5;
        backward_options<R> o;
        o.sink_gradient = tarn::make_view(&of_sink, 1);
        tarn::masked_softmax_backward(tarn::on(GetParam()), tarn::make_view(&y, 1, 1), tarn::make_view(&dy, 1, 1),
                                      tarn::make_view(&dx, 1, 1), o);
        EXPECT_EQ(of_sink, R(0));
    };
    check(0.5f, 0x1.8p-125f);
    check(0.9375f, 0x1p-123f);
    check(0.5, 0x1.8p-1021);
}

class masked_softmax_backward_errors : public refusal_test {
protected:
    std::string refusal(const backward_options<float>& o) {
        const auto e = tarn::extents{3, 4, 5};
        const std::string message = message_of([&] { tarn::masked_softmax_backward(in(e), in(e), out(e), o); });
        const std::string name = "tarn::masked_softmax_backward: ";
        return message.rfind(name, 0) == 0 ? message.substr(name.size()) : message;
    }
    std::vector<float> numbers = std::vector<float>(200, 1.0f);
    const bool keep[200] = {};
};

TEST_F(masked_softmax_backward_errors, are_told) {
    using tarn::extents;
    using tarn::make_view;
    EXPECT_EQ(message_of([&] {
                  tarn::masked_softmax_backward(in(extents{4, 5}), in(extents{4, 6}), out(extents{4, 5}));
              }),
              "tarn::masked_softmax_backward: gradient extents {4,6}, expected {4,5}");
    EXPECT_EQ(message_of([&] {
                  tarn::masked_softmax_backward(in(extents{4, 5}), in(extents{4, 5}), out(extents{5, 5}));
              }),
              "tarn::masked_softmax_backward: output extents {5,5}, expected {4,5}");
    backward_options<float> o;
    o.axis = 3;
    EXPECT_EQ(refusal(o), "axis 3, expected -3 to 2 for operands of rank 3");
    o = {};
    o.soft_cap = 5;
    EXPECT_EQ(refusal(o), "logits missing, expected the input of masked_softmax, since there is a soft cap");
    o.logits = make_view(static_cast<const float*>(numbers.data()), 3, 4, 4);
    EXPECT_EQ(refusal(o), "logits extents {3,4,4}, expected {3,4,5}");
    o.logits = make_view(static_cast<const float*>(numbers.data()), 4, 5);
    EXPECT_EQ(refusal(o), "logits extents {4,5}, expected {3,4,5}");
    o = {};
    o.keep = make_view(keep, 4, 4);
    EXPECT_EQ(refusal(o), "keep extents {4,4}, expected extents that broadcast to {3,4,5}");
    o = {};
    o.sink_gradient = make_view(numbers.data(), 3, 5);
    EXPECT_EQ(refusal(o), "sink_gradient extents {3,5}, expected {3,4}");
    o.sink_gradient = make_view(numbers.data(), extents{3, 4}, tarn::strides{4, 0});
    EXPECT_EQ(refusal(o), "sink_gradient strides {4,0}, expected no stride of 0 along an extent above 1");
    o.sink_gradient = make_view(y.data() + 2, 3, 4);
    EXPECT_EQ(refusal(o), "sink_gradient overlaps the other operands, expected memory apart from the other operands");
    o = {0};
    o.causal = true;
    EXPECT_EQ(refusal(o),
              "axis 0, expected an axis of keys behind one of queries for a causal limit, a window or slopes");
    o = {};
    o.window = -2;
    EXPECT_EQ(refusal(o), "window -2, expected 0 for none, or a number of keys");
}

TEST(masked_softmax_backward_of_nothing, fills_sinks) {
    std::vector<float> none, sinks(6, 5.0f);
    backward_options<float> o;
    o.sink_gradient = tarn::make_view(sinks.data(), 2, 3);
    const auto v = tarn::make_view(none.data(), 2, 3, 0);
    tarn::masked_softmax_backward(v, v, v, o);
    EXPECT_EQ(sinks, std::vector<float>(6, 0.0f));
}

} // namespace
