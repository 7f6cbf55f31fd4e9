// SPDX-License-Identifier: BSD-3-Clause
//
// Generalized means of windows against their formula in long double: powers from -inf to inf, the whole range of floats
// and doubles, every type, tier and order of memory, special values, bits, and what is refused.
#include "support/allocations.hpp"
#include "support/executors.hpp"
#include "support/gem.hpp"
#include "support/mxcsr.hpp"
#include "support/refusals.hpp"
#include "support/same_bits.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/gem.hpp>

#include <cstring>
#include <limits>

namespace {

using namespace support;

constexpr float untouched_value = -77;

template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values, const tarn::gem_pool_options& o,
           const std::string& what) {
    const std::vector<window_members> windows = members_of(c.windows);
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<Out> y(c.full(c.windows.out()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    y.fill(static_cast<Out>(untouched_value));
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        tarn::gem_pool(tarn::on(tier), x.template view<R>(), y.template view<R>(), c.windows.window(), o);
    });
    const std::vector<T> stored = x.get();
    const std::vector<Out> got = y.get();
    const double epsilon = sizeof(T) == 8 ? o.epsilon : static_cast<double>(static_cast<float>(o.epsilon));
    const auto elements = static_cast<std::size_t>(product(c.windows.in()));
    for (std::size_t i = 0; i < got.size(); ++i) {
        std::vector<double> members;
        for (std::ptrdiff_t k : windows[i % windows.size()].index)
            members.push_back(static_cast<double>(stored[i / windows.size() * elements + static_cast<std::size_t>(k)]));
        long double expected = power_mean(members, o.p, epsilon);
        const double relative = gem_bound<T, Out>(members, steps_of(c.windows), o.p, epsilon);
        // Means of infinities may be finite, but no doubles or floats.
        const long double most =
            sizeof(Out) == 8 ? std::numeric_limits<double>::max() : std::numeric_limits<float>::max();
        if (expected > most * (1 + relative))
            expected = inf;
        const auto v = static_cast<long double>(static_cast<double>(got[i]));
        // Steps of denormal halves.
        const long double bound = relative * expected + (sizeof(Out) == 2 ? 0x1p-25L : 0);
        ASSERT_TRUE(is_within(v, expected, bound))
            << what << ": window " << i << " of " << c.windows << " gives " << v << ", expected " << expected << " +- "
            << bound << "; p " << o.p << ", epsilon " << o.epsilon << ", channels " << c.channels;
    }
    for (Out v : y.gaps())
        ASSERT_EQ(static_cast<double>(v), untouched_value) << what << ": written between results, " << c.windows;
}

class gem_pool : public tier_test {};

TEST_P(gem_pool, samples_of_windows) {
    each_sample(1711, thinned() ? 150 : 1500, {600, 40, 10},
                [&](const auto& c, auto out, auto& random, int i, const std::string& name) {
                    using In = typename std::decay_t<decltype(c)>::element;
                    std::vector<double> v =
                        between(c.batch * c.channels * product(c.windows.in()), static_cast<unsigned>(i), -6, 6);
                    for (std::size_t k = 0; k < v.size(); k += 5)
                        v[k] = -v[k];
                    const double p = powers[random() % std::size(powers)];
                    check<In, decltype(out)>(GetParam(), c, v, {p, random() % 3 == 0 ? 0.5 : 1e-6}, name);
                });
}

