// SPDX-License-Identifier: BSD-3-Clause
//
// The types of elements: floats, doubles, and the two whose numbers are stored in 16 bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bench {

enum class element_type { float32, float64, bfloat16, float16 };

struct element_facts {
    const char* name;
    std::size_t bytes;
    int digits;         // of the significand, in bits
    int least_exponent; // of normal numbers
};

// In the order of `element_type`.
constexpr std::array<element_facts, 4> elements{
    {{"float", 4, 24, -126}, {"double", 8, 53, -1022}, {"bfloat16", 2, 8, -126}, {"float16", 2, 11, -14}}};

constexpr const element_facts& facts_of(element_type type) { return elements[static_cast<std::size_t>(type)]; }
constexpr bool is_half(element_type type) { return facts_of(type).bytes == 2; }

// Calls work(zero) with the zero of the numbers in which a type is looked at: doubles as they are, others as floats.
template <class Work> auto with_number(element_type type, Work work) {
    return type == element_type::float64 ? work(0.0) : work(0.0F);
}

// From here on `half` is a type of 16 bits. Rounding is to nearest, ties to even.
void round_to(element_type half, const float* x, std::uint16_t* y, std::ptrdiff_t n);
void widen_from(element_type half, const std::uint16_t* x, float* y, std::ptrdiff_t n);

// Whether y holds x rounded once, bit for bit. NaN is NaN, whatever its bits.
bool is_rounded(element_type half, const float* x, const std::uint16_t* y, std::ptrdiff_t n);

// The number of any type that is nearest to x.
long double nearest_in(element_type type, long double x);

} // namespace bench
