// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of adaUnPool against sums with weights worked out in long double, and as the transpose of adaUnPool:
// windows of one axis, samples of two and three, every type, tier and order of memory, special values, threads, and
// arguments that it refuses.
#include "support/ada_pooled.hpp"
#include "support/allocations.hpp"
#include "support/refusals.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/ada_unpool.hpp>

#include <limits>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values,
           const std::vector<double>& gradients, const beta_case& beta, tarn::unpool_scale scale,
           const std::string& what) {
    constexpr long double u = sizeof(T) == 8 ? 0x1p-53L : 0x1p-24L;
    constexpr long double least_weight = sizeof(T) == 8 ? 0x1p-480L : 0x1p-60L;
    constexpr long double least_part = sizeof(T) == 8 ? 0x1p-180L : 0x1p-40L;
    constexpr long double least = sizeof(T) == 8 ? 0x1p-1021L : 0x1p-125L;
    const std::vector<window_members> windows = members_of(c.windows);
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<T> dz(c.full(c.windows.in()), c.y_order, c.at_end);
    placed_map<Out> dy(c.full(c.windows.out()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    dz.fill(T(0.0f));
    dz.put(gradients);
    dy.fill(static_cast<Out>(untouched));
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        with_beta(beta, [&](const auto& b) {
            tarn::ada_unpool_backward(tarn::on(tier), x.template view<R>(), b, dz.template view<R>(),
                                      dy.template view<R>(), c.windows.window(), {scale});
        });
    });
    const auto map_size = static_cast<std::size_t>(product(c.windows.in()));
    std::vector<long double> exact;
    for (T v : x.get())
        exact.push_back(static_cast<double>(v));
    const std::vector<T> of_elements = dz.get();
    const std::vector<Out> got = dy.get();
    const long double steps = steps_of(c.windows);
    for (std::size_t i = 0; i < got.size(); ++i) {
        const std::size_t map = i / windows.size() * map_size;
        const window_members& w = windows[i % windows.size()];
        const long double share =
            share_of<T>(beta.of(static_cast<std::ptrdiff_t>(i % windows.size()), c.windows.out()));
        const auto shares = unpooled_of<T>(w, exact.data() + map, share, steps_of(c.windows));
        const long double by = scale == tarn::unpool_scale::mean ? static_cast<long double>(w.index.size()) : 1;
        long double expected = 0;
        long double bound = least * (1 + by);
        long double size = 0;
        for (std::size_t k = 0; k < w.index.size(); ++k) {
            const auto v =
                static_cast<long double>(static_cast<double>(of_elements[map + static_cast<std::size_t>(w.index[k])]));
            expected += by * v * shares.weight[k];
            bound += by * std::fabs(v) * (shares.bound[k] + (6 + steps) * u * shares.weight[k] + least_weight);
            size += by * std::fabs(v);
        }
        bound += size * least_part * static_cast<long double>(w.index.size());
        const auto v = static_cast<long double>(static_cast<double>(got[i]));
        const long double narrowed = sizeof(Out) == 2 ? unit_roundoff<Out> * std::fabs(expected) + 0x1p-24L : 0;
        ASSERT_TRUE(is_within(v, expected, bound * 1.01L + narrowed))
            << what << ": window " << i << " of " << c.windows << " gets " << static_cast<double>(v) << ", expected "
            << static_cast<double>(expected) << " +- " << static_cast<double>(bound) << ", channels " << c.channels;
    }
    for (Out v : dy.gaps())
        ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
}

class ada_unpool_backward : public tier_test {};

TEST_P(ada_unpool_backward, windows_of_one_axis) {
    std::mt19937 random(8);
    each_window_of_one_axis({1, 2, 3, 5, 8, 19, 40}, 2, [&](const map_call<float>& given, unsigned seed) {
        map_call<float> c = given;
        axis_case& a = c.windows.axes[0];
        a.stride = a.dilation == 1 ? std::max(a.stride, a.kernel) : 2 * (a.kernel / 2) + 1;
        if (c.windows.empty())
            return;
        const beta_case beta = random_beta(random, c.windows.out(), seed % 2 == 0);
        const auto scale = seed % 3 == 0 ? tarn::unpool_scale::sum : tarn::unpool_scale::mean;
        const std::ptrdiff_t count = c.channels * product(c.windows.in());
        check<float, float>(GetParam(), c, logits(count, seed), logits(count, seed / 5), beta, scale, "one axis");
    });
}

