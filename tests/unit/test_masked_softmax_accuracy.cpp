// SPDX-License-Identifier: BSD-3-Clause
//
// Masked softmax with every combination of its options against long double, for floats and doubles.
#include "support/masked.hpp"
#include "support/tiers.hpp"

namespace {

using namespace support;

class masked_softmax_accuracy : public tier_test {
protected:
    template <class R> void check(const masked_problem<R>& p, double bound = 4) {
        double worst = 0;
        EXPECT_EQ("", p.fault_of(p.results(tarn::on(GetParam())), bound, &worst));
        worst_ = std::max(worst_, worst);
    }
    void TearDown() override {
        if (!IsSkipped())
            RecordProperty("worst_ulp", std::to_string(worst_));
    }
    double worst_ = 0;
};
TARN_TEST_ON_ALL_TIERS(masked_softmax_accuracy);

TEST_P(masked_softmax_accuracy, every_combination_of_options) {
    for (int features = 0; features <= all_features; ++features) {
        const auto seed = static_cast<std::uint64_t>(features);
        for (const std::ptrdiff_t keys : {1, 5, 16, 17, 40, 100, 127, 128, 129, 200, 300}) {
            check(masked_problem<float>::of(features, 2, 9, keys, seed));
            check(masked_problem<double>::of(features, 2, 3, keys, seed));
        }
    }
}

TEST_P(masked_softmax_accuracy, every_length) {
    for (const std::ptrdiff_t keys : edge_lengths({500, 1000, 4095, 4097, 9000})) {
        for (const int features :
             {0, int{with_keep}, with_causal | with_window, with_bias | with_sink, int{all_features}}) {
            const auto seed = static_cast<std::uint64_t>(keys);
            check(masked_problem<float>::of(features, 1, 35, keys, seed));
        }
    }
}

TEST_P(masked_softmax_accuracy, wide_logits) {
    for (const double sd : {20.0, 60.0}) {
        for (const std::ptrdiff_t keys : {30, 128, 300, 1000}) {
            for (const int features :
                 {0, int{with_keep}, int{with_scale}, with_scale | with_causal, with_keep | with_window}) {
                check(masked_problem<float>::of(features, 3, 20, keys, 5, sd));
                check(masked_problem<double>::of(features, 3, 20, keys, 6, 8 * sd));
            }
        }
    }
}

// A negative scale turns the order round, and one of 0 leaves nothing of the logits.
TEST_P(masked_softmax_accuracy, any_scale) {
    for (const double scale : {-1.0, -0.3, 0.0, 40.0}) {
        for (const int features :
             {int{with_keep}, with_keep | with_causal, with_bias | with_keep, with_sink | with_keep}) {
            for (const std::ptrdiff_t keys : {20, 100, 400}) {
                auto p = masked_problem<float>::of(features, 2, 10, keys, 7, 1);
                p.scale = scale;
                check(p);
            }
        }
    }
}

} // namespace
