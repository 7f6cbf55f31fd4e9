// SPDX-License-Identifier: BSD-3-Clause
#include <tarn/range.hpp>
#include <tarn/softmax.hpp>

#include <cstdio>

int main() {
    const std::vector<float> logits = {2.0f, 1.0f, 0.1f};
    std::vector<float> probabilities(logits.size());
    tarn::softmax(logits, probabilities);
    for (float p : probabilities)
        std::printf("%.4f\n", p);
}
