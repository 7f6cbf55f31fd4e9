// SPDX-License-Identifier: BSD-3-Clause
//
// SoftPool against windows taken element by element in long double: windows of one axis, samples of two and three,
// every type, tier and order of memory, special values, threads, and arguments that it refuses.
#include "support/allocations.hpp"
#include "support/refusals.hpp"
#include "support/same_bits.hpp"
#include "support/soft_pooled.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/soft_pool.hpp>

#include <cstring>
#include <limits>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float greatest_float = std::numeric_limits<float>::max();

template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values, double scale,
           const std::string& what) {
    const std::vector<window_members> windows = members_of(c.windows);
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<Out> y(c.full(c.windows.out()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    y.fill(static_cast<Out>(untouched));
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        tarn::soft_pool(tarn::on(tier), x.template view<R>(), y.template view<R>(), c.windows.window(), {scale});
    });
    const std::vector<T> stored = x.get();
    std::vector<long double> exact(stored.size());
    for (std::size_t i = 0; i < exact.size(); ++i)
        exact[i] = static_cast<double>(stored[i]);
    const double taps = steps_of(c.windows);
    const std::vector<Out> got = y.get();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const auto map = static_cast<std::ptrdiff_t>(i / windows.size()) * product(c.windows.in());
        const window_members& members = windows[i % windows.size()];
        const soft_result r = soft_of(members, exact.data() + map, scale);
        const double bound = soft_bound<T, Out>(r, taps, is_ordinary<T>(members, exact.data() + map, scale));
        const auto v = static_cast<double>(got[i]);
        const auto expected = static_cast<double>(r.value);
        ASSERT_TRUE(is_within(v, expected, bound))
            << what << ": window " << i << " of " << c.windows << " gives " << v << ", expected " << expected << " +- "
            << bound << "; scale " << scale << ", channels " << c.channels;
    }
    for (Out v : y.gaps())
        ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
}

class soft_pool : public tier_test {};

TEST_P(soft_pool, windows_of_one_axis) {
    each_window_of_one_axis({1, 2, 3, 5, 8, 19, 40}, thinned() ? 1 : 3, [&](const map_call<float>& c, unsigned seed) {
        check<float, float>(GetParam(), c, logits(c.channels * product(c.windows.in()), seed), scale_of(seed),
                            "one axis");
    });
}

TEST_P(soft_pool, samples_of_windows) {
    each_sample(20210, thinned() ? 150 : 1000, {600, 40, 10},
                [&](const auto& c, auto out, auto&, int i, const std::string& name) {
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t n = c.batch * c.channels * product(c.windows.in());
                    using In = typename std::decay_t<decltype(c)>::element;
                    check<In, decltype(out)>(GetParam(), c, logits(n, seed), scale_of(seed), name);
                });
}

// One special value at every place of a map, in layouts and windows that take different loops.
TEST_P(soft_pool, one_special_value) {
    for (const auto& [kernel, stride, padding] :
         {std::array<std::ptrdiff_t, 3>{2, 2, 0}, std::array<std::ptrdiff_t, 3>{3, 1, 1},
          std::array<std::ptrdiff_t, 3>{3, 2, 1}, std::array<std::ptrdiff_t, 3>{5, 3, 2}}) {
        for (std::ptrdiff_t extent : {7, 20}) {
            for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
                const axis_case a{extent, kernel, stride, padding, padding, 1};
                const map_call<float> c{{{a, a}, false}, 1, 9, order, order, true};
                const std::ptrdiff_t n = extent * extent;
                const std::vector<double> values = logits(c.channels * n, 5);
                for (float special :
                     {nan_value, -nan_value, inf, -inf, -0.0f, 90.0f, -90.0f, 1e30f, greatest_float, -greatest_float}) {
                    for (std::ptrdiff_t at = 0; at < n; at += extent == 7 ? 11 : 67) {
                        std::vector<double> v = values;
                        v[static_cast<std::size_t>(at % c.channels * n + at)] = static_cast<double>(special);
                        const double scales[] = {1, -1, 0, 3};
                        const bool far = std::fabs(special) > 1e29f && std::isfinite(special);
                        check<float, float>(GetParam(), c, v, far ? 1 : scales[at % 4], "special");
                        if (HasFatalFailure())
                            return;
                    }
                }
            }
        }
    }
}

