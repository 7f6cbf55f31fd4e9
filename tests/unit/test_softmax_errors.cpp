// SPDX-License-Identifier: BSD-3-Clause
//
// What a call refuses, with which words, and that it has written nothing by then.
#include "support/refusals.hpp"
#include "support/tiers.hpp"

#include <cmath>
#include <limits>

namespace {

using support::untouched;
using tarn::extents;
using tarn::make_view;
using tarn::softmax_options;
using tarn::strides;

constexpr float inf = std::numeric_limits<float>::infinity();

class softmax_errors : public support::refusal_test {
protected:
    std::string message_with(const softmax_options& options) {
        return message_of([&] { tarn::softmax(in(extents{4, 5}), out(extents{4, 5}), options); });
    }
};

TEST_F(softmax_errors, extents) {
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{2, 3}), out(extents{2, 4}));
              }),
              "tarn::softmax: output extents {2,4}, expected {2,3}");
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{2, 3, 4, 5, 6}), out(extents{2, 3, 4, 5, 1}));
              }),
              "tarn::softmax: output extents {2,3,4,5,1}, expected {2,3,4,5,6}");
    EXPECT_EQ(message_of([&] { tarn::softmax(in(extents{0}), out(extents{1})); }),
              "tarn::softmax: output extents {1}, expected {0}");
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{3, -2}), out(extents{3, -2}));
              }),
              "tarn::softmax: input extents {3,-2}, expected extents of at least 0");
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{3, 2}), out(extents{-3, 2}));
              }),
              "tarn::softmax: output extents {-3,2}, expected extents of at least 0");
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{0, -1}), out(extents{0, -1}));
              }),
              "tarn::softmax: input extents {0,-1}, expected extents of at least 0");
}

TEST_F(softmax_errors, axis) {
    EXPECT_EQ(message_with({2}), "tarn::softmax: axis 2, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message_with({-3}), "tarn::softmax: axis -3, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message_of([&] { tarn::softmax(in(extents{0}), out(extents{0}), {1}); }),
              "tarn::softmax: axis 1, expected -1 to 0 for operands of rank 1");
    EXPECT_EQ(message_of([&] { tarn::softmax(in(extents{4}), out(extents{4}), {std::numeric_limits<int>::min()}); }),
              "tarn::softmax: axis -2147483648, expected -1 to 0 for operands of rank 1");
}

TEST_F(softmax_errors, null_data) {
    const float* const no_input = nullptr;
    float* const no_output = nullptr;
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(make_view(no_input, 2, 3), out(extents{2, 3}));
              }),
              "tarn::softmax: input data is null with extents {2,3}, expected a pointer to the elements");
    EXPECT_EQ(message_of([&] { tarn::softmax(in(extents{7}), make_view(no_output, 7)); }),
              "tarn::softmax: output data is null with extents {7}, expected a pointer to the elements");
}

TEST_F(softmax_errors, scale) {
    for (const float scale : {inf, -inf, std::numeric_limits<float>::quiet_NaN(), 0x1p127f, -0x1p127f, 3e38f}) {
        EXPECT_EQ(message_with({-1, scale}),
                  "tarn::softmax: scale " + std::to_string(scale) + ", expected a number below 2^127 in magnitude");
    }
    softmax_options options;
    options.scale = std::nextafter(0x1p127f, 0.0f);
    EXPECT_NO_THROW(tarn::softmax(in(extents{4, 5}), out(extents{4, 5}), options));
}

TEST_F(softmax_errors, tier) {
    const std::string best = support::name_of(tarn::best_tier());
    const auto on_tier = [&](int t) {
        return message_of([&] {
            tarn::softmax(tarn::on(static_cast<tarn::tier>(t)), in(extents{4, 5}), out(extents{4, 5}));
        });
    };
    EXPECT_EQ(on_tier(3), "tarn::softmax: tier unknown, expected one that is available here, at best " + best);
    EXPECT_EQ(on_tier(-5), "tarn::softmax: tier unknown, expected one that is available here, at best " + best);
    for (const tarn::tier t : support::all_tiers) {
        if (!tarn::available(t)) {
            EXPECT_EQ(on_tier(static_cast<int>(t)), "tarn::softmax: tier " + support::name_of(t) +
                                                        ", expected one that is available here, at best " + best);
        }
    }
}

TEST_F(softmax_errors, repeated_output) {
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{4, 5}), make_view(y.data(), extents{4, 5}, strides{0, 1}));
              }),
              "tarn::softmax: output strides {0,1}, expected no stride of 0 along an extent above 1");
    EXPECT_EQ(message_of([&] { tarn::softmax(in(extents{7}), make_view(y.data(), extents{7}, strides{0})); }),
              "tarn::softmax: output strides {0}, expected no stride of 0 along an extent above 1");
    EXPECT_NO_THROW(tarn::softmax(in(extents{1, 5}), make_view(y.data(), extents{1, 5}, strides{0, 1})));
    y.assign(y.size(), untouched);
    EXPECT_EQ(
        message_of([&] {
            tarn::softmax(in(extents{3, 3}), make_view(y.data(), extents{3, 3}, strides{1, 1}));
        }),
        "tarn::softmax: output strides {1,1} with extents {3,3}, expected every element at an address of its own");
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{2, 4, 3}), make_view(y.data() + 50, extents{2, 4, 3}, strides{40, -6, 3}));
              }),
              "tarn::softmax: output strides {40,-6,3} with extents {2,4,3}, expected every element at an address of "
              "its own");
    y.assign(y.size(), untouched);
    // Interleaved, but apart.
    EXPECT_NO_THROW(tarn::softmax(in(extents{3, 2}), make_view(y.data(), extents{3, 2}, strides{2, 3})));
}

