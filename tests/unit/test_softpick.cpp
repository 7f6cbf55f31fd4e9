// SPDX-License-Identifier: BSD-3-Clause
//
// Softpick against long double, its special values, and that a row's bits depend on the row alone.
// Flags of denormal numbers are looked at, which would not be raised otherwise.
#define TARN_ZERO_DENORMALS 0
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/mxcsr.hpp"
#include "support/pick.hpp"
#include "support/refusals.hpp"
#include "support/rows.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class softpick : public tier_test {
protected:
    template <class R> void check(const pick_problem<R>& p) {
        const std::vector<R> y = p.results(tarn::on(GetParam()));
        for (std::ptrdiff_t row = 0; row < p.rows; ++row) {
            const auto exact = p.exact(row);
            for (std::ptrdiff_t i = 0; i < p.n; ++i) {
                const auto k = static_cast<std::size_t>(i);
                const long double e = std::max(0.0L, exact.picked[k]) / exact.divisor;
                const double error = ulp_error(y[static_cast<std::size_t>(row * p.n + i)], e);
                worst_ = std::max(worst_, error);
                // Without a fused multiply-add, floats that are not far from 0 lose digits.
                const long double z = std::fabs(p.logit(row * p.n + i));
                const bool loses = GetParam() == tarn::tier::sse2 && sizeof(R) == 4 && z > 0.04L && z < 0.7L;
                ASSERT_LE(error, loses ? 32 : 8)
                    << "row " << row << ", element " << i << " of " << p.n << ", logit "
                    << static_cast<double>(p.logit(row * p.n + i)) << ", exact " << static_cast<double>(e);
            }
        }
    }
    void TearDown() override {
        if (!IsSkipped())
            RecordProperty("worst_ulp", std::to_string(worst_));
    }
    double worst_ = 0;
};
TARN_TEST_ON_ALL_TIERS(softpick);

TEST_P(softpick, logits_of_any_size) {
    for (const std::ptrdiff_t n : edge_lengths({1000, 4097, 9000})) {
        for (const bool masked : {false, true}) {
            for (const double sd : {1e-12, 1e-3, 0.1, 1.0, 20.0}) {
                check(pick_problem<float>::of(7, n, normal_logits<float>(7 * n, sd, 0, static_cast<std::uint64_t>(n)),
                                              masked, 1));
                if (n % 7 == 0)
                    check(pick_problem<double>::of(
                        3, n, normal_logits<double>(3 * n, sd, 0, static_cast<std::uint64_t>(n)), masked, 1));
            }
        }
    }
}

// Rows far from 0, below and above, in any order.
TEST_P(softpick, offsets) {
    for (const std::ptrdiff_t n : {5, 64, 100, 300, 2000}) {
        std::vector<float> x;
        for (const double offset : {0.0, -3.0, -90.0, -1e5, 5.0, 80.0, 100.0, 1000.0, 1e5, 3e38, 0.0, -1e30}) {
            const auto row = normal_logits<float>(n, 1, 0, static_cast<std::uint64_t>(n));
            for (const float v : row)
                x.push_back(v + static_cast<float>(offset));
        }
        check(pick_problem<float>::of(12, n, x, false, 1));
        check(pick_problem<double>::of(12, n, std::vector<double>(x.begin(), x.end()), true, 1));
    }
}

TEST_P(softpick, any_scale_and_epsilon) {
    for (const double scale : {-1.0, 0.37, -40.0}) {
        for (const double epsilon : {1.0, 1e-6, 0x1p-50}) {
            for (const bool masked : {false, true}) {
                auto p = pick_problem<float>::of(20, 150, normal_logits<float>(20 * 150, 1, 0.2, 3), masked, 4);
                p.scale = scale;
                p.epsilon = epsilon;
                check(p);
            }
        }
    }
    auto p = pick_problem<float>::of(20, 150, normal_logits<float>(20 * 150, 1, 0, 3), false, 4);
    p.scale = 0;
    EXPECT_EQ(p.results(tarn::on(GetParam())), std::vector<float>(20 * 150, 0.0f));
}

