// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of applied plans: formulas in long double, and differences of the forward call.
#include "support/guarded.hpp"
#include "support/merge.hpp"
#include "support/oracle.hpp"

#include <tarn/half.hpp>
#include <tarn/range.hpp>

#include <cstring>

namespace {

using namespace support;
using tarn::merge_mode;
using indices = std::vector<std::int32_t>;

class merge_plan_backward : public tier_test {};
TARN_TEST_ON_ALL_TIERS(merge_plan_backward);

constexpr merge_mode all_modes[] = {merge_mode::mean, merge_mode::sum, merge_mode::max, merge_mode::prune};

template <class T> struct problem {
    using N = number_of<T>;
    std::ptrdiff_t batch, tokens, slots, channels;
    indices assign;
    tarn::merge_plan plan;
    std::vector<T> x, dy;
    std::vector<N> size;

    problem(tarn::tier tier, random_bits& random, bool positive)
        : batch(1 + random.below(3)), tokens(1 + random.below(30)), slots(random.below(tokens + 1)),
          channels(random.below(75)) {
        for (std::ptrdiff_t b = 0; b < batch; ++b) {
            for (const std::int32_t s : random_assignment(tokens, slots, random))
                assign.push_back(s);
        }
        tarn::merge_plan_from(tarn::on(tier), tarn::make_view(assign.data(), batch, tokens), slots, plan);
        const auto number = [&] { return T(static_cast<N>(static_cast<double>(random.below(3000)) / 1024 - 1.5)); };
        for (std::ptrdiff_t i = 0; i < batch * tokens * channels; ++i)
            x.push_back(number());
        for (std::ptrdiff_t i = 0; i < batch * slots * channels; ++i)
            dy.push_back(number());
        for (std::ptrdiff_t i = 0; i < batch * tokens; ++i)
            size.push_back(static_cast<N>(!positive && random.below(6) == 0
                                              ? static_cast<double>(random.below(2)) - 1
                                              : 0.25 * static_cast<double>(1 + random.below(20))));
    }
    template <class V> auto rows(V& v, std::ptrdiff_t n) const { return tarn::make_view(v.data(), batch, n, channels); }
    template <class V> auto numbers(V& v, std::ptrdiff_t n) const { return tarn::make_view(v.data(), batch, n); }
    std::size_t at(std::ptrdiff_t b, std::ptrdiff_t t, std::ptrdiff_t n, std::ptrdiff_t c) const {
        return static_cast<std::size_t>((b * n + t) * channels + c);
    }
};

template <class T> void expect_gradients(tarn::tier tier, std::uint64_t seed) {
    using N = number_of<T>;
    random_bits random(seed);
    for (int round = 0; round < 80; ++round) {
        problem<T> p(tier, random, false);
        for (const merge_mode mode : all_modes) {
            for (const bool sized : {false, true}) {
                SCOPED_TRACE("round " + std::to_string(round) + " mode " + std::to_string(static_cast<int>(mode)) +
                             " sized " + std::to_string(sized) + " seed " + std::to_string(seed));
                std::vector<T> y(p.dy.size()), dx(p.x.size(), T(-31000.0f));
                std::vector<N> slot_size(static_cast<std::size_t>(p.batch * p.slots)), dsize(p.size.size(), -77);
                const auto where = tarn::on(tier);
                if (sized) {
                    tarn::merge_apply(where, p.rows(p.x, p.tokens), p.numbers(p.size, p.tokens), p.plan,
                                      p.rows(y, p.slots), p.numbers(slot_size, p.slots), {mode});
                    tarn::merge_apply_backward(where, p.rows(p.x, p.tokens), p.numbers(p.size, p.tokens), p.plan,
                                               p.rows(y, p.slots), p.rows(p.dy, p.slots), p.rows(dx, p.tokens),
                                               p.numbers(dsize, p.tokens), {mode});
                } else {
                    tarn::merge_apply_backward(where, p.rows(p.x, p.tokens), p.plan, p.rows(p.dy, p.slots),
                                               p.rows(dx, p.tokens), {mode});
                }
                for (std::ptrdiff_t b = 0; b < p.batch; ++b) {
                    const plain_plan plan = plan_of(p.plan, b);
                    for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
                        const std::int32_t s = plan.assign[static_cast<std::size_t>(t)];
                        const auto size = [&](std::ptrdiff_t i) {
                            return sized ? static_cast<long double>(p.size[static_cast<std::size_t>(b * p.tokens + i)])
                                         : 1.0L;
                        };
                        long double total = 0;
                        for (std::ptrdiff_t i = 0; i < p.tokens; ++i)
                            total += plan.assign[static_cast<std::size_t>(i)] == s ? std::max(size(i), 0.0L) : 0;
                        long double ds = 0;
                        long double magnitude = 0;
                        for (std::ptrdiff_t c = 0; c < p.channels; ++c) {
                            const long double g = s < 0 ? 0 : exact(p.dy[p.at(b, s, p.slots, c)]);
                            const long double v = exact(p.x[p.at(b, t, p.tokens, c)]);
                            long double e = 0;
                            if (s >= 0 && mode == merge_mode::mean && total > 0)
                                e = std::max(size(t), 0.0L) / total * g;
                            if (s >= 0 && mode == merge_mode::sum)
                                e = std::max(size(t), 0.0L) * g;
                            if (s >= 0 && mode == merge_mode::prune)
                                e = plan.rep[static_cast<std::size_t>(s)] == t ? g : 0;
                            if (s >= 0 && mode == merge_mode::max) {
                                e = g;
                                for (std::ptrdiff_t i = 0; i < p.tokens; ++i) {
                                    const long double w = exact(p.x[p.at(b, i, p.tokens, c)]);
                                    if (plan.assign[static_cast<std::size_t>(i)] == s && (w > v || (w == v && i < t)))
                                        e = 0;
                                }
                            }
                            const long double got = exact(dx[p.at(b, t, p.tokens, c)]);
                            const double digits = sizeof(T) == 8                          ? 52
                                                  : sizeof(T) == 4                        ? 23.99
                                                  : std::is_same<T, tarn::float16>::value ? 10.98
                                                                                          : 7.98;
                            const long double least = std::is_same<T, tarn::float16>::value ? 0x1p-25L : 0;
                            EXPECT_LE(std::fabs(got - e), std::fabs(e) * std::exp2(-digits) + least) << t << ' ' << c;
                            if (sized && s >= 0 && (mode == merge_mode::mean || mode == merge_mode::sum) && total > 0 &&
                                size(t) >= 0) {
                                const long double d =
                                    mode == merge_mode::mean ? v - exact(y[p.at(b, s, p.slots, c)]) : v;
                                ds += d * g / (mode == merge_mode::mean ? total : 1);
                                magnitude += std::fabs(d * g) / (mode == merge_mode::mean ? total : 1);
                            }
                        }
                        if (sized) {
                            EXPECT_LE(
                                std::fabs(static_cast<long double>(dsize[static_cast<std::size_t>(b * p.tokens + t)]) -
                                          ds),
                                std::fabs(ds) * std::exp2(sizeof(N) == 8 ? -53.0 : -23.99) + magnitude * 0x1p-50)
                                << t;
                        }
                        if (testing::Test::HasFailure())
                            return;
                    }
                }
            }
        }
    }
}
TEST_P(merge_plan_backward, floats) { expect_gradients<float>(GetParam(), 1); }
TEST_P(merge_plan_backward, doubles) { expect_gradients<double>(GetParam(), 2); }
TEST_P(merge_plan_backward, float16) { expect_gradients<tarn::float16>(GetParam(), 3); }
TEST_P(merge_plan_backward, bfloat16) { expect_gradients<tarn::bfloat16>(GetParam(), 4); }

