// SPDX-License-Identifier: BSD-3-Clause
//
// SoftPool of a window by its definition, and what it is documented to be within.
#pragma once

#include "support/pooled.hpp"

#include <tarn/soft_pool.hpp>

#include <limits>

namespace support {

struct soft_result {
    long double value = 0;
    long double size = 0;            // sum w |x|
    long double faint[2] = {};       // of it, what has less than 2^-125 of the greatest weight, and less than 2^-399
    long double spread = 0;          // sum w |d| (1 + |t d|), d the distance from the greatest element
    std::vector<long double> weight; // of the members
};

// scale < 0: of the negatives.
inline soft_result soft_of(const window_members& w, const long double* map, long double scale) {
    soft_result r;
    if (w.index.empty())
        return r;
    const long double sign = scale < 0 ? -1 : 1;
    constexpr long double infinite = std::numeric_limits<long double>::infinity();
    long double greatest = -infinite;
    for (std::ptrdiff_t i : w.index) {
        greatest = std::max(greatest, sign * map[i]);
        if (std::isnan(map[i]))
            r.value = map[i];
    }
    if (std::isnan(r.value)) {
        r.weight.assign(w.index.size(), r.value);
        return r;
    }
    long double sum = 0;
    for (std::ptrdiff_t i : w.index) {
        const long double x = sign * map[i];
        const long double d = x == greatest ? 0 : x - greatest;
        r.weight.push_back(std::isinf(d) ? 0 : std::exp(std::fabs(scale) * d));
        sum += r.weight.back();
    }
    long double below = 0;
    for (std::size_t k = 0; k < w.index.size(); ++k) {
        const long double of_greatest = r.weight[k];
        r.weight[k] /= sum;
        const long double part = r.weight[k] == 0 ? 0 : r.weight[k] * std::fabs(map[w.index[k]]);
        r.size += part;
        r.faint[0] += of_greatest < 0x1p-125L ? part : 0;
        r.faint[1] += of_greatest < 0x1p-399L ? part : 0;
        if (r.weight[k] == 0 || sign * map[w.index[k]] == greatest)
            continue;
        const long double d = sign * map[w.index[k]] - greatest;
        below += r.weight[k] * d;
        r.spread += r.weight[k] * std::fabs(d) * (1 + std::fabs(scale * d));
    }
    r.value = sign * (greatest + below);
    return r;
}

// Whether all members are of the range in which windows are sums.
template <class T> bool is_ordinary(const window_members& w, const long double* map, long double scale) {
    constexpr bool doubles = sizeof(T) == 8;
    return std::all_of(w.index.begin(), w.index.end(), [&](std::ptrdiff_t i) {
        const long double x = std::fabs(map[i]);
        return x <= (doubles ? 0x1p200L : 0x1p20L) && x * std::fabs(scale) <= 47999;
    });
}

template <class T, class Out> double soft_bound(const soft_result& r, double steps, bool ordinary) {
    constexpr double u = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
    constexpr double step = sizeof(T) == 8 ? 0x1p-960 : 0x1p-100;
    const auto value = static_cast<double>(std::fabs(r.value));
    const double narrowed = sizeof(Out) == 2 ? unit_roundoff<Out> * value * 1.01 + 0x1p-25 : 0;
    if (ordinary) {
        const long double dropped = sizeof(T) == 8 ? r.faint[1] + 0x1p-1022L : r.faint[0] + 0x1p-126L;
        return u * 2 * steps * static_cast<double>(r.size) + static_cast<double>(dropped) + narrowed;
    }
    return u * (2 * value + 4 * steps * static_cast<double>(r.spread)) + steps * step + narrowed;
}

// Of all elements, [maps, elements], and what they are documented to be within.
struct soft_gradient {
    std::vector<long double> value, bound;
};
template <class T, class Gradients>
soft_gradient soft_gradient_of(const window_case& c, const std::vector<long double>& x, const Gradients& dy,
                               const tarn::soft_pool_options& options) {
    constexpr long double u = sizeof(T) == 8 ? 0x1p-53L : 0x1p-24L;
    constexpr long double least = sizeof(T) == 8 ? 0x1p-940L : 0x1p-90L;
    const auto windows = members_of(c);
    const auto n = static_cast<std::size_t>(product(c.in()));
    const long double steps = steps_of(c);
    const long double t = options.scale;
    soft_gradient r{std::vector<long double>(x.size()), std::vector<long double>(x.size())};
    std::vector<long double> members(x.size());
    for (std::size_t i = 0; i < dy.size(); ++i) {
        for (std::ptrdiff_t k : windows[i % windows.size()].index)
            members[i / windows.size() * n + static_cast<std::size_t>(k)] += 1;
    }
    for (std::size_t i = 0; i < dy.size(); ++i) {
        const std::size_t map = i / windows.size() * n;
        const window_members& w = windows[i % windows.size()];
        const soft_result s = soft_of(w, x.data() + map, t);
        const auto g = static_cast<long double>(static_cast<double>(dy[i]));
        long double greatest = -std::numeric_limits<long double>::infinity();
        for (std::ptrdiff_t k : w.index)
            greatest = std::max(greatest,
                                t < 0 ? -x[map + static_cast<std::size_t>(k)] : x[map + static_cast<std::size_t>(k)]);
        greatest = t < 0 ? -greatest : greatest;
        const bool near = std::all_of(w.index.begin(), w.index.end(), [&](std::ptrdiff_t k) {
            return std::fabs(t * x[map + static_cast<std::size_t>(k)]) <= 16.001L;
        });
        for (std::size_t k = 0; k < w.index.size(); ++k) {
            const std::size_t at = map + static_cast<std::size_t>(w.index[k]);
            const bool counts = s.weight[k] != 0;
            const auto distance = [&](long double a, long double b) {
                return a == b || !counts ? 0 : std::fabs(t * (a - b));
            };
            const long double part = g * s.weight[k];
            const long double from = !counts || x[at] == s.value ? 0 : t * (x[at] - s.value);
            r.value[at] += options.gradient == tarn::soft_pool_gradient::exact ? part * (1 + from) : part;
            const long double apart = 1 + distance(x[at], greatest) + distance(s.value, greatest);
            const long double large = 1 + std::fabs(t * x[at]) + std::fabs(t * s.value);
            const long double of = members[at];
            const long double bracket =
                std::max(of * apart + 4 * steps * apart * apart, near ? (of + 4 * steps) * large : 0);
            r.bound[at] += u * std::fabs(part) * bracket + least * (std::fabs(g) + 1);
        }
    }
    return r;
}

// Elements of every kind of spread, by turns.
inline std::vector<double> logits(std::ptrdiff_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    const double spread[] = {1, 1, 30, 0.01, 300};
    const double offset[] = {0, 60, 0, -1000, 1};
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& x : v)
        x = offset[seed % 5] + spread[seed % 5] * normal(random);
    return v;
}
inline double scale_of(unsigned seed) {
    const double scales[] = {1, 1, -1, 0.25, 0, 7, 1e-3, -40};
    return scales[seed / 5 % 8];
}

} // namespace support
