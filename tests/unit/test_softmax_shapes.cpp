// SPDX-License-Identifier: BSD-3-Clause
//
// Ranks 1 to 5, every axis, extents of 0 and 1, and the adapters' types: results against the oracle.
#include "support/oracle.hpp"
#include "support/rows.hpp"

#include <tarn/eigen.hpp>
#include <tarn/range.hpp>

#include <array>
#include <cfloat>

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class softmax_shapes : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_shapes);

template <int Rank> void check_axis(tarn::tier t, const std::array<std::ptrdiff_t, Rank>& extent, int axis) {
    tarn::tensor_view<const float, Rank> x{nullptr, {}, {}};
    std::ptrdiff_t size = 1;
    for (int i = Rank - 1; i >= 0; --i) {
        x.extent[i] = extent[static_cast<std::size_t>(i)];
        x.stride[i] = size;
        size *= x.extent[i];
    }
    const auto logits = normal_logits(size, 3, 0, static_cast<std::uint64_t>(axis + 7));
    std::vector<float> results(logits.size(), -1.0f);
    x.data = logits.data();
    tarn::tensor_view<float, Rank> y{results.data(), {}, {}};
    std::copy(x.extent, x.extent + Rank, y.extent);
    std::copy(x.stride, x.stride + Rank, y.stride);
    tarn::softmax_options options;
    options.axis = axis;
    tarn::softmax(tarn::on(t), x, y, options);
    const int k = axis < 0 ? axis + Rank : axis;
    const std::ptrdiff_t n = x.extent[k];
    const std::ptrdiff_t step = x.stride[k];
    for (std::ptrdiff_t at = 0; at < size; ++at) {
        if (at / step % n == 0) {
            const auto exact = exact_softmax(logits.data() + at, n, 1.0f, step);
            ASSERT_LE(worst_error(results.data() + at, exact, step), 4.0) << "rank " << Rank << ", axis " << axis;
        }
    }
}

TEST_P(softmax_shapes, every_axis_of_every_rank) {
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

// An extent of 0 anywhere: nothing is written, null pointers are fine.
TEST_P(softmax_shapes, empty_operands) {
    float y = -1.0f;
    const float x = nan;
    for (const std::ptrdiff_t rows : {0, 1, 5}) {
        for (const std::ptrdiff_t n : {0, 1, 5}) {
            if (rows * n != 0)
                continue;
            for (const int axis : {0, 1}) {
                tarn::softmax_options options;
                options.axis = axis;
                EXPECT_NO_THROW(tarn::softmax(tarn::on(GetParam()), tarn::make_view(&x, rows, n),
                                              tarn::make_view(&y, rows, n), options));
                const float* const no_input = nullptr;
                float* const no_output = nullptr;
                EXPECT_NO_THROW(tarn::softmax(tarn::on(GetParam()), tarn::make_view(no_input, rows, n),
                                              tarn::make_view(no_output, rows, n), options));
            }
        }
    }
    for (int zero = 0; zero < 5; ++zero) {
        tarn::tensor_view<const float, 5> in{&x, {2, 3, 4, 5, 6}, {360, 120, 30, 6, 1}};
        tarn::tensor_view<float, 5> out{&y, {2, 3, 4, 5, 6}, {360, 120, 30, 6, 1}};
        in.extent[zero] = out.extent[zero] = 0;
        EXPECT_NO_THROW(tarn::softmax(tarn::on(GetParam()), in, out));
    }
    EXPECT_NO_THROW(tarn::softmax(tarn::on(GetParam()), std::vector<float>(), tarn::make_view(&y, 0)));
    EXPECT_EQ(y, -1.0f);
}

// A weight over itself is exactly 1, whatever its significand: rows of one element, alone, in a batch and beside masked
// ones.
TEST_P(softmax_shapes, one_element_takes_all) {
    const std::ptrdiff_t n = 10000;
    std::vector<float> x;
    for (std::ptrdiff_t i = 0; i < n; ++i)
        x.push_back(0.004f * static_cast<float>(i - n / 3));
    std::vector<float> y(x.size());
    tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), n, 1), tarn::make_view(y.data(), n, 1));
    EXPECT_EQ(y, std::vector<float>(y.size(), 1.0f));
    for (const std::ptrdiff_t columns : {1, 2, 16, 17, 300}) {
        std::vector<float> row(static_cast<std::size_t>(columns), -inf);
        std::vector<float> result(row.size());
        for (std::ptrdiff_t i = 0; i < n; i += 7) {
            row[static_cast<std::size_t>(i % columns)] = x[static_cast<std::size_t>(i)];
            tarn::softmax(tarn::on(GetParam()), row, result);
            ASSERT_EQ(result[static_cast<std::size_t>(i % columns)], 1.0f) << x[static_cast<std::size_t>(i)];
            row[static_cast<std::size_t>(i % columns)] = -inf;
        }
    }
}

