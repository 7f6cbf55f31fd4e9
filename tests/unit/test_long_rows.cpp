// SPDX-License-Identifier: BSD-3-Clause
//
// Long rows that an executor shares out by pieces: the bits of the serial call for any number of threads, on every kind of
// row, of elements of every type and layout; and executors that throw.
#include "support/executors.hpp"
#include "support/stored.hpp"

#include <tarn/range.hpp>

#include <atomic>
#include <stdexcept>

namespace {

using namespace support;

// After the kinds that all rows come in: one element that dominates the sum in the last piece, and +inf with a NaN in
// another piece.
constexpr int dominated = row_kinds, infinite_and_nan = row_kinds + 1, long_row_kinds = row_kinds + 2;

// Two rows of n elements of T, the second of which has nothing in common with the first.
template <class T> op_numbers<number_of<T>> two_rows(op o, int kind, std::ptrdiff_t n) {
    using R = number_of<T>;
    std::vector<R> x = row_of_kind<R>(kind < row_kinds ? kind : 0, n, static_cast<std::uint64_t>(n + kind));
    if (kind == dominated)
        x[x.size() - 100] = sizeof(R) == 4 ? 42 : 70;
    if (kind == infinite_and_nan) {
        x[1000] = std::numeric_limits<R>::infinity();
        x[x.size() - 100] = std::numeric_limits<R>::quiet_NaN();
    }
    const std::vector<R> other = row_of_kind<R>(0, n, 7);
    x.insert(x.end(), other.begin(), other.end());
    return numbers_from<T>(o, 2, n, std::move(x), static_cast<std::uint64_t>(n));
}

class long_rows : public op_test {
protected:
    template <class R, class Where>
    void check(const Where& where, const op_numbers<R>& p, const op_results<R>& expected, bool in_place,
               bool streamed) {
        std::vector<R> a = p.a, y(p.a.size() + 1), s(2);
        R* const to = in_place ? a.data() : y.data() + streamed;
        const auto whole = [&](const R* data) { return tarn::make_view(data, 2, p.n); };
        const auto numbers = [&](const R* data) { return tarn::make_view(data, 2); };
        call_op<R, R, R>(of(), where, whole(a.data()), whole(p.b.data()), numbers(p.c.data()), numbers(p.d.data()),
                         tarn::make_view(to, 2, p.n), tarn::make_view(s.data(), 2), -1, 1,
                         streamed ? tarn::stores::streaming : tarn::stores::cached);
        if (!reduces(of())) {
            ASSERT_EQ("", difference(to, expected.whole.data(), 2 * p.n));
        }
        if (has_numbers(of())) {
            ASSERT_EQ("", difference(s.data(), expected.sums.data(), 2));
        }
    }
    template <class R> void check_kinds(const std::vector<std::ptrdiff_t>& lengths) {
        for (const std::ptrdiff_t n : lengths) {
            for (int kind = 0; kind < long_row_kinds; ++kind) {
                if (thinned() && (n > 300001 || kind % 3 != 0))
                    continue;
                const auto p = two_rows<R>(of(), kind, n);
                const op_results<R> expected = dense_results(of(), on(), p);
                for (const int threads : {1, 2, 5}) {
                    SCOPED_TRACE("kind " + std::to_string(kind) + ", " + std::to_string(n) + " elements, " +
                                 std::to_string(threads) + " threads");
                    const odd_threads executor{threads, 3};
                    check(tarn::on(on(), executor), p, expected, threads == 2, threads == 5);
                    if (HasFatalFailure())
                        return;
                }
            }
        }
    }
};
TARN_TEST_ON_ALL_OPS(long_rows);

TEST_P(long_rows, any_number_of_threads) {
    check_kinds<float>({262144, 300001});
    check_kinds<double>({262145});
}

// Elements of 16 bits, elements that lie apart, and both; results beside them, in their place, and in floats. All of these
// on ordinary rows, and one of them on each of the other kinds.
TEST_P(long_rows, elements_of_any_type_and_layout) {
    const std::ptrdiff_t n = 262144 + 77;
    const odd_threads executor{3, 2};
    const layout dense{n, 1}, apart{2 * n + 1, 2}, with_gap{n + 5, 1};
    for (int kind = 0; kind < long_row_kinds; ++kind) {
        if (thinned() && kind % 3 != 0)
            continue;
        SCOPED_TRACE("kind " + std::to_string(kind));
        int turn = 0;
        const auto check_one = [&](auto element, auto number, auto result, layout in, layout out, bool in_place) {
            using T = decltype(element);
            if (kind > 0 && turn++ != kind % 5)
                return;
            const auto p = two_rows<T>(of(), kind, n);
            ASSERT_EQ("", (difference_from_dense<T, decltype(number), decltype(result)>(
                              of(), on(), tarn::on(on(), executor), p, in, out, in_place)));
        };
        check_one(tarn::bfloat16{}, tarn::bfloat16{}, tarn::bfloat16{}, dense, with_gap, false);
        check_one(tarn::float16{}, float{}, float{}, apart, dense, false);
        check_one(tarn::float16{}, tarn::float16{}, tarn::float16{}, dense, dense, true);
        check_one(float{}, float{}, float{}, apart, dense, false);
        check_one(double{}, double{}, double{}, apart, apart, true);
    }
}

// Rows of -inf: what the options say.
TEST_P(long_rows, empty_rows) {
    const std::ptrdiff_t n = 262144;
    const float inf = std::numeric_limits<float>::infinity();
    const std::vector<float> x(static_cast<std::size_t>(n), -inf);
    std::vector<float> y(x.size());
    const odd_threads executor{2, 3};
    if (of() == op::softmax) {
        tarn::softmax_options options;
        options.empty_row = tarn::empty_row::zero;
        tarn::softmax(tarn::on(on(), executor), x, y, options);
        EXPECT_EQ(y, std::vector<float>(y.size(), 0.0f));
    } else if (of() == op::log_softmax) {
        tarn::log_softmax_options options;
        options.empty_row = tarn::empty_row::zero;
        tarn::log_softmax(tarn::on(on(), executor), x, y, options);
        EXPECT_EQ(y, std::vector<float>(y.size(), -inf));
    }
}

// Counts loops and items.
struct counting {
    std::ptrdiff_t* most;
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&& f) const {
        *most = std::max(*most, n);
        for (std::ptrdiff_t i = n; i-- > 0;)
            f(i, i + 1);
    }
};
TEST_P(long_rows, a_row_is_shared) {
    std::ptrdiff_t most = 0;
    const counting executor{&most};
    const auto p = two_rows<float>(of(), 0, 400000);
    check(tarn::on(on(), executor), p, dense_results(of(), on(), p), false, false);
    EXPECT_EQ(most, is_elementwise(of()) ? 6250 : 7);

    // Elements by themselves are dealt by rows where they lie apart.
    most = 0;
    const auto halves = two_rows<tarn::bfloat16>(of(), 0, 400000);
    const layout apart{800001, 2}, dense{400000, 1};
    const auto difference = difference_from_dense<tarn::bfloat16, float, float>(
        of(), on(), tarn::on(on(), executor), halves, is_elementwise(of()) ? dense : apart, dense, false);
    EXPECT_EQ("", difference);
    EXPECT_EQ(most, is_elementwise(of()) ? 6250 : 7);
}

