// SPDX-License-Identifier: BSD-3-Clause
//
// The generalized mean of a window by its definition, what it is documented to be within, and powers to try.
#pragma once

#include "support/pooled.hpp"

#include <algorithm>
#include <limits>

namespace support {

inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

// The definition, by logarithms relative to the greatest power, so that nothing overflows; for small p by the centred
// form, ln y = mean + log1p(mean of expm1(p (ln x - mean))) / p.
inline long double power_mean(const std::vector<double>& elements, double p, double epsilon) {
    if (elements.empty())
        return 0;
    std::vector<long double> log;
    bool infinite = false;
    for (double x : elements) {
        if (std::isnan(x))
            return nan_value;
        infinite = infinite || x == inf;
        log.push_back(std::log(static_cast<long double>(x > epsilon ? x : epsilon)));
    }
    const auto n = static_cast<long double>(log.size());
    const long double greatest = *std::max_element(log.begin(), log.end());
    const long double least = *std::min_element(log.begin(), log.end());
    if (std::isinf(p) || std::fabs(p) > 0x1p40) {
        const double x = p > 0 ? *std::max_element(elements.begin(), elements.end())
                               : *std::min_element(elements.begin(), elements.end());
        return x > epsilon ? x : epsilon;
    }
    if (p >= 0 && infinite)
        return inf;
    long double sum = 0;
    if (!infinite && std::fabs(p) < 0.01) {
        for (long double l : log)
            sum += l;
        const long double mean = sum / n;
        if (p == 0)
            return std::exp(mean);
        sum = 0;
        for (long double l : log)
            sum += std::expm1(p * (l - mean));
        return std::exp(mean + std::log1p(sum / n) / p);
    }
    const long double top = p > 0 ? greatest : least;
    if (std::isinf(top))
        return inf;
    for (long double l : log)
        sum += std::isinf(l) ? 0 : std::exp(p * (l - top));
    return std::exp(top + std::log(sum / n) / p);
}

// What the page promises, relative to the result.
// steps: see steps_of.
template <class T, class Out>
double gem_bound(const std::vector<double>& elements, double steps, double p, double epsilon) {
    constexpr double out = sizeof(Out) == 8                          ? 0
                           : sizeof(Out) == 4                        ? 0x1.004p-24
                           : std::is_same<Out, tarn::float16>::value ? 0x1.01p-11
                                                                     : 0x1.01p-8;
    if (sizeof(T) < 8) {
        const bool quick = std::fabs(p) > 1 && std::fabs(p) <= 7 && p != 2 && p != 3 && p != 4;
        return quick ? out + 0x1p-24 * (0.75 + 1.5 / std::fabs(p)) : out;
    }
    if (std::fabs(p) > 0x1p40)
        return 0;
    const bool infinite = std::find(elements.begin(), elements.end(), inf) != elements.end();
    if (std::fabs(p) > 0x1p-11 || (infinite && p < 0))
        return 0x1p-51 + (0x1p-50 + steps * 0x1p-53) / std::fabs(p);
    double m = 0;
    for (double x : elements)
        m = std::max(m, x == inf ? 0.0 : std::fabs(std::log2(std::max(x, epsilon))));
    return 0x1p-52 + (0x1p-51 + steps * 0x1p-53) * m;
}

inline constexpr double powers[] = {-inf, -300,  -10,  -7,   -3,   -1,  -0.3, -1e-3, -3e-4, -1e-5, -1e-200,
                                    0,    1e-30, 1e-5, 4e-4, 1e-3, 0.1, 0.5,  1,     2,     2.37,  3,
                                    4,    5,     7,    7.5,  10,   60,  100,  1e6,   1e12,  1e30,  inf};

// So many numbers from 2^low to 2^high.
inline std::vector<double> between(std::ptrdiff_t n, unsigned seed, double low, double high) {
    std::mt19937 random(seed);
    std::vector<double> v(static_cast<std::size_t>(n));
    std::uniform_real_distribution<double> exponent(low, high);
    for (double& x : v)
        x = std::exp2(exponent(random));
    return v;
}

} // namespace support
