// SPDX-License-Identifier: BSD-3-Clause
//
// Softpick: at most 64 KB of stack, and no allocation where the stack will do.
#include "support/allocations.hpp"
#include "support/pick.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

namespace {

using namespace support;

class softpick_resources : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softpick_resources);

TEST_P(softpick_resources, stack_and_heap) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames and owns malloc";
    }
    for (const std::ptrdiff_t n : {16, 129, 4096, 20000}) {
        const auto p = pick_problem<float>::of(20, n, normal_logits<float>(20 * n, 1, 0, 10), true, 11);
        std::vector<float> y(p.x.size());
        const std::vector<tarn::bfloat16> h(p.x.begin(), p.x.end());
        std::vector<tarn::bfloat16> hy(h.size());
        const auto o = p.options();
        EXPECT_LE(stack_of([&] {
                      tarn::softpick(tarn::on(GetParam()), tarn::make_view(p.x.data(), 20, n),
                                     tarn::make_view(y.data(), 20, n), o);
                  }),
                  64 * 1024)
            << n;
        EXPECT_LE(stack_of([&] {
                      tarn::softpick(tarn::on(GetParam()), tarn::make_view(h.data(), 20, n),
                                     tarn::make_view(hy.data(), 20, n), o);
                  }),
                  64 * 1024)
            << n;
        if (n <= 4096) {
            EXPECT_EQ(allocations_in([&] {
                          tarn::softpick(tarn::on(GetParam()), tarn::make_view(p.x.data(), 20, n),
                                         tarn::make_view(y.data(), 20, n), o);
                      }).all,
                      0)
                << n;
        }
    }
}

} // namespace
