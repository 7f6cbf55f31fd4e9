// SPDX-License-Identifier: BSD-3-Clause
//
// Sparse softmax, dense and as values and indices, its loss and gradients, against long double; layouts, types, threads;
// what is refused.
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/mxcsr.hpp"
#include "support/refusals.hpp"
#include "support/stack.hpp"
#include "support/top.hpp"

#include <tarn/sparse_softmax.hpp>

namespace {

using namespace support;

// What a row is to give, in long double.
struct exact_sparse {
    std::vector<long double> y;
    long double log_of_sum; // less the greatest
    long double greatest;

    template <class R> exact_sparse(const R* x, std::ptrdiff_t n, std::ptrdiff_t k, long double empty) {
        const auto order = order_of_row(x, n);
        const auto count = static_cast<std::size_t>(std::min(k, n));
        std::vector<R> chosen;
        for (std::size_t i = 0; i < count; ++i)
            chosen.push_back(x[order[i]]);
        // NaN and +inf come first, so they are chosen if there are any.
        const auto exact = specified_softmax(chosen.data(), static_cast<std::ptrdiff_t>(count), 1.0, empty);
        const bool special =
            std::isnan(exact[0]) || row_content(chosen.data(), static_cast<std::ptrdiff_t>(count), 1.0).empty;
        y.assign(static_cast<std::size_t>(n), special ? exact[0] : 0.0L);
        for (std::size_t i = 0; i < count && !special; ++i)
            y[static_cast<std::size_t>(order[i])] = exact[i];
        greatest = chosen[0];
        long double others = 0;
        for (std::size_t i = 1; i < count; ++i)
            others += exact_weight(chosen[i], chosen[0], 1.0L);
        log_of_sum = special ? std::numeric_limits<long double>::quiet_NaN() : std::log1p(others);
    }
};

template <class R> struct sparse_problem {
    std::ptrdiff_t rows, n, k;
    std::vector<R> x;
    tarn::empty_row empty_row = tarn::empty_row::nan;
    tarn::stores stores = tarn::stores::automatic;

    tarn::sparse_softmax_options options() const { return {-1, k, empty_row, stores}; }
    auto view(const std::vector<R>& v) const { return tarn::make_view(v.data(), rows, n); }
    auto view(std::vector<R>& v) const { return tarn::make_view(v.data(), rows, n); }
    template <class Where> std::vector<R> dense(const Where& where) const {
        std::vector<R> y(x.size(), R(-77));
        tarn::sparse_softmax(where, view(x), view(y), options());
        return y;
    }
    std::vector<std::int64_t> targets() const {
        random_bits random(7);
        std::vector<std::int64_t> t;
        for (std::ptrdiff_t r = 0; r < rows; ++r)
            t.push_back(r % 2 ? random.below(n) : order_of_row(x.data() + r * n, n)[0]);
        return t;
    }
    std::string fault_on(tarn::tier tier) const {
        const auto where = tarn::on(tier);
        const std::vector<R> y = dense(where);
        std::vector<R> values(static_cast<std::size_t>(rows * k)), loss(static_cast<std::size_t>(rows)), dx(x.size());
        std::vector<int> indices(values.size());
        const auto t = targets();
        const auto dloss = normal_logits<R>(rows, 1, 0.3, 4);
        tarn::sparse_softmax(where, view(x), tarn::make_view(values.data(), rows, k),
                             tarn::make_view(indices.data(), rows, k), options());
        tarn::sparse_softmax_loss(where, view(x), tarn::make_view(t.data(), rows), tarn::make_view(loss.data(), rows),
                                  options());
        tarn::sparse_softmax_loss_backward(where, view(x), tarn::make_view(t.data(), rows),
                                           tarn::make_view(dloss.data(), rows), view(dx), options());
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            const std::string place =
                " of row " + std::to_string(r) + " of " + std::to_string(n) + ", k " + std::to_string(k);
            const R* const from = x.data() + r * n;
            const exact_sparse exact(
                from, n, k, empty_row == tarn::empty_row::zero ? 0 : std::numeric_limits<long double>::quiet_NaN());
            const auto order = order_of_row(from, n);
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const R got = y[static_cast<std::size_t>(r * n + i)];
                if (!(ulp_error(got, exact.y[static_cast<std::size_t>(i)]) <= 4))
                    return "element " + std::to_string(i) + " is " + std::to_string(got) + place;
            }
            for (std::ptrdiff_t i = 0; i < k; ++i) {
                const std::ptrdiff_t index = i < n ? order[static_cast<std::size_t>(i)] : -1;
                const R value = index < 0 ? R(0) : y[static_cast<std::size_t>(r * n + index)];
                const auto at = static_cast<std::size_t>(r * k + i);
                if (indices[at] != index || (bits_of(values[at]) != bits_of(value) && value == value) ||
                    (value != value) != (values[at] != values[at]))
                    return "value " + std::to_string(i) + " is " + std::to_string(values[at]) + place;
            }
            const std::int64_t target = t[static_cast<std::size_t>(r)];
            const auto xt = static_cast<long double>(from[target]);
            const long double part = exact.greatest - xt;
            const long double wanted = part + exact.log_of_sum;
            const R got = loss[static_cast<std::size_t>(r)];
            const auto ulp = static_cast<long double>(std::numeric_limits<R>::epsilon());
            if (std::isnan(wanted) ? !std::isnan(got)
                : std::isinf(wanted)
                    ? got != static_cast<R>(wanted)
                    : !(std::fabs(static_cast<long double>(got) - wanted) <= 4 * ulp * wanted + least_normal_of<R>) ||
                          got < 0)
                return "loss is " + std::to_string(got) + ", not " + std::to_string(static_cast<double>(wanted)) +
                       place;
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const R g = dx[static_cast<std::size_t>(r * n + i)];
                if (std::isnan(exact.log_of_sum)) {
                    if (g == g)
                        return "gradient " + std::to_string(i) + " is not NaN" + place;
                    continue;
                }
                const long double d = dloss[static_cast<std::size_t>(r)];
                const long double own = exact.y[static_cast<std::size_t>(i)];
                const long double dx_exact = d * (own - (i == target ? 1 : 0));
                const long double size = std::fabs(d) * (own + (i == target ? 1 : 0));
                if (!(std::fabs(static_cast<long double>(g) - dx_exact) <=
                      5 * ulp * size + std::max(1.0L, std::fabs(d)) * least_normal_of<R> * 1.001L) ||
                    (own == 0 && i != target && g != 0))
                    return "gradient " + std::to_string(i) + " is " + std::to_string(g) + place;
            }
        }
        return "";
    }
};

