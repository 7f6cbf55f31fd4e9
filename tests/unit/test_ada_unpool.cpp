// SPDX-License-Identifier: BSD-3-Clause
//
// adaUnPool against the weights of windows worked out in long double: windows of one axis, samples of two and three,
// every type, tier and order of memory, special values, threads, and arguments that it refuses.
#include "support/ada_pooled.hpp"
#include "support/allocations.hpp"
#include "support/refusals.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/ada_unpool.hpp>

#include <limits>

namespace {

using namespace support;

template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values, const std::vector<double>& pooled,
           const beta_case& beta, tarn::unpool_scale scale, const std::string& what) {
    const std::vector<window_members> windows = members_of(c.windows);
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<T> y(c.full(c.windows.out()), c.y_order, c.at_end);
    placed_map<Out> z(c.full(c.windows.in()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    y.fill(T(0.0f));
    y.put(pooled);
    z.fill(static_cast<Out>(untouched));
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        with_beta(beta, [&](const auto& b) {
            tarn::ada_unpool(tarn::on(tier), x.template view<R>(), b, y.template view<R>(), z.template view<R>(),
                             c.windows.window(), {scale});
        });
    });
    const auto map_size = static_cast<std::size_t>(product(c.windows.in()));
    std::vector<long double> exact;
    for (T v : x.get())
        exact.push_back(static_cast<double>(v));
    const std::vector<T> spread = y.get();
    std::vector<long double> expected(exact.size());
    std::vector<long double> bound(exact.size());
    for (std::size_t i = 0; i < spread.size(); ++i) {
        const std::size_t map = i / windows.size() * map_size;
        const window_members& w = windows[i % windows.size()];
        const long double share =
            share_of<T>(beta.of(static_cast<std::ptrdiff_t>(i % windows.size()), c.windows.out()));
        const auto shares = unpooled_of<T>(w, exact.data() + map, share, steps_of(c.windows));
        const long double by = scale == tarn::unpool_scale::mean ? static_cast<long double>(w.index.size()) : 1;
        const auto v = static_cast<long double>(static_cast<double>(spread[i]));
        for (std::size_t k = 0; k < w.index.size(); ++k) {
            const std::size_t at = map + static_cast<std::size_t>(w.index[k]);
            expected[at] = by * v * shares.weight[k];
            bound[at] = std::fabs(by * v) * shares.bound[k] + (sizeof(T) == 8 ? 0x1p-950L : 0x1p-98L);
        }
    }
    const std::vector<Out> got = z.get();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const auto v = static_cast<long double>(static_cast<double>(got[i]));
        const long double narrowed = sizeof(Out) == 2 ? unit_roundoff<Out> * std::fabs(expected[i]) + 0x1p-24L : 0;
        ASSERT_TRUE(is_within(v, expected[i], bound[i] * 1.01L + narrowed))
            << what << ": element " << i << " of " << c.windows << " is " << static_cast<double>(v) << ", expected "
            << static_cast<double>(expected[i]) << " +- " << static_cast<double>(bound[i]) << ", channels "
            << c.channels;
    }
    for (Out v : z.gaps())
        ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
}

bool is_disjoint(const window_case& c) {
    std::vector<int> taken(static_cast<std::size_t>(product(c.in())));
    for (const window_members& w : members_of(c)) {
        for (std::ptrdiff_t i : w.index) {
            if (taken[static_cast<std::size_t>(i)]++ > 0)
                return false;
        }
    }
    return true;
}

class ada_unpool : public tier_test {};

TEST_P(ada_unpool, windows_of_one_axis) {
    std::mt19937 random(6);
    each_window_of_one_axis({1, 2, 3, 5, 8, 19, 40}, 2, [&](const map_call<float>& given, unsigned seed) {
        map_call<float> c = given;
        axis_case& a = c.windows.axes[0];
        a.stride = a.dilation == 1 ? std::max(a.stride, a.kernel) : 2 * (a.kernel / 2) + 1;
        if (c.windows.empty())
            return;
        const beta_case beta = random_beta(random, c.windows.out(), seed % 2 == 0);
        const auto scale = seed % 3 == 0 ? tarn::unpool_scale::sum : tarn::unpool_scale::mean;
        check<float, float>(GetParam(), c, logits(c.channels * product(c.windows.in()), seed),
                            logits(c.channels * product(c.windows.out()), seed / 5), beta, scale, "one axis");
    });
}

