// SPDX-License-Identifier: BSD-3-Clause
//
// Operands of integers (offsets, indices), int32 or int64 as the caller has them, and tarn::none for operands that a
// call does without.
#pragma once

#include <tarn/element.hpp>
#include <tarn/tensor_view.hpp>

namespace tarn { inline namespace v0 {

// In the place of an operand that a call can do without: top_k(x, values, tarn::none).
struct none_type {};
inline constexpr none_type none{};

namespace detail {

template <class X> constexpr bool is_none = std::is_same<remove_cvref_t<X>, none_type>::value;

template <class T>
constexpr bool is_index = std::is_integral<T>::value&& std::is_signed<T>::value && !std::is_same<T, char>::value &&
                          (sizeof(T) == 4 || sizeof(T) == 8);

template <class X, refusal Fault = view_fault<remove_cvref_t<X>>::value> struct is_index_operand : std::false_type {};
template <class X> struct is_index_operand<X, refusal::none> {
    static constexpr bool value = is_index<typename view_traits<remove_cvref_t<X>>::value_type>;
};

// Indices, or none of them.
template <class X> constexpr bool is_index_argument = is_none<X> || is_index_operand<X>::value;

// The type of an operand's elements; float for what is none.
template <class X> using value_type_of = typename stand_in<view_traits<remove_cvref_t<X>>>::value_type;

} // namespace detail

}} // namespace tarn
