// SPDX-License-Identifier: BSD-3-Clause
//
// adaPool of a window by its definition, what it is documented to be within, and windows that are special.
#pragma once

#include "support/soft_pooled.hpp"

#include <algorithm>
#include <limits>

namespace support {

// Special elements, and such that sums, products and quotients come next to denormal numbers.
constexpr float special_windows[][4] = {
    {std::numeric_limits<float>::quiet_NaN(), 1, 2, 3},
    {std::numeric_limits<float>::infinity(), 1, 2, std::numeric_limits<float>::infinity()},
    {-std::numeric_limits<float>::infinity(), 1, 2, 3},
    {-std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
     -std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()},
    {0, 0, 0, 0},
    {1, -1, 0, 0},
    {0, 5, 0, 0},
    {1e30f, 1, -3, 1e30f},
    {-90, 20, 3, 1},
    {1e-30f, 2e-30f, 3e-30f, 0},
    {3e38f, 3e38f, 3e38f, 1}};
constexpr float windows_near_denormals[][4] = {{0x1p-126f, -0x1p-126f, 0x1.8p-125f, 0},
                                               {0, -80, -87, -60},
                                               {1, 0x1.000002p0f, -0x1p-100f, -0x1p-126f},
                                               {0x1p-20f, -0x1p-20f, 0x1.000002p-59f, 0x1p-60f},
                                               {24, -24, 0x1p-24f, -23.99999f},
                                               {1e12f, 1e-18f, -1e12f, 3e-18f},
                                               {1e-20f, 2e-38f, 3e10f, -2e38f}};

struct ada_result {
    long double mean = 0, size = 0; // of the members, and of their magnitudes
    long double similar = 0;        // eDSCW
    long double soft = 0;           // eM
    long double spread = 0;         // of soft: distances from the greatest, or the mean where magnitudes are at most 24
    std::vector<long double> weight, exponential; // of the members: shares of the two averages
    bool infinite = false;                        // an element is an infinity, or NaN
};

inline ada_result ada_of(const window_members& w, const long double* map) {
    ada_result r;
    if (w.index.empty())
        return r;
    const auto n = static_cast<long double>(w.index.size());
    for (std::ptrdiff_t i : w.index) {
        r.mean += map[i] / n;
        r.size += std::fabs(map[i]) / n;
    }
    r.infinite = !std::isfinite(r.mean);
    const soft_result soft = soft_of(w, map, 1);
    r.soft = soft.value;
    r.exponential = soft.weight;
    long double sum = 0;
    long double above = 0;
    for (std::ptrdiff_t i : w.index) {
        const long double x = map[i];
        const long double s = x == 0 || r.mean == 0 ? 0 : 2 / (std::fabs(x / r.mean) + std::fabs(r.mean / x));
        r.weight.push_back(std::exp(s));
        sum += r.weight.back();
        above += r.weight.back() * (x - r.mean);
    }
    for (long double& v : r.weight)
        v /= sum;
    r.similar = r.infinite ? r.mean : r.mean + above / sum;
    long double greatest = -std::numeric_limits<long double>::infinity();
    bool ordinary = true;
    for (std::ptrdiff_t i : w.index) {
        greatest = std::max(greatest, map[i]);
        ordinary = ordinary && std::fabs(map[i]) <= 24;
    }
    for (std::size_t k = 0; k < w.index.size(); ++k) {
        const long double x = map[w.index[k]];
        if (r.exponential[k] == 0)
            continue;
        const long double d = std::max(x == greatest ? 0 : greatest - x, ordinary ? std::fabs(x - r.mean) : 0);
        r.spread += r.exponential[k] * d * (1 + d);
    }
    return r;
}

// The share of eDSCW that counts.
template <class T> long double share_of(double beta) {
    const double least = sizeof(T) == 8 ? 0x1p-480 : 0x1p-60;
    return beta < least ? 0 : beta > 1 ? 1 : sizeof(T) == 8 ? beta : static_cast<double>(static_cast<float>(beta));
}
template <class T> long double mixed_of(const ada_result& r, long double share) {
    return share == 0 ? r.soft : share == 1 || r.infinite ? r.similar : share * r.similar + (1 - share) * r.soft;
}
template <class T, class Out> double ada_bound(const ada_result& r, long double share, double steps) {
    constexpr long double u = sizeof(T) == 8 ? 0x1p-53L : 0x1p-24L;
    constexpr long double step = sizeof(T) == 8 ? 0x1p-960L : 0x1p-100L;
    constexpr long double least = sizeof(T) == 8 ? 0x1p-1022L : 0x1p-126L;
    const long double similar = u * (2 * std::fabs(r.similar) + 8 * steps * r.size);
    const long double soft = u * (2 * std::fabs(r.soft) + 4 * steps * r.spread) + steps * step;
    const long double mixed = share == 0 || share == 1 ? 0 : u * (std::fabs(r.similar) + std::fabs(r.soft));
    const long double value = std::fabs(mixed_of<T>(r, share));
    const long double narrowed = sizeof(Out) == 2 ? unit_roundoff<Out> * value * 1.01L + 0x1p-25L : 0;
    const long double of_share = share == 0 ? 0 : share * similar;
    return static_cast<double>(of_share + (share == 1 ? 0 : (1 - share) * soft) + mixed + narrowed + least);
}

// Shares of a window's members, and what they are documented to be within. The similarity with a mean that cancels is
// hardly known: its weight is within a factor of e.
struct ada_weights {
    std::vector<long double> weight, bound;
};
template <class T>
ada_weights unpooled_of(const window_members& w, const long double* map, long double share, double steps) {
    constexpr long double u = sizeof(T) == 8 ? 0x1p-53L : 0x1p-24L;
    constexpr long double infinite = std::numeric_limits<long double>::infinity();
    const ada_result r = ada_of(w, map);
    const long double cancelled = r.mean == 0 ? r.size == 0 ? 1 : 1 / u : std::min(1 / u, r.size / std::fabs(r.mean));
    long double greatest = -infinite;
    long double equal = 0;
    for (std::ptrdiff_t i : w.index) {
        greatest = std::max(greatest, map[i]);
        equal += map[i] == r.mean;
    }
    long double furthest = 0;
    for (std::size_t k = 0; k < w.index.size(); ++k) {
        if (r.exponential[k] > 0 && map[w.index[k]] != greatest)
            furthest = std::max(furthest, greatest - map[w.index[k]]);
    }
    ada_weights s;
    for (std::size_t k = 0; k < w.index.size(); ++k) {
        const long double x = map[w.index[k]];
        const long double similar = std::isinf(r.mean) ? (x == r.mean ? 1 / equal : 0) : r.weight[k];
        const long double soft = r.exponential[k];
        const long double of_similar = share == 0 ? 0 : share * similar;
        const long double of_soft = share == 1 ? 0 : (1 - share) * soft;
        s.weight.push_back(std::isnan(r.mean) && share > 0 ? r.mean : of_similar + of_soft);
        const long double rounded = std::isinf(r.mean) ? 8 * u : 8 * u + std::min(8 * steps * u * cancelled, 2.0L);
        s.bound.push_back(of_similar * rounded + of_soft * u * (4 + 4 * steps * (1 + furthest) * (1 + furthest)));
    }
    return s;
}

// Beta as a number for all windows, or as a map for those of each place.
struct beta_case {
    bool regional = false, doubles = false;
    std::vector<std::ptrdiff_t> extent; // of the map, 1 where it is repeated
    std::vector<double> value;