// Elements as far apart as they can be, and maps of nothing but special values.
TEST_P(soft_pool, any_range) {
    const float kinds[][5] = {{greatest_float, -greatest_float, 0, 1, -1},
                              {88, 89, -104, 90, 0},
                              {-100, -100, -200, -101, -1000},
                              {inf, -inf, 0, inf, -inf},
                              {-inf, -inf, -inf, -inf, -inf},
                              {-inf, -inf, -inf, -inf, 5},
                              {inf, inf, inf, inf, inf},
                              {nan_value, -inf, inf, 0, 1},
                              {1e-30f, 2e-30f, -3e-30f, 0, -0.0f},
                              {1, 2, 1, 112, 2},
                              {1e5f, 1e5f + 1, 1e5f - 2, 1e5f, 1e5f + 3}};
    for (std::ptrdiff_t kernel : {2, 3, 4}) {
        for (const auto& kind : kinds) {
            for (double scale : {1.0, -1.0, 0.5, -20.0, 1e-3, 1e20, -1e36}) {
                const axis_case a{12, kernel, kernel, kernel / 2, kernel / 2, 1};
                map_call<float> c{
                    {{a, a}, false}, 2, 9, memory_order::channels_first, memory_order::channels_first, true};
                std::mt19937 random(3);
                std::vector<double> v(static_cast<std::size_t>(c.batch * c.channels * 144));
                for (double& x : v)
                    x = static_cast<double>(kind[random() % 5]);
                check<float, float>(GetParam(), c, v, scale, "range");
                if (std::fabs(scale) < 1e19)
                    check<double, double>(GetParam(), map_call<double>{c.windows, 2, 9}, v, scale, "range");
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

// Whatever the elements of other windows are, and however far from 0: a window has the same bits.
template <class T> void check_neighbours(tarn::tier tier, const map_call<T>& c, double spread, T special) {
    const std::vector<window_members> windows = members_of(c.windows);
    const std::ptrdiff_t n = product(c.windows.in());
    const auto results = [&](bool with) {
        placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
        placed_map<T> y(c.full(c.windows.out()), c.y_order, c.at_end);
        std::vector<double> values = logits(c.channels * n, 5);
        for (double& v : values)
            v *= spread;
        for (std::ptrdiff_t i = 0; i < c.channels && with; i += 2)
            values[static_cast<std::size_t>(i * n + i * 37 % n)] = static_cast<double>(special);
        x.put(values);
        with_rank(c.windows.axes.size(), [&](auto rank) {
            constexpr int R = decltype(rank)::value;
            tarn::soft_pool(tarn::on(tier), x.template view<R>(), y.template view<R>(), c.windows.window());
        });
        return y.get();
    };
    const std::vector<T> alone = results(false);
    const std::vector<T> beside = results(true);
    for (std::size_t i = 0; i < alone.size(); ++i) {
        const auto channel = static_cast<std::ptrdiff_t>(i / windows.size());
        const std::vector<std::ptrdiff_t>& members = windows[i % windows.size()].index;
        if (channel % 2 == 0 && std::count(members.begin(), members.end(), channel * 37 % n) > 0)
            continue;
        ASSERT_EQ(std::memcmp(&alone[i], &beside[i], sizeof(T)), 0)
            << "window " << i << " of " << c.windows << " is " << alone[i] << ", beside " << special << " " << beside[i]
            << "; spread " << spread;
    }
}
TEST_P(soft_pool, bits_beside_others) {
    for (const auto& [kernel, stride] : {std::array<std::ptrdiff_t, 2>{2, 2}, std::array<std::ptrdiff_t, 2>{3, 1},
                                         std::array<std::ptrdiff_t, 2>{3, 2}, std::array<std::ptrdiff_t, 2>{4, 3}}) {
        for (std::ptrdiff_t extent : {9, 40}) {
            for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
                const axis_case a{extent, kernel, stride, kernel / 2, kernel / 2, 1};
                const window_case w{{a, a}, false};
                for (double spread : {1.0, 100.0}) {
                    for (float special : {500.0f, -500.0f, 1e7f, -1e30f, 1e-35f, inf, nan_value}) {
                        check_neighbours(GetParam(), map_call<float>{w, 1, 9, order, order, true}, spread, special);
                        check_neighbours(GetParam(), map_call<double>{w, 1, 9, order, order, true}, spread,
                                         static_cast<double>(special));
                        if (HasFatalFailure())
                            return;
                    }
                }
            }
        }
    }
}

// Powers of two are what the sums of weights and of their products differ by: equal ones are exact.
TEST_P(soft_pool, of_equal_elements) {
    for (float value : {1.0f, -0.25f, 64.0f, -0x1p20f, 0x1p-126f, 0x1p-110f, greatest_float, 0.0f}) {
        std::vector<float> x(9 * 40, value);
        std::vector<float> y(x.size());
        const auto view = [](auto& v) { return tarn::make_view(v.data(), 9, 40); };
        for (double scale : {1.0, -2.0, 1e30, 0.0}) {
            tarn::soft_pool(tarn::on(GetParam()), view(x), view(y), {{3, 3}, {1, 1}, {1, 1}}, {scale});
            EXPECT_EQ(x, y);
        }
    }
}

TEST_P(soft_pool, windows_of_nothing) {
    std::vector<float> x = {3};
    std::vector<float> y(1, 7.0f);
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 1, 1, 1); };
    for (double scale : {1.0, -1.0}) {
        tarn::soft_pool(tarn::on(GetParam()), view(x), view(y), {{2, 2}, {1, 1}, {1, 1}, {}, {2, 2}}, {scale});
        EXPECT_TRUE(y[0] == 0 && !std::signbit(y[0]));
    }
}

// Windows of more columns than any line has.
TEST_P(soft_pool, large_windows) {
    for (std::ptrdiff_t dilation : {std::ptrdiff_t{1}, std::ptrdiff_t{9000}}) {
        const std::ptrdiff_t n = thinned() ? 20000 : 60000;
        const std::ptrdiff_t kernel = (n - 1) / dilation - 1;
        const map_call<float> c{{{{n, kernel, 2, std::min<std::ptrdiff_t>(3, kernel / 2), 0, dilation}}, false}, 1, 2};
        for (unsigned seed : {0u, 3u})
            check<float, float>(GetParam(), c, logits(2 * n, seed), 1, "large");
    }
}

std::vector<float> normal_numbers(std::ptrdiff_t n, unsigned seed, float spread) {
    std::mt19937 random(seed);
    std::normal_distribution<float> d(0, spread);
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& x : v)
        x = d(random);
    return v;
}
// Of elements that need no care, more of it, and most of it.
TEST_P(soft_pool, large_windows_of_many) {
    for (double size : {1.0, 1e3, 1e7}) {
        const auto values = [&](std::size_t n, unsigned seed) {
            std::mt19937 random(seed);
            std::normal_distribution<double> normal(0, size);
            std::vector<double> v(n);
            for (double& x : v)
                x = normal(random);
            return v;
        };
        check_large_windows<float>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
            tarn::soft_pool(tarn::on(GetParam()), x, y, window);
        });
    }
}