class sparse_softmax : public tier_test {};
TARN_TEST_ON_ALL_TIERS(sparse_softmax);

TEST_P(sparse_softmax, ordinary_rows) {
    for (const std::ptrdiff_t n : edge_lengths({1000, 1025, 4097})) {
        for (const std::ptrdiff_t k : {1, 2, 10, 16, 17, 60}) {
            for (const double sd : {1.0, 30.0}) {
                const auto seed = static_cast<std::uint64_t>(n + k);
                ASSERT_EQ("", (sparse_problem<float>{3, n, k, normal_logits<float>(3 * n, sd, 0, seed)}.fault_on(
                                  GetParam())));
                if (n % 7 == 0) {
                    ASSERT_EQ("", (sparse_problem<double>{3, n, k, normal_logits<double>(3 * n, sd, 0, seed)}.fault_on(
                                      GetParam())));
                }
            }
        }
    }
}

TEST_P(sparse_softmax, any_order_in_memory) {
    for (const std::ptrdiff_t n : {10, 65, 300, 1500}) {
        for (const std::ptrdiff_t k : {1, 5, 50, 256, 257, 600, 1499, 1500, 1501}) {
            std::vector<float> x;
            for (int kind = 0; kind < orders; ++kind) {
                const auto row = row_in_order<float>(kind, n, static_cast<std::uint64_t>(n * 1000 + k));
                x.insert(x.end(), row.begin(), row.end());
            }
            auto p = sparse_problem<float>{orders, n, k, x};
            ASSERT_EQ("", p.fault_on(GetParam()));
            p = sparse_problem<float>{
                20, n, k, mixed_rows<float>(20, n, 3), tarn::empty_row::zero, tarn::stores::streaming};
            ASSERT_EQ("", p.fault_on(GetParam()));
        }
    }
}

