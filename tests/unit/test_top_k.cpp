// SPDX-License-Identifier: BSD-3-Clause
//
// top_k and softmax_top_k against a stable sort, softmax and long double; their special values; what they refuse.
#include "support/mxcsr.hpp"
#include "support/refusals.hpp"
#include "support/top.hpp"

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class top_k : public tier_test {
protected:
    template <class R> void check(top_problem<R> p) {
        for (const bool softmax : {false, true}) {
            p.softmax = softmax;
            ASSERT_EQ("", p.fault_on(GetParam()));
        }
    }
};
TARN_TEST_ON_ALL_TIERS(top_k);

TEST_P(top_k, ordinary_rows) {
    for (const std::ptrdiff_t n : edge_lengths({1000, 1023, 1025, 2049, 4097})) {
        for (const std::ptrdiff_t k : {1, 2, 5, 8, 9, 16, 17, 40}) {
            check(top_problem<float>{3, n, k, normal_logits<float>(3 * n, 1, 0, static_cast<std::uint64_t>(n + k))});
            if (n % 5 == 0)
                check(top_problem<double>{2, n, k,
                                          normal_logits<double>(2 * n, 1, 0, static_cast<std::uint64_t>(n + k))});
        }
    }
}

// All sequences of four different numbers and NaN, of up to six elements.
TEST_P(top_k, all_small_rows) {
    const float numbers[] = {-inf, -1, 0.0f, 2, nan};
    for (std::ptrdiff_t n = 1; n <= 5; ++n) {
        std::vector<float> x;
        std::ptrdiff_t rows = 1;
        for (std::ptrdiff_t i = 0; i < n; ++i)
            rows *= 5;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t i = 0, rest = r; i < n; ++i, rest /= 5)
                x.push_back(numbers[rest % 5]);
        }
        for (std::ptrdiff_t k = 1; k <= n + 1; ++k)
            check(top_problem<float>{rows, n, k, x});
    }
}

TEST_P(top_k, any_order_in_memory) {
    for (const std::ptrdiff_t n : {10, 63, 64, 65, 200, 1000, 5000}) {
        for (const std::ptrdiff_t k : {1, 3, 5, 16, 17, 50, 200, 256, 257, 700, 5001}) {
            if (k > 4 * n)
                continue;
            std::vector<float> x;
            std::vector<double> d;
            for (int kind = 0; kind < orders; ++kind) {
                const auto row = row_in_order<float>(kind, n, static_cast<std::uint64_t>(n * 1000 + k));
                x.insert(x.end(), row.begin(), row.end());
                const auto row_of_doubles = row_in_order<double>(kind, n, static_cast<std::uint64_t>(n * 1000 + k));
                d.insert(d.end(), row_of_doubles.begin(), row_of_doubles.end());
            }
            check(top_problem<float>{orders, n, k, x});
            check(top_problem<double>{orders, n, k, d});
        }
    }
}

// Rows of several of the pieces in which sums are taken.
TEST_P(top_k, long_rows) {
    for (const std::ptrdiff_t n : {65535, 65537, 140000}) {
        for (const int kind : {0, 1, 3, 6, 11}) {
            const auto x = row_in_order<float>(kind, n, static_cast<std::uint64_t>(n));
            for (const std::ptrdiff_t k : {5, 100, 600})
                check(top_problem<float>{1, n, k, x});
        }
    }
    check(top_problem<double>{1, 140000, 20, row_in_order<double>(11, 140000, 3)});
}

TEST_P(top_k, any_scale) {
    for (const double scale : {-1.0, 0.37, -40.0, 0.0, 1e-30, 3e37}) {
        for (const std::ptrdiff_t n : {7, 100, 1000}) {
            for (const std::ptrdiff_t k : {4, 30}) {
                for (const int kind : {0, 5, 6, 11}) {
                    auto p = top_problem<float>{1, n, k, row_in_order<float>(kind, n, static_cast<std::uint64_t>(n))};
                    p.softmax = true;
                    p.scale = scale;
                    ASSERT_EQ("", p.fault_on(GetParam())) << "scale " << scale << " order " << kind;
                }
            }
        }
    }
}

