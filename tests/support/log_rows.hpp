// SPDX-License-Identifier: BSD-3-Clause
//
// Single rows by the public functions of log_softmax.hpp: the references of all comparisons bit by bit.
#pragma once

#include "support/rows.hpp"

#include <tarn/log_softmax.hpp>

namespace support {

template <class T>
std::vector<T> log_softmax_alone(tarn::tier t, const T* x, std::ptrdiff_t n, double scale = 1,
                                 tarn::empty_row empty = tarn::empty_row::nan) {
    std::vector<T> y(static_cast<std::size_t>(n));
    tarn::log_softmax_options options;
    options.scale = scale;
    options.empty_row = empty;
    tarn::log_softmax(tarn::on(t), tarn::make_view(x, n), tarn::make_view(y.data(), n), options);
    return y;
}
template <class T> T logsumexp_alone(tarn::tier t, const T* x, std::ptrdiff_t n, double scale = 1) {
    T y = 0;
    tarn::logsumexp(tarn::on(t), tarn::make_view(x, n), y, {-1, scale});
    return y;
}
template <class T> T logmeanexp_alone(tarn::tier t, const T* x, std::ptrdiff_t n, double scale = 1) {
    T y = 0;
    tarn::logmeanexp(tarn::on(t), tarn::make_view(x, n), y, {-1, scale});
    return y;
}

} // namespace support