TEST_P(sparse_softmax, all_elements_are_softmax) {
    for (const std::ptrdiff_t n : {1, 40, 300, 5000}) {
        const auto p = sparse_problem<float>{9, n, n + n % 2, mixed_rows<float>(9, n, 3)};
        std::vector<float> y(p.x.size());
        tarn::softmax(tarn::on(GetParam()), p.view(p.x), p.view(y));
        EXPECT_EQ("", difference(p.dense(tarn::on(GetParam())).data(), y.data(), 9 * n));
    }
}

TEST_P(sparse_softmax, long_rows) {
    for (const std::ptrdiff_t k : {10, 100, 300})
        ASSERT_EQ("",
                  (sparse_problem<float>{1, 140001, k, normal_logits<float>(140001, 2, 0, 5)}.fault_on(GetParam())));
}

// T is read, U written: rows or columns, in place, with threads, with and without a buffer.
template <class T, class U, class Where>
std::string difference_from_dense(tarn::tier t, const Where& where, std::ptrdiff_t n, std::ptrdiff_t k, bool columns,
                                  bool in_place) {
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;
    constexpr std::ptrdiff_t rows = 11;
    auto p = sparse_problem<R>{rows, n, k, mixed_rows<R>(rows, n, 6)};
    for (R& v : p.x)
        v = static_cast<R>(static_cast<T>(v));
    const auto expected = p.dense(tarn::on(t));
    const std::ptrdiff_t along = columns ? rows : 1, across = columns ? 1 : n;
    std::vector<T> x(p.x.size());
    std::vector<U> y(p.x.size());
    for (std::ptrdiff_t i = 0; i < rows * n; ++i)
        x[static_cast<std::size_t>(i / n * across + i % n * along)] = static_cast<T>(p.x[static_cast<std::size_t>(i)]);
    const auto view = [&](auto* data) {
        return tarn::make_view(data, tarn::extents{rows, n}, tarn::strides{across, along});
    };
    U* to = y.data();
    if constexpr (std::is_same<T, U>::value)
        to = in_place ? x.data() : to;
    tarn::sparse_softmax(where, view(static_cast<const T*>(x.data())), view(to), p.options());
    for (std::ptrdiff_t i = 0; i < rows * n; ++i) {
        const auto got = static_cast<R>(to[i / n * across + i % n * along]);
        const auto wanted = static_cast<R>(static_cast<U>(expected[static_cast<std::size_t>(i)]));
        if (bits_of(got) != bits_of(wanted) && (got == got || wanted == wanted))
            return "element " + std::to_string(i) + " is " + std::to_string(got) + ", expected " +
                   std::to_string(wanted);
    }
    return "";
}

