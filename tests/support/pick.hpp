// SPDX-License-Identifier: BSD-3-Clause
//
// Problems for softpick, and what they mean, in long double. Shares nothing with the library.
#pragma once

#include "support/inputs.hpp"
#include "support/oracle.hpp"

#include <tarn/softpick.hpp>

#include <memory>

namespace support {

// Dense rows of n elements. R: float or double.
template <class R> struct pick_problem {
    std::ptrdiff_t rows, n;
    std::vector<R> x;
    std::unique_ptr<bool[]> keep; // null: all
    double scale = 1, epsilon = 1e-8;

    static pick_problem of(std::ptrdiff_t rows, std::ptrdiff_t n, std::vector<R> x, bool masked, std::uint64_t seed) {
        pick_problem p{rows, n, std::move(x), nullptr};
        if (masked) {
            random_bits random(seed);
            p.keep.reset(new bool[static_cast<std::size_t>(rows * n)]);
            for (std::ptrdiff_t i = 0; i < rows * n; ++i)
                p.keep[static_cast<std::size_t>(i)] = random.below(3) != 0 && (i / n) % 5 != 4;
        }
        return p;
    }
    bool keeps(std::ptrdiff_t i) const {
        const auto k = static_cast<std::size_t>(i);
        return (!keep || keep[k]) && static_cast<long double>(scale) * static_cast<long double>(x[k]) !=
                                         -std::numeric_limits<long double>::infinity();
    }
    long double logit(std::ptrdiff_t i) const {
        return static_cast<long double>(static_cast<R>(scale)) *
               static_cast<long double>(x[static_cast<std::size_t>(i)]);
    }
    tarn::softpick_options options() const {
        tarn::softpick_options o;
        o.scale = scale;
        o.epsilon = epsilon;
        if (keep)
            o.keep = tarn::make_view(static_cast<const bool*>(keep.get()), rows, n);
        return o;
    }
    template <class Where> std::vector<R> results(const Where& where) const {
        std::vector<R> y(x.size(), R(-77));
        tarn::softpick(where, tarn::make_view(x.data(), rows, n), tarn::make_view(y.data(), rows, n), options());
        return y;
    }

    // The parts of a row: e^-m (e^z - 1), what is divided by, and e^(z - m).
    struct exact_row {
        std::vector<long double> picked, whole;
        long double divisor;
    };
    exact_row exact(std::ptrdiff_t row) const {
        exact_row r{std::vector<long double>(static_cast<std::size_t>(n)),
                    std::vector<long double>(static_cast<std::size_t>(n)),
                    static_cast<long double>(static_cast<R>(epsilon))};
        long double m = 0;
        for (std::ptrdiff_t i = row * n; i < (row + 1) * n; ++i)
            m = keeps(i) ? std::max(m, logit(i)) : m;
        for (std::ptrdiff_t i = row * n; i < (row + 1) * n; ++i) {
            if (!keeps(i))
                continue;
            const long double z = logit(i);
            const auto k = static_cast<std::size_t>(i - row * n);
            r.picked[k] = std::fabs(z) < 1 ? std::expm1(z) * std::exp(-m) : std::exp(z - m) - std::exp(-m);
            r.whole[k] = std::exp(z - m);
            r.divisor += std::fabs(r.picked[k]);
        }
        return r;
    }
};

} // namespace support
