// SPDX-License-Identifier: BSD-3-Clause
//
// The types of elements: floats, and the two whose numbers are stored in 16 bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bench {

enum class element_type { float32, bfloat16, float16 };

struct element_facts {
    const char* name;
    std::size_t bytes;
    int digits;         // of the significand, in bits
    int least_exponent; // of normal numbers
};

// In the order of `element_type`.
constexpr std::array<element_facts, 3> elements{
    {{"float", 4, 24, -126}, {"bfloat16", 2, 8, -126}, {"float16", 2, 11, -14}}};

constexpr const element_facts& facts_of(element_type type) { return elements[static_cast<std::size_t>(type)]; }

// From here on `half` is a type of 16 bits. Rounding is to nearest, ties to even.
void round_to(element_type half, const float* x, std::uint16_t* y, std::ptrdiff_t n);
void widen_from(element_type half, const std::uint16_t* x, float* y, std::ptrdiff_t n);

// Whether y holds x rounded once, bit for bit. NaN is NaN, whatever its bits.
bool is_rounded(element_type half, const float* x, const std::uint16_t* y, std::ptrdiff_t n);

// The number of any type that is nearest to x.
float nearest_in(element_type type, float x);

} // namespace bench