// Rows among others that are far from them: guesses that fail.
TEST_P(top_k, rows_among_others) {
    for (const std::ptrdiff_t n : {1, 5, 33, 100, 300, 2000}) {
        for (const tarn::empty_row empty : {tarn::empty_row::nan, tarn::empty_row::zero}) {
            auto p = top_problem<float>{60, n, 7, mixed_rows<float>(60, n, 5)};
            p.empty_row = empty;
            check(p);
            auto d = top_problem<double>{60, n, 7, mixed_rows<double>(60, n, 5)};
            d.empty_row = empty;
            check(d);
        }
    }
}

// Softmax itself, not only its bits.
TEST_P(top_k, within_4_ulp_of_the_exact_softmax) {
    for (const std::ptrdiff_t n : {5, 100, 1000, 30000}) {
        const auto x = normal_logits<float>(n, 3, 0, 9);
        const auto exact = specified_softmax(x.data(), n, 1.0f, 0.0L);
        auto p = top_problem<float>{1, n, 5, x};
        p.softmax = true;
        const auto r = p.results(tarn::on(GetParam()));
        for (std::size_t i = 0; i < 5; ++i)
            EXPECT_LE(ulp_error(r.values[i], exact[static_cast<std::size_t>(r.indices[i])]), 4.0) << n;
    }
}

// Either result may be left out, and axes without elements give nothing but padding.
TEST_P(top_k, results_that_are_not_wanted) {
    for (const std::ptrdiff_t n : {4, 100, 1000}) {
        for (const std::ptrdiff_t k : {5, 300}) {
            auto p = top_problem<float>{2, n, k, normal_logits<float>(2 * n, 1, 0, 3)};
            for (const bool softmax : {false, true}) {
                p.softmax = softmax;
                const auto expected = p.expected(GetParam());
                auto got = expected;
                std::fill(got.values.begin(), got.values.end(), -77.0f);
                const auto x = tarn::make_view(p.x.data(), 2, n);
                p.call(tarn::on(GetParam()), x, tarn::make_view(got.values.data(), 2, k), tarn::none);
                EXPECT_EQ("", p.fault_of(got, expected));
                std::fill(got.indices.begin(), got.indices.end(), -77);
                p.call(tarn::on(GetParam()), x, tarn::none, tarn::make_view(got.indices.data(), 2, k));
                EXPECT_EQ("", p.fault_of(got, expected));
            }
        }
    }
    auto p = top_problem<float>{3, 0, 4, {}};
    p.x.reserve(1);
    check(p);
}

// Logits that are normal numbers, or 0, meet no denormal one on their way, and probabilities that would be are 0.
TEST_P(top_k, no_denormal_is_met_or_made) {
    for (const std::ptrdiff_t n : {7, 100, 1000, 5000}) {
        for (const std::ptrdiff_t k : {3, 60}) {
            for (const double sd : {1e-30, 1.0, 50.0}) {
                for (const double offset : {0.0, -200.0}) {
                    auto p = top_problem<float>{5, n, k, normal_logits<float>(5 * n, sd, offset, 12)};
                    for (const bool softmax : {false, true}) {
                        p.softmax = softmax;
                        unsigned after = 0;
                        {
                            const mxcsr_scope clear(0);
                            p.results(tarn::on(GetParam()));
                            after = _mm_getcsr();
                        }
                        ASSERT_EQ(after & (denormal_operand | underflow), 0u) << n << ", sd " << sd << ", " << offset;
                    }
                }
            }
        }
    }
}

// The order of -0 and 0, and of denormal numbers.
TEST_P(top_k, zeros_and_denormal_numbers) {
    const float d = 0x1p-140f;
    std::vector<float> x = {0, -0.0f, d, -d, 2 * d, 0, -0.0f, -2 * d, d, -1};
    x.resize(100, -3);
    check(top_problem<float>{1, 100, 10, x});
    check(top_problem<float>{1, 10, 10, std::vector<float>(x.begin(), x.begin() + 10)});
}

