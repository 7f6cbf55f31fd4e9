// SPDX-License-Identifier: BSD-3-Clause
//
// The exact softmax of the given floats or doubles in long double (64-bit significand), and the distance of a result from
// it.
// Shares nothing with the library.
#pragma once

#include "support/remembered.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace support {

// The smallest normal number.
template <class T> constexpr long double least_normal_of = std::numeric_limits<T>::min();
constexpr long double least_normal = least_normal_of<float>;

// exp(scale * (x - greatest)), no digit lost on the way to the exponential: its argument may be large.
template <class T> long double exact_weight(T x, T greatest, long double scale) {
    const long double p = x;
    const long double q = greatest;
    const long double d = p - q;
    const long double q_rounded = p - d;
    const long double d_lost = (p - (d + q_rounded)) - (q - q_rounded);
    const long double t = scale * d;
    if (!(t > -11000))
        return t < 0 ? 0.0L : t;
    const long double t_lost = std::fma(scale, d, -t) + scale * d_lost;
    const long double e = std::exp(t);
    return e + e * t_lost;
}

template <class T> argument_key key_of(const T* x, std::ptrdiff_t n, double scale, std::ptrdiff_t stride) {
    argument_key key;
    key.add(scale);
    for (std::ptrdiff_t i = 0; i < n; ++i)
        key.add(x[i * stride]);
    return key;
}

// exp(scale * x_i) / sum_j exp(scale * x_j) for finite logits and -inf.
template <class T>
std::vector<long double> exact_softmax(const T* x, std::ptrdiff_t n, double scale, std::ptrdiff_t stride = 1) {
    return remembered(key_of(x, n, scale, stride), static_cast<std::size_t>(n), [=] {
        const long double s = scale;
        std::ptrdiff_t greatest = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            if (s * static_cast<long double>(x[i * stride]) > s * static_cast<long double>(x[greatest * stride]))
                greatest = i;
        }
        std::vector<long double> y(static_cast<std::size_t>(n));
        long double sum = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            long double& e = y[static_cast<std::size_t>(i)];
            e = exact_weight(x[i * stride], x[greatest * stride], s);
            sum += e;
        }
        for (long double& e : y)
            e /= sum;
        return y;
    });
}

// What scaled logits hold that decides about the whole row.
struct row_content {
    bool nan = false;      // a NaN
    bool infinite = false; // +inf
    bool empty = true;     // -inf and nothing else

    template <class T> row_content(const T* x, std::ptrdiff_t n, double scale) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const long double v = static_cast<long double>(scale) * static_cast<long double>(x[i]);
            nan = nan || std::isnan(v);
            infinite = infinite || v == std::numeric_limits<long double>::infinity();
            empty = empty && v == -std::numeric_limits<long double>::infinity();
        }
    }
};

// The same for any logits: NaN or +inf after scaling makes the row NaN, a row of -inf becomes `empty`.
template <class T>
std::vector<long double> specified_softmax(const T* x, std::ptrdiff_t n, double scale, long double empty) {
    const row_content has(x, n, scale);
    const bool nan = has.nan || has.infinite;
    if (nan || has.empty)
        return std::vector<long double>(static_cast<std::size_t>(n),
                                        nan ? std::numeric_limits<long double>::quiet_NaN() : empty);
    return exact_softmax(x, n, scale);
}

// The error of a result in units in the last place of a number near `exact`: infinite if it breaks the rules. Results
// below the smallest normal number are +0; within 1e-6 of that bound they may go either way, but none is denormal.
template <class T> double ulp_error(T y, long double exact) {
    using limits = std::numeric_limits<T>;
    constexpr double broken = std::numeric_limits<double>::infinity();
    if (std::isnan(exact))
        return std::isnan(y) ? 0.0 : broken;
    if (!(y >= 0) || std::signbit(y) || (y > 0 && y < limits::min()))
        return broken;
    if (y == 0)
        return exact < least_normal_of<T> * (1 + 1e-6L) ? 0.0 : broken;
    if (exact < least_normal_of<T> * (1 - 1e-6L))
        return broken;
    const int exponent = std::max(std::ilogb(exact), limits::min_exponent - 1);
    return static_cast<double>(std::fabs(static_cast<long double>(y) - exact) /
                               std::ldexp(1.0L, exponent + 1 - limits::digits));
}

// The worst error of a row.
template <class T> double worst_error(const T* y, const std::vector<long double>& exact, std::ptrdiff_t stride = 1) {
    double worst = 0;
    for (std::size_t i = 0; i < exact.size(); ++i)
        worst = std::max(worst, ulp_error(y[static_cast<std::ptrdiff_t>(i) * stride], exact[i]));
    return worst;
}

inline std::uint64_t bits_of(double v) {
    std::uint64_t b;
    std::memcpy(&b, &v, sizeof b);
    return b;
}
inline std::uint32_t bits_of(float v) {
    std::uint32_t b;
    std::memcpy(&b, &v, sizeof b);
    return b;
}
inline float float_of(std::uint32_t b) {
    float v;
    std::memcpy(&v, &b, sizeof v);
    return v;
}

// Steps from one positive float to another.
inline std::int64_t steps_between(float a, float b) {
    const auto d = static_cast<std::int64_t>(bits_of(a)) - static_cast<std::int64_t>(bits_of(b));
    return d < 0 ? -d : d;
}

} // namespace support
