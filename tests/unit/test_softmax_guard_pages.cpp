// SPDX-License-Identifier: BSD-3-Clause
//
// No kernel reads or writes outside its operands: input, output and scratch lie against forbidden pages, at their ends
// and at their starts, for every length near the edges of packs, tiles and blocks.
#include "support/guarded.hpp"
#include "support/kernels.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr float untouched = -77.0f; // no softmax has it

class softmax_guard : public kernel_test {
protected:
    void check(std::ptrdiff_t rows, std::ptrdiff_t n, bool at_end, const std::vector<float>& logits) {
        const placement place = place_rows(by(), rows, n);
        const std::ptrdiff_t size = place.size(rows, n);
        const std::ptrdiff_t scratch_floats = scratch_size(by(), n);
        float* const x = at_end ? x_.against_end(size) : x_.against_start();
        float* const y = by().in_place ? x : at_end ? y_.against_end(size) : y_.against_start();
        float* const scratch = !by().scratch ? nullptr
                               : at_end      ? scratch_.against_end(scratch_floats)
                                             : scratch_.against_start();
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                y[place.at(r, i)] = untouched;
                x[place.at(r, i)] = logits[static_cast<std::size_t>(r * n + i)];
            }
        }
        ASSERT_EQ("", fault_in([&] {
                      run_kernel(on(), by(), {rows, n}, x, place, y, place, scratch, scratch_floats);
                  }))
            << rows << " rows of " << n << (at_end ? " at the end" : " at the start") << " of a page";
        if (by().in_place)
            return;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                ASSERT_NE(y[place.at(r, i)], untouched) << "row " << r << " element " << i << " of " << n;
        }
    }
    void check_all(std::ptrdiff_t most_rows, std::ptrdiff_t few, const std::vector<std::ptrdiff_t>& all_lengths) {
        for (const std::ptrdiff_t n : all_lengths) {
            if (n < shortest_row(by()) || n > longest_row(by()))
                continue;
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
    static constexpr std::ptrdiff_t most = 4096 * 18 * 3;
    guarded_floats x_{most}, y_{most}, scratch_{4096 * 128};
};
TARN_TEST_ALL_KERNELS(softmax_guard);

TEST_P(softmax_guard, up_to_18_rows) { check_all(18, 1, edge_lengths({1000, 1023, 1024, 1025, 4096})); }

// Wide blocks of columns, and tiles in flight.
TEST_P(softmax_guard, more_rows) { check_all(150, 123, {1, 2, 15, 16, 17, 33, 100, 256}); }

} // namespace
