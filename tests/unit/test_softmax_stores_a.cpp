// SPDX-License-Identifier: BSD-3-Clause
//
// When results go around the caches: the plan of a call, run with kernels that only note what they are told.
#include <tarn/dispatch/softmax_table.hpp>
#include <tarn/shape/softmax_plan.hpp>

#include <gtest/gtest.h>

static_assert(TARN_STREAMING_BYTES == 64 * 1024 * 1024, "the documented default");

namespace {

using tarn::stores;
namespace shape = tarn::shape;

struct notes {
    int calls = 0;
    int streaming = 0;
};
notes noted;

template <class Arguments> void note(const Arguments& a) noexcept {
    ++noted.calls;
    noted.streaming += a.stream;
}

constexpr auto note_rows = &note<tarn::dispatch::softmax_rows<float>>;
constexpr tarn::dispatch::softmax_table<float> note_takers = {
    {note_rows, note_rows, note_rows, note_rows, note_rows, note_rows, note_rows, note_rows},
    &note<tarn::dispatch::softmax_columns<float>>,
    nullptr,
    {},
    nullptr};
constexpr tarn::dispatch::convert_table<float> no_conversions = {nullptr, nullptr};

// Whether a call on rows x columns floats along this axis streams. The elements are never touched.
bool streams(std::ptrdiff_t rows, std::ptrdiff_t columns, int axis, stores how, bool in_place,
             double threshold = TARN_STREAMING_BYTES,
             tarn::softmax_algorithm algorithm = tarn::softmax_algorithm::automatic) {
    float x = 0;
    float y = 0;
    const shape::operand input = shape::erase(tarn::make_view(&x, rows, columns));
    const shape::operand output = shape::erase(tarn::make_view(in_place ? &x : &y, rows, columns));
    const shape::softmax_plan<float> plan(input, output, nullptr, {axis}, {1.0f, false, algorithm, how, threshold},
                                          in_place);
    noted = {};
    plan.run(note_takers, no_conversions, 0, plan.items(), {nullptr, 0});
    EXPECT_GT(noted.calls, 0);
    EXPECT_TRUE(noted.streaming == 0 || noted.streaming == noted.calls);
    return noted.streaming > 0;
}

// 64 MB of input and output together are 8 * 2^20 floats.
constexpr std::ptrdiff_t most_cached = 8 * 1024 * 1024;
constexpr std::ptrdiff_t widths[] = {16, 256, 1024, 4096, 8192, 524288};

TEST(softmax_stores, automatic_streams_above_the_threshold) {
    for (const std::ptrdiff_t columns : widths) {
        for (const int axis : {0, 1}) {
            const std::ptrdiff_t rows = most_cached / columns;
            EXPECT_FALSE(streams(rows, columns, axis, stores::automatic, false)) << columns << " axis " << axis;
            EXPECT_TRUE(streams(rows + 1, columns, axis, stores::automatic, false)) << columns << " axis " << axis;
        }
    }
    EXPECT_FALSE(streams(1, most_cached, 1, stores::automatic, false));
    EXPECT_TRUE(streams(1, most_cached + 1, 1, stores::automatic, false));
}

// What is overwritten has just been read, so it is in the caches already.
TEST(softmax_stores, automatic_never_streams_in_place) {
    for (const std::ptrdiff_t columns : widths) {
        for (const int axis : {0, 1})
            EXPECT_FALSE(streams(4 * most_cached / columns, columns, axis, stores::automatic, true)) << columns;
    }
}

TEST(softmax_stores, an_order_is_obeyed) {
    for (const std::ptrdiff_t columns : widths) {
        for (const int axis : {0, 1}) {
            for (const bool in_place : {false, true}) {
                for (const std::ptrdiff_t rows : {std::ptrdiff_t{3}, 4 * most_cached / columns}) {
                    EXPECT_FALSE(streams(rows, columns, axis, stores::cached, in_place)) << columns << " axis " << axis;
                    EXPECT_TRUE(streams(rows, columns, axis, stores::streaming, in_place))
                        << columns << " axis " << axis;
                }
            }
        }
    }
}

TEST(softmax_stores, the_threshold_is_the_callers) {
    for (const std::ptrdiff_t columns : widths) {
        const double bytes = 8.0 * 10.0 * static_cast<double>(columns);
        EXPECT_FALSE(streams(10, columns, 1, stores::automatic, false, bytes)) << columns;
        EXPECT_TRUE(streams(10, columns, 1, stores::automatic, false, bytes - 1)) << columns;
    }
    EXPECT_TRUE(streams(1, 1, 1, stores::automatic, false, 0));
}

} // namespace
