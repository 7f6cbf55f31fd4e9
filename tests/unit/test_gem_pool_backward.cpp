// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of generalized means against their formulas in long double and against differences.
#include "support/allocations.hpp"
#include "support/executors.hpp"
#include "support/gem.hpp"
#include "support/mxcsr.hpp"
#include "support/refusals.hpp"
#include "support/same_bits.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

#include <tarn/gem.hpp>

#include <limits>

namespace {

using namespace support;

// Of one window: what its members get, and the derivative of its result by the power, both for dy = 1.
struct window_gradient {
    std::vector<long double> share;
    long double slope = 0;
    long double result = 0;
    long double distance = 0; // sum W |ln(x / y)|
};

// (e^t (t - 1) + 1) / t^2, by its series next to 0.
long double divergence(long double t) {
    if (std::fabs(t) > 0.5L)
        return (std::exp(t) * (t - 1) + 1) / (t * t);
    long double sum = 0;
    long double power = 1;
    for (int k = 0; k < 30; ++k) {
        sum += power / (k + 2);
        power *= t / (k + 1);
    }
    return sum;
}

// most: the greatest number of the type. Results beyond are infinite.
window_gradient gradient_of(const std::vector<double>& elements, double p, double epsilon, double most) {
    const auto n = static_cast<long double>(elements.size());
    window_gradient r;
    r.share.assign(elements.size(), 0);
    const auto first_nan = std::find_if(elements.begin(), elements.end(), [](double x) { return std::isnan(x); });
    const bool has_nan = first_nan != elements.end();
    if (std::fabs(p) > 0x1p40) {
        const long double extreme = power_mean(elements, p, epsilon);
        const auto taken = has_nan ? first_nan : std::find_if(elements.begin(), elements.end(), [&](double x) {
            return x >= epsilon && x == extreme;
        });
        if (taken != elements.end())
            r.share[static_cast<std::size_t>(taken - elements.begin())] = 1;
        return r;
    }
    r.result = power_mean(elements, p, epsilon);
    if (r.result > most)
        r.result = inf;
    if (has_nan) {
        r.slope = nan_value;
        for (std::size_t i = 0; i < elements.size(); ++i)
            r.share[i] = elements[i] < epsilon ? 0.0L : nan_value;
        return r;
    }
    const long double log_y = std::log(r.result);
    const auto q = static_cast<long double>(p) - 1;
    long double weight = 0;
    long double mean = 0;
    for (std::size_t i = 0; i < elements.size(); ++i) {
        const long double x = std::max(elements[i], epsilon);
        const long double d = x == r.result ? 0 : std::log(x) - log_y;
        const long double t = p == 0 ? 0 : p * d;
        if (!(elements[i] < epsilon))
            r.share[i] = q == 0 ? 1 / n : std::exp(q * d) / n;
        if (std::isinf(r.result))
            continue;
        const long double w = std::exp(t) / n;
        weight += std::isinf(d) ? 0 : w * d;
        r.distance += std::isinf(d) ? 0 : w * std::fabs(d);
        mean += std::isinf(d) ? 1 / (static_cast<long double>(p) * p) : d * d * divergence(t);
    }
    // As it is written where nothing cancels.
    if (std::isinf(r.result))
        r.slope = nan_value;
    else if (std::fabs(p) >= 0.1 && r.distance > 0.05L)
        r.slope = r.result / p * weight;
    else
        r.slope = r.result * mean / n;
    return r;
}

struct expected_gradients {
    std::vector<long double> value, bound, size; // size: of what is added up
    long double p = 0, p_bound = 0;
};
template <class T, class Gradients>
expected_gradients expected_of(const window_case& c, const std::vector<double>& x, const Gradients& dy,
                               const tarn::gem_pool_options& o) {
    using N = std::conditional_t<sizeof(T) == 8, double, float>;
    constexpr long double u = sizeof(T) == 8 ? 0x1p-53L : 0x1p-24L;
    constexpr long double least = sizeof(T) == 8 ? 0x1p-940L : 0x1p-90L;
    constexpr double least_product = sizeof(T) == 8 ? 0x1p-700 : 0;
    const double epsilon = sizeof(T) == 8 ? o.epsilon : static_cast<double>(static_cast<float>(o.epsilon));
    const auto windows = members_of(c);
    const auto n = static_cast<std::size_t>(product(c.in()));
    expected_gradients r;
    r.value.resize(x.size());
    r.bound.resize(x.size());
    std::vector<long double> count(x.size());
    r.size.resize(x.size());
    for (std::size_t i = 0; i < dy.size(); ++i) {
        const std::size_t map = i / windows.size() * n;
        std::vector<double> members;
        for (std::ptrdiff_t k : windows[i % windows.size()].index)
            members.push_back(x[map + static_cast<std::size_t>(k)]);
        if (members.empty())
            continue;
        const auto g = static_cast<long double>(static_cast<double>(dy[i]));
        const window_gradient w = gradient_of(members, o.p, epsilon, std::numeric_limits<N>::max());
        const bool infinite = std::fabs(o.p) > 0x1p40;
        const long double off = infinite ? 0 : gem_bound<T, N>(members, steps_of(c), o.p, epsilon) + 8 * u;
        const long double p = infinite ? 0 : std::fabs(static_cast<long double>(o.p));
        for (std::size_t k = 0; k < members.size(); ++k) {
            const std::size_t at = map + static_cast<std::size_t>(windows[i % windows.size()].index[k]);
            if (members[k] < epsilon || g == 0 || (w.share[k] == 0 && (infinite || !std::isnan(g))))
                continue;
            const long double part = g * w.share[k];
            r.value[at] += part;
            if (!infinite)
                r.bound[at] += (std::fabs(static_cast<long double>(o.p) - 1) * off + 8 * u) * std::fabs(part) +
                               least * (1 + std::fabs(g));
            r.size[at] += std::fabs(part);
            count[at] += 1;
        }
        if (infinite)
            continue;
        r.p += g * w.slope;
        if (std::isfinite(w.result) && std::fabs(g) * w.result > std::numeric_limits<double>::max())
            r.p_bound = inf;
        r.p_bound +=
            std::fabs(g) * off * ((1 + p) * std::fabs(w.slope) + w.result * (off + w.distance)) + least_product;
    }
    for (std::size_t i = 0; i < x.size(); ++i)
        r.bound[i] += count[i] > 1 ? u * count[i] * r.size[i] : 0;
    return r;
}

template <class T, class Out>
void check(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values,
           const std::vector<double>& gradients, const tarn::gem_pool_options& o, bool with_p,
           const std::string& what) {
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<T> dy(c.full(c.windows.out()), c.y_order, c.at_end);
    placed_map<Out> dx(c.full(c.windows.in()), c.x_order, c.at_end);
    for (auto* p : {&x, &dy})
        p->fill(T(0.0f));
    dx.fill(static_cast<Out>(untouched));
    x.put(values);
    dy.put(gradients);
    double dp = -1;
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        const auto call = [&](auto&& to) {
            tarn::gem_pool_backward(tarn::on(tier), x.template view<R>(), dy.template view<R>(), dx.template view<R>(),
                                    to, c.windows.window(), o);
        };
        if (with_p)
            call(dp);
        else
            call(tarn::none);
    });
    std::vector<double> map;
    for (T v : x.get())
        map.push_back(static_cast<double>(v));
    const expected_gradients expected = expected_of<T>(c.windows, map, dy.get(), o);
    const std::vector<Out> got = dx.get();
    const long double most = sizeof(Out) == 8                          ? std::numeric_limits<double>::max()
                             : std::is_same<Out, tarn::float16>::value ? 65504
                                                                       : std::numeric_limits<float>::max();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const auto v = static_cast<double>(got[i]);
        const long double e = expected.value[i];
        const long double narrowed = sizeof(Out) == 2 ? unit_roundoff<Out> * std::fabs(e) * 1.01L + 0x1p-25L : 0.0L;
        const long double bound = expected.bound[i] + narrowed;
        // Where what is added up is no number of the type, neither is the sum.
        if (expected.size[i] > most - bound && !std::isfinite(v))
            continue;
        ASSERT_TRUE(is_within(v, e, bound))
            << what << ": element " << i << " of " << c.windows << " has " << v << ", expected " << e << " +- " << bound
            << "; p " << o.p << ", epsilon " << o.epsilon << ", channels " << c.channels << ", x " << map[i];
    }
    for (Out v : dx.gaps())
        ASSERT_EQ(static_cast<float>(v), untouched) << what << ": written between results, " << c.windows;
    const long double p_most = std::numeric_limits<double>::max();
    const bool beyond = std::isinf(expected.p_bound) || std::fabs(expected.p) > p_most - expected.p_bound;
    const bool any = beyond && !std::isnan(expected.p) && (std::isinf(expected.p_bound) || !std::isfinite(dp));
    if (with_p && !any) {
        ASSERT_TRUE(is_within(dp, expected.p, expected.p_bound))
            << what << ": the gradient in p is " << dp << ", expected " << expected.p << " +- " << expected.p_bound
            << "; p " << o.p << ", " << c.windows;
    }
}

