// SPDX-License-Identifier: BSD-3-Clause
//
// Rows sought for their error: from random starts, each step keeps a changed row if its worst result is further off.
// Random samples stay far below what such rows reach.
#include "support/inputs.hpp"
#include "support/oracle.hpp"
#include "support/rows.hpp"

#include <cstdio>

namespace {

using namespace support;

class softmax_search : public tier_test {
protected:
    static constexpr std::ptrdiff_t n = 33;
    static constexpr float nothing = -std::numeric_limits<float>::infinity();

    double error_of(const std::vector<float>& x) const {
        return worst_error(softmax_alone(GetParam(), x.data(), n).data(), exact_softmax(x.data(), n, 1.0f));
    }
    // Few logits, in lanes that are added as floats: one of them dominates, and errors have no others to hide among.
    static void change(std::vector<float>& x, random_bits& random, double step) {
        static constexpr std::size_t places[] = {0, 16, 1, 17, 32};
        float& v = x[places[random.below(5)]];
        v = random.below(20) == 0 ? nothing : static_cast<float>((v == nothing ? -3.0 : v) + step * random.normal());
    }
};
TARN_TEST_ON_ALL_TIERS(softmax_search);

TEST_P(softmax_search, finds_nothing_beyond_the_bound) {
    double worst = 0;
    for (std::uint64_t seed = 1; seed <= (thinned() ? 5 : 200); ++seed) {
        random_bits random(seed);
        std::vector<float> best(static_cast<std::size_t>(n), nothing);
        for (int i = 0; i < 20; ++i)
            change(best, random, 2);
        double error = error_of(best);
        for (int i = 0; i < 2500; ++i) {
            std::vector<float> next = best;
            change(next, random, std::pow(2.0, -static_cast<double>(random.below(16))));
            const double found = error_of(next);
            if (found >= error) {
                error = found;
                best = next;
            }
        }
        worst = std::max(worst, error);
        ASSERT_LE(error, 4.0) << "seed " << seed << ": " << testing::PrintToString(best);
    }
    std::printf("    worst %.3f ulp\n", worst);
    RecordProperty("worst_ulp", std::to_string(worst));
}

// Found by such a search on kernels that rounded the reciprocal of the sum to one float.
TEST_P(softmax_search, rows_found_before) {
    for (const float offset : {0.0f, 1000.0f}) {
        std::vector<float> x(static_cast<std::size_t>(n), nothing);
        x[0] = 0x1.26f7e8p-2f + offset;
        x[16] = -0x1.9faafep+1f + offset;
        x[1] = -0x1.4c933p+2f + offset;
        x[17] = -0x1.9b7dfcp+1f + offset;
        EXPECT_LE(error_of(x), 4.0);
    }
}

} // namespace
