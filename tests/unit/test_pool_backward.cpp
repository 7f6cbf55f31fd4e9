// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of max and average pooling against windows taken element by element and against differences.
#include "support/executors.hpp"
#include "support/pooled.hpp"
#include "support/refusals.hpp"
#include "support/same_bits.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/pool.hpp>

#include <limits>

namespace {

using namespace support;

// Integers, so that sums of them are exact in every type; with ties, and NaN now and then.
std::vector<double> integers(std::ptrdiff_t n, unsigned seed, int most, bool with_nan) {
    std::mt19937 random(seed);
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& x : v)
        x = std::uniform_int_distribution<int>(-most, most)(random);
    for (std::ptrdiff_t i = 0; with_nan && i <= n / 8; ++i)
        v[static_cast<std::size_t>(random() % static_cast<unsigned>(n))] = std::numeric_limits<double>::quiet_NaN();
    return v;
}

struct shares {
    std::vector<double> sum, magnitude, count;
};
template <class Share>
shares gathered(const window_case& c, std::ptrdiff_t maps, const std::vector<double>& dy, Share share) {
    const auto windows = members_of(c);
    const auto n = static_cast<std::size_t>(product(c.in()));
    shares s;
    for (auto* v : {&s.sum, &s.magnitude, &s.count})
        v->assign(static_cast<std::size_t>(maps) * n, 0);
    for (std::size_t i = 0; i < dy.size(); ++i) {
        const std::size_t map = i / windows.size();
        const window_members& w = windows[i % windows.size()];
        share(w, map * n, [&](std::ptrdiff_t element, double part) {
            const std::size_t at = map * n + static_cast<std::size_t>(element);
            s.sum[at] += dy[i] * part;
            s.magnitude[at] += std::fabs(dy[i] * part);
            s.count[at] += 1;
        });
    }
    return s;
}

template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, memory_order dx_order, const std::vector<double>& values,
           const std::vector<double>& gradients, const tarn::average_pool_options& options, const std::string& what) {
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<T> dy(c.full(c.windows.out()), c.y_order, c.at_end);
    placed_map<Out> dx(c.full(c.windows.in()), dx_order, c.at_end);
    placed_map<Out> dx_average(c.full(c.windows.in()), dx_order, !c.at_end);
    for (auto* p : {&x, &dy})
        p->fill(T(0.0f));
    for (auto* p : {&dx, &dx_average})
        p->fill(static_cast<Out>(untouched));
    x.put(values);
    dy.put(gradients);
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        tarn::max_pool_backward(tarn::on(tier), x.template view<R>(), dy.template view<R>(), dx.template view<R>(),
                                c.windows.window());
        tarn::average_pool_backward(tarn::on(tier), dy.template view<R>(), dx_average.template view<R>(),
                                    c.windows.window(), options);
    });
    const std::ptrdiff_t maps = c.batch * c.channels;
    const shares max = gathered(c.windows, maps, gradients, [&](const window_members& w, std::size_t map, auto give) {
        std::ptrdiff_t best = -1;
        for (std::ptrdiff_t i : w.index) {
            const double v = values[map + static_cast<std::size_t>(i)];
            const double most = best < 0 ? 0 : values[map + static_cast<std::size_t>(best)];
            if (best < 0 || (!std::isnan(most) && (v > most || std::isnan(v))))
                best = i;
        }
        if (best >= 0)
            give(best, 1.0);
    });
    const shares average = gathered(c.windows, maps, gradients, [&](const window_members& w, std::size_t, auto give) {
        const auto count = options.count_include_padding ? w.with_padding : static_cast<std::ptrdiff_t>(w.index.size());
        for (std::ptrdiff_t i : w.index)
            give(i, 1.0 / static_cast<double>(options.divisor > 0 ? options.divisor : count));
    });
    const std::vector<Out> got = dx.get();
    const std::vector<Out> got_average = dx_average.get();
    for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(static_cast<double>(got[i]), max.sum[i]) << what << ": max, element " << i << " of " << c.windows;
        const double u = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
        const double rounding = sizeof(Out) == 2 ? 0x1p-8 * std::fabs(average.sum[i]) + 0x1p-24 : 0;
        ASSERT_NEAR(static_cast<double>(got_average[i]), average.sum[i],
                    (2 + average.count[i]) * u * average.magnitude[i] + rounding)
            << what << ": average, element " << i << " of " << c.windows;
    }
    for (auto* p : {&dx, &dx_average}) {
        for (Out v : p->gaps())
            ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
    }
}

class pool_backward : public tier_test {};

TEST_P(pool_backward, windows_of_one_axis) {
    each_window_of_one_axis({1, 2, 3, 5, 8, 19, 40}, thinned() ? 1 : 3, [&](const map_call<float>& c, unsigned seed) {
        check<float, float>(GetParam(), c, c.x_order,
                            integers(c.channels * product(c.windows.in()), seed, 2, seed % 7 == 0),
                            integers(c.channels * product(c.windows.out()), seed, 9, false),
                            {seed % 2 == 0, seed % 5 == 0 ? 3 : 0}, "one axis");
    });
}

