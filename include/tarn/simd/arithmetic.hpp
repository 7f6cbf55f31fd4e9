// SPDX-License-Identifier: BSD-3-Clause
//
// Arithmetic that xsimd lacks or leaves to the compiler: fused multiply-add with one rounding on every FMA tier, a
// maximum that ignores NaN, values that vanish below a threshold, and products with a factor of twice the precision.
#pragma once

#include <tarn/simd/arch.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// a * b + c and a * b - c. SSE2 has no fused form: two roundings, also where -mfma would let the compiler make it one.
TARN_INLINE __m128 rounded_product(__m128 a, __m128 b) {
    __m128 product = _mm_mul_ps(a, b);
#if defined(__FMA__)
    __asm__("" : "+x"(product));
#endif
    return product;
}
template <class A> TARN_INLINE floats<A> fmadd(floats<A> a, floats<A> b, floats<A> c, requires_arch<xsimd::sse2>) {
    return _mm_add_ps(rounded_product(a, b), c);
}
template <class A> TARN_INLINE floats<A> fmsub(floats<A> a, floats<A> b, floats<A> c, requires_arch<xsimd::sse2>) {
    return _mm_sub_ps(rounded_product(a, b), c);
}
template <class A> TARN_INLINE doubles<A> fmadd(doubles<A> a, doubles<A> b, doubles<A> c, requires_arch<xsimd::sse2>) {
    __m128d product = _mm_mul_pd(a, b);
#if defined(__FMA__)
    __asm__("" : "+x"(product));
#endif
    return _mm_add_pd(product, c);
}
template <class A> TARN_INLINE floats<A> max_of(floats<A> x, floats<A> otherwise, requires_arch<xsimd::sse2>) {
    return _mm_max_ps(x, otherwise);
}
template <class A> TARN_INLINE floats<A> min_of(floats<A> x, floats<A> otherwise, requires_arch<xsimd::sse2>) {
    return _mm_min_ps(x, otherwise);
}
template <class A> TARN_INLINE floats<A> keep_where_ge(floats<A> v, floats<A> threshold, requires_arch<xsimd::sse2>) {
    return _mm_and_ps(_mm_cmpge_ps(v, threshold), v);
}
template <class A>
TARN_INLINE floats<A> mul_pair(floats<A> v, floats<A> high, floats<A> low, requires_arch<xsimd::sse2>) {
    const auto half = [](__m128 p, __m128 q, __m128 r) TARN_LAMBDA {
        return _mm_cvtpd_ps(_mm_mul_pd(_mm_cvtps_pd(p), _mm_add_pd(_mm_cvtps_pd(q), _mm_cvtps_pd(r))));
    };
    return _mm_movelh_ps(half(v, high, low),
                         half(_mm_movehl_ps(v, v), _mm_movehl_ps(high, high), _mm_movehl_ps(low, low)));
}

#if XSIMD_WITH_AVX2
template <class A>
TARN_INLINE floats<A> fmadd(floats<A> a, floats<A> b, floats<A> c, requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmadd_ps(a, b, c);
}
template <class A>
TARN_INLINE floats<A> fmsub(floats<A> a, floats<A> b, floats<A> c, requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmsub_ps(a, b, c);
}
template <class A>
TARN_INLINE doubles<A> fmadd(doubles<A> a, doubles<A> b, doubles<A> c, requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmadd_pd(a, b, c);
}
template <class A> TARN_INLINE floats<A> max_of(floats<A> x, floats<A> otherwise, requires_arch<xsimd::avx2>) {
    return _mm256_max_ps(x, otherwise);
}
template <class A> TARN_INLINE floats<A> min_of(floats<A> x, floats<A> otherwise, requires_arch<xsimd::avx2>) {
    return _mm256_min_ps(x, otherwise);
}
template <class A> TARN_INLINE floats<A> keep_where_ge(floats<A> v, floats<A> threshold, requires_arch<xsimd::avx2>) {
    return _mm256_and_ps(_mm256_cmp_ps(v, threshold, _CMP_GE_OQ), v);
}
template <class A>
TARN_INLINE floats<A> mul_pair(floats<A> v, floats<A> high, floats<A> low, requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmadd_ps(v, high, _mm256_mul_ps(v, low));
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE floats<A> fmadd(floats<A> a, floats<A> b, floats<A> c, requires_arch<xsimd::avx512f>) {
    return _mm512_fmadd_ps(a, b, c);
}
template <class A> TARN_INLINE floats<A> fmsub(floats<A> a, floats<A> b, floats<A> c, requires_arch<xsimd::avx512f>) {
    return _mm512_fmsub_ps(a, b, c);
}
template <class A>
TARN_INLINE doubles<A> fmadd(doubles<A> a, doubles<A> b, doubles<A> c, requires_arch<xsimd::avx512f>) {
    return _mm512_fmadd_pd(a, b, c);
}
template <class A> TARN_INLINE floats<A> max_of(floats<A> x, floats<A> otherwise, requires_arch<xsimd::avx512f>) {
    return _mm512_max_ps(x, otherwise);
}
template <class A> TARN_INLINE floats<A> min_of(floats<A> x, floats<A> otherwise, requires_arch<xsimd::avx512f>) {
    return _mm512_min_ps(x, otherwise);
}
template <class A>
TARN_INLINE floats<A> keep_where_ge(floats<A> v, floats<A> threshold, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, threshold, _CMP_GE_OQ), v);
}
template <class A>
TARN_INLINE floats<A> mul_pair(floats<A> v, floats<A> high, floats<A> low, requires_arch<xsimd::avx512f>) {
    return _mm512_fmadd_ps(v, high, _mm512_mul_ps(v, low));
}
TARN_AVX512_END
#endif

} // namespace kernel

// a * b + c, rounded once on AVX2 and AVX-512 whatever the compiler's contraction rules.
template <class A> TARN_INLINE floats<A> fmadd(floats<A> a, floats<A> b, floats<A> c) {
    return kernel::fmadd<A>(a, b, c, A{});
}

template <class A> TARN_INLINE doubles<A> fmadd(doubles<A> a, doubles<A> b, doubles<A> c) {
    return kernel::fmadd<A>(a, b, c, A{});
}

// a * b - c, rounded once on AVX2 and AVX-512.
template <class A> TARN_INLINE floats<A> fmsub(floats<A> a, floats<A> b, floats<A> c) {
    return kernel::fmsub<A>(a, b, c, A{});
}

// The greater of both; `otherwise` where either is NaN. (xsimd::max changed its order of operands between versions.)
template <class A> TARN_INLINE floats<A> max_of(floats<A> x, floats<A> otherwise) {
    return kernel::max_of<A>(x, otherwise, A{});
}

// The lesser of both; `otherwise` where either is NaN.
template <class A> TARN_INLINE floats<A> min_of(floats<A> x, floats<A> otherwise) {
    return kernel::min_of<A>(x, otherwise, A{});
}

// v where v >= threshold, else +0.
template <class A> TARN_INLINE floats<A> keep_where_ge(floats<A> v, floats<A> threshold) {
    return kernel::keep_where_ge<A>(v, threshold, A{});
}

// v * (high + low) for |low| <= 2^-22 |high|, rounded once but for an error of 2^-46.
template <class A> TARN_INLINE floats<A> mul_pair(floats<A> v, floats<A> high, floats<A> low) {
    return kernel::mul_pair<A>(v, high, low, A{});
}

}}}} // namespace tarn::simd
