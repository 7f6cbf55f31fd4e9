// SPDX-License-Identifier: BSD-3-Clause
//
// adaPool and eDSCW against windows taken element by element in long double: windows of one axis, samples of two and
// three, every type, tier and order of memory, beta for all windows and by region, special values, threads, and
// arguments that they refuse.
#include "support/ada_pooled.hpp"
#include "support/allocations.hpp"
#include "support/refusals.hpp"
#include "support/same_bits.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/ada_pool.hpp>

#include <cstring>
#include <limits>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float greatest_float = std::numeric_limits<float>::max();

// beta: null for edscw_pool.
template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values, const beta_case* beta,
           const std::string& what) {
    const std::vector<window_members> windows = members_of(c.windows);
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<Out> y(c.full(c.windows.out()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    y.fill(static_cast<Out>(untouched));
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        const auto from = x.template view<R>();
        const auto to = y.template view<R>();
        if (!beta)
            tarn::edscw_pool(tarn::on(tier), from, to, c.windows.window());
        else
            with_beta(*beta, [&](const auto& b) { tarn::ada_pool(tarn::on(tier), from, b, to, c.windows.window()); });
    });
    const std::vector<T> stored = x.get();
    std::vector<long double> exact(stored.size());
    for (std::size_t i = 0; i < exact.size(); ++i)
        exact[i] = static_cast<double>(stored[i]);
    const double taps = steps_of(c.windows);
    const std::vector<Out> got = y.get();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const auto map = static_cast<std::ptrdiff_t>(i / windows.size()) * product(c.windows.in());
        const ada_result r = ada_of(windows[i % windows.size()], exact.data() + map);
        const auto window = static_cast<std::ptrdiff_t>(i % windows.size());
        const long double share = beta ? share_of<T>(beta->of(window, c.windows.out())) : 1;
        const double bound = ada_bound<T, Out>(r, share, taps);
        const auto v = static_cast<double>(got[i]);
        const long double expected = mixed_of<T>(r, share);
        ASSERT_TRUE(is_within(v, static_cast<double>(expected), bound))
            << what << ": window " << i << " of " << c.windows << " gives " << v << ", expected "
            << static_cast<double>(expected) << " +- " << bound << "; share " << static_cast<double>(share)
            << ", channels " << c.channels;
    }
    for (Out v : y.gaps())
        ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
}

std::vector<float> normal_numbers(std::ptrdiff_t n, unsigned seed, float spread) {
    std::mt19937 random(seed);
    std::normal_distribution<float> d(0, spread);
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& x : v)
        x = d(random);
    return v;
}

class ada_pool : public tier_test {};

TEST_P(ada_pool, windows_of_one_axis) {
    std::mt19937 random(5);
    each_window_of_one_axis({1, 2, 3, 5, 8, 19, 40}, thinned() ? 1 : 3, [&](const map_call<float>& c, unsigned seed) {
        const beta_case beta = random_beta(random, c.windows.out(), seed % 2 == 0);
        const std::vector<double> x = logits(c.channels * product(c.windows.in()), seed);
        check<float, float>(GetParam(), c, x, seed % 4 == 0 ? nullptr : &beta, "one axis");
    });
}

TEST_P(ada_pool, samples_of_windows) {
    each_sample(20211, thinned() ? 150 : 1000, {600, 40, 10},
                [&](const auto& c, auto out, auto& random, int i, const std::string& name) {
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t n = c.batch * c.channels * product(c.windows.in());
                    using In = typename std::decay_t<decltype(c)>::element;
                    const beta_case beta = random_beta(random, c.windows.out(), i % 2 == 0);
                    check<In, decltype(out)>(GetParam(), c, logits(n, seed), i % 4 == 3 ? nullptr : &beta, name);
                });
}

// One special value at every place of a map, in layouts and windows that take different loops.
TEST_P(ada_pool, one_special_value) {
    for (const auto& [kernel, stride, padding] :
         {std::array<std::ptrdiff_t, 3>{2, 2, 0}, std::array<std::ptrdiff_t, 3>{3, 1, 1},
          std::array<std::ptrdiff_t, 3>{3, 2, 1}, std::array<std::ptrdiff_t, 3>{5, 3, 2}}) {
        for (std::ptrdiff_t extent : {7, 34}) {
            for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
                const axis_case a{extent, kernel, stride, padding, padding, 1};
                const map_call<float> c{{{a, a}, false}, 1, extent == 7 ? 9 : 3, order, order, true};
                const std::ptrdiff_t n = extent * extent;
                const std::vector<double> values = logits(c.channels * n, 5);
                int count = 0;
                for (float special :
                     {nan_value, -nan_value, inf, -inf, -0.0f, 90.0f, -90.0f, 1e30f, greatest_float, -greatest_float}) {
                    for (std::ptrdiff_t at = 0; at < n; at += extent == 7 ? 11 : 577) {
                        std::vector<double> v = values;
                        v[static_cast<std::size_t>(at % c.channels * n + at)] = static_cast<double>(special);
                        const beta_case betas[] = {{false, false, {}, {0}}, {false, false, {}, {0.3}}};
                        check<float, float>(GetParam(), c, v, count % 3 == 2 ? nullptr : &betas[count % 3], "special");
                        ++count;
                        if (HasFatalFailure())
                            return;
                    }
                }
            }
        }
    }
}