// Up to 32 rows are shared, or 8 that a buffer converts; more are dealt. The first loop tells, and ends the call.
struct asking {
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&&) const { throw n; }
};
template <class T> std::ptrdiff_t items_of(std::ptrdiff_t rows, std::ptrdiff_t n, tarn::softmax_algorithm algorithm) {
    std::vector<T> x(static_cast<std::size_t>(rows * n));
    tarn::softmax_options options;
    options.algorithm = algorithm;
    const asking executor{};
    try {
        const auto view = tarn::make_view(x.data(), rows, n);
        tarn::softmax(tarn::on(executor), view, view, options);
    } catch (std::ptrdiff_t items) {
        return items;
    }
    return 0;
}
TEST(long_rows_on_threads, few_are_shared_and_more_are_dealt) {
    const std::ptrdiff_t n = 262144, pieces = 4;
    const auto any = tarn::softmax_algorithm::automatic;
    EXPECT_EQ(items_of<float>(32, n, any), pieces);
    EXPECT_EQ(items_of<float>(33, n, any), 33);
    EXPECT_EQ(items_of<float>(5, n - 1, any), 5);
    EXPECT_EQ(items_of<float>(5, n, tarn::softmax_algorithm::online), 5);
    EXPECT_EQ(items_of<tarn::bfloat16>(8, n, any), pieces);
    EXPECT_EQ(items_of<tarn::bfloat16>(9, n, any), 9);
    EXPECT_EQ(items_of<tarn::bfloat16>(9, 4 * n, any), 4 * pieces); // no buffer holds them
}

// The first, the second, ... loop throws: the exception arrives, and nothing is still running.
struct throwing {
    std::atomic<int>* left;
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&& f) const {
        if (--*left == 0)
            throw std::runtime_error("no thread");
        f(std::ptrdiff_t{0}, n);
    }
};
TEST_P(long_rows, an_executor_that_throws) {
    const auto p = two_rows<float>(of(), 3, 300000);
    const op_results<float> expected = dense_results(of(), on(), p);
    int thrown = 0;
    for (int loop = 1; loop < 8; ++loop) {
        std::atomic<int> left{loop};
        const throwing executor{&left};
        try {
            check(tarn::on(on(), executor), p, expected, false, false);
        } catch (const std::runtime_error& e) {
            EXPECT_EQ(std::string("no thread"), e.what());
            ++thrown;
        }
    }
    EXPECT_GE(thrown, is_elementwise(of()) ? 1 : 2);
}

} // namespace