TEST_P(softpick, special_values) {
    for (const std::ptrdiff_t n : {3, 40, 300}) {
        const auto size = static_cast<std::size_t>(n);
        const auto row = [&](std::vector<float> x) {
            auto p = pick_problem<float>::of(1, n, std::move(x), false, 1);
            return p.results(tarn::on(GetParam()));
        };
        const std::vector<float> zeros(size, 0.0f);
        EXPECT_EQ(row(zeros), zeros);
        EXPECT_EQ(row(std::vector<float>(size, -inf)), zeros);
        EXPECT_EQ(row(std::vector<float>(size, -2.0f)), zeros);
        // -inf counts as not kept: the others are what they are without it.
        std::vector<float> x(size, -inf);
        x[1] = 1;
        EXPECT_NEAR(row(x)[1], 1, 1e-6);
        x[0] = -1;
        const double e = std::exp(1.0) - 1;
        EXPECT_NEAR(row(x)[1], e / (e + 1 - std::exp(-1.0)), 1e-6);
        for (const float dirt : {nan, inf}) {
            x[size - 1] = dirt;
            for (const float v : row(x))
                EXPECT_TRUE(std::isnan(v)) << dirt;
        }
    }
    // A single element is visibly below 1 where epsilon is.
    EXPECT_NEAR(pick_problem<float>::of(1, 1, {1e-7f}, false, 1).results(tarn::on(GetParam()))[0], 1 / 1.1, 1e-6);
}

// Whatever lies where nothing is kept, and NaN in other rows: the same bits.
TEST_P(softpick, rows_among_others) {
    for (const std::ptrdiff_t n : {1, 7, 33, 100, 129, 300, 5000}) {
        auto p = pick_problem<float>::of(36, n, mixed_rows<float>(36, n, 2), true, 5);
        const auto together = p.results(tarn::on(GetParam()));
        for (std::ptrdiff_t r = 0; r < 36; ++r) {
            std::vector<float> y(static_cast<std::size_t>(n));
            auto o = p.options();
            o.keep = tarn::make_view(static_cast<const bool*>(p.keep.get() + r * n), n);
            tarn::softpick(tarn::on(GetParam()), tarn::make_view(p.x.data() + r * n, n), tarn::make_view(y.data(), n),
                           o);
            ASSERT_EQ("", difference(together.data() + r * n, y.data(), n)) << "row " << r << " of " << n;
        }
        for (std::ptrdiff_t i = 0; i < 36 * n; ++i) {
            if (!p.keep[static_cast<std::size_t>(i)])
                p.x[static_cast<std::size_t>(i)] = nan;
        }
        ASSERT_EQ("", difference(p.results(tarn::on(GetParam())).data(), together.data(), 36 * n)) << n;
    }
}

// What a row leaves behind for the next ones does not show in them, however small they are.
TEST_P(softpick, rows_after_greater_ones) {
    for (const std::ptrdiff_t n : {40, 300}) {
        for (const double greatest : {10.0, 14.0, 17.2, 20.0, 30.0, 60.0}) {
            random_bits random(14);
            std::vector<float> x(static_cast<std::size_t>(30 * n));
            for (std::ptrdiff_t i = 0; i < 30 * n; ++i)
                x[static_cast<std::size_t>(i)] =
                    (i / n) % 3 == 0 ? static_cast<float>(greatest - static_cast<double>(random.below(5)))
                                     : float_of(0x00800000u + static_cast<std::uint32_t>(random.next() & 0x7fffffu));
            const auto together = pick_problem<float>::of(30, n, x, false, 1).results(tarn::on(GetParam()));
            for (std::ptrdiff_t r = 0; r < 30; ++r) {
                const std::vector<float> row(x.begin() + r * n, x.begin() + (r + 1) * n);
                const auto alone = pick_problem<float>::of(1, n, row, false, 1).results(tarn::on(GetParam()));
                ASSERT_EQ("", difference(together.data() + r * n, alone.data(), n))
                    << "row " << r << ", greatest " << greatest;
            }
        }
    }
}