TEST(top_k_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    for (const std::ptrdiff_t n : {1, 16, 100, 1000, 3000}) {
        for (const std::ptrdiff_t k : {1, 10, 100}) {
            auto p = top_problem<float>{30, n, k, mixed_rows<float>(30, n, 15)};
            p.softmax = true;
            ASSERT_EQ("", p.fault_of(p.results(tarn::on(tarn::tier::avx512)), p.results(tarn::on(tarn::tier::avx2))));
        }
    }
}

class top_k_errors : public refusal_test {
protected:
    std::vector<int> indices = std::vector<int>(1000, -77);
    void TearDown() override { EXPECT_EQ(indices, std::vector<int>(1000, -77)) << "indices changed"; }
    template <int Rank> tarn::tensor_view<int, Rank> at(tarn::extents<Rank> e) {
        return tarn::make_view(indices.data(), e);
    }
};

TEST_F(top_k_errors, are_told) {
    using tarn::extents;
    const auto message = [&](auto values, auto where, const tarn::top_k_options& o = {}) {
        return message_of([&] { tarn::top_k(in(extents{4, 5}), values, where, o); });
    };
    EXPECT_EQ(message(out(extents{3, 2}), at(extents{3, 2})), "tarn::top_k: values extents {3,2}, expected {4,2}");
    EXPECT_EQ(message(out(extents{4, 2}), at(extents{4, 3})), "tarn::top_k: indices extents {4,3}, expected {4,2}");
    EXPECT_EQ(message(out(extents{4, 0}), tarn::none),
              "tarn::top_k: values extents {4,0}, expected at least 1 along axis 1");
    EXPECT_EQ(message(tarn::none, at(extents{0, 5}), {0}),
              "tarn::top_k: indices extents {0,5}, expected at least 1 along axis 0");
    EXPECT_EQ(message(out(extents{4, 2}), at(extents{4, 2}), {2}),
              "tarn::top_k: axis 2, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message_of([&] {
                  const float* const null = nullptr;
                  tarn::top_k(tarn::make_view(null, 4, 5), out(extents{4, 2}), tarn::none);
              }),
              "tarn::top_k: input data is null with extents {4,5}, expected a pointer to the elements");
    EXPECT_EQ(
        message_of([&] {
            tarn::top_k(in(extents{4, 5}), tarn::make_view(y.data(), extents{4, 2}, tarn::strides{0, 1}), tarn::none);
        }),
        "tarn::top_k: values strides {0,1}, expected no stride of 0 along an extent above 1");
    EXPECT_EQ(message_of([&] {
                  tarn::top_k(in(extents{4, 5}), tarn::make_view(x.data() + 19, 4, 1), tarn::none);
              }),
              "tarn::top_k: values overlaps the input, expected memory apart from the input");
    EXPECT_EQ(message_of([&] {
                  tarn::top_k(in(extents{4, 5}), out(extents{4, 2}),
                              tarn::make_view(reinterpret_cast<int*>(y.data() + 7), 4, 2));
              }),
              "tarn::top_k: indices overlaps the values, expected memory apart from the values");
    EXPECT_EQ(message_of([&] {
                  tarn::softmax_top_k(in(extents{4, 5}), out(extents{4, 2}), tarn::none, {-1, 1e300});
              }),
              "tarn::softmax_top_k: scale " + std::to_string(1e300) + ", expected a number below 2^127 in magnitude");
    // Nothing is read before the error.
    EXPECT_EQ(message_of([&] {
                  const auto wide = tarn::make_view(x.data(), extents{std::ptrdiff_t{1} << 32}, tarn::strides{0});
                  tarn::top_k(wide, tarn::none, at(extents{3}));
              }),
              "tarn::top_k: indices of 32 bits, expected 64 bits for rows of 4294967296 elements");
}

} // namespace
