// SPDX-License-Identifier: BSD-3-Clause
//
// What log_softmax refuses, with which words, and that it has written nothing by then.
#include "support/refusals.hpp"
#include "support/tiers.hpp"

#include <tarn/log_softmax.hpp>

#include <cmath>
#include <limits>

namespace {

using support::untouched;
using tarn::extents;
using tarn::log_softmax_options;
using tarn::make_view;
using tarn::strides;

constexpr float inf = std::numeric_limits<float>::infinity();

class log_softmax_errors : public support::refusal_test {
protected:
    std::string message_with(const log_softmax_options& options) {
        return message_of([&] { tarn::log_softmax(in(extents{4, 5}), out(extents{4, 5}), options); });
    }
};

TEST_F(log_softmax_errors, extents) {
    EXPECT_EQ(message_of([&] {
                  tarn::log_softmax(in(extents{2, 3}), out(extents{2, 4}));
              }),
              "tarn::log_softmax: output extents {2,4}, expected {2,3}");
    EXPECT_EQ(message_of([&] { tarn::log_softmax(in(extents{0}), out(extents{1})); }),
              "tarn::log_softmax: output extents {1}, expected {0}");
    EXPECT_EQ(message_of([&] {
                  tarn::log_softmax(in(extents{3, -2}), out(extents{3, -2}));
              }),
              "tarn::log_softmax: input extents {3,-2}, expected extents of at least 0");
    EXPECT_EQ(message_of([&] {
                  tarn::log_softmax(in(extents{3, 2}), out(extents{-3, 2}));
              }),
              "tarn::log_softmax: output extents {-3,2}, expected extents of at least 0");
}

TEST_F(log_softmax_errors, axis) {
    EXPECT_EQ(message_with({2}), "tarn::log_softmax: axis 2, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message_with({-3}), "tarn::log_softmax: axis -3, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(message_of([&] { tarn::log_softmax(in(extents{0}), out(extents{0}), {1}); }),
              "tarn::log_softmax: axis 1, expected -1 to 0 for operands of rank 1");
}

TEST_F(log_softmax_errors, null_data) {
    const float* const no_input = nullptr;
    float* const no_output = nullptr;
    EXPECT_EQ(message_of([&] {
                  tarn::log_softmax(make_view(no_input, 2, 3), out(extents{2, 3}));
              }),
              "tarn::log_softmax: input data is null with extents {2,3}, expected a pointer to the elements");
    EXPECT_EQ(message_of([&] { tarn::log_softmax(in(extents{7}), make_view(no_output, 7)); }),
              "tarn::log_softmax: output data is null with extents {7}, expected a pointer to the elements");
}

TEST_F(log_softmax_errors, scale) {
    for (const float scale : {inf, -inf, std::numeric_limits<float>::quiet_NaN(), 0x1p127f, -0x1p127f})
        EXPECT_EQ(message_with({-1, scale}),
                  "tarn::log_softmax: scale " + std::to_string(scale) + ", expected a number below 2^127 in magnitude");
    EXPECT_NO_THROW(tarn::log_softmax(in(extents{4, 5}), out(extents{4, 5}), {-1, std::nextafter(0x1p127f, 0.0f)}));
}

TEST_F(log_softmax_errors, tier) {
    EXPECT_EQ(message_of([&] {
                  tarn::log_softmax(tarn::on(static_cast<tarn::tier>(3)), in(extents{4, 5}), out(extents{4, 5}));
              }),
              "tarn::log_softmax: tier unknown, expected one that is available here, at best " +
                  support::name_of(tarn::best_tier()));
    for (const tarn::tier t : support::all_tiers) {
        if (!tarn::available(t)) {
            EXPECT_EQ(message_of([&] {
                          tarn::log_softmax(tarn::on(t), in(extents{4, 5}), out(extents{4, 5}));
                      }),
                      "tarn::log_softmax: tier " + support::name_of(t) +
                          ", expected one that is available here, at best " + support::name_of(tarn::best_tier()));
        }
    }
}

TEST_F(log_softmax_errors, repeated_output) {
    EXPECT_EQ(message_of([&] {
                  tarn::log_softmax(in(extents{4, 5}), make_view(y.data(), extents{4, 5}, strides{0, 1}));
              }),
              "tarn::log_softmax: output strides {0,1}, expected no stride of 0 along an extent above 1");
    EXPECT_EQ(message_of([&] {
                  tarn::log_softmax(in(extents{3, 3}), make_view(y.data(), extents{3, 3}, strides{1, 1}));
              }),
              "tarn::log_softmax: output strides {1,1} with extents {3,3}, expected every element at an address of its "
              "own");
    EXPECT_NO_THROW(tarn::log_softmax(in(extents{1, 5}), make_view(y.data(), extents{1, 5}, strides{0, 1})));
}

TEST_F(log_softmax_errors, certain_overlap) {
    float* const p = x.data() + 100;
    const auto view = [](float* q) { return make_view(q, extents{4, 5}); };
    constexpr const char* overlaps = "tarn::log_softmax: output overlaps the input in part, expected memory apart from "
                                     "the input, or the input itself";
    for (const std::ptrdiff_t shift : {-19, -1, 1, 5, 19})
        EXPECT_EQ(message_of([&] { tarn::log_softmax(view(p), view(p + shift)); }), overlaps) << shift;
    EXPECT_EQ(message_of([&] { tarn::log_softmax(view(p), make_view(p, extents{4, 5}, strides{1, 4})); }), overlaps);
    EXPECT_EQ(message_of([&] { tarn::log_softmax(make_view(p, extents{4, 5}, strides{0, 1}), view(p)); }), overlaps);
    for (const std::ptrdiff_t shift : {-20, 0, 20})
        EXPECT_NO_THROW(tarn::log_softmax(view(p), view(p + shift))) << shift;
    // Views of one matrix that share no element are never refused.
    EXPECT_NO_THROW(tarn::log_softmax(make_view(x.data(), extents{10, 8}, strides{16, 1}),
                                      make_view(x.data() + 8, extents{10, 8}, strides{16, 1})));
}

} // namespace
