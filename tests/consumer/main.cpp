// SPDX-License-Identifier: BSD-3-Clause
//
// usage: main [--alone] [--expect-tier sse2|avx2|avx512]
//
// What every project that uses tarn is tested with: calls it, checks the results, tells the best tier of this CPU.
// --alone: makes no call of the other file, which may be compiled for another CPU.
#include "sum.hpp"

#include <tarn/range.hpp>
#include <tarn/softmax.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

namespace {

int failures = 0;

void check(bool holds, const char* what) {
    if (!holds) {
        std::printf("FAILED: %s\n", what);
        ++failures;
    }
}

const char* best_tier() {
    if (tarn::available(tarn::tier::avx512))
        return "avx512";
    return tarn::available(tarn::tier::avx2) ? "avx2" : "sse2";
}

} // namespace

int main(int argc, char** argv) {
    bool alone = false;
    const char* expected_tier = best_tier();
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--alone") == 0)
            alone = true;
        else if (std::strcmp(argv[i], "--expect-tier") == 0 && i + 1 < argc)
            expected_tier = argv[++i];
    }

    const std::vector<float> x{1.0f, 2.0f, 3.0f};
    std::vector<float> y(3);
    tarn::softmax(x, y);
    check(std::abs(y[0] + y[1] + y[2] - 1.0f) < 1e-6f, "the sum is 1");
    check(std::abs(y[0] - 0.09003057f) < 1e-6f && std::abs(y[2] - 0.66524096f) < 1e-6f,
          "the values are those of softmax");
    if (!alone)
        check(std::abs(sum_of_softmax(x.data(), 3) - 1.0f) < 1e-6f, "the sum is 1 in another file");

    const float infinity = std::numeric_limits<float>::infinity();
    tarn::softmax(std::vector<float>{0.0f, -infinity, 0.0f}, y);
    check(y[0] == 0.5f && y[1] == 0.0f && y[2] == 0.5f, "-inf has no weight");
    tarn::softmax(std::vector<float>{0.0f, std::numeric_limits<float>::quiet_NaN(), 0.0f}, y);
    check(std::isnan(y[0]) && std::isnan(y[1]) && std::isnan(y[2]), "NaN makes the row NaN");

    check(std::strcmp(best_tier(), expected_tier) == 0, "the expected tier is the best");
    std::printf("best tier %s, %d failures\n", best_tier(), failures);
    return failures != 0;
}
