// SPDX-License-Identifier: BSD-3-Clause
//
// Operands from the standard library: std::vector, std::array, std::span (C++20) and C arrays.
//
// Containers have rank 1. T[N] has rank 1, T[N][M] rank 2, and so on to rank 5, row-major. Other classes with
// contiguous elements are not guessed at; for one of them write
//
//   template <> struct tarn::view_traits<my_buffer> {
//       using value_type = float;
//       static constexpr int rank = 1;
//       static constexpr bool owns_elements = true;
//       static auto view(my_buffer& x) { return tarn::make_view(x.begin(), x.size()); }
//       static auto view(const my_buffer& x) { return tarn::make_view(x.begin(), x.size()); }
//   };
//
// or pass tarn::make_view(x.begin(), x.size()) itself.
#pragma once

#include <tarn/tensor_view.hpp>

#include <array>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L && __has_include(<span>)
#include <span>
#endif

namespace tarn { inline namespace v0 {

template <class T, class Allocator> struct view_traits<std::vector<T, Allocator>> {
    using value_type = T;
    static constexpr int rank = 1;
    static constexpr bool owns_elements = true;
    static TARN_INLINE tensor_view<T, 1> view(std::vector<T, Allocator>& x) { return make_view(x.data(), x.size()); }
    static TARN_INLINE tensor_view<const T, 1> view(const std::vector<T, Allocator>& x) {
        return make_view(x.data(), x.size());
    }
};

template <class Allocator> struct view_traits<std::vector<bool, Allocator>> {
    using value_type = bool;
    static constexpr int rank = 1;
    static constexpr detail::refusal refused = detail::refusal::vector_bool;
};

template <class T, std::size_t N> struct view_traits<std::array<T, N>> {
    using value_type = std::remove_cv_t<T>;
    static constexpr int rank = 1;
    static constexpr bool owns_elements = true;
    static TARN_INLINE constexpr tensor_view<T, 1> view(std::array<T, N>& x) { return make_view(x.data(), N); }
    static TARN_INLINE constexpr tensor_view<const T, 1> view(const std::array<T, N>& x) {
        return make_view(x.data(), N);
    }
};

#if defined(__cpp_lib_span)
template <class T, std::size_t N> struct view_traits<std::span<T, N>> {
    using value_type = std::remove_cv_t<T>;
    static constexpr int rank = 1;
    static constexpr bool owns_elements = false;
    static TARN_INLINE constexpr tensor_view<T, 1> view(const std::span<T, N>& x) {
        return make_view(x.data(), x.size());
    }
};
#endif

template <class T, std::size_t N> struct view_traits<T[N]> {
    using value_type = std::remove_cv_t<std::remove_all_extents_t<T>>;
    static constexpr int rank = static_cast<int>(std::rank<T[N]>::value);
    static constexpr bool owns_elements = true;
    static TARN_INLINE auto view(T (&x)[N]) { return dense<value_type>(&x, axes()); }
    static TARN_INLINE auto view(const T (&x)[N]) { return dense<const value_type>(&x, axes()); }

private:
    using axes = std::make_index_sequence<std::rank<T[N]>::value>;

    // The pointer comes from the whole array, not from its first row, so that it may walk over all rows.
    template <class E, class Array, std::size_t... Axis>
    static TARN_INLINE tensor_view<E, rank> dense(Array* x, std::index_sequence<Axis...>) {
        return make_view(reinterpret_cast<E*>(x), std::extent<T[N], Axis>::value...);
    }
};

}} // namespace tarn::v0
