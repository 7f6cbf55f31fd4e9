// SPDX-License-Identifier: BSD-3-Clause
//
// Loads and stores that xsimd lacks: the first n lanes only, non-temporal stores, and prefetch. None touches memory
// outside the lanes it is asked for.
#pragma once

#include <tarn/simd/arch.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

template <class A> TARN_INLINE floats<A> load_n(const float* p, int n, requires_arch<xsimd::sse2>) {
    if (n >= 4)
        return _mm_loadu_ps(p);
    if (n <= 0)
        return _mm_setzero_ps();
    const __m128 first = _mm_load_ss(p);
    if (n == 1)
        return first;
    const __m128 pair = _mm_unpacklo_ps(first, _mm_load_ss(p + 1));
    return n == 2 ? pair : _mm_movelh_ps(pair, _mm_load_ss(p + 2));
}
template <class A> TARN_INLINE void store_n(float* p, floats<A> v, int n, requires_arch<xsimd::sse2>) {
    if (n >= 4)
        return _mm_storeu_ps(p, v);
    if (n >= 1)
        _mm_store_ss(p, v);
    if (n >= 2)
        _mm_store_ss(p + 1, _mm_shuffle_ps(v, v, 1));
    if (n >= 3)
        _mm_store_ss(p + 2, _mm_movehl_ps(v, v));
}
template <class A> TARN_INLINE floats<A> first_or(floats<A> v, int n, floats<A> fill, requires_arch<xsimd::sse2>) {
    const __m128 first = _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(n), _mm_setr_epi32(0, 1, 2, 3)));
    return _mm_or_ps(_mm_and_ps(first, v), _mm_andnot_ps(first, fill));
}
template <class A> TARN_INLINE void stream(float* p, floats<A> v, requires_arch<xsimd::sse2>) { _mm_stream_ps(p, v); }
template <class A> TARN_INLINE doubles<A> load_n(const double* p, int n, requires_arch<xsimd::sse2>) {
    return n >= 2 ? _mm_loadu_pd(p) : n <= 0 ? _mm_setzero_pd() : _mm_load_sd(p);
}
template <class A> TARN_INLINE void store_n(double* p, doubles<A> v, int n, requires_arch<xsimd::sse2>) {
    if (n >= 2)
        _mm_storeu_pd(p, v);
    else if (n == 1)
        _mm_store_sd(p, v);
}
template <class A> TARN_INLINE doubles<A> first_or(doubles<A> v, int n, doubles<A> fill, requires_arch<xsimd::sse2>) {
    const __m128d first = _mm_castsi128_pd(_mm_cmpgt_epi32(_mm_set1_epi32(n), _mm_setr_epi32(0, 0, 1, 1)));
    return _mm_or_pd(_mm_and_pd(first, v), _mm_andnot_pd(first, fill));
}
template <class A> TARN_INLINE void stream(double* p, doubles<A> v, requires_arch<xsimd::sse2>) { _mm_stream_pd(p, v); }

