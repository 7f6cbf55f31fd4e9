// SPDX-License-Identifier: BSD-3-Clause
//
// A second file that calls the library, as any program has.
#include "sum.hpp"

#include <tarn/softmax.hpp>
#include <tarn/tensor_view.hpp>

float sum_of_softmax(const float* x, int n) {
    float y[16] = {};
    tarn::softmax(tarn::make_view(x, n), tarn::make_view(y, n));
    float sum = 0;
    for (int i = 0; i < n; ++i)
        sum += y[i];
    return sum;
}
