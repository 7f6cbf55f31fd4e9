// SPDX-License-Identifier: BSD-3-Clause
//
// Plans of token merging: published values, plain loops with the same definition of similarity, and what a best plan
// must hold by exact cosines.
#include "support/executors.hpp"
#include "support/merge.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;
using indices = std::vector<std::int32_t>;

class tome : public tier_test {};
TARN_TEST_ON_ALL_TIERS(tome);

template <class R>
plain_plan tome_by(tarn::tier t, const std::vector<R>& x, std::ptrdiff_t tokens, std::ptrdiff_t width,
                   const tarn::tome_options& o) {
    tarn::merge_plan plan;
    tarn::tome_plan(tarn::on(t), tarn::make_view(x.data(), tokens, width), plan, o);
    return plan_of(plan);
}
tarn::tome_options with_r(std::ptrdiff_t r, bool class_token = false, bool distillation_token = false,
                          tarn::token_order order = tarn::token_order::official) {
    tarn::tome_options o;
    o.r = r;
    o.class_token = class_token;
    o.distillation_token = distillation_token;
    o.order = order;
    return o;
}

TEST_P(tome, published_values) {
    const std::vector<double> x = sample_tokens();
    const std::vector<float> f(x.begin(), x.end());
    const auto expect = [&](const tarn::tome_options& o, const indices& assign) {
        EXPECT_EQ(tome_by(GetParam(), x, 12, 4, o).assign, assign);
        EXPECT_EQ(tome_by(GetParam(), f, 12, 4, o).assign, assign);
    };
    expect(with_r(3), {7, 3, 0, 4, 5, 5, 2, 6, 1, 7, 8, 8});
    expect(with_r(3, true), {0, 3, 4, 4, 5, 5, 1, 6, 2, 7, 8, 8});
    expect(with_r(3, true, true), {0, 1, 4, 4, 5, 5, 2, 6, 3, 7, 8, 8});
    expect(with_r(9), {4, 0, 1, 1, 2, 2, 3, 3, 0, 4, 5, 5});
    EXPECT_EQ(tome_by(GetParam(), std::vector<float>(18, 1.0f), 6, 3, with_r(2)).assign, (indices{1, 1, 1, 2, 0, 3}));
}

// All sizes, protections and orders, of rows with many ties, zeros and what is not finite.
template <class R> void expect_plain_plans(tarn::tier tier, std::ptrdiff_t most) {
    random_bits random(31);
    for (std::ptrdiff_t tokens = 0; tokens <= most; ++tokens) {
        for (int kind = 0; kind < 7; ++kind) {
            const std::ptrdiff_t width = kind == 5 ? random.below(3) : 1 + random.below(70);
            std::vector<R> x = normal_logits<R>(tokens * width, 1, 0, random.next());
            const auto row = [&](std::ptrdiff_t t) { return x.begin() + t * width; };
            for (std::ptrdiff_t t = 0; t < tokens; ++t) {
                if (kind == 1 && t >= 4) // four distinct rows
                    std::copy_n(row(random.below(4)), width, row(t));
                if (kind == 2 && random.below(3) == 0)
                    std::fill_n(row(t), width, R(0));
                if (kind == 3 && random.below(4) == 0)
                    row(t)[random.below(width)] =
                        random.below(2) ? std::numeric_limits<R>::quiet_NaN() : -std::numeric_limits<R>::infinity();
                if (kind == 6 && t % 2 == 1 && t > 32) { // all but equal to one that is a line of columns away
                    for (std::ptrdiff_t c = 0; c < width; ++c)
                        row(t)[c] =
                            row(t - 32)[c] * (1 + std::numeric_limits<R>::epsilon() * static_cast<R>(random.below(3)));
                }
                if (kind == 4 && t > 0) { // all but equal
                    for (std::ptrdiff_t c = 0; c < width; ++c)
                        row(t)[c] =
                            row(0)[c] * (1 + std::numeric_limits<R>::epsilon() * static_cast<R>(random.below(4)));
                }
            }
            for (int p = 0; p < 8; ++p) {
                for (const std::ptrdiff_t r :
                     {std::ptrdiff_t{0}, std::ptrdiff_t{1}, tokens / 4, tokens, tokens / 2 - 1}) {
                    const auto o =
                        with_r(r, p & 1, p & 2, p & 4 ? tarn::token_order::position : tarn::token_order::official);
                    SCOPED_TRACE("tokens " + std::to_string(tokens) + " width " + std::to_string(width) + " kind " +
                                 std::to_string(kind) + " r " + std::to_string(r) + " options " + std::to_string(p));
                    expect_same(tome_by(tier, x, tokens, width, o), plain_tome(x, tokens, width, o));
                    if (testing::Test::HasFailure())
                        return;
                }
            }
        }
    }
}
TEST_P(tome, plain_plans_of_floats) { expect_plain_plans<float>(GetParam(), 60); }
TEST_P(tome, plain_plans_of_doubles) { expect_plain_plans<double>(GetParam(), 40); }

} // namespace
