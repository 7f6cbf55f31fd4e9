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
struct gradient_problem {
    std::ptrdiff_t rows, n;
    float scale = 1.0f;
    std::vector<float> y, dy, lse;

    static gradient_problem of(gradient g, tarn::tier t, const std::vector<float>& x, std::ptrdiff_t n, float scale,
                               std::uint64_t seed) {
        const auto rows = static_cast<std::ptrdiff_t>(x.size()) / n;
        gradient_problem p{rows, n, scale, x, normal_logits(g == gradient::logsumexp ? rows : rows * n, 1, 0.3, seed),
                           {}};
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

template <class Place>
void run_gradient(gradient g, const Place& where, const gradient_problem& p, tarn::tensor_view<const float, 2> y,
                  tarn::tensor_view<const float, 2> dy, tarn::tensor_view<float, 2> dx, tarn::stores how,
                  int axis = -1) {
    const tarn::softmax_backward_options options{axis, p.scale, how};
    if (g == gradient::softmax)
        tarn::softmax_backward(where, y, dy, dx, options);
    else if (g == gradient::log_softmax)
        tarn::log_softmax_backward(where, y, dy, dx, options);
    else
        tarn::logsumexp_backward(where, y, p.lse, p.dy, dx, options);
}

// Dense rows to dense rows.
template <class Place>
std::vector<float> gradient_of(gradient g, const Place& where, const gradient_problem& p,
                               tarn::stores how = tarn::stores::automatic) {
    std::vector<float> dx(p.y.size());
    const steps dense{p.n, 1};
    run_gradient(g, where, p, dense.view(p.y.data(), p.rows, p.n),
                 dense.view(p.dy.data(), p.rows, g == gradient::logsumexp ? 1 : p.n),
                 dense.view(dx.data(), p.rows, p.n), how);
    return dx;
}

// A gradient and the number that its error is measured by: the sum of the magnitudes it is made of.
struct exact_gradient {
    long double value, magnitude;
};

inline std::vector<exact_gradient> exact_gradients(gradient g, const gradient_problem& p, std::ptrdiff_t r) {
    const float* const y = p.y.data() + r * p.n;
    const float* const dy = p.dy.data() + r * p.n;
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
            const long double value =
                static_cast<long double>(p.dy[row]) * s * std::exp(s * v - static_cast<long double>(p.lse[row]));
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
inline double gradient_error(float dx, const exact_gradient& exact) {
    if (std::isnan(exact.value))
        return std::isnan(dx) ? 0.0 : HUGE_VAL;
    if (dx != 0 && std::fabs(dx) < 0x1p-126f)
        return HUGE_VAL;
    if (dx == 0 && std::fabs(exact.value) < 0x1p-126L * (1 + 1e-6L))
        return 0.0;
    if (exact.magnitude == 0)
        return dx == 0 ? 0.0 : HUGE_VAL;
    const int exponent = std::max(-126, std::ilogb(exact.magnitude));
    return static_cast<double>(std::fabs(static_cast<long double>(dx) - exact.value) / std::ldexp(1.0L, exponent - 23));
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
