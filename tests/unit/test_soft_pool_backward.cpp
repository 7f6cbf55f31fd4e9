// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of SoftPool against its formula in long double and against differences.
#include "support/executors.hpp"
#include "support/near_denormal.hpp"
#include "support/refusals.hpp"
#include "support/same_bits.hpp"
#include "support/soft_pooled.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/soft_pool.hpp>

#include <limits>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr auto exact = tarn::soft_pool_gradient::exact;
constexpr auto weights_only = tarn::soft_pool_gradient::weights_only;

template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, memory_order dx_order, const std::vector<double>& values,
           const std::vector<double>& gradients, const tarn::soft_pool_options& options, const std::string& what) {
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<T> dy(c.full(c.windows.out()), c.y_order, c.at_end);
    placed_map<Out> dx(c.full(c.windows.in()), dx_order, c.at_end);
    for (auto* p : {&x, &dy})
        p->fill(T(0.0f));
    dx.fill(static_cast<Out>(untouched));
    x.put(values);
    dy.put(gradients);
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        tarn::soft_pool_backward(tarn::on(tier), x.template view<R>(), dy.template view<R>(), dx.template view<R>(),
                                 c.windows.window(), options);
    });
    const auto stored = x.get();
    std::vector<long double> map(stored.size());
    for (std::size_t i = 0; i < map.size(); ++i)
        map[i] = static_cast<double>(stored[i]);
    const auto given = dy.get();
    const soft_gradient expected = soft_gradient_of<T>(c.windows, map, given, options);
    const std::vector<Out> got = dx.get();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const auto v = static_cast<double>(got[i]);
        const auto e = static_cast<double>(expected.value[i]);
        const double narrowed = sizeof(Out) == 2 ? unit_roundoff<Out> * std::fabs(e) * 1.01 + 0x1p-25 : 0;
        ASSERT_TRUE(is_within(v, e, expected.bound[i] + narrowed))
            << what << ": element " << i << " of " << c.windows << " has " << v << ", expected " << e << " +- "
            << static_cast<double>(expected.bound[i]) << "; scale " << options.scale << ", channels " << c.channels;
    }
    for (Out v : dx.gaps())
        ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
}

std::vector<double> gradients(std::ptrdiff_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& g : v)
        g = normal(random);
    return v;
}

class soft_pool_backward : public tier_test {};

TEST_P(soft_pool_backward, windows_of_one_axis) {
    each_window_of_one_axis({1, 2, 3, 5, 8, 19, 40}, thinned() ? 1 : 3, [&](const map_call<float>& c, unsigned seed) {
        check<float, float>(GetParam(), c, c.x_order, logits(c.channels * product(c.windows.in()), seed),
                            gradients(c.channels * product(c.windows.out()), seed),
                            {scale_of(seed), seed % 4 == 0 ? weights_only : exact}, "one axis");
    });
}

TEST_P(soft_pool_backward, samples_of_windows) {
    each_sample(4712, thinned() ? 90 : 400, {1500, 30, 9},
                [&](const auto& c, auto out, auto& random, int i, const std::string& name) {
                    using In = typename std::decay_t<decltype(c)>::element;
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t maps = c.batch * c.channels;
                    const memory_order order = random() % 3 ? c.x_order : memory_orders[random() % 4];
                    check<In, decltype(out)>(GetParam(), c, order, logits(maps * product(c.windows.in()), seed),
                                             gradients(maps * product(c.windows.out()), seed + 1),
                                             {scale_of(seed), random() % 4 == 0 ? weights_only : exact}, name);
                });
}

// Windows and strides that leave no room for lines.
TEST_P(soft_pool_backward, large_windows) {
    for (const auto& [kernel, stride, dilation] :
         {std::array<std::ptrdiff_t, 3>{1500, 900, 1}, std::array<std::ptrdiff_t, 3>{2, 900, 1600},
          std::array<std::ptrdiff_t, 3>{1601, 70, 1}}) {
        map_call<float> c;
        c.windows = {{{3000, kernel, stride, 1, 0, dilation}}, false};
        c.channels = 2;
        check<float, float>(GetParam(), c, c.x_order, logits(6000, 5), gradients(2 * product(c.windows.out()), 6), {},
                            "large");
    }
}

