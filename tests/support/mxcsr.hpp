// SPDX-License-Identifier: BSD-3-Clause
//
// The control and status register of SSE arithmetic: sticky flags, flush modes, rounding.
#pragma once

#include <xmmintrin.h>

namespace support {

constexpr unsigned invalid = 1u << 0;
constexpr unsigned denormal_operand = 1u << 1;
constexpr unsigned underflow = 1u << 4;
constexpr unsigned all_flags = 0x3f;
constexpr unsigned denormals_are_zero = 1u << 6;
constexpr unsigned flush_to_zero = 1u << 15;
constexpr unsigned rounding_shift = 13; // nearest, down, up, to zero

// Sets bits of the register and puts the register back at the end.
class mxcsr_scope {
public:
    explicit mxcsr_scope(unsigned set) : before_(_mm_getcsr()) { _mm_setcsr((before_ & ~all_flags) | set); }
    ~mxcsr_scope() { _mm_setcsr(before_); }
    mxcsr_scope(const mxcsr_scope&) = delete;
    mxcsr_scope& operator=(const mxcsr_scope&) = delete;

private:
    unsigned before_;
};

} // namespace support
