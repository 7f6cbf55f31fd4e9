// SPDX-License-Identifier: BSD-3-Clause
//
// Arithmetic that xsimd lacks or leaves to the compiler: fused multiply-add with one rounding on every FMA tier, a
// maximum that ignores NaN, values that vanish below a threshold, and products with a factor of twice the precision.
#pragma once

#include <tarn/simd/arch.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

// Whether fmadd rounds once.
template <class A> constexpr bool has_fused_fmadd = !std::is_same<typename A::arch, xsimd::sse2>::value;

namespace kernel {

// a * b + c and a * b - c. SSE2 has no fused form: two roundings, also where -mfma would let the compiler make it one.
TARN_INLINE __m128 rounded_product(__m128 a, __m128 b) {
    __m128 product = _mm_mul_ps(a, b);
#if defined(__FMA__)
    __asm__("" : "+x"(product));
#endif
    return product;
}
TARN_INLINE __m128d rounded_product(__m128d a, __m128d b) {
    __m128d product = _mm_mul_pd(a, b);
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
    return _mm_add_pd(rounded_product(a, b), c);
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
template <class A> TARN_INLINE doubles<A> max_of(doubles<A> x, doubles<A> otherwise, requires_arch<xsimd::sse2>) {
    return _mm_max_pd(x, otherwise);
}
template <class A> TARN_INLINE doubles<A> min_of(doubles<A> x, doubles<A> otherwise, requires_arch<xsimd::sse2>) {
    return _mm_min_pd(x, otherwise);
}
template <class A>
TARN_INLINE doubles<A> keep_where_ge(doubles<A> v, doubles<A> threshold, requires_arch<xsimd::sse2>) {
    return _mm_and_pd(_mm_cmpge_pd(v, threshold), v);
}
template <class A> TARN_INLINE floats<A> select(float_mask<A> m, floats<A> a, floats<A> b, requires_arch<xsimd::sse2>) {
    return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b));
}
template <class A>
TARN_INLINE doubles<A> select(double_mask<A> m, doubles<A> a, doubles<A> b, requires_arch<xsimd::sse2>) {
    return _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, b));
}
template <class A>
TARN_INLINE floats<A> mul_pair(floats<A> v, floats<A> high, floats<A> low, requires_arch<xsimd::sse2>) {
    const auto half = [](__m128 p, __m128 q, __m128 r) TARN_LAMBDA {
        return _mm_cvtpd_ps(_mm_mul_pd(_mm_cvtps_pd(p), _mm_add_pd(_mm_cvtps_pd(q), _mm_cvtps_pd(r))));
    };
    return _mm_movelh_ps(half(v, high, low),
                         half(_mm_movehl_ps(v, v), _mm_movehl_ps(high, high), _mm_movehl_ps(low, low)));
}

// The upper 26 bits of a double's significand, to nearest: what is left has 26 bits too, so products of such halves are
// exact, whether or not the compiler fuses them with an addition.
TARN_INLINE __m128d upper_half(__m128d v) {
    const __m128i rounded = _mm_add_epi64(_mm_castpd_si128(v), _mm_set1_epi64x(std::int64_t{1} << 26));
    return _mm_castsi128_pd(_mm_and_si128(rounded, _mm_set1_epi64x(-(std::int64_t{1} << 27))));
}
// a * b - c, exact but for the last two additions. |c| is not below |a * b| by more than the roundings of a and b.
TARN_INLINE __m128d product_less(__m128d a, __m128d b, __m128d c) {
    const __m128d p = upper_half(a);
    const __m128d q = upper_half(b);
    const __m128d a_rest = _mm_sub_pd(a, p);
    const __m128d b_rest = _mm_sub_pd(b, q);
    const __m128d cross = _mm_add_pd(_mm_mul_pd(p, b_rest), _mm_mul_pd(a_rest, q));
    return _mm_add_pd(_mm_sub_pd(_mm_mul_pd(p, q), c), _mm_add_pd(cross, _mm_mul_pd(a_rest, b_rest)));
}
template <class A>
TARN_INLINE doubles<A> product_error(doubles<A> a, doubles<A> b, doubles<A> product, requires_arch<xsimd::sse2>) {
    return product_less(a, b, product);
}
template <class A>
TARN_INLINE doubles<A> mul_pair(doubles<A> v, doubles<A> high, doubles<A> low, requires_arch<xsimd::sse2>) {
    const __m128d product = rounded_product(v, high);
    return _mm_add_pd(product, _mm_add_pd(product_less(v, high, product), rounded_product(v, low)));
}

