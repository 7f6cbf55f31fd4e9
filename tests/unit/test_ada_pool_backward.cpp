// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of adaPool and eDSCW against their formulas in long double, and these against differences of the
// results: windows of one axis, samples of two and three, every type, tier and order of memory, special values, threads,
// and arguments that they refuse.
#include "support/ada_pooled.hpp"
#include "support/allocations.hpp"
#include "support/refusals.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/ada_pool.hpp>

#include <limits>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

// beta: null for edscw_pool_backward.
template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values,
           const std::vector<double>& dresults, const beta_case* beta, const std::string& what) {
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<T> dy(c.full(c.windows.out()), c.y_order, c.at_end);
    placed_map<Out> dx(c.full(c.windows.in()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    dy.fill(T(0.0f));
    dy.put(dresults);
    dx.fill(static_cast<Out>(untouched));
    std::vector<double> dbeta(beta ? beta->value.size() : 0, static_cast<double>(untouched));
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        const auto from = x.template view<R>();
        const auto dresult = dy.template view<R>();
        const auto to = dx.template view<R>();
        if (!beta) {
            tarn::edscw_pool_backward(tarn::on(tier), from, dresult, to, c.windows.window());
            return;
        }
        with_beta(*beta, dbeta, [&](const auto& b, auto&& db) {
            tarn::ada_pool_backward(tarn::on(tier), from, b, dresult, to, db, c.windows.window());
        });
    });
    std::vector<long double> exact;
    for (T v : x.get())
        exact.push_back(static_cast<double>(v));
    const ada_gradient r = ada_gradient_of<T>(c.windows, exact, dy.get(), beta);
    const std::vector<Out> got = dx.get();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const auto v = static_cast<long double>(static_cast<double>(got[i]));
        const long double narrowed =
            sizeof(Out) == 2 ? unit_roundoff<Out> * (std::fabs(r.value[i]) + r.bound[i]) + 0x1p-24L : 0;
        ASSERT_TRUE(is_within(v, r.value[i], r.bound[i] * 1.01L + narrowed))
            << what << ": element " << i << " of " << c.windows << " gets " << static_cast<double>(v) << ", expected "
            << static_cast<double>(r.value[i]) << " +- " << static_cast<double>(r.bound[i]) << ", channels "
            << c.channels;
    }
    for (Out v : dx.gaps())
        ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
    for (std::size_t i = 0; i < dbeta.size(); ++i) {
        const long double narrowed = beta->doubles ? 0 : 0x1p-24L * std::fabs(r.of_beta[i]);
        ASSERT_TRUE(is_within(dbeta[i], r.of_beta[i], r.bound_of_beta[i] * 1.01L + narrowed))
            << what << ": beta " << i << " of " << c.windows << " gets " << dbeta[i] << ", expected "
            << static_cast<double>(r.of_beta[i]) << " +- " << static_cast<double>(r.bound_of_beta[i]);
    }
}

class ada_pool_backward : public tier_test {};

TEST_P(ada_pool_backward, windows_of_one_axis) {
    std::mt19937 random(5);
    each_window_of_one_axis({1, 2, 3, 5, 8, 19, 40}, thinned() ? 1 : 2, [&](const map_call<float>& c, unsigned seed) {
        const beta_case beta = random_beta(random, c.windows.out(), seed % 2 == 0);
        check<float, float>(GetParam(), c, logits(c.channels * product(c.windows.in()), seed),
                            logits(c.channels * product(c.windows.out()), 0), seed % 4 == 0 ? nullptr : &beta,
                            "one axis");
    });
}

TEST_P(ada_pool_backward, samples_of_windows) {
    each_sample(20213, thinned() ? 100 : 600, {600, 40, 10},
                [&](const auto& c, auto out, auto& random, int i, const std::string& name) {
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t maps = c.batch * c.channels;
                    using In = typename std::decay_t<decltype(c)>::element;
                    const beta_case beta = random_beta(random, c.windows.out(), i % 2 == 0);
                    check<In, decltype(out)>(GetParam(), c, logits(maps * product(c.windows.in()), seed),
                                             logits(maps * product(c.windows.out()), 0), i % 4 == 3 ? nullptr : &beta,
                                             name);
                });
}