TEST_P(soft_pool_backward, special_values) {
    const float kinds[][5] = {
        {3e38f, -3e38f, 0, 1, -1}, {88, 89, -104, 90, 0},   {inf, -inf, 0, inf, -inf}, {-inf, -inf, -inf, -inf, 5},
        {inf, inf, inf, inf, inf}, {nan_value, 0, 2, 0, 1}, {0, 0, 0, 0, 0},           {-inf, -inf, -inf, -inf, -inf}};
    for (std::ptrdiff_t stride : {1, 2, 3}) {
        for (const auto& kind : kinds) {
            for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
                const axis_case a{12, 3, stride, 1, 1, 1};
                const map_call<float> c{{{a, a}, false}, 1, 9, order, order, true};
                std::mt19937 random(3);
                std::vector<double> v(static_cast<std::size_t>(9 * 144));
                for (double& x : v)
                    x = static_cast<double>(random() % 7 == 0 ? kind[random() % 5] : kind[4]);
                for (double scale : {1.0, -1.0, 3.0})
                    check<float, float>(GetParam(), c, order, v, gradients(9 * product(c.windows.out()), 4),
                                        {scale, stride == 2 ? weights_only : exact}, "special");
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

// Of the sum of all results, by differences.
TEST_P(soft_pool_backward, is_what_differences_say) {
    const tarn::pool_window window{{3, 2}, {2, 1}, {1, 0}, {}, {1, 2}};
    const std::ptrdiff_t rows = 9;
    const std::ptrdiff_t columns = 11;
    std::vector<double> x = gradients(rows * columns, 8);
    const auto view = [&](auto& v) { return tarn::make_view(v.data(), rows, columns); };
    const auto e = tarn::pool_output_extents(view(x), window);
    std::vector<double> y(static_cast<std::size_t>(e[0] * e[1]));
    std::vector<double> weight = gradients(e[0] * e[1], 9);
    const auto results = [&](auto& v) { return tarn::make_view(v.data(), e[0], e[1]); };
    std::vector<double> dx(x.size());
    for (double scale : {1.0, -0.7, 5.0, 0.0}) {
        tarn::soft_pool_backward(tarn::on(GetParam()), view(x), results(weight), view(dx), window, {scale});
        const auto objective = [&](const std::vector<double>& at) {
            tarn::soft_pool(tarn::on(GetParam()), view(at), results(y), window, {scale});
            double sum = 0;
            for (std::size_t i = 0; i < y.size(); ++i)
                sum += weight[i] * y[i];
            return sum;
        };
        for (std::size_t i = 0; i < x.size(); ++i) {
            std::vector<double> above = x;
            std::vector<double> below = x;
            above[i] += 1e-5;
            below[i] -= 1e-5;
            ASSERT_NEAR((objective(above) - objective(below)) / 2e-5, dx[i], 3e-8) << i << " scale " << scale;
        }
    }
}

TEST_P(soft_pool_backward, bits) {
    for (const auto gradient : {exact, weights_only}) {
        for (std::ptrdiff_t stride : {1, 2, 3}) {
            const tarn::pool_window window{{3, 3}, {stride, stride}, {1, 1}};
            tarn::pool_window last = window;
            last.layout = tarn::layout::channels_last;
            const std::ptrdiff_t channels = 5;
            const std::ptrdiff_t rows = 211;
            const std::ptrdiff_t columns = 63;
            const auto normal = [](std::ptrdiff_t n, unsigned seed) {
                const std::vector<double> v = gradients(n, seed);
                return std::vector<float>(v.begin(), v.end());
            };
            const auto turned = [&](const std::vector<float>& v) {
                std::vector<float> t(v.size());
                const std::size_t n = v.size() / channels;
                for (std::size_t i = 0; i < v.size(); ++i)
                    t[i % n * channels + i / n] = v[i];
                return t;
            };
            const std::vector<float> x = normal(channels * rows * columns, 2);
            const auto in = [&](auto& v) { return tarn::make_view(v.data(), channels, rows, columns); };
            const auto in_last = [&](auto& v) { return tarn::make_view(v.data(), rows, columns, channels); };
            const auto e = tarn::pool_output_extents(in(x), window);
            const std::vector<float> dy = normal(e[0] * e[1] * e[2], 3);
            const auto out = [&](auto& v) { return tarn::make_view(v.data(), e[0], e[1], e[2]); };
            std::vector<float> dx(x.size());
            tarn::soft_pool_backward(tarn::on(GetParam()), in(x), out(dy), in(dx), window, {1, gradient});
            const std::vector<float> x_last = turned(x);
            const std::vector<float> dy_last = turned(dy);
            std::vector<float> dx_last(x.size());
            tarn::soft_pool_backward(tarn::on(GetParam()), in_last(x_last),
                                     tarn::make_view(dy_last.data(), e[1], e[2], channels), in_last(dx_last), last,
                                     {1, gradient});
            ASSERT_EQ(turned(dx), dx_last) << "stride " << stride;
            for (int threads = 2; threads <= 9; threads += 3) {
                odd_threads executor{threads, 2};
                std::vector<float> shared(x.size());
                tarn::soft_pool_backward(tarn::on(GetParam(), executor), in(x), out(dy), in(shared), window,
                                         {1, gradient});
                ASSERT_EQ(shared, dx);
            }
        }
    }
}

std::vector<double> mixed(std::ptrdiff_t n, unsigned seed) { return scattered(gradients(n, seed), seed); }

// Windows of elements that are no logits of ordinary size between others, and none.
TEST_P(soft_pool_backward, near_and_far) {
    each_side_by_side([&](const auto& c, unsigned seed) {
        using T = typename std::decay_t<decltype(c)>::element;
        const auto given = seed % 4 == 0 ? gradients : mixed;
        check<T, T>(GetParam(), c, c.x_order, given(c.channels * product(c.windows.in()), seed),
                    given(c.channels * product(c.windows.out()), seed + 1),
                    {seed % 5 == 0 ? -3.0 : 1.0, seed % 3 == 0 ? weights_only : exact}, "near and far");
        return !HasFatalFailure();
    });
}

template <class T> void check_overlapping(tarn::tier tier) {
    const auto values = [](std::size_t n, unsigned seed) {
        std::vector<double> v = seed % 2 == 0 ? gradients(static_cast<std::ptrdiff_t>(n), seed)
                                              : mixed(static_cast<std::ptrdiff_t>(n), seed);
        if (seed % 3 == 0)
            v[seed % n] = seed % 2 == 0 ? inf : nan_value;
        return v;
    };
    for (const auto gradient : {exact, weights_only}) {
        check_overlaps<T>(tier, values,
                          [&](const auto& where, const auto& x, const auto& dy, const auto& dx, const auto& window) {
                              tarn::soft_pool_backward(where, x, dy, dx, window, {2, gradient});
                          });
    }
}
TEST_P(soft_pool_backward, overlapping_floats) { check_overlapping<float>(GetParam()); }
TEST_P(soft_pool_backward, overlapping_doubles) { check_overlapping<double>(GetParam()); }

template <class T> void check_tiles(tarn::tier tier) {
    for (const auto gradient : {exact, weights_only}) {
        for (double scale : {1.0, -30.0}) {
            const auto values = [](std::size_t n, unsigned seed) {
                std::vector<double> v = mixed(static_cast<std::ptrdiff_t>(n), seed);
                if (seed % 3 == 0)
                    v[seed % n] = seed % 2 == 0 ? inf : nan_value;
                return v;
            };
            check_tilings<T>(values,
                             [&](const auto& x, const auto& dy, const auto& dx, const tarn::pool_window& window) {
                                 tarn::soft_pool_backward(tarn::on(tier), x, dy, dx, window, {scale, gradient});
                             });
        }
    }
}
TEST_P(soft_pool_backward, tiles_of_floats) { check_tiles<float>(GetParam()); }
TEST_P(soft_pool_backward, tiles_of_doubles) { check_tiles<double>(GetParam()); }

// Sums of distances that are no numbers.
TEST_P(soft_pool_backward, infinite_sums_without_scale) {
    const std::vector<float> x = {3e38f, -3e37f, -3e37f};
    const std::vector<float> dy = {3};
    for (const auto gradient : {exact, weights_only}) {
        std::vector<float> dx(3);
        tarn::soft_pool_backward(tarn::on(GetParam()), tarn::make_view(x.data(), 3), tarn::make_view(dy.data(), 1),
                                 tarn::make_view(dx.data(), 3), {{3}}, {0, gradient});
        for (float v : dx)
            EXPECT_FLOAT_EQ(v, 1);
    }
}

// No result is denormal.
TEST_P(soft_pool_backward, no_denormals) {
    const float kinds[][4] = {{0x1p-126f, -0x1p-126f, 0x1.8p-125f, 0},
                              {0x1p-100f, -0x1p-100f, 0x1.000002p-100f, 0x1p-99f},
                              {0, -80, -87, -60},
                              {1, 0x1.000002p0f, -0x1p-100f, -0x1p-126f},
                              {1e-20f, 2e-38f, 3e10f, -2e38f}};
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 2, 15, 17); };
    for (const auto& kind : kinds) {
        for (double scale : {1.0, -1.0, 0.0, 1e-40, 1e-37, 1e-20, 1e5, -1e10, 1e20, 1e30, 1e37}) {
            for (float size : {0x1p-126f, 0x1p-100f, 1e-20f, 1.0f, 1e38f}) {
                std::mt19937 random(11);
                std::vector<float> x(2 * 15 * 17);
                std::vector<float> dx(x.size());
                std::vector<float> dy(x.size());
                for (float& v : x)
                    v = kind[random() % 4];
                for (float& v : dy)
                    v = random() % 3 == 0 ? -size : size;
                for (const auto gradient : {exact, weights_only}) {
                    tarn::soft_pool_backward(tarn::on(GetParam()), view(x), view(dy), view(dx),
                                             {{3, 3}, {1, 1}, {1, 1}}, {scale, gradient});
                    for (float v : dx)
                        ASSERT_NE(std::fpclassify(v), FP_SUBNORMAL)
                            << "scale " << scale << " of " << kind[0] << " with " << size;
                }
            }
        }
    }
}

TEST_P(soft_pool_backward, stack) {
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    const tarn::pool_window window{{3, 3}, {1, 1}, {1, 1}};
    const auto check = [&](auto number, auto... extents) {
        std::vector<decltype(number)> x(64 * 64, number);
        std::vector<decltype(number)> dx(x.size());
        const auto view = [&](auto& v) { return tarn::make_view(v.data(), extents...); };
        EXPECT_LE(stack_of([&] { tarn::soft_pool_backward(tarn::on(GetParam()), view(x), view(x), view(dx), window); }),
                  65536);
    };
    check(1.0f, 64, 64);
    check(1.0, 64, 64);
    check(1.0f, 16, 16, 16);
    check(1.0, 16, 16, 16);
}

TARN_TEST_ON_ALL_TIERS(soft_pool_backward);

TEST(soft_pool_backward_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    const std::vector<double> x = logits(7 * 40 * 40, 2);
    const auto maps = [](auto& v) { return tarn::make_view(v.data(), 7, 40, 40); };
    for (const tarn::pool_window& window :
         {tarn::pool_window{{3, 3}, {1, 1}, {1, 1}}, tarn::pool_window{{2, 2}}, tarn::pool_window{{5, 5}, {3, 3}}}) {
        const auto e = tarn::pool_output_extents(maps(x), window);
        const std::vector<double> dy = gradients(e[0] * e[1] * e[2], 3);
        const auto agree = [&](const auto& in, const auto& given) {
            const auto gradient = tarn::make_view(given.data(), e[0], e[1], e[2]);
            auto a = in;
            auto b = in;
            for (double scale : {1.0, -0.3, 50.0}) {
                tarn::soft_pool_backward(tarn::on(tarn::tier::avx512), maps(in), gradient, maps(a), window, {scale});
                tarn::soft_pool_backward(tarn::on(tarn::tier::avx2), maps(in), gradient, maps(b), window, {scale});
                EXPECT_EQ(bytes_of(a), bytes_of(b)) << "scale " << scale;
            }
        };
        agree(x, dy);
        agree(std::vector<float>(x.begin(), x.end()), std::vector<float>(dy.begin(), dy.end()));
    }
}

class soft_pool_backward_errors : public refusal_test {};

TEST_F(soft_pool_backward_errors, messages) {
    using tarn::extents;
    EXPECT_EQ(message_of([&] {
                  tarn::soft_pool_backward(in(extents{8, 8}), in(extents{4, 3}), out(extents{8, 8}), {{2, 2}});
              }),
              "tarn::soft_pool_backward: gradient extents {4,3}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  tarn::soft_pool_backward(in(extents{8, 8}), in(extents{4, 4}), out(extents{8, 7}), {{2, 2}});
              }),
              "tarn::soft_pool_backward: output extents {8,7}, expected {8,8}");
    EXPECT_EQ(message_of([&] {
                  tarn::soft_pool_backward(in(extents{8, 8}), in(extents{4, 4}), out(extents{8, 8}), {{2, 2}},
                                           {static_cast<double>(inf)});
              }),
              "tarn::soft_pool_backward: scale inf, expected a number below 2^127 in magnitude");
    EXPECT_EQ(message_of([&] {
                  const tarn::tensor_view<float, 2> same = tarn::make_view(y.data(), 8, 8);
                  tarn::soft_pool_backward(same, in(extents{4, 4}), same, {{2, 2}});
              }),
              "tarn::soft_pool_backward: output overlaps the input, expected memory apart from the input");
}

} // namespace
