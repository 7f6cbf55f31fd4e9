// SPDX-License-Identifier: BSD-3-Clause
//
// Masked softmax: special values, rows that keep nothing, memory outside the operands, denormal numbers.
// Flags of denormal numbers are looked at, which would not be raised otherwise.
#define TARN_ZERO_DENORMALS 0
#include "support/guarded.hpp"
#include "support/masked.hpp"
#include "support/mxcsr.hpp"
#include "support/tiers.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::ptrdiff_t lengths[] = {5, 17, 100, 129, 300, 5000};

class masked_softmax_rules : public tier_test {
protected:
    std::vector<float> results(const std::vector<float>& x, std::ptrdiff_t rows,
                               const tarn::masked_softmax_options<float>& o) {
        std::vector<float> y(x.size(), -77.0f);
        const auto n = static_cast<std::ptrdiff_t>(x.size()) / rows;
        tarn::masked_softmax(tarn::on(GetParam()), tarn::make_view(x.data(), rows, n),
                             tarn::make_view(y.data(), rows, n), o);
        return y;
    }
};
TARN_TEST_ON_ALL_TIERS(masked_softmax_rules);

// Whatever lies where nothing is kept: the same bits.
TEST_P(masked_softmax_rules, what_is_not_kept_is_not_looked_at) {
    for (const std::ptrdiff_t n : lengths) {
        for (const int features :
             {int{with_keep}, int{with_causal}, int{with_window}, with_keep | with_bias | with_causal,
              with_keep | with_cap | with_sink | with_window}) {
            const auto p = masked_problem<float>::of(features, 2, 18, n, 1);
            const auto clean = p.results(tarn::on(GetParam()));
            for (const float dirt : {nan, inf, -inf, 3e38f}) {
                auto spoilt = masked_problem<float>::of(features, 2, 18, n, 1);
                for (std::ptrdiff_t i = 0; i < p.size(); ++i) {
                    if (!p.keeps(i / n, i % n)) {
                        spoilt.x[static_cast<std::size_t>(i)] = dirt;
                        if (!spoilt.bias.empty())
                            spoilt.bias[static_cast<std::size_t>(i)] = dirt;
                    }
                }
                ASSERT_EQ(spoilt.results(tarn::on(GetParam())), clean) << n << " " << name_of_features(features);
            }
        }
    }
}

// NaN or +inf in what is kept make the whole row NaN, and no other.
TEST_P(masked_softmax_rules, nan_fills_its_row) {
    for (const std::ptrdiff_t n : lengths) {
        for (const int features :
             {int{with_keep}, int{with_causal}, with_window | with_causal, int{with_bias}, int{with_sink}}) {
            const auto p = masked_problem<float>::of(features, 2, 18, n, 2);
            const auto clean = p.results(tarn::on(GetParam()));
            for (const float dirt : {nan, inf}) {
                auto spoilt = masked_problem<float>::of(features, 2, 18, n, 2);
                std::vector<bool> is_spoilt(36);
                for (const std::ptrdiff_t row : {1, 2, 20, 35}) {
                    for (std::ptrdiff_t k = n - 1; k >= 0; k -= 3) {
                        if (!p.keeps(row, k))
                            continue;
                        spoilt.x[static_cast<std::size_t>(row * n + k)] = dirt;
                        is_spoilt[static_cast<std::size_t>(row)] = true;
                        break;
                    }
                }
                const auto y = spoilt.results(tarn::on(GetParam()));
                for (std::size_t i = 0; i < y.size(); ++i) {
                    if (is_spoilt[i / static_cast<std::size_t>(n)]) {
                        ASSERT_TRUE(std::isnan(y[i])) << i << " of " << n << " " << name_of_features(features);
                    } else {
                        ASSERT_EQ(y[i], clean[i]) << i << " of " << n << " " << name_of_features(features);
                    }
                }
            }
        }
    }
}

TEST_P(masked_softmax_rules, rows_that_keep_nothing) {
    for (const std::ptrdiff_t n : lengths) {
        const auto x = normal_logits(20 * n, 1, 0, 3);
        for (const tarn::empty_row empty : {tarn::empty_row::zero, tarn::empty_row::nan}) {
            const auto expect = [&](const std::vector<float>& y, const char* what) {
                for (const float v : y) {
                    if (empty == tarn::empty_row::nan) {
                        ASSERT_TRUE(std::isnan(v)) << what << n;
                    } else {
                        ASSERT_EQ(bits_of(v), 0u) << what << n;
                    }
                }
            };
            tarn::masked_softmax_options<float> o;
            o.empty_row = empty;
            const std::unique_ptr<bool[]> none(new bool[static_cast<std::size_t>(n)]());
            o.keep = tarn::make_view(static_cast<const bool*>(none.get()), n);
            expect(results(x, 20, o), "keep ");
            o.keep = {};
            o.causal = true;
            o.offset = -20;
            expect(results(x, 20, o), "causal ");
            o.causal = false;
            o.offset = n;
            o.window = 1;
            expect(results(x, 20, o), "window ");
            o.window = 0;
            expect(results(std::vector<float>(static_cast<std::size_t>(20 * n), -inf), 20, o), "-inf ");
            const std::vector<float> bias(static_cast<std::size_t>(n), -inf);
            o.bias = bias;
            expect(results(x, 20, o), "bias ");
            float sink = -inf;
            o.sink = sink;
            expect(results(x, 20, o), "no sink ");
            o.bias = {};
            o.causal = true;
            o.offset = -20;
            expect(results(x, 20, o), "causal, no sink ");
        }
    }
}

