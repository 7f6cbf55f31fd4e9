// SPDX-License-Identifier: BSD-3-Clause
//
// A file with a threshold of its own for streaming, linked with one that has none. A call that streams long rows uses
// the memory that it is lent, and one that does not leaves it alone.
#define TARN_STREAMING_BYTES 80000
#include <tarn/softmax.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace {

constexpr std::ptrdiff_t columns = 5000;

bool streams(std::ptrdiff_t rows, tarn::stores how = tarn::stores::automatic) {
    const std::vector<float> x(static_cast<std::size_t>(rows * columns), 1.0f);
    std::vector<float> y(x.size());
    std::vector<float> memory(static_cast<std::size_t>(tarn::dispatch::buffered_scratch<float>(columns)) + 16, -7.0f);
    tarn::softmax_options options;
    options.stores = how;
    const tarn::scratch lent{memory.data(), static_cast<std::ptrdiff_t>(memory.size() * sizeof(float))};
    tarn::softmax(tarn::on(tarn::serial, lent), tarn::make_view(x.data(), rows, columns),
                  tarn::make_view(y.data(), rows, columns), options);
    return std::any_of(memory.begin(), memory.end(), [](float v) { return v != -7.0f; });
}

TEST(softmax_stores_of_a_file, have_its_threshold) {
    EXPECT_FALSE(streams(1));
    EXPECT_FALSE(streams(2)); // 80000 bytes
    EXPECT_TRUE(streams(3));
}

TEST(softmax_stores_of_a_file, obey_an_order) {
    EXPECT_TRUE(streams(1, tarn::stores::streaming));
    EXPECT_FALSE(streams(3, tarn::stores::cached));
}

} // namespace
