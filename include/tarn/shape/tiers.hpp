// SPDX-License-Identifier: BSD-3-Clause
//
// The tier that a call runs on.
#pragma once

#include <tarn/shape/checks.hpp>
#include <tarn/where.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// The tier that tarn::on asked for, or the best one.
TARN_INLINE tier check_tier(const char* op, int tier_index) {
    const tier best = best_tier();
    if (tier_index == place<const serial_executor>::best)
        return best;
    const bool known = tier_index >= 0 && tier_index <= static_cast<int>(tier::avx512);
    if (!known || !available(static_cast<tier>(tier_index))) {
        const std::string name = dispatch::tier_names[static_cast<int>(best)];
#if defined(TARN_DISPATCH)
        const std::string expected = "one that is available here, at best " + name;
#else
        const std::string expected = "exactly " + name + ", for which this file is compiled";
#endif
        fail(op, "tier", known ? dispatch::tier_names[tier_index] : "unknown", expected);
    }
    return static_cast<tier>(tier_index);
}

// Looks at the bits, since files that call tarn::dispatch may be compiled as if there were no NaN.
TARN_INLINE bool is_scale(double scale) noexcept {
    std::uint64_t bits;
    __builtin_memcpy(&bits, &scale, sizeof bits);
    constexpr std::uint64_t exponent_of_2_127 = (1023ull + 127) << 52;
    return (bits & 0x7fffffffffffffffu) < exponent_of_2_127;
}
// Whether a number lies in a range of positive ones.
TARN_INLINE bool is_within(double v, double low, double high) noexcept {
    std::uint64_t bits[3];
    const double numbers[3] = {v, low, high};
    __builtin_memcpy(bits, numbers, sizeof bits);
    return bits[0] >= bits[1] && bits[0] <= bits[2];
}
TARN_INLINE void check_scale(const char* op, double scale) {
    if (!is_scale(scale))
        fail(op, "scale", std::to_string(scale), "a number below 2^127 in magnitude");
}

}}}} // namespace tarn::shape
