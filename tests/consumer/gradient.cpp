// SPDX-License-Identifier: BSD-3-Clause
//
// The least that projects which use tarn are tested with: calls the operator whose kernels compile fastest.
#include <tarn/range.hpp>
#include <tarn/softmax_backward.hpp>

#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

int main() {
    const std::vector<float> y{0.25f, 0.5f, 0.25f};
    std::vector<float> dy{1.0f, 2.0f, 3.0f};
    std::vector<float> dx(3);
    tarn::softmax_backward(y, dy, dx);
    // y (dy - sum of y dy), and that sum is 2
    const bool right = dx[0] == -0.25f && dx[1] == 0.0f && dx[2] == 0.25f;
    dy[1] = std::numeric_limits<float>::quiet_NaN();
    tarn::softmax_backward(y, dy, dx);
    const bool keeps_nan = std::isnan(dx[0]) && std::isnan(dx[1]) && std::isnan(dx[2]);
    std::printf("%s, NaN %s\n", right ? "right" : "WRONG", keeps_nan ? "kept" : "LOST");
    return right && keeps_nan ? 0 : 1;
}
