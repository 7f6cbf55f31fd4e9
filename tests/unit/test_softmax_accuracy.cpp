// SPDX-License-Identifier: BSD-3-Clause
//
// Every kernel on every tier is within 4 ulp of the exact softmax, whatever the size, spread and offset of the logits
// and the scale; results below 2^-126 are 0.
#include "support/inputs.hpp"
#include "support/kernels.hpp"
#include "support/oracle.hpp"

#include <cstdio>
#include <map>

namespace {

using namespace support;

constexpr double bound = 4.0;
constexpr double spreads[] = {1, 10, 50};
constexpr double offsets[] = {0, 1000, -1000, 49800, -49800, 1e6, -1e6};
constexpr float scales[] = {1, 0.125f, -1, 3, -0.37f, 0, 1e-30f, 100};

// Rows of normal logits and their exact softmax.
struct rows_case {
    std::ptrdiff_t rows, n;
    double sd, offset;
    float scale;
    std::vector<float> x;
    std::vector<std::vector<long double>> exact;

    rows_case(std::ptrdiff_t r, std::ptrdiff_t c, double d, double o, float s, std::uint64_t seed)
        : rows(r), n(c), sd(d), offset(o), scale(s), x(normal_logits(r * c, d, o, seed)) {
        for (std::ptrdiff_t i = 0; i < rows; ++i)
            exact.push_back(exact_softmax(x.data() + i * n, n, scale));
    }
};

// Lengths up to four packs of 16 and a tail, with every combination of spread, offset and scale.
const std::vector<rows_case>& short_lengths() {
    static const std::vector<rows_case> cases = [] {
        std::vector<rows_case> r;
        std::uint64_t seed = 0;
        for (std::ptrdiff_t n = 1; n <= 4 * 16 + 3; ++n) {
            for (const double sd : spreads) {
                for (const double offset : offsets) {
                    for (const float scale : scales) {
                        if (++seed % (thinned() ? 7 : 1) == 0)
                            r.emplace_back(2, n, sd, offset, scale, seed);
                    }
                }
            }
        }
        return r;
    }();
    return cases;
}

// Enough rows for whole tiles and wide blocks.
const std::vector<rows_case>& many_rows() {
    static const std::vector<rows_case> cases = [] {
        std::vector<rows_case> r;
        std::uint64_t seed = 100000;
        for (const std::ptrdiff_t n : {1, 7, 16, 33, 100, 131, 256}) {
            for (const double sd : spreads)
                ++seed, r.emplace_back(thinned() ? 20 : 150, n, sd, offsets[seed % 7], scales[seed % 8], seed);
        }
        return r;
    }();
    return cases;
}

// Prime lengths: each ends somewhere else in packs, blocks and chunks.
const std::vector<rows_case>& primes() {
    static const std::vector<rows_case> cases = [] {
        std::vector<rows_case> r;
        std::uint64_t seed = 200000;
        for (const std::ptrdiff_t n : {257, 521, 1031, 2053, 4099, 8191, 16411, 65537, 65599, 131071, 131101}) {
            for (const double sd : spreads) {
                ++seed;
                if (!thinned() || n < 70000)
                    r.emplace_back(n < 5000 ? 3 : 1, n, sd, offsets[seed % 7], seed % 3 ? 1.0f : scales[seed % 8],
                                   seed);
            }
        }
        return r;
    }();
    return cases;
}

class softmax_accuracy : public kernel_test {
protected:
    void check(const std::vector<rows_case>& cases) {
        double worst = 0;
        for (const rows_case& c : cases) {
            if (c.n < shortest_row(by()) || c.n > longest_row(by()))
                continue;
            const std::vector<float> y = softmax_by(on(), by(), {c.rows, c.n, c.scale}, c.x);
            for (std::ptrdiff_t r = 0; r < c.rows; ++r) {
                const double error = worst_error(y.data() + r * c.n, c.exact[static_cast<std::size_t>(r)]);
                worst = std::max(worst, error);
                ASSERT_LE(error, bound) << "row " << r << " of " << c.n << ", sd " << c.sd << " offset " << c.offset
                                        << " scale " << c.scale;
            }
        }
        RecordProperty("worst_ulp", std::to_string(worst));
        std::printf("    worst %.3f ulp\n", worst);
    }
};
TARN_TEST_ALL_KERNELS(softmax_accuracy);

TEST_P(softmax_accuracy, every_short_length) { check(short_lengths()); }
TEST_P(softmax_accuracy, many_rows) { check(many_rows()); }
TEST_P(softmax_accuracy, primes) { check(primes()); }

} // namespace
