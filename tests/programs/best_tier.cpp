// SPDX-License-Identifier: BSD-3-Clause
//
// Prints the tiers that a call may ask for, the best one last.
#include <tarn/dispatch/tier.hpp>

#include <cstdio>

int main() {
    constexpr tarn::tier tiers[] = {tarn::tier::sse2, tarn::tier::avx2, tarn::tier::avx512};
    for (const tarn::tier t : tiers) {
        if (tarn::available(t))
            std::printf("%s\n", tarn::dispatch::tier_names[static_cast<int>(t)]);
    }
}