TEST_P(masked_softmax_rules, sinks) {
    for (const std::ptrdiff_t n : lengths) {
        const auto x = normal_logits(20 * n, 1, 0, 3);
        const std::vector<float> nothing(static_cast<std::size_t>(20 * n), -inf);
        for (const float sink : {0.0f, 3.0f, -100.0f, 1e30f, -1e30f, inf, nan}) {
            tarn::masked_softmax_options<float> o;
            o.sink = sink;
            o.empty_row = tarn::empty_row::nan;
            const bool spoils = !(sink < inf);
            for (const float v : results(nothing, 20, o))
                ASSERT_TRUE(spoils ? std::isnan(v) : bits_of(v) == 0) << sink << " " << v << " " << n;
            double sum = 0;
            for (const float v : results(x, 20, o)) {
                ASSERT_EQ(std::isnan(v), spoils) << sink << " " << n;
                sum += static_cast<double>(v);
            }
            if (sink == 1e30f) {
                EXPECT_EQ(sum, 0);
            } else if (sink == -1e30f || (sink == -100.0f)) {
                EXPECT_NEAR(sum, 20, 1e-4);
            } else if (!spoils) {
                EXPECT_LT(sum, 20);
            }
            o.causal = true;
            o.offset = -20;
            for (const float v : results(x, 20, o))
                ASSERT_TRUE(spoils ? std::isnan(v) : bits_of(v) == 0) << sink << " " << v << " " << n;
        }
    }
}

// Infinities, and numbers far from 0.
TEST_P(masked_softmax_rules, special_logits) {
    for (const std::ptrdiff_t n : lengths) {
        for (const int features : {int{with_keep}, int{with_bias}, with_bias | with_sink}) {
            auto p = masked_problem<float>::of(features, 1, 4, n, 4, 0.1);
            std::fill(p.bias.begin(), p.bias.end(), 0.0f);
            std::fill(p.sink.begin(), p.sink.end(), -inf);
            const std::vector<float> near = p.x;
            for (const float far : {1e6f, 1e30f, -1e30f, 3.4e38f}) {
                for (std::size_t i = 0; i < near.size(); ++i)
                    p.x[i] = near[i] + far;
                const auto y = p.results(tarn::on(GetParam()));
                for (std::ptrdiff_t r = 0; r < 4; ++r) {
                    double sum = 0;
                    std::ptrdiff_t kept = 0;
                    for (std::ptrdiff_t k = 0; k < n; ++k) {
                        sum += static_cast<double>(y[static_cast<std::size_t>(r * n + k)]);
                        kept += p.keeps(r, k);
                    }
                    EXPECT_NEAR(sum, kept > 0 ? 1 : 0, 1e-5) << far << " " << n;
                }
            }
        }
        // A cap tames infinities.
        tarn::masked_softmax_options<float> o;
        o.soft_cap = 3;
        std::vector<float> x(static_cast<std::size_t>(n), 0.0f);
        x[0] = inf;
        x[static_cast<std::size_t>(n - 1)] = -inf;
        const auto y = results(x, 1, o);
        EXPECT_NEAR(y[0] / y[1], std::exp(3.0), 1e-4);
        EXPECT_NEAR(y[static_cast<std::size_t>(n - 1)] / y[1], std::exp(-3.0), 1e-6);
    }
}

TEST_P(masked_softmax_rules, nothing_outside_the_operands) {
    constexpr std::ptrdiff_t most = 20 * 600;
    guarded_floats x(most), y(most), bias(most);
    guarded_numbers<bool> keep(most);
    for (const std::ptrdiff_t n : {1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 65, 127, 128, 129, 131, 257, 600}) {
        for (const std::ptrdiff_t rows : {1, 3, 17, 20}) {
            for (const int features : {int{with_keep}, with_keep | with_bias, with_causal | with_window,
                                       with_bias | with_sink, int{all_features}}) {
                const auto p = masked_problem<float>::of(features, 1, rows, n, 5);
                for (const bool at_end : {false, true}) {
                    for (const bool by_columns : {false, true}) {
                        for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
                            const auto place = [&](auto& memory, const auto* from) {
                                auto* const to = at_end ? memory.against_end(p.size()) : memory.against_start();
                                if (from)
                                    std::copy(from, from + p.size(), to);
                                return tarn::make_view(to, tarn::extents{rows, n},
                                                       by_columns ? tarn::strides{std::ptrdiff_t{1}, rows}
                                                                  : tarn::strides{n, std::ptrdiff_t{1}});
                            };
                            auto o = p.dense_options();
                            o.stores = how;
                            const auto from = place(x, p.x.data());
                            const auto to = place(y, static_cast<const float*>(nullptr));
                            if (features & with_bias)
                                o.bias = place(bias, p.bias.data());
                            if (features & with_keep)
                                o.keep = place(keep, p.keep.get());
                            ASSERT_EQ("", fault_in([&] { tarn::masked_softmax(tarn::on(GetParam()), from, to, o); }))
                                << rows << "x" << n << " " << name_of_features(features)
                                << (by_columns ? " as columns" : "") << (at_end ? ", end" : "");
                        }
                    }
                }
            }
        }
    }
}

TEST_P(masked_softmax_rules, no_denormal_is_met_or_made) {
    for (const std::ptrdiff_t n : lengths) {
        for (const double sd : {1.0, 50.0}) {
            for (int features = 0; features <= all_features; features += 5) {
                const auto p = masked_problem<float>::of(features, 1, 18, n, 6, sd);
                unsigned after = 0;
                {
                    const mxcsr_scope clear(0);
                    p.results(tarn::on(GetParam()));
                    after = _mm_getcsr();
                }
                ASSERT_EQ(after & (denormal_operand | underflow), 0u) << n << " " << name_of_features(features);
            }
        }
    }
}

} // namespace