std::vector<double> gradients(std::ptrdiff_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& g : v)
        g = normal(random);
    return v;
}
// Some below epsilon.
std::vector<double> elements(std::ptrdiff_t n, unsigned seed) {
    std::vector<double> v = between(n, seed, -6, 6);
    for (std::size_t k = 0; k < v.size(); k += 5)
        v[k] = -v[k];
    return v;
}

class gem_pool_backward : public tier_test {};

TEST_P(gem_pool_backward, windows_of_one_axis) {
    const double some[] = {3, 2.37, 0, -1, 4, 1, inf, 2, 20};
    each_window_of_one_axis({1, 3, 8, 19, 40}, thinned() ? 1 : 2, [&](const map_call<float>& c, unsigned seed) {
        check<float, float>(GetParam(), c, elements(c.channels * product(c.windows.in()), seed),
                            gradients(c.channels * product(c.windows.out()), seed), {some[seed / 2 % 9]}, seed % 2 == 0,
                            "one axis");
    });
}

TEST_P(gem_pool_backward, samples_of_windows) {
    each_sample(1713, thinned() ? 150 : 1000, {600, 30, 9},
                [&](const auto& c, auto out, auto& random, int i, const std::string& name) {
                    using In = typename std::decay_t<decltype(c)>::element;
                    const auto seed = static_cast<unsigned>(i);
                    const std::ptrdiff_t maps = c.batch * c.channels;
                    const double p = powers[random() % std::size(powers)];
                    check<In, decltype(out)>(GetParam(), c, elements(maps * product(c.windows.in()), seed),
                                             gradients(maps * product(c.windows.out()), seed + 1),
                                             {p, random() % 3 == 0 ? 0.5 : 1e-6}, random() % 2 == 0, name);
                });
}

