// SPDX-License-Identifier: BSD-3-Clause
//
// The bits do not depend on how an executor splits the work: 1 to 9 threads, ranges of odd sizes in any order.
#include "support/executors.hpp"
#include "support/log_rows.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;

struct problem {
    std::ptrdiff_t rows, columns;
    int axis;
    tarn::stores stores;
    bool in_place;
};
constexpr problem problems[] = {
    {50, 1, 1, tarn::stores::cached, false},      {50, 5, 1, tarn::stores::cached, false},
    {70, 100, 1, tarn::stores::cached, true},     {40, 301, 1, tarn::stores::streaming, false},
    {33, 1000, 1, tarn::stores::streaming, true}, {5, 70000, 1, tarn::stores::streaming, false},
    {5, 1000, 0, tarn::stores::cached, false},    {100, 700, 0, tarn::stores::streaming, false},
    {64, 640, 0, tarn::stores::streaming, true},  {9000, 3, 0, tarn::stores::cached, false},
};

class log_softmax_threads : public tier_test {};
TARN_TEST_ON_ALL_TIERS(log_softmax_threads);

TEST_P(log_softmax_threads, any_split) {
    for (const problem& p : problems) {
        const auto logits = mixed_rows(p.rows, p.columns, static_cast<std::uint64_t>(p.rows * p.columns));
        tarn::log_softmax_options options;
        options.axis = p.axis;
        options.stores = p.stores;
        // Sums, means and results, one after the other.
        const auto run = [&](const auto& where) {
            std::vector<float> x = logits;
            std::vector<float> y(x.size(), -1.0f);
            std::vector<float> all(static_cast<std::size_t>(p.axis == 0 ? p.columns : p.rows));
            std::vector<float> means = all;
            float* const to = p.in_place ? x.data() : y.data();
            const auto in = tarn::make_view(x.data(), p.rows, p.columns);
            tarn::logsumexp(where, in, all, {p.axis});
            tarn::logmeanexp(where, in, means, {p.axis});
            tarn::log_softmax(where, in, tarn::make_view(to, p.rows, p.columns), options);
            all.insert(all.end(), means.begin(), means.end());
            all.insert(all.end(), to, to + x.size());
            return all;
        };
        const std::vector<float> expected = run(tarn::on(GetParam()));
        for (int threads = 1; threads <= 9; threads += threads < 4 ? 1 : 2) {
            const odd_threads executor{threads, threads % 3 * 5 + 1};
            const std::vector<float> y = run(tarn::on(GetParam(), executor));
            ASSERT_EQ("", difference(y.data(), expected.data(), static_cast<std::ptrdiff_t>(y.size())))
                << threads << " threads, " << p.rows << " by " << p.columns << ", axis " << p.axis;
        }
    }
}

// An executor that runs nothing leaves the outputs alone, and is told what the work costs.
struct no_work {
    std::ptrdiff_t* items;
    bool writes;
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost& cost, F&&) const {
        *items = n;
        EXPECT_GT(cost.bytes_read, 0);
        EXPECT_EQ(cost.bytes_written > 0, writes);
        EXPECT_GT(cost.cycles, 0);
    }
};

TEST_P(log_softmax_threads, work_goes_through_the_executor) {
    std::ptrdiff_t items = 0;
    const no_work results{&items, true};
    const no_work sums{&items, false};
    const auto x = normal_logits(40 * 300, 1, 0, 1);
    const auto in = tarn::make_view(x.data(), 40, 300);
    std::vector<float> y(x.size(), -1.0f);
    tarn::log_softmax(tarn::on(GetParam(), results), in, tarn::make_view(y.data(), 40, 300));
    EXPECT_EQ(items, 40);
    tarn::logsumexp(tarn::on(GetParam(), sums), in, tarn::make_view(y.data(), 40));
    EXPECT_EQ(items, 40);
    tarn::logmeanexp(tarn::on(GetParam(), sums), in, tarn::make_view(y.data(), 300), {0});
    EXPECT_EQ(items, 3);
    EXPECT_EQ(y, std::vector<float>(y.size(), -1.0f));
}

} // namespace