TEST_P(ada_unpool_backward, samples_of_windows) {
    each_sample(20213, thinned() ? 150 : 600, {600, 40, 10},
                [&](const auto& given, auto out, auto& random, int i, const std::string& name) {
                    auto c = given;
                    for (axis_case& a : c.windows.axes) {
                        a.dilation = 1;
                        a.stride = std::max(a.stride, a.kernel);
                    }
                    if (c.windows.empty())
                        return;
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t count = c.batch * c.channels * product(c.windows.in());
                    using In = typename std::decay_t<decltype(c)>::element;
                    const beta_case beta = random_beta(random, c.windows.out(), i % 2 == 0);
                    check<In, decltype(out)>(GetParam(), c, logits(count, seed), logits(count, 0), beta,
                                             i % 3 == 0 ? tarn::unpool_scale::sum : tarn::unpool_scale::mean, name);
                });
}

// Special values at every place of windows.
TEST_P(ada_unpool_backward, special_values) {
    const axis_case a{24, 2, 2, 0, 0, 1};
    for (const auto& kind : special_windows) {
        for (float size : {1.0f, 1e-36f, 3e36f}) {
            for (double share : {0.0, 1.0, 0.3}) {
                for (memory_order order : memory_orders) {
                    const map_call<float> c{{{a, a}, false}, 1, 3, order, order, true};
                    std::vector<double> x(3 * 24 * 24);
                    for (std::size_t i = 0; i < x.size(); ++i)
                        x[i] = static_cast<double>(kind[(i / 24 % 2 * 2 + i % 2 + i / 48) % 4]);
                    std::vector<double> dz = logits(3 * 24 * 24, 1);
                    for (double& v : dz)
                        v *= static_cast<double>(size) / 10;
                    const beta_case beta{false, true, {}, {share}};
                    check<float, float>(GetParam(), c, x, dz, beta, tarn::unpool_scale::mean, "special");
                    if (HasFatalFailure())
                        return;
                }
            }
        }
    }
}

// What is no number passes, and to its own window only.
TEST_P(ada_unpool_backward, gradients_that_are_no_numbers) {
    const std::vector<float> x = normal_logits<float>(40 * 40, 1, 0, 9);
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 40, 40); };
    for (float special : {nan_value, inf, -inf}) {
        for (std::size_t at = 0; at < x.size(); at += 37) {
            std::vector<float> dz = normal_logits<float>(40 * 40, 1, 0, 8);
            std::vector<float> plain(20 * 20);
            std::vector<float> dy(20 * 20);
            const auto run = [&](std::vector<float>& to) {
                tarn::ada_unpool_backward(tarn::on(GetParam()), view(x), 0.5, view(dz),
                                          tarn::make_view(to.data(), 20, 20), {{2, 2}});
            };
            run(plain);
            dz[at] = special;
            run(dy);
            const std::size_t window = at / 80 * 20 + at % 40 / 2;
            EXPECT_FALSE(std::isfinite(dy[window])) << special << " at " << at;
            dy[window] = plain[window];
            EXPECT_EQ(bytes_of(dy), bytes_of(plain)) << special << " at " << at;
        }
    }
}

// The sum of dz z is that of dy y, whatever y.
TEST_P(ada_unpool_backward, transpose) {
    const std::vector<double> x = normal_logits<double>(3 * 30 * 35, 3, 0, 1);
    const std::vector<double> y = normal_logits<double>(3 * 10 * 7, 1, 0, 2);
    const std::vector<double> dz = normal_logits<double>(3 * 30 * 35, 1, 0, 3);
    const auto maps = [](auto& v) { return tarn::make_view(v.data(), 3, 30, 35); };
    const auto windows = [](auto& v) { return tarn::make_view(v.data(), 3, 10, 7); };
    for (double beta : {0.0, 0.3, 1.0}) {
        for (tarn::unpool_scale scale : {tarn::unpool_scale::mean, tarn::unpool_scale::sum}) {
            std::vector<double> z(x.size());
            std::vector<double> dy(y.size());
            tarn::ada_unpool(tarn::on(GetParam()), maps(x), beta, windows(y), maps(z), {{3, 5}}, {scale});
            tarn::ada_unpool_backward(tarn::on(GetParam()), maps(x), beta, maps(dz), windows(dy), {{3, 5}}, {scale});
            long double of_elements = 0;
            long double of_windows = 0;
            for (std::size_t i = 0; i < z.size(); ++i)
                of_elements += static_cast<long double>(dz[i]) * static_cast<long double>(z[i]);
            for (std::size_t i = 0; i < y.size(); ++i)
                of_windows += static_cast<long double>(dy[i]) * static_cast<long double>(y[i]);
            EXPECT_NEAR(static_cast<double>(of_windows), static_cast<double>(of_elements), 1e-11);
        }
    }
}

