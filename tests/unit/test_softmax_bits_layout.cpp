// SPDX-License-Identifier: BSD-3-Clause
//
// A row has the same bits in every layout: alignment, padding, storage order, negative and zero strides, any order of
// axes up to rank 5, in place or not, with every algorithm and both kinds of stores.
#include "support/kernels.hpp"
#include "support/rows.hpp"
#include "support/strided.hpp"

namespace {

using namespace support;

class softmax_layout : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_layout);

constexpr tarn::stores both_stores[] = {tarn::stores::cached, tarn::stores::streaming};
constexpr tarn::softmax_algorithm algorithms[] = {
    tarn::softmax_algorithm::automatic,         tarn::softmax_algorithm::three_pass_recompute,
    tarn::softmax_algorithm::three_pass_reload, tarn::softmax_algorithm::optimistic,
    tarn::softmax_algorithm::two_pass,          tarn::softmax_algorithm::online};

// Every distance of x and y from a cache line.
TEST_P(softmax_layout, any_alignment) {
    for (const std::ptrdiff_t n : {5, 16, 64, 100, 256, 300, 1000}) {
        const std::ptrdiff_t rows = 3;
        aligned_floats x(rows * n + 16), y(rows * n + 16);
        const auto logits = mixed_rows(rows, n, static_cast<std::uint64_t>(n));
        std::vector<float> expected;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            const auto row = softmax_alone(GetParam(), logits.data() + r * n, n);
            expected.insert(expected.end(), row.begin(), row.end());
        }
        for (std::ptrdiff_t i = 0; i < 16; ++i) {
            std::copy(logits.begin(), logits.end(), x.data() + i);
            for (std::ptrdiff_t j = 0; j < 16; ++j) {
                for (const tarn::stores how : both_stores) {
                    tarn::softmax_options options;
                    options.stores = how;
                    tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data() + i, rows, n),
                                  tarn::make_view(y.data() + j, rows, n), options);
                    ASSERT_EQ("", difference(y.data() + j, expected.data(), rows * n))
                        << "rows of " << n << ", x off by " << i << ", y off by " << j;
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
    const strided original = in;

    tarn::softmax_options options;
    options.axis = random.below(2) ? axis : axis - Rank;
    options.scale = random.below(2) ? 1.0f : -0.37f;
    options.stores = both_stores[random.below(2)];
    options.algorithm = algorithms[random.below(6)];
    strided& result = in_place ? in : out;
    tarn::softmax(tarn::on(t), in.template view<Rank>(extent), result.template view<Rank>(extent), options);

    std::ptrdiff_t outer[tarn::max_rank];
    std::copy(extent, extent + Rank, outer);
    outer[axis] = 1;
    strided given = original;
    each_index(Rank, outer, [&](const std::ptrdiff_t* at) {
        std::ptrdiff_t index[tarn::max_rank];
        std::copy(at, at + Rank, index);
        std::vector<float> x, y;
        for (index[axis] = 0; index[axis] < n; ++index[axis]) {
            x.push_back(given.at(index, Rank));
            y.push_back(result.at(index, Rank));
        }
        const auto expected = softmax_alone(t, x.data(), n, options.scale);
        ASSERT_EQ("", difference(y.data(), expected.data(), n)) << "rank " << Rank << ", axis " << axis << " of " << n
                                                                << ", seed " << seed << (in_place ? ", in place" : "");
    });
}

TEST_P(softmax_layout, any_order_of_axes) {
    for (std::uint64_t seed = 0; seed < (thinned() ? 60u : 600u) && !HasFatalFailure(); ++seed) {
        check_tensor<1>(GetParam(), seed);
        check_tensor<2>(GetParam(), seed);
        check_tensor<3>(GetParam(), seed);
        check_tensor<4>(GetParam(), seed);
        check_tensor<5>(GetParam(), seed);
    }
}

// Long axes of any stride: beyond what one gather takes, and with cache lines that are shared by few columns.
TEST_P(softmax_layout, long_strided_axes) {
    for (const std::ptrdiff_t n : {1000, 8192, 8193, 65537, 131075}) {
        if (thinned() && n > 10000)
            break;
        for (const std::ptrdiff_t columns : {1, 2, 17}) {
            const auto x = normal_logits(n * columns, 10, 0, static_cast<std::uint64_t>(n + columns));
            std::vector<float> y(x.size());
            tarn::softmax_options options;
            options.axis = 0;
            options.stores = both_stores[n % 2];
            tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), n, columns),
                          tarn::make_view(y.data(), n, columns), options);
            for (std::ptrdiff_t c = 0; c < columns; ++c) {
                std::vector<float> row;
                for (std::ptrdiff_t i = 0; i < n; ++i)
                    row.push_back(x[static_cast<std::size_t>(i * columns + c)]);
                const auto expected = softmax_alone(GetParam(), row.data(), n);
                ASSERT_EQ("", difference(y.data() + c, expected.data(), n, columns)) << n << " by " << columns;
            }
        }
    }
}

// All algorithms, stores, and in place, on rows of every kernel's range.
TEST_P(softmax_layout, any_algorithm_and_stores) {
    for (const std::ptrdiff_t n : {1, 16, 100, 256, 257, 1000, 4096, 4097, 131073, 262144, 262145}) {
        const std::ptrdiff_t rows = n > 10000 ? 2 : 19;
        const auto x = mixed_rows(rows, n, static_cast<std::uint64_t>(n));
        std::vector<float> expected;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            const auto row = softmax_alone(GetParam(), x.data() + r * n, n);
            expected.insert(expected.end(), row.begin(), row.end());
        }
        for (const tarn::softmax_algorithm algorithm : algorithms) {
            for (const tarn::stores how : both_stores) {
                tarn::softmax_options options;
                options.algorithm = algorithm;
                options.stores = how;
                std::vector<float> y(x.size());
                tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), rows, n),
                              tarn::make_view(y.data(), rows, n), options);
                EXPECT_EQ("", difference(y.data(), expected.data(), rows * n)) << n;
                y = x;
                tarn::softmax(tarn::on(GetParam()), tarn::make_view(y.data(), rows, n),
                              tarn::make_view(y.data(), rows, n), options);
                EXPECT_EQ("", difference(y.data(), expected.data(), rows * n)) << n << " in place";
                y.assign(y.size(), 0.0f);
                tarn::softmax(tarn::on(GetParam(), tarn::serial, tarn::scratch{}), tarn::make_view(x.data(), rows, n),
                              tarn::make_view(y.data(), rows, n), options);
                EXPECT_EQ("", difference(y.data(), expected.data(), rows * n)) << n << " without scratch";
            }
        }
    }
}

} // namespace
