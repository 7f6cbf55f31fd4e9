// SPDX-License-Identifier: BSD-3-Clause
//
// Max and average pooling against windows taken element by element: all windows of one axis, samples of two and three,
// every type, tier and order of memory.
#include "support/executors.hpp"
#include "support/pooled.hpp"
#include "support/same_bits.hpp"
#include "support/tiers.hpp"

#include <tarn/pool.hpp>

#include <limits>

namespace {

using namespace support;

constexpr float untouched_value = -77;

// Numbers with many ties, or none.
std::vector<double> values_of(std::ptrdiff_t n, unsigned seed, bool ties) {
    std::mt19937 random(seed);
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& x : v) {
        // Exact in every type.
        x = ties ? std::uniform_int_distribution<int>(-2, 2)(random)
                 : std::uniform_int_distribution<int>(-127, 127)(random) / 8.0;
    }
    return v;
}

struct max_of_members {
    double value = -std::numeric_limits<double>::infinity();
    std::ptrdiff_t index = -1;
};
max_of_members greatest(const window_members& w, const double* map) {
    max_of_members m;
    for (std::ptrdiff_t i : w.index) {
        if (m.index < 0 || (!std::isnan(m.value) && (map[i] > m.value || std::isnan(map[i]))))
            m = {map[i], i};
    }
    return m;
}

template <class T, class Out, class Index>
void check_max(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values, const char* what) {
    const std::vector<window_members> windows = members_of(c.windows);
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<Out> y(c.full(c.windows.out()), c.y_order, c.at_end);
    placed_map<Out> y_alone(c.full(c.windows.out()), c.y_order, !c.at_end);
    placed_map<Index> index(c.full(c.windows.out()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    for (auto* p : {&y, &y_alone})
        p->fill(static_cast<Out>(untouched_value));
    index.fill(-77);
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        tarn::max_pool(tarn::on(tier), x.template view<R>(), y.template view<R>(), index.template view<R>(),
                       c.windows.window());
        tarn::max_pool(tarn::on(tier), x.template view<R>(), y_alone.template view<R>(), c.windows.window());
    });
    const std::vector<Out> got = y.get();
    const std::vector<Out> got_alone = y_alone.get();
    const std::vector<Index> got_index = index.get();
    const std::ptrdiff_t elements = product(c.windows.in());
    for (std::size_t i = 0; i < got.size(); ++i) {
        const std::size_t map = i / windows.size();
        const max_of_members m =
            greatest(windows[i % windows.size()], values.data() + static_cast<std::ptrdiff_t>(map) * elements);
        const double v = static_cast<double>(got[i]);
        const double alone = static_cast<double>(got_alone[i]);
        const bool same = std::isnan(m.value) ? std::isnan(v) && std::isnan(alone) : v == m.value && alone == m.value;
        ASSERT_TRUE(same && got_index[i] == m.index)
            << what << ": window " << i << " of " << c.windows << " gives " << v << " and " << alone << " at "
            << got_index[i] << ", expected " << m.value << " at " << m.index << "; channels " << c.channels;
    }
    for (Out v : y.gaps())
        ASSERT_EQ(static_cast<double>(v), untouched_value) << what << ": written between results, " << c.windows;
    for (Index v : index.gaps())
        ASSERT_EQ(v, -77) << what << ": written between indices, " << c.windows;
}

// The unit roundoff of what a result is rounded to, and the least number that is not 0.
template <class T> constexpr double roundoff = 0;
template <> constexpr double roundoff<float> = 0x1p-24;
template <> constexpr double roundoff<double> = 0x1p-53;
template <> constexpr double roundoff<tarn::float16> = 0x1p-11;
template <> constexpr double roundoff<tarn::bfloat16> = 0x1p-8;

