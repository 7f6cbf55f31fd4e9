// SPDX-License-Identifier: BSD-3-Clause
//
// Who allocates what: nothing where the stack or lent memory will do, one buffer per thread otherwise (and what the C
// library needs to release it when the thread ends), and results do not depend on it. Lent memory is used, as far as it
// reaches.
#include "support/allocations.hpp"
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/rows.hpp"

#include <tarn/dispatch/softmax_table.hpp>

#include <thread>

namespace {

using namespace support;

class softmax_allocation : public testing::Test {
protected:
    void SetUp() override {
        if (!counts_allocations) {
            GTEST_SKIP() << "a sanitizer owns malloc";
        }
    }
    void TearDown() override { out_of_memory = false; }

    // Allocations of a call for rows of n columns in a thread that has made none before.
    template <class Where>
    allocation_count in_new_thread(const Where& where, std::ptrdiff_t rows, std::ptrdiff_t n,
                                   tarn::softmax_options options, int calls = 1) {
        const auto x = normal_logits(rows * n, 1, 0, static_cast<std::uint64_t>(n));
        y.assign(x.size(), -1.0f);
        allocation_count count{-1, -1};
        std::thread([&] {
            count = allocations_in([&] {
                for (int i = 0; i < calls; ++i)
                    tarn::softmax(where, tarn::make_view(x.data(), rows, n), tarn::make_view(y.data(), rows, n),
                                  options);
            });
        }).join();
        return count;
    }
    std::vector<float> y;
};

tarn::softmax_options streaming(int axis = -1) {
    tarn::softmax_options options;
    options.axis = axis;
    options.stores = tarn::stores::streaming;
    return options;
}

TEST_F(softmax_allocation, the_counter_counts) {
    void* volatile p = nullptr; // volatile: compilers drop allocations that nobody looks at
    EXPECT_EQ(allocations_in([&] { p = std::aligned_alloc(64, 64); }).buffers, 1);
    std::free(p);
    EXPECT_EQ(allocations_in([&] { p = ::operator new(1); }).all, 1);
    ::operator delete(p);
}

TEST_F(softmax_allocation, none_for_rows_that_fit_the_stack) {
    for (const std::ptrdiff_t n : {2, 16, 100, 256, 257, 1000, 4096}) {
        EXPECT_EQ(in_new_thread(tarn::on(tarn::serial), 20, n, {}).all, 0) << n;
        EXPECT_EQ(in_new_thread(tarn::on(tarn::serial), 20, n, streaming()).all, 0) << n;
    }
    EXPECT_EQ(in_new_thread(tarn::on(tarn::serial), 1, 100000, {}).all, 0);
    EXPECT_EQ(in_new_thread(tarn::on(tarn::serial), 100, 30, {0}).all, 0);
}

TEST_F(softmax_allocation, one_per_thread_for_buffered_rows) {
    for (const int axis : {0, 1}) {
        const allocation_count count = in_new_thread(tarn::on(tarn::serial), 300, 5000, streaming(axis), 3);
        EXPECT_EQ(count.buffers, 1);
        EXPECT_LE(count.all, 2);
    }
}

TEST_F(softmax_allocation, none_with_empty_scratch) {
    const auto nowhere = tarn::on(tarn::serial, tarn::scratch{});
    for (const std::ptrdiff_t n : {16, 300, 5000, 20000, 140000}) {
        EXPECT_EQ(in_new_thread(nowhere, 3, n, streaming()).all, 0) << n;
        EXPECT_EQ(in_new_thread(nowhere, 3, n, streaming(0)).all, 0) << n;
    }
}

// Executors never share lent memory between their threads: lent or empty, it forbids allocation.
TEST_F(softmax_allocation, none_with_scratch_and_threads) {
    alignas(64) static char memory[4096];
    const odd_threads threads{3, 2};
    for (const tarn::scratch s : {tarn::scratch{}, tarn::scratch{memory, sizeof memory}}) {
        std::fill(std::begin(memory), std::end(memory), 'm');
        EXPECT_EQ(in_new_thread(tarn::on(threads, s), 9, 20000, streaming()).buffers, 0);
        EXPECT_TRUE(std::all_of(std::begin(memory), std::end(memory), [](char c) { return c == 'm'; }));
    }
}

// Rows that would need more than 4 MB go without.
TEST_F(softmax_allocation, never_more_than_the_limit) {
    EXPECT_EQ(in_new_thread(tarn::on(tarn::serial), 2, 2'000'000, streaming()).buffers, 0);
    EXPECT_EQ(in_new_thread(tarn::on(tarn::serial), 20000, 128, streaming(0)).buffers, 0);
}

TEST_F(softmax_allocation, results_survive_lack_of_memory) {
    const auto x = normal_logits(3 * 20000, 1, 0, 20000);
    out_of_memory = true;
    EXPECT_GE(in_new_thread(tarn::on(tarn::serial), 3, 20000, streaming()).buffers, 1);
    out_of_memory = false;
    for (std::ptrdiff_t r = 0; r < 3; ++r) {
        const auto expected = softmax_alone(tarn::best_tier(), x.data() + r * 20000, 20000);
        EXPECT_EQ("", difference(y.data() + r * 20000, expected.data(), 20000));
    }
}

// Lent memory of exactly the size that is needed is used, to its last byte and no further, and replaces allocation.
class lent_scratch : public testing::TestWithParam<std::ptrdiff_t> {};
INSTANTIATE_TEST_SUITE_P(of_rows, lent_scratch, testing::Values(4097, 5000, 20000, 131072));

TEST_P(lent_scratch, is_used_and_respected) {
    const std::ptrdiff_t n = GetParam();
    const std::ptrdiff_t floats = tarn::dispatch::buffered_scratch<float>(n);
    const auto x = normal_logits(5 * n, 1, 0, 2);
    std::vector<float> y(x.size()), expected(x.size());
    tarn::softmax(tarn::make_view(x.data(), 5, n), tarn::make_view(expected.data(), 5, n));
    guarded_floats memory(floats + 32);
    float* const start = memory.against_end(floats);
    // The last byte is needed; one byte less and the memory stays as it was.
    for (const std::ptrdiff_t bytes : {floats * 4, floats * 4 - 1}) {
        std::fill(start, start + floats, -7.0f);
        allocation_count count{-1, -1};
        ASSERT_EQ("", fault_in([&] {
                      count = allocations_in([&] {
                          tarn::softmax(tarn::on(tarn::serial, tarn::scratch{start, bytes}),
                                        tarn::make_view(x.data(), 5, n), tarn::make_view(y.data(), 5, n), streaming());
                      });
                  }));
        EXPECT_EQ(count.buffers, 0);
        EXPECT_EQ("", difference(y.data(), expected.data(), 5 * n));
        const bool touched = std::any_of(start, start + floats, [](float v) { return v != -7.0f; });
        EXPECT_EQ(touched, bytes == floats * 4) << bytes << " bytes";
    }
    // Memory off the cache line: the part before the line is left alone.
    float* const off = memory.against_start() + 3;
    std::fill(off, off + 13, -7.0f);
    ASSERT_EQ("", fault_in([&] {
                  tarn::softmax(tarn::on(tarn::serial, tarn::scratch{off, (floats + 13) * 4}),
                                tarn::make_view(x.data(), 5, n), tarn::make_view(y.data(), 5, n), streaming());
              }));
    EXPECT_EQ("", difference(y.data(), expected.data(), 5 * n));
    EXPECT_TRUE(std::all_of(off, off + 13, [](float v) { return v == -7.0f; }));
}

// A buffer is released when its thread ends and grows with the rows: many threads, growing rows, right results.
TEST_F(softmax_allocation, of_many_threads) {
    for (const std::ptrdiff_t n : {5000, 9000, 6000, 30000}) {
        const auto x = normal_logits(20 * n, 1, 0, static_cast<std::uint64_t>(n));
        std::vector<float> expected(x.size());
        y.assign(x.size(), 0.0f);
        tarn::softmax(tarn::make_view(x.data(), 20, n), tarn::make_view(expected.data(), 20, n), streaming());
        const odd_threads threads{4, 3};
        const allocation_count count = allocations_in([&] {
            tarn::softmax(tarn::on(threads), tarn::make_view(x.data(), 20, n), tarn::make_view(y.data(), 20, n),
                          streaming());
        });
        EXPECT_LE(count.buffers, 4);
        EXPECT_EQ("", difference(y.data(), expected.data(), 20 * n));
    }
}

} // namespace
