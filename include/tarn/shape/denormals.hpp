// SPDX-License-Identifier: BSD-3-Clause
//
// How kernels meet denormal numbers. Some CPUs take 150 cycles to multiply a register that has one, or whose product
// would.
#pragma once

#include <tarn/config.hpp>

#include <xmmintrin.h>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// While it lives, what is denormal counts as 0 in this thread, and what would become so becomes 0. MXCSR is left as it
// was, with its flags.
#if TARN_ZERO_DENORMALS
class zero_denormals {
public:
    TARN_INLINE zero_denormals() noexcept : before_(_mm_getcsr()) {
        _mm_setcsr(before_ | denormals_are_zeros | flush_to_zero);
    }
    TARN_INLINE ~zero_denormals() { _mm_setcsr(before_); }
    zero_denormals(const zero_denormals&) = delete;
    zero_denormals& operator=(const zero_denormals&) = delete;

private:
    static constexpr unsigned denormals_are_zeros = 1u << 6;
    static constexpr unsigned flush_to_zero = 1u << 15;

    unsigned before_;
};
#else
struct zero_denormals {};
#endif

// f(), with denormals as zeros: where an executor is called, which is not the library's, it is not for the caller.
template <class F> TARN_INLINE auto with_zero_denormals(const F& f) noexcept {
    [[maybe_unused]] const zero_denormals scope;
    return f();
}

// For kernels that compare elements: denormal ones differ from 0.
struct kept_denormals {};

}}}} // namespace tarn::shape