// Maps of ordinary elements, and of some that are not.
template <class T> void check_soft_threes(tarn::tier tier) {
    for (bool ordinary : {true, false}) {
        const auto values = [&](std::size_t n, unsigned seed) {
            const std::vector<float> v = normal_numbers(static_cast<std::ptrdiff_t>(n), seed, 3);
            const std::vector<double> x(v.begin(), v.end());
            // Of some maps.
            if (ordinary || seed % 2 == 0)
                return x;
            std::vector<double> some = scattered(x, seed);
            std::copy(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(n / 2), some.begin());
            return some;
        };
        check_threes<T>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
            tarn::soft_pool(tarn::on(tier), x, y, window);
        });
    }
}
TEST_P(soft_pool, threes_of_floats) { check_soft_threes<float>(GetParam()); }
TEST_P(soft_pool, threes_of_doubles) { check_soft_threes<double>(GetParam()); }
TEST_P(soft_pool, threes_of_halves) { check_soft_threes<tarn::bfloat16>(GetParam()); }

// Ordinary elements alone, and rows of tiny ones among them, and some that are too far from 0 for weights as they are.
TEST_P(soft_pool, bits) {
    const std::vector<float> ordinary = normal_numbers(19 * 23 * 23, 9, 3);
    std::vector<float> any = ordinary;
    for (std::size_t i = 0; i < any.size(); ++i)
        any[i] *= i / 92 % 2 == 0 ? 0x1p-125f : i % 101 == 0 ? 100 : 1;
    const auto pool = [](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
        tarn::soft_pool(where, in, out, window);
    };
    for (std::ptrdiff_t kernel : {2, 3, 5, 9}) {
        for (std::ptrdiff_t stride : {1, 2, 3}) {
            SCOPED_TRACE("kernel " + std::to_string(kernel) + " stride " + std::to_string(stride));
            for (const std::vector<float>& x : {ordinary, any}) {
                check_bits_of_maps(GetParam(), x, 19, 23,
                                   {{kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}}, pool);
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

// Tiny elements of which a scale makes weights as small as any, beside others that are too far for such weights.
TEST_P(soft_pool, bits_of_steep_scales) {
    for (const float tiny : {-0x1p-115f, -0x1.8p-125f, 0x1p-90f}) {
        std::vector<float> alone(64, tiny);
        std::vector<float> beside = alone;
        beside[40] = 1;
        std::vector<float> y(32), z(32);
        const auto view = [](auto& v) { return tarn::make_view(v.data(), static_cast<std::ptrdiff_t>(v.size())); };
        for (double scale : {0x1p40, 0x1p60, 0x1p90, 0x1p120, 0x1p126}) {
            tarn::soft_pool(tarn::on(GetParam()), view(alone), view(y), {{2}, {2}}, {scale});
            tarn::soft_pool(tarn::on(GetParam()), view(beside), view(z), {{2}, {2}}, {scale});
            for (std::size_t i = 0; i < y.size(); ++i) {
                EXPECT_FLOAT_EQ(y[i], tiny) << scale;
                if (i != 20) {
                    EXPECT_EQ(y[i], z[i]) << scale;
                }
            }
        }
    }
}

// No result is denormal.
TEST_P(soft_pool, no_denormals) {
    const float kinds[][4] = {{0x1p-126f, -0x1p-126f, 0x1.8p-125f, 0},
                              {0x1p-126f, 0x1.000002p-126f, 0x1.8p-102f, -0x1.000006p-101f},
                              {0x1p-100f, -0x1p-100f, 0x1.000002p-100f, 0x1p-99f},
                              {0, -80, -87, -60},
                              {1, 0x1.000002p0f, -0x1p-100f, -0x1p-126f},
                              {1e-20f, 2e-38f, 3e10f, -2e38f}};
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 2, 16, 16); };
    for (const auto& kind : kinds) {
        for (double scale : {1.0, -1.0, 0.0, 1e-38, 1e-20, 1e5, -1e10, 1e20, 1e30, 1e37}) {
            std::mt19937 random(11);
            std::vector<float> x(2 * 16 * 16);
            for (float& v : x)
                v = kind[random() % 4];
            std::vector<double> wide(x.begin(), x.end());
            for (double& v : wide)
                v = std::fabs(v) < 1e-25 ? v * 0x1p-896 : v;
            std::vector<float> y(x.size());
            std::vector<double> z(x.size());
            for (const tarn::pool_window& w :
                 {tarn::pool_window{{3, 3}, {1, 1}, {1, 1}}, tarn::pool_window{{1, 2}, {1, 1}, {0, 1}, {0, 0}}}) {
                tarn::soft_pool(tarn::on(GetParam()), view(x), view(y), w, {scale});
                tarn::soft_pool(tarn::on(GetParam()), view(wide), view(z), w, {scale});
                for (float v : y)
                    ASSERT_NE(std::fpclassify(v), FP_SUBNORMAL) << "scale " << scale << " of " << kind[0];
                for (double v : z)
                    ASSERT_NE(std::fpclassify(v), FP_SUBNORMAL) << "scale " << scale << " of " << wide[0];
            }
        }
    }
}

// One element whose weight is hardly any, beside so many equal ones that its share of the mean would be denormal.
TEST_P(soft_pool, no_denormals_of_many) {
    const std::ptrdiff_t n = 60000;
    std::vector<float> x(n, 0.0f);
    std::vector<double> wide(n, 0.0);
    for (float distance : {-80.0f, -81.0f, -81.7f}) {
        x[777] = distance;
        wide[777] = static_cast<double>(distance) * 955 / 118;
        float y = -1;
        double z = -1;
        tarn::soft_pool(tarn::on(GetParam()), tarn::make_view(x.data(), n), tarn::make_view(&y, 1), {{n}});
        tarn::soft_pool(tarn::on(GetParam()), tarn::make_view(wide.data(), n), tarn::make_view(&z, 1), {{n}});
        EXPECT_NE(std::fpclassify(y), FP_SUBNORMAL) << distance;
        EXPECT_NE(std::fpclassify(z), FP_SUBNORMAL) << distance;
    }
}

TEST_P(soft_pool, beside_windows) {
    const auto pool = [&](const auto& x, const auto& y, const tarn::pool_window& window) {
        tarn::soft_pool(tarn::on(GetParam()), x, y, window);
    };
    check_beside<float>(pool);
    check_beside<double>(pool);
}

TEST_P(soft_pool, stack) {
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    const std::vector<float> x = normal_numbers(64 * 64, 1, 1);
    std::vector<float> y(x.size());
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 64, 64); };
    std::vector<double> wide(x.begin(), x.end());
    std::vector<double> wide_y(64);
    EXPECT_LE(stack_of([&] {
                  tarn::soft_pool(tarn::on(GetParam()), view(x), view(y), {{3, 3}, {1, 1}, {1, 1}});
                  tarn::soft_pool(tarn::on(GetParam()), tarn::make_view(x.data(), 64, 7, 7),
                                  tarn::make_view(y.data(), 64, 1, 1), {{7, 7}});
                  tarn::soft_pool(tarn::on(GetParam()), tarn::make_view(wide.data(), 64, 4, 4),
                                  tarn::make_view(wide_y.data(), 64, 1, 1), {{4, 4}});
              }),
              65536);
}

