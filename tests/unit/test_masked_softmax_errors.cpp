// SPDX-License-Identifier: BSD-3-Clause
//
// What masked softmax refuses, with which words, and that it has written nothing by then.
#include "support/refusals.hpp"

#include <tarn/masked_softmax.hpp>
#include <tarn/range.hpp>

#include <limits>

namespace {

using tarn::extents;
using tarn::make_view;
using options = tarn::masked_softmax_options<float>;

class masked_softmax_errors : public support::refusal_test {
protected:
    // What the call says after its name.
    template <int Rank> std::string refusal(tarn::extents<Rank> e, const options& o) {
        const std::string message = message_of([&] { tarn::masked_softmax(in(e), out(e), o); });
        const std::string name = "tarn::masked_softmax: ";
        return message.rfind(name, 0) == 0 ? message.substr(name.size()) : message;
    }
    std::string refusal(const options& o) { return refusal(extents{2, 3, 4, 5}, o); }
    const std::vector<float> numbers = std::vector<float>(200, 1.0f);
    const bool keep[200] = {};
};

TEST_F(masked_softmax_errors, extents_and_axis) {
    EXPECT_EQ(message_of([&] {
                  tarn::masked_softmax(in(extents{2, 3}), out(extents{2, 4}));
              }),
              "tarn::masked_softmax: output extents {2,4}, expected {2,3}");
    options o;
    o.axis = 4;
    EXPECT_EQ(refusal(o), "axis 4, expected -4 to 3 for operands of rank 4");
}

TEST_F(masked_softmax_errors, operands_that_do_not_broadcast) {
    options o;
    o.bias = make_view(numbers.data(), 4, 4);
    EXPECT_EQ(refusal(o), "bias extents {4,4}, expected extents that broadcast to {2,3,4,5}");
    o.bias = make_view(numbers.data(), 2, 1, 3, 4, 5);
    EXPECT_EQ(refusal(o), "bias extents {2,1,3,4,5}, expected extents that broadcast to {2,3,4,5}");
    o = {};
    o.keep = make_view(keep, 2, 3, 1, 4);
    EXPECT_EQ(refusal(o), "keep extents {2,3,1,4}, expected extents that broadcast to {2,3,4,5}");
    o = {};
    o.slopes = make_view(numbers.data(), 2);
    EXPECT_EQ(refusal(o), "slopes extents {2}, expected extents that broadcast to {2,3}");
    o.slopes = make_view(numbers.data(), 3);
    o.sink = make_view(numbers.data(), 3, 1);
    EXPECT_EQ(refusal(o), "sink extents {3,1}, expected extents that broadcast to {2,3}");
    o = {};
    o.axis = 2;
    o.sink = make_view(numbers.data(), 2, 4);
    EXPECT_EQ(refusal(o), "sink extents {2,4}, expected extents that broadcast to {2,5}");
    o = {};
    o.bias = make_view(static_cast<const float*>(nullptr), 5);
    EXPECT_EQ(refusal(o), "bias data is null with extents {5}, expected a pointer to the elements");
    // These do: more axes of extent 1, one number, and whatever lies along all axes.
    o.bias = make_view(numbers.data(), 1, 1, 1, 1, 5);
    o.keep = make_view(keep, 3, 1, 1);
    o.slopes = numbers[0];
    o.sink = make_view(numbers.data(), 2, 1);
    std::vector<float> result(120);
    EXPECT_NO_THROW(tarn::masked_softmax(in(extents{2, 3, 4, 5}), make_view(result.data(), 2, 3, 4, 5), o));
}

TEST_F(masked_softmax_errors, numbers_out_of_range) {
    options o;
    o.scale = std::numeric_limits<double>::infinity();
    EXPECT_EQ(refusal(o), "scale inf, expected a number below 2^127 in magnitude");
    o = {};
    for (const double cap : {-1.0, 1e-10, 1e10, std::numeric_limits<double>::quiet_NaN()}) {
        o.soft_cap = cap;
        EXPECT_EQ(refusal(o), "soft_cap " + std::to_string(cap) + ", expected 0 for none, or 2^-30 to 2^30");
    }
    o = {};
    o.scale = 1e28;
    o.soft_cap = 0.5;
    EXPECT_EQ(refusal(o),
              "scale " + std::to_string(1e28) + ", expected 0, or 2^-90 to 2^90 of the soft cap in magnitude");
    o = {};
    o.window = -1;
    EXPECT_EQ(refusal(o), "window -1, expected 0 for none, or a number of keys");
}

TEST_F(masked_softmax_errors, limits_need_queries) {
    const std::string expected =
        ", expected an axis of keys behind one of queries for a causal limit, a window or slopes";
    options o;
    o.causal = true;
    EXPECT_EQ(refusal(extents{7}, o), "axis -1" + expected);
    o = {0};
    o.window = 2;
    EXPECT_EQ(refusal(extents{7, 3}, o), "axis 0" + expected);
    o = {0};
    o.slopes = numbers[0];
    EXPECT_EQ(refusal(extents{7, 3}, o), "axis 0" + expected);
    // A mask needs none.
    o = {0};
    o.keep = make_view(keep, 7, 1);
    std::vector<float> result(21);
    EXPECT_NO_THROW(tarn::masked_softmax(in(extents{7, 3}), make_view(result.data(), 7, 3), o));
}

TEST_F(masked_softmax_errors, overlap) {
    options o;
    o.bias = make_view(static_cast<const float*>(y.data()), 4, 5);
    EXPECT_EQ(refusal(o), "bias overlaps the output, expected memory apart from the output");
    o = {};
    o.sink = make_view(static_cast<const float*>(y.data() + 7), 3);
    EXPECT_EQ(refusal(o), "sink overlaps the output, expected memory apart from the output");
    EXPECT_EQ(message_of([&] {
                  tarn::masked_softmax(make_view(static_cast<const float*>(y.data()), 4, 5),
                                       make_view(y.data() + 1, 4, 5));
              }),
              "tarn::masked_softmax: output overlaps the input in part, expected memory apart from the input, or the "
              "input itself");
}

TEST_F(masked_softmax_errors, nothing_is_no_error) {
    options o;
    o.causal = true;
    o.sink = make_view(numbers.data(), 2);
    EXPECT_EQ(refusal(extents{2, 3, 0}, o), "no exception");
    EXPECT_EQ(refusal(extents{2, 0, 3}, o), "no exception");
}

// Columns of one matrix lie apart, though their ranges of addresses do not.
TEST_F(masked_softmax_errors, columns_of_one_matrix_are_apart) {
    std::vector<float> matrix = support::normal_logits(4 * 16, 1, 0, 2);
    const auto left = make_view(matrix.data(), extents{4, 8}, tarn::strides{16, 1});
    const float* const right = matrix.data() + 8;
    options o;
    o.bias = make_view(right, 8);
    EXPECT_NO_THROW(tarn::masked_softmax(left, left, o));
    o.bias = make_view(right, extents{4, 8}, tarn::strides{16, 1});
    EXPECT_NO_THROW(tarn::masked_softmax(left, left, o));
    std::vector<float> result(32, -1.0f);
    o.bias = make_view(static_cast<const float*>(matrix.data()), extents{4, 8}, tarn::strides{16, 1});
    EXPECT_EQ(support::refusal_of(
                  [&] { tarn::masked_softmax(make_view(static_cast<const float*>(result.data()), 4, 8), left, o); }),
              "tarn::masked_softmax: bias overlaps the output, expected memory apart from the output");
}

// Any offset and window: far beyond the row, nothing wraps.
TEST_F(masked_softmax_errors, any_offset) {
    constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();
    constexpr auto least = std::numeric_limits<std::ptrdiff_t>::min();
    std::vector<float> result(1000);
    for (const std::ptrdiff_t offset : {least, std::ptrdiff_t{-1000}, std::ptrdiff_t{0}, std::ptrdiff_t{1000}, most}) {
        for (const std::ptrdiff_t window : {std::ptrdiff_t{0}, std::ptrdiff_t{1}, most}) {
            for (const bool causal : {false, true}) {
                options o;
                o.causal = causal;
                o.offset = offset;
                o.window = window;
                tarn::masked_softmax(in(extents{10, 100}), make_view(result.data(), 10, 100), o);
                for (std::ptrdiff_t i = 0; i < 1000; ++i) {
                    // In long double, where nothing overflows.
                    const auto at = static_cast<long double>(i / 100) + static_cast<long double>(offset);
                    const auto key = static_cast<long double>(i % 100);
                    const bool kept =
                        (!causal || key <= at) && (window == 0 || key > at - static_cast<long double>(window));
                    ASSERT_EQ(result[static_cast<std::size_t>(i)] > 0, kept)
                        << "offset " << offset << ", window " << window << ", causal " << causal << ", at " << i;
                }
            }
        }
    }
}

} // namespace
