// SPDX-License-Identifier: BSD-3-Clause
//
// Every operator: the bits do not depend on how an executor splits the work, 1 to 9 threads, ranges of odd sizes in any
// order; and all work goes through the executor.
#include "support/executors.hpp"
#include "support/operators.hpp"

namespace {

using namespace support;

struct problem {
    std::ptrdiff_t rows, n;
    bool columns; // rows side by side
    tarn::stores stores;
    bool in_place;
};
constexpr problem problems[] = {
    {50, 1, false, tarn::stores::cached, false},      {50, 5, false, tarn::stores::cached, false},
    {100, 16, false, tarn::stores::streaming, false}, {70, 100, false, tarn::stores::cached, true},
    {40, 300, false, tarn::stores::cached, false},    {40, 301, false, tarn::stores::streaming, false},
    {33, 1000, false, tarn::stores::streaming, true}, {5, 70000, false, tarn::stores::streaming, false},
    {1000, 5, true, tarn::stores::cached, false},     {700, 100, true, tarn::stores::streaming, false},
    {640, 64, true, tarn::stores::streaming, true},   {3, 9000, true, tarn::stores::cached, false},
};

// Rows side by side, or one after the other again.
template <class R> std::vector<R> transposed(const std::vector<R>& v, std::ptrdiff_t rows, std::ptrdiff_t n) {
    std::vector<R> t(v.size());
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            t[static_cast<std::size_t>(i * rows + r)] = v[static_cast<std::size_t>(r * n + i)];
    }
    return t;
}

class operator_threads : public op_test {
protected:
    template <class R, class Where>
    op_results<R> results(const Where& where, const problem& how, const op_numbers<R>& p) const {
        std::vector<R> a = how.columns ? transposed(p.a, p.rows, p.n) : p.a;
        const std::vector<R> b = how.columns ? transposed(p.b, p.rows, p.n) : p.b;
        std::vector<R> y(a.size());
        op_results<R> results{{}, std::vector<R>(static_cast<std::size_t>(p.rows))};
        R* const to = how.in_place ? a.data() : y.data();
        const auto whole = [&](auto* data) {
            return how.columns ? tarn::make_view(data, p.n, p.rows) : tarn::make_view(data, p.rows, p.n);
        };
        const auto numbers = [&](const R* data) { return tarn::make_view(data, p.rows); };
        call_op<R, R, R>(of(), where, whole(static_cast<const R*>(a.data())), whole(b.data()), numbers(p.c.data()),
                         numbers(p.d.data()), whole(to), tarn::make_view(results.sums.data(), p.rows),
                         how.columns ? 0 : 1, 1, how.stores);
        const std::vector<R>& written = how.in_place ? a : y;
        results.whole = how.columns ? transposed(written, p.n, p.rows) : written;
        return results;
    }
    template <class R> void check(const problem& how) const {
        const auto p = numbers_for<R>(of(), how.rows, how.n, static_cast<std::uint64_t>(how.rows * how.n));
        const op_results<R> expected = dense_results(of(), on(), p);
        const auto compare = [&](const op_results<R>& found, int threads, const char* what) {
            if (!reduces(of())) {
                ASSERT_EQ("", difference(found.whole.data(), expected.whole.data(), p.rows * p.n))
                    << threads << " threads, " << p.rows << " rows of " << p.n << what;
            }
            if (has_numbers(of())) {
                ASSERT_EQ("", difference(found.sums.data(), expected.sums.data(), p.rows))
                    << threads << " threads, " << p.rows << " rows of " << p.n << what;
            }
        };
        for (int threads = 1; threads <= 9; threads += threads < 4 ? 1 : 2) {
            const odd_threads executor{threads, threads % 3 * 5 + 1};
            compare(results(tarn::on(on(), executor), how, p), threads, "");
            compare(results(tarn::on(on(), executor, tarn::scratch{}), how, p), threads, ", without scratch");
        }
    }
};
TARN_TEST_ON_ALL_OPS(operator_threads);

TEST_P(operator_threads, any_split) {
    for (const problem& how : problems) {
        check<float>(how);
        if (how.rows * how.n < 30000)
            check<double>(how);
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

TEST_P(operator_threads, work_goes_through_the_executor) {
    std::ptrdiff_t items = 0;
    const no_work executor{&items, !reduces(of())};
    const auto p = numbers_for<float>(of(), 40, 300, 1);
    for (const bool columns : {false, true}) {
        const auto found = results(tarn::on(on(), executor), {40, 300, columns, tarn::stores::cached, false}, p);
        // Blocks of 128 elements, rows, or a block of as many columns.
        EXPECT_EQ(items, is_elementwise(of()) ? 94 : columns ? 1 : 40);
        EXPECT_EQ(found.whole, std::vector<float>(found.whole.size()));
        EXPECT_EQ(found.sums, std::vector<float>(found.sums.size()));
    }
}

} // namespace
