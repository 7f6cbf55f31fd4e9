// SPDX-License-Identifier: BSD-3-Clause
//
// Exact logarithms of the softmax, and of sums of exponentials, in long double, and the distance of floats from them.
// The greatest logit is taken out first, so nothing is lost next to 0. Shares nothing with the library.
#pragma once

#include "support/oracle.hpp"

#include <cfloat>

namespace support {

// log sum_j exp(scale * x_j) = top + excess, where top = scale * x_greatest.
struct exact_log_sum {
    std::ptrdiff_t greatest = 0;
    long double top, excess;

    // Finite logits and -inf, at least one of them finite.
    template <class T> exact_log_sum(const T* x, std::ptrdiff_t n, double scale, std::ptrdiff_t stride = 1) {
        const long double s = scale;
        top = -std::numeric_limits<long double>::infinity();
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const long double v = s * static_cast<long double>(x[i * stride]);
            if (v > top) {
                top = v;
                greatest = i;
            }
        }
        excess = remembered(key_of(x, n, scale, stride), 1, [=, first = greatest] {
            long double rest = 0;
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                const long double t = below_top(x[i * stride], x[first * stride], s);
                rest += i == first || t < -11000 ? 0.0L : std::exp(t);
            }
            return std::log1p(rest);
        });
    }
    template <class T> static long double below_top(T v, T greatest, long double scale) {
        return scale * (static_cast<long double>(v) - static_cast<long double>(greatest));
    }
};

// log of the softmax for finite logits and -inf. Logits further below the greatest than floats reach give -inf.
template <class T>
std::vector<long double> exact_log_softmax(const T* x, std::ptrdiff_t n, double scale, std::ptrdiff_t stride = 1) {
    constexpr long double most = std::numeric_limits<T>::max();
    const exact_log_sum sum(x, n, scale, stride);
    const T greatest = x[sum.greatest * stride];
    std::vector<long double> y;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const T v = x[i * stride];
        const long double gap = static_cast<long double>(greatest) - static_cast<long double>(v);
        y.push_back(scale != 0 && std::fabs(gap) > most ? -std::numeric_limits<long double>::infinity()
                                                        : exact_log_sum::below_top(v, greatest, scale) - sum.excess);
    }
    return y;
}

// The same for any logits: NaN or +inf after scaling makes the row NaN, a row of -inf becomes `empty`.
template <class T>
std::vector<long double> specified_log_softmax(const T* x, std::ptrdiff_t n, double scale, long double empty) {
    const row_content has(x, n, scale);
    const bool nan = has.nan || has.infinite;
    if (nan || has.empty)
        return std::vector<long double>(static_cast<std::size_t>(n),
                                        nan ? std::numeric_limits<long double>::quiet_NaN() : empty);
    return exact_log_softmax(x, n, scale);
}

// |y - exact| in units of the last place of a number as large as `size`.
template <class T> double units_between(T y, long double exact, long double size) {
    using limits = std::numeric_limits<T>;
    constexpr int least = limits::min_exponent - 1;
    const int exponent = size == 0 ? least : std::max(std::ilogb(size), least);
    return static_cast<double>(std::fabs(static_cast<long double>(y) - exact) /
                               std::ldexp(1.0L, exponent + 1 - limits::digits));
}

// The error of a log-probability in ulp: infinite if it breaks the rules. None is above 0, and those smaller than
// the smallest normal number are 0; within 1e-6 of that bound they may go either way.
template <class T> double log_error(T y, long double exact) {
    using limits = std::numeric_limits<T>;
    constexpr double broken = std::numeric_limits<double>::infinity();
    if (std::isnan(exact))
        return std::isnan(y) ? 0.0 : broken;
    if (!(y <= 0) || (y < 0 && y > -limits::min()))
        return broken;
    if (std::isinf(y))
        return exact < -static_cast<long double>(limits::max()) ? 0.0 : broken;
    if (y == 0)
        return exact > -least_normal_of<T> * (1 + 1e-6L) ? 0.0 : broken;
    if (std::isinf(exact) || exact > -least_normal_of<T> * (1 - 1e-6L))
        return broken;
    return units_between(y, exact, exact);
}
template <class T>
double worst_log_error(const T* y, const std::vector<long double>& exact, std::ptrdiff_t stride = 1) {
    double worst = 0;
    for (std::size_t i = 0; i < exact.size(); ++i)
        worst = std::max(worst, log_error(y[static_cast<std::ptrdiff_t>(i) * stride], exact[i]));
    return worst;
}

// The error of the logarithm of a sum, `offset` added: in ulp of the largest of the result and the terms it is made of.
template <class T> double log_sum_error(T y, const exact_log_sum& exact, long double offset = 0) {
    const long double value = exact.top + exact.excess + offset;
    if (std::isinf(y))
        return std::fabs(value) > static_cast<long double>(std::numeric_limits<T>::max()) && (y > 0) == (value > 0)
                   ? 0.0
                   : std::numeric_limits<double>::infinity();
    if (std::isnan(y))
        return std::numeric_limits<double>::infinity();
    return units_between(y, value, std::max({std::fabs(value), std::fabs(exact.top), exact.excess}));
}
// The same for any logits: NaN for NaN, +inf for +inf after scaling, -inf for a row of -inf.
template <class T>
double specified_log_sum_error(T y, const T* x, std::ptrdiff_t n, double scale, long double offset = 0) {
    const row_content has(x, n, scale);
    const auto is = [](bool right) { return right ? 0.0 : std::numeric_limits<double>::infinity(); };
    if (has.nan)
        return is(std::isnan(y));
    if (has.infinite)
        return is(y == std::numeric_limits<T>::infinity());
    if (has.empty)
        return is(y == -std::numeric_limits<T>::infinity());
    return log_sum_error(y, exact_log_sum(x, n, scale), offset);
}

} // namespace support