// Windows whose powers are far from 1 between others, and none.
TEST_P(gem_pool_backward, near_and_far) {
    each_side_by_side([&](const auto& c, unsigned seed) {
        using T = typename std::decay_t<decltype(c)>::element;
        const double some[] = {2, 2.37, 3, -1.5, 4, 6.9};
        const auto mixed = [&](std::vector<double> v) { return seed % 4 == 0 ? v : scattered(std::move(v), seed); };
        check<T, T>(GetParam(), c, mixed(elements(c.channels * product(c.windows.in()), seed)),
                    mixed(gradients(c.channels * product(c.windows.out()), seed + 1)),
                    {some[seed / 2 % 6], seed % 7 == 0 ? 1e-9 : 1e-6}, seed / 2 % 2 == 1, "near and far");
        return !HasFatalFailure();
    });
}

// Kernels of the extents of maps, and windows and strides that leave no room for lines.
TEST_P(gem_pool_backward, large_windows) {
    for (double p : {3.0, 2.37, 0.0, inf}) {
        for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
            for (const auto& [rows, columns, stride] :
                 {std::array<std::ptrdiff_t, 3>{56, 56, 56}, std::array<std::ptrdiff_t, 3>{7, 7, 7},
                  std::array<std::ptrdiff_t, 3>{2, 1300, 700}, std::array<std::ptrdiff_t, 3>{40, 33, 20}}) {
                map_call<float> c;
                c.windows = {{{rows, rows, rows}, {columns, (columns + 1) / 2 + stride / 2, stride, 1}}, true};
                c.channels = 37;
                c.x_order = c.y_order = order;
                check<float, float>(GetParam(), c, elements(37 * rows * columns, 3),
                                    gradients(37 * product(c.windows.out()), 4), {p}, p > 2.3, "large");
                if (HasFatalFailure())
                    return;
            }
        }
        for (const auto& [kernel, stride, dilation] :
             {std::array<std::ptrdiff_t, 3>{1500, 900, 1}, std::array<std::ptrdiff_t, 3>{2, 900, 1600}}) {
            map_call<double> c;
            c.windows = {{{3000, kernel, stride, 1, 0, dilation}}, false};
            c.channels = 2;
            check<double, double>(GetParam(), c, elements(6000, 5), gradients(2 * product(c.windows.out()), 6), {p},
                                  true, "large");
            if (HasFatalFailure())
                return;
        }
    }
}

// The whole range of a type. No operation meets or makes a denormal number.
template <class T> void check_ranges(tarn::tier tier, double least, double greatest) {
    for (double p : powers) {
        unsigned seed = 0;
        for (const auto& [low, high] : {std::pair<double, double>{-1, 1},
                                        {-10, 10},
                                        {least, greatest},
                                        {greatest - 1, greatest},
                                        {least, least + 1},
                                        {-1e-3, 1e-3}}) {
            for (std::ptrdiff_t kernel : {1, 3, 9}) {
                const double sizes[] = {0, least / 2, -20, greatest / 2};
                for (int i = 0; i < (thinned() ? 1 : 2); ++i) {
                    const double size = sizes[(seed / 2) % 4];
                    map_call<T> c;
                    const axis_case a{19, kernel, 2, kernel / 3, kernel / 3, 1};
                    c.windows = {{a, a}, false};
                    c.channels = 2;
                    c.x_order = c.y_order = memory_orders[seed % 2];
                    auto v = between(c.channels * 19 * 19, seed++, low, high);
                    v[3] = -1;
                    for (double& x : v)
                        x = std::min(x, static_cast<double>(std::numeric_limits<T>::max()));
                    auto dy = gradients(c.channels * product(c.windows.out()), seed);
                    for (double& g : dy)
                        g = std::ldexp(g, static_cast<int>(size));
                    check<T, T>(tier, c, v, dy, {p, std::exp2(least)}, seed % 2 == 0, "range");
                    if (testing::Test::HasFatalFailure())
                        return;
                }
            }
        }
    }
}
TEST_P(gem_pool_backward, the_whole_range_of_floats) { check_ranges<float>(GetParam(), -126, 128); }
TEST_P(gem_pool_backward, the_whole_range_of_doubles) { check_ranges<double>(GetParam(), -1000, 1024); }

