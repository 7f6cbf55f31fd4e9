// SPDX-License-Identifier: BSD-3-Clause
//
// Problems for masked softmax with any of its options, and what they mean, in long double. Shares nothing with the
// library.
#pragma once

#include "support/inputs.hpp"
#include "support/oracle.hpp"

#include <tarn/masked_softmax.hpp>

#include <memory>
#include <string>

namespace support {

// Which options a problem has: bits of an int.
enum masked_feature {
    with_scale = 1,
    with_cap = 2,
    with_bias = 4,
    with_slopes = 8,
    with_keep = 16,
    with_causal = 32,
    with_window = 64,
    with_sink = 128,
    all_features = 255
};
inline std::string name_of_features(int features) {
    static const char* const names[] = {"scale", "cap", "bias", "slopes", "keep", "causal", "window", "sink"};
    std::string r;
    for (int i = 0; i < 8; ++i)
        r += features >> i & 1 ? std::string(r.empty() ? "" : "+") + names[i] : "";
    return r.empty() ? "plain" : r;
}

// [heads, queries, keys], dense. R: float or double; numbers are exact in T.
template <class R> struct masked_problem {
    std::ptrdiff_t heads, queries, keys;
    std::vector<R> x, bias, slopes, sink;
    std::unique_ptr<bool[]> keep;
    double scale = 1, soft_cap = 0;
    bool causal = false;
    std::ptrdiff_t offset = 0, window = 0;
    int features;

    template <class T = R>
    static masked_problem of(int features, std::ptrdiff_t heads, std::ptrdiff_t queries, std::ptrdiff_t keys,
                             std::uint64_t seed, double sd = 3) {
        masked_problem p{heads, queries, keys, {}, {}, {}, {}, nullptr, 1, 0, false, 0, 0, features};
        random_bits random(seed);
        const auto numbers = [&](std::ptrdiff_t n, double spread) {
            std::vector<R> v = normal_logits<R>(n, spread, 0, random.next());
            for (R& e : v)
                e = static_cast<R>(static_cast<T>(e));
            return v;
        };
        p.x = numbers(p.size(), sd);
        if (features & with_scale)
            p.scale = 0.37;
        if (features & with_cap)
            p.soft_cap = 2.5;
        if (features & with_bias)
            p.bias = numbers(p.size(), 2);
        if (features & with_slopes) {
            p.slopes = numbers(heads, 0.1);
        }
        if (features & with_sink)
            p.sink = numbers(heads, 2);
        if (features & with_keep) {
            p.keep = std::make_unique<bool[]>(static_cast<std::size_t>(p.size()));
            for (std::ptrdiff_t i = 0; i < p.size(); ++i)
                p.keep[static_cast<std::size_t>(i)] = random.below(3) != 0;
            // Some rows keep nothing, or little at one end.
            for (std::ptrdiff_t r = 0; r < heads * queries; r += 3) {
                const std::ptrdiff_t begin = random.below(keys + 1);
                const std::ptrdiff_t end = begin + random.below(keys - begin + 1);
                for (std::ptrdiff_t i = 0; i < keys; ++i)
                    p.keep[static_cast<std::size_t>(r * keys + i)] &= i >= begin && i < end;
            }
        }
        p.causal = features & with_causal;
        if (features & (with_causal | with_window | with_slopes))
            p.offset = keys - queries + random.below(5) - 2;
        if (features & with_window)
            p.window = 1 + random.below(keys + 2);
        return p;
    }
    std::ptrdiff_t size() const { return heads * queries * keys; }

    // T: the type of elements of the operands, which live elsewhere.
    template <class T> tarn::masked_softmax_options<T> options() const {
        tarn::masked_softmax_options<T> o;
        o.scale = scale;
        o.soft_cap = soft_cap;
        o.causal = causal;
        o.offset = offset;
        o.window = window;
        if (keep)
            o.keep = tarn::make_view(static_cast<const bool*>(keep.get()), heads, queries, keys);
        return o;
    }
    tarn::masked_softmax_options<R> dense_options() const {
        tarn::masked_softmax_options<R> o = options<R>();
        if (features & with_bias)
            o.bias = tarn::make_view(bias.data(), heads, queries, keys);
        if (features & with_slopes)
            o.slopes = tarn::make_view(slopes.data(), heads);
        if (features & with_sink)
            o.sink = tarn::make_view(sink.data(), heads);
        return o;
    }
    template <class Where>
    std::vector<R> results(const Where& where, tarn::empty_row empty = tarn::empty_row::zero) const {
        std::vector<R> y(x.size(), R(-77));
        auto o = dense_options();
        o.empty_row = empty;
        tarn::masked_softmax(where, tarn::make_view(x.data(), heads, queries, keys),
                             tarn::make_view(y.data(), heads, queries, keys), o);
        return y;
    }

    // One row by itself, as the only query of the only head.
    template <class Where> std::vector<R> row_alone(const Where& where, std::ptrdiff_t row) const {
        const auto from = [&](const auto* data) { return tarn::make_view(data + row * keys, 1, keys); };
        const auto head = static_cast<std::size_t>(row / queries);
        std::vector<R> y(static_cast<std::size_t>(keys));
        auto o = dense_options();
        o.offset += row % queries;
        if (features & with_keep)
            o.keep = from(static_cast<const bool*>(keep.get()));
        if (features & with_bias)
            o.bias = from(bias.data());
        if (features & with_slopes)
            o.slopes = slopes[head];
        if (features & with_sink)
            o.sink = sink[head];
        tarn::masked_softmax(where, from(x.data()), tarn::make_view(y.data(), 1, keys), o);
        return y;
    }

    bool keeps(std::ptrdiff_t row, std::ptrdiff_t key) const {
        const std::ptrdiff_t at = row % queries + offset;
        return (!keep || keep[static_cast<std::size_t>(row * keys + key)]) && (!causal || key <= at) &&
               (window == 0 || key > at - window);
    }
    // The logit of a kept element, and to `roundings` what the library may be off by rounding, in units of 2^-24 (2^-53).
    long double logit(std::ptrdiff_t row, std::ptrdiff_t key, long double& roundings) const {
        const auto i = static_cast<std::size_t>(row * keys + key);
        const long double scaled = static_cast<long double>(static_cast<R>(scale)) * static_cast<long double>(x[i]);
        long double z = scaled;
        roundings = 0;
        if (!(features & (with_cap | with_bias | with_slopes | with_sink)))
            return z;
        if (features & with_cap) {
            const long double cap = static_cast<R>(soft_cap);
            z = cap * std::tanh(scaled / cap);
            roundings += 10 * std::fabs(z);
        } else {
            roundings += std::fabs(scaled);
        }
        if (features & with_bias)
            z += static_cast<long double>(bias[i]);
        roundings += std::fabs(z);
        if (features & with_slopes) {
            const long double added = static_cast<long double>(slopes[static_cast<std::size_t>(row / queries)]) *
                                      static_cast<long double>(key - row % queries - offset);
            z += added;
            roundings += std::fabs(added) + std::fabs(z);
        }
        return z;
    }

    // The exact results of a row that keeps something or has a sink, and to `rounded` what its logits may be off, in units
    // of 2^-24 (2^-53).
    std::vector<long double> exact_row(std::ptrdiff_t row, double* rounded = nullptr) const {
        std::vector<long double> e(static_cast<std::size_t>(keys));
        std::vector<long double> z(e.size());
        long double greatest = -std::numeric_limits<long double>::infinity();
        long double most = 0;
        for (std::ptrdiff_t k = 0; k < keys; ++k) {
            if (!keeps(row, k))
                continue;
            long double r = 0;
            z[static_cast<std::size_t>(k)] = logit(row, k, r);
            greatest = std::max(greatest, z[static_cast<std::size_t>(k)]);
            most = std::max(most, r);
        }
        long double sum = 0;
        if (features & with_sink) {
            const auto s = static_cast<long double>(sink[static_cast<std::size_t>(row / queries)]);
            greatest = std::max(greatest, s);
            sum = std::exp(s - greatest);
        }
        for (std::ptrdiff_t k = 0; k < keys; ++k) {
            if (keeps(row, k))
                sum += e[static_cast<std::size_t>(k)] = std::exp(z[static_cast<std::size_t>(k)] - greatest);
        }
        for (long double& v : e)
            v = v > 0 ? v / sum : 0;
        if (rounded)
            *rounded = static_cast<double>(most);
        return e;
    }
    // Checks the results of a row; returns what is wrong, or nothing. `worst`: the error in ulp, beyond what rounded
    // logits allow.
    template <class T> std::string fault_of_row(const T* y, std::ptrdiff_t row, double bound, double* worst) const {
        double slack = 0;
        const std::vector<long double> exact = exact_row(row, &slack);
        for (std::ptrdiff_t k = 0; k < keys; ++k) {
            const long double e = exact[static_cast<std::size_t>(k)];
            const bool near_the_cut = slack > 0 && e < least_normal_of<T> * 1.01L && e > least_normal_of<T> * 0.99L;
            const double error = near_the_cut ? 0 : ulp_error(y[k], e) - 2 * slack;
            *worst = std::max(*worst, error);
            if (!(error <= bound))
                return "row " + std::to_string(row) + ", key " + std::to_string(k) + ": " + std::to_string(y[k]) +
                       ", exact " + std::to_string(static_cast<double>(e)) + ", beyond rounded logits " +
                       std::to_string(error) + " ulp";
        }
        return "";
    }
    template <class T> std::string fault_of(const std::vector<T>& y, double bound, double* worst) const {
        for (std::ptrdiff_t row = 0; row < heads * queries; ++row) {
            const std::string fault = fault_of_row(y.data() + row * keys, row, bound, worst);
            if (!fault.empty())
                return name_of_features(features) + " " + std::to_string(heads) + "x" + std::to_string(queries) + "x" +
                       std::to_string(keys) + ", " + fault;
        }
        return "";
    }
};

} // namespace support