TEST_P(ada_pool_backward, special_values) {
    const float kinds[][4] = {{nan_value, 1, 2, 3},
                              {inf, 1, 2, inf},
                              {-inf, 1, 2, 3},
                              {-inf, -inf, -inf, -inf},
                              {0, 0, 0, 0},
                              {1, -1, 0, 0},
                              {0, 5, 0, 0},
                              {1e30f, 1, -3, 1e30f},
                              {-90, 20, 3, 1},
                              {1e-30f, 2e-30f, 3e-30f, 0},
                              {3e37f, 3e37f, 2e37f, 1},
                              {1, 1, 1, 1}};
    for (const auto& kind : kinds) {
        for (double share : {0.0, 1.0, 0.3}) {
            for (const auto& [kernel, stride] : {std::array<std::ptrdiff_t, 2>{2, 2}, {3, 1}}) {
                const axis_case a{24, kernel, stride, kernel / 3, kernel / 3, 1};
                const map_call<float> c{
                    {{a, a}, false}, 1, 3, memory_order::channels_first, memory_order::channels_first, true};
                std::vector<double> x(3 * 24 * 24);
                for (std::size_t i = 0; i < x.size(); ++i)
                    x[i] = static_cast<double>(kind[(i / 24 % 2 * 2 + i % 2 + i / 48) % 4]);
                const beta_case beta{false, true, {}, {share}};
                check<float, float>(GetParam(), c, x, logits(3 * product(c.windows.out()), 1), &beta, "special");
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

// The formulas, against differences of the results in long double.
TEST(ada_pool_gradient, of_the_formulas) {
    const window_case c{{{7, 3, 2, 1, 1, 1}, {6, 2, 1, 0, 0, 1}}, false};
    const std::size_t windows = members_of(c).size();
    std::vector<long double> x;
    for (double v : logits(42, 0))
        x.push_back(v);
    std::vector<double> dy = logits(static_cast<std::ptrdiff_t>(windows), 5);
    std::mt19937 random(2);
    beta_case beta{true, true, {1, c.out()[1]}, {}};
    for (std::ptrdiff_t i = 0; i < c.out()[1]; ++i)
        beta.value.push_back(0.1 + 0.13 * static_cast<double>(i));
    const auto total = [&](const std::vector<long double>& at, const beta_case& b) {
        long double sum = 0;
        const auto all = members_of(c);
        for (std::size_t i = 0; i < windows; ++i)
            sum += dy[i] * mixed_of<double>(ada_of(all[i], at.data()),
                                            share_of<double>(b.of(static_cast<std::ptrdiff_t>(i), c.out())));
        return sum;
    };
    const ada_gradient r = ada_gradient_of<double>(c, x, dy, &beta);
    constexpr long double step = 1e-7L;
    for (std::size_t i = 0; i < x.size(); ++i) {
        std::vector<long double> more = x;
        std::vector<long double> less = x;
        more[i] += step;
        less[i] -= step;
        EXPECT_NEAR(static_cast<double>(r.value[i]),
                    static_cast<double>((total(more, beta) - total(less, beta)) / (2 * step)), 1e-7);
    }
    for (std::size_t i = 0; i < beta.value.size(); ++i) {
        beta_case more = beta;
        more.value[i] += 0.01;
        EXPECT_NEAR(static_cast<double>(r.of_beta[i]), static_cast<double>((total(x, more) - total(x, beta)) * 100),
                    1e-9);
    }
}

TEST_P(ada_pool_backward, bits) {
    const std::vector<float> x = normal_logits<float>(19 * 24 * 24, 12, 0, 9);
    for (const auto& [kernel, stride] : {std::array<std::ptrdiff_t, 2>{2, 2}, {3, 1}, {3, 2}}) {
        for (const bool similar : {false, true}) {
            const auto gradient = [&, k = kernel, s = stride](const auto& where, const auto& in, const auto& out,
                                                              const tarn::pool_window& window) {
                tarn::pool_window w = window;
                w.kernel = {k, k};
                w.stride = {s, s};
                const auto e = tarn::pool_output_extents(in, w);
                std::vector<float> dy(x.size());
                constexpr int rank = std::decay_t<decltype(in)>::rank;
                const auto view = [&] {
                    if constexpr (rank == 3)
                        return tarn::make_view(dy.data(), e[0], e[1], e[2]);
                    else
                        return tarn::make_view(dy.data(), e[0], e[1]);
                }();
                tarn::max_pool(in, view, w);
                if (similar)
                    tarn::edscw_pool_backward(where, in, view, out, w);
                else
                    tarn::ada_pool_backward(where, in, 0.3, view, out, tarn::none, w);
            };
            check_bits_of_maps(GetParam(), x, 19, 24, {{1, 1}}, gradient);
        }
    }
}

// Elements at a distance are not taken in tiles: they get the same bits.
TEST_P(ada_pool_backward, bits_of_spread_elements) {
    constexpr std::ptrdiff_t n = 46;
    const std::vector<float> x = normal_logits<float>(2 * n * n, 3, 0, 9);
    const std::vector<float> dy = normal_logits<float>(n * n / 4, 1, 0, 8);
    const tarn::pool_window window{{2, 2}};
    for (const bool similar : {false, true}) {
        const auto run = [&](const auto& in) {
            std::vector<float> dx(n * n);
            const auto dresult = tarn::make_view(dy.data(), n / 2, n / 2);
            const auto out = tarn::make_view(dx.data(), n, n);
            if (similar)
                tarn::edscw_pool_backward(tarn::on(GetParam()), in, dresult, out, window);
            else
                tarn::ada_pool_backward(tarn::on(GetParam()), in, 0.3, dresult, out, tarn::none, window);
            return dx;
        };
        std::vector<float> close(n * n);
        for (std::size_t i = 0; i < close.size(); ++i)
            close[i] = x[2 * i];
        EXPECT_EQ(
            bytes_of(run(tarn::make_view(close.data(), n, n))),
            bytes_of(run(tarn::make_view(x.data(), tarn::extents{n, n}, tarn::strides{2 * n, std::ptrdiff_t(2)}))))
            << "by similarity alone: " << similar;
    }
}

// The gradient of beta has the same bits whatever the threads, and that of x whether or not it is wanted.
TEST_P(ada_pool_backward, beta_and_threads) {
    const std::vector<float> x = normal_logits<float>(70 * 24 * 24, 3, 0, 9);
    const std::vector<float> dy = normal_logits<float>(70 * 12 * 12, 1, 0, 8);
    const auto in = tarn::make_view(x.data(), 7, 10, 24, 24);
    const auto dresult = tarn::make_view(dy.data(), 7, 10, 12, 12);
    std::vector<double> beta(144, 0.25);
    std::vector<float> dx(x.size());
    std::vector<float> without(x.size());
    const auto out = [](auto& v) { return tarn::make_view(v.data(), 7, 10, 24, 24); };
    const auto run = [&](const auto& where, const auto& b, auto&& db, std::vector<float>& to) {
        tarn::ada_pool_backward(where, in, b, dresult, out(to), db, {{2, 2}});
    };
    double single = 0;
    std::vector<double> regional(144);
    run(tarn::on(GetParam()), 0.25, single, dx);
    run(tarn::on(GetParam()), tarn::make_view(beta.data(), 12, 12), tarn::make_view(regional.data(), 12, 12), without);
    EXPECT_EQ(dx, without);
    run(tarn::on(GetParam()), 0.25, tarn::none, without);
    EXPECT_EQ(dx, without);
    double sum = 0;
    for (double v : regional)
        sum += v;
    EXPECT_NEAR(sum, single, 1e-9 * 70 * 144);
    for (int threads : {2, 5, 9}) {
        odd_threads executor{threads, 3};
        double shared = 0;
        std::vector<double> shared_regional(144);
        run(tarn::on(GetParam(), executor), 0.25, shared, without);
        run(tarn::on(GetParam(), executor), tarn::make_view(beta.data(), 12, 12),
            tarn::make_view(shared_regional.data(), 12, 12), without);
        EXPECT_EQ(shared, single);
        EXPECT_EQ(shared_regional, regional);
        EXPECT_EQ(dx, without);
    }
}

// Every window takes its own beta: as with that one for all.
TEST_P(ada_pool_backward, regional_beta) {
    constexpr std::ptrdiff_t n = 23;
    constexpr float values[] = {0.0f, 0.3f, 1.0f, 0.75f, 0.5f};
    const std::vector<float> x = normal_logits<float>(n * 2 * n * 2 * n, 3, 0, 9);
    const std::vector<float> dy = normal_logits<float>(n * n * n, 1, 0, 8);
    std::vector<float> beta(n * n);
    for (std::size_t i = 0; i < beta.size(); ++i)
        beta[i] = values[i * i % 5];
    for (const bool last : {false, true}) {
        tarn::pool_window window{{2, 2}};
        window.layout = last ? tarn::layout::channels_last : tarn::layout::channels_first;
        const auto maps = [&](auto& v, std::ptrdiff_t size) {
            return last ? tarn::make_view(v.data(), size, size, n) : tarn::make_view(v.data(), n, size, size);
        };
        const auto run = [&](const auto& b) {
            std::vector<float> dx(x.size());
            tarn::ada_pool_backward(tarn::on(GetParam()), maps(x, 2 * n), b, maps(dy, n), maps(dx, 2 * n), tarn::none,
                                    window);
            return dx;
        };
        const std::vector<float> regional = run(tarn::make_view(beta.data(), n, n));
        for (float value : values) {
            const std::vector<float> single = run(value);
            for (std::size_t i = 0; i < regional.size(); ++i) {
                const std::size_t place = last ? i / n : i % (4 * n * n);
                if (beta[place / (4 * n) * n + place % (2 * n) / 2] == value) {
                    ASSERT_EQ(regional[i], single[i]) << "element " << i << ", beta " << value << ", last " << last;
                }
            }
        }
    }
}

// Of no maps, nothing.
TEST_P(ada_pool_backward, beta_of_no_maps) {
    const std::vector<float> beta(16, 0.5f);
    std::vector<float> dbeta(16, untouched);
    float single = untouched;
    float* const nothing = nullptr;
    const auto maps = [&](std::ptrdiff_t n) { return tarn::make_view(nothing, 0, n, n); };
    tarn::ada_pool_backward(tarn::on(GetParam()), maps(8), tarn::make_view(beta.data(), 4, 4), maps(4), maps(8),
                            tarn::make_view(dbeta.data(), 4, 4), {{2, 2}});
    EXPECT_EQ(dbeta, std::vector<float>(16));
    tarn::ada_pool_backward(tarn::on(GetParam()), maps(8), 0.5, maps(4), maps(8), single, {{2, 2}});
    EXPECT_EQ(single, 0);
}

// Clamped, beta has no gradient.
TEST_P(ada_pool_backward, clamped_beta) {
    const std::vector<float> x = normal_logits<float>(64, 3, 0, 9);
    const std::vector<float> dy(16, 1.0f);
    std::vector<float> dx(64);
    for (float beta : {-0.1f, 1.1f}) {
        float dbeta = 5;
        tarn::ada_pool_backward(tarn::on(GetParam()), tarn::make_view(x.data(), 8, 8), beta,
                                tarn::make_view(dy.data(), 4, 4), tarn::make_view(dx.data(), 8, 8), dbeta, {{2, 2}});
        EXPECT_EQ(dbeta, 0) << beta;
    }
}

TEST_P(ada_pool_backward, no_denormals) {
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 2, 40, 40); };
    for (const auto& kind : windows_near_denormals) {
        for (double beta : {0.0, 1.0, 0.5, 1e-17, 1 - 1e-7}) {
            for (float spread : {1.0f, 0x1p-126f, 0x1p-99f, 1e30f}) {
                std::mt19937 random(11);
                std::vector<float> x(2 * 40 * 40);
                for (float& v : x)
                    v = kind[random() % 4];
                const std::vector<float> dy(2 * 20 * 20, spread);
                std::vector<float> dx(x.size());
                double dbeta = 0;
                tarn::ada_pool_backward(tarn::on(GetParam()), view(x), beta, tarn::make_view(dy.data(), 2, 20, 20),
                                        view(dx), dbeta, {{2, 2}});
                const auto beta_of_float = static_cast<float>(beta);
                float dbeta_of_float = 0;
                tarn::ada_pool_backward(tarn::on(GetParam()), view(x), beta_of_float,
                                        tarn::make_view(dy.data(), 2, 20, 20), view(dx), dbeta_of_float, {{2, 2}});
                EXPECT_TRUE(dbeta_of_float == 0 || !(std::fabs(dbeta_of_float) < 0x1p-126f)) << dbeta_of_float;
                for (float v : dx)
                    ASSERT_TRUE(v == 0 || !(std::fabs(v) < 0x1p-126f)) << v;
            }
        }
    }
}

TEST_P(ada_pool_backward, stack) {
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    const std::vector<float> x = normal_logits<float>(64 * 64, 1, 0, 1);
    const std::vector<float> dy(x.size(), 1.0f);
    std::vector<float> dx(x.size());
    double dbeta = 0;
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 64, 64); };
    EXPECT_LE(stack_of([&] {
                  tarn::ada_pool_backward(tarn::on(GetParam()), view(x), 0.5, view(dy), view(dx), dbeta,
                                          {{3, 3}, {1, 1}, {1, 1}});
              }),
              65536);
}