// NaN and infinities among elements, and windows of nothing else.
template <class T> void check_special(tarn::tier tier) {
    for (double p : {-inf, -3.0, -1e-4, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 1e12, inf}) {
        for (memory_order order : {memory_order::channels_first, memory_order::channels_last}) {
            map_call<T> c;
            const axis_case a{7, 3, 2, 1, 0, 1};
            c.windows = {{a, a}, true};
            c.channels = 9;
            c.x_order = c.y_order = order;
            const std::vector<double> values = between(9 * 49, 5, -3, 3);
            const std::vector<double> dy = gradients(9 * product(c.windows.out()), 7);
            std::vector<double> given = dy;
            for (std::size_t k = 0; k < given.size(); k += 5)
                given[k] = nan_value;
            for (bool with_p : {false, true})
                check<T, T>(tier, c, elements(9 * 49, 6), given, {p}, with_p, "special gradients");
            for (double special : {nan_value, -nan_value, inf, -inf, -1.0, 1e-6}) {
                for (std::size_t at = 0; at < 49; at += thinned() ? 11 : 3) {
                    std::vector<double> v = values;
                    v[at % 9 * 49 + at] = special;
                    v[at % 9 * 49 + (at + 1) % 49] = special;
                    check<T, T>(tier, c, v, dy, {p}, at % 2 == 0, "special value");
                    if (testing::Test::HasFatalFailure())
                        return;
                }
                check<T, T>(tier, c, std::vector<double>(values.size(), special), dy, {p}, true, "special values");
                check<T, T>(tier, c, std::vector<double>(values.size(), special), dy, {p}, false, "special values");
                if (testing::Test::HasFatalFailure())
                    return;
            }
        }
    }
}
TEST_P(gem_pool_backward, special_floats) { check_special<float>(GetParam()); }
TEST_P(gem_pool_backward, special_doubles) { check_special<double>(GetParam()); }

// Of the sum of all results, by differences.
TEST_P(gem_pool_backward, is_what_differences_say) {
    const tarn::pool_window window{{3, 2}, {2, 1}, {1, 0}, {}, {1, 2}};
    const std::ptrdiff_t rows = 9;
    const std::ptrdiff_t columns = 11;
    const std::vector<double> x = between(rows * columns, 8, -1, 1);
    const auto view = [&](auto& v) { return tarn::make_view(v.data(), rows, columns); };
    const auto e = tarn::pool_output_extents(view(x), window);
    std::vector<double> y(static_cast<std::size_t>(e[0] * e[1]));
    const std::vector<double> weight = gradients(e[0] * e[1], 9);
    const auto results = [&](auto& v) { return tarn::make_view(v.data(), e[0], e[1]); };
    std::vector<double> dx(x.size());
    for (double p : {3.0, 1.0, -0.7, 5.5, 0.0, 1e-5, -1e-3}) {
        double dp = 0;
        tarn::gem_pool_backward(tarn::on(GetParam()), view(x), results(weight), view(dx), dp, window, {p});
        const auto objective = [&](const std::vector<double>& at, double power) {
            tarn::gem_pool(tarn::on(GetParam()), view(at), results(y), window, {power});
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
            ASSERT_NEAR((objective(above, p) - objective(below, p)) / 2e-5, dx[i], 3e-8) << i << " p " << p;
        }
        ASSERT_NEAR((objective(x, p + 1e-3) - objective(x, p - 1e-3)) / 2e-3, dp, 1e-5) << "p " << p;
    }
}

template <class T> void check_tiles(tarn::tier tier) {
    for (double p : {2.0, 3.0, 4.0, inf}) {
        const auto values = [](std::size_t n, unsigned seed) {
            std::vector<double> v = elements(static_cast<std::ptrdiff_t>(n), seed);
            if (seed % 3 == 0)
                v[seed % n] = seed % 2 == 0 ? inf : std::numeric_limits<double>::quiet_NaN();
            return v;
        };
        check_tilings<T>(values, [&](const auto& x, const auto& dy, const auto& dx, const tarn::pool_window& window) {
            tarn::gem_pool_backward(tarn::on(tier), x, dy, dx, tarn::none, window, {p});
        });
    }
}

