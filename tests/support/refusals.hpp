// SPDX-License-Identifier: BSD-3-Clause
//
// Tests of what a call refuses: the message, and memory that must be as it was.
#pragma once

#include "support/inputs.hpp"

#include <tarn/tensor_view.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace support {

constexpr float untouched = -77.0f;

// The message of the exception that f throws.
template <class F> std::string refusal_of(F f) {
    try {
        f();
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "no exception";
}

class refusal_test : public testing::Test {
protected:
    std::vector<float> x = normal_logits(1000, 1, 0, 1);
    std::vector<float> y = std::vector<float>(1000, untouched);
    const std::vector<float> x_before = x;

    // The message of the exception that f throws, after a look at the memory.
    template <class F> std::string message_of(F f) {
        const std::string message = refusal_of(f);
        EXPECT_EQ(x, x_before) << "input changed";
        EXPECT_EQ(y, std::vector<float>(y.size(), untouched)) << "output changed";
        return message;
    }
    template <int Rank> tarn::tensor_view<const float, Rank> in(tarn::extents<Rank> e) {
        return tarn::make_view<const float>(x.data(), e);
    }
    template <int Rank> tarn::tensor_view<float, Rank> out(tarn::extents<Rank> e) {
        return tarn::make_view(y.data(), e);
    }
};

} // namespace support
