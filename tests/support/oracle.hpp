// SPDX-License-Identifier: BSD-3-Clause
//
// The exact softmax of the given floats in long double (64-bit significand), and the distance of a float from it.
// Shares nothing with the library.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace support {

constexpr long double least_normal = 0x1p-126L;

// exp(scale * x_i) / sum_j exp(scale * x_j) for finite logits and -inf.
inline std::vector<long double> exact_softmax(const float* x, std::ptrdiff_t n, float scale,
                                              std::ptrdiff_t stride = 1) {
    const long double s = scale;
    long double greatest = -std::numeric_limits<long double>::infinity();
    for (std::ptrdiff_t i = 0; i < n; ++i)
        greatest = std::fmax(greatest, s * static_cast<long double>(x[i * stride]));
    std::vector<long double> y(static_cast<std::size_t>(n));
    long double sum = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        long double& e = y[static_cast<std::size_t>(i)];
        const long double t = s * static_cast<long double>(x[i * stride]) - greatest;
        e = t < -11000 ? 0.0L : std::exp(t);
        sum += e;
    }
    for (long double& e : y)
        e /= sum;
    return y;
}

// What scaled logits hold that decides about the whole row.
struct row_content {
    bool nan = false;      // a NaN
    bool infinite = false; // +inf
    bool empty = true;     // -inf and nothing else

    row_content(const float* x, std::ptrdiff_t n, float scale) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const long double v = static_cast<long double>(scale) * static_cast<long double>(x[i]);
            nan = nan || std::isnan(v);
            infinite = infinite || v == std::numeric_limits<long double>::infinity();
            empty = empty && v == -std::numeric_limits<long double>::infinity();
        }
    }
};

// The same for any logits: NaN or +inf after scaling makes the row NaN, a row of -inf becomes `empty`.
inline std::vector<long double> specified_softmax(const float* x, std::ptrdiff_t n, float scale, long double empty) {
    const row_content has(x, n, scale);
    const bool nan = has.nan || has.infinite;
    if (nan || has.empty)
        return std::vector<long double>(static_cast<std::size_t>(n),
                                        nan ? std::numeric_limits<long double>::quiet_NaN() : empty);
    return exact_softmax(x, n, scale);
}

// The error of a result in units in the last place of a float near `exact`: infinite if it breaks the rules. Results
// below 2^-126 are +0; within 1e-6 of that bound they may go either way, but none is denormal.
inline double ulp_error(float y, long double exact) {
    constexpr double broken = std::numeric_limits<double>::infinity();
    if (std::isnan(exact))
        return std::isnan(y) ? 0.0 : broken;
    if (!(y >= 0.0f) || std::signbit(y) || (y > 0.0f && y < 0x1p-126f))
        return broken;
    if (y == 0.0f)
        return exact < least_normal * (1 + 1e-6L) ? 0.0 : broken;
    if (exact < least_normal * (1 - 1e-6L))
        return broken;
    const int exponent = std::max(std::ilogb(exact), -126);
    return static_cast<double>(std::fabs(static_cast<long double>(y) - exact) / std::ldexp(1.0L, exponent - 23));
}

// The worst error of a row.
inline double worst_error(const float* y, const std::vector<long double>& exact, std::ptrdiff_t stride = 1) {
    double worst = 0;
    for (std::size_t i = 0; i < exact.size(); ++i)
        worst = std::max(worst, ulp_error(y[static_cast<std::ptrdiff_t>(i) * stride], exact[i]));
    return worst;
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
