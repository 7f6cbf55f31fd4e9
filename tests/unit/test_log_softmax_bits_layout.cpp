// SPDX-License-Identifier: BSD-3-Clause
//
// A row has the same bits in every layout: alignment, padding, storage order, negative and zero strides, any order of
// axes up to rank 5, in place or not, with both kinds of stores; and its sum wherever that goes.
#include "support/kernels.hpp"
#include "support/log_rows.hpp"
#include "support/strided.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;

class log_softmax_layout : public tier_test {};
TARN_TEST_ON_ALL_TIERS(log_softmax_layout);

constexpr tarn::stores both_stores[] = {tarn::stores::cached, tarn::stores::streaming};

// Every distance of x and y from a cache line.
TEST_P(log_softmax_layout, any_alignment) {
    for (const std::ptrdiff_t n : {5, 16, 100, 256, 300, 1000}) {
        const std::ptrdiff_t rows = 3;
        aligned_floats x(rows * n + 16), y(rows * n + 16);
        const auto logits = mixed_rows(rows, n, static_cast<std::uint64_t>(n));
        std::vector<float> expected, expected_sums;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            const auto row = log_softmax_alone(GetParam(), logits.data() + r * n, n);
            expected.insert(expected.end(), row.begin(), row.end());
            expected_sums.push_back(logsumexp_alone(GetParam(), logits.data() + r * n, n));
        }
        for (std::ptrdiff_t i = 0; i < 16; ++i) {
            std::copy(logits.begin(), logits.end(), x.data() + i);
            const auto in = tarn::make_view(x.data() + i, rows, n);
            std::vector<float> sums(static_cast<std::size_t>(rows));
            tarn::logsumexp(tarn::on(GetParam()), in, sums);
            ASSERT_EQ("", difference(sums.data(), expected_sums.data(), rows)) << "rows of " << n << ", off by " << i;
            for (std::ptrdiff_t j = 0; j < 16; ++j) {
                for (const tarn::stores how : both_stores) {
                    tarn::log_softmax_options options;
                    options.stores = how;
                    tarn::log_softmax(tarn::on(GetParam()), in, tarn::make_view(y.data() + j, rows, n), options);
                    ASSERT_EQ("", difference(y.data() + j, expected.data(), rows * n))
                        << "rows of " << n << ", x off by " << i << ", y off by " << j;
                }
            }
        }
    }
}

// Streaming rows that follow each other share cache lines, and those with gaps do not.
TEST_P(log_softmax_layout, padded_rows) {
    for (const std::ptrdiff_t n : {257, 300, 1000, 1024}) {
        for (const std::ptrdiff_t x_padding : {0, 3}) {
            for (const std::ptrdiff_t y_padding : {0, 1, 16}) {
                const std::ptrdiff_t rows = 7;
                std::vector<float> x(static_cast<std::size_t>(rows * (n + x_padding)), 1e30f);
                std::vector<float> y(static_cast<std::size_t>(rows * (n + y_padding)));
                const auto logits = mixed_rows(rows, n, static_cast<std::uint64_t>(n));
                each_placed({n + x_padding, 1}, rows, n, [&](std::size_t dense, std::ptrdiff_t placed) {
                    x[static_cast<std::size_t>(placed)] = logits[dense];
                });
                tarn::log_softmax_options options;
                options.stores = tarn::stores::streaming;
                tarn::log_softmax(
                    tarn::on(GetParam()),
                    tarn::make_view(x.data(), tarn::extents{rows, n}, tarn::strides{n + x_padding, std::ptrdiff_t{1}}),
                    tarn::make_view(y.data(), tarn::extents{rows, n}, tarn::strides{n + y_padding, std::ptrdiff_t{1}}),
                    options);
                for (std::ptrdiff_t r = 0; r < rows; ++r) {
                    const auto expected = log_softmax_alone(GetParam(), logits.data() + r * n, n);
                    ASSERT_EQ("", difference(y.data() + r * (n + y_padding), expected.data(), n)) << r << " of " << n;
                }
            }
        }
    }
}

