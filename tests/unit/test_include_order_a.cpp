// SPDX-License-Identifier: BSD-3-Clause
//
// The adapters, and the traits of a user's class, come after the code that uses them. The twin of
// test_include_order_b.cpp: both must see the same views.
#include <tarn/tensor_view.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace {

template <class Y> std::string describe(Y&& y) {
    const auto in = tarn::detail::input_view(y);
    const auto out = tarn::detail::output_view(std::forward<Y>(y));
    std::string text = std::to_string(out.rank) + ": ";
    for (int k = 0; k < out.rank; ++k) {
        EXPECT_EQ(in.extent[k], out.extent[k]);
        EXPECT_EQ(in.stride[k], out.stride[k]);
        text += std::to_string(out.extent[k]) + "/" + std::to_string(out.stride[k]) + " ";
    }
    EXPECT_EQ(in.data, out.data);
    return text;
}

} // namespace

#include <tarn/range.hpp>

#include <tarn/eigen_tensor.hpp>

#include <tarn/eigen.hpp>

namespace {

struct box {
    double value[3];
};

} // namespace

template <> struct tarn::view_traits<box> {
    using value_type = double;
    static constexpr int rank = 1;
    static constexpr bool owns_elements = true;
    template <class Self> static auto view(Self& x) { return tarn::make_view(+x.value, 3); }
};

namespace {

TEST(include_order_a, all_operands) {
    Eigen::MatrixXf m(2, 3);
    Eigen::Tensor<float, 3, Eigen::RowMajor> t(2, 3, 4);
    std::vector<float> v(5);
    std::array<double, 3> a{};
    box b{};
    float s = 0;
    EXPECT_EQ(describe(m), "2: 2/1 3/2 ");
    EXPECT_EQ(describe(m.row(0)), "1: 3/2 ");
    EXPECT_EQ(describe(t), "3: 2/12 3/4 4/1 ");
    EXPECT_EQ(describe(v), "1: 5/1 ");
    EXPECT_EQ(describe(a), "1: 3/1 ");
    EXPECT_EQ(describe(b), "1: 3/1 ");
    EXPECT_EQ(describe(s), "0: ");
}

} // namespace