// Elements as far apart as they can be, and maps of nothing but special values.
TEST_P(ada_pool, any_range) {
    const float kinds[][5] = {{greatest_float, -greatest_float, 0, 1, -1},
                              {greatest_float, greatest_float, greatest_float / 2, 0x1p-126f, 1},
                              {88, 89, -104, 90, 0},
                              {-100, -100, -200, -101, -1000},
                              {inf, -inf, 0, inf, -inf},
                              {-inf, -inf, -inf, -inf, -inf},
                              {-inf, -inf, -inf, -inf, 5},
                              {inf, inf, inf, inf, inf},
                              {nan_value, -inf, inf, 0, 1},
                              {1e-30f, 2e-30f, -3e-30f, 0, -0.0f},
                              {0x1p-126f, 0x1p-125f, -0x1p-126f, 0x1.8p-126f, 0},
                              {1e20f, 1e-20f, 3, -1e20f, 1e19f},
                              {24, -24, 23, 24.0001f, 0x1p-20f},
                              {0, 0, 0, 0, 1e-5f},
                              {1e5f, 1e5f + 1, 1e5f - 2, 1e5f, 1e5f + 3}};
    for (std::ptrdiff_t kernel : {2, 3, 4}) {
        for (const auto& kind : kinds) {
            for (double share : {1.0, 0.0, 0.4, 1e-3}) {
                const axis_case a{34, kernel, kernel, kernel == 2 ? 0 : kernel / 2, kernel / 2, 1};
                map_call<float> c{
                    {{a, a}, false}, 1, 2, memory_order::channels_first, memory_order::channels_first, true};
                std::mt19937 random(3);
                std::vector<double> v(static_cast<std::size_t>(c.channels * 34 * 34));
                for (double& x : v)
                    x = static_cast<double>(kind[random() % 5]);
                const beta_case beta{false, true, {}, {share}};
                check<float, float>(GetParam(), c, v, &beta, "range");
                check<double, double>(GetParam(), map_call<double>{c.windows, 1, 2}, v, &beta, "range");
                for (double& x : v)
                    x = std::fabs(x) > 1e30 ? x * 1e269 : std::fabs(x) < 1e-30 ? x * 1e-269 : x;
                check<double, double>(GetParam(), map_call<double>{c.windows, 1, 2}, v, &beta, "wide range");
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

// Windows of one element, and of equal ones, are what they hold, to the bit.
TEST_P(ada_pool, of_equal_elements) {
    for (float value : {3.0f, -7.25f, 0x1p-126f, 0x1.8p-110f, greatest_float, 1e5f, 0.1f, -23.7f}) {
        std::vector<float> x(40 * 40, value);
        std::vector<float> y(x.size());
        const auto view = [](auto& v) { return tarn::make_view(v.data(), 40, 40); };
        for (float beta : {0.0f, 1.0f}) {
            tarn::ada_pool(tarn::on(GetParam()), view(x), beta, view(y), {{3, 3}, {1, 1}, {1, 1}});
            EXPECT_EQ(x, y) << value << " " << beta;
        }
    }
}

// eDSCW of the negatives is the negative, of powers of two times the elements that power times the result, to the bit.
TEST_P(ada_pool, symmetry_and_scale) {
    std::vector<float> x = normal_numbers(40 * 40, 8, 2);
    for (float& v : x)
        v += 1;
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 40, 40); };
    std::vector<float> y(x.size());
    tarn::edscw_pool(tarn::on(GetParam()), view(x), view(y), {{3, 3}, {1, 1}, {1, 1}});
    for (float by : {-1.0f, 0x1p-100f, -0x1p120f, 0x1p-15f, 0x1p50f}) {
        std::vector<float> scaled = x;
        for (float& v : scaled)
            v *= by;
        std::vector<float> z(x.size());
        tarn::edscw_pool(tarn::on(GetParam()), view(scaled), view(z), {{3, 3}, {1, 1}, {1, 1}});
        for (std::size_t i = 0; i < y.size(); ++i)
            ASSERT_EQ(z[i], y[i] * by) << by;
    }
}

// Where beta is 1, the bits of edscw_pool, whether it says so for all or by region; NaN in beta is NaN there.
TEST_P(ada_pool, beta_of_one) {
    const std::vector<float> x = normal_numbers(3 * 40 * 40, 4, 30);
    const auto in = tarn::make_view(x.data(), 3, 40, 40);
    std::vector<float> y(3 * 20 * 20);
    std::vector<float> z(y.size());
    std::vector<float> beta(20 * 20, 1.0f);
    const auto out = [](auto& v) { return tarn::make_view(v.data(), 3, 20, 20); };
    tarn::edscw_pool(tarn::on(GetParam()), in, out(y), {{2, 2}});
    tarn::ada_pool(tarn::on(GetParam()), in, tarn::make_view(beta.data(), 20, 20), out(z), {{2, 2}});
    EXPECT_EQ(y, z);
    tarn::ada_pool(tarn::on(GetParam()), in, 5.0, out(z), {{2, 2}});
    EXPECT_EQ(y, z);
    beta[21] = nan_value;
    tarn::ada_pool(tarn::on(GetParam()), in, tarn::make_view(beta.data(), 20, 20), out(z), {{2, 2}});
    for (std::size_t i = 0; i < z.size(); ++i)
        EXPECT_TRUE(i % 400 == 21 ? std::isnan(z[i]) : z[i] == y[i]) << i;
}

TEST_P(ada_pool, windows_of_nothing) {
    std::vector<float> x = {3};
    std::vector<float> y(1, 7.0f);
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 1, 1, 1); };
    tarn::ada_pool(tarn::on(GetParam()), view(x), 0.5, view(y), {{2, 2}, {1, 1}, {1, 1}, {}, {2, 2}});
    EXPECT_TRUE(y[0] == 0 && !std::signbit(y[0]));
}

