// SPDX-License-Identifier: BSD-3-Clause
//
// The public functions compiled into the user's own file, for the instruction set of that file.
#include "support/log_oracle.hpp"
#include "support/log_rows.hpp"

namespace {

using namespace support;

TEST(log_softmax_header_only, is_within_4_ulp_and_keeps_the_rules) {
    for (const std::ptrdiff_t n : {1, 2, 15, 16, 17, 31, 64, 100, 256, 257, 1000, 5000}) {
        for (int kind = 0; kind < row_kinds; ++kind) {
            for (const float scale : {1.0f, -0.37f}) {
                const auto x = row_of_kind(kind, n, static_cast<std::uint64_t>(n * 100 + kind));
                const auto y = log_softmax_alone(tarn::best_tier(), x.data(), n, scale, tarn::empty_row::zero);
                constexpr long double lowest = -std::numeric_limits<long double>::infinity();
                EXPECT_LE(worst_log_error(y.data(), specified_log_softmax(x.data(), n, scale, lowest)), 4.0)
                    << "kind " << kind << " length " << n << " scale " << scale;
                EXPECT_LE(
                    specified_log_sum_error(logsumexp_alone(tarn::best_tier(), x.data(), n, scale), x.data(), n, scale),
                    4.0)
                    << "kind " << kind << " length " << n << " scale " << scale;
            }
        }
    }
}

TEST(log_softmax_header_only, has_the_tier_of_the_file_alone) {
    const float x[2] = {1, 2};
    float y[2] = {1, 1};
    for (const tarn::tier t : all_tiers) {
        if (t == tarn::best_tier())
            continue;
        EXPECT_THROW(tarn::log_softmax(tarn::on(t), tarn::make_view(x, 2), tarn::make_view(y, 2)),
                     std::invalid_argument);
        EXPECT_THROW(tarn::logsumexp(tarn::on(t), tarn::make_view(x, 2), y[0]), std::invalid_argument);
        EXPECT_EQ(y[0], 1.0f);
    }
}

TEST(log_softmax_header_only, strided_axes_and_stores) {
    const std::ptrdiff_t rows = 70;
    const std::ptrdiff_t n = 300;
    const auto x = normal_logits(rows * n, 3, 0, 1);
    const auto in = tarn::make_view(x.data(), rows, n);
    for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
        std::vector<float> y(x.size());
        tarn::log_softmax_options options;
        options.axis = 0;
        options.stores = how;
        tarn::log_softmax(in, tarn::make_view(y.data(), rows, n), options);
        for (std::ptrdiff_t c = 0; c < n; ++c)
            ASSERT_LE(worst_log_error(y.data() + c, exact_log_softmax(x.data() + c, rows, 1.0f, n), n), 4.0);
        options.axis = 1;
        tarn::log_softmax(in, tarn::make_view(y.data(), rows, n), options);
        for (std::ptrdiff_t r = 0; r < rows; ++r)
            ASSERT_LE(worst_log_error(y.data() + r * n, exact_log_softmax(x.data() + r * n, n, 1.0f)), 4.0);
    }
    std::vector<float> means(static_cast<std::size_t>(n));
    tarn::logmeanexp(in, tarn::make_view(means.data(), n), {0});
    for (std::ptrdiff_t c = 0; c < n; ++c)
        ASSERT_LE(log_sum_error(means[static_cast<std::size_t>(c)], exact_log_sum(x.data() + c, rows, 1.0f, n),
                                -std::log(static_cast<long double>(rows))),
                  4.0);
}

} // namespace