template <class T> void check_ranges(tarn::tier tier, double least, double greatest) {
    for (double p : powers) {
        unsigned seed = 0;
        for (const auto& [low, high] : {std::pair<double, double>{-1, 1},
                                        {-10, 10},
                                        {least, greatest},
                                        {greatest - 1, greatest},
                                        {least, least + 1},
                                        {-8, -6},
                                        {42, 43}}) {
            for (std::ptrdiff_t kernel : {1, 2, 3, 7, 19}) {
                map_call<T> c;
                const axis_case a{19, kernel, kernel == 7 ? 7 : 2, kernel / 3, kernel / 3, 1};
                c.windows = {{a, a}, false};
                c.channels = 2;
                c.x_order = c.y_order = memory_orders[seed % 2];
                auto v = between(c.channels * 19 * 19, seed++, low, high);
                v[3] = -1;
                for (double& x : v)
                    x = std::min(x, static_cast<double>(std::numeric_limits<T>::max()));
                if (high == greatest)
                    v[5] = v[6] = v[7] = std::numeric_limits<T>::max();
                const mxcsr_scope scope(0);
                check<T, T>(tier, c, v, {p, std::exp2(least)}, "range");
                if (testing::Test::HasFatalFailure())
                    return;
            }
        }
    }
}
TEST_P(gem_pool, the_whole_range_of_floats) { check_ranges<float>(GetParam(), -126, 128); }
TEST_P(gem_pool, the_whole_range_of_doubles) { check_ranges<double>(GetParam(), -1000, 1024); }

// Powers that floats have not, as published code would compute them.
TEST_P(gem_pool, powers_beyond_floats) {
    const auto mean = [&](std::vector<float> x, double p) {
        float y = -1;
        tarn::gem_pool(tarn::on(GetParam()), tarn::make_view(x.data(), 4), tarn::make_view(&y, 1), {{4}}, {p});
        return y;
    };
    EXPECT_FLOAT_EQ(mean({8e12f, 8e12f, 8e12f, 8e12f}, 3), 8e12f);
    EXPECT_FLOAT_EQ(mean({0.01f, 0.01f, 0.01f, 0.01f}, 60), 0.01f);
    EXPECT_FLOAT_EQ(mean({-1, -2, -3, 0}, 3), 1e-6f);
    EXPECT_FLOAT_EQ(mean({-1, -2, -3, 0}, 60), 1e-6f);
    EXPECT_FLOAT_EQ(mean({1, 4, 1, 4}, 0), 2);
    EXPECT_FLOAT_EQ(mean({1, 3, 3, 1}, -1), 1.5f);
    EXPECT_FLOAT_EQ(mean({1, 2, 3, 4}, 1), 2.5f);
}

// One NaN or infinity at every place, and windows of nothing else.
template <class T> void check_special(tarn::tier tier) {
    for (double p : powers) {
        for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
            for (std::ptrdiff_t kernel : {2, 3}) {
                map_call<T> c;
                const axis_case a{7, kernel, 2, kernel / 2, 0, 1};
                c.windows = {{a, a}, true};
                c.channels = 9;
                c.x_order = c.y_order = order;
                const std::vector<double> values = between(9 * 49, 5, -3, 3);
                for (double special : {nan_value, -nan_value, inf, -inf}) {
                    for (std::size_t at = 0; at < 49; at += thinned() ? 11 : 3) {
                        std::vector<double> v = values;
                        v[at % 9 * 49 + at] = special;
                        check<T, T>(tier, c, v, {p}, "special value");
                        if (testing::Test::HasFatalFailure())
                            return;
                    }
                    check<T, T>(tier, c, std::vector<double>(values.size(), special), {p}, "special values");
                }
            }
        }
    }
}
TEST_P(gem_pool, special_floats) { check_special<float>(GetParam()); }
TEST_P(gem_pool, special_doubles) { check_special<double>(GetParam()); }

// Windows without members, all of them padding.
TEST_P(gem_pool, windows_of_nothing) {
    const tarn::pool_window window{{2, 2}, {1, 1}, {1, 1}, {}, {2, 2}};
    for (double p : powers) {
        const float x = 3;
        float y = 7;
        tarn::gem_pool(tarn::on(GetParam()), tarn::make_view(&x, 1, 1, 1), tarn::make_view(&y, 1, 1, 1), window, {p});
        EXPECT_TRUE(y == 0 && !std::signbit(y)) << p << " gives " << y;
        const double xd = 3;
        double yd = 7;
        tarn::gem_pool(tarn::on(GetParam()), tarn::make_view(&xd, 1, 1, 1), tarn::make_view(&yd, 1, 1, 1), window, {p});
        EXPECT_TRUE(yd == 0 && !std::signbit(yd)) << p << " gives " << yd;
    }
}