// T is read, U written: rows or columns, in place, streamed, with and without a buffer, with threads.
template <class T, class U, class Where>
std::string difference_from_dense(tarn::tier t, const Where& where, std::ptrdiff_t n, bool masked, bool columns,
                                  bool in_place, tarn::stores stores) {
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;
    constexpr std::ptrdiff_t rows = 13;
    auto p = pick_problem<R>::of(rows, n, normal_logits<R>(rows * n, 1, 0, 6), masked, 7);
    for (R& v : p.x)
        v = static_cast<R>(static_cast<T>(v));
    // A row of NaN, whose first element is not kept if any is not.
    p.x[static_cast<std::size_t>(3 * n + n / 2)] = std::numeric_limits<R>::quiet_NaN();
    if (masked) {
        p.keep[static_cast<std::size_t>(3 * n)] = false;
        p.keep[static_cast<std::size_t>(3 * n + n / 2)] = true;
    }
    const std::vector<R> expected = p.results(tarn::on(t));
    const std::ptrdiff_t along = columns ? rows : 1;
    const std::ptrdiff_t across = columns ? 1 : n;
    std::vector<T> x(p.x.size());
    std::vector<U> y(p.x.size());
    const std::unique_ptr<bool[]> apart(new bool[2 * p.x.size()]());
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const auto k = static_cast<std::size_t>(r * n + i);
            x[static_cast<std::size_t>(r * across + i * along)] = static_cast<T>(p.x[k]);
            apart[static_cast<std::size_t>(2 * (r * n + i))] = masked && p.keep[k];
        }
    }
    const auto view = [&](auto* data) {
        return tarn::make_view(data, tarn::extents{rows, n}, tarn::strides{across, along});
    };
    auto o = p.options();
    o.stores = stores;
    if (masked && columns)
        o.keep = tarn::make_view(static_cast<const bool*>(apart.get()), tarn::extents{rows, n},
                                 tarn::strides{2 * n, std::ptrdiff_t{2}});
    U* to = y.data();
    if constexpr (std::is_same<T, U>::value)
        to = in_place ? x.data() : to;
    tarn::softpick(where, view(static_cast<const T*>(x.data())), view(to), o);
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const auto got = static_cast<R>(to[r * across + i * along]);
            const auto wanted = static_cast<R>(static_cast<U>(expected[static_cast<std::size_t>(r * n + i)]));
            if (bits_of(got) != bits_of(wanted) && (got == got || wanted == wanted))
                return "row " + std::to_string(r) + ", element " + std::to_string(i) + " is " + std::to_string(got) +
                       ", expected " + std::to_string(wanted);
        }
    }
    return "";
}