// Against differences of the loss sum y * dy, along one random direction in tokens and sizes.
TEST_P(merge_plan_backward, differences) {
    random_bits random(7);
    for (int round = 0; round < 60; ++round) {
        problem<double> p(GetParam(), random, true);
        // No two numbers so close that a step changes which is the greater.
        for (double& v : p.x)
            v = random.normal();
        for (const merge_mode mode : {merge_mode::mean, merge_mode::sum, merge_mode::max, merge_mode::prune}) {
            const auto where = tarn::on(GetParam());
            std::vector<double> y(p.dy.size()), slot_size(static_cast<std::size_t>(p.batch * p.slots));
            const auto loss = [&](const std::vector<double>& x, const std::vector<double>& size) {
                tarn::merge_apply(where, p.rows(x, p.tokens), p.numbers(size, p.tokens), p.plan, p.rows(y, p.slots),
                                  p.numbers(slot_size, p.slots), {mode});
                long double l = 0;
                for (std::size_t i = 0; i < y.size(); ++i)
                    l += static_cast<long double>(y[i]) * static_cast<long double>(p.dy[i]);
                return static_cast<double>(l);
            };
            loss(p.x, p.size);
            std::vector<double> dx(p.x.size()), dsize(p.size.size());
            tarn::merge_apply_backward(where, p.rows(p.x, p.tokens), p.numbers(p.size, p.tokens), p.plan,
                                       p.rows(y, p.slots), p.rows(p.dy, p.slots), p.rows(dx, p.tokens),
                                       p.numbers(dsize, p.tokens), {mode});
            constexpr double step = 0x1p-20;
            std::vector<double> x[2] = {p.x, p.x};
            std::vector<double> size[2] = {p.size, p.size};
            double slope = 0;
            for (std::size_t i = 0; i < dx.size(); ++i) {
                const double d = random.normal();
                x[0][i] -= step * d;
                x[1][i] += step * d;
                slope += d * dx[i];
            }
            for (std::size_t i = 0; i < dsize.size(); ++i) {
                const double d = random.normal();
                size[0][i] -= step * d;
                size[1][i] += step * d;
                slope += d * dsize[i];
            }
            const double measured = (loss(x[1], size[1]) - loss(x[0], size[0])) / (2 * step);
            EXPECT_NEAR(measured, slope, 1e-5 * (1 + std::fabs(slope))) << round;
        }
    }
}

