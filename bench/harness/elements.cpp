// SPDX-License-Identifier: BSD-3-Clause
//
// By Eigen, so that the library's own conversions are checked by somebody else's.
#include <harness/elements.hpp>

#include <Eigen/Core>

#include <cmath>

namespace bench {
namespace {

// Calls work(zero) with the zero of the type.
template <class Work> auto in_type(element_type half, Work work) {
    return half == element_type::float16 ? work(Eigen::half(0)) : work(Eigen::bfloat16(0));
}

template <class Half> std::uint16_t bits_of(float x) { return Eigen::numext::bit_cast<std::uint16_t>(Half(x)); }
template <class Half> float value_of(std::uint16_t bits) {
    return static_cast<float>(Eigen::numext::bit_cast<Half>(bits));
}

} // namespace

void round_to(element_type half, const float* x, std::uint16_t* y, std::ptrdiff_t n) {
    in_type(half, [=](auto zero) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[i] = bits_of<decltype(zero)>(x[i]);
        }
    });
}

void widen_from(element_type half, const std::uint16_t* x, float* y, std::ptrdiff_t n) {
    in_type(half, [=](auto zero) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[i] = value_of<decltype(zero)>(x[i]);
        }
    });
}

bool is_rounded(element_type half, const float* x, const std::uint16_t* y, std::ptrdiff_t n) {
    return in_type(half, [=](auto zero) {
        using type = decltype(zero);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            if (bits_of<type>(x[i]) != y[i] && !(std::isnan(x[i]) && std::isnan(value_of<type>(y[i])))) {
                return false;
            }
        }
        return true;
    });
}

long double nearest_in(element_type type, long double x) {
    if (type == element_type::float64) {
        return static_cast<double>(x);
    }
    const auto number = static_cast<float>(x);
    if (type == element_type::float32) {
        return number;
    }
    return in_type(type, [=](auto zero) { return value_of<decltype(zero)>(bits_of<decltype(zero)>(number)); });
}

} // namespace bench
