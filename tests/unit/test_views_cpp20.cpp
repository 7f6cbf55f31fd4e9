// SPDX-License-Identifier: BSD-3-Clause
//
// What the adapters take beyond C++17: std::span.
#include <tarn/range.hpp>
#include <tarn/softmax.hpp>

#include <gtest/gtest.h>

#include <numeric>
#include <type_traits>

#if !defined(__cpp_lib_span)
#error "this test is to be compiled as C++20"
#endif

namespace {

using tarn::tensor_view;
using tarn::detail::input_view;
using tarn::detail::output_view;

static_assert(std::is_same_v<decltype(output_view(std::span<float>())), tensor_view<float, 1>>, "temporaries too");
static_assert(std::is_same_v<decltype(input_view(std::span<float, 3>(std::declval<float (&)[3]>()))),
                             tensor_view<const float, 1>>);
static_assert(!tarn::detail::accepts_output<std::span<const float>>::value, "const elements");
static_assert(!tarn::view_traits<std::span<float>>::owns_elements);

TEST(span, is_the_same_memory) {
    std::vector<float> x(6);
    std::iota(x.begin(), x.end(), 0.0f);
    const std::span<float> all(x);
    EXPECT_EQ(input_view(all).data, x.data());
    EXPECT_EQ(input_view(all).extent[0], 6);
    EXPECT_EQ(input_view(all).stride[0], 1);
    EXPECT_EQ(input_view(std::span<const float>(x)).data, x.data());
    const auto part = output_view(std::span<float, 3>(x.data() + 2, 3));
    EXPECT_EQ(part.extent[0], 3);
    part(1) = 7;
    EXPECT_EQ(x[3], 7);
    EXPECT_EQ(output_view(std::span<float>()).extent[0], 0);
}

TEST(span, is_an_operand_of_softmax) {
    const std::vector<float> x{1, 2, 3, 4};
    std::vector<float> y(6, -1.0f);
    std::vector<float> expected(4);
    tarn::softmax(x, expected);
    tarn::softmax(std::span(x), std::span(y).subspan(1, 4));
    EXPECT_EQ(std::vector<float>(y.begin() + 1, y.end() - 1), expected);
    EXPECT_EQ(y.front(), -1.0f);
    EXPECT_EQ(y.back(), -1.0f);
}

} // namespace
