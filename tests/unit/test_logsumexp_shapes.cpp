// SPDX-License-Identifier: BSD-3-Clause
//
// Reductions of ranks 1 to 5 along every axis, which is dropped from the output or kept with extent 1: against the
// oracle.
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"
#include "support/strided.hpp"

#include <tarn/eigen.hpp>
#include <tarn/range.hpp>

#include <array>

namespace {

using namespace support;

class logsumexp_shapes : public tier_test {};
TARN_TEST_ON_ALL_TIERS(logsumexp_shapes);

template <int Rank> void check_axis(tarn::tier t, const std::array<std::ptrdiff_t, Rank>& extent, int axis) {
    const int k = axis < 0 ? axis + Rank : axis;
    std::ptrdiff_t kept[Rank];
    std::copy(extent.begin(), extent.end(), kept);
    kept[k] = 1;
    std::ptrdiff_t dropped[Rank] = {};
    std::copy(kept, kept + k, dropped);
    std::copy(kept + k + 1, kept + Rank, dropped + k);
    const std::ptrdiff_t n = extent[static_cast<std::size_t>(k)];
    const std::ptrdiff_t size = std::accumulate(kept, kept + Rank, n, std::multiplies<>{});
    const auto logits = normal_logits(size, 3, 0, static_cast<std::uint64_t>(axis + 7));
    std::vector<float> sums(static_cast<std::size_t>(size / n));
    std::vector<float> means = sums, sums_too = sums, means_too = sums;
    const auto x = dense_view<Rank>(logits.data(), extent.data());
    tarn::logsumexp(tarn::on(t), x, dense_view<Rank - 1>(sums.data(), dropped), {axis, -0.37f});
    tarn::logsumexp(tarn::on(t), x, dense_view<Rank>(sums_too.data(), kept), {axis, -0.37f});
    tarn::logmeanexp(tarn::on(t), x, dense_view<Rank - 1>(means.data(), dropped), {axis, -0.37f});
    tarn::logmeanexp(tarn::on(t), x, dense_view<Rank>(means_too.data(), kept), {axis, -0.37f});
    EXPECT_EQ(sums, sums_too);
    EXPECT_EQ(means, means_too);
    std::size_t i = 0;
    each_index(Rank, kept, [&](const std::ptrdiff_t* at) {
        const float* const row = logits.data() + std::inner_product(at, at + Rank, x.stride, std::ptrdiff_t{0});
        const exact_log_sum exact(row, n, -0.37f, x.stride[k]);
        ASSERT_LE(log_sum_error(sums[i], exact), 4.0) << "rank " << Rank << ", axis " << axis;
        ASSERT_LE(log_sum_error(means[i], exact, -std::log(static_cast<long double>(n))), 4.0)
            << "rank " << Rank << ", axis " << axis;
        ++i;
    });
}

TEST_P(logsumexp_shapes, every_axis_of_every_rank) {
    for (int axis = -1; axis < 1; ++axis)
        check_axis<1>(GetParam(), {37}, axis);
    for (int axis = -2; axis < 2; ++axis)
        check_axis<2>(GetParam(), {5, 19}, axis);
    for (int axis = -3; axis < 3; ++axis)
        check_axis<3>(GetParam(), {4, 18, 33}, axis);
    for (int axis = -4; axis < 4; ++axis)
        check_axis<4>(GetParam(), {3, 5, 1, 20}, axis);
    for (int axis = -5; axis < 5; ++axis)
        check_axis<5>(GetParam(), {2, 3, 17, 4, 5}, axis);
}

// Where the axis keeps extent 1, its stride in the output does not matter.
TEST_P(logsumexp_shapes, stride_of_the_kept_axis) {
    const auto x = normal_logits(60, 1, 0, 1);
    std::vector<float> expected(5), y(5);
    tarn::logsumexp(tarn::on(GetParam()), tarn::make_view(x.data(), 12, 5), expected, {0});
    for (const std::ptrdiff_t stride : {std::ptrdiff_t{0}, std::ptrdiff_t{-77}, std::ptrdiff_t{1} << 60}) {
        tarn::logsumexp(tarn::on(GetParam()), tarn::make_view(x.data(), 12, 5),
                        tarn::make_view(y.data(), tarn::extents{1, 5}, tarn::strides{stride, std::ptrdiff_t{1}}), {0});
        EXPECT_EQ(y, expected);
    }
}

// An extent of 0 beside the axis: nothing is written, null pointers are fine.
TEST_P(logsumexp_shapes, empty_outputs) {
    float y = -1.0f;
    const float* const no_input = nullptr;
    float* const no_output = nullptr;
    for (const std::ptrdiff_t n : {0, 3}) {
        EXPECT_NO_THROW(tarn::logsumexp(tarn::on(GetParam()), tarn::make_view(no_input, 0, n), tarn::make_view(&y, 0)));
        EXPECT_NO_THROW(tarn::logmeanexp(tarn::on(GetParam()), tarn::make_view(no_input, n, 0),
                                         tarn::make_view(no_output, 0), {0}));
    }
    EXPECT_EQ(y, -1.0f);
}

TEST_P(logsumexp_shapes, eigen_ranges_and_a_float) {
    Eigen::MatrixXf x(7, 30);
    const auto logits = normal_logits(x.size(), 2, 0, 11);
    std::copy(logits.begin(), logits.end(), x.data());
    Eigen::VectorXf of_rows(7);
    Eigen::RowVectorXf of_columns(30);
    tarn::logsumexp(tarn::on(GetParam()), x, of_rows);
    tarn::logsumexp(tarn::on(GetParam()), x, of_columns, {0});
    Eigen::MatrixXf kept(7, 3);
    tarn::logsumexp(tarn::on(GetParam()), x, kept.middleCols(1, 1));
    for (Eigen::Index r = 0; r < x.rows(); ++r) {
        EXPECT_LE(log_sum_error(of_rows[r], exact_log_sum(&x(r, 0), x.cols(), 1.0f, x.rows())), 4.0);
        EXPECT_EQ(of_rows[r], kept(r, 1));
        float one = 0;
        tarn::logsumexp(tarn::on(GetParam()), x.row(r), one);
        EXPECT_EQ(of_rows[r], one);
    }
    for (Eigen::Index c = 0; c < x.cols(); ++c)
        EXPECT_LE(log_sum_error(of_columns[c], exact_log_sum(&x(0, c), x.rows(), 1.0f)), 4.0);
    const std::array<float, 3> small = {1, 2, 3};
    float result[1];
    tarn::logmeanexp(tarn::on(GetParam()), small, result);
    EXPECT_EQ(result[0], logmeanexp_alone(GetParam(), small.data(), 3));
    tarn::logsumexp(small, result[0]);
    EXPECT_EQ(result[0], logsumexp_alone(tarn::best_tier(), small.data(), 3));
}

} // namespace