TEST_P(ada_unpool_backward, bits) {
    const std::vector<float> x = normal_logits<float>(19 * 24 * 24, 12, 0, 9);
    for (const std::ptrdiff_t kernel : {2, 3}) {
        const auto gradient = [&](const auto& where, const auto& in, const auto& out, const tarn::pool_window& window) {
            tarn::ada_unpool_backward(where, in, 0.3, in, out, window);
        };
        check_bits_of_maps(GetParam(), x, 19, 24, {{kernel, kernel}}, gradient);
    }
}

TEST_P(ada_unpool_backward, no_denormals) {
    for (const auto& kind : windows_near_denormals) {
        for (double beta : {0.0, 1.0, 0.5, 1e-17, 1 - 1e-7}) {
            for (const auto& gradient : windows_near_denormals) {
                std::mt19937 random(11);
                std::vector<float> x(2 * 40 * 40);
                std::vector<float> dz(x.size());
                for (std::size_t i = 0; i < x.size(); ++i) {
                    x[i] = kind[random() % 4];
                    dz[i] = gradient[random() % 4];
                }
                std::vector<float> dy(2 * 20 * 20);
                const auto view = [](auto& v) { return tarn::make_view(v.data(), 2, 40, 40); };
                tarn::ada_unpool_backward(tarn::on(GetParam()), view(x), beta, view(dz),
                                          tarn::make_view(dy.data(), 2, 20, 20), {{2, 2}});
                for (float v : dy)
                    ASSERT_TRUE(v == 0 || std::fabs(v) >= 0x1p-126f) << v;
            }
        }
    }
}

TEST_P(ada_unpool_backward, stack) {
    const std::vector<float> x = normal_logits<float>(64 * 64, 1, 0, 1);
    std::vector<float> dy(32 * 32);
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 64, 64); };
    EXPECT_LE(stack_of([&] {
                  tarn::ada_unpool_backward(tarn::on(GetParam()), view(x), 0.5, view(x),
                                            tarn::make_view(dy.data(), 32, 32), {{2, 2}});
              }),
              65536);
}

TARN_TEST_ON_ALL_TIERS(ada_unpool_backward);

class ada_unpool_backward_errors : public refusal_test {};

TEST_F(ada_unpool_backward_errors, messages) {
    using tarn::extents;
    const std::vector<float> small(72, 1.0f);
    const auto gradient = [&](auto... n) { return tarn::make_view(small.data(), n...); };
    const auto message = [&](const auto& beta, const auto& dz, const auto& dy, const tarn::pool_window& window) {
        return message_of([&] { tarn::ada_unpool_backward(in(extents{8, 8}), beta, dz, dy, window); });
    };
    EXPECT_EQ(message(0.5, gradient(8, 9), out(extents{4, 4}), {{2, 2}}),
              "tarn::ada_unpool_backward: gradient extents {8,9}, expected {8,8}");
    EXPECT_EQ(message(0.5, gradient(8, 8), out(extents{4, 5}), {{2, 2}}),
              "tarn::ada_unpool_backward: output extents {4,5}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(
        message(0.5, gradient(8, 8), out(extents{6, 4}), {{3, 2}, {1, 2}}),
        "tarn::ada_unpool_backward: stride {1,2}, expected windows that have no element in common, of kernel {3,2}");
    EXPECT_EQ(message(gradient(3), gradient(8, 8), out(extents{4, 4}), {{2, 2}}),
              "tarn::ada_unpool_backward: beta extents {3}, expected extents that broadcast to {4,4}");
    EXPECT_EQ(message(0.5, tarn::make_view(y.data() + 10, 8, 8), out(extents{4, 4}), {{2, 2}}),
              "tarn::ada_unpool_backward: output overlaps the gradient, expected memory apart from the gradient");
}

TEST(ada_unpool_backward_memory, nothing_is_allocated) {
    const std::vector<float> x = normal_logits<float>(64 * 64, 1, 0, 1);
    std::vector<float> dy(32 * 32);
    const auto count = allocations_in([&] {
        tarn::ada_unpool_backward(tarn::make_view(x.data(), 64, 64), 0.5, tarn::make_view(x.data(), 64, 64),
                                  tarn::make_view(dy.data(), 32, 32), {{2, 2}});
    });
    EXPECT_EQ(count.all, 0);
}

} // namespace
