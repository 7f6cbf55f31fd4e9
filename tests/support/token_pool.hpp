// SPDX-License-Identifier: BSD-3-Clause
//
// Problems for token pooling, and what they mean, in long double. Shares nothing with the library.
#pragma once

#include "support/inputs.hpp"
#include "support/oracle.hpp"

#include <tarn/token_pool.hpp>

#include <memory>
#include <string>

namespace support {

using tarn::token_pooling;

constexpr token_pooling all_poolings[] = {token_pooling::mean,
                                          token_pooling::sum,
                                          token_pooling::mean_sqrt,
                                          token_pooling::weighted_mean,
                                          token_pooling::position_weighted_mean,
                                          token_pooling::max,
                                          token_pooling::min,
                                          token_pooling::cls,
                                          token_pooling::last};

inline bool is_extreme(token_pooling p) { return p == token_pooling::max || p == token_pooling::min; }
inline bool is_copy(token_pooling p) { return is_extreme(p) || p == token_pooling::cls || p == token_pooling::last; }
inline bool has_weights(token_pooling p) { return p == token_pooling::weighted_mean; }

// Dense sequences of numbers, one after the other. R: float or double.
template <class R> struct token_problem {
    std::vector<std::ptrdiff_t> offsets; // one more than sequences
    std::ptrdiff_t channels;
    std::vector<R> x;
    std::unique_ptr<bool[]> keep; // null: all
    std::vector<R> weights;
    R empty_value = 0;

    std::ptrdiff_t sequences() const { return static_cast<std::ptrdiff_t>(offsets.size()) - 1; }
    std::ptrdiff_t tokens() const { return offsets.back(); }

    // Holes of all lengths; every fifth sequence keeps nothing.
    static token_problem of(std::vector<std::ptrdiff_t> offsets, std::ptrdiff_t channels, bool masked,
                            std::uint64_t seed, double sd = 1, double offset = 0) {
        token_problem p;
        p.offsets = std::move(offsets);
        p.channels = channels;
        const std::ptrdiff_t n = p.tokens();
        p.x = normal_logits<R>(n * channels, sd, offset, seed);
        random_bits random(seed);
        for (std::ptrdiff_t i = 0; i < n; ++i)
            p.weights.push_back(static_cast<R>(random.normal() + 2));
        if (masked) {
            p.keep.reset(new bool[static_cast<std::size_t>(n)]);
            for (std::ptrdiff_t i = 0; i < n;) {
                const bool kept = random.below(2) != 0;
                for (std::ptrdiff_t run = random.below(3) ? random.below(kept ? 20 : 12) : 0; run >= 0 && i < n; --run)
                    p.keep[static_cast<std::size_t>(i++)] = kept;
            }
            for (std::ptrdiff_t s = 4; s < p.sequences(); s += 5) {
                for (std::ptrdiff_t i = p.offsets[static_cast<std::size_t>(s)]; i < p.end(s); ++i)
                    p.keep[static_cast<std::size_t>(i)] = false;
            }
        }
        return p;
    }
    static token_problem batch(std::ptrdiff_t sequences, std::ptrdiff_t tokens, std::ptrdiff_t channels, bool masked,
                               std::uint64_t seed, double sd = 1, double offset = 0) {
        std::vector<std::ptrdiff_t> offsets;
        for (std::ptrdiff_t i = 0; i <= sequences; ++i)
            offsets.push_back(i * tokens);
        return of(std::move(offsets), channels, masked, seed, sd, offset);
    }

    std::ptrdiff_t begin(std::ptrdiff_t s) const { return offsets[static_cast<std::size_t>(s)]; }
    std::ptrdiff_t end(std::ptrdiff_t s) const { return offsets[static_cast<std::size_t>(s) + 1]; }
    R& at(std::ptrdiff_t token, std::ptrdiff_t c) { return x[static_cast<std::size_t>(token * channels + c)]; }
    R at(std::ptrdiff_t token, std::ptrdiff_t c) const { return x[static_cast<std::size_t>(token * channels + c)]; }
    bool keeps(std::ptrdiff_t token) const { return !keep || keep[static_cast<std::size_t>(token)]; }
    std::vector<std::ptrdiff_t> kept(std::ptrdiff_t s) const {
        std::vector<std::ptrdiff_t> r;
        for (std::ptrdiff_t i = begin(s); i < end(s); ++i) {
            if (keeps(i))
                r.push_back(i);
        }
        return r;
    }

    // What each token counts in a pooling that is linear, already divided by what the sum is divided by.
    std::vector<long double> shares(std::ptrdiff_t s, token_pooling p) const {
        const std::vector<std::ptrdiff_t> tokens_of = kept(s);
        const auto n = static_cast<long double>(tokens_of.size());
        std::vector<long double> r;
        long double sum = 0;
        for (std::size_t i = 0; i < tokens_of.size(); ++i) {
            const long double w = p == token_pooling::weighted_mean
                                      ? static_cast<long double>(weights[static_cast<std::size_t>(tokens_of[i])])
                                      : static_cast<long double>(i + 1);
            r.push_back(p == token_pooling::weighted_mean || p == token_pooling::position_weighted_mean ? w
                        : p == token_pooling::cls                                                       ? i == 0
                        : p == token_pooling::last ? i + 1 == tokens_of.size()
                                                   : 1);
            sum += w;
        }
        const long double divisor = p == token_pooling::mean        ? n
                                    : p == token_pooling::mean_sqrt ? std::sqrt(n)
                                    : p == token_pooling::weighted_mean || p == token_pooling::position_weighted_mean
                                        ? sum
                                        : 1;
        for (long double& v : r)
            v = divisor == 0 ? 0 : v / divisor;
        return r;
    }

    struct result {
        long double value, magnitude; // magnitude: of the terms
        std::ptrdiff_t token;         // of an extreme; -1: none
    };
    result exact(std::ptrdiff_t s, std::ptrdiff_t c, token_pooling p) const {
        const std::vector<std::ptrdiff_t> tokens_of = kept(s);
        result r = {static_cast<long double>(empty_value), 0, -1};
        if (tokens_of.empty())
            return r;
        if (is_extreme(p)) {
            for (const std::ptrdiff_t i : tokens_of) {
                const long double v = at(i, c);
                const bool better = p == token_pooling::max ? v > r.value : v < r.value;
                if (r.token < 0 || (!std::isnan(r.value) && (better || std::isnan(v))))
                    r = {v, std::fabs(v), i};
            }
            return r;
        }
        if (is_copy(p))
            return {at(p == token_pooling::cls ? tokens_of.front() : tokens_of.back(), c), 0, -1};
        const std::vector<long double> share = shares(s, p);
        r.value = 0;
        bool any = false;
        for (std::size_t i = 0; i < share.size(); ++i) {
            const long double term = share[i] * static_cast<long double>(at(tokens_of[i], c));
            r.value += term;
            r.magnitude += std::fabs(term);
            any = any || share[i] != 0;
        }
        if (!any)
            r.value = empty_value;
        return r;
    }
};

// A result that is wrong, in words. Sums are rounded once from a sum that is off by at most 2^-53 of its terms for
// every token, of doubles by nothing; copies are what they are.
template <class R>
std::string token_error(R y, const typename token_problem<R>::result& exact, token_pooling p, std::ptrdiff_t tokens) {
    if (std::isnan(exact.value))
        return std::isnan(y) ? "" : std::to_string(y) + ", expected NaN";
    const long double e = exact.value;
    const long double got = y;
    bool good;
    // A sum beyond the range.
    constexpr long double greatest = std::numeric_limits<R>::max();
    if (std::fabs(e) > greatest)
        return std::isinf(y) && std::signbit(y) == std::signbit(e) ? "" : std::to_string(y) + ", expected infinity";
    if (is_copy(p)) {
        good = got == e && std::signbit(got) == std::signbit(e);
    } else if (std::fabs(e) < least_normal_of<R>) {
        good = got == 0 || std::fabs(got) <= least_normal_of<R> * 1.001L + exact.magnitude * 1e-15L;
    } else {
        constexpr int digits = std::numeric_limits<R>::digits;
        const long double ulp = std::ldexp(1.0L, std::ilogb(e) + 1 - digits);
        const long double rounded = sizeof(R) == 4                                    ? 0.5001L
                                    : p == token_pooling::mean_sqrt || has_weights(p) ? 2.5L
                                                                                      : 1.5L;
        const long double lost = sizeof(R) == 4 ? 0x1p-53L * static_cast<long double>(tokens + 2) : 0x1p-60L;
        good = std::fabs(got - e) <= rounded * ulp + lost * exact.magnitude;
    }
    return good ? "" : std::to_string(y) + ", expected " + std::to_string(static_cast<double>(e));
}

// Calls on such a problem. Every sequence has one row of results.
template <class R> tarn::token_pool_options<R> token_options(const token_problem<R>& p, const tarn::token_poolings& m) {
    tarn::token_pool_options<R> o;
    o.modes = m;
    if (p.keep)
        o.keep = tarn::make_view(static_cast<const bool*>(p.keep.get()), p.tokens());
    o.weights = tarn::make_view(p.weights.data(), p.tokens());
    o.empty_value = static_cast<double>(p.empty_value);
    return o;
}
template <class R> struct pooled {
    std::vector<R> y;
    std::vector<std::int64_t> index; // of max and min
};
template <class R, class Where>
pooled<R> pool(const Where& where, const token_problem<R>& p, const tarn::token_poolings& m, bool with_index = false) {
    const std::ptrdiff_t s = p.sequences();
    int indexed = 0;
    for (int i = 0; i < m.count; ++i)
        indexed += is_extreme(m.pooling[i]);
    pooled<R> r{std::vector<R>(static_cast<std::size_t>(s * m.count * p.channels), R(-77)),
                std::vector<std::int64_t>(static_cast<std::size_t>(s * indexed * p.channels), -77)};
    const auto x = tarn::make_view(p.x.data(), p.tokens(), p.channels);
    const auto y = tarn::make_view(r.y.data(), s, m.count * p.channels);
    const std::vector<std::int64_t> offsets(p.offsets.begin(), p.offsets.end());
    const auto begins = tarn::make_view(offsets.data(), s + 1);
    if (with_index && indexed > 0)
        tarn::token_pool(where, x, begins, y, tarn::make_view(r.index.data(), s, indexed * p.channels),
                         token_options(p, m));
    else
        tarn::token_pool(where, x, begins, y, token_options(p, m));
    return r;
}

} // namespace support
