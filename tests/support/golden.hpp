// SPDX-License-Identifier: BSD-3-Clause
//
// The bits of a fixed set of rows, as one number: the same from every compiler, in every version that keeps the
// promise.
#pragma once

#include "support/digest.hpp"
#include "support/rows.hpp"

namespace support {

// The numbers are exact in double, so contraction of the generator's arithmetic cannot change them.
inline std::uint64_t digest_of(tarn::tier t) {
    digest d;
    std::uint64_t seed = 1;
    for (const std::ptrdiff_t n :
         {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 255, 257, 1000, 4096, 10007, 65536, 200003}) {
        for (const double sd : {1.0, 10.0, 50.0}) {
            for (const double offset : {0.0, 1000.0, -1e6}) {
                for (const float scale : {1.0f, 0.125f, -0.37f}) {
                    const auto x = normal_logits(n, sd, offset, ++seed);
                    d.add(softmax_alone(t, x.data(), n, scale));
                }
            }
        }
        for (int kind = 0; kind < row_kinds; ++kind)
            d.add(softmax_alone(t, row_of_kind(kind, n, ++seed).data(), n));
    }
    return d.value();
}

// Without fused multiply-add the bits are others.
constexpr std::uint64_t golden_digest(tarn::tier t) {
    return t == tarn::tier::sse2 ? 0xa168f77b4aba5789 : 0x8062fd40c83c99bd;
}

} // namespace support
