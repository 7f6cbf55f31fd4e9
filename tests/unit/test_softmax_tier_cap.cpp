// SPDX-License-Identifier: BSD-3-Clause
//
// TARN_MAX_ISA caps the tiers, also for a call that asks for a better one.
#include "support/rows.hpp"

#include <cstdlib>

namespace {

// Before main, since the cap is read once.
const int capped = setenv("TARN_MAX_ISA", "sse2", 1);

TEST(softmax_tier_cap, caps) {
    ASSERT_EQ(capped, 0);
    EXPECT_EQ(tarn::best_tier(), tarn::tier::sse2);
    EXPECT_TRUE(tarn::available(tarn::tier::sse2));
    EXPECT_FALSE(tarn::available(tarn::tier::avx2));
    EXPECT_FALSE(tarn::available(tarn::tier::avx512));
    const float x[3] = {1, 2, 3};
    float y[3] = {-1, -1, -1};
    for (const tarn::tier t : {tarn::tier::avx2, tarn::tier::avx512}) {
        try {
            tarn::softmax(tarn::on(t), tarn::make_view(x, 3), tarn::make_view(y, 3));
            ADD_FAILURE() << "no exception for " << support::name_of(t);
        } catch (const std::invalid_argument& e) {
            EXPECT_EQ(e.what(), "tarn::softmax: tier " + support::name_of(t) +
                                    ", expected one that is available here, at best sse2");
        }
        EXPECT_EQ(y[0], -1.0f);
    }
    tarn::softmax(tarn::make_view(x, 3), tarn::make_view(y, 3));
    EXPECT_LE(support::worst_error(y, support::exact_softmax(x, 3, 1.0f)), 4.0);
}

} // namespace