template <class T> void check_overlapping(tarn::tier tier) {
    const auto values = [](std::size_t n, unsigned seed) {
        const auto size = static_cast<std::ptrdiff_t>(n);
        std::vector<double> v = seed % 2 == 0 ? elements(size, seed) : gradients(size, seed);
        if (seed % 5 == 0)
            v = scattered(std::move(v), seed);
        if (seed % 3 == 0)
            v[seed % n] = seed % 2 == 0 ? inf : nan_value;
        return v;
    };
    for (const double p : {2.0, 3.0, inf, -inf}) {
        check_overlaps<T>(tier, values,
                          [&](const auto& where, const auto& x, const auto& dy, const auto& dx, const auto& window) {
                              tarn::gem_pool_backward(where, x, dy, dx, tarn::none, window, {p});
                          });
    }
}
TEST_P(gem_pool_backward, overlapping_floats) { check_overlapping<float>(GetParam()); }
TEST_P(gem_pool_backward, overlapping_doubles) { check_overlapping<double>(GetParam()); }

TEST_P(gem_pool_backward, tiles_of_floats) { check_tiles<float>(GetParam()); }
TEST_P(gem_pool_backward, tiles_of_doubles) { check_tiles<double>(GetParam()); }

TEST_P(gem_pool_backward, bits) {
    std::vector<float> x;
    for (double v : elements(19 * 23 * 23, 9))
        x.push_back(static_cast<float>(v));
    for (double p : {3.0, 2.37, 0.0, -inf}) {
        for (bool with_p : {false, true}) {
            for (std::ptrdiff_t kernel : {2, 3, 23}) {
                for (std::ptrdiff_t stride : {1, 2, 5}) {
                    const tarn::pool_window window{{kernel, kernel}, {stride, stride}, {kernel / 3, kernel / 3}};
                    const auto in = [&](auto& v) { return tarn::make_view(v.data(), 19, 23, 23); };
                    const auto e = tarn::pool_output_extents(in(x), window);
                    const auto out = [&](auto& v) { return tarn::make_view(v.data(), e[0], e[1], e[2]); };
                    std::vector<float> dy;
                    for (double g : gradients(e[0] * e[1] * e[2], 3))
                        dy.push_back(static_cast<float>(g));
                    const auto turned = [&](const std::vector<float>& v) {
                        std::vector<float> t(v.size());
                        const std::size_t n = v.size() / 19;
                        for (std::size_t i = 0; i < v.size(); ++i)
                            t[i % n * 19 + i / n] = v[i];
                        return t;
                    };
                    double dp = 0;
                    const auto run = [&](const auto& where, const auto& from, const auto& given, const auto& to,
                                         const tarn::pool_window& w) {
                        if (with_p)
                            tarn::gem_pool_backward(where, from, given, to, dp, w, {p});
                        else
                            tarn::gem_pool_backward(where, from, given, to, tarn::none, w, {p});
                    };
                    SCOPED_TRACE("p " + std::to_string(p) + " kernel " + std::to_string(kernel) + " stride " +
                                 std::to_string(stride));
                    std::vector<float> dx(x.size());
                    run(tarn::on(GetParam()), in(x), out(dy), in(dx), window);
                    const double dp_alone = dp;
                    const std::vector<float> x_last = turned(x);
                    const std::vector<float> dy_last = turned(dy);
                    std::vector<float> dx_last(x.size());
                    tarn::pool_window last = window;
                    last.layout = tarn::layout::channels_last;
                    run(tarn::on(GetParam()), tarn::make_view(x_last.data(), 23, 23, 19),
                        tarn::make_view(dy_last.data(), e[1], e[2], 19), tarn::make_view(dx_last.data(), 23, 23, 19),
                        last);
                    ASSERT_EQ(bytes_of(turned(dx)), bytes_of(dx_last)) << "channels last";
                    for (int threads = 2; threads <= 9; threads += 3) {
                        odd_threads executor{threads, 2};
                        std::vector<float> shared(x.size());
                        run(tarn::on(GetParam(), executor), in(x), out(dy), in(shared), window);
                        ASSERT_EQ(bytes_of(shared), bytes_of(dx)) << threads << " threads";
                        ASSERT_EQ(dp, dp_alone) << threads << " threads";
                    }
                }
            }
        }
    }
}