TARN_TEST_ON_ALL_TIERS(ada_pool_backward);

TEST(ada_pool_backward_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    const std::vector<float> x = normal_logits<float>(7 * 40 * 40, 12, 0, 9);
    const std::vector<float> dy = normal_logits<float>(7 * 40 * 40, 1, 0, 3);
    std::vector<float> a(x.size());
    std::vector<float> b(x.size());
    const auto run = [&](tarn::tier tier, std::vector<float>& to) {
        tarn::ada_pool_backward(tarn::on(tier), tarn::make_view(x.data(), 7, 40, 40), 0.3,
                                tarn::make_view(dy.data(), 7, 40, 40), tarn::make_view(to.data(), 7, 40, 40),
                                tarn::none, {{3, 3}, {1, 1}, {1, 1}});
    };
    run(tarn::tier::avx512, a);
    run(tarn::tier::avx2, b);
    EXPECT_EQ(bytes_of(a), bytes_of(b));
}

class ada_pool_backward_errors : public refusal_test {};

TEST_F(ada_pool_backward_errors, messages) {
    using tarn::extents;
    const std::vector<float> dy(64, 1.0f);
    const std::vector<float> beta(16, 0.5f);
    std::vector<float> dbeta(16, untouched);
    const auto gradient = [&](auto... n) { return tarn::make_view(dy.data(), n...); };
    EXPECT_EQ(
        message_of([&] {
            tarn::ada_pool_backward(in(extents{8, 8}), 0.5, gradient(4, 5), out(extents{8, 8}), tarn::none, {{2, 2}});
        }),
        "tarn::ada_pool_backward: gradient extents {4,5}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(message_of([&] {
                  tarn::edscw_pool_backward(in(extents{8, 8}), gradient(4, 4), out(extents{8, 9}), {{2, 2}});
              }),
              "tarn::edscw_pool_backward: output extents {8,9}, expected {8,8}");
    EXPECT_EQ(message_of([&] {
                  tarn::ada_pool_backward(in(extents{8, 8}), tarn::make_view(beta.data(), 4, 4), gradient(4, 4),
                                          out(extents{8, 8}), tarn::make_view(dbeta.data(), 4, 1), {{2, 2}});
              }),
              "tarn::ada_pool_backward: beta_gradient extents {4,1}, expected {4,4}");
    EXPECT_EQ(message_of([&] {
                  tarn::ada_pool_backward(in(extents{8, 8}), tarn::make_view(beta.data(), 4), gradient(4, 4),
                                          out(extents{8, 8}), tarn::make_view(y.data() + 2, 4), {{2, 2}});
              }),
              "tarn::ada_pool_backward: beta_gradient overlaps the output, expected memory apart from the output");
    EXPECT_EQ(dbeta, std::vector<float>(16, untouched));
}

TEST(ada_pool_backward_memory, nothing_is_allocated) {
    const std::vector<float> x = normal_logits<float>(64 * 64, 1, 0, 1);
    const std::vector<float> dy(32 * 32, 1.0f);
    std::vector<float> dx(x.size());
    float dbeta = 0;
    const auto count = allocations_in([&] {
        tarn::ada_pool_backward(tarn::make_view(x.data(), 64, 64), 0.5, tarn::make_view(dy.data(), 32, 32),
                                tarn::make_view(dx.data(), 64, 64), dbeta, {{2, 2}});
    });
    EXPECT_EQ(count.all, 0);
}

} // namespace
