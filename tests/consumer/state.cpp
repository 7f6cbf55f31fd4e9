// SPDX-License-Identifier: BSD-3-Clause
//
// The least that projects which use tarn are tested with: calls the operator whose kernels compile fastest.
#include <tarn/range.hpp>
#include <tarn/softmax_state.hpp>

#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

int main() {
    const std::vector<float> equal{2.0f, 2.0f, 2.0f, 2.0f};
    tarn::softmax_state state;
    state.push(equal);
    // e^2 / (4 e^2) each
    const bool right =
        std::fabs(state.confidence() - 0.25f) < 1e-6f && std::fabs(state.entropy() - std::log(4.0f)) < 1e-5f;
    state.push(std::numeric_limits<float>::quiet_NaN());
    const bool keeps_nan = std::isnan(state.confidence()) && std::isnan(state.logsumexp());
    std::printf("%s, NaN %s\n", right ? "right" : "WRONG", keeps_nan ? "kept" : "LOST");
    return right && keeps_nan ? 0 : 1;
}