// A row of one element is 1; NaN for NaN and +inf, the empty row for -inf. Along any axis of extent 1.
TEST_P(softmax_shapes, rows_of_one) {
    const std::vector<float> x = {0.0f, -0.0f, 1.0f, -87.0f, 1e30f, -FLT_MAX, FLT_MAX, 1e-45f, nan, inf, -inf};
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    for (const tarn::empty_row empty : {tarn::empty_row::nan, tarn::empty_row::zero}) {
        tarn::softmax_options options;
        options.empty_row = empty;
        const auto check = [&](const std::vector<float>& y) {
            for (std::size_t i = 0; i + 3 < y.size(); ++i)
                EXPECT_EQ(y[i], 1.0f) << x[i];
            EXPECT_TRUE(std::isnan(y[y.size() - 3]));
            EXPECT_TRUE(std::isnan(y[y.size() - 2]));
            EXPECT_TRUE(empty == tarn::empty_row::nan ? std::isnan(y.back()) : y.back() == 0.0f);
        };
        std::vector<float> y(x.size());
        tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), n, 1), tarn::make_view(y.data(), n, 1), options);
        check(y);
        options.axis = 0;
        tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), 1, n), tarn::make_view(y.data(), 1, n), options);
        check(y);
        options.axis = 1;
        tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), n, 1, 1), tarn::make_view(y.data(), n, 1, 1),
                      options);
        check(y);
        for (std::size_t i = 0; i < x.size(); ++i)
            y[i] = softmax_alone(GetParam(), &x[i], 1, 1.0f, empty)[0];
        check(y);
    }
}

TEST_P(softmax_shapes, eigen_and_ranges) {
    Eigen::MatrixXf x(7, 30);
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> y(7, 30);
    const auto logits = normal_logits(x.size(), 2, 0, 11);
    std::copy(logits.begin(), logits.end(), x.data());
    tarn::softmax(tarn::on(GetParam()), x, y);
    for (Eigen::Index r = 0; r < x.rows(); ++r)
        EXPECT_LE(worst_error(&y(r, 0), exact_softmax(&x(r, 0), x.cols(), 1.0f, x.rows())), 4.0);
    tarn::softmax(tarn::on(GetParam()), x, y, {0});
    for (Eigen::Index c = 0; c < x.cols(); ++c)
        EXPECT_LE(worst_error(&y(0, c), exact_softmax(&x(0, c), x.rows(), 1.0f), x.cols()), 4.0);
    const Eigen::MatrixXf before = x;
    tarn::softmax(tarn::on(GetParam()), x.row(2), x.row(2));
    EXPECT_LE(worst_error(&x(2, 0), exact_softmax(&before(2, 0), x.cols(), 1.0f, x.rows()), x.rows()), 4.0);
    EXPECT_EQ(x.row(1), before.row(1));

    const std::array<float, 3> small = {1, 2, 3};
    float result[3];
    tarn::softmax(tarn::on(GetParam()), small, result);
    EXPECT_LE(worst_error(result, exact_softmax(small.data(), 3, 1.0f)), 4.0);
}

} // namespace
