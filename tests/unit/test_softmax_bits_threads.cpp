// SPDX-License-Identifier: BSD-3-Clause
//
// The bits do not depend on how an executor splits the work: 1 to 9 threads, ranges of odd sizes in any order.
#include "support/executors.hpp"
#include "support/rows.hpp"

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
    {100, 16, 1, tarn::stores::streaming, false}, {70, 100, 1, tarn::stores::cached, true},
    {40, 300, 1, tarn::stores::cached, false},    {40, 301, 1, tarn::stores::streaming, false},
    {33, 1000, 1, tarn::stores::streaming, true}, {5, 140000, 1, tarn::stores::streaming, false},
    {5, 1000, 0, tarn::stores::cached, false},    {100, 700, 0, tarn::stores::streaming, false},
    {64, 640, 0, tarn::stores::streaming, true},  {9000, 3, 0, tarn::stores::cached, false},
};

class softmax_threads : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_threads);

TEST_P(softmax_threads, any_split) {
    for (const problem& p : problems) {
        const auto logits = mixed_rows(p.rows, p.columns, static_cast<std::uint64_t>(p.rows * p.columns));
        tarn::softmax_options options;
        options.axis = p.axis;
        options.stores = p.stores;
        const auto run = [&](const auto& where) {
            std::vector<float> x = logits;
            std::vector<float> y(x.size(), -1.0f);
            float* to = p.in_place ? x.data() : y.data();
            tarn::softmax(where, tarn::make_view(x.data(), p.rows, p.columns), tarn::make_view(to, p.rows, p.columns),
                          options);
            return p.in_place ? x : y;
        };
        const std::vector<float> expected = run(tarn::on(GetParam()));
        for (int threads = 1; threads <= 9; ++threads) {
            const odd_threads executor{threads, threads % 3 * 5 + 1};
            const std::vector<float> y = run(tarn::on(GetParam(), executor));
            ASSERT_EQ("", difference(y.data(), expected.data(), p.rows * p.columns))
                << threads << " threads, " << p.rows << " by " << p.columns << ", axis " << p.axis;
            const std::vector<float> z = run(tarn::on(GetParam(), executor, tarn::scratch{}));
            ASSERT_EQ("", difference(z.data(), expected.data(), p.rows * p.columns)) << threads << " without scratch";
        }
    }
}

// Every item is run once: an executor that runs nothing leaves the output alone, and ranges cover what they are given.
struct no_work {
    std::ptrdiff_t* items;
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost& cost, F&&) const {
        *items = n;
        EXPECT_GT(cost.bytes_read, 0);
        EXPECT_GT(cost.bytes_written, 0);
        EXPECT_GT(cost.cycles, 0);
    }
};

TEST_P(softmax_threads, work_goes_through_the_executor) {
    std::ptrdiff_t items = 0;
    const no_work executor{&items};
    const auto x = normal_logits(40 * 300, 1, 0, 1);
    std::vector<float> y(x.size(), -1.0f);
    tarn::softmax(tarn::on(GetParam(), executor), tarn::make_view(x.data(), 40, 300),
                  tarn::make_view(y.data(), 40, 300));
    EXPECT_EQ(items, 40);
    EXPECT_EQ(y, std::vector<float>(y.size(), -1.0f));
}

} // namespace
