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

// Logits with weights and results near and below the least normal number. No logit is denormal itself.
template <class T = float> std::vector<std::vector<T>> near_denormal(std::ptrdiff_t rows, std::ptrdiff_t n) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    constexpr bool is_float = sizeof(T) == 4;
    // Where e^x is the least normal number.
    const T edge = is_float ? static_cast<T>(-87.34) : static_cast<T>(-708.4);
    const auto size = static_cast<std::size_t>(rows * n);
    std::vector<std::vector<T>> r;
    const double sd = is_float ? 50 : 400;
    r.push_back(normal_logits<T>(rows * n, sd, 0, 1));
    r.push_back(normal_logits<T>(rows * n, sd, 1e6, 2));
    r.push_back(normal_logits<T>(rows * n, 1, 0, 3));
    for (const T mask :
         {-inf, static_cast<T>(-1e9), -std::numeric_limits<T>::max(), static_cast<T>(-1e4), edge, edge - 16}) {
        r.push_back(normal_logits<T>(rows * n, 1, 0, 4));
        for (std::size_t i = 0; i < size; i += 2)
            r.back()[i] = mask;
    }
    // Results around the least normal number in fine steps, at several heights.
    for (const T top : {0.0f, 3.3f, -700.0f, 1e5f}) {
        r.emplace_back();
        random_bits random(5);
        for (std::size_t i = 0; i < size; ++i)
            r.back().push_back(i % static_cast<std::size_t>(n) == 0
                                   ? top
                                   : top + edge + static_cast<T>(1e-3f) * static_cast<T>(random.below(2000) - 1000));
    }
    // Descending from 0 to below where weights vanish.
    r.emplace_back();
    for (std::size_t i = 0; i < size; ++i)
        r.back().push_back((is_float ? static_cast<T>(-0.37f) : static_cast<T>(-3)) *
                           static_cast<T>(i % static_cast<std::size_t>(n)));
    // Tiny logits, whose products with the base are still normal.
    for (const double size_of_all : {is_float ? 1e-30 : 1e-160, is_float ? -3e-36 : -1e-290}) {
        r.push_back(normal_logits<T>(rows * n, 1, 0, 6));
        for (T& v : r.back())
            v = static_cast<T>(size_of_all) * (2 + std::fabs(v));
    }
    return r;
}

// Leaves denormal numbers where the stack of the next call will be: buffers there are not initialised.
__attribute__((noinline)) inline void fill_stack() {
    // Two denormal floats, or one denormal double.
    volatile std::uint64_t rubbish[10000];
    for (volatile std::uint64_t& v : rubbish)
        v = 0x0001000000010000u;
}

} // namespace support
