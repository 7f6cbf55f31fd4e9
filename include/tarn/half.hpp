// SPDX-License-Identifier: BSD-3-Clause
//
// Storage types of 16 bits: float16 (IEEE binary16: 11 bits of precision, up to 65504) and bfloat16 (the upper half of
// a float: 8 bits, the range of float). Operators read them, compute in float and round each result once, to nearest,
// ties to even; float16 results below 2^-14 are its denormal numbers. Eigen::half and Eigen::bfloat16 (with eigen.hpp)
// and C++23's std::float16_t and std::bfloat16_t are elements too.
#pragma once

#include <tarn/element.hpp>
#include <tarn/tensor_view.hpp>

#include <cstdint>
#if __cplusplus > 202002L && __has_include(<stdfloat>)
#include <stdfloat>
#endif

namespace tarn { inline namespace v0 {

namespace detail {

TARN_INLINE std::uint32_t float_bits(float v) noexcept {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &v, sizeof bits);
    return bits;
}
TARN_INLINE float float_of_bits(std::uint32_t bits) noexcept {
    float v;
    __builtin_memcpy(&v, &bits, sizeof v);
    return v;
}

TARN_INLINE float widen_float16(std::uint16_t h) noexcept {
    const std::uint32_t sign = (h & 0x8000u) << 16;
    const std::uint32_t exponent = h >> 10 & 31u;
    const std::uint32_t fraction = h & 0x3ffu;
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000u | (fraction ? 0x00400000u | fraction << 13 : 0u));
    if (exponent == 0) {
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
}
TARN_INLINE std::uint16_t narrow_float16(float v) noexcept {
    const std::uint32_t bits = float_bits(v);
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    std::uint32_t half;
    if (magnitude >= 0x47800000u) // 2^16, infinite, NaN
        half = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
    else if (magnitude < 0x38800000u) // 2^-14: the last place of 0.5f is that of the smallest numbers
        half = float_bits(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    else
        half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    return static_cast<std::uint16_t>(bits >> 16 & 0x8000u) | static_cast<std::uint16_t>(half);
}

TARN_INLINE float widen_bfloat16(std::uint16_t h) noexcept {
    return float_of_bits(static_cast<std::uint32_t>(h) << 16);
}
TARN_INLINE std::uint16_t narrow_bfloat16(float v) noexcept {
    const std::uint32_t bits = float_bits(v);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

} // namespace detail

// Sixteen bits that stand for a number. Converts from float by rounding, and to float exactly.
struct float16 {
    std::uint16_t bits;

    float16() = default;
    TARN_INLINE explicit float16(float v) noexcept : bits(detail::narrow_float16(v)) {}
    TARN_INLINE operator float() const noexcept { return detail::widen_float16(bits); }
};
struct bfloat16 {
    std::uint16_t bits;

    bfloat16() = default;
    TARN_INLINE explicit bfloat16(float v) noexcept : bits(detail::narrow_bfloat16(v)) {}
    TARN_INLINE operator float() const noexcept { return detail::widen_bfloat16(bits); }
};

template <> struct element_traits<float16> {
    static constexpr bool known = true;
    static constexpr element value = element::float16;
};
template <> struct element_traits<bfloat16> {
    static constexpr bool known = true;
    static constexpr element value = element::bfloat16;
};
template <> struct view_traits<float16> : scalar_view_traits<float16> {};
template <> struct view_traits<bfloat16> : scalar_view_traits<bfloat16> {};

#if defined(__STDCPP_FLOAT16_T__)
template <> struct element_traits<std::float16_t> : element_traits<float16> {};
#endif
#if defined(__STDCPP_BFLOAT16_T__)
template <> struct element_traits<std::bfloat16_t> : element_traits<bfloat16> {};
#endif

}} // namespace tarn::v0