// No operation meets or makes a denormal number, whatever p; no allocation; little stack.
TEST_P(gem_pool_backward, resources) {
    if (sanitized)
        GTEST_SKIP() << "a sanitizer widens frames";
    const auto floats = [](const std::vector<double>& v) {
        std::vector<float> f;
        for (double d : v)
            f.push_back(static_cast<float>(d));
        return f;
    };
    const tarn::pool_window window{{3, 3}, {1, 1}, {1, 1}};
    const auto view = [](auto& v) { return tarn::make_view(v.data(), 2, 16, 16); };
    for (double p : powers) {
        for (double middle : {-0.7, 0.0, 0.3}) {
            const std::vector<double> xd = between(512, 3, -1000, 1023);
            const std::vector<double> dyd = between(512, 4, 1023 * middle - 300, 1023 * middle + 300);
            const std::vector<float> x = floats(between(512, 3, -126, 127));
            const std::vector<float> dy = floats(between(512, 4, 127 * middle - 36, 127 * middle + 36));
            std::vector<float> dx(x.size());
            std::vector<double> dxd(x.size());
            double dp = 0;
            const std::ptrdiff_t used = stack_of([&] {
                const mxcsr_scope scope(0);
                tarn::gem_pool_backward(tarn::on(GetParam()), view(x), view(dy), view(dx), dp, window, {p, 0x1p-126});
                tarn::gem_pool_backward(tarn::on(GetParam()), view(x), view(dy), view(dx), tarn::none, window,
                                        {p, 0x1p-126});
                tarn::gem_pool_backward(tarn::on(GetParam()), view(x), view(dy), view(dx), tarn::none, window, {p});
                tarn::gem_pool_backward(tarn::on(GetParam()), view(xd), view(dyd), view(dxd), dp, window,
                                        {p, 0x1p-1000});
                tarn::gem_pool_backward(tarn::on(GetParam()), view(xd), view(dyd), view(dxd), tarn::none, window,
                                        {p, 0x1p-1000});
                EXPECT_EQ(_mm_getcsr() & (denormal_operand | underflow), 0u) << p << " and " << middle;
            });
            EXPECT_LE(used, 65536) << p;
            EXPECT_EQ(allocations_in([&] {
                          tarn::gem_pool_backward(tarn::on(GetParam()), view(x), view(dy), view(dx), dp, window, {p});
                      }).all,
                      0);
        }
    }
}

// Groups of channels are channels alone, but for the order of sums in dp.
template <class T, class P> void check_groups(tarn::tier tier, tarn::layout layout) {
    const std::ptrdiff_t batch = 2;
    const std::ptrdiff_t channels = 12;
    const std::ptrdiff_t n = 9;
    const std::ptrdiff_t m = 5;
    const bool last = layout == tarn::layout::channels_last;
    const auto of = [](const std::vector<double>& v) {
        std::vector<T> r;
        for (double d : v)
            r.push_back(T(static_cast<float>(d)));
        return r;
    };
    const std::vector<T> x = of(elements(batch * channels * n * n, 4));
    const std::vector<T> dy = of(gradients(batch * channels * m * m, 5));
    tarn::pool_window window{{3, 3}, {2, 2}, {1, 1}};
    window.layout = layout;
    for (std::ptrdiff_t groups : {1, 2, 3, 12}) {
        const std::ptrdiff_t size = channels / groups;
        // Every other number.
        std::vector<P> p(static_cast<std::size_t>(2 * groups), static_cast<P>(nan_value));
        for (std::size_t i = 0; i < p.size(); i += 2)
            p[i] = static_cast<P>(powers[i / 2 * 7 % std::size(powers)]);
        const tarn::tensor_view<const P, 1> powers_view{p.data(), {groups}, {2}};
        const auto view = [&](auto* data, std::ptrdiff_t c, std::ptrdiff_t count, std::ptrdiff_t e) {
            using V = std::remove_pointer_t<decltype(data)>;
            return last ? tarn::tensor_view<V, 4>{data + c,
                                                  {batch, e, e, count},
                                                  {e * e * channels, e * channels, channels, 1}}
                        : tarn::tensor_view<V, 4>{
                              data + c * e * e, {batch, count, e, e}, {channels * e * e, e * e, e, 1}};
        };
        std::vector<T> dx(x.size());
        std::vector<T> dx_without(x.size());
        std::vector<T> expected(x.size());
        std::vector<P> dp(p.size(), static_cast<P>(untouched));
        const auto run = [&](const auto& where, T* to, P* to_p) {
            tarn::ggem_pool_backward(where, view(x.data(), 0, channels, n), powers_view,
                                     view(dy.data(), 0, channels, m), view(to, 0, channels, n),
                                     tarn::tensor_view<P, 1>{to_p, {groups}, {2}}, window, {0.25});
        };
        run(tarn::on(tier), dx.data(), dp.data());
        for (std::ptrdiff_t g = 0; g < groups; ++g) {
            const auto alone = [&](auto&& to_p, T* to) {
                tarn::gem_pool_backward(tarn::on(tier), view(x.data(), g * size, size, n),
                                        view(dy.data(), g * size, size, m), view(to, g * size, size, n), to_p, window,
                                        {static_cast<double>(p[static_cast<std::size_t>(2 * g)]), 0.25});
            };
            double slope = -1;
            alone(slope, expected.data());
            const auto got = static_cast<double>(dp[static_cast<std::size_t>(2 * g)]);
            ASSERT_NEAR(got, slope, 1e-5 * std::max(1.0, std::fabs(slope))) << "group " << g << " of " << groups;
            ASSERT_EQ(dp[static_cast<std::size_t>(2 * g + 1)], static_cast<P>(untouched));
        }
        ASSERT_EQ(bytes_of(dx), bytes_of(expected)) << groups << " groups";
        tarn::ggem_pool_backward(tarn::on(tier), view(x.data(), 0, channels, n), powers_view,
                                 view(dy.data(), 0, channels, m), view(dx_without.data(), 0, channels, n), tarn::none,
                                 window, {0.25});
        for (std::size_t i = 0; i < dx.size(); ++i)
            ASSERT_NEAR(static_cast<double>(dx_without[i]), static_cast<double>(dx[i]),
                        0.02 * std::max(1.0, std::fabs(static_cast<double>(dx[i]))));
        for (int threads : {2, 5, 9}) {
            odd_threads executor{threads, 3};
            std::vector<T> shared(x.size());
            std::vector<P> shared_p(p.size(), static_cast<P>(untouched));
            run(tarn::on(tier, executor), shared.data(), shared_p.data());
            ASSERT_EQ(bytes_of(shared), bytes_of(dx)) << groups << " groups, " << threads << " threads";
            ASSERT_EQ(bytes_of(shared_p), bytes_of(dp)) << groups << " groups, " << threads << " threads";
        }
    }
}
TEST_P(gem_pool_backward, groups_of_channels) {
    for (auto layout : {tarn::layout::channels_first, tarn::layout::channels_last}) {
        check_groups<float, float>(GetParam(), layout);
        check_groups<double, double>(GetParam(), layout);
        check_groups<tarn::bfloat16, double>(GetParam(), layout);
    }
}

