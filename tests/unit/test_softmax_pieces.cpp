// SPDX-License-Identifier: BSD-3-Clause
//
// Long rows that an executor shares out by pieces: the bits of the serial call for any number of threads, on every kind
// of row; and executors that throw.
#include "support/executors.hpp"
#include "support/rows.hpp"

#include <tarn/range.hpp>

#include <atomic>
#include <stdexcept>

namespace {

using namespace support;

class softmax_pieces : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_pieces);

// Counts loops and items.
struct counting {
    std::ptrdiff_t* most;
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&& f) const {
        *most = std::max(*most, n);
        for (std::ptrdiff_t i = n; i-- > 0;)
            f(i, i + 1);
    }
};

TEST_P(softmax_pieces, any_number_of_threads) {
    for (const std::ptrdiff_t n : {262144, 300001, 524289}) {
        for (int kind = 0; kind < row_kinds; ++kind) {
            if (sanitized && (n > 300001 || kind % 3 != 0))
                continue;
            // The second row has nothing in common with the first.
            auto x = row_of_kind(kind, n, static_cast<std::uint64_t>(n + kind));
            const auto other = row_of_kind(0, n, 7);
            x.insert(x.end(), other.begin(), other.end());
            for (const float scale : {1.0f, -0.5f}) {
                tarn::softmax_options options;
                options.scale = scale;
                options.stores = kind % 2 ? tarn::stores::streaming : tarn::stores::cached;
                options.empty_row = tarn::empty_row::zero;
                std::vector<float> expected(x.size()), expected_lse(2);
                tarn::softmax(tarn::on(GetParam()), tarn::make_view(x.data(), 2, n),
                              tarn::make_view(expected.data(), 2, n), expected_lse, options);
                for (const int threads : {1, 2, 5}) {
                    const odd_threads executor{threads, 3};
                    std::vector<float> y(x.size() + 1), lse(2);
                    float* const to = y.data() + threads % 2;
                    tarn::softmax(tarn::on(GetParam(), executor), tarn::make_view(x.data(), 2, n),
                                  tarn::make_view(to, 2, n), lse, options);
                    ASSERT_EQ("", difference(to, expected.data(), 2 * n))
                        << "kind " << kind << ", " << n << " elements, " << threads << " threads";
                    ASSERT_EQ("", difference(lse.data(), expected_lse.data(), 2)) << "kind " << kind;
                }
                std::vector<float> in_place = x;
                const odd_threads executor{2, 3};
                tarn::softmax(tarn::on(GetParam(), executor), tarn::make_view(in_place.data(), 2, n),
                              tarn::make_view(in_place.data(), 2, n), options);
                ASSERT_EQ("", difference(in_place.data(), expected.data(), 2 * n)) << "in place, kind " << kind;
            }
        }
    }
}

TEST_P(softmax_pieces, a_row_is_shared) {
    const std::vector<float> x(400000, 1.0f);
    std::vector<float> y(x.size());
    std::ptrdiff_t most = 0;
    const counting executor{&most};
    tarn::softmax(tarn::on(GetParam(), executor), x, y);
    EXPECT_EQ(most, 7);
    EXPECT_EQ(y[399999], 2.5e-6f);
}

// The first, the second, ... loop throws: the exception arrives, and nothing is still running.
struct throwing {
    std::atomic<int>* left;
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&& f) const {
        if (--*left == 0)
            throw std::runtime_error("no thread");
        f(std::ptrdiff_t{0}, n);
    }
};
TEST_P(softmax_pieces, an_executor_that_throws) {
    const auto x = row_of_kind(3, 300000, 1);
    std::vector<float> y(x.size());
    int thrown = 0;
    for (int loop = 1; loop < 8; ++loop) {
        std::atomic<int> left{loop};
        const throwing executor{&left};
        try {
            tarn::softmax(tarn::on(GetParam(), executor), x, y);
        } catch (const std::runtime_error& e) {
            EXPECT_EQ(std::string("no thread"), e.what());
            ++thrown;
        }
    }
    EXPECT_GE(thrown, 2);
}

} // namespace
