// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The sum of the softmax of n <= 16 numbers.
float sum_of_softmax(const float* x, int n);
