// SPDX-License-Identifier: BSD-3-Clause
//
// A picture as tokens, as vision transformers cut it: squares of 16 x 16 pixels, of which similar ones become one.
#pragma once

#include "picture.hpp"

#include <tarn/merge_plan.hpp>

namespace gallery {

constexpr std::ptrdiff_t patch = 16;

class patches {
public:
    // Of a picture whose height and width are multiples of `patch`.
    explicit patches(const picture& p);

    std::ptrdiff_t count() const noexcept { return rows_ * columns_; }
    // [count, 3 * patch * patch]
    tarn::tensor_view<const float, 2> tokens() const noexcept;
    // The picture with every patch replaced by the mean of those of its slot.
    picture merged(const tarn::merge_plan_view& plan) const;

private:
    std::ptrdiff_t rows_, columns_;
    std::vector<float> tokens_;
};

// Token Merging, step by step: each one merges at most half of the tokens that are left.
tarn::merge_plan tome(const patches& p, std::ptrdiff_t slots);

// k-means, from patches that lie evenly over the picture.
tarn::merge_plan k_means(const patches& p, std::ptrdiff_t slots);

} // namespace gallery