TEST_P(ada_unpool, samples_of_windows) {
    each_sample(20212, thinned() ? 150 : 600, {600, 40, 10},
                [&](const auto& given, auto out, auto& random, int i, const std::string& name) {
                    auto c = given;
                    for (axis_case& a : c.windows.axes) {
                        a.dilation = 1;
                        a.stride = std::max(a.stride, a.kernel);
                    }
                    if (c.windows.empty())
                        return;
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t maps = c.batch * c.channels;
                    using In = typename std::decay_t<decltype(c)>::element;
                    const beta_case beta = random_beta(random, c.windows.out(), i % 2 == 0);
                    check<In, decltype(out)>(GetParam(), c, logits(maps * product(c.windows.in()), seed),
                                             logits(maps * product(c.windows.out()), 0), beta,
                                             i % 3 == 0 ? tarn::unpool_scale::sum : tarn::unpool_scale::mean, name);
                });
}

// Special values at every place of windows.
TEST_P(ada_unpool, special_values) {
    for (const auto& kind : special_windows) {
        for (double share : {0.0, 1.0, 0.3}) {
            for (memory_order order : memory_orders) {
                const axis_case a{24, 2, 2, 0, 0, 1};
                const map_call<float> c{{{a, a}, false}, 1, 3, order, order, true};
                std::vector<double> x(3 * 24 * 24);
                for (std::size_t i = 0; i < x.size(); ++i)
                    x[i] = static_cast<double>(kind[(i / 24 % 2 * 2 + i % 2 + i / 48) % 4]);
                const beta_case beta{false, true, {}, {share}};
                check<float, float>(GetParam(), c, x, logits(3 * 12 * 12, 1), beta, tarn::unpool_scale::mean,
                                    "special");
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

// Of equal elements every one gets what is spread, or its share of it.
TEST_P(ada_unpool, of_equal_elements) {
    for (float value : {3.0f, 0.0f, -7.25f, 1e30f, 100.0f}) {
        for (float beta : {0.0f, 1.0f, 0.25f}) {
            std::vector<float> x(24 * 24, value);
            std::vector<float> y(12 * 12, 5.0f);
            std::vector<float> z(x.size());
            const auto view = [](auto& v) { return tarn::make_view(v.data(), 24, 24); };
            tarn::ada_unpool(tarn::on(GetParam()), view(x), beta, tarn::make_view(y.data(), 12, 12), view(z), {{2, 2}});
            for (float v : z)
                ASSERT_NEAR(v, 5, 2e-6) << value << " " << beta;
            tarn::ada_unpool(tarn::on(GetParam()), view(x), beta, tarn::make_view(y.data(), 12, 12), view(z), {{2, 2}},
                             {tarn::unpool_scale::sum});
            for (float v : z)
                ASSERT_NEAR(v, 1.25, 5e-7) << value << " " << beta;
        }
    }
}

TEST_P(ada_unpool, bits) {
    const std::vector<float> x = normal_logits<float>(19 * 24 * 24, 12, 0, 9);
    for (const std::ptrdiff_t kernel : {2, 3}) {
        // The pool's output as the place of results: a map and its weights give a map of the extents of x.
        const auto unpool = [&](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
            tarn::pool_window w = window;
            w.kernel = {kernel, kernel};
            w.stride = {};
            const auto e = tarn::pool_output_extents(in, w);
            constexpr int rank = std::decay_t<decltype(in)>::rank;
            std::vector<float> y(x.size());
            if constexpr (rank == 3) {
                const auto pooled = tarn::make_view(y.data(), e[0], e[1], e[2]);
                tarn::max_pool(in, pooled, w);
                tarn::ada_unpool(where, in, 0.3, pooled, out, w);
            } else {
                const auto pooled = tarn::make_view(y.data(), e[0], e[1]);
                tarn::max_pool(in, pooled, w);
                tarn::ada_unpool(where, in, 0.3, pooled, out, w);
            }
        };
        check_bits_of_maps(GetParam(), x, 19, 24, {{1, 1}}, unpool);
    }
}

TEST_P(ada_unpool, no_denormals) {
    for (const auto& kind : windows_near_denormals) {
        for (double beta : {0.0, 1.0, 0.5, 1e-17, 1 - 1e-7}) {
            for (float spread : {1.0f, 0x1p-126f, 0x1p-99f, 1e30f}) {
                std::mt19937 random(11);
                std::vector<float> x(2 * 40 * 40);
                for (float& v : x)
                    v = kind[random() % 4];
                std::vector<float> y(2 * 20 * 20, spread);
                std::vector<float> z(x.size());
                const auto view = [](auto& v) { return tarn::make_view(v.data(), 2, 40, 40); };
                tarn::ada_unpool(tarn::on(GetParam()), view(x), beta, tarn::make_view(y.data(), 2, 20, 20), view(z),
                                 {{2, 2}});
                for (float v : z)
                    ASSERT_TRUE(v == 0 || std::fabs(v) >= 0x1p-126f) << v;
            }
        }
    }
}

TEST_P(ada_unpool, stack) {
    const std::vector<float> x = normal_logits<float>(64 * 64, 1, 0, 1);
    std::vector<float> y(32 * 32, 1.0f);
    std::vector<float> z(x.size());
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 64, 64); };
    EXPECT_LE(
        stack_of([&] {
            tarn::ada_unpool(tarn::on(GetParam()), view(x), 0.5, tarn::make_view(y.data(), 32, 32), view(z), {{2, 2}});
        }),
        65536);
}

TARN_TEST_ON_ALL_TIERS(ada_unpool);

class ada_unpool_errors : public refusal_test {};

TEST_F(ada_unpool_errors, messages) {
    using tarn::extents;
    const std::vector<float> small(64, 1.0f);
    const auto pooled = [&](auto... n) { return tarn::make_view(small.data(), n...); };
    EXPECT_EQ(message_of([&] {
                  tarn::ada_unpool(in(extents{8, 8}), 0.5, pooled(4, 5), out(extents{8, 8}), {{2, 2}});
              }),
              "tarn::ada_unpool: results extents {4,5}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  tarn::ada_unpool(in(extents{8, 8}), 0.5, pooled(4, 4), out(extents{8, 9}), {{2, 2}});
              }),
              "tarn::ada_unpool: output extents {8,9}, expected {8,8}");
    EXPECT_EQ(message_of([&] {
                  tarn::ada_unpool(in(extents{8, 8}), 0.5, pooled(6, 3), out(extents{8, 8}), {{3, 2}, {1, 2}});
              }),
              "tarn::ada_unpool: stride {1,2}, expected windows that have no element in common, of kernel {3,2}");
    EXPECT_EQ(message_of([&] {
                  tarn::ada_unpool(in(extents{8, 8}), pooled(3), pooled(4, 4), out(extents{8, 8}), {{2, 2}});
              }),
              "tarn::ada_unpool: beta extents {3}, expected extents that broadcast to {4,4}");
    EXPECT_EQ(message_of([&] {
                  tarn::ada_unpool(in(extents{8, 8}), 0.5, tarn::make_view(y.data() + 10, 4, 4), out(extents{8, 8}),
                                   {{2, 2}});
              }),
              "tarn::ada_unpool: output overlaps the results, expected memory apart from the results");
}

