// SPDX-License-Identifier: BSD-3-Clause
//
// Single rows by the public functions of log_softmax.hpp: the references of all comparisons bit by bit.
#pragma once

#include "support/rows.hpp"

#include <tarn/log_softmax.hpp>

namespace support {

inline std::vector<float> log_softmax_alone(tarn::tier t, const float* x, std::ptrdiff_t n, float scale = 1.0f,
                                            tarn::empty_row empty = tarn::empty_row::nan) {
    std::vector<float> y(static_cast<std::size_t>(n));
    tarn::log_softmax_options options;
    options.scale = scale;
    options.empty_row = empty;
    tarn::log_softmax(tarn::on(t), tarn::make_view(x, n), tarn::make_view(y.data(), n), options);
    return y;
}
inline float logsumexp_alone(tarn::tier t, const float* x, std::ptrdiff_t n, float scale = 1.0f) {
    float y = 0;
    tarn::logsumexp(tarn::on(t), tarn::make_view(x, n), y, {-1, scale});
    return y;
}
inline float logmeanexp_alone(tarn::tier t, const float* x, std::ptrdiff_t n, float scale = 1.0f) {
    float y = 0;
    tarn::logmeanexp(tarn::on(t), tarn::make_view(x, n), y, {-1, scale});
    return y;
}

} // namespace support
