// SPDX-License-Identifier: BSD-3-Clause
//
// Rows sought for their error: from random starts, each step keeps a changed row if its worst result is further off.
// Random samples stay far below what such rows reach.
#include "support/inputs.hpp"
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"

#include <cstdio>

namespace {

using namespace support;

class log_softmax_search : public tier_test {
protected:
    static constexpr std::ptrdiff_t n = 33;
    static constexpr float nothing = -std::numeric_limits<float>::infinity();

    // Few logits, the first of them up to 40 above the others: errors have no others to hide among, and results come
    // close to 0.
    static void change(std::vector<float>& x, random_bits& random, double step, double others) {
        static constexpr std::size_t places[] = {0, 16, 1, 17, 32};
        const auto place = places[random.below(5)];
        const bool absent = x[place] == nothing;
        x[place] = place != 0 && random.below(20) == 0
                       ? nothing
                       : static_cast<float>((absent ? (place == 0 ? 0 : others) : static_cast<double>(x[place])) +
                                            step * random.normal());
    }
    template <class Error> void search(Error error_of) {
        double worst = 0;
        for (std::uint64_t seed = 1; seed <= (thinned() ? 5 : 150); ++seed) {
            random_bits random(seed);
            const double others = seed % 2 ? -3.0 : -static_cast<double>(seed % 40);
            std::vector<float> best(static_cast<std::size_t>(n), nothing);
            best[0] = 0.0f;
            for (int i = 0; i < 20; ++i)
                change(best, random, 2, others);
            double error = error_of(best);
            for (int i = 0; i < 2000; ++i) {
                std::vector<float> next = best;
                change(next, random, std::pow(2.0, -static_cast<double>(random.below(16))), others);
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
};
TARN_TEST_ON_ALL_TIERS(log_softmax_search);

TEST_P(log_softmax_search, finds_nothing_beyond_the_bound) {
    for (const float scale : {1.0f, -0.37f}) {
        search([&](std::vector<float> x) {
            for (float& v : x)
                v = scale < 0 ? -v : v;
            return worst_log_error(log_softmax_alone(GetParam(), x.data(), n, scale).data(),
                                   exact_log_softmax(x.data(), n, scale));
        });
    }
}

TEST_P(log_softmax_search, finds_no_sum_beyond_the_bound) {
    search([&](const std::vector<float>& x) {
        return log_sum_error(logsumexp_alone(GetParam(), x.data(), n), exact_log_sum(x.data(), n, 1.0f));
    });
}

} // namespace
