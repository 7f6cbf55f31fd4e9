// SPDX-License-Identifier: BSD-3-Clause
//
// Nothing is ever allocated: neither for results nor for sums, whatever the length, the axis and the stores.
#include "support/allocations.hpp"
#include "support/log_rows.hpp"

#include <thread>

namespace {

using namespace support;

TEST(log_softmax_allocation, the_counter_counts) {
    if (!counts_allocations) {
        GTEST_SKIP() << "a sanitizer owns malloc";
    }
    void* volatile p = nullptr; // volatile: compilers drop allocations that nobody looks at
    EXPECT_EQ(allocations_in([&] { p = ::operator new(1); }).all, 1);
    ::operator delete(p);
}

TEST(log_softmax_allocation, none) {
    if (!counts_allocations) {
        GTEST_SKIP() << "a sanitizer owns malloc";
    }
    for (const std::ptrdiff_t n : {1, 2, 16, 100, 256, 257, 1000, 5000, 140000, 2'000'000}) {
        const std::ptrdiff_t rows = n > 10000 ? 2 : 40;
        const auto x = normal_logits(rows * n, 1, 0, static_cast<std::uint64_t>(n));
        std::vector<float> y(x.size());
        std::vector<float> sums(static_cast<std::size_t>(rows > n ? rows : n));
        allocation_count count{-1, -1};
        // A thread that has made no call before.
        std::thread([&] {
            count = allocations_in([&] {
                for (const int axis : {0, 1}) {
                    const auto in = tarn::make_view(x.data(), rows, n);
                    const auto out = tarn::make_view(sums.data(), axis == 0 ? n : rows);
                    for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
                        tarn::log_softmax_options options;
                        options.axis = axis;
                        options.stores = how;
                        tarn::log_softmax(in, tarn::make_view(y.data(), rows, n), options);
                    }
                    tarn::logsumexp(in, out, {axis});
                    tarn::logmeanexp(in, out, {axis});
                }
            });
        }).join();
        EXPECT_EQ(count.all, 0) << n;
    }
}

} // namespace