// Windows of more elements than any line has.
TEST_P(gem_pool, large_windows) {
    for (std::ptrdiff_t dilation : {1, 3, 9000}) {
        for (double p : {3.0, 2.37, 20.0, 0.0, inf}) {
            map_call<float> c;
            const std::ptrdiff_t n = 60000;
            const std::ptrdiff_t kernel = (n - 1) / dilation - 3;
            c.windows = {{{n, kernel, 2, std::min<std::ptrdiff_t>(3, kernel / 2), 0, dilation}}, false};
            check<float, float>(GetParam(), c, between(n, 3, -4, 4), {p}, "large window");
            if (HasFatalFailure())
                return;
        }
    }
}

template <class T> void check_bits(tarn::tier tier) {
    std::vector<T> x;
    for (double v : between(19 * 23 * 23, 9, -4, 4))
        x.push_back(static_cast<T>(v));
    for (double p : {3.0, 2.37, 20.0, -2.0, 0.0, 1e-4, inf}) {
        const auto pool = [p](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
            tarn::gem_pool(where, in, out, window, {p});
        };
        for (std::ptrdiff_t kernel : {2, 3, 9}) {
            for (std::ptrdiff_t stride : {1, 2, 3}) {
                SCOPED_TRACE("p " + std::to_string(p) + " kernel " + std::to_string(kernel));
                check_bits_of_maps(tier, x, 19, 23, {{kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}},
                                   pool);
                if (testing::Test::HasFatalFailure())
                    return;
            }
        }
    }
}
TEST_P(gem_pool, large_windows_of_many) {
    for (double p : {3.0, 2.37, -9.0, 1e-5, inf}) {
        const auto values = [](std::size_t n, unsigned seed) {
            return between(static_cast<std::ptrdiff_t>(n), seed, -10, 3);
        };
        check_large_windows<float>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
            tarn::gem_pool(tarn::on(GetParam()), x, y, window, {p});
        });
    }
}

TEST_P(gem_pool, threes) {
    for (double p : {3.0, 2.37, -9.0, 1e-5, inf}) {
        const auto values = [](std::size_t n, unsigned seed) {
            return between(static_cast<std::ptrdiff_t>(n), seed, -10, 3);
        };
        const auto pool = [&](const auto& x, const auto& y, const tarn::pool_window& window) {
            tarn::gem_pool(tarn::on(GetParam()), x, y, window, {p});
        };
        check_threes<float>(values, pool);
        check_threes<double>(values, pool);
    }
}

TEST_P(gem_pool, bits_of_floats) { check_bits<float>(GetParam()); }
TEST_P(gem_pool, bits_of_doubles) { check_bits<double>(GetParam()); }

TEST_P(gem_pool, beside_windows) {
    for (double p : {3.0, 2.37, 0.5, 20.0}) {
        const auto pool = [&](const auto& x, const auto& y, const tarn::pool_window& window) {
            tarn::gem_pool(tarn::on(GetParam()), x, y, window, {p});
        };
        check_beside<float>(pool);
        check_beside<double>(pool);
    }
}

// No operation meets or makes a denormal number, whatever p; no allocation; little stack.
TEST_P(gem_pool, resources) {
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    std::vector<float> x;
    for (double v : between(2 * 16 * 16, 3, -126, 127))
        x.push_back(static_cast<float>(v));
    std::vector<double> xd;
    for (double v : between(2 * 16 * 16, 3, -1000, 1023))
        xd.push_back(v);
    std::vector<float> y(x.size());
    std::vector<double> yd(x.size());
    const tarn::pool_window window{{3, 3}, {1, 1}, {1, 1}};
    for (double p : powers) {
        const std::ptrdiff_t used = stack_of([&] {
            const mxcsr_scope scope(0);
            tarn::gem_pool(tarn::on(GetParam()), tarn::make_view(x.data(), 2, 16, 16),
                           tarn::make_view(y.data(), 2, 16, 16), window, {p, 0x1p-126});
            tarn::gem_pool(tarn::on(GetParam()), tarn::make_view(xd.data(), 2, 16, 16),
                           tarn::make_view(yd.data(), 2, 16, 16), window, {p, 0x1p-1000});
            tarn::gem_pool(tarn::on(GetParam()), tarn::make_view(x.data(), 32, 4, 4),
                           tarn::make_view(y.data(), 32, 1, 1), {{4, 4}}, {p, 0x1p-126});
            tarn::gem_pool(tarn::on(GetParam()), tarn::make_view(xd.data(), 32, 4, 4),
                           tarn::make_view(yd.data(), 32, 1, 1), {{4, 4}}, {p, 0x1p-1000});
            EXPECT_EQ(_mm_getcsr() & (denormal_operand | underflow), 0u) << p;
        });
        EXPECT_LE(used, 65536);
    }
}