TEST_F(softmax_errors, more_elements_than_memory_has) {
    const std::ptrdiff_t many = std::ptrdiff_t{1} << 32;
    EXPECT_EQ(message_of([&] {
                  tarn::softmax(in(extents{many, many}), out(extents{many, many}));
              }),
              "tarn::softmax: input extents {4294967296,4294967296}, expected fewer than 2^63 bytes");
    EXPECT_NO_THROW(tarn::softmax(in(extents{many, many, 0}), out(extents{many, many, 0})));
}

constexpr const char* overlaps =
    "tarn::softmax: output overlaps the input in part, expected memory apart from the input, or the input itself";

TEST_F(softmax_errors, certain_overlap) {
    float* const p = x.data() + 100;
    const auto view = [](float* q) { return make_view(q, extents{4, 5}); };
    for (const std::ptrdiff_t shift : {-19, -5, -1, 1, 4, 5, 19})
        EXPECT_EQ(message_of([&] { tarn::softmax(view(p), view(p + shift)); }), overlaps) << shift;
    for (const std::ptrdiff_t shift : {-20, 20})
        EXPECT_NO_THROW(tarn::softmax(view(p), view(p + shift))) << shift;
    x = x_before;
    // A broadcast row over the rows it is read from.
    EXPECT_EQ(message_of([&] { tarn::softmax(make_view(p, extents{4, 5}, strides{0, 1}), view(p)); }), overlaps);
    EXPECT_EQ(message_of([&] { tarn::softmax(make_view(p + 7, extents{4, 5}, strides{0, 1}), view(p)); }), overlaps);
    EXPECT_EQ(message_of([&] { tarn::softmax(make_view(p, extents{4, 5}, strides{9, 1}), view(p)); }), overlaps);
    // Transposed in place, dense in other orders, backwards.
    EXPECT_EQ(message_of([&] { tarn::softmax(view(p), make_view(p, extents{4, 5}, strides{1, 4})); }), overlaps);
    EXPECT_EQ(message_of([&] { tarn::softmax(make_view(p, 5), make_view(p + 4, extents{5}, strides{-1})); }), overlaps);
}

TEST_F(softmax_errors, overlap_of_padded_rows) {
    float* const p = x.data() + 100;
    const auto view = [](float* q) { return make_view(q, extents{4, 5}, strides{12, 1}); };
    for (const std::ptrdiff_t shift : {1, 4, 8, 12, 13, 36, -1, -12, -40})
        EXPECT_EQ(message_of([&] { tarn::softmax(view(p), view(p + shift)); }), overlaps) << shift;
    for (const std::ptrdiff_t shift : {5, 6, 7, 41, 48, -5, -7})
        EXPECT_NO_THROW(tarn::softmax(view(p), view(p + shift))) << shift;
}

// Views of one matrix that share no element are never refused.
TEST_F(softmax_errors, disjoint_views_of_one_matrix) {
    float* const p = x.data();
    const auto left = make_view(p, extents{10, 8}, strides{16, 1});
    const auto right = make_view(p + 8, extents{10, 8}, strides{16, 1});
    EXPECT_NO_THROW(tarn::softmax(left, right));
    EXPECT_NO_THROW(tarn::softmax(right, left));
    const auto even = make_view(p, extents{5, 16}, strides{32, 1});
    const auto odd = make_view(p + 16, extents{5, 16}, strides{32, 1});
    EXPECT_NO_THROW(tarn::softmax(even, odd));
    const auto even_columns = make_view(p, extents{10, 8}, strides{16, 2});
    const auto odd_columns = make_view(p + 1, extents{10, 8}, strides{16, 2});
    EXPECT_NO_THROW(tarn::softmax(even_columns, odd_columns));
    EXPECT_NO_THROW(tarn::softmax(even_columns, odd_columns, {0}));
    const auto upper = make_view(p, extents{3, 4, 8}, strides{64, 16, 1});
    const auto lower = make_view(p + 8, extents{3, 4, 8}, strides{64, 16, 1});
    EXPECT_NO_THROW(tarn::softmax(upper, lower, {1}));
    const auto backwards = make_view(p + 9 * 16, extents{10, 8}, strides{-16, 1});
    const auto backwards_right = make_view(p + 9 * 16 + 8, extents{10, 8}, strides{-16, 1});
    EXPECT_NO_THROW(tarn::softmax(backwards, backwards_right));
    EXPECT_NO_THROW(tarn::softmax(left, backwards_right));
}

// In place is the same view, also where an extent of 1 makes a stride meaningless.
TEST_F(softmax_errors, in_place_is_welcome) {
    EXPECT_NO_THROW(tarn::softmax(make_view(x.data(), 4, 5), make_view(x.data(), 4, 5)));
    EXPECT_NO_THROW(tarn::softmax(make_view(x.data(), extents{1, 5}, strides{99, 1}),
                                  make_view(x.data(), extents{1, 5}, strides{-3, 1})));
    EXPECT_NO_THROW(tarn::softmax(make_view(x.data(), extents{4, 5}, strides{7, 1}),
                                  make_view(x.data(), extents{4, 5}, strides{7, 1}), {0}));
}

} // namespace
