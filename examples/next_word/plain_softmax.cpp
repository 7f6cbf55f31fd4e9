// SPDX-License-Identifier: BSD-3-Clause
#include "plain_softmax.hpp"

#include <cmath>

namespace next_word {

const char* const plain_softmax_flags = NEXT_WORD_PLAIN_FLAGS;

void plain_softmax(const float* x, float* y, std::ptrdiff_t rows, std::ptrdiff_t columns) {
    for (std::ptrdiff_t row = 0; row < rows; ++row, x += columns, y += columns) {
        float greatest = x[0];
        for (std::ptrdiff_t i = 1; i < columns; ++i) {
            greatest = x[i] > greatest ? x[i] : greatest;
        }
        float sum = 0;
        for (std::ptrdiff_t i = 0; i < columns; ++i) {
            y[i] = std::exp(x[i] - greatest);
            sum += y[i];
        }
        for (std::ptrdiff_t i = 0; i < columns; ++i) {
            y[i] /= sum;
        }
    }
}

} // namespace next_word
