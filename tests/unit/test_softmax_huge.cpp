// SPDX-License-Identifier: BSD-3-Clause
//
// More than 2^31 elements without the memory for them: one small file is mapped again and again over a long range of
// addresses, as input and as output. An index of 32 bits leaves the range or fails to write.
#include "support/rows.hpp"

#include <cstdio>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using namespace support;

// `tiles` copies of one block of memory, side by side.
class repeated_memory {
public:
    repeated_memory(std::size_t block, std::size_t tiles) : size_(block * tiles), file_(memfd_create("tarn", 0)) {
        memory_ = file_ < 0 || ftruncate(file_, static_cast<off_t>(block)) != 0
                      ? MAP_FAILED
                      : mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        for (std::size_t i = 0; ok() && i < tiles; ++i) {
            void* const at = static_cast<char*>(memory_) + i * block;
            if (mmap(at, block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_, 0) == MAP_FAILED) {
                munmap(memory_, size_);
                memory_ = MAP_FAILED;
            }
        }
    }
    ~repeated_memory() {
        if (ok())
            munmap(memory_, size_);
        if (file_ >= 0)
            close(file_);
    }
    repeated_memory(const repeated_memory&) = delete;
    repeated_memory& operator=(const repeated_memory&) = delete;
    bool ok() const { return memory_ != MAP_FAILED; }
    float* data() const { return static_cast<float*>(memory_); }

private:
    std::size_t size_;
    int file_;
    void* memory_ = nullptr;
};

constexpr std::ptrdiff_t columns = 4096;
constexpr std::ptrdiff_t block_rows = 1024;
constexpr std::ptrdiff_t block = block_rows * columns;
constexpr std::ptrdiff_t tiles = (std::ptrdiff_t{1} << 31) / block + 1;
constexpr std::ptrdiff_t rows = tiles * block_rows;

class softmax_of_huge_operands : public testing::Test {
protected:
    repeated_memory x{block * sizeof(float), tiles}, y{block * sizeof(float), tiles};
    void SetUp() override {
        if (!x.ok() || !y.ok()) {
            GTEST_SKIP() << "cannot map " << 2 * tiles << " times " << block * sizeof(float) << " bytes";
        }
        const auto logits = normal_logits(block, 3, 0, 9);
        std::copy(logits.begin(), logits.end(), x.data());
        std::fill(y.data(), y.data() + block, -1.0f);
        first_ = softmax_alone(tarn::best_tier(), x.data(), columns);
        last_ = softmax_alone(tarn::best_tier(), x.data() + block - columns, columns);
    }
    // The rows at the end, which lie beyond 2^31 elements.
    void expect_done() const {
        EXPECT_EQ("", difference(y.data() + (rows - block_rows) * columns, first_.data(), columns));
        EXPECT_EQ("", difference(y.data() + (rows - 1) * columns, last_.data(), columns));
    }

private:
    std::vector<float> first_, last_;
};

// Runs the last items of a loop only, since a sweep takes seconds.
struct only_the_end {
    std::ptrdiff_t count;
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&& f) const { f(n - count, n); }
};

TEST_F(softmax_of_huge_operands, rows) {
    const only_the_end executor{block_rows};
    tarn::softmax(tarn::on(executor), tarn::make_view(x.data(), rows, columns),
                  tarn::make_view(y.data(), rows, columns));
    expect_done();
}

TEST_F(softmax_of_huge_operands, a_whole_sweep) {
    if (sanitized) {
        GTEST_SKIP() << "takes minutes with sanitizers";
    }
    tarn::softmax(tarn::make_view(x.data(), rows, columns), tarn::make_view(y.data(), rows, columns));
    expect_done();
}

TEST_F(softmax_of_huge_operands, backwards) {
    const only_the_end executor{block_rows};
    const std::ptrdiff_t last = (rows - 1) * columns;
    const tarn::strides steps{-columns, std::ptrdiff_t{1}};
    tarn::softmax(tarn::on(executor), tarn::make_view(x.data() + last, tarn::extents{rows, columns}, steps),
                  tarn::make_view(y.data() + last, tarn::extents{rows, columns}, steps));
    expect_done();
}

// Along the first axis, with steps above 2^31 elements from one element of a row to the next.
TEST_F(softmax_of_huge_operands, columns_far_apart) {
    const std::ptrdiff_t step = (rows - 1) * columns;
    const auto view = [&](float* p) {
        return tarn::make_view(p, tarn::extents{2, 5}, tarn::strides{step, std::ptrdiff_t{1}});
    };
    tarn::softmax(view(x.data()), view(y.data()), {0});
    for (std::ptrdiff_t c = 0; c < 5; ++c) {
        const float pair[2] = {x.data()[c], x.data()[step + c]};
        const auto expected = softmax_alone(tarn::best_tier(), pair, 2);
        EXPECT_EQ(y.data()[c], expected[0]);
        EXPECT_EQ(y.data()[step + c], expected[1]);
    }
}

} // namespace