TARN_TEST_ON_ALL_TIERS(soft_pool);

TEST(soft_pool_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    const std::vector<float> x = normal_numbers(7 * 40 * 40, 12, 20);
    for (double scale : {1.0, -0.3, 50.0}) {
        SCOPED_TRACE("scale " + std::to_string(scale));
        const auto pool = [&](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
            tarn::soft_pool(where, in, out, window, {scale});
        };
        check_avx2_and_avx512_agree(x, pool);
        check_avx2_and_avx512_agree(std::vector<double>(x.begin(), x.end()), pool);
    }
}

class soft_pool_errors : public refusal_test {};

TEST_F(soft_pool_errors, messages) {
    using tarn::extents;
    EXPECT_EQ(message_of([&] {
                  tarn::soft_pool(in(extents{1, 8, 8}), out(extents{1, 4, 5}), {{2, 2}});
              }),
              "tarn::soft_pool: output extents {1,4,5}, expected {1,4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  tarn::soft_pool(in(extents{8, 8}), out(extents{4, 4}), {{2, 9}});
              }),
              "tarn::soft_pool: input extents {8,8}, expected room for a window of 9 elements along axis 1");
    EXPECT_EQ(message_of([&] {
                  tarn::soft_pool(in(extents{8, 8}), out(extents{4, 4}), {{2, 2}}, {static_cast<double>(nan_value)});
              }),
              "tarn::soft_pool: scale nan, expected a number below 2^127 in magnitude");
    EXPECT_EQ(message_of([&] {
                  tarn::soft_pool(in(extents{8, 8}), out(extents{4, 4}), {{2, 2}}, {static_cast<double>(-inf)});
              }),
              "tarn::soft_pool: scale -inf, expected a number below 2^127 in magnitude");
    EXPECT_EQ(message_of([&] {
                  const tarn::tensor_view<float, 2> same = tarn::make_view(y.data(), 8, 8);
                  tarn::soft_pool(same, tarn::make_view(y.data(), 4, 4), {{2, 2}});
              }),
              "tarn::soft_pool: output overlaps the input, expected memory apart from the input");
}

TEST(soft_pool_memory, nothing_is_allocated) {
    const std::vector<float> x = normal_numbers(64 * 64, 1, 1);
    std::vector<float> y(x.size());
    const auto count = allocations_in([&] {
        tarn::soft_pool(tarn::make_view(x.data(), 64, 64), tarn::make_view(y.data(), 64, 64), {{3, 3}, {1, 1}, {1, 1}});
    });
    EXPECT_EQ(count.all, 0);
}

} // namespace
