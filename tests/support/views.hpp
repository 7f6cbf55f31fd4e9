// SPDX-License-Identifier: BSD-3-Clause
//
// What is expected of the view of any operand.
#pragma once

#include <tarn/eigen_tensor.hpp>
#include <tarn/range.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace support {

using tarn::extents;
using tarn::make_view;
using tarn::optional_view;
using tarn::strides;
using tarn::tensor_view;
using tarn::detail::input_view;
using tarn::detail::output_view;

template <class X> using input_t = decltype(input_view(std::declval<const X&>()));
template <class Y> using output_t = decltype(output_view(std::declval<Y>()));
// The view of Y before the operator asks for a direction: its element type tells whether Y may be an output.
template <class Y> constexpr bool writable = !std::is_const<tarn::detail::element_of<Y>>::value;
template <class T> constexpr bool owns = tarn::view_traits<T>::owns_elements;

template <class A, class B> bool same(const A& a, const B& b) {
    return a.data == b.data && std::equal(a.extent, a.extent + A::rank, b.extent) &&
           std::equal(a.stride, a.stride + A::rank, b.stride);
}

// Visits the indices of every element of v in logical order.
template <int Rank, class T, class F, class... I> void each_index(const tensor_view<T, Rank>& v, const F& f, I... i) {
    if constexpr (sizeof...(I) == Rank) {
        f(i...);
    } else {
        for (std::ptrdiff_t k = 0; k < v.extent[sizeof...(I)]; ++k) {
            each_index(v, f, i..., k);
        }
    }
}

// Writes a different number to every element through the output view of y and reads them back with at(indices...), then
// checks that the input view is the same memory.
template <class Y, class At> void expect_written_through(Y&& y, const At& at) {
    const auto v = output_view(std::forward<Y>(y));
    using value = typename decltype(v)::value_type;
    static_assert(!std::is_const<std::remove_reference_t<decltype(*v.data)>>::value, "outputs are writable");
    float next = 0;
    each_index(v, [&](auto... i) { v(i...) = static_cast<value>(++next); });
    next = 0;
    each_index(v, [&](auto... i) { EXPECT_EQ(at(i...), static_cast<value>(++next)); });
    EXPECT_TRUE(same(v, input_view(std::as_const(y))));
}

// For Eigen objects of either rank, against operator()(row, column) and operator()(i).
template <class Y> void expect_eigen(Y&& y) {
    using object = std::decay_t<Y>;
    const auto& read = y;
    if constexpr (object::RowsAtCompileTime == 1 || object::ColsAtCompileTime == 1) {
        static_assert(output_t<Y>::rank == 1, "vectors have rank 1");
        EXPECT_EQ(output_view(y).extent[0], read.size());
        expect_written_through(std::forward<Y>(y), [&](auto i) { return read(i); });
    } else {
        static_assert(output_t<Y>::rank == 2, "matrices have rank 2");
        EXPECT_EQ(output_view(y).extent[0], read.rows());
        EXPECT_EQ(output_view(y).extent[1], read.cols());
        expect_written_through(std::forward<Y>(y), [&](auto i, auto j) { return read(i, j); });
    }
}

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using any_stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;

} // namespace support