TEST_P(softpick, any_layout_and_type) {
    for (const std::ptrdiff_t n : {1, 16, 37, 129, 700, 5000, 10000}) {
        for (int how = 0; how < 32; ++how) {
            const bool masked = how & 1, columns = how & 2, in_place = how & 4, lent = how & 8;
            const tarn::stores stores = how & 16 ? tarn::stores::streaming : tarn::stores::cached;
            const tarn::serial_executor serial;
            const odd_threads threads{3, 4};
            const auto check = [&](auto where) {
                ASSERT_EQ(
                    "", (difference_from_dense<float, float>(GetParam(), where, n, masked, columns, in_place, stores)));
                ASSERT_EQ("", (difference_from_dense<double, double>(GetParam(), where, n, masked, columns, in_place,
                                                                     stores)));
                ASSERT_EQ("", (difference_from_dense<tarn::bfloat16, tarn::bfloat16>(GetParam(), where, n, masked,
                                                                                     columns, in_place, stores)));
                ASSERT_EQ("", (difference_from_dense<tarn::float16, float>(GetParam(), where, n, masked, columns, false,
                                                                           stores)));
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

TEST_P(softpick, nothing_outside_the_operands) {
    constexpr std::ptrdiff_t most = 20 * 300;
    guarded_floats x(most), y(most);
    guarded_numbers<bool> keep(most);
    for (const std::ptrdiff_t n : {1, 2, 7, 15, 16, 17, 31, 33, 63, 65, 127, 129, 300}) {
        for (const std::ptrdiff_t rows : {1, 3, 20}) {
            const auto p = pick_problem<float>::of(rows, n, normal_logits<float>(rows * n, 1, 0, 8), true, 9);
            for (const bool at_end : {false, true}) {
                for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
                    const auto place = [&](auto& memory, const auto* from) {
                        auto* const to = at_end ? memory.against_end(rows * n) : memory.against_start();
                        if (from)
                            std::copy(from, from + rows * n, to);
                        return tarn::make_view(to, rows, n);
                    };
                    auto o = p.options();
                    o.stores = how;
                    o.keep = place(keep, p.keep.get());
                    const auto from = place(x, p.x.data());
                    const auto to = place(y, static_cast<const float*>(nullptr));
                    ASSERT_EQ("", fault_in([&] { tarn::softpick(tarn::on(GetParam()), from, to, o); }))
                        << rows << "x" << n << at_end;
                }
            }
        }
    }
}

TEST_P(softpick, no_denormal_is_met_or_made) {
    for (const std::ptrdiff_t n : {7, 100, 1000}) {
        for (const double sd : {1e-20, 1e-9, 1.0, 50.0}) {
            for (const double offset : {0.0, -200.0, 200.0}) {
                auto p = pick_problem<float>::of(18, n, normal_logits<float>(18 * n, sd, offset, 12), true, 13);
                // Beside a great logit the differences of tiny ones are no normal numbers.
                for (std::ptrdiff_t r = 0; r < 18; r += 2)
                    p.x[static_cast<std::size_t>(r * n)] = 108;
                unsigned after = 0;
                {
                    const mxcsr_scope clear(0);
                    p.results(tarn::on(GetParam()));
                    after = _mm_getcsr();
                }
                ASSERT_EQ(after & (denormal_operand | underflow), 0u) << n << ", sd " << sd << ", offset " << offset;
            }
        }
    }
}

TEST(softpick_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    for (const std::ptrdiff_t n : {1, 16, 100, 1000}) {
        for (const double sd : {1e-3, 1.0, 50.0}) {
            const auto p = pick_problem<float>::of(30, n, normal_logits<float>(30 * n, sd, 0, 15), true, 16);
            ASSERT_EQ("", difference(p.results(tarn::on(tarn::tier::avx512)).data(),
                                     p.results(tarn::on(tarn::tier::avx2)).data(), 30 * n))
                << n << ", sd " << sd;
        }
    }
}

class softpick_errors : public refusal_test {};

TEST_F(softpick_errors, are_told) {
    using tarn::extents;
    const auto message = [&](const tarn::softpick_options& o) {
        return message_of([&] { tarn::softpick(in(extents{4, 5}), out(extents{4, 5}), o); });
    };
    EXPECT_EQ(message_of([&] {
                  tarn::softpick(in(extents{4, 5}), out(extents{5, 4}));
              }),
              "tarn::softpick: output extents {5,4}, expected {4,5}");
    EXPECT_EQ(message({2}), "tarn::softpick: axis 2, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message({-1, 1e300}),
              "tarn::softpick: scale " + std::to_string(1e300) + ", expected a number below 2^127 in magnitude");
    const bool keep[20] = {};
    EXPECT_EQ(message({-1, 1, tarn::make_view(keep, 4)}),
              "tarn::softpick: keep extents {4}, expected extents that broadcast to {4,5}");
    for (const double epsilon : {0.0, -1.0, 2.0, std::numeric_limits<double>::quiet_NaN()})
        EXPECT_EQ(message({-1, 1, {}, epsilon}),
                  "tarn::softpick: epsilon " + std::to_string(epsilon) + ", expected 2^-50 to 1");
}

} // namespace
