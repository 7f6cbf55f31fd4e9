// SPDX-License-Identifier: BSD-3-Clause
//
// Ranks 1 to 5, every axis, odd strides, extents of 0, and the adapters' types: log_softmax against the oracle.
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"

#include <tarn/eigen.hpp>
#include <tarn/range.hpp>

#include <array>

namespace {

using namespace support;

class log_softmax_shapes : public tier_test {};
TARN_TEST_ON_ALL_TIERS(log_softmax_shapes);

// Neighbours along the last axis are `step` apart.
template <int Rank>
void check_axis(tarn::tier t, const std::array<std::ptrdiff_t, Rank>& extent, int axis, std::ptrdiff_t step) {
    tarn::tensor_view<const float, Rank> x{nullptr, {}, {}};
    std::ptrdiff_t size = step;
    for (int i = Rank - 1; i >= 0; --i) {
        x.extent[i] = extent[static_cast<std::size_t>(i)];
        x.stride[i] = size;
        size *= x.extent[i];
    }
    const auto logits = normal_logits(size, 3, 0, static_cast<std::uint64_t>(axis + 7));
    std::vector<float> results(logits.size(), 1.0f);
    x.data = logits.data();
    tarn::tensor_view<float, Rank> y{results.data(), {}, {}};
    std::copy(x.extent, x.extent + Rank, y.extent);
    std::copy(x.stride, x.stride + Rank, y.stride);
    tarn::log_softmax_options options;
    options.axis = axis;
    tarn::log_softmax(tarn::on(t), x, y, options);
    const int k = axis < 0 ? axis + Rank : axis;
    const std::ptrdiff_t n = x.extent[k];
    const std::ptrdiff_t along = x.stride[k];
    for (std::ptrdiff_t at = 0; at < size; ++at) {
        if (at % step != 0) {
            ASSERT_EQ(results[static_cast<std::size_t>(at)], 1.0f) << "between elements";
        } else if (at / along % n == 0) {
            const auto exact = exact_log_softmax(logits.data() + at, n, 1.0f, along);
            ASSERT_LE(worst_log_error(results.data() + at, exact, along), 4.0) << "rank " << Rank << ", axis " << axis;
        }
    }
}

TEST_P(log_softmax_shapes, every_axis_of_every_rank) {
    for (const std::ptrdiff_t step : {1, 3}) {
        for (int axis = -1; axis < 1; ++axis)
            check_axis<1>(GetParam(), {37}, axis, step);
        for (int axis = -2; axis < 2; ++axis)
            check_axis<2>(GetParam(), {5, 19}, axis, step);
        for (int axis = -3; axis < 3; ++axis)
            check_axis<3>(GetParam(), {4, 18, 33}, axis, step);
        for (int axis = -4; axis < 4; ++axis)
            check_axis<4>(GetParam(), {3, 5, 1, 20}, axis, step);
        for (int axis = -5; axis < 5; ++axis)
            check_axis<5>(GetParam(), {2, 3, 17, 4, 5}, axis, step);
    }
}

// An extent of 0 anywhere: nothing is written, null pointers are fine.
TEST_P(log_softmax_shapes, empty_operands) {
    float y = -1.0f;
    const float* const no_input = nullptr;
    float* const no_output = nullptr;
    for (const int axis : {0, 1, 2}) {
        for (int zero = 0; zero < 3; ++zero) {
            tarn::extents<3> e{2, 3, 4};
            e.value[zero] = 0;
            tarn::log_softmax_options options;
            options.axis = axis;
            EXPECT_NO_THROW(
                tarn::log_softmax(tarn::on(GetParam()), tarn::make_view(no_input, e), tarn::make_view(&y, e), options));
            EXPECT_NO_THROW(tarn::log_softmax(tarn::on(GetParam()), tarn::make_view(no_input, e),
                                              tarn::make_view(no_output, e), options));
        }
    }
    EXPECT_NO_THROW(tarn::log_softmax(tarn::on(GetParam()), std::vector<float>(), tarn::make_view(&y, 0)));
    EXPECT_EQ(y, -1.0f);
}

TEST_P(log_softmax_shapes, eigen_and_ranges) {
    Eigen::MatrixXf x(7, 30);
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> y(7, 30);
    const auto logits = normal_logits(x.size(), 2, 0, 11);
    std::copy(logits.begin(), logits.end(), x.data());
    tarn::log_softmax(tarn::on(GetParam()), x, y);
    for (Eigen::Index r = 0; r < x.rows(); ++r)
        EXPECT_LE(worst_log_error(&y(r, 0), exact_log_softmax(&x(r, 0), x.cols(), 1.0f, x.rows())), 4.0);
    tarn::log_softmax(tarn::on(GetParam()), x, y, {0});
    for (Eigen::Index c = 0; c < x.cols(); ++c)
        EXPECT_LE(worst_log_error(&y(0, c), exact_log_softmax(&x(0, c), x.rows(), 1.0f), x.cols()), 4.0);
    const Eigen::MatrixXf before = x;
    tarn::log_softmax(tarn::on(GetParam()), x.row(2), x.row(2));
    EXPECT_LE(worst_log_error(&x(2, 0), exact_log_softmax(&before(2, 0), x.cols(), 1.0f, x.rows()), x.rows()), 4.0);
    EXPECT_EQ(x.row(1), before.row(1));

    const std::array<float, 3> small = {1, 2, 3};
    float result[3];
    tarn::log_softmax(tarn::on(GetParam()), small, result);
    EXPECT_LE(worst_log_error(result, exact_log_softmax(small.data(), 3, 1.0f)), 4.0);
}

} // namespace
