// SPDX-License-Identifier: BSD-3-Clause
//
// The three loops that everybody writes first. Compiled twice, with TARN_BENCH_PLAIN naming the function that the flags
// belong to.
#include <peers/peers.hpp>

#include <harness/machine.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bench::softmax_peers {
namespace {

// Stride is a compile-time 1 for rows and a number for columns.
template <class Stride> void softmax_lane(const float* x, float* y, std::ptrdiff_t n, Stride stride) {
    float greatest = -std::numeric_limits<float>::infinity();
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        greatest = std::max(greatest, x[i * stride]);
    }
    float sum = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        y[i * stride] = std::exp(x[i * stride] - greatest);
        sum += y[i * stride];
    }
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        y[i * stride] /= sum;
    }
}

void softmax_rows(const problem& of, const float* x, float* y) {
    for (std::ptrdiff_t row = 0; row < of.rows; ++row) {
        const std::ptrdiff_t begin = row * of.columns;
        softmax_lane(x + begin, y + begin, of.columns, std::integral_constant<std::ptrdiff_t, 1>());
    }
}

void softmax_columns(const problem& of, const float* x, float* y) {
    for (std::ptrdiff_t column = 0; column < of.columns; ++column) {
        softmax_lane(x + column, y + column, of.rows, of.columns);
    }
}

} // namespace

method_list TARN_BENCH_PLAIN(const problem& of) {
    method result;
    result.name = TARN_BENCH_PLAIN_NAME;
    result.kind = role::peer;
    result.version = compiler_version();
    result.year = compiler_year();
    result.run = [of](const float* x, float* y) { of.axis == 0 ? softmax_columns(of, x, y) : softmax_rows(of, x, y); };
    return {result};
}

} // namespace bench::softmax_peers