TEST_P(pool_backward, samples_of_windows) {
    each_sample(4711, thinned() ? 90 : 1500, {3000, 40, 9},
                [&](const auto& c, auto out, auto& random, int i, const std::string& name) {
                    using In = typename std::decay_t<decltype(c)>::element;
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t maps = c.batch * c.channels;
                    const memory_order order = random() % 3 ? c.x_order : memory_orders[random() % 4];
                    check<In, decltype(out)>(
                        GetParam(), c, order,
                        integers(maps * product(c.windows.in()), seed, i % 2 == 0 ? 2 : 99, i % 4 == 0),
                        integers(maps * product(c.windows.out()), seed + 1, 1, false),
                        {random() % 2 == 0, random() % 4 == 0 ? 7 : 0}, name);
                });
}

template <class T> void check_tiles(tarn::tier tier) {
    const auto values = [](std::size_t n, unsigned seed) {
        return integers(static_cast<std::ptrdiff_t>(n), seed, 2, seed % 4 == 0);
    };
    check_tilings<T>(values, [&](const auto& x, const auto& dy, const auto& dx, const tarn::pool_window& window) {
        tarn::max_pool_backward(tarn::on(tier), x, dy, dx, window);
    });
    check_tilings<T>(values, [&](const auto&, const auto& dy, const auto& dx, const tarn::pool_window& window) {
        tarn::average_pool_backward(tarn::on(tier), dy, dx, window);
    });
}
TEST_P(pool_backward, tiles_of_floats) { check_tiles<float>(GetParam()); }
TEST_P(pool_backward, tiles_of_doubles) { check_tiles<double>(GetParam()); }

// Windows and strides that leave no room for lines.
TEST_P(pool_backward, large_windows) {
    for (const auto& [kernel, stride, dilation] :
         {std::array<std::ptrdiff_t, 3>{5000, 1500, 1}, std::array<std::ptrdiff_t, 3>{2, 3000, 4000},
          std::array<std::ptrdiff_t, 3>{6001, 7, 1}}) {
        map_call<float> c;
        c.windows = {{{12000, kernel, stride, 1, 0, dilation}}, false};
        c.channels = 2;
        check<float, float>(GetParam(), c, c.x_order, integers(24000, 5, 900000, false),
                            integers(2 * product(c.windows.out()), 6, 9, false), {}, "large");
    }
}

// Of the sum of all results, by differences.
TEST_P(pool_backward, is_what_differences_say) {
    const tarn::pool_window window{{3, 2}, {2, 1}, {1, 0}, {}, {1, 2}};
    const std::ptrdiff_t rows = 9;
    const std::ptrdiff_t columns = 11;
    std::mt19937 random(8);
    std::normal_distribution<double> normal;
    std::vector<double> x(static_cast<std::size_t>(rows * columns));
    for (double& v : x)
        v = normal(random);
    const auto view = [&](auto& v) { return tarn::make_view(v.data(), rows, columns); };
    const auto e = tarn::pool_output_extents(view(x), window);
    std::vector<double> y(static_cast<std::size_t>(e[0] * e[1]));
    std::vector<double> weight(y.size());
    for (double& v : weight)
        v = normal(random);
    const auto results = [&](auto& v) { return tarn::make_view(v.data(), e[0], e[1]); };
    std::vector<double> dx(x.size());
    for (bool max : {false, true}) {
        if (max)
            tarn::max_pool_backward(tarn::on(GetParam()), view(x), results(weight), view(dx), window);
        else
            tarn::average_pool_backward(tarn::on(GetParam()), results(weight), view(dx), window);
        const auto objective = [&](const std::vector<double>& at) {
            if (max)
                tarn::max_pool(tarn::on(GetParam()), view(at), results(y), window);
            else
                tarn::average_pool(tarn::on(GetParam()), view(at), results(y), window);
            double sum = 0;
            for (std::size_t i = 0; i < y.size(); ++i)
                sum += weight[i] * y[i];
            return sum;
        };
        for (std::size_t i = 0; i < x.size(); ++i) {
            std::vector<double> above = x;
            std::vector<double> below = x;
            above[i] += 1e-6;
            below[i] -= 1e-6;
            ASSERT_NEAR((objective(above) - objective(below)) / 2e-6, dx[i], 1e-7) << i;
        }
    }
}

