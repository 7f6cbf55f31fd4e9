// SPDX-License-Identifier: BSD-3-Clause
//
// The header of the operator, and code that calls it, come before the adapters and the traits of a user's class.
#include <tarn/softmax.hpp>

#include <gtest/gtest.h>

namespace {

template <class X, class Y> void call(const X& x, Y&& y) { tarn::softmax(x, static_cast<Y&&>(y)); }

} // namespace

#include <tarn/eigen_tensor.hpp>

#include <tarn/range.hpp>

#include <tarn/eigen.hpp>

namespace {

struct bag {
    float value[3];
};

} // namespace

template <> struct tarn::view_traits<bag> {
    using value_type = float;
    static constexpr int rank = 1;
    static constexpr bool owns_elements = true;
    template <class Self> static auto view(Self& x) { return tarn::make_view(+x.value, 3); }
};

namespace {

TEST(include_order_c, all_operands) {
    const std::vector<float> x{1, 2, 3};
    std::vector<float> expected(3);
    call(x, expected);
    bag b{};
    call(bag{{1, 2, 3}}, b);
    std::array<float, 3> a{};
    call(x, a);
    Eigen::MatrixXf m(2, 3);
    m << 1, 2, 3, 1, 2, 3;
    call(m, m);
    Eigen::Tensor<float, 3, Eigen::RowMajor> t(1, 2, 3);
    for (int i = 0; i < 6; ++i)
        t.data()[i] = static_cast<float>(i % 3 + 1);
    call(t, t);
    for (int i = 0; i < 3; ++i) {
        const float e = expected[static_cast<std::size_t>(i)];
        EXPECT_GT(e, 0.0f);
        EXPECT_EQ(b.value[i], e);
        EXPECT_EQ(a[static_cast<std::size_t>(i)], e);
        EXPECT_EQ(m(1, i), e);
        EXPECT_EQ(t(0, 1, i), e);
    }
}

} // namespace