// Groups of channels are channels pooled alone.
template <class T, class P> void check_groups(tarn::tier tier, tarn::layout layout) {
    const std::ptrdiff_t batch = 2;
    const std::ptrdiff_t channels = 12;
    const std::ptrdiff_t n = 9;
    const bool last = layout == tarn::layout::channels_last;
    std::vector<T> x;
    for (double v : between(batch * channels * n * n, 4, -3, 3))
        x.push_back(T(static_cast<float>(v)));
    tarn::pool_window window{{3, 3}, {2, 2}, {1, 1}};
    window.layout = layout;
    const std::ptrdiff_t m = 5;
    for (std::ptrdiff_t groups : {1, 2, 3, 12}) {
        const std::ptrdiff_t size = channels / groups;
        // Every other number.
        std::vector<P> p(static_cast<std::size_t>(2 * groups), static_cast<P>(nan_value));
        for (std::size_t i = 0; i < p.size(); i += 2)
            p[i] = static_cast<P>(powers[i / 2 * 7 % std::size(powers)]);
        const tarn::tensor_view<const P, 1> powers_view{p.data(), {groups}, {2}};
        std::vector<T> y(static_cast<std::size_t>(batch * channels * m * m));
        std::vector<T> expected(y.size());
        const auto view = [&](auto* data, std::ptrdiff_t c, std::ptrdiff_t count, std::ptrdiff_t e) {
            using V = std::remove_pointer_t<decltype(data)>;
            return last ? tarn::tensor_view<V, 4>{data + c,
                                                  {batch, e, e, count},
                                                  {e * e * channels, e * channels, channels, 1}}
                        : tarn::tensor_view<V, 4>{
                              data + c * e * e, {batch, count, e, e}, {channels * e * e, e * e, e, 1}};
        };
        for (std::ptrdiff_t g = 0; g < groups; ++g)
            tarn::gem_pool(tarn::on(tier), view(x.data(), g * size, size, n), view(expected.data(), g * size, size, m),
                           window, {static_cast<double>(p[static_cast<std::size_t>(2 * g)]), 0.25});
        tarn::ggem_pool(tarn::on(tier), view(x.data(), 0, channels, n), powers_view, view(y.data(), 0, channels, m),
                        window, {0.25});
        ASSERT_EQ(bytes_of(y), bytes_of(expected)) << groups << " groups";
        for (int threads : {2, 5, 9}) {
            std::vector<T> shared(y.size());
            odd_threads executor{threads, 3};
            tarn::ggem_pool(tarn::on(tier, executor), view(x.data(), 0, channels, n), powers_view,
                            view(shared.data(), 0, channels, m), window, {0.25});
            ASSERT_EQ(bytes_of(shared), bytes_of(y)) << groups << " groups, " << threads << " threads";
        }
    }
}
TEST_P(gem_pool, groups_of_channels) {
    for (auto layout : {tarn::layout::channels_first, tarn::layout::channels_last}) {
        check_groups<float, float>(GetParam(), layout);
        check_groups<double, double>(GetParam(), layout);
        check_groups<tarn::bfloat16, double>(GetParam(), layout);
    }
    const std::vector<float> x(8, 2.0f);
    std::vector<float> y(2);
    const std::vector<float> p = {3, std::numeric_limits<float>::quiet_NaN()};
    tarn::ggem_pool(tarn::on(GetParam()), tarn::make_view(x.data(), 2, 4), tarn::make_view(p.data(), 2),
                    tarn::make_view(y.data(), 2, 1), {{4}});
    EXPECT_FLOAT_EQ(y[0], 2);
    EXPECT_TRUE(std::isnan(y[1]));
}