template <class T, class Out>
void check_average(tarn::tier tier, const map_call<T>& c, const std::vector<double>& values,
                   const tarn::average_pool_options& options, const char* what) {
    const std::vector<window_members> windows = members_of(c.windows);
    placed_map<T> x(c.full(c.windows.in()), c.x_order, c.at_end);
    placed_map<Out> y(c.full(c.windows.out()), c.y_order, c.at_end);
    x.fill(T(0.0f));
    x.put(values);
    y.fill(static_cast<Out>(untouched_value));
    with_rank(c.windows.axes.size(), [&](auto rank) {
        constexpr int R = decltype(rank)::value;
        tarn::average_pool(tarn::on(tier), x.template view<R>(), y.template view<R>(), c.windows.window(), options);
    });
    std::ptrdiff_t rows = 1;
    for (std::size_t i = 0; i + 1 < c.windows.axes.size(); ++i)
        rows *= c.windows.axes[i].kernel;
    const double steps = rows + c.windows.axes.back().kernel <= 16 ? 9 : 2;
    constexpr double number_roundoff = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
    const std::vector<Out> got = y.get();
    for (std::size_t i = 0; i < got.size(); ++i) {
        const window_members& w = windows[i % windows.size()];
        const double* const map =
            values.data() + static_cast<std::ptrdiff_t>(i / windows.size()) * product(c.windows.in());
        long double sum = 0;
        long double size = 0;
        for (std::ptrdiff_t k : w.index) {
            sum += map[k];
            size += std::fabs(map[k]);
        }
        const auto count = options.count_include_padding ? w.with_padding : static_cast<std::ptrdiff_t>(w.index.size());
        const long double by = options.divisor > 0 ? options.divisor : count > 0 ? count : 1;
        const auto expected = static_cast<double>(sum / by);
        const double bound = steps * number_roundoff * static_cast<double>(size / by) +
                             (sizeof(Out) == 2 ? roundoff<Out> * std::fabs(expected) * 1.01 + 0x1p-25 : 0);
        const double v = static_cast<double>(got[i]);
        ASSERT_TRUE(is_within(v, expected, bound))
            << what << ": window " << i << " of " << c.windows << " gives " << v << ", expected " << expected << " +- "
            << bound << "; channels " << c.channels;
    }
    for (Out v : y.gaps())
        ASSERT_EQ(static_cast<double>(v), untouched_value) << what << ": written between results, " << c.windows;
}

class pool : public tier_test {};

TEST_P(pool, windows_of_one_axis) {
    each_window_of_one_axis({1, 2, 3, 5, 8, 19}, thinned() ? 2 : 6, [&](const map_call<float>& c, unsigned seed) {
        const auto values = values_of(c.channels * product(c.windows.in()), seed, seed % 2 == 0);
        check_max<float, float, std::int32_t>(GetParam(), c, values, "one axis");
        check_average<float, float>(GetParam(), c, values, {seed % 2 == 0, seed % 5 == 0 ? 3 : 0}, "one axis");
    });
}

TEST_P(pool, samples_of_windows) {
    each_sample(
        20240, thinned() ? 150 : 2000, {600, 40, 10},
        [&](const auto& c, auto out, auto& random, int i, const std::string& name) {
            using In = typename std::decay_t<decltype(c)>::element;
            using Out = decltype(out);
            const std::vector<double> values =
                values_of(c.batch * c.channels * product(c.windows.in()), static_cast<unsigned>(i), i % 2 == 0);
            if (i % 4 < 2)
                check_max<In, Out, std::int32_t>(GetParam(), c, values, name.c_str());
            else
                check_max<In, Out, std::int64_t>(GetParam(), c, values, name.c_str());
            check_average<In, Out>(GetParam(), c, values, {random() % 2 == 0, random() % 4 == 0 ? 7 : 0}, name.c_str());
        });
}

// Maps with and without NaN.
template <class T> void check_maps_of_threes(tarn::tier tier) {
    const auto values = [](std::size_t n, unsigned seed) {
        std::vector<double> v = values_of(static_cast<std::ptrdiff_t>(n), seed, seed % 3 == 0);
        for (std::size_t i = n / 3; i < n && seed % 2 == 0; i += 301)
            v[i] = std::numeric_limits<double>::quiet_NaN();
        return v;
    };
    check_threes<T>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
        tarn::max_pool(tarn::on(tier), x, y, tarn::none, window);
    });
    for (bool padding : {false, true}) {
        check_threes<T>(values, [&](const auto& x, const auto& y, const tarn::pool_window& window) {
            tarn::average_pool(tarn::on(tier), x, y, window, {padding, 0});
        });
    }
}
TEST_P(pool, threes_of_floats) { check_maps_of_threes<float>(GetParam()); }
TEST_P(pool, threes_of_doubles) { check_maps_of_threes<double>(GetParam()); }
TEST_P(pool, threes_of_halves) { check_maps_of_threes<tarn::float16>(GetParam()); }

TARN_TEST_ON_ALL_TIERS(pool);

} // namespace
