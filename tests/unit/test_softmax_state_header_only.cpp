// SPDX-License-Identifier: BSD-3-Clause
//
// The online state, compiled for the flags of this file: logits of 32 and 16 bits against sums in long double.
#include "support/inputs.hpp"

#include <tarn/half.hpp>
#include <tarn/range.hpp>
#include <tarn/softmax_state.hpp>

#include <cmath>
#include <gtest/gtest.h>

namespace {

template <class T> void check(const std::vector<T>& x) {
    long double sum = 0, moment = 0, squares = 0, greatest = 0;
    for (const T v : x) {
        const auto w = std::exp(static_cast<long double>(static_cast<float>(v)));
        sum += w;
        moment += w * static_cast<long double>(static_cast<float>(v));
        squares += w * w;
        greatest = std::max(greatest, w);
    }
    tarn::softmax_state first, second;
    first.push(tarn::make_view(x.data(), 400));
    second.push(tarn::make_view(x.data() + 400, x.size() - 400));
    const tarn::softmax_state s = first + second;
    EXPECT_NEAR(s.logsumexp(), static_cast<double>(std::log(sum)), 2e-6);
    EXPECT_NEAR(s.confidence(), static_cast<double>(greatest / sum), 1e-8);
    EXPECT_NEAR(s.entropy(), static_cast<double>(std::log(sum) - moment / sum), 6e-6);
    EXPECT_NEAR(s.sum_of_squares(), static_cast<double>(squares / (sum * sum)), 1e-8);
}

TEST(softmax_state_header_only, floats_and_halves) {
    const auto x = support::normal_logits(1003, 2, 1, 1);
    check(x);
    check(std::vector<tarn::bfloat16>(x.begin(), x.end()));
    check(std::vector<tarn::float16>(x.begin(), x.end()));
}

} // namespace