// More powers than there are sums at once; a power that is no number.
TEST_P(gem_pool_backward, many_groups) {
    const std::ptrdiff_t channels = 600;
    std::vector<float> x;
    for (double v : elements(channels * 6, 2))
        x.push_back(static_cast<float>(v));
    const std::vector<float> dy(static_cast<std::size_t>(channels), 1.0f);
    std::vector<float> p(static_cast<std::size_t>(channels));
    for (std::size_t i = 0; i < p.size(); ++i)
        p[i] = static_cast<float>(i % 11) - 4;
    p[300] = static_cast<float>(nan_value);
    std::vector<float> dx(x.size());
    std::vector<float> dp(p.size(), untouched);
    tarn::ggem_pool_backward(tarn::on(GetParam()), tarn::make_view(x.data(), channels, 6),
                             tarn::make_view(p.data(), channels), tarn::make_view(dy.data(), channels, 1),
                             tarn::make_view(dx.data(), channels, 6), tarn::make_view(dp.data(), channels), {{6}});
    EXPECT_TRUE(std::isnan(dp[300]));
    for (std::size_t i = 0; i < 600; ++i) {
        std::vector<double> members;
        for (std::size_t k = 0; k < 6; ++k)
            members.push_back(static_cast<double>(x[6 * i + k]));
        if (i == 300) {
            for (std::size_t k = 0; k < 6; ++k)
                EXPECT_TRUE(members[k] > 0 ? std::isnan(dx[6 * i + k]) : dx[6 * i + k] == 0);
            continue;
        }
        const window_gradient w =
            gradient_of(members, static_cast<double>(p[i]), static_cast<double>(static_cast<float>(1e-6)), 1e38);
        ASSERT_NEAR(static_cast<double>(dp[i]), static_cast<double>(w.slope), 1e-5 * static_cast<double>(w.slope))
            << "group " << i;
    }
}

TARN_TEST_ON_ALL_TIERS(gem_pool_backward);

TEST(gem_pool_backward_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    const std::vector<double> x = elements(7 * 40 * 40, 12);
    const auto maps = [](auto& v) { return tarn::make_view(v.data(), 7, 40, 40); };
    for (const tarn::pool_window& window : {tarn::pool_window{{3, 3}, {1, 1}, {1, 1}}, tarn::pool_window{{2, 2}},
                                            tarn::pool_window{{12, 12}, {5, 5}, {3, 3}}}) {
        const auto e = tarn::pool_output_extents(maps(x), window);
        const std::vector<double> dy = gradients(e[0] * e[1] * e[2], 3);
        const auto agree = [&](const auto& in, const auto& given) {
            const auto gradient = tarn::make_view(given.data(), e[0], e[1], e[2]);
            auto a = in;
            auto b = in;
            for (double p : powers) {
                tarn::gem_pool_backward(tarn::on(tarn::tier::avx512), maps(in), gradient, maps(a), tarn::none, window,
                                        {p});
                tarn::gem_pool_backward(tarn::on(tarn::tier::avx2), maps(in), gradient, maps(b), tarn::none, window,
                                        {p});
                EXPECT_EQ(bytes_of(a), bytes_of(b)) << "p " << p << " kernel " << window.kernel.value[0];
                double dp = 0;
                tarn::gem_pool_backward(tarn::on(tarn::tier::avx512), maps(in), gradient, maps(a), dp, window, {p});
                tarn::gem_pool_backward(tarn::on(tarn::tier::avx2), maps(in), gradient, maps(b), dp, window, {p});
                EXPECT_EQ(bytes_of(a), bytes_of(b)) << "with dp, p " << p << " kernel " << window.kernel.value[0];
            }
        };
        agree(x, dy);
        agree(std::vector<float>(x.begin(), x.end()), std::vector<float>(dy.begin(), dy.end()));
    }
}

