// SPDX-License-Identifier: BSD-3-Clause
//
// The types of elements that operators take.
#pragma once

#include <tarn/config.hpp>

#include <cstddef>
#include <type_traits>

namespace tarn { inline namespace v0 {

// How an element is stored. 16-bit elements are worked on as floats; bytes are masks, 0 or not; integers are indices.
enum class element { float32, float64, float16, bfloat16, byte, int32, int64 };

// Which of them T is. A class with the bits of one may be made an element by
//
//   template <> struct tarn::element_traits<my_half> : tarn::element_traits<tarn::float16> {};
//   template <> struct tarn::view_traits<my_half> : tarn::scalar_view_traits<my_half> {};   (for results of rank 0)
template <class T> struct element_traits { static constexpr bool known = false; };
template <> struct element_traits<float> {
    static constexpr bool known = true;
    static constexpr element value = element::float32;
};
template <> struct element_traits<double> {
    static constexpr bool known = true;
    static constexpr element value = element::float64;
};

namespace detail {

TARN_INLINE constexpr std::ptrdiff_t size_of(element e) noexcept {
    switch (e) {
    case element::float64:
    case element::int64:
        return 8;
    case element::float32:
    case element::int32:
        return 4;
    case element::byte:
        return 1;
    default:
        return 2;
    }
}

template <class T, bool = element_traits<T>::known> struct is_half : std::false_type {};
template <class T> struct is_half<T, true> : std::bool_constant<size_of(element_traits<T>::value) == 2> {};

// The type in which elements of T are worked on.
template <class T> using number_of = std::conditional_t<std::is_same<T, double>::value, double, float>;

// Whether an operator may read elements of one type and write those of the other: the same, or 16 bits in and float
// out.
template <class In, class Out> struct is_element_pair {
    static constexpr bool value =
        element_traits<In>::known &&
        (std::is_same<In, Out>::value || (is_half<In>::value && std::is_same<Out, float>::value));
};

} // namespace detail

}} // namespace tarn::v0
