// SPDX-License-Identifier: BSD-3-Clause
//
// Inputs that make careless kernels meet denormal numbers.
#pragma once

#include "support/inputs.hpp"

#include <cfloat>
#include <cmath>
#include <limits>
#include <vector>

namespace support {

// Logits with weights and results near and below the least normal float. No logit is denormal itself.
inline std::vector<std::vector<float>> near_denormal(std::ptrdiff_t rows, std::ptrdiff_t n) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const auto size = static_cast<std::size_t>(rows * n);
    std::vector<std::vector<float>> r;
    r.push_back(normal_logits(rows * n, 50, 0, 1));
    r.push_back(normal_logits(rows * n, 50, 1e6, 2));
    r.push_back(normal_logits(rows * n, 1, 0, 3));
    for (const float mask : {-inf, -1e9f, -FLT_MAX, -1e4f, -88.0f, -104.0f}) {
        r.push_back(normal_logits(rows * n, 1, 0, 4));
        for (std::size_t i = 0; i < size; i += 2)
            r.back()[i] = mask;
    }
    // Results around 2^-126 in fine steps, at several heights.
    for (const float top : {0.0f, 3.3f, -700.0f, 1e5f}) {
        r.emplace_back();
        random_bits random(5);
        for (std::size_t i = 0; i < size; ++i)
            r.back().push_back(i % static_cast<std::size_t>(n) == 0
                                   ? top
                                   : top - 87.34f + 1e-3f * static_cast<float>(random.below(2000) - 1000));
    }
    // Descending from 0 to below where weights vanish.
    r.emplace_back();
    for (std::size_t i = 0; i < size; ++i)
        r.back().push_back(-0.37f * static_cast<float>(i % static_cast<std::size_t>(n)));
    // Tiny logits, whose products with the base are still normal.
    for (const float size_of_all : {1e-30f, -3e-36f}) {
        r.push_back(normal_logits(rows * n, 1, 0, 6));
        for (float& v : r.back())
            v = size_of_all * (2.0f + std::fabs(v));
    }
    return r;
}

// Leaves denormal numbers where the stack of the next call will be: buffers there are not initialised.
__attribute__((noinline)) inline void fill_stack() {
    volatile float rubbish[20000];
    for (volatile float& v : rubbish)
        v = 1e-40f;
}

} // namespace support
