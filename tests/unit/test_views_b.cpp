// SPDX-License-Identifier: BSD-3-Clause
//
// Every accepted operand, continued: matrices of Eigen and all parts of them.
#include "support/views.hpp"

#include <cstdint>

namespace {

using namespace support;

template <class M> class eigen_matrix : public testing::Test {};
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TARN_TEST_FEWER_TYPES
#endif
#endif
#if defined(TARN_TEST_FEWER_TYPES)
// The layouts are computed from the types at compile time; what is left to sanitizers is the same for all of them.
using matrices = testing::Types<Eigen::MatrixXf, Eigen::Matrix<float, 6, 5, Eigen::RowMajor>>;
TEST(eigen_matrix, of_other_types) {
    GTEST_SKIP() << "with sanitizers for two types of matrices instead of nine, which take long to compile";
}
#else
using matrices = testing::Types<Eigen::MatrixXf, row_major, Eigen::ArrayXXd,
                                Eigen::Array<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
                                Eigen::Matrix<float, 6, 5>, Eigen::Matrix<float, 6, 5, Eigen::RowMajor>,
                                Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor, 8, 8>,
                                Eigen::Matrix<std::int64_t, 6, Eigen::Dynamic>, Eigen::Matrix<Eigen::half, 6, 5>>;
#endif
TYPED_TEST_SUITE(eigen_matrix, matrices, );

TYPED_TEST(eigen_matrix, and_its_parts) {
    TypeParam m(6, 5);
    expect_eigen(m);
    EXPECT_EQ(output_view(m).data, m.data());
    expect_eigen(m.row(4));
    expect_eigen(m.col(3));
    expect_eigen(m.row(4).tail(2));
    expect_eigen(m.col(3).segment(1, 3));
    expect_eigen(m.block(1, 2, 3, 2));
    expect_eigen(m.template block<2, 3>(3, 1));
    expect_eigen(m.template topRows<1>());
    expect_eigen(m.middleCols(1, 3));
    expect_eigen(m.middleRows(1, 3).rightCols(2));
    expect_eigen(m.block(1, 1, 4, 4).col(2).tail(2));
    expect_eigen(m.transpose());
    expect_eigen(m.transpose().row(2));
    expect_eigen(m.block(1, 1, 4, 3).transpose());
    expect_eigen(m.row(2).transpose());
    expect_eigen(m.transpose().block(1, 1, 2, 4).transpose());
    Eigen::Ref<TypeParam> ref(m);
    expect_eigen(ref);
    EXPECT_EQ(output_view(ref).data, m.data());
    const Eigen::Ref<const TypeParam> read(m);
    EXPECT_EQ(input_view(read).data, m.data());
    EXPECT_TRUE(same(input_view(read), input_view(m)));
    Eigen::Map<TypeParam> map(m.data(), 6, 5);
    expect_eigen(map);
    EXPECT_TRUE(same(output_view(std::as_const(map)), output_view(m)));
    constexpr int order = TypeParam::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor;
    expect_eigen(m.template reshaped<order>(10, 3));
    expect_eigen(m.template reshaped<order>(Eigen::fix<1>, 30));
    expect_eigen(m.template reshaped<order>());
    expect_eigen(m.transpose().template reshaped<1 - order>(15, 2));
    expect_eigen(m.matrix().block(1, 1, 2, 2));
    expect_eigen(m.array().block(1, 1, 2, 2));
    expect_eigen(m.matrix().diagonal());
    expect_eigen(m.matrix().diagonal(-2));
    expect_eigen(m.matrix().diagonal(3).tail(1));
    expect_eigen(m.matrix().block(1, 1, 3, 4).diagonal(1));
    expect_eigen(m.matrix().block(1, 1, 3, 4).transpose().diagonal().transpose());
    // Empty parts, also where they start beyond the last element.
    expect_eigen(m.block(6, 5, 0, 0));
    EXPECT_EQ(input_view(m.bottomRows(0)).extent[0], 0);
}

} // namespace
