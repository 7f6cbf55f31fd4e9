// SPDX-License-Identifier: BSD-3-Clause
//
// No kernel reads or writes outside its operands: input, output and sums lie against forbidden pages, at their ends and
// at their starts, for every length near the edges of packs, tiles and blocks.
#include "support/guarded.hpp"
#include "support/log_kernels.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr float untouched = 77.0f; // no log-probability has it

class log_softmax_guard : public log_kernel_test {
protected:
    void check(std::ptrdiff_t rows, std::ptrdiff_t n, bool at_end, const std::vector<float>& logits) {
        const placement place = place_rows(by(), rows, n);
        const std::ptrdiff_t size = place.size(rows, n);
        float* const x = at_end ? x_.against_end(size) : x_.against_start();
        float* const y = by().in_place ? x : at_end ? y_.against_end(size) : y_.against_start();
        float* const sums = at_end ? sums_.against_end(rows) : sums_.against_start();
        each_placed(place, rows, n, [&](std::size_t dense, std::ptrdiff_t placed) {
            y[placed] = untouched;
            x[placed] = logits[dense];
        });
        std::fill_n(sums, rows, untouched);
        ASSERT_EQ("", fault_in([&] {
                      run_log_kernel(on(), by(), {rows, n}, x, place, y, place, sums);
                  }))
            << rows << " rows of " << n << (at_end ? " at the end" : " at the start") << " of a page";
        for (std::ptrdiff_t r = 0; by().sums && r < rows; ++r)
            ASSERT_NE(sums[r], untouched) << "sum " << r << " of rows of " << n;
        for (std::ptrdiff_t r = 0; by().results && !by().in_place && r < rows; ++r) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                ASSERT_NE(y[place.at(r, i)], untouched) << "row " << r << " element " << i << " of " << n;
        }
    }
    void check_all(std::ptrdiff_t most_rows, std::ptrdiff_t few, const std::vector<std::ptrdiff_t>& lengths) {
        for (const std::ptrdiff_t n : lengths) {
            // Rows of two kinds, so that guesses fail and rows are taken in both ways.
            std::vector<float> logits = normal_logits(most_rows * n, 1, 0, static_cast<std::uint64_t>(n));
            for (std::ptrdiff_t r = 5; r < most_rows; r += 7)
                std::fill_n(logits.begin() + r * n, n, 1e6f);
            for (std::ptrdiff_t rows = few; rows <= most_rows && !HasFatalFailure();
                 rows += thinned() || n > 500 ? 5 : 1) {
                check(rows, n, true, logits);
                check(rows, n, false, logits);
            }
        }
    }

private:
    static constexpr std::ptrdiff_t most = 3 * 4096 * 18;
    guarded_floats x_{most}, y_{most}, sums_{150};
};
TARN_TEST_ALL_LOG_KERNELS(log_softmax_guard);

TEST_P(log_softmax_guard, up_to_18_rows) { check_all(18, 1, edge_lengths({1000, 1023, 1024, 1025, 4096})); }

// Wide blocks of columns, and several tiles.
TEST_P(log_softmax_guard, more_rows) { check_all(150, 123, {1, 2, 15, 16, 17, 33, 100, 256}); }

} // namespace
