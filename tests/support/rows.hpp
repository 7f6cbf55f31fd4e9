// SPDX-License-Identifier: BSD-3-Clause
//
// Rows to compare bit by bit: the reference is a row taken alone by the public function, and rows that do harm to the
// rows beside them if anything can.
#pragma once

#include "support/inputs.hpp"
#include "support/oracle.hpp"
#include "support/tiers.hpp"

#include <string>
#include <vector>

namespace support {

// One dense row by the public function.
inline std::vector<float> softmax_alone(tarn::tier t, const float* x, std::ptrdiff_t n, float scale = 1.0f,
                                        tarn::empty_row empty = tarn::empty_row::nan) {
    std::vector<float> y(static_cast<std::size_t>(n));
    tarn::softmax_options options;
    options.scale = scale;
    options.empty_row = empty;
    tarn::softmax(tarn::on(t), tarn::make_view(x, n), tarn::make_view(y.data(), n), options);
    return y;
}

// The first element whose bits differ, in words; empty if there is none. Every NaN counts as the same.
inline std::string difference(const float* y, const float* expected, std::ptrdiff_t n, std::ptrdiff_t y_stride = 1) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const float a = y[i * y_stride];
        const float b = expected[i];
        if (bits_of(a) != bits_of(b) && !(a != a && b != b))
            return "element " + std::to_string(i) + " is " + std::to_string(a) + ", expected " + std::to_string(b) +
                   " (bits " + std::to_string(bits_of(a)) + ", " + std::to_string(bits_of(b)) + ")";
    }
    return {};
}

constexpr int row_kinds = 12;

// Row number `kind` of a mixed batch: ordinary ones, and NaN, infinities, far offsets, wide ranges, masks.
inline std::vector<float> row_of_kind(int kind, std::ptrdiff_t n, std::uint64_t seed) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    const auto size = static_cast<std::size_t>(n);
    std::vector<float> x = normal_logits(n, kind == 3 ? 50 : 1, kind == 4 ? 1e6 : kind == 5 ? -1e6 : 0, seed);
    random_bits random(seed);
    const auto anywhere = [&] { return static_cast<std::size_t>(random.below(n)); };
    switch (kind) {
    case 1:
        x[anywhere()] = nan;
        break;
    case 2:
        x.assign(size, -inf);
        break;
    case 6:
        x[anywhere()] = inf;
        break;
    case 7:
        x[anywhere()] = 3e38f;
        break;
    case 8:
        for (std::size_t i = 0; i < size; i += 2)
            x[i] = -inf;
        break;
    case 9:
        x.assign(size, -3.4e38f);
        break;
    case 10:
        x.assign(size, 1e8f);
        break;
    case 11:
        for (std::size_t i = 0; i < size; ++i)
            x[i] = 90.0f * x[i] + 400.0f;
        break;
    default:
        break;
    }
    return x;
}

// `rows` dense rows of mixed kinds; every other one is ordinary, so that each of them has all kinds of neighbours.
inline std::vector<float> mixed_rows(std::ptrdiff_t rows, std::ptrdiff_t n, std::uint64_t seed) {
    std::vector<float> x;
    random_bits random(seed);
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        const int kind = r % 2 ? 0 : static_cast<int>(random.below(row_kinds));
        const std::vector<float> row = row_of_kind(kind, n, random.next());
        x.insert(x.end(), row.begin(), row.end());
    }
    return x;
}

} // namespace support
