// SPDX-License-Identifier: BSD-3-Clause
#include <harness/exact.hpp>

#include <algorithm>
#include <cmath>

namespace bench {
namespace {

constexpr long double nan = std::numeric_limits<long double>::quiet_NaN();
constexpr long double least_normal = std::numeric_limits<float>::min();

// The exponential is double's: its error, 2^-53 and that of the difference, does not show at 2^-24.
long double exp_of_difference(float a, float b) { return std::exp(static_cast<double>(a) - static_cast<double>(b)); }

} // namespace

exact_lane::exact_lane(const problem& of, const operands& lane) : of_(of), lane_(lane) {
    switch (of.what) {
    case op::softmax:
    case op::log_softmax:
    case op::logsumexp:
        sum_exponentials();
        break;
    case op::softmax_backward:
    case op::log_softmax_backward:
        sum_gradients();
        break;
    case op::logsumexp_backward:
        break;
    }
}

void exact_lane::sum_exponentials() {
    const float* x = lane_.in[0];
    const std::ptrdiff_t stride = of_.element_stride();
    std::ptrdiff_t place = 0;
    for (std::ptrdiff_t i = 0; i < of_.lane_length(); ++i) {
        has_nan_ = has_nan_ || std::isnan(x[i * stride]);
        place = x[i * stride] > x[place * stride] ? i : place;
    }
    greatest_ = x[place * stride];
    for (std::ptrdiff_t i = 0; has_softmax() && i < of_.lane_length(); ++i) {
        others_ += i == place ? 0 : exp_of_difference(x[i * stride], greatest_);
    }
    log_of_sum_ = std::log1p(others_);
}

void exact_lane::sum_gradients() {
    for (std::ptrdiff_t i = 0; i < of_.lane_length(); ++i) {
        const std::ptrdiff_t k = i * of_.element_stride();
        const long double weight = of_.what == op::softmax_backward ? lane_.in[0][k] : 1.0F;
        const long double term = weight * lane_.in[1][k];
        sum_ += term;
        sum_of_magnitudes_ += std::fabs(term);
    }
}

bool exact_lane::has_softmax() const { return !has_nan_ && std::isfinite(greatest_); }

long double exact_lane::softmax(float x) const {
    return has_softmax() ? exp_of_difference(x, greatest_) / (1 + others_) : nan;
}

// Two terms that are not above 0: nothing cancels, so the result is as exact as its terms.
long double exact_lane::log_softmax(float x) const {
    return has_softmax() ? (static_cast<long double>(x) - greatest_) - log_of_sum_ : nan;
}

// Its parts may cancel: the largest one counts.
exact_result exact_lane::logsumexp() const {
    const long double greatest = greatest_;
    const long double value = has_nan_ ? nan : std::isinf(greatest) ? greatest : greatest + log_of_sum_;
    return {value, std::max({std::fabs(value), std::fabs(greatest), log_of_sum_}), 0};
}

// Softmaxes and gradients that are no normal floats may be 0 or denormal, logarithms of softmaxes need no more than an
// error of 2^-52. Gradients are differences; what is subtracted counts.
exact_result exact_lane::at(std::ptrdiff_t i) const {
    const std::ptrdiff_t k = i * of_.element_stride();
    const float x = lane_.in[0][k];
    switch (of_.what) {
    case op::softmax:
        return {softmax(x), softmax(x), least_normal};
    case op::log_softmax:
        return {log_softmax(x), log_softmax(x), 0x1p-52L};
    case op::logsumexp:
        return logsumexp();
    case op::softmax_backward: {
        const long double dy = lane_.in[1][k];
        return {x * (dy - sum_), x * (std::fabs(dy) + sum_of_magnitudes_), least_normal};
    }
    case op::log_softmax_backward: {
        const long double dy = lane_.in[1][k];
        const long double weight = std::exp(static_cast<long double>(x));
        return {dy - weight * sum_, std::fabs(dy) + weight * sum_of_magnitudes_, least_normal};
    }
    case op::logsumexp_backward: {
        const long double value = *lane_.in[2] * std::exp(static_cast<long double>(x) - *lane_.in[1]);
        return {value, value, least_normal};
    }
    }
    return {nan, nan, 0};
}

} // namespace bench