class gem_pool_backward_errors : public refusal_test {};

TEST_F(gem_pool_backward_errors, messages) {
    using tarn::extents;
    double dp = -1;
    const auto message = [&](auto dy, auto dx, const tarn::gem_pool_options& o) {
        return message_of([&] { tarn::gem_pool_backward(in(extents{8, 8}), dy, dx, dp, {{2, 2}}, o); });
    };
    EXPECT_EQ(message(in(extents{4, 3}), out(extents{8, 8}), {}),
              "tarn::gem_pool_backward: gradient extents {4,3}, expected {4,4} (ceil_mode = false)");
    EXPECT_EQ(message(in(extents{4, 4}), out(extents{8, 7}), {}),
              "tarn::gem_pool_backward: output extents {8,7}, expected {8,8}");
    EXPECT_EQ(message(in(extents{4, 4}), out(extents{8, 8}), {nan_value}),
              "tarn::gem_pool_backward: p nan, expected a number or an infinity");
    EXPECT_EQ(message(in(extents{4, 4}), out(extents{8, 8}), {3, 0}),
              "tarn::gem_pool_backward: epsilon 0.000000, expected 2^-126 to 2^127");
    const tarn::tensor_view<float, 2> same = tarn::make_view(y.data(), 8, 8);
    EXPECT_EQ(message_of([&] {
                  tarn::gem_pool_backward(same, in(extents{4, 4}), same, tarn::none, {{2, 2}});
              }),
              "tarn::gem_pool_backward: output overlaps the input, expected memory apart from the input");
    EXPECT_EQ(message_of([&] {
                  tarn::gem_pool_backward(in(extents{8, 8}), in(extents{4, 4}), same, y[3], {{2, 2}});
              }),
              "tarn::gem_pool_backward: p_gradient overlaps the output, expected memory apart from the output");
    EXPECT_EQ(message_of([&] {
                  tarn::gem_pool_backward(same, in(extents{4, 4}), out(extents{8, 8}), y[3], {{2, 2}});
              }),
              "tarn::gem_pool_backward: output overlaps the input, expected memory apart from the input");
    const tarn::pool_window wide{{1 << 25}, {1}, {1 << 24}};
    EXPECT_EQ(message_of([&] {
                  tarn::gem_pool_backward(in(extents{8}), in(extents{9}), out(extents{8}), tarn::none, wide, {inf});
              }),
              "tarn::gem_pool_backward: kernel {33554432}, expected windows of at most 2^24 elements where it matters "
              "which is the greatest");
    EXPECT_EQ(dp, -1);
}

TEST_F(gem_pool_backward_errors, messages_of_groups) {
    using tarn::extents;
    std::vector<float> p(4, 3.0f);
    std::vector<float> dp(4, untouched);
    const auto message = [&](std::ptrdiff_t groups, std::ptrdiff_t slopes, float* to) {
        return message_of([&] {
            tarn::ggem_pool_backward(in(extents{4, 8, 8}), tarn::make_view(p.data(), groups), in(extents{4, 4, 4}),
                                     out(extents{4, 8, 8}), tarn::make_view(to, slopes), {{2, 2}});
        });
    };
    EXPECT_EQ(message(3, 3, dp.data()),
              "tarn::ggem_pool_backward: p extents {3}, expected as many powers as groups of equal size of 4 channels");
    EXPECT_EQ(message(4, 3, dp.data()), "tarn::ggem_pool_backward: p_gradient extents {3}, expected {4}");
    EXPECT_EQ(message(4, 4, p.data()),
              "tarn::ggem_pool_backward: p_gradient overlaps the p, expected memory apart from the p");
    EXPECT_EQ(message(4, 4, y.data()),
              "tarn::ggem_pool_backward: p_gradient overlaps the output, expected memory apart from the output");
    EXPECT_EQ(dp, std::vector<float>(4, untouched));
}

// Sums of nothing.
TEST(gem_pool_backward, empty_batches) {
    float x = 1;
    float dx = 3;
    float dp = 7;
    tarn::gem_pool_backward(tarn::make_view(&x, 0, 8, 8), tarn::make_view(&x, 0, 4, 4), tarn::make_view(&dx, 0, 8, 8),
                            dp, {{2, 2}});
    EXPECT_EQ(dx, 3.0f);
    EXPECT_EQ(dp, 0.0f);
}

} // namespace
