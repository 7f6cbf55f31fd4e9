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
template <class T>
std::vector<T> softmax_alone(tarn::tier t, const T* x, std::ptrdiff_t n, double scale = 1,
                             tarn::empty_row empty = tarn::empty_row::nan) {
    std::vector<T> y(static_cast<std::size_t>(n));
    tarn::softmax_options options;
    options.scale = scale;
    options.empty_row = empty;
    tarn::softmax(tarn::on(t), tarn::make_view(x, n), tarn::make_view(y.data(), n), options);
    return y;
}

// The first element whose bits differ, in words; empty if there is none. Every NaN counts as the same.
template <class T>
std::string difference(const T* y, const T* expected, std::ptrdiff_t n, std::ptrdiff_t y_stride = 1) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const T a = y[i * y_stride];
        const T b = expected[i];
        if (bits_of(a) != bits_of(b) && !(a != a && b != b))
            return "element " + std::to_string(i) + " is " + std::to_string(a) + ", expected " + std::to_string(b) +
                   " (bits " + std::to_string(bits_of(a)) + ", " + std::to_string(bits_of(b)) + ")";
    }
    return {};
}

constexpr int row_kinds = 12;

// Row number `kind` of a mixed batch: ordinary ones, and NaN, infinities, far offsets, wide ranges, masks.
template <class T = float> std::vector<T> row_of_kind(int kind, std::ptrdiff_t n, std::uint64_t seed) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    constexpr T nan = std::numeric_limits<T>::quiet_NaN();
    constexpr bool is_float = sizeof(T) == 4;
    constexpr T huge = is_float ? static_cast<T>(3e38) : static_cast<T>(1.5e308);
    constexpr T hugest = is_float ? static_cast<T>(3.4e38) : static_cast<T>(1.7e308);
    const auto size = static_cast<std::size_t>(n);
    std::vector<T> x = normal_logits<T>(n, kind == 3 ? 50 : 1, kind == 4 ? 1e6 : kind == 5 ? -1e6 : 0, seed);
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
        x[anywhere()] = huge;
        break;
    case 8:
        for (std::size_t i = 0; i < size; i += 2)
            x[i] = -inf;
        break;
    case 9:
        x.assign(size, -hugest);
        break;
    case 10:
        x.assign(size, 1e8f);
        break;
    case 11:
        for (std::size_t i = 0; i < size; ++i)
            x[i] = (is_float ? 90 : 700) * x[i] + 400;
        break;
    default:
        break;
    }
    return x;
}

// `rows` dense rows of mixed kinds; every other one is ordinary, so that each of them has all kinds of neighbours.
template <class T = float> std::vector<T> mixed_rows(std::ptrdiff_t rows, std::ptrdiff_t n, std::uint64_t seed) {
    std::vector<T> x;
    random_bits random(seed);
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        const int kind = r % 2 ? 0 : static_cast<int>(random.below(row_kinds));
        const std::vector<T> row = row_of_kind<T>(kind, n, random.next());
        x.insert(x.end(), row.begin(), row.end());
    }
    return x;
}

} // namespace support
