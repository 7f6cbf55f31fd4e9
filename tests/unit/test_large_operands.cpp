// SPDX-License-Identifier: BSD-3-Clause
//
// Operands that no cache is thought to hold, of which kernels ask for what comes next: the bits of their parts, which are
// small, and no access outside. (Operands of more than 4 MB; parts of less.)
#include "support/guarded.hpp"
#include "support/inputs.hpp"
#include "support/tiers.hpp"

#include <tarn/gem.hpp>
#include <tarn/pool.hpp>
#include <tarn/soft_pool.hpp>
#include <tarn/token_pool.hpp>
#include <tarn/token_pool_backward.hpp>

#include <gtest/gtest.h>

#include <cstring>

namespace {

using namespace support;

class large_operands : public tier_test {
protected:
    static auto where() { return tarn::on(GetParam()); }
};
TARN_TEST_ON_ALL_TIERS(large_operands);

// Parts one behind the other, each of n_in numbers in and n_out out. run(x, y, first, parts): so many parts, of which the
// first is number `first`.
struct parts_case {
    std::ptrdiff_t parts, n_in, n_out;
};
template <class Run> void check_parts(const parts_case& c, std::uint64_t seed, Run run) {
    constexpr std::ptrdiff_t large = 4 * 1024 * 1024 / sizeof(float);
    ASSERT_GT(c.parts * c.n_in, large);
    ASSERT_LT(c.n_in, large);
    const std::vector<float> values = normal_logits(c.parts * c.n_in, 1, 0, seed);
    guarded_floats x(c.parts * c.n_in), y(c.parts * c.n_out);
    std::vector<float> expected(static_cast<std::size_t>(c.parts * c.n_out));
    float* const from = x.against_end(c.parts * c.n_in);
    std::copy(values.begin(), values.end(), from);
    for (std::ptrdiff_t p = 0; p < c.parts; ++p)
        run(from + p * c.n_in, expected.data() + p * c.n_out, p, std::ptrdiff_t{1});
    float* const to = y.against_end(c.parts * c.n_out);
    const std::string fault = fault_in([&] { run(from, to, std::ptrdiff_t{0}, c.parts); });
    ASSERT_EQ(fault, "");
    for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(std::memcmp(to + i, &expected[i], sizeof(float)), 0)
            << "result " << i << " of " << expected.size() << ": " << to[i] << ", of its part alone " << expected[i];
}

// Maps with channels last: one window, or a few large ones, whose columns are read some rows at a time.
TEST_P(large_operands, windows_of_channels) {
    struct shape {
        std::ptrdiff_t maps, rows, columns, channels, kernel_rows, kernel_columns;
    };
    for (const shape& s : {shape{3, 28, 29, 512, 28, 29}, shape{6, 13, 14, 1030, 13, 14}, shape{4, 40, 90, 85, 19, 30},
                           shape{40, 64, 65, 7, 64, 65}}) {
        tarn::pool_window window{{s.kernel_rows, s.kernel_columns}, {s.kernel_rows, s.kernel_columns}};
        window.layout = tarn::layout::channels_last;
        const std::ptrdiff_t out_rows = s.rows / s.kernel_rows, out_columns = s.columns / s.kernel_columns;
        const parts_case c{s.maps, s.rows * s.columns * s.channels, out_rows * out_columns * s.channels};
        const auto check = [&](std::uint64_t seed, auto pool) {
            check_parts(c, seed, [&](const float* x, float* y, std::ptrdiff_t, std::ptrdiff_t parts) {
                pool(tarn::make_view(x, parts, s.rows, s.columns, s.channels),
                     tarn::make_view(y, parts, out_rows, out_columns, s.channels));
            });
        };
        check(1, [&](auto x, auto y) { tarn::max_pool(where(), x, y, window); });
        check(2, [&](auto x, auto y) { tarn::average_pool(where(), x, y, window); });
        check(3, [&](auto x, auto y) { tarn::gem_pool(where(), x, y, window); });
        check(4, [&](auto x, auto y) { tarn::soft_pool(where(), x, y, window); });
        if (HasFatalFailure())
            return;
    }
}

TEST_P(large_operands, tokens) {
    constexpr std::ptrdiff_t batch = 7, tokens = 350, channels = 1000;
    const std::vector<float> gradient = normal_logits(batch * channels, 1, 0, 9);
    for (const tarn::token_pooling mode : {tarn::token_pooling::mean, tarn::token_pooling::max}) {
        check_parts({batch, tokens * channels, channels}, 5,
                    [&](const float* x, float* y, std::ptrdiff_t, std::ptrdiff_t parts) {
                        tarn::token_pool_options<float> options;
                        options.modes = mode;
                        tarn::token_pool(where(), tarn::make_view(x, parts, tokens, channels),
                                         tarn::make_view(y, parts, channels), options);
                    });
        check_parts({batch, tokens * channels, tokens * channels}, 6,
                    [&](const float* x, float* dx, std::ptrdiff_t first, std::ptrdiff_t parts) {
                        tarn::token_pool_backward_options<float> options;
                        options.modes = mode;
                        const float* const dy = gradient.data() + first * channels;
                        tarn::token_pool_backward(where(), tarn::make_view(x, parts, tokens, channels), tarn::none,
                                                  tarn::make_view(dy, parts, channels),
                                                  tarn::make_view(dx, parts, tokens, channels), options);
                    });
        if (HasFatalFailure())
            return;
    }
}

} // namespace