    // Of a window among those of a map.
    double of(std::ptrdiff_t window, const std::vector<std::ptrdiff_t>& out) const {
        return stored(value[index_of(window, out)]);
    }
    std::size_t index_of(std::ptrdiff_t window, const std::vector<std::ptrdiff_t>& out) const {
        if (!regional)
            return 0;
        std::ptrdiff_t at = 0;
        std::ptrdiff_t step = 1;
        for (std::size_t i = out.size(); i-- > 0; window /= out[i]) {
            if (extent[i] != 1)
                at += window % out[i] * step;
            step *= extent[i];
        }
        return static_cast<std::size_t>(at);
    }
    double stored(double v) const { return doubles ? v : static_cast<double>(static_cast<float>(v)); }
};
template <class Random> beta_case random_beta(Random& random, const std::vector<std::ptrdiff_t>& out, bool doubles) {
    const double values[] = {0, 1, -0.5, 2, 0.5, 0.25, 1e-3, 1e-30, 0.75};
    const auto pick = [&] {
        return random() % 3 == 0 ? values[random() % 9]
                                 : static_cast<double>(std::uniform_real_distribution<float>()(random));
    };
    beta_case b;
    b.doubles = doubles;
    b.regional = random() % 3 != 0;
    if (!b.regional) {
        b.value = {pick()};
        return b;
    }
    for (std::ptrdiff_t n : out)
        b.extent.push_back(random() % 4 == 0 ? 1 : n);
    for (std::ptrdiff_t i = 0; i < product(b.extent); ++i)
        b.value.push_back(pick());
    return b;
}
// f(beta as an operand, its gradient), numbers between guard pages; the gradient is `gradient` before and after.
template <class B, class F> void with_beta_of(const beta_case& b, std::vector<double>& gradient, F f) {
    const auto count = static_cast<std::ptrdiff_t>(b.value.size());
    guarded_numbers<B> memory(count);
    guarded_numbers<B> of_gradient(count);
    B* const p = memory.against_end(count);
    B* const q = of_gradient.against_end(count);
    for (std::size_t i = 0; i < b.value.size(); ++i) {
        p[i] = static_cast<B>(b.value[i]);
        q[i] = static_cast<B>(gradient[i]);
    }
    const auto& n = b.extent;
    if (!b.regional)
        f(*p, *q);
    else if (n.size() == 1)
        f(tarn::make_view(p, n[0]), tarn::make_view(q, n[0]));
    else if (n.size() == 2)
        f(tarn::make_view(p, n[0], n[1]), tarn::make_view(q, n[0], n[1]));
    else
        f(tarn::make_view(p, n[0], n[1], n[2]), tarn::make_view(q, n[0], n[1], n[2]));
    for (std::size_t i = 0; i < b.value.size(); ++i)
        gradient[i] = static_cast<double>(q[i]);
}
template <class F> void with_beta(const beta_case& b, std::vector<double>& gradient, F f) {
    if (b.doubles)
        with_beta_of<double>(b, gradient, f);
    else
        with_beta_of<float>(b, gradient, f);
}
template <class F> void with_beta(const beta_case& b, F f) {
    std::vector<double> none(b.value.size());
    with_beta(b, none, [&](const auto& beta, const auto&) { f(beta); });
}

// Of all elements, [maps, elements], of the betas, and what they are documented to be within.
struct ada_gradient {
    std::vector<long double> value, bound, of_beta, bound_of_beta;
};
// beta: null for eDSCW.
template <class T, class Gradients>
ada_gradient ada_gradient_of(const window_case& c, const std::vector<long double>& x, const Gradients& dy,
                             const beta_case* beta) {
    constexpr long double u = sizeof(T) == 8 ? 0x1p-53L : 0x1p-24L;
    constexpr long double least = sizeof(T) == 8 ? 0x1p-940L : 0x1p-90L;
    const auto windows = members_of(c);
    const auto map_size = static_cast<std::size_t>(product(c.in()));
    const long double steps = steps_of(c);
    ada_gradient r{std::vector<long double>(x.size()), std::vector<long double>(x.size()), {}, {}};
    if (beta) {
        r.of_beta.resize(beta->value.size());
        r.bound_of_beta.resize(beta->value.size());
    }
    std::vector<long double> members(x.size());
    std::vector<long double> size(x.size());
    for (std::size_t i = 0; i < dy.size(); ++i) {
        const std::size_t map = i / windows.size() * map_size;
        const window_members& w = windows[i % windows.size()];
        const auto window = static_cast<std::ptrdiff_t>(i % windows.size());
        const auto g = static_cast<long double>(static_cast<double>(dy[i]));
        const long double share = beta ? share_of<T>(beta->of(window, c.out())) : 1;
        const ada_result s = ada_of(w, x.data() + map);
        if (w.index.empty())
            continue;
        const auto n = static_cast<long double>(w.index.size());
        const bool ordinary = std::isfinite(s.mean);
        const long double a = s.mean;
        const long double cancelled = a == 0 ? 1 / u : std::min(1 / u, s.size / std::fabs(a));
        const long double lost = 2 * steps * u * s.size;
        long double all = 0;
        long double size_of_all = 0;
        long double greatest = -std::numeric_limits<long double>::infinity();
        long double equal = 0;
        for (std::size_t k = 0; k < w.index.size(); ++k) {
            const long double v = x[map + static_cast<std::size_t>(w.index[k])];
            greatest = std::max(greatest, v);
            equal += v == a;
            if (v == 0 || !ordinary)
                continue;
            const long double q = v * v + a * a;
            const long double by_mean =
                a == 0 ? 0 : std::copysign(2 * std::fabs(v), a) * (v * v - a * a) / q / q * (v * v - a * a < 0 ? 1 : 1);
            all += s.weight[k] * (v - s.similar) * by_mean / n;
            size_of_all +=
                s.weight[k] * (std::fabs(v - s.similar) + lost) * 2 / std::max(std::fabs(v), std::fabs(a)) / n;
        }
        if (beta) {
            const std::size_t at = beta->index_of(window, c.out());
            r.of_beta[at] += g * (s.similar - s.soft);
            r.bound_of_beta[at] +=
                std::fabs(g) * (static_cast<long double>(ada_bound<T, double>(s, 1, static_cast<double>(steps))) +
                                static_cast<long double>(ada_bound<T, double>(s, 0, static_cast<double>(steps))));
        }
        for (std::size_t k = 0; k < w.index.size(); ++k) {
            const std::size_t at = map + static_cast<std::size_t>(w.index[k]);
            const long double v = x[at];
            long double similar = 0;
            long double size_of_similar = 0;
            if (std::isnan(a)) {
                similar = a;
            } else if (!ordinary) {
                similar = size_of_similar = v == a ? 1 / equal : 0;
            } else {
                const long double q = v * v + a * a;
                const long double slope =
                    v == 0 || a == 0 ? 0 : std::copysign(2 * std::fabs(a), v) * (a * a - v * v) / q / q;
                similar = s.weight[k] * (1 + (v - s.similar) * slope) + all;
                size_of_similar = size_of_all + s.weight[k] * (1 + (v == 0 ? 0
                                                                           : (std::fabs(v - s.similar) + lost) * 2 /
                                                                                 std::max(std::fabs(v), std::fabs(a))));
            }
            const long double e = s.exponential[k];
            const long double soft = e == 0 || v == s.soft ? e : e * (1 + v - s.soft);
            const auto distance = [&](long double p, long double q) { return e == 0 || p == q ? 0 : std::fabs(p - q); };
            const long double far = 1 + distance(v, greatest) + distance(s.soft, greatest);
            r.value[at] +=
                g * ((share == 0 && !std::isnan(v) ? 0 : share * similar) + (share == 1 ? 0 : (1 - share) * soft));
            const long double rounded = 40 * u + 32 * steps * u * cancelled;
            r.bound[at] +=
                std::fabs(g) * (share * size_of_similar * rounded + (1 - share) * u * 4 * steps * e * far * far) +
                least * (1 + std::fabs(g));
            size[at] += std::fabs(g) * (share * size_of_similar + (1 - share) * e * far);
            members[at] += 1;
        }
    }
    for (std::size_t i = 0; i < x.size(); ++i)
        r.bound[i] += u * members[i] * size[i];
    for (std::size_t i = 0; i < r.of_beta.size(); ++i) {
        const double v = beta->stored(beta->value[i]);
        if (v < 0 || v > 1)
            r.of_beta[i] = r.bound_of_beta[i] = 0;
    }
    return r;
}

} // namespace support
