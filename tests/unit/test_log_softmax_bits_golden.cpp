// SPDX-License-Identifier: BSD-3-Clause
//
// The bits of a fixed set of rows, as one number: the same from every compiler, in every version that keeps the
// promise, and on all tiers with fused multiplication and addition.
#include "support/digest.hpp"
#include "support/log_rows.hpp"

#include <cinttypes>
#include <cstdio>

namespace {

using namespace support;

void add(digest& d, tarn::tier t, const std::vector<float>& x, float scale) {
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    d.add(log_softmax_alone(t, x.data(), n, scale));
    d.add({logsumexp_alone(t, x.data(), n, scale), logmeanexp_alone(t, x.data(), n, scale)});
}

std::uint64_t digest_of(tarn::tier t) {
    digest d;
    std::uint64_t seed = 1;
    for (const std::ptrdiff_t n :
         {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 255, 257, 1000, 4096, 10007, 65536, 200003}) {
        for (const double sd : {1.0, 10.0, 50.0}) {
            for (const double offset : {0.0, 1000.0, -1e6}) {
                for (const float scale : {1.0f, 0.125f, -0.37f})
                    add(d, t, normal_logits(n, sd, offset, ++seed), scale);
            }
        }
        for (int kind = 0; kind < row_kinds; ++kind)
            add(d, t, row_of_kind(kind, n, ++seed), 1.0f);
    }
    return d.value();
}

class log_softmax_golden : public tier_test {};
TARN_TEST_ON_ALL_TIERS(log_softmax_golden);

TEST_P(log_softmax_golden, bits) {
    const std::uint64_t fused = 0x5ce38604e8e88ee7;
    const std::uint64_t sse2 = 0xe799d29ee4d8f6b9;
    const std::uint64_t value = digest_of(GetParam());
    std::printf("    digest 0x%016" PRIx64 "\n", value);
    EXPECT_EQ(value, GetParam() == tarn::tier::sse2 ? sse2 : fused);
}

} // namespace
