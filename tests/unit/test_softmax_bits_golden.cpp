// SPDX-License-Identifier: BSD-3-Clause
//
// The golden bits on every tier of the library.
#include "support/golden.hpp"

#include <cinttypes>
#include <cstdio>

namespace {

using namespace support;

class softmax_golden : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_golden);

TEST_P(softmax_golden, bits) {
    const std::uint64_t value = digest_of(GetParam());
    std::printf("    digest 0x%016" PRIx64 "\n", value);
    EXPECT_EQ(value, golden_digest(GetParam()));
}

} // namespace
