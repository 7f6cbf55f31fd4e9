// SPDX-License-Identifier: BSD-3-Clause
//
// The three gradients of the softmax family behind one call on rows of any placement, and what they are in long double.
#pragma once

#include "support/inputs.hpp"
#include "support/tiers.hpp"

#include <tarn/log_softmax.hpp>
#include <tarn/range.hpp>
#include <tarn/softmax_backward.hpp>

#include <cmath>
#include <tuple>
#include <vector>

namespace support {

enum class gradient { softmax, log_softmax, logsumexp };
constexpr gradient all_gradients[] = {gradient::softmax, gradient::log_softmax, gradient::logsumexp};

// Where element i of row r lies: r * row + i * element.
struct steps {
    std::ptrdiff_t row, element;

    template <class T> tarn::tensor_view<T, 2> view(T* p, std::ptrdiff_t rows, std::ptrdiff_t n) const {
        return tarn::make_view(p, tarn::extents{rows, n}, tarn::strides{row, element});
    }
};

// Dense operands of rows of n elements. `y` is what the forward operator returned, for logsumexp its input; dy has one
// number for every element, for logsumexp one for every row.
template <class T = float> struct gradient_problem {
    std::ptrdiff_t rows, n;
    double scale = 1;
    std::vector<T> y, dy, lse;

    static gradient_problem of(gradient g, tarn::tier t, const std::vector<T>& x, std::ptrdiff_t n, double scale,
                               std::uint64_t seed) {
        const auto rows = static_cast<std::ptrdiff_t>(x.size()) / n;
        gradient_problem p{
            rows, n, scale, x, normal_logits<T>(g == gradient::logsumexp ? rows : rows * n, 1, 0.3, seed), {}};
        const auto from = tarn::make_view(x.data(), rows, n);
        const auto to = tarn::make_view(p.y.data(), rows, n);
        if (g == gradient::softmax)
            tarn::softmax(tarn::on(t), from, to, {-1, scale});
        if (g == gradient::log_softmax)
            tarn::log_softmax(tarn::on(t), from, to, {-1, scale});
        if (g == gradient::logsumexp) {
            p.lse.resize(static_cast<std::size_t>(rows));
            tarn::logsumexp(tarn::on(t), from, p.lse, {-1, scale});
        }
        return p;
    }
};

template <class Place, class T>
void run_gradient(gradient g, const Place& where, const gradient_problem<T>& p, tarn::tensor_view<const T, 2> y,
                  tarn::tensor_view<const T, 2> dy, tarn::tensor_view<T, 2> dx, tarn::stores how, int axis = -1) {
    const tarn::softmax_backward_options options{axis, p.scale, how};
    if (g == gradient::softmax)
        tarn::softmax_backward(where, y, dy, dx, options);
    else if (g == gradient::log_softmax)
        tarn::log_softmax_backward(where, y, dy, dx, options);
    else
        tarn::logsumexp_backward(where, y, p.lse, p.dy, dx, options);
}

// Dense rows to dense rows.
template <class Place, class T>
std::vector<T> gradient_of(gradient g, const Place& where, const gradient_problem<T>& p,
                           tarn::stores how = tarn::stores::automatic) {
    std::vector<T> dx(p.y.size());
    const steps dense{p.n, 1};
    run_gradient<Place, T>(g, where, p, dense.view(p.y.data(), p.rows, p.n),
                           dense.view(p.dy.data(), p.rows, g == gradient::logsumexp ? 1 : p.n),
                           dense.view(dx.data(), p.rows, p.n), how);
    return dx;
}

// exp(scale * v - lse), the product not rounded.
inline long double exact_weight_below(long double scale, long double v, long double lse) {
    const long double product = scale * v;
    const long double t = product - lse;
    const long double e = std::exp(t);
    return std::isinf(product) ? e : e + e * std::fma(scale, v, -product);
}

// A gradient and the number that its error is measured by: the sum of the magnitudes it is made of.
struct exact_gradient {
    long double value, magnitude;
};

template <class T>
std::vector<exact_gradient> exact_gradients(gradient g, const gradient_problem<T>& p, std::ptrdiff_t r) {
    const T* const y = p.y.data() + r * p.n;
    const T* const dy = p.dy.data() + r * p.n;
    const long double s = p.scale;
    long double sum = 0;
    long double magnitudes = 0;
    for (std::ptrdiff_t i = 0; i < p.n && g != gradient::logsumexp; ++i) {
        const long double term = g == gradient::softmax
                                     ? static_cast<long double>(y[i]) * static_cast<long double>(dy[i])
                                     : static_cast<long double>(dy[i]);
        sum += term;
        magnitudes += std::fabs(term);
    }
    std::vector<exact_gradient> result;
    for (std::ptrdiff_t i = 0; i < p.n; ++i) {
        const long double v = y[i];
        if (g == gradient::logsumexp) {
            const auto row = static_cast<std::size_t>(r);
            const long double value = static_cast<long double>(p.dy[row]) * s *
                                      exact_weight_below(s, v, static_cast<long double>(p.lse[row]));
            result.push_back({value, std::fabs(value)});
            continue;
        }
        const long double d = dy[i];
        const long double share = g == gradient::softmax ? v : std::exp(v);
        const long double value = g == gradient::softmax ? s * v * (d - sum) : s * (d - share * sum);
        const long double magnitude = g == gradient::softmax ? std::fabs(s * v) * (std::fabs(d) + magnitudes)
                                                             : std::fabs(s) * (std::fabs(d) + share * magnitudes);
        result.push_back({value, magnitude});
    }
    return result;
}

// In units in the last place of the magnitude; infinite if a result is denormal, or 0 without reason.
template <class T> double gradient_error(T dx, const exact_gradient& exact) {
    using limits = std::numeric_limits<T>;
    constexpr long double least = limits::min();
    if (std::isnan(exact.value))
        return std::isnan(dx) ? 0.0 : HUGE_VAL;
    if (dx != 0 && std::fabs(dx) < limits::min())
        return HUGE_VAL;
    if (dx == 0 && std::fabs(exact.value) < least * (1 + 1e-6L))
        return 0.0;
    if (exact.magnitude == 0)
        return dx == 0 ? 0.0 : HUGE_VAL;
    const int exponent = std::max(limits::min_exponent - 1, std::ilogb(exact.magnitude));
    return static_cast<double>(std::fabs(static_cast<long double>(dx) - exact.value) /
                               std::ldexp(1.0L, exponent + 1 - limits::digits));
}

// Tests that run for every gradient on every tier.
class gradient_test : public testing::TestWithParam<std::tuple<tarn::tier, gradient>> {
protected:
    tarn::tier on() const { return std::get<0>(GetParam()); }
    gradient of() const { return std::get<1>(GetParam()); }
    void SetUp() override {
        if (!tarn::available(on())) {
            GTEST_SKIP() << why_skipped(on());
        }
    }
};

inline const char* name_of(gradient g) {
    return g == gradient::softmax ? "softmax" : g == gradient::log_softmax ? "log_softmax" : "logsumexp";
}

} // namespace support

#define TARN_TEST_ALL_GRADIENTS(suite)                                                                                 \
    INSTANTIATE_TEST_SUITE_P(                                                                                          \
        on, suite, testing::Combine(testing::ValuesIn(support::all_tiers), testing::ValuesIn(support::all_gradients)), \
        [](const auto& instance) {                                                                                     \
            return support::name_of(std::get<0>(instance.param)) + "_" +                                               \
                   support::name_of(std::get<1>(instance.param));                                                      \
        })
