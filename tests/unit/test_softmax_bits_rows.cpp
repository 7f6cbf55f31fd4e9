// SPDX-License-Identifier: BSD-3-Clause
//
// A row has the same bits alone, in a batch of any size, at any place in it, and beside any neighbours: every kernel,
// every tier. Rows of NaN, infinities and far logits make kernels repeat rows and tiles; the rows beside them must not
// notice.
#include "support/kernels.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr std::ptrdiff_t lengths[] = {1, 5, 15, 16, 17, 48, 64, 100, 256, 257, 300, 1000};

class softmax_batch : public kernel_test {
protected:
    bool takes(std::ptrdiff_t n) const { return n >= shortest_row(by()) && n <= longest_row(by()); }

    // The rows of x one by one.
    std::vector<float> one_by_one(const std::vector<float>& x, std::ptrdiff_t n) const {
        std::vector<float> y;
        for (std::size_t at = 0; at < x.size(); at += static_cast<std::size_t>(n)) {
            const auto row = softmax_alone(on(), x.data() + at, n);
            y.insert(y.end(), row.begin(), row.end());
        }
        return y;
    }

    void check(const std::vector<float>& x, const std::vector<float>& expected, std::ptrdiff_t rows, std::ptrdiff_t n) {
        const auto y = softmax_by(on(), by(), {rows, n}, x);
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            ASSERT_EQ("", difference(y.data() + r * n, expected.data() + r * n, n))
                << "row " << r << " of " << rows << ", length " << n;
        }
    }
};
TARN_TEST_ALL_KERNELS(softmax_batch);

TEST_P(softmax_batch, of_1_to_40_rows) {
    for (const std::ptrdiff_t n : lengths) {
        if (!takes(n))
            continue;
        const auto x = mixed_rows(40, n, static_cast<std::uint64_t>(n));
        const auto expected = one_by_one(x, n);
        for (std::ptrdiff_t rows = 1; rows <= 40 && !HasFatalFailure(); rows += thinned() ? 7 : 1)
            check({x.begin(), x.begin() + rows * n}, expected, rows, n);
    }
}

// Wide blocks of columns, several tiles, and failures of the guess that follow each other.
TEST_P(softmax_batch, of_many_rows) {
    for (const std::ptrdiff_t n : {3, 16, 33, 100, 300}) {
        if (!takes(n))
            continue;
        for (const std::ptrdiff_t rows : {64, 128, 131, 144, 200, 400}) {
            const auto x = mixed_rows(rows, n, static_cast<std::uint64_t>(rows + n));
            check(x, one_by_one(x, n), rows, n);
        }
    }
}

// Runs of rows of one kind, as long as a tile and somewhat off: guesses come right and go wrong tile by tile, and tiles
// in flight wait, depart and change places in every order.
TEST_P(softmax_batch, of_runs_of_one_kind) {
    const std::ptrdiff_t rows = 320;
    for (const std::ptrdiff_t n : {3, 16, 40, 260}) {
        if (!takes(n))
            continue;
        for (const std::ptrdiff_t run : {16, 17, 32, 48}) {
            std::vector<float> x;
            random_bits random(static_cast<std::uint64_t>(run + n));
            int kind = 0;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                if (r % run == 0)
                    kind = random.below(2) ? 0 : static_cast<int>(random.below(row_kinds));
                const auto row = row_of_kind(kind, n, random.next());
                x.insert(x.end(), row.begin(), row.end());
            }
            check(x, one_by_one(x, n), rows, n);
        }
    }
}

// Rows that drift away from 0, each close to the last: what is carried from row to row follows them, and must not
// decide when a row is far enough to have its greatest logit subtracted.
TEST_P(softmax_batch, of_drifting_rows) {
    for (const std::ptrdiff_t n : {5, 40, 260}) {
        if (!takes(n) || (thinned() && n > 5))
            continue;
        for (const float step : {5.3f, -5.3f}) {
            std::vector<float> x;
            const std::ptrdiff_t rows = 5000;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const auto row = normal_logits(n, 1, step * static_cast<float>(r < 2 ? 6000 * r : 6000 + r),
                                               static_cast<std::uint64_t>(r));
                x.insert(x.end(), row.begin(), row.end());
            }
            check(x, one_by_one(x, n), rows, n);
        }
    }
}

// One ordinary row at every place among rows of one kind.
TEST_P(softmax_batch, at_every_place) {
    const std::ptrdiff_t rows = 35;
    for (const std::ptrdiff_t n : {5, 16, 100, 260}) {
        if (!takes(n))
            continue;
        const auto row = row_of_kind(0, n, 7);
        const auto expected = softmax_alone(on(), row.data(), n);
        for (int kind = 0; kind < row_kinds; ++kind) {
            std::vector<float> others;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const auto other = row_of_kind(kind, n, static_cast<std::uint64_t>(100 + r));
                others.insert(others.end(), other.begin(), other.end());
            }
            for (std::ptrdiff_t r = 0; r < rows; r += thinned() ? 5 : 1) {
                auto x = others;
                std::copy(row.begin(), row.end(), x.begin() + r * n);
                const auto y = softmax_by(on(), by(), {rows, n}, x);
                ASSERT_EQ("", difference(y.data() + r * n, expected.data(), n))
                    << "row " << r << " among rows of kind " << kind << ", length " << n;
            }
        }
    }
}

} // namespace