#if XSIMD_WITH_AVX2
TARN_INLINE __m256d rounded_product(__m256d a, __m256d b) {
    __m256d product = _mm256_mul_pd(a, b);
    __asm__("" : "+x"(product));
    return product;
}
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
template <class A> TARN_INLINE doubles<A> max_of(doubles<A> x, doubles<A> otherwise, requires_arch<xsimd::avx2>) {
    return _mm256_max_pd(x, otherwise);
}
template <class A> TARN_INLINE doubles<A> min_of(doubles<A> x, doubles<A> otherwise, requires_arch<xsimd::avx2>) {
    return _mm256_min_pd(x, otherwise);
}
template <class A>
TARN_INLINE doubles<A> keep_where_ge(doubles<A> v, doubles<A> threshold, requires_arch<xsimd::avx2>) {
    return _mm256_and_pd(_mm256_cmp_pd(v, threshold, _CMP_GE_OQ), v);
}
template <class A> TARN_INLINE floats<A> select(float_mask<A> m, floats<A> a, floats<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_blendv_ps(b, a, m);
}
template <class A>
TARN_INLINE doubles<A> select(double_mask<A> m, doubles<A> a, doubles<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_blendv_pd(b, a, m);
}
template <class A>
TARN_INLINE doubles<A> product_error(doubles<A> a, doubles<A> b, doubles<A> product,
                                     requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmsub_pd(a, b, product);
}
template <class A>
TARN_INLINE doubles<A> mul_pair(doubles<A> v, doubles<A> high, doubles<A> low,
                                requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmadd_pd(v, high, _mm256_mul_pd(v, low));
}
template <class A>
TARN_INLINE floats<A> mul_pair(floats<A> v, floats<A> high, floats<A> low, requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmadd_ps(v, high, _mm256_mul_ps(v, low));
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
TARN_INLINE __m512d rounded_product(__m512d a, __m512d b) {
    __m512d product = _mm512_mul_pd(a, b);
    __asm__("" : "+v"(product));
    return product;
}
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
template <class A> TARN_INLINE doubles<A> max_of(doubles<A> x, doubles<A> otherwise, requires_arch<xsimd::avx512f>) {
    return _mm512_max_pd(x, otherwise);
}
template <class A> TARN_INLINE doubles<A> min_of(doubles<A> x, doubles<A> otherwise, requires_arch<xsimd::avx512f>) {
    return _mm512_min_pd(x, otherwise);
}
template <class A>
TARN_INLINE doubles<A> keep_where_ge(doubles<A> v, doubles<A> threshold, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(v, threshold, _CMP_GE_OQ), v);
}
template <class A>
TARN_INLINE floats<A> select(float_mask<A> m, floats<A> a, floats<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_mask_blend_ps(m, b, a);
}
template <class A>
TARN_INLINE doubles<A> select(double_mask<A> m, doubles<A> a, doubles<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_mask_blend_pd(m, b, a);
}
template <class A>
TARN_INLINE doubles<A> product_error(doubles<A> a, doubles<A> b, doubles<A> product, requires_arch<xsimd::avx512f>) {
    return _mm512_fmsub_pd(a, b, product);
}
template <class A>
TARN_INLINE doubles<A> mul_pair(doubles<A> v, doubles<A> high, doubles<A> low, requires_arch<xsimd::avx512f>) {
    return _mm512_fmadd_pd(v, high, _mm512_mul_pd(v, low));
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

// a * b, rounded on every tier before anything else is done with it: no compiler fuses it with an addition.
template <class A> TARN_INLINE doubles<A> rounded_product(doubles<A> a, doubles<A> b) {
    return kernel::rounded_product(a, b);
}

// v, of which the compiler knows nothing: what follows is not computed before v was chosen.
TARN_INLINE double settled(double v) {
    __asm__("" : "+x"(v));
    return v;
}

// a * b - c, rounded once on AVX2 and AVX-512.
template <class A> TARN_INLINE floats<A> fmsub(floats<A> a, floats<A> b, floats<A> c) {
    return kernel::fmsub<A>(a, b, c, A{});
}

// a * b - round(a * b), exact: `product` is a * b.
template <class A> TARN_INLINE doubles<A> product_error(doubles<A> a, doubles<A> b, doubles<A> product) {
    return kernel::product_error<A>(a, b, product, A{});
}

// sum + v as the sum rounded, and what that lost added to `rest`. In any order of magnitudes.
template <class A> TARN_INLINE void add_exactly(doubles<A>& sum, doubles<A>& rest, doubles<A> v) {
    const doubles<A> before = sum;
    sum = before + v;
    const doubles<A> v_rounded = sum - before;
    rest = rest + ((before - (sum - v_rounded)) + (v - v_rounded));
}

// The greater of both; `otherwise` where either is NaN. (xsimd::max changed its order of operands between versions.)
template <class A> TARN_INLINE numbers<A> max_of(numbers<A> x, numbers<A> otherwise) {
    return kernel::max_of<A>(x, otherwise, A{});
}

// The lesser of both; `otherwise` where either is NaN.
template <class A> TARN_INLINE numbers<A> min_of(numbers<A> x, numbers<A> otherwise) {
    return kernel::min_of<A>(x, otherwise, A{});
}

// a where m is set, else b. (xsimd::select of SSE2 is long enough that g++ does not always put it inline; then every file
// would offer the linker its own for those of other flags.)
template <class A> TARN_INLINE floats<A> select(float_mask<A> m, floats<A> a, floats<A> b) {
    return kernel::select<A>(m, a, b, A{});
}

template <class A> TARN_INLINE doubles<A> select(double_mask<A> m, doubles<A> a, doubles<A> b) {
    return kernel::select<A>(m, a, b, A{});
}

// v where v >= threshold, else +0.
template <class A> TARN_INLINE numbers<A> keep_where_ge(numbers<A> v, numbers<A> threshold) {
    return kernel::keep_where_ge<A>(v, threshold, A{});
}

// v * (high + low) for |low| of at most five units in the last place of high, rounded once but for an error of 2^-46,
// for doubles 2^-104.
template <class A> TARN_INLINE numbers<A> mul_pair(numbers<A> v, numbers<A> high, numbers<A> low) {
    return kernel::mul_pair<A>(v, high, low, A{});
}

template <class A> TARN_INLINE double first_lane(doubles<A> v) {
    alignas(64) double lane[doubles<A>::size];
    v.store_aligned(lane);
    return lane[0];
}

}}}} // namespace tarn::simd
