// SPDX-License-Identifier: BSD-3-Clause
//
// A row has the same bits alone, in a batch of any size, at any place in it, and beside any neighbours: both kernels,
// every tier, results and logarithms of sums.
#include "support/log_kernels.hpp"
#include "support/log_rows.hpp"

namespace {

using namespace support;

constexpr std::ptrdiff_t lengths[] = {1, 5, 15, 16, 17, 48, 64, 100, 256, 257, 300, 1000};

class log_softmax_batch : public log_kernel_test {
protected:
    // The rows of x one by one.
    log_results<> one_by_one(const std::vector<float>& x, std::ptrdiff_t n, float scale = 1.0f) const {
        log_results<> r;
        for (std::size_t at = 0; at < x.size(); at += static_cast<std::size_t>(n)) {
            const auto row = log_softmax_alone(on(), x.data() + at, n, scale);
            r.y.insert(r.y.end(), row.begin(), row.end());
            r.sums.push_back(logsumexp_alone(on(), x.data() + at, n, scale));
        }
        return r;
    }
    void check(const std::vector<float>& x, const log_results<>& expected, std::ptrdiff_t rows, std::ptrdiff_t n,
               float scale = 1.0f) {
        const log_results<> got = logs_by(on(), by(), {rows, n, scale}, x);
        for (std::ptrdiff_t r = 0; by().results && r < rows; ++r) {
            ASSERT_EQ("", difference(got.y.data() + r * n, expected.y.data() + r * n, n))
                << "row " << r << " of " << rows << ", length " << n;
        }
        if (by().sums) {
            ASSERT_EQ("", difference(got.sums.data(), expected.sums.data(), rows)) << rows << " rows of " << n;
        }
    }
    void check(const std::vector<float>& x, std::ptrdiff_t rows, std::ptrdiff_t n, float scale = 1.0f) {
        check(x, one_by_one(x, n, scale), rows, n, scale);
    }
};
TARN_TEST_ALL_LOG_KERNELS(log_softmax_batch);

TEST_P(log_softmax_batch, of_1_to_40_rows) {
    for (const std::ptrdiff_t n : lengths) {
        const auto x = mixed_rows(40, n, static_cast<std::uint64_t>(n));
        const auto expected = one_by_one(x, n);
        for (std::ptrdiff_t rows = 1; rows <= 40 && !HasFatalFailure(); rows += thinned() ? 7 : 1)
            check({x.begin(), x.begin() + rows * n}, expected, rows, n);
    }
}

// Every length near an edge, and both sides of the ends of chunks: three rows, the middle one of another kind.
TEST_P(log_softmax_batch, of_every_length) {
    for (const std::ptrdiff_t n : edge_lengths({1023, 1024, 1025, 4096, 65535, 65536, 65537, 65551, 131073})) {
        if (thinned() && n > 10000)
            break;
        for (const float scale : {1.0f, -0.37f})
            check(mixed_rows(3, n, static_cast<std::uint64_t>(n)), 3, n, scale);
    }
}

// Wide blocks of columns, several tiles, and failures of the guess that follow each other.
TEST_P(log_softmax_batch, of_many_rows) {
    for (const std::ptrdiff_t n : {3, 16, 33, 100, 300}) {
        for (const std::ptrdiff_t rows : {64, 128, 131, 144, 200, 400})
            check(mixed_rows(rows, n, static_cast<std::uint64_t>(rows + n)), rows, n);
    }
}

// Rows that drift away from 0, each close to the last: what is carried from row to row follows them, and must not
// decide when a row is far enough to have its greatest logit subtracted.
TEST_P(log_softmax_batch, of_drifting_rows) {
    for (const std::ptrdiff_t n : {5, 40, 260}) {
        if (thinned() && n > 5)
            continue;
        for (const float step : {17.3f, -17.3f}) {
            std::vector<float> x;
            const std::ptrdiff_t rows = 1500;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const auto row = normal_logits(n, 1, step * static_cast<float>(r < 2 ? 1800 * r : 1800 + r),
                                               static_cast<std::uint64_t>(r));
                x.insert(x.end(), row.begin(), row.end());
            }
            check(x, rows, n);
        }
    }
}

// Rows that one element dominates, each a little more than the last: at some distance kernels begin to add the others
// without it, and that must follow from the row alone.
TEST_P(log_softmax_batch, of_dominated_rows) {
    for (const std::ptrdiff_t n : {1, 2, 16, 40, 260}) {
        for (const float scale : {1.0f, -1.0f}) {
            const std::ptrdiff_t rows = thinned() ? 50 : 200;
            std::vector<float> x = normal_logits(rows * n, 1, 0, static_cast<std::uint64_t>(n));
            for (std::ptrdiff_t r = 0; r < rows; ++r)
                x[static_cast<std::size_t>(r * n + r % n)] = scale * static_cast<float>(12 + r * 7 % rows) * 0.5f;
            check(x, rows, n, scale);
        }
    }
}

// One ordinary row at every place among rows of one kind.
TEST_P(log_softmax_batch, at_every_place) {
    const std::ptrdiff_t rows = 35;
    for (const std::ptrdiff_t n : {5, 16, 100, 260}) {
        const auto row = row_of_kind(0, n, 7);
        const auto expected = log_softmax_alone(on(), row.data(), n);
        const float expected_sum = logsumexp_alone(on(), row.data(), n);
        for (int kind = 0; kind < row_kinds; ++kind) {
            std::vector<float> others;
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const auto other = row_of_kind(kind, n, static_cast<std::uint64_t>(100 + r));
                others.insert(others.end(), other.begin(), other.end());
            }
            for (std::ptrdiff_t r = 0; r < rows; r += thinned() ? 5 : 1) {
                auto x = others;
                std::copy(row.begin(), row.end(), x.begin() + r * n);
                const log_results<> got = logs_by(on(), by(), {rows, n}, x);
                if (by().results) {
                    ASSERT_EQ("", difference(got.y.data() + r * n, expected.data(), n))
                        << "row " << r << " among rows of kind " << kind << ", length " << n;
                }
                if (by().sums) {
                    ASSERT_EQ("", difference(got.sums.data() + r, &expected_sum, 1))
                        << "row " << r << " among rows of kind " << kind << ", length " << n;
                }
            }
        }
    }
}

} // namespace
