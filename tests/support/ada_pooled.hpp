// SPDX-License-Identifier: BSD-3-Clause
//
// adaPool of a window by its definition, and what it is documented to be within.
#pragma once

#include "support/soft_pooled.hpp"

#include <algorithm>
#include <limits>

namespace support {

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

// Beta as a number for all windows, or as a map for those of each place.
struct beta_case {
    bool regional = false, doubles = false;
    std::vector<std::ptrdiff_t> extent; // of the map, 1 where it is repeated
    std::vector<double> value;

    // Of a window among those of a map.
    double of(std::ptrdiff_t window, const std::vector<std::ptrdiff_t>& out) const {
        if (!regional)
            return stored(value[0]);
        std::ptrdiff_t at = 0;
        std::ptrdiff_t step = 1;
        for (std::size_t i = out.size(); i-- > 0; window /= out[i]) {
            if (extent[i] != 1)
                at += window % out[i] * step;
            step *= extent[i];
        }
        return stored(value[static_cast<std::size_t>(at)]);
    }

private:
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
// f(beta as an operand), numbers between guard pages.
template <class B, class F> void with_beta_of(const beta_case& b, F f) {
    guarded_numbers<B> memory(static_cast<std::ptrdiff_t>(b.value.size()));
    B* const p = memory.against_end(static_cast<std::ptrdiff_t>(b.value.size()));
    for (std::size_t i = 0; i < b.value.size(); ++i)
        p[i] = static_cast<B>(b.value[i]);
    const auto& n = b.extent;
    if (!b.regional)
        f(*p);
    else if (n.size() == 1)
        f(tarn::make_view(p, n[0]));
    else if (n.size() == 2)
        f(tarn::make_view(p, n[0], n[1]));
    else
        f(tarn::make_view(p, n[0], n[1], n[2]));
}
template <class F> void with_beta(const beta_case& b, F f) {
    if (b.doubles)
        with_beta_of<double>(b, f);
    else
        with_beta_of<float>(b, f);
}

} // namespace support
