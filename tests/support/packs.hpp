// SPDX-License-Identifier: BSD-3-Clause
//
// The pieces of simd/ and kernels/ for the instruction set of the file, on arrays: what tests of single primitives
// share.
#pragma once

#include "support/inputs.hpp"
#include "support/oracle.hpp"

#include <tarn/simd/pack.hpp>

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace support {

using arch = tarn::simd::tier_target<float>;
using batch = tarn::simd::floats<arch>;
using pack = tarn::simd::pack<arch>;
constexpr int lanes = tarn::simd::lanes<arch>;

constexpr int width = static_cast<int>(batch::size);
constexpr bool has_fma = width > 4;
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float qnan = std::numeric_limits<float>::quiet_NaN();

using batch_array = std::array<float, static_cast<std::size_t>(width)>;
using pack_array = std::array<float, static_cast<std::size_t>(lanes)>;

inline batch_array array_of(batch v) {
    batch_array a;
    v.store_unaligned(a.data());
    return a;
}
inline pack_array array_of(const pack& v) {
    pack_array a;
    tarn::simd::store<arch>(a.data(), v);
    return a;
}
inline batch batch_of(const batch_array& a) { return batch::load_unaligned(a.data()); }
inline pack pack_of(const pack_array& a) { return tarn::simd::load<arch>(a.data()); }

template <class Array, class F> Array filled(F f) {
    Array a;
    for (std::size_t i = 0; i < a.size(); ++i)
        a[i] = f(i);
    return a;
}

// Floats of any sign and of exponents -e .. e.
inline float random_float(random_bits& random, int e) {
    const float m = 1.0f + static_cast<float>(random.next() >> 41) * 0x1p-23f;
    const float sign = random.next() % 2 ? 1.0f : -1.0f;
    return std::ldexp(sign * m, static_cast<int>(random.below(2 * e + 1)) - e);
}

// Equal bits, or both NaN.
inline testing::AssertionResult same_bits(float a, float b) {
    if (bits_of(a) == bits_of(b) || (a != a && b != b))
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << std::hexfloat << a << " is not " << b;
}

} // namespace support
