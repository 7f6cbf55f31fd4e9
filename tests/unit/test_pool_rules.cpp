// SPDX-License-Identifier: BSD-3-Clause
//
// What max and average pooling do with special values, large windows, threads, and arguments that they refuse.
#include "support/executors.hpp"
#include "support/mxcsr.hpp"
#include "support/near_denormal.hpp"
#include "support/refusals.hpp"
#include "support/same_bits.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/pool.hpp>

#include <cstring>
#include <limits>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

std::vector<float> normal(std::ptrdiff_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> d;
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& x : v)
        x = d(random);
    return v;
}
std::vector<std::uint32_t> bits_of(const std::vector<float>& v) {
    std::vector<std::uint32_t> bits(v.size());
    std::memcpy(bits.data(), v.data(), v.size() * 4);
    return bits;
}

class pool_rules : public tier_test {};

// One special value at every place of a map, in layouts and windows that take different loops.
TEST_P(pool_rules, one_special_value) {
    for (const auto& [kernel, stride, padding] :
         {std::array<std::ptrdiff_t, 3>{2, 2, 0}, std::array<std::ptrdiff_t, 3>{3, 1, 1},
          std::array<std::ptrdiff_t, 3>{3, 2, 1}, std::array<std::ptrdiff_t, 3>{5, 3, 2}}) {
        for (std::ptrdiff_t extent : {7, 8, 20}) {
            for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
                window_case windows{
                    {{extent, kernel, stride, padding, padding, 1}, {extent, kernel, stride, padding, padding, 1}},
                    false};
                const std::ptrdiff_t channels = 9;
                const auto members = members_of(windows);
                map_call<float> c{windows, 1, channels, order, order, true};
                placed_map<float> x(c.full(windows.in()), order, true);
                placed_map<float> y(c.full(windows.out()), order, true);
                placed_map<std::int32_t> index(c.full(windows.out()), order, true);
                const std::ptrdiff_t n = extent * extent;
                std::vector<float> values = normal(channels * n, 5);
                for (float special : {nan_value, -nan_value, inf, -inf, -0.0f}) {
                    for (std::ptrdiff_t at = 0; at < n; at += thinned() ? 11 : 1) {
                        std::vector<float> v = values;
                        const std::ptrdiff_t channel = at % channels;
                        v[static_cast<std::size_t>(channel * n + at)] = special;
                        x.put(v);
                        tarn::max_pool(tarn::on(GetParam()), x.view<4>(), y.view<4>(), windows.window());
                        const std::vector<float> alone = y.get();
                        tarn::max_pool(tarn::on(GetParam()), x.view<4>(), y.view<4>(), index.view<4>(),
                                       windows.window());
                        const std::vector<float> max = y.get();
                        const std::vector<std::int32_t> max_index = index.get();
                        tarn::average_pool(tarn::on(GetParam()), x.view<4>(), y.view<4>(), windows.window());
                        const std::vector<float> average = y.get();
                        for (std::size_t w = 0; w < members.size(); ++w) {
                            bool has = false;
                            float greatest = -inf;
                            for (std::ptrdiff_t i : members[w].index) {
                                has = has || i == at;
                                greatest = std::max(greatest, v[static_cast<std::size_t>(channel * n + i)]);
                            }
                            const std::size_t r = static_cast<std::size_t>(channel) * members.size() + w;
                            if (has && std::isnan(special)) {
                                ASSERT_TRUE(std::isnan(alone[r]) && std::isnan(max[r]) && std::isnan(average[r]));
                                ASSERT_EQ(max_index[r], at);
                            } else {
                                ASSERT_EQ(alone[r], greatest);
                                ASSERT_EQ(max[r], greatest);
                                ASSERT_EQ(v[static_cast<std::size_t>(channel * n + max_index[r])], greatest);
                                ASSERT_EQ(std::isinf(average[r]), has && std::isinf(special)) << average[r];
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST_P(pool_rules, nothing_but_special_values) {
    const tarn::pool_window window{{3, 3}, {1, 1}, {1, 1}};
    for (std::ptrdiff_t n : {5, 16}) {
        const auto view = [&](auto& v) { return tarn::make_view(v.data(), 1, n, n); };
        std::vector<float> x(static_cast<std::size_t>(n * n), -inf);
        std::vector<float> y(x.size());
        std::vector<std::int64_t> index(x.size());
        tarn::max_pool(tarn::on(GetParam()), view(x), view(y), view(index), window);
        for (std::size_t i = 0; i < y.size(); ++i)
            ASSERT_TRUE(y[i] == -inf && index[i] >= 0) << i << " " << index[i];
        EXPECT_EQ(index[0], 0);
        tarn::average_pool(tarn::on(GetParam()), view(x), view(y), window);
        EXPECT_EQ(y, x);
        x.assign(x.size(), nan_value);
        tarn::max_pool(tarn::on(GetParam()), view(x), view(y), view(index), window);
        EXPECT_TRUE(std::isnan(y[0]));
        EXPECT_EQ(index[0], 0) << "the first of several";
        EXPECT_EQ(index.back(), n * n - n - 2) << "the first of several";
    }
}

// Windows without members, all of them padding.
TEST_P(pool_rules, windows_of_nothing) {
    const tarn::pool_window window{{2, 2}, {1, 1}, {1, 1}, {}, {2, 2}};
    std::vector<float> x = {3};
    std::vector<float> y(1, 7.0f);
    std::vector<std::int32_t> index(1, 7);
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 1, 1, 1); };
    tarn::max_pool(tarn::on(GetParam()), view(x), view(y), view(index), window);
    EXPECT_EQ(y[0], -inf);
    EXPECT_EQ(index[0], -1);
    tarn::max_pool(tarn::on(GetParam()), view(x), view(y), window);
    EXPECT_EQ(y[0], -inf);
    tarn::average_pool(tarn::on(GetParam()), view(x), view(y), window);
    EXPECT_TRUE(y[0] == 0 && !std::signbit(y[0]));
    tarn::average_pool(tarn::on(GetParam()), view(x), view(y), window, {true});
    EXPECT_EQ(y[0], 0);
}

// Windows of more elements than any line has, and sums that floats alone would get wrong.
TEST_P(pool_rules, large_windows) {
    for (std::ptrdiff_t dilation : {std::ptrdiff_t{1}, std::ptrdiff_t{3}, std::ptrdiff_t{9000}}) {
        const std::ptrdiff_t n = thinned() ? 40000 : 200000;
        std::vector<float> x = normal(n, 3);
        for (float& v : x)
            v += 100;
        const std::ptrdiff_t kernel = (n - 1) / dilation - 3;
        const tarn::pool_window window{{kernel}, {2}, {std::min<std::ptrdiff_t>(3, kernel / 2)}, {}, {dilation}};
        const auto view = tarn::make_view(x.data(), 1, n);
        const auto out = tarn::pool_output_extents(view, window);
        std::vector<float> max(static_cast<std::size_t>(out[1]));
        std::vector<float> average(max.size());
        std::vector<std::int64_t> index(max.size());
        tarn::max_pool(tarn::on(GetParam()), view, tarn::make_view(max.data(), 1, out[1]),
                       tarn::make_view(index.data(), 1, out[1]), window);
        tarn::average_pool(tarn::on(GetParam()), view, tarn::make_view(average.data(), 1, out[1]), window);
        for (std::ptrdiff_t i = 0; i < out[1]; ++i) {
            long double sum = 0;
            std::ptrdiff_t count = 0;
            std::ptrdiff_t best = -1;
            for (std::ptrdiff_t t = 0; t < kernel; ++t) {
                const std::ptrdiff_t at = 2 * i - window.padding.value[0] + t * dilation;
                if (at < 0 || at >= n)
                    continue;
                sum += x[static_cast<std::size_t>(at)];
                ++count;
                if (best < 0 || x[static_cast<std::size_t>(at)] > x[static_cast<std::size_t>(best)])
                    best = at;
            }
            const std::size_t k = static_cast<std::size_t>(i);
            ASSERT_EQ(index[k], best);
            ASSERT_EQ(max[k], x[static_cast<std::size_t>(best)]);
            const auto expected = static_cast<double>(sum / count);
            ASSERT_NEAR(static_cast<double>(average[k]), expected, 2 * 0x1p-24 * expected) << "dilation " << dilation;
        }
    }
}

TEST_P(pool_rules, bits_of_averages) {
    const std::vector<float> x = normal(19 * 23 * 23, 9);
    const auto pool = [](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
        tarn::average_pool(where, in, out, window);
    };
    for (std::ptrdiff_t kernel : {2, 3, 5, 9}) {
        for (std::ptrdiff_t stride : {1, 2, 3}) {
            SCOPED_TRACE("kernel " + std::to_string(kernel) + " stride " + std::to_string(stride));
            check_bits_of_maps(GetParam(), x, 19, 23, {{kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}},
                               pool);
            if (HasFatalFailure())
                return;
        }
    }
}
// Maps so large that threads share one.
template <class T> void check_large(tarn::tier tier) {
    const auto values = [](std::size_t n, unsigned seed) {
        const std::vector<float> v = normal(static_cast<std::ptrdiff_t>(n), seed);
        return std::vector<double>(v.begin(), v.end());
    };
    check_large_windows<T>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
        tarn::max_pool(tarn::on(tier), x, y, window);
    });
    check_large_windows<T>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
        tarn::average_pool(tarn::on(tier), x, y, window);
    });
}
TEST_P(pool_rules, large_windows_of_many_floats) { check_large<float>(GetParam()); }
TEST_P(pool_rules, large_windows_of_many_doubles) { check_large<double>(GetParam()); }

TEST_P(pool_rules, threads_share_a_map) {
    for (auto layout : {tarn::layout::channels_first, tarn::layout::channels_last}) {
        const std::vector<float> x = normal(5 * 211 * 200, 4);
        tarn::pool_window window{{3, 3}, {2, 2}, {1, 1}};
        window.layout = layout;
        const bool last = layout == tarn::layout::channels_last;
        const auto in = last ? tarn::make_view(x.data(), 211, 200, 5) : tarn::make_view(x.data(), 5, 211, 200);
        const auto e = tarn::pool_output_extents(in, window);
        std::vector<float> y(static_cast<std::size_t>(e[0] * e[1] * e[2]));
        std::vector<float> shared(y.size());
        std::vector<std::int32_t> index(y.size());
        std::vector<std::int32_t> shared_index(y.size());
        const auto out = [&](auto& v) { return tarn::make_view(v.data(), e[0], e[1], e[2]); };
        tarn::max_pool(tarn::on(GetParam()), in, out(y), out(index), window);
        for (int threads = 1; threads <= 9; ++threads) {
            odd_threads executor{threads, 2};
            tarn::max_pool(tarn::on(GetParam(), executor), in, out(shared), out(shared_index), window);
            ASSERT_EQ(shared, y);
            ASSERT_EQ(shared_index, index);
            shared.assign(shared.size(), 0);
            tarn::max_pool(tarn::on(GetParam(), executor), in, out(shared), window);
            ASSERT_EQ(shared, y);
        }
    }
}

TEST_P(pool_rules, avx2_and_sse2_agree_to_the_bit) {
    const std::vector<float> x = normal(7 * 40 * 40, 12);
    const auto in = tarn::make_view(x.data(), 7, 40, 40);
    for (const tarn::pool_window& w : {tarn::pool_window{{3, 3}, {1, 1}, {1, 1}}, tarn::pool_window{{2, 2}},
                                       tarn::pool_window{{12, 12}, {5, 5}, {3, 3}}}) {
        const auto e = tarn::pool_output_extents(in, w);
        std::vector<float> y(static_cast<std::size_t>(e[0] * e[1] * e[2]));
        std::vector<float> z(y.size());
        tarn::average_pool(tarn::on(tarn::tier::sse2), in, tarn::make_view(z.data(), e[0], e[1], e[2]), w);
        tarn::average_pool(tarn::on(GetParam()), in, tarn::make_view(y.data(), e[0], e[1], e[2]), w);
        EXPECT_EQ(bits_of(y), bits_of(z));
    }
}

// Results below the least normal number are 0, and no operation meets or makes a denormal number.
TEST_P(pool_rules, tiny_averages) {
    std::vector<float> x(2 * 16 * 16, 0x1p-126f);
    for (std::size_t i = 0; i < x.size(); i += 3)
        x[i] = -0x1p-126f;
    for (std::size_t i = 1; i < x.size(); i += 3)
        x[i] = 0x1.8p-125f;
    std::vector<float> y(x.size());
    const tarn::pool_window window{{3, 3}, {1, 1}, {1, 1}};
    {
        const mxcsr_scope scope(0);
        tarn::average_pool(tarn::on(GetParam()), tarn::make_view(x.data(), 2, 16, 16),
                           tarn::make_view(y.data(), 2, 16, 16), window, {true, 100});
        EXPECT_EQ(_mm_getcsr() & (denormal_operand | underflow), 0u);
    }
    for (float v : y)
        ASSERT_TRUE(v == 0 || std::fabs(v) >= 0x1p-126f) << v;
}

// Nor do averages meet one that an earlier call left on the stack, in lanes that have no result.
TEST_P(pool_rules, leavings) {
    const std::vector<float> x = normal(6 * 32 * 32, 1);
    const std::vector<double> wide(x.begin(), x.end());
    const auto check = [&](const auto& from, std::ptrdiff_t n) {
        auto y = from;
        for (const tarn::pool_window& w : {tarn::pool_window{{3, 3}, {2, 2}, {1, 1}}, tarn::pool_window{{2, 2}},
                                           tarn::pool_window{{3, 3}, {1, 1}, {1, 1}}}) {
            const auto in = tarn::make_view(from.data(), 6, n, n);
            const auto e = tarn::pool_output_extents(in, w);
            fill_stack();
            const mxcsr_scope scope(0);
            tarn::average_pool(tarn::on(GetParam()), in, tarn::make_view(y.data(), e[0], e[1], e[2]), w);
            EXPECT_EQ(_mm_getcsr() & (denormal_operand | underflow), 0u) << n << ", kernel " << w.kernel.value[0];
        }
    };
    for (const std::ptrdiff_t n : {7, 12, 28, 30, 32}) {
        check(x, n);
        check(wide, n);
    }
}

template <class T> void check_beside_windows(tarn::tier tier) {
    check_beside<T>([&](const auto& x, const auto& y, const tarn::pool_window& window) {
        tarn::max_pool(tarn::on(tier), x, y, window);
    });
    check_beside<T>([&](const auto& x, const auto& y, const tarn::pool_window& window) {
        tarn::average_pool(tarn::on(tier), x, y, window);
    });
}
TEST_P(pool_rules, beside_windows_of_floats) { check_beside_windows<float>(GetParam()); }
TEST_P(pool_rules, beside_windows_of_doubles) { check_beside_windows<double>(GetParam()); }

TEST_P(pool_rules, stack) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames";
    }
    const std::vector<float> x = normal(64 * 64, 1);
    std::vector<float> y(x.size());
    std::vector<std::int32_t> index(x.size());
    const tarn::pool_window window{{3, 3}, {1, 1}, {1, 1}};
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 64, 64); };
    const std::ptrdiff_t used = stack_of([&] {
        tarn::max_pool(tarn::on(GetParam()), view(x), view(y), view(index), window);
        tarn::average_pool(tarn::on(GetParam()), view(x), view(y), window);
        tarn::average_pool(tarn::on(GetParam()), tarn::make_view(x.data(), 64, 8, 8),
                           tarn::make_view(y.data(), 64, 1, 1), {{8, 8}});
    });
    EXPECT_LE(used, 65536);
}

