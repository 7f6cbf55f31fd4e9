// SPDX-License-Identifier: BSD-3-Clause
#include "mosaic.hpp"

#include <tarn/range.hpp>
#include <tarn/token_cluster.hpp>
#include <tarn/token_merge.hpp>

#include <algorithm>
#include <utility>

namespace gallery {
namespace {

constexpr std::ptrdiff_t features = 3 * patch * patch;

// f(pixels of a picture, numbers of a token) for every line of every patch.
template <class Picture, class Number, class F>
void each_line(Picture& p, std::ptrdiff_t rows, std::ptrdiff_t columns, Number* tokens, F f) {
    for (std::ptrdiff_t t = 0; t < rows * columns; ++t)
        for (int c = 0; c < 3; ++c)
            for (std::ptrdiff_t i = 0; i < patch; ++i)
                f(p.plane(c) + (t / columns * patch + i) * p.width + t % columns * patch,
                  tokens + t * features + (c * patch + i) * patch);
}

} // namespace

patches::patches(const picture& p)
    : rows_(p.height / patch), columns_(p.width / patch), tokens_(static_cast<std::size_t>(count() * features)) {
    each_line(p, rows_, columns_, tokens_.data(),
              [](const float* pixels, float* numbers) { std::copy_n(pixels, patch, numbers); });
}

tarn::tensor_view<const float, 2> patches::tokens() const noexcept {
    return tarn::make_view(tokens_.data(), count(), features);
}

picture patches::merged(const tarn::merge_plan_view& plan) const {
    std::vector<float> slots(static_cast<std::size_t>(plan.slots * features));
    std::vector<float> back(tokens_.size());
    const auto means = tarn::make_view(slots.data(), plan.slots, features);
    tarn::merge_apply(tokens(), plan, means);
    tarn::merge_undo(means, plan, tarn::make_view(back.data(), count(), features));
    picture p(rows_ * patch, columns_ * patch);
    each_line(p, rows_, columns_, back.data(),
              [](float* pixels, const float* numbers) { std::copy_n(numbers, patch, pixels); });
    return p;
}

tarn::merge_plan tome(const patches& p, std::ptrdiff_t slots) {
    tarn::merge_plan all, next;
    tarn::tome_options o;
    o.keep = std::max(slots, (p.count() + 1) / 2);
    tarn::tome_plan(p.tokens(), all, o);
    std::vector<float> values(static_cast<std::size_t>(o.keep * features));
    std::vector<float> sizes(static_cast<std::size_t>(o.keep));
    const std::vector<float> ones(static_cast<std::size_t>(p.count()), 1.0f);
    while (all.view().slots > slots) {
        // What stands for the slots so far are their means.
        const std::ptrdiff_t left = all.view().slots;
        const auto means = tarn::make_view(values.data(), left, features);
        tarn::merge_apply(p.tokens(), ones, all, means, tarn::make_view(sizes.data(), left));
        o.keep = std::max(slots, (left + 1) / 2);
        tarn::tome_plan(means, next, o);
        tarn::merge_plan both;
        tarn::merge_compose(all, next, both);
        all = std::move(both);
    }
    return all;
}

tarn::merge_plan k_means(const patches& p, std::ptrdiff_t slots) {
    std::vector<std::int32_t> start;
    for (std::ptrdiff_t s = 0; s < slots; ++s)
        start.push_back(static_cast<std::int32_t>(s * p.count() / slots));
    tarn::cluster_options o;
    o.clusters = slots;
    o.iterations = 10;
    o.start = start;
    std::vector<float> centres(static_cast<std::size_t>(slots * features));
    tarn::merge_plan plan;
    tarn::weighted_k_means(p.tokens(), tarn::none, plan, tarn::make_view(centres.data(), slots, features), o);
    return plan;
}

} // namespace gallery