#if XSIMD_WITH_AVX2
// Lanes below n: all ones. A sliding window over a table would cost a load; the comparison is one instruction.
TARN_INLINE __m256i first_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
template <class A> TARN_INLINE floats<A> load_n(const float* p, int n, requires_arch<xsimd::avx2>) {
    return _mm256_maskload_ps(p, first_lanes(n));
}
template <class A> TARN_INLINE void store_n(float* p, floats<A> v, int n, requires_arch<xsimd::avx2>) {
    // Masked stores are microcode on some CPUs.
    if (n >= 8)
        return _mm256_storeu_ps(p, v);
    if (n <= 0)
        return;
    __m128 left = _mm256_castps256_ps128(v);
    if ((n & 4) != 0) {
        _mm_storeu_ps(p, left);
        left = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if ((n & 2) != 0) {
        _mm_storel_pi(reinterpret_cast<__m64*>(p), left);
        left = _mm_movehl_ps(left, left);
        p += 2;
    }
    if ((n & 1) != 0)
        _mm_store_ss(p, left);
}
template <class A> TARN_INLINE floats<A> first_or(floats<A> v, int n, floats<A> fill, requires_arch<xsimd::avx2>) {
    return _mm256_blendv_ps(fill, v, _mm256_castsi256_ps(first_lanes(n)));
}
template <class A> TARN_INLINE void stream(float* p, floats<A> v, requires_arch<xsimd::avx2>) {
    _mm256_stream_ps(p, v);
}
TARN_INLINE __m256i first_double_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}
template <class A> TARN_INLINE doubles<A> load_n(const double* p, int n, requires_arch<xsimd::avx2>) {
    return _mm256_maskload_pd(p, first_double_lanes(n));
}
template <class A> TARN_INLINE void store_n(double* p, doubles<A> v, int n, requires_arch<xsimd::avx2>) {
    if (n >= 4)
        return _mm256_storeu_pd(p, v);
    if (n <= 0)
        return;
    __m128d left = _mm256_castpd256_pd128(v);
    if ((n & 2) != 0) {
        _mm_storeu_pd(p, left);
        left = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if ((n & 1) != 0)
        _mm_store_sd(p, left);
}
template <class A> TARN_INLINE doubles<A> first_or(doubles<A> v, int n, doubles<A> fill, requires_arch<xsimd::avx2>) {
    return _mm256_blendv_pd(fill, v, _mm256_castsi256_pd(first_double_lanes(n)));
}
template <class A> TARN_INLINE void stream(double* p, doubles<A> v, requires_arch<xsimd::avx2>) {
    _mm256_stream_pd(p, v);
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
TARN_INLINE __mmask16 first_lanes_mask(int n) {
    return n >= 16 ? __mmask16(0xffff) : n <= 0 ? __mmask16(0) : __mmask16((1u << n) - 1u);
}
template <class A> TARN_INLINE floats<A> load_n(const float* p, int n, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_loadu_ps(first_lanes_mask(n), p);
}
template <class A> TARN_INLINE void store_n(float* p, floats<A> v, int n, requires_arch<xsimd::avx512f>) {
    _mm512_mask_storeu_ps(p, first_lanes_mask(n), v);
}
template <class A> TARN_INLINE floats<A> first_or(floats<A> v, int n, floats<A> fill, requires_arch<xsimd::avx512f>) {
    return _mm512_mask_mov_ps(fill, first_lanes_mask(n), v);
}
template <class A> TARN_INLINE void stream(float* p, floats<A> v, requires_arch<xsimd::avx512f>) {
    _mm512_stream_ps(p, v);
}
TARN_INLINE __mmask8 first_double_lanes_mask(int n) {
    return n >= 8 ? __mmask8(0xff) : n <= 0 ? __mmask8(0) : __mmask8((1u << n) - 1u);
}
template <class A> TARN_INLINE doubles<A> load_n(const double* p, int n, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_loadu_pd(first_double_lanes_mask(n), p);
}
template <class A> TARN_INLINE void store_n(double* p, doubles<A> v, int n, requires_arch<xsimd::avx512f>) {
    _mm512_mask_storeu_pd(p, first_double_lanes_mask(n), v);
}
template <class A>
TARN_INLINE doubles<A> first_or(doubles<A> v, int n, doubles<A> fill, requires_arch<xsimd::avx512f>) {
    return _mm512_mask_mov_pd(fill, first_double_lanes_mask(n), v);
}
template <class A> TARN_INLINE void stream(double* p, doubles<A> v, requires_arch<xsimd::avx512f>) {
    _mm512_stream_pd(p, v);
}
TARN_AVX512_END
#endif

} // namespace kernel

// Lanes 0..n-1 from p, zero in the others; n <= 0 reads nothing, n >= size reads a whole batch.
template <class A> TARN_INLINE numbers<A> load_n(const number<A>* p, int n) { return kernel::load_n<A>(p, n, A{}); }

// Lanes 0..n-1 to p.
template <class A> TARN_INLINE void store_n(number<A>* p, numbers<A> v, int n) { kernel::store_n<A>(p, v, n, A{}); }

// v in lanes 0..n-1, `fill` in the others.
template <class A> TARN_INLINE numbers<A> first_or(numbers<A> v, int n, numbers<A> fill) {
    return kernel::first_or<A>(v, n, fill, A{});
}

// Non-temporal store; p is aligned to the batch. A caller that is done issues stream_fence().
template <class A> TARN_INLINE void stream(number<A>* p, numbers<A> v) { kernel::stream<A>(p, v, A{}); }

// Orders the non-temporal stores before whatever follows.
template <class A> TARN_INLINE void stream_fence() { _mm_sfence(); }

// Asks for the cache line of p; any address is allowed.
template <class A> TARN_INLINE void prefetch(const number<A>* p) { __builtin_prefetch(p, 0, 3); }
// Not into the nearest cache.
template <class A> TARN_INLINE void prefetch_far(const number<A>* p) { __builtin_prefetch(p, 0, 2); }

}}}} // namespace tarn::simd