TARN_TEST_ON_ALL_TIERS(pool_rules);

class pool_errors : public refusal_test {
protected:
    std::string max_message(tarn::extents<3> in_extents, tarn::extents<3> out_extents, const tarn::pool_window& w) {
        return message_of([&] { tarn::max_pool(in(in_extents), out(out_extents), w); });
    }
};

TEST_F(pool_errors, messages) {
    using tarn::extents;
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 5}, {{2, 2}}),
              "tarn::max_pool: output extents {1,4,5}, expected {1,4,4} (ceil_mode = false)");
    EXPECT_EQ(max_message(extents{1, 9, 9}, extents{1, 4, 4}, {{2, 2}, {}, {}, {}, {}, true}),
              "tarn::max_pool: output extents {1,4,4}, expected {1,5,5} (ceil_mode = true)");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{0, 2}}),
              "tarn::max_pool: kernel {0,2}, expected numbers of at least 1");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{2, 2}, {0}}),
              "tarn::max_pool: stride {0}, expected numbers of at least 1");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{2, 2}, {2, 2, 2}}),
              "tarn::max_pool: stride {2,2,2}, expected one number, or 2 as the kernel");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{2, 2}, {2, 2}, {2, 1}}),
              "tarn::max_pool: padding {2,1}, expected at most half the kernel");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{2, 2}, {2, 2}, {-1}}),
              "tarn::max_pool: padding {-1}, expected numbers of at least 0");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{2, 2}, {2, 2}, {}, {}, {0}}),
              "tarn::max_pool: dilation {0}, expected numbers of at least 1");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{2, 9}}),
              "tarn::max_pool: input extents {1,8,8}, expected room for a window of 9 elements along axis 2");
    EXPECT_EQ(max_message(extents{1, 8, 8}, extents{1, 4, 4}, {{}}),
              "tarn::max_pool: kernel {}, expected a number for each of 1 to 3 axes of space");
    EXPECT_EQ(message_of([&] {
                  tarn::average_pool(in(extents{8, 8}), out(extents{4, 4}), {{2, 2}}, {false, -1});
              }),
              "tarn::average_pool: divisor -1, expected 0 for none, or a number of at least 1");
    EXPECT_EQ(message_of([&] {
                  tarn::pool_window w{{2, 2}};
                  w.layout = tarn::layout::channels_last;
                  tarn::max_pool(in(extents{8, 8}), out(extents{4, 4}), w);
              }),
              "tarn::max_pool: kernel {2,2}, expected at most 1 axes of space for an input of rank 2");
    EXPECT_EQ(message_of([&] {
                  const tarn::tensor_view<float, 2> same = tarn::make_view(y.data(), 8, 8);
                  tarn::max_pool(same, tarn::make_view(y.data(), 4, 4), {{2, 2}});
              }),
              "tarn::max_pool: output overlaps the input, expected memory apart from the input");
    std::vector<std::int32_t> index(16, -5);
    EXPECT_EQ(message_of([&] {
                  tarn::max_pool(in(extents{8, 8}), out(extents{4, 4}), tarn::make_view(index.data(), 4, 3), {{2, 2}});
              }),
              "tarn::max_pool: indices extents {4,3}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(index, std::vector<std::int32_t>(16, -5));
}

TEST(pool, empty_batches) {
    std::vector<float> x(1);
    std::vector<float> y(1, 3.0f);
    tarn::max_pool(tarn::make_view(x.data(), 0, 8, 8), tarn::make_view(y.data(), 0, 4, 4), {{2, 2}});
    tarn::average_pool(tarn::make_view(x.data(), 2, 0, 8, 8), tarn::make_view(y.data(), 2, 0, 4, 4), {{2, 2}});
    EXPECT_EQ(y[0], 3.0f);
}

} // namespace
