// SPDX-License-Identifier: BSD-3-Clause
//
// Registers of which the compiler knows nothing.
#pragma once

#include <tarn/simd/arithmetic.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

TARN_INLINE __m128 settled(__m128 v) {
    __asm__("" : "+x"(v));
    return v;
}
TARN_INLINE __m128d settled(__m128d v) {
    __asm__("" : "+x"(v));
    return v;
}
#if XSIMD_WITH_AVX2
TARN_INLINE __m256 settled(__m256 v) {
    __asm__("" : "+x"(v));
    return v;
}
TARN_INLINE __m256d settled(__m256d v) {
    __asm__("" : "+x"(v));
    return v;
}
#endif
#if XSIMD_WITH_AVX512F
TARN_INLINE __m512 settled(__m512 v) {
    __asm__("" : "+v"(v));
    return v;
}
TARN_INLINE __m512d settled(__m512d v) {
    __asm__("" : "+v"(v));
    return v;
}
#endif

} // namespace kernel

// v: what follows is not computed before v was chosen, lane by lane, as compilers do with masks as well.
template <class A> TARN_INLINE numbers<A> settled(numbers<A> v) { return kernel::settled(v); }

}}}} // namespace tarn::simd