TEST_P(pool_backward, threads) {
    for (auto layout : {tarn::layout::channels_first, tarn::layout::channels_last}) {
        tarn::pool_window window{{3, 3}, {2, 2}, {1, 1}};
        window.layout = layout;
        const bool last = layout == tarn::layout::channels_last;
        std::mt19937 random(2);
        std::normal_distribution<float> normal;
        std::vector<float> x(static_cast<std::size_t>(5 * 211 * 200));
        for (float& v : x)
            v = normal(random);
        const auto in = [&](auto& v) {
            return last ? tarn::make_view(v.data(), 211, 200, 5) : tarn::make_view(v.data(), 5, 211, 200);
        };
        const auto e = tarn::pool_output_extents(in(x), window);
        std::vector<float> dy(static_cast<std::size_t>(e[0] * e[1] * e[2]));
        for (float& v : dy)
            v = normal(random);
        const auto gradient = tarn::make_view(dy.data(), e[0], e[1], e[2]);
        std::vector<float> max(x.size());
        std::vector<float> average(x.size());
        std::vector<float> shared(x.size());
        tarn::max_pool_backward(tarn::on(GetParam()), in(x), gradient, in(max), window);
        tarn::average_pool_backward(tarn::on(GetParam()), gradient, in(average), window);
        for (int threads = 1; threads <= 9; threads += 2) {
            odd_threads executor{threads, 2};
            tarn::max_pool_backward(tarn::on(GetParam(), executor), in(x), gradient, in(shared), window);
            ASSERT_EQ(shared, max);
            tarn::average_pool_backward(tarn::on(GetParam(), executor), gradient, in(shared), window);
            ASSERT_EQ(shared, average);
        }
    }
}

template <class T> void check_overlapping(tarn::tier tier) {
    const auto values = [](std::size_t n, unsigned seed) {
        std::mt19937 random(seed);
        std::normal_distribution<double> normal;
        std::vector<double> v(n);
        for (double& x : v)
            x = normal(random);
        if (seed % 3 == 0)
            v[seed % n] = std::numeric_limits<double>::quiet_NaN();
        return v;
    };
    check_overlaps<T>(tier, values,
                      [](const auto& where, const auto& x, const auto& dy, const auto& dx, const auto& window) {
                          tarn::max_pool_backward(where, x, dy, dx, window);
                      });
    for (const bool padding : {false, true})
        check_overlaps<T>(tier, values,
                          [&](const auto& where, const auto&, const auto& dy, const auto& dx, const auto& window) {
                              tarn::average_pool_backward(where, dy, dx, window, {padding, 0});
                          });
}
TEST_P(pool_backward, overlapping_floats) { check_overlapping<float>(GetParam()); }
TEST_P(pool_backward, overlapping_doubles) { check_overlapping<double>(GetParam()); }

TEST_P(pool_backward, stack) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames";
    }
    const tarn::pool_window window{{3, 3}, {1, 1}, {1, 1}};
    const auto check = [&](auto number, auto... extents) {
        std::vector<decltype(number)> x(64 * 64, number);
        std::vector<decltype(number)> dx(x.size());
        const auto view = [&](auto& v) { return tarn::make_view(v.data(), extents...); };
        const std::ptrdiff_t used = stack_of([&] {
            tarn::max_pool_backward(tarn::on(GetParam()), view(x), view(x), view(dx), window);
            tarn::average_pool_backward(tarn::on(GetParam()), view(x), view(dx), window);
        });
        EXPECT_LE(used, 65536);
    };
    check(1.0f, 64, 64);
    check(1.0, 64, 64);
    check(1.0f, 16, 16, 16);
    check(1.0, 16, 16, 16);
}

TARN_TEST_ON_ALL_TIERS(pool_backward);

class pool_backward_errors : public refusal_test {};

TEST_F(pool_backward_errors, messages) {
    using tarn::extents;
    EXPECT_EQ(message_of([&] {
                  tarn::max_pool_backward(in(extents{8, 8}), in(extents{4, 3}), out(extents{8, 8}), {{2, 2}});
              }),
              "tarn::max_pool_backward: gradient extents {4,3}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  tarn::max_pool_backward(in(extents{8, 8}), in(extents{4, 4}), out(extents{8, 7}), {{2, 2}});
              }),
              "tarn::max_pool_backward: output extents {8,7}, expected {8,8}");
    EXPECT_EQ(message_of([&] {
                  tarn::average_pool_backward(in(extents{4, 3}), out(extents{8, 8}), {{2, 2}});
              }),
              "tarn::average_pool_backward: gradient extents {4,3}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  tarn::average_pool_backward(in(extents{4, 4}), out(extents{8, 8}), {{2, 2}}, {false, -3});
              }),
              "tarn::average_pool_backward: divisor -3, expected 0 for none, or a number of at least 1");
    EXPECT_EQ(message_of([&] {
                  const tarn::tensor_view<float, 2> same = tarn::make_view(y.data(), 8, 8);
                  tarn::max_pool_backward(same, in(extents{4, 4}), same, {{2, 2}});
              }),
              "tarn::max_pool_backward: output overlaps the input, expected memory apart from the input");
}

} // namespace
