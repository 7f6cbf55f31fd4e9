// SPDX-License-Identifier: BSD-3-Clause
//
// tarn::softmax against the plain loops.
#pragma once

#include <cstddef>

namespace next_word {

struct measurement {
    double seconds;       // median
    double largest_error; // of a probability, against double precision
};

struct comparison {
    int runs; // of each
    measurement tarn;
    measurement plain;
    double largest_difference; // between the probabilities of both
};

// Runs both in turns, for about a second. Both results need rows * columns elements.
comparison compare(const float* logits, float* tarn_result, float* plain_result, std::ptrdiff_t rows,
                   std::ptrdiff_t columns);

} // namespace next_word