template <int Rank> void check_tensor(tarn::tier t, std::uint64_t seed) {
    random_bits random(seed);
    const int axis = static_cast<int>(random.below(Rank));
    std::ptrdiff_t extent[tarn::max_rank];
    for (int i = 0; i < Rank; ++i)
        extent[i] = i == axis ? 1 + random.below(random.below(4) ? 40 : 400) : 1 + random.below(Rank > 3 ? 5 : 40);
    const std::ptrdiff_t n = extent[axis];
    const int repeated_axis = random.below(4) ? -1 : static_cast<int>(random.below(Rank));
    strided in(random, Rank, extent, repeated_axis);
    strided out(random, Rank, extent, -1);
    const bool in_place = repeated_axis < 0 && random.below(3) == 0;
    each_index(Rank, extent, [&](const std::ptrdiff_t* index) {
        in.at(index, Rank) = row_of_kind(static_cast<int>(random.below(40)), 1, random.next())[0];
    });
    strided given = in;
    std::ptrdiff_t outer[tarn::max_rank];
    std::copy(extent, extent + Rank, outer);
    outer[axis] = 1;
    strided kept(random, Rank, outer, -1);
    std::ptrdiff_t dropped_extent[tarn::max_rank] = {};
    std::copy(extent, extent + axis, dropped_extent);
    std::copy(extent + axis + 1, extent + Rank, dropped_extent + axis);
    strided dropped(random, Rank - 1, dropped_extent, -1);

    tarn::log_softmax_options options;
    options.axis = random.below(2) ? axis : axis - Rank;
    options.scale = random.below(2) ? 1.0f : -0.37f;
    options.stores = both_stores[random.below(2)];
    const tarn::logsumexp_options of_sums{options.axis, options.scale};
    tarn::logsumexp(tarn::on(t), in.template view<Rank>(extent), kept.template view<Rank>(outer), of_sums);
    tarn::logmeanexp(tarn::on(t), in.template view<Rank>(extent), dropped.template view<Rank - 1>(dropped_extent),
                     of_sums);
    strided& result = in_place ? in : out;
    tarn::log_softmax(tarn::on(t), in.template view<Rank>(extent), result.template view<Rank>(extent), options);

    each_index(Rank, outer, [&](const std::ptrdiff_t* at) {
        std::ptrdiff_t index[tarn::max_rank];
        std::copy(at, at + Rank, index);
        std::vector<float> x, y;
        for (index[axis] = 0; index[axis] < n; ++index[axis]) {
            x.push_back(given.at(index, Rank));
            y.push_back(result.at(index, Rank));
        }
        std::ptrdiff_t shorter[tarn::max_rank] = {};
        std::copy(at, at + axis, shorter);
        std::copy(at + axis + 1, at + Rank, shorter + axis);
        const auto expected = log_softmax_alone(t, x.data(), n, options.scale);
        const float sum = logsumexp_alone(t, x.data(), n, options.scale);
        const float mean = logmeanexp_alone(t, x.data(), n, options.scale);
        const std::string where = "rank " + std::to_string(Rank) + ", axis " + std::to_string(axis) + " of " +
                                  std::to_string(n) + ", seed " + std::to_string(seed);
        ASSERT_EQ("", difference(y.data(), expected.data(), n)) << where << (in_place ? ", in place" : "");
        ASSERT_EQ("", difference(&kept.at(at, Rank), &sum, 1)) << where;
        ASSERT_EQ("", difference(&dropped.at(shorter, Rank - 1), &mean, 1)) << where;
    });
}

TEST_P(log_softmax_layout, any_order_of_axes) {
    for (std::uint64_t seed = 0; seed < (thinned() ? 60u : 400u) && !HasFatalFailure(); ++seed) {
        check_tensor<1>(GetParam(), seed);
        check_tensor<2>(GetParam(), seed);
        check_tensor<3>(GetParam(), seed);
        check_tensor<4>(GetParam(), seed);
        check_tensor<5>(GetParam(), seed);
    }
}

// Long axes of any stride, with cache lines that are shared by few columns.
TEST_P(log_softmax_layout, long_strided_axes) {
    for (const std::ptrdiff_t n : {1000, 8192, 8193, 65537, 131075}) {
        if (thinned() && n > 10000)
            break;
        for (const std::ptrdiff_t columns : {1, 2, 17}) {
            const auto x = normal_logits(n * columns, 10, 0, static_cast<std::uint64_t>(n + columns));
            std::vector<float> y(x.size());
            std::vector<float> sums(static_cast<std::size_t>(columns));
            tarn::log_softmax_options options;
            options.axis = 0;
            options.stores = both_stores[n % 2];
            const auto in = tarn::make_view(x.data(), n, columns);
            tarn::log_softmax(tarn::on(GetParam()), in, tarn::make_view(y.data(), n, columns), options);
            tarn::logsumexp(tarn::on(GetParam()), in, sums, {0});
            for (std::ptrdiff_t c = 0; c < columns; ++c) {
                std::vector<float> row;
                for (std::ptrdiff_t i = 0; i < n; ++i)
                    row.push_back(x[static_cast<std::size_t>(i * columns + c)]);
                const auto expected = log_softmax_alone(GetParam(), row.data(), n);
                ASSERT_EQ("", difference(y.data() + c, expected.data(), n, columns)) << n << " by " << columns;
                ASSERT_EQ(sums[static_cast<std::size_t>(c)], logsumexp_alone(GetParam(), row.data(), n));
            }
        }
    }
}

} // namespace
