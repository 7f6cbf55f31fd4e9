// SPDX-License-Identifier: BSD-3-Clause
//
// The bits of many results as one number.
#pragma once

#include "support/oracle.hpp"

#include <cstdint>
#include <vector>

namespace support {

// FNV-1a over the bits of the results, NaN as one value.
class digest {
public:
    void add(const std::vector<float>& y) {
        for (const float v : y) {
            const std::uint32_t bits = v == v ? bits_of(v) : 0x7fc00000u;
            for (int shift = 0; shift < 32; shift += 8)
                value_ = (value_ ^ (bits >> shift & 0xff)) * 0x100000001b3u;
        }
    }
    std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325u;
};

} // namespace support