// The first of equal greatest tokens takes the gradient, and the first NaN.
TEST_P(merge_plan_backward, ties_of_the_greatest) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const indices assign = {0, 0, 0, -1};
    tarn::merge_plan plan;
    tarn::merge_plan_from(assign, 1, plan);
    const std::vector<float> x = {1, 5, -0.0f, nan, 2, 5, 0.0f, 3, 2, nan, 0.0f, nan, nan, nan, nan, nan};
    const std::vector<float> dy = {1, 2, 3, 4};
    std::vector<float> dx(16, -77.0f);
    tarn::merge_apply_backward(tarn::on(GetParam()), tarn::make_view(x.data(), 4, 4), plan,
                               tarn::make_view(dy.data(), 1, 4), tarn::make_view(dx.data(), 4, 4), {merge_mode::max});
    EXPECT_EQ(dx, (std::vector<float>{0, 0, 3, 4, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0}));
}

// Past the caches or not, results have the same bits, and nothing outside of them is touched.
template <class T> void expect_same_streamed(tarn::tier tier, std::uint64_t seed) {
    random_bits random(seed);
    const auto where = tarn::on(tier);
    for (int round = 0; round < 60; ++round) {
        problem<T> p(tier, random, true);
        // Rows of whole cache lines, which alone are streamed, in every other round.
        if (round % 2 == 0) {
            p.channels = 64 / static_cast<std::ptrdiff_t>(sizeof(T)) * (1 + random.below(3));
            p.x.resize(static_cast<std::size_t>(p.batch * p.tokens * p.channels), T(1.5f));
            p.dy.resize(static_cast<std::size_t>(p.batch * p.slots * p.channels), T(-0.5f));
        }
        const auto n_x = static_cast<std::ptrdiff_t>(p.x.size()), n_y = static_cast<std::ptrdiff_t>(p.dy.size());
        if (n_x == 0 || n_y == 0)
            continue;
        for (const merge_mode mode : all_modes) {
            const auto run = [&](tarn::stores how, T* dx, T* y) {
                const auto tokens = tarn::make_view(dx, p.batch, p.tokens, p.channels);
                const auto slots = tarn::make_view(y, p.batch, p.slots, p.channels);
                return fault_in([&] {
                    tarn::merge_apply(where, p.rows(p.x, p.tokens), p.plan, slots, {mode, how});
                    tarn::merge_apply_backward(where, p.rows(p.x, p.tokens), p.plan, p.rows(p.dy, p.slots), tokens,
                                               {mode, how});
                });
            };
            std::vector<T> dx(p.x.size(), T(7)), y(p.dy.size(), T(7));
            ASSERT_EQ(run(tarn::stores::cached, dx.data(), y.data()), "");
            guarded_numbers<T> streamed_dx(n_x), streamed_y(n_y);
            T* const to_dx = round % 4 < 2 ? streamed_dx.against_start() : streamed_dx.against_end(n_x);
            T* const to_y = round % 4 < 2 ? streamed_y.against_start() : streamed_y.against_end(n_y);
            ASSERT_EQ(run(tarn::stores::streaming, to_dx, to_y), "");
            ASSERT_EQ(std::memcmp(to_dx, dx.data(), dx.size() * sizeof(T)), 0) << "gradient, round " << round;
            ASSERT_EQ(std::memcmp(to_y, y.data(), y.size() * sizeof(T)), 0) << "results, round " << round;
        }
    }
}
TEST_P(merge_plan_backward, streaming) {
    expect_same_streamed<float>(GetParam(), 5);
    expect_same_streamed<double>(GetParam(), 6);
    expect_same_streamed<tarn::bfloat16>(GetParam(), 7);
}

TEST_P(merge_plan_backward, undo) {
    random_bits random(9);
    for (int round = 0; round < 40; ++round) {
        problem<float> p(GetParam(), random, true);
        std::vector<float> dy(p.dy.size());
        tarn::merge_undo_backward(tarn::on(GetParam()), p.rows(p.x, p.tokens), p.plan, p.rows(dy, p.slots));
        for (std::ptrdiff_t b = 0; b < p.batch; ++b) {
            const plain_plan plan = plan_of(p.plan, b);
            for (std::int32_t s = 0; s < p.slots; ++s) {
                for (std::ptrdiff_t c = 0; c < p.channels; ++c) {
                    long double sum = 0;
                    for (std::ptrdiff_t t = 0; t < p.tokens; ++t)
                        sum += plan.assign[static_cast<std::size_t>(t)] == s ? exact(p.x[p.at(b, t, p.tokens, c)]) : 0;
                    EXPECT_EQ(dy[p.at(b, s, p.slots, c)], static_cast<float>(sum));
                }
            }
        }
    }
}

} // namespace