// Windows of more elements than any line has.
TEST_P(ada_pool, large_windows) {
    const beta_case beta{false, false, {}, {0.5}};
    for (std::ptrdiff_t dilation : {std::ptrdiff_t{1}, std::ptrdiff_t{9000}}) {
        const std::ptrdiff_t n = thinned() ? 20000 : 60000;
        const std::ptrdiff_t kernel = (n - 1) / dilation - 1;
        const map_call<float> c{{{{n, kernel, 2, std::min<std::ptrdiff_t>(3, kernel / 2), 0, dilation}}, false}, 1, 2};
        for (unsigned seed : {0u, 3u})
            check<float, float>(GetParam(), c, logits(2 * n, seed), &beta, "large");
    }
    for (memory_order order : memory_orders) {
        const axis_case a{33, 33, 1, 3, 3, 1};
        const map_call<float> c{{{a, a}, false}, 3, 19, order, order, true};
        check<float, float>(GetParam(), c, logits(57 * 33 * 33, 5), &beta, "whole maps");
    }
}

TEST_P(ada_pool, bits) {
    const std::vector<float> x = normal_numbers(19 * 23 * 23, 9, 12);
    const auto pool = [](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
        tarn::ada_pool(where, in, 0.3, out, window);
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
    const std::vector<float> wide = normal_numbers(3 * 70 * 70, 9, 12);
    check_bits_of_maps(GetParam(), wide, 3, 70, {{2, 2}}, pool);
}

template <class T> void check_many_channels(tarn::tier tier) {
    const auto values = [](std::size_t n, unsigned seed) {
        const std::vector<float> v = normal_numbers(static_cast<std::ptrdiff_t>(n), seed, 12);
        return std::vector<double>(v.begin(), v.end());
    };
    check_large_windows<T>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
        tarn::ada_pool(tarn::on(tier), x, 0.3, y, window);
    });
}
TEST_P(ada_pool, many_channels) { check_many_channels<float>(GetParam()); }
TEST_P(ada_pool, many_channels_of_doubles) { check_many_channels<double>(GetParam()); }