TEST_P(sparse_softmax, any_layout_and_type) {
    for (const std::ptrdiff_t n : {1, 37, 129, 700, 5000}) {
        for (const std::ptrdiff_t k : {3, 40, 300}) {
            for (int how = 0; how < 8; ++how) {
                const bool columns = how & 1, in_place = how & 2, lent = how & 4;
                const tarn::serial_executor serial;
                const odd_threads threads{3, 4};
                const auto check = [&](auto where) {
                    ASSERT_EQ("", (difference_from_dense<float, float>(GetParam(), where, n, k, columns, in_place)));
                    ASSERT_EQ("", (difference_from_dense<double, double>(GetParam(), where, n, k, columns, in_place)));
                    ASSERT_EQ("", (difference_from_dense<tarn::bfloat16, tarn::bfloat16>(GetParam(), where, n, k,
                                                                                         columns, in_place)));
                    ASSERT_EQ("",
                              (difference_from_dense<tarn::float16, float>(GetParam(), where, n, k, columns, false)));
                };
                SCOPED_TRACE(std::to_string(n) + ", k " + std::to_string(k) + " way " + std::to_string(how));
                if (lent)
                    check(tarn::on(GetParam(), serial, tarn::scratch{}));
                else
                    check(tarn::on(GetParam(), threads));
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

TEST_P(sparse_softmax, gradients_by_differences) {
    constexpr std::ptrdiff_t n = 20;
    const auto x = normal_logits<double>(n, 1, 0, 2);
    const auto weights = normal_logits<double>(n, 1, 0, 3);
    const auto p = sparse_problem<double>{1, n, 6, x};
    const auto y = p.dense(tarn::on(GetParam()));
    const int target = static_cast<int>(order_of_row(x.data(), n)[12]);
    std::vector<double> dx(n), dx_of_loss(n);
    const double one = 1;
    tarn::sparse_softmax_backward(tarn::on(GetParam()), tarn::make_view(y.data(), n),
                                  tarn::make_view(weights.data(), n), tarn::make_view(dx.data(), n));
    tarn::sparse_softmax_loss_backward(tarn::on(GetParam()), tarn::make_view(x.data(), n), target, one,
                                       tarn::make_view(dx_of_loss.data(), n), p.options());
    for (std::size_t i = 0; i < n; ++i) {
        double f[2] = {}, loss[2] = {};
        for (int side = 0; side < 2; ++side) {
            auto q = p;
            q.x[i] += side ? 1e-6 : -1e-6;
            const auto moved = q.dense(tarn::on(GetParam()));
            f[side] = std::inner_product(moved.begin(), moved.end(), weights.begin(), 0.0);
            tarn::sparse_softmax_loss(tarn::on(GetParam()), tarn::make_view(q.x.data(), n), target, loss[side],
                                      p.options());
        }
        EXPECT_NEAR(dx[i], (f[1] - f[0]) / 2e-6, 1e-7);
        EXPECT_NEAR(dx_of_loss[i], (loss[1] - loss[0]) / 2e-6, 1e-7);
    }
}

// The gradient may take the place of the logits.
TEST_P(sparse_softmax, loss_backward_in_place_and_of_other_types) {
    for (const std::ptrdiff_t k : {4, 300}) {
        auto p = sparse_problem<float>{5, 700, k, normal_logits<float>(5 * 700, 2, 0, 6)};
        const auto t = p.targets();
        const std::vector<float> dloss{1, -2, 0, 0.5f, 3};
        std::vector<float> dx(p.x.size());
        const auto call = [&](auto x, auto given, auto to, int axis) {
            auto o = p.options();
            o.axis = axis;
            tarn::sparse_softmax_loss_backward(tarn::on(GetParam()), x, tarn::make_view(t.data(), 5), given, to, o);
        };
        const auto given = tarn::make_view(dloss.data(), 5);
        call(p.view(p.x), given, p.view(dx), -1);
        std::vector<float> columns(p.x.size()), to(p.x.size());
        for (std::size_t i = 0; i < p.x.size(); ++i)
            columns[i % 700 * 5 + i / 700] = p.x[i];
        call(tarn::make_view(columns.data(), 700, 5), given, tarn::make_view(to.data(), 700, 5), 0);
        for (std::size_t i = 0; i < p.x.size(); ++i)
            ASSERT_EQ(to[i % 700 * 5 + i / 700], dx[i]) << i;
        call(tarn::make_view(p.x.data(), 5, 700), given, p.view(p.x), -1);
        EXPECT_EQ(p.x, dx);
        EXPECT_EQ(std::vector<float>(700, 0.0f), std::vector<float>(dx.begin() + 1400, dx.begin() + 2100));
    }
}

TEST_P(sparse_softmax, nothing_outside_the_operands) {
    guarded_floats x(900), y(900);
    for (const std::ptrdiff_t n : {1, 2, 15, 16, 17, 63, 64, 65, 127, 129, 300}) {
        for (const std::ptrdiff_t k : {1, 5, 70}) {
            for (int how = 0; how < 4; ++how) {
                const bool at_end = how & 1;
                auto p = sparse_problem<float>{3, n, k, normal_logits<float>(3 * n, 1, 0, 8)};
                p.stores = how & 2 ? tarn::stores::streaming : tarn::stores::cached;
                float* const from = at_end ? x.against_end(3 * n) : x.against_start();
                float* const to = at_end ? y.against_end(3 * n) : y.against_start();
                std::copy(p.x.begin(), p.x.end(), from);
                ASSERT_EQ("", fault_in([&] {
                              tarn::sparse_softmax(tarn::on(GetParam()),
                                                   tarn::make_view(static_cast<const float*>(from), 3, n),
                                                   tarn::make_view(to, 3, n), p.options());
                          }))
                    << n << ", k " << k << ", way " << how;
                ASSERT_EQ("", difference(to, p.dense(tarn::on(GetParam())).data(), 3 * n)) << n << ", k " << k;
            }
        }
    }
}

TEST_P(sparse_softmax, no_denormal_is_made_and_the_stack_is_enough) {
    for (const std::ptrdiff_t k : {3, 60, 300}) {
        for (const double sd : {1.0, 60.0}) {
            const auto p = sparse_problem<float>{5, 1000, k, normal_logits<float>(5 * 1000, sd, 0, 12)};
            unsigned after = 0;
            {
                const mxcsr_scope clear(0);
                p.dense(tarn::on(GetParam()));
                std::vector<float> dx(p.x.size());
                const auto t = p.targets();
                const std::vector<float> dloss{1, 1e-3f, 1e-30f, 1e30f, 0};
                tarn::sparse_softmax_loss_backward(tarn::on(GetParam()), p.view(p.x), tarn::make_view(t.data(), 5),
                                                   tarn::make_view(dloss.data(), 5), p.view(dx), p.options());
                after = _mm_getcsr();
            }
            EXPECT_EQ(after & (denormal_operand | underflow), 0u) << k << ", sd " << sd;
            if (!sanitized) {
                EXPECT_LE(stack_of([&] { p.dense(tarn::on(GetParam())); }), 64 * 1024);
            }
        }
    }
}

class sparse_softmax_errors : public refusal_test {};

TEST_F(sparse_softmax_errors, are_told) {
    using tarn::extents;
    EXPECT_EQ(message_of([&] {
                  tarn::sparse_softmax(in(extents{4, 5}), out(extents{4, 5}), {-1, 0});
              }),
              "tarn::sparse_softmax: k 0, expected at least 1");
    EXPECT_EQ(message_of([&] {
                  tarn::sparse_softmax(in(extents{4, 5}), out(extents{5, 4}));
              }),
              "tarn::sparse_softmax: output extents {5,4}, expected {4,5}");
    EXPECT_EQ(message_of([&] {
                  tarn::sparse_softmax(in(extents{4, 5}), out(extents{4, 0}), tarn::none);
              }),
              "tarn::sparse_softmax: values extents {4,0}, expected at least 1 along axis 1");
    const long targets[4] = {0, 4, 5, 1};
    const long negative[4] = {0, 4, -1, 1};
    EXPECT_EQ(message_of([&] {
                  tarn::sparse_softmax_loss(in(extents{4, 5}), tarn::make_view(targets, 4), out(extents{4}));
              }),
              "tarn::sparse_softmax_loss: targets 5, expected 0 to 4");
    EXPECT_EQ(message_of([&] {
                  tarn::sparse_softmax_loss(in(extents{4, 5}), tarn::make_view(negative, 4), out(extents{4}));
              }),
              "tarn::sparse_softmax_loss: targets -1, expected 0 to 4");
    EXPECT_EQ(message_of([&] {
                  tarn::sparse_softmax_loss(in(extents{4, 5}), tarn::make_view(targets, 2), out(extents{4}));
              }),
              "tarn::sparse_softmax_loss: targets extents {2}, expected {4}");
    EXPECT_EQ(
        message_of([&] {
            tarn::sparse_softmax_loss(in(extents{4, 6}), tarn::make_view(targets, 4), tarn::make_view(x.data() + 3, 4));
        }),
        "tarn::sparse_softmax_loss: loss overlaps the input, expected memory apart from the input");
    EXPECT_EQ(
        message_of([&] {
            tarn::sparse_softmax_loss_backward(in(extents{4, 6}), tarn::make_view(targets, 4), out(extents{4}),
                                               tarn::make_view(y.data(), 4, 6));
        }),
        "tarn::sparse_softmax_loss_backward: output overlaps the gradient, expected memory apart from the gradient");
}

} // namespace
