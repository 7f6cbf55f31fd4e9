// SPDX-License-Identifier: BSD-3-Clause
//
// The softmax that everybody writes first, to compare with.
#pragma once

#include <cstddef>

namespace next_word {

// The flags that plain_softmax is compiled with.
extern const char* const plain_softmax_flags;

// Softmax of each row of a dense matrix.
void plain_softmax(const float* x, float* y, std::ptrdiff_t rows, std::ptrdiff_t columns);

} // namespace next_word