// No result is denormal.
TEST_P(ada_pool, no_denormals) {
    const float kinds[][4] = {{0x1p-126f, -0x1p-126f, 0x1.8p-125f, 0},
                              {0x1p-126f, 0x1.000002p-126f, 0x1.8p-102f, -0x1.000006p-101f},
                              {0x1p-100f, -0x1p-100f, 0x1.000002p-100f, 0x1p-99f},
                              {0, -80, -87, -60},
                              {1, 0x1.000002p0f, -0x1p-100f, -0x1p-126f},
                              {1, -1, 0x1p-59f, -0x1.000002p-59f},
                              {0x1p-20f, -0x1p-20f, 0x1.000002p-59f, 0x1p-60f},
                              {greatest_float, 0x1p-126f, -greatest_float, 0x1p-30f},
                              {24, -24, 0x1p-24f, -23.99999f},
                              {1e12f, 1e-18f, -1e12f, 3e-18f},
                              {1e-20f, 2e-38f, 3e10f, -2e38f}};
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 2, 40, 40); };
    for (const auto& kind : kinds) {
        for (double beta : {0.0, 1.0, 0.5, 1e-17, 1e-30, 1 - 1e-7}) {
            std::mt19937 random(11);
            std::vector<float> x(2 * 40 * 40);
            for (float& v : x)
                v = kind[random() % 4];
            std::vector<double> wide(x.begin(), x.end());
            for (double& v : wide)
                v = std::fabs(v) < 1e-25 ? v * 0x1p-896 : v;
            std::vector<float> y(x.size());
            std::vector<double> z(x.size());
            for (const tarn::pool_window& w :
                 {tarn::pool_window{{3, 3}, {1, 1}, {1, 1}}, tarn::pool_window{{1, 2}, {1, 1}, {0, 1}, {0, 0}},
                  tarn::pool_window{{2, 2}}}) {
                const std::ptrdiff_t n = w.stride.count == 0 ? 20 : 40;
                tarn::ada_pool(tarn::on(GetParam()), view(x), beta, tarn::make_view(y.data(), 2, n, n), w);
                tarn::ada_pool(tarn::on(GetParam()), view(wide), beta, tarn::make_view(z.data(), 2, n, n), w);
            }
            for (float v : y)
                ASSERT_TRUE(v == 0 || std::fabs(v) >= 0x1p-126f) << v;
            for (double v : z)
                ASSERT_TRUE(v == 0 || std::fabs(v) >= 0x1p-1022) << v;
        }
    }
}

TEST_P(ada_pool, stack) {
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    const std::vector<float> x = normal_numbers(64 * 64, 1, 1);
    std::vector<float> y(x.size());
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 64, 64); };
    EXPECT_LE(stack_of([&] {
                  tarn::ada_pool(tarn::on(GetParam()), view(x), 0.5, view(y), {{3, 3}, {1, 1}, {1, 1}});
              }),
              65536);
}

TARN_TEST_ON_ALL_TIERS(ada_pool);

TEST(ada_pool_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    for (float spread : {1.0f, 20.0f, 1e30f}) {
        const std::vector<float> x = normal_numbers(7 * 40 * 40, 12, spread);
        const auto pool = [](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
            tarn::ada_pool(where, in, 0.3, out, window);
        };
        check_avx2_and_avx512_agree(x, pool);
        check_avx2_and_avx512_agree(std::vector<double>(x.begin(), x.end()), pool);
    }
}

class ada_pool_errors : public refusal_test {};

TEST_F(ada_pool_errors, messages) {
    using tarn::extents;
    EXPECT_EQ(message_of([&] {
                  tarn::ada_pool(in(extents{1, 8, 8}), 0.5, out(extents{1, 4, 5}), {{2, 2}});
              }),
              "tarn::ada_pool: output extents {1,4,5}, expected {1,4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  tarn::edscw_pool(in(extents{8, 8}), out(extents{4, 4}), {{2, 9}});
              }),
              "tarn::edscw_pool: input extents {8,8}, expected room for a window of 9 elements along axis 1");
    const std::vector<double> beta(20, 0.5);
    EXPECT_EQ(message_of([&] {
                  tarn::ada_pool(in(extents{8, 8}), tarn::make_view(beta.data(), 4, 5), out(extents{4, 4}), {{2, 2}});
              }),
              "tarn::ada_pool: beta extents {4,5}, expected extents that broadcast to {4,4}");
    EXPECT_EQ(
        message_of([&] {
            tarn::ada_pool(in(extents{8, 8}), tarn::make_view(beta.data(), 1, 4, 4), out(extents{4, 4}), {{2, 2}});
        }),
        "tarn::ada_pool: beta extents {1,4,4}, expected extents that broadcast to {4,4}");
    EXPECT_EQ(message_of([&] {
                  tarn::ada_pool(in(extents{8, 8}), tarn::make_view(y.data() + 3, 4), out(extents{4, 4}), {{2, 2}});
              }),
              "tarn::ada_pool: output overlaps the beta, expected memory apart from the beta");
    EXPECT_EQ(message_of([&] {
                  const tarn::tensor_view<float, 2> same = tarn::make_view(y.data(), 8, 8);
                  tarn::ada_pool(same, 0.5, tarn::make_view(y.data(), 4, 4), {{2, 2}});
              }),
              "tarn::ada_pool: output overlaps the input, expected memory apart from the input");
}

TEST(ada_pool_memory, nothing_is_allocated) {
    const std::vector<float> x = normal_numbers(64 * 64, 1, 1);
    std::vector<float> y(x.size());
    const auto count = allocations_in([&] {
        tarn::ada_pool(tarn::make_view(x.data(), 64, 64), 0.5, tarn::make_view(y.data(), 64, 64),
                       {{3, 3}, {1, 1}, {1, 1}});
    });
    EXPECT_EQ(count.all, 0);
}

} // namespace
