// SPDX-License-Identifier: BSD-3-Clause
//
// Problems for top_k and softmax_top_k, and the order of a row's elements. Shares nothing with the library.
#pragma once

#include "support/inputs.hpp"
#include "support/oracle.hpp"
#include "support/rows.hpp"

#include <tarn/top_k.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace support {

// The indices of a row, NaN first, then downwards (of -x: upwards), equal ones by index.
template <class R> std::vector<std::ptrdiff_t> order_of_row(const R* x, std::ptrdiff_t n, bool upwards = false) {
    std::vector<std::ptrdiff_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), std::ptrdiff_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::ptrdiff_t a, std::ptrdiff_t b) {
        if (std::isnan(x[a]) || std::isnan(x[b]))
            return std::isnan(x[a]) && !std::isnan(x[b]);
        return upwards ? x[a] < x[b] : x[a] > x[b];
    });
    return order;
}

// Rows of n elements side by side. R: float or double.
template <class R> struct top_problem {
    std::ptrdiff_t rows, n, k;
    std::vector<R> x;
    bool softmax = false;
    double scale = 1;
    tarn::empty_row empty_row = tarn::empty_row::nan;

    struct result {
        std::vector<R> values;
        std::vector<std::int64_t> indices;
    };
    tarn::softmax_top_k_options options() const {
        tarn::softmax_top_k_options o;
        o.scale = scale;
        o.empty_row = empty_row;
        return o;
    }
    template <class Where, class X, class V, class I>
    void call(const Where& where, const X& x_view, V&& values, I&& indices, int axis = -1) const {
        if (softmax) {
            auto o = options();
            o.axis = axis;
            tarn::softmax_top_k(where, x_view, values, indices, o);
        } else {
            tarn::top_k(where, x_view, values, indices, {axis});
        }
    }
    template <class Where> result results(const Where& where) const {
        result r{std::vector<R>(static_cast<std::size_t>(rows * k), R(-77)),
                 std::vector<std::int64_t>(static_cast<std::size_t>(rows * k), -77)};
        call(where, tarn::make_view(x.data(), rows, n), tarn::make_view(r.values.data(), rows, k),
             tarn::make_view(r.indices.data(), rows, k));
        return r;
    }
    // What is to come out, with softmax of the tier for its values.
    result expected(tarn::tier t) const {
        result r{
            std::vector<R>(static_cast<std::size_t>(rows * k), softmax ? R(0) : -std::numeric_limits<R>::infinity()),
            std::vector<std::int64_t>(static_cast<std::size_t>(rows * k), -1)};
        for (std::ptrdiff_t row = 0; row < rows; ++row) {
            const R* const from = x.data() + row * n;
            const std::vector<std::ptrdiff_t> order = order_of_row(from, n, softmax && scale < 0);
            std::vector<R> y(from, from + n);
            if (softmax)
                y = softmax_alone(t, from, n, scale, empty_row);
            for (std::ptrdiff_t i = 0; i < std::min(k, n); ++i) {
                const std::ptrdiff_t at = order[static_cast<std::size_t>(i)];
                r.values[static_cast<std::size_t>(row * k + i)] = y[static_cast<std::size_t>(at)];
                r.indices[static_cast<std::size_t>(row * k + i)] = at;
            }
        }
        return r;
    }
    std::string fault_of(const result& got, const result& wanted) const {
        const std::string values = difference(got.values.data(), wanted.values.data(), rows * k);
        if (!values.empty())
            return "values: " + values;
        for (std::size_t i = 0; i < got.indices.size(); ++i) {
            if (got.indices[i] != wanted.indices[i])
                return "index " + std::to_string(i) + " is " + std::to_string(got.indices[i]) + ", expected " +
                       std::to_string(wanted.indices[i]);
        }
        return "";
    }
    std::string fault_on(tarn::tier t) const {
        const std::string fault = fault_of(results(tarn::on(t)), expected(t));
        return fault.empty() ? ""
                             : fault + " (" + std::to_string(rows) + "x" + std::to_string(n) + ", k " +
                                   std::to_string(k) + (softmax ? ", softmax)" : ")");
    }
};

constexpr int orders = 12;

// Rows whose order in memory does harm to selections if anything can.
template <class R> std::vector<R> row_in_order(int kind, std::ptrdiff_t n, std::uint64_t seed) {
    constexpr R inf = std::numeric_limits<R>::infinity();
    random_bits random(seed);
    std::vector<R> x(static_cast<std::size_t>(n));
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const auto draw = static_cast<R>(random.normal());
        R& v = x[static_cast<std::size_t>(i)];
        switch (kind) {
        case 0: // ascending
            v = static_cast<R>(i) / 8;
            break;
        case 1: // descending
            v = static_cast<R>(-i) / 8;
            break;
        case 2: // all equal
            v = 1;
            break;
        case 3: // few different numbers
            v = static_cast<R>(random.below(5)) - 2;
            break;
        case 4: // of either sign of 0
            v = random.below(2) ? R(0) : R(-0.0);
            break;
        case 5: // -inf but for a few
            v = random.below(20) ? -inf : draw;
            break;
        case 6: // NaN and +inf among others
            v = random.below(10) == 0 ? std::numeric_limits<R>::quiet_NaN() : random.below(10) == 0 ? inf : draw;
            break;
        case 7: // NaN but for a few
            v = random.below(20) ? std::numeric_limits<R>::quiet_NaN() : draw;
            break;
        case 8: // great ones in one lane
            v = i % 16 == 3 ? static_cast<R>(i) / 8 : draw;
            break;
        case 9: // groups of 64 in ascending order, upside down inside
            v = static_cast<R>(i / 64) + static_cast<R>(i % 64) / -64;
            break;
        case 10: // around 0, of any size
            v = draw * (random.below(2) ? static_cast<R>(1e-30) : static_cast<R>(1e30));
            break;
        default:
            v = draw;
        }
    }
    return x;
}

} // namespace support