// What is refused for its windows is what has elements in common.
TEST_F(ada_unpool_errors, windows_with_common_elements) {
    std::mt19937 random(3);
    for (int i = 0; i < 400; ++i) {
        const window_case c = random_windows(random, 1, 30, 4);
        std::vector<float> small(static_cast<std::size_t>(product(c.out())));
        const std::ptrdiff_t n = c.in()[0];
        const bool refused =
            refusal_of([&] {
                tarn::ada_unpool(tarn::make_view(x.data(), n), 0.5, tarn::make_view(small.data(), c.out()[0]),
                                 tarn::make_view(y.data(), n), c.window());
            }) != "no exception";
        // A common tap may lie in the padding.
        const bool plain = c.axes[0].before == 0 && c.axes[0].after == 0 && !c.ceil;
        ASSERT_TRUE(refused ? !is_disjoint(c) || !plain : is_disjoint(c)) << c;
    }
}

TEST(ada_unpool_memory, nothing_is_allocated) {
    const std::vector<float> x = normal_logits<float>(64 * 64, 1, 0, 1);
    std::vector<float> y(32 * 32, 1.0f);
    std::vector<float> z(x.size());
    const auto count = allocations_in([&] {
        tarn::ada_unpool(tarn::make_view(x.data(), 64, 64), 0.5, tarn::make_view(y.data(), 32, 32),
                         tarn::make_view(z.data(), 64, 64), {{2, 2}});
    });
    EXPECT_EQ(count.all, 0);
}

} // namespace
