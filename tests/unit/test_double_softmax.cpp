// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of doubles by every kernel on every tier: within 4 ulp, by the rules for special values, with one row's bits
// whoever computes it, without a denormal number, and without a touch outside the operands.
#include "support/guarded.hpp"
#include "support/kernels.hpp"
#include "support/mxcsr.hpp"
#include "support/near_denormal.hpp"
#include "support/rows.hpp"

#include <tarn/range.hpp>

#include <cstdio>
#include <map>
#include <tuple>

namespace {

using namespace support;

class double_softmax : public kernel_test {
protected:
    bool takes(std::ptrdiff_t n) const {
        return n >= shortest_row(by()) && n <= longest_row<double>(by()) && (!thinned() || n < 2000);
    }
};
TARN_TEST_ALL_KERNELS(double_softmax);

// A scale that no float holds among them.
constexpr double scales[] = {1, 0.1, -0.37, 3, -1e-5};

// Two rows and what they must become. All kernels have the same, and exact numbers take longer than kernels.
struct solved {
    std::vector<double> x;
    std::vector<std::vector<long double>> y;
};
const solved& solved_rows(std::ptrdiff_t n, double sd, double offset, double scale, std::uint64_t seed) {
    static std::map<std::uint64_t, solved> all;
    solved& s = all[seed];
    if (s.x.empty()) {
        s.x = normal_logits<double>(2 * n, sd, offset, seed);
        for (std::ptrdiff_t r = 0; r < 2; ++r)
            s.y.push_back(exact_softmax(s.x.data() + r * n, n, scale));
    }
    return s;
}

TEST_P(double_softmax, is_within_four_ulp) {
    double worst = 0;
    std::uint64_t seed = 0;
    for (const std::ptrdiff_t n : edge_lengths({521, 1031, 2053, 8191, 65537, 131101})) {
        for (const double sd : {0.1, 1.0, 10.0, 400.0}) {
            ++seed; // for every length, whether the kernel takes it or not
            const double offset = seed % 5 == 0 ? 1e6 : seed % 3 == 0 ? -700 : 0;
            const double scale = scales[seed % 5];
            if (!takes(n))
                continue;
            const solved& rows = solved_rows(n, sd, offset, scale, seed);
            const auto y = softmax_by(on(), by(), {2, n, scale}, rows.x);
            for (std::ptrdiff_t r = 0; r < 2; ++r) {
                const double error = worst_error(y.data() + r * n, rows.y[static_cast<std::size_t>(r)]);
                worst = std::max(worst, error);
                ASSERT_LE(error, 4.0) << "row " << r << " of " << n << ", sd " << sd << " offset " << offset
                                      << " scale " << scale;
            }
        }
    }
    RecordProperty("worst_ulp", std::to_string(worst));
    std::printf("    worst %.3f ulp\n", worst);
}

// Rows of all kinds, and what the public function makes of each alone, which is looked at once for all kernels.
const std::vector<double>& rows_alone(tarn::tier t, const std::vector<double>& x, std::ptrdiff_t n, double scale,
                                      bool zero) {
    static std::map<std::tuple<tarn::tier, std::size_t, std::ptrdiff_t>, std::vector<double>> all;
    std::vector<double>& y = all[{t, x.size(), n}];
    for (std::size_t i = y.size(); i < x.size(); i = y.size()) {
        const auto alone =
            softmax_alone(t, x.data() + i, n, scale, zero ? tarn::empty_row::zero : tarn::empty_row::nan);
        const double empty = zero ? 0.0 : std::numeric_limits<double>::quiet_NaN();
        EXPECT_LE(worst_error(alone.data(), specified_softmax(x.data() + i, n, scale, empty)), 4.0)
            << "row of " << n << " at " << i;
        y.insert(y.end(), alone.begin(), alone.end());
    }
    return y;
}

// Rows of all kinds beside each other, each with the bits that it has alone, and with the values that it must have.
TEST_P(double_softmax, rows_are_independent_and_follow_the_rules) {
    for (const std::ptrdiff_t n : {1, 2, 7, 8, 9, 16, 17, 40, 100, 256, 257, 300, 1000, 4097, 70000}) {
        if (!takes(n))
            continue;
        for (const std::ptrdiff_t rows : {1, 7, 8, 19, 70}) {
            if (n > 1000 && rows > 8)
                continue;
            const double scale = rows % 2 ? 1.0 : -0.37;
            const auto x = mixed_rows<double>(rows, n, static_cast<std::uint64_t>(n + rows));
            const auto y = softmax_by(on(), by(), {rows, n, scale, rows == 8}, x);
            const std::vector<double>& alone = rows_alone(on(), x, n, scale, rows == 8);
            for (std::ptrdiff_t r = 0; r < rows; ++r)
                ASSERT_EQ("", difference(y.data() + r * n, alone.data() + r * n, n)) << "row " << r << " of " << n;
        }
    }
}

TEST_P(double_softmax, bits_of_every_length) {
    for (const std::ptrdiff_t n :
         edge_lengths({1023, 1024, 1025, 2047, 2048, 2049, 8193, 65535, 65536, 65537, 131073})) {
        if (!takes(n))
            continue;
        for (const double offset : {0.0, 1e6}) {
            const auto x = normal_logits<double>(3 * n, 30, offset, static_cast<std::uint64_t>(n));
            const auto y = softmax_by(on(), by(), {3, n, 0.7}, x);
            for (std::ptrdiff_t r = 0; r < 3; ++r) {
                const auto alone = softmax_alone(on(), x.data() + r * n, n, 0.7);
                ASSERT_EQ("", difference(y.data() + r * n, alone.data(), n)) << "row " << r << " of " << n;
            }
        }
    }
}

TEST_P(double_softmax, no_denormal_is_met_or_made) {
    for (const std::ptrdiff_t n : {2, 7, 16, 17, 33, 64, 100, 256, 257, 300, 1000, 3000}) {
        if (!takes(n))
            continue;
        const std::ptrdiff_t rows = thinned() ? 9 : 19;
        int number = 0;
        for (const std::vector<double>& x : near_denormal<double>(rows, n)) {
            for (const double scale : {1.0, -0.37}) {
                unsigned after = 0;
                {
                    fill_stack();
                    const mxcsr_scope clear(0);
                    softmax_by(on(), by(), {rows, n, scale}, x);
                    after = _mm_getcsr();
                }
                ASSERT_EQ(after & (denormal_operand | underflow), 0u)
                    << "family " << number << ", length " << n << ", scale " << scale;
            }
            ++number;
        }
    }
}

TEST_P(double_softmax, touches_nothing_outside) {
    guarded_numbers<double> x_memory(2048 * 36), y_memory(2048 * 36), scratch_memory(2048 * 128);
    for (const std::ptrdiff_t n : edge_lengths({1000, 1023, 1024, 1025, 2048})) {
        if (!takes(n))
            continue;
        for (const std::ptrdiff_t rows : {1, 2, 7, 8, 9, 17, 18}) {
            if (rows > 9 && n > 300)
                continue;
            const auto logits = mixed_rows<double>(rows, n, static_cast<std::uint64_t>(n));
            const placement place = place_rows(by(), rows, n);
            const std::ptrdiff_t size = place.size(rows, n);
            ASSERT_LE(size, 2048 * 36);
            const std::ptrdiff_t scratch_numbers = scratch_size<double>(by(), n);
            for (const bool at_end : {true, false}) {
                const auto at = [&](guarded_numbers<double>& memory, std::ptrdiff_t count) {
                    return at_end ? memory.against_end(count) : memory.against_start();
                };
                double* const x = at(x_memory, size);
                double* const y = by().in_place ? x : at(y_memory, size);
                double* const scratch = by().scratch ? at(scratch_memory, scratch_numbers) : nullptr;
                each_placed(place, rows, n,
                            [&](std::size_t dense, std::ptrdiff_t placed) { x[placed] = logits[dense]; });
                ASSERT_EQ("", fault_in([&] {
                              run_kernel(on(), by(), {rows, n}, x, place, y, place, scratch, scratch_numbers);
                          }))
                    << rows << " rows of " << n << (at_end ? " at the end" : " at the start") << " of a page";
            }
        }
    }
}

class double_softmax_call : public tier_test {};
TARN_TEST_ON_ALL_TIERS(double_softmax_call);

// By every algorithm, in place, along either axis.
TEST_P(double_softmax_call, every_way_to_call_has_the_bits_of_rows_alone) {
    using tarn::softmax_algorithm;
    const std::ptrdiff_t rows = 37, n = 301;
    const auto x = mixed_rows<double>(rows, n, 5);
    std::vector<double> expected;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        const auto row = softmax_alone(GetParam(), x.data() + r * n, n, 0.1);
        expected.insert(expected.end(), row.begin(), row.end());
    }
    for (const auto algorithm :
         {softmax_algorithm::automatic, softmax_algorithm::optimistic, softmax_algorithm::three_pass_recompute,
          softmax_algorithm::three_pass_reload, softmax_algorithm::two_pass, softmax_algorithm::online}) {
        for (const auto how : {tarn::stores::cached, tarn::stores::streaming}) {
            std::vector<double> y(x.size());
            tarn::softmax_options options;
            options.scale = 0.1;
            options.algorithm = algorithm;
            options.stores = how;
            tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), rows, n), tarn::make_view(y.data(), rows, n),
                          options);
            ASSERT_EQ("", difference(y.data(), expected.data(), rows * n)) << static_cast<int>(algorithm);
        }
    }
    std::vector<double> transposed(x.size());
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            transposed[static_cast<std::size_t>(i * rows + r)] = x[static_cast<std::size_t>(r * n + i)];
    }
    const auto view = tarn::make_view(transposed.data(), n, rows);
    tarn::softmax(tarn::on(GetParam()), view, view, {0, 0.1});
    for (std::ptrdiff_t r = 0; r < rows; ++r)
        ASSERT_EQ("", difference(transposed.data() + r, expected.data() + r * n, n, rows)) << "column " << r;
}

// Two of them give the same bits; the third has no fused multiply-add.
TEST(double_softmax_tiers, agree) {
    if (!tarn::available(tarn::tier::avx2)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx2);
    }
    for (const std::ptrdiff_t n : {1, 5, 8, 33, 100, 1000, 70000}) {
        for (const double sd : {1.0, 100.0}) {
            const auto x = normal_logits<double>(n, sd, 10, static_cast<std::uint64_t>(n));
            const auto a = softmax_alone(tarn::tier::avx2, x.data(), n, 0.1);
            const auto c = softmax_alone(tarn::tier::sse2, x.data(), n, 0.1);
            for (std::size_t i = 0; i < x.size(); ++i)
                ASSERT_NEAR(c[i], a[i], 8 * 0x1p-53 * a[i]) << i << " of " << n;
            if (!tarn::available(tarn::tier::avx512))
                continue;
            const auto b = softmax_alone(tarn::tier::avx512, x.data(), n, 0.1);
            ASSERT_EQ("", difference(b.data(), a.data(), n)) << n;
        }
    }
}

} // namespace
