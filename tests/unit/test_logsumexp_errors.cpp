// SPDX-License-Identifier: BSD-3-Clause
//
// What logsumexp and logmeanexp refuse, with which words, and that they have written nothing by then.
#include "support/refusals.hpp"
#include "support/tiers.hpp"

#include <tarn/log_softmax.hpp>
#include <tarn/range.hpp>

#include <cmath>
#include <limits>

namespace {

using support::untouched;
using tarn::extents;
using tarn::make_view;
using tarn::strides;

constexpr float inf = std::numeric_limits<float>::infinity();

class logsumexp_errors : public support::refusal_test {
protected:
    // What logsumexp says of a call after its name; logmeanexp must say the same.
    template <class X, class Y> std::string refusal(const X& a, Y&& b, const tarn::logsumexp_options& options = {}) {
        const std::string sum = message_of([&] { tarn::logsumexp(a, b, options); });
        const std::string mean = message_of([&] { tarn::logmeanexp(a, b, options); });
        const std::string sum_name = "tarn::logsumexp: ";
        const std::string mean_name = "tarn::logmeanexp: ";
        if (sum.rfind(sum_name, 0) != 0 || mean != mean_name + sum.substr(sum_name.size()))
            return sum + " and " + mean;
        return sum.substr(sum_name.size());
    }
};

TEST_F(logsumexp_errors, extents) {
    EXPECT_EQ(refusal(in(extents{2, 3}), out(extents{3})), "output extents {3}, expected {2}");
    EXPECT_EQ(refusal(in(extents{2, 3}), out(extents{2}), {0}), "output extents {2}, expected {3}");
    EXPECT_EQ(refusal(in(extents{2, 3}), out(extents{2, 3})), "output extents {2,3}, expected {2,1}");
    EXPECT_EQ(refusal(in(extents{2, 3}), out(extents{2, 1}), {-2}), "output extents {2,1}, expected {1,3}");
    EXPECT_EQ(refusal(in(extents{2, 3, 4, 5, 6}), out(extents{2, 3, 5, 1}), {2}),
              "output extents {2,3,5,1}, expected {2,3,5,6}");
    EXPECT_EQ(refusal(in(extents{7}), out(extents{7})), "output extents {7}, expected {1}");
    EXPECT_EQ(refusal(in(extents{0}), out(extents{0})), "output extents {0}, expected {1}");
    EXPECT_EQ(refusal(in(extents{2, 0}), out(extents{0})), "output extents {0}, expected {2}");
    EXPECT_EQ(refusal(in(extents{3, -2}), out(extents{3})), "input extents {3,-2}, expected extents of at least 0");
    EXPECT_EQ(refusal(in(extents{3, 2}), out(extents{-3})), "output extents {-3}, expected extents of at least 0");
}

TEST_F(logsumexp_errors, axis) {
    EXPECT_EQ(refusal(in(extents{2, 3}), out(extents{2}), {2}), "axis 2, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(refusal(in(extents{2, 3}), out(extents{2}), {-3}), "axis -3, expected -2 to 1 for operands of rank 2");
    EXPECT_EQ(refusal(in(extents{2}), y[0], {1}), "axis 1, expected -1 to 0 for operands of rank 1");
}

TEST_F(logsumexp_errors, null_data) {
    const float* const no_input = nullptr;
    float* const no_output = nullptr;
    EXPECT_EQ(refusal(make_view(no_input, 2, 3), out(extents{2})),
              "input data is null with extents {2,3}, expected a pointer to the elements");
    EXPECT_EQ(refusal(in(extents{2, 3}), make_view(no_output, 2)),
              "output data is null with extents {2}, expected a pointer to the elements");
    EXPECT_EQ(refusal(in(extents{2, 0}), make_view(no_output, 2)),
              "output data is null with extents {2}, expected a pointer to the elements");
}

TEST_F(logsumexp_errors, scale) {
    for (const float scale : {inf, -inf, std::numeric_limits<float>::quiet_NaN(), 0x1p127f, -0x1p127f}) {
        EXPECT_EQ(refusal(in(extents{4, 5}), out(extents{4}), {-1, scale}),
                  "scale " + std::to_string(scale) + ", expected a number below 2^127 in magnitude");
        EXPECT_EQ(refusal(in(extents{4, 0}), out(extents{4}), {-1, scale}),
                  "scale " + std::to_string(scale) + ", expected a number below 2^127 in magnitude");
    }
    EXPECT_NO_THROW(tarn::logsumexp(in(extents{4, 5}), out(extents{4}), {-1, std::nextafter(0x1p127f, 0.0f)}));
}

TEST_F(logsumexp_errors, tier) {
    for (const int t : {-5, 3}) {
        EXPECT_EQ(message_of([&] {
                      tarn::logsumexp(tarn::on(static_cast<tarn::tier>(t)), in(extents{4, 5}), out(extents{4}));
                  }),
                  "tarn::logsumexp: tier unknown, expected one that is available here, at best " +
                      support::name_of(tarn::best_tier()));
    }
}

TEST_F(logsumexp_errors, repeated_output) {
    EXPECT_EQ(refusal(in(extents{4, 5}), make_view(y.data(), extents{4}, strides{0})),
              "output strides {0}, expected no stride of 0 along an extent above 1");
    EXPECT_EQ(refusal(in(extents{3, 5, 3}), make_view(y.data(), extents{3, 3}, strides{1, 1}), {1}),
              "output strides {1,1} with extents {3,3}, expected every element at an address of its own");
    EXPECT_EQ(refusal(in(extents{4, 0}), make_view(y.data(), extents{4}, strides{0})),
              "output strides {0}, expected no stride of 0 along an extent above 1");
    EXPECT_NO_THROW(tarn::logsumexp(in(extents{1, 5}), make_view(y.data(), extents{1}, strides{0})));
}

TEST_F(logsumexp_errors, overlap) {
    constexpr const char* overlaps = "output overlaps the input, expected memory apart from the input";
    float* const p = x.data() + 100;
    const auto input = make_view(p, extents{4, 5});
    for (const std::ptrdiff_t shift : {-3, 0, 7, 19})
        EXPECT_EQ(refusal(input, make_view(p + shift, 4)), overlaps) << shift;
    EXPECT_EQ(refusal(make_view(p, 20), p[19]), overlaps);
    // The first column of the input, and any column of a dense one.
    EXPECT_EQ(refusal(input, make_view(p, extents{4}, strides{5})), overlaps);
    EXPECT_EQ(refusal(input, make_view(p + 3, extents{4}, strides{5})), overlaps);
    for (const std::ptrdiff_t shift : {-4, 20})
        EXPECT_NO_THROW(tarn::logsumexp(input, make_view(p + shift, 4))) << shift;
    // A column beside the rows that are summed.
    EXPECT_NO_THROW(
        tarn::logsumexp(make_view(p, extents{4, 5}, strides{6, 1}), make_view(p + 5, extents{4}, strides{6})));
}

} // namespace