TARN_TEST_ON_ALL_TIERS(gem_pool);

TEST(gem_pool_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    const std::vector<double> x = between(7 * 40 * 40, 12, -30, 30);
    for (double p : powers) {
        SCOPED_TRACE("p " + std::to_string(p));
        const auto pool = [&](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
            tarn::gem_pool(where, in, out, window, {p});
        };
        std::vector<float> floats;
        for (double v : x)
            floats.push_back(static_cast<float>(v));
        check_avx2_and_avx512_agree(floats, pool);
        check_avx2_and_avx512_agree(x, pool);
    }
}

class gem_pool_errors : public refusal_test {};

TEST_F(gem_pool_errors, messages) {
    using tarn::extents;
    const auto message = [&](const tarn::gem_pool_options& o) {
        return message_of([&] { tarn::gem_pool(in(extents{8, 8}), out(extents{4, 4}), {{2, 2}}, o); });
    };
    EXPECT_EQ(message({nan_value}), "tarn::gem_pool: p nan, expected a number or an infinity");
    EXPECT_EQ(message({3, 0}), "tarn::gem_pool: epsilon 0.000000, expected 2^-126 to 2^127");
    EXPECT_EQ(message({3, -1}), "tarn::gem_pool: epsilon -1.000000, expected 2^-126 to 2^127");
    EXPECT_EQ(message({3, nan_value}), "tarn::gem_pool: epsilon nan, expected 2^-126 to 2^127");
    EXPECT_EQ(message_of([&] {
                  tarn::gem_pool(in(extents{1, 8, 8}), out(extents{1, 4, 5}), {{2, 2}});
              }),
              "tarn::gem_pool: output extents {1,4,5}, expected {1,4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  const tarn::tensor_view<float, 2> same = tarn::make_view(y.data(), 8, 8);
                  tarn::gem_pool(same, tarn::make_view(y.data(), 4, 4), {{2, 2}});
              }),
              "tarn::gem_pool: output overlaps the input, expected memory apart from the input");
}

TEST_F(gem_pool_errors, messages_of_groups) {
    using tarn::extents;
    const std::vector<float> p(4, 3.0f);
    const auto message = [&](auto input, auto output, std::ptrdiff_t groups) {
        return message_of([&] { tarn::ggem_pool(input, tarn::make_view(p.data(), groups), output, {{2, 2}}); });
    };
    EXPECT_EQ(message(in(extents{3, 8, 8}), out(extents{3, 4, 4}), 2),
              "tarn::ggem_pool: p extents {2}, expected as many powers as groups of equal size of 3 channels");
    EXPECT_EQ(message(in(extents{3, 8, 8}), out(extents{3, 4, 4}), 0),
              "tarn::ggem_pool: p extents {0}, expected as many powers as groups of equal size of 3 channels");
    EXPECT_EQ(message(in(extents{8, 8}), out(extents{4, 4}), 1),
              "tarn::ggem_pool: input extents {8,8}, expected an axis of channels before those of the windows");
    EXPECT_EQ(message_of([&] {
                  tarn::ggem_pool(in(extents{3, 8, 8}), tarn::make_view(y.data(), 3), out(extents{3, 4, 4}), {{2, 2}});
              }),
              "tarn::ggem_pool: output overlaps the p, expected memory apart from the p");
}

TEST(gem_pool, empty_batches) {
    float x = 1;
    float y = 3;
    tarn::gem_pool(tarn::make_view(&x, 0, 8, 8), tarn::make_view(&y, 0, 4, 4), {{2, 2}});
    EXPECT_EQ(y, 3.0f);
}

} // namespace
