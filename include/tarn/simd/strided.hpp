// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers at equal distances into one register.
#pragma once

#include <tarn/simd/memory.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

template <class A> TARN_INLINE floats<A> even_lanes(floats<A> a, floats<A> b, requires_arch<xsimd::sse2>) {
    return _mm_shuffle_ps(a, b, 0x88);
}
template <class A> TARN_INLINE floats<A> odd_lanes(floats<A> a, floats<A> b, requires_arch<xsimd::sse2>) {
    return _mm_shuffle_ps(a, b, 0xdd);
}
template <class A> TARN_INLINE floats<A> unfolded(floats<A> v, requires_arch<xsimd::sse2>) { return v; }
template <class A> TARN_INLINE doubles<A> even_lanes(doubles<A> a, doubles<A> b, requires_arch<xsimd::sse2>) {
    return _mm_unpacklo_pd(a, b);
}
template <class A> TARN_INLINE doubles<A> odd_lanes(doubles<A> a, doubles<A> b, requires_arch<xsimd::sse2>) {
    return _mm_unpackhi_pd(a, b);
}
template <class A> TARN_INLINE doubles<A> unfolded(doubles<A> v, requires_arch<xsimd::sse2>) { return v; }
template <class A> TARN_INLINE void interleave(floats<A>& a, floats<A>& b, requires_arch<xsimd::sse2>) {
    const __m128 low = _mm_unpacklo_ps(a, b);
    b = _mm_unpackhi_ps(a, b);
    a = low;
}
template <class A> TARN_INLINE void interleave(doubles<A>& a, doubles<A>& b, requires_arch<xsimd::sse2>) {
    const __m128d low = _mm_unpacklo_pd(a, b);
    b = _mm_unpackhi_pd(a, b);
    a = low;
}
template <int N, class A> TARN_INLINE floats<A> lanes_from(floats<A> a, floats<A> b, requires_arch<xsimd::sse2>) {
    const __m128i low = _mm_srli_si128(_mm_castps_si128(a), 4 * N);
    return _mm_castsi128_ps(_mm_or_si128(low, _mm_slli_si128(_mm_castps_si128(b), 16 - 4 * N)));
}
template <int N, class A> TARN_INLINE doubles<A> lanes_from(doubles<A> a, doubles<A> b, requires_arch<xsimd::sse2>) {
    return _mm_shuffle_pd(a, b, 1);
}
template <class A> TARN_INLINE floats<A> load_strided(const float* p, std::ptrdiff_t s, requires_arch<xsimd::sse2>) {
    return _mm_setr_ps(p[0], p[s], p[2 * s], p[3 * s]);
}
template <class A> TARN_INLINE doubles<A> load_strided(const double* p, std::ptrdiff_t s, requires_arch<xsimd::sse2>) {
    return _mm_setr_pd(p[0], p[s]);
}

#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE floats<A> even_lanes(floats<A> a, floats<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_shuffle_ps(a, b, 0x88);
}
template <class A> TARN_INLINE floats<A> odd_lanes(floats<A> a, floats<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_shuffle_ps(a, b, 0xdd);
}
template <class A> TARN_INLINE floats<A> unfolded(floats<A> v, requires_arch<xsimd::avx2>) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8));
}
template <class A> TARN_INLINE doubles<A> even_lanes(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_unpacklo_pd(a, b);
}
template <class A> TARN_INLINE doubles<A> odd_lanes(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_unpackhi_pd(a, b);
}
template <class A> TARN_INLINE doubles<A> unfolded(doubles<A> v, requires_arch<xsimd::avx2>) {
    return _mm256_permute4x64_pd(v, 0xd8);
}
template <class A> TARN_INLINE void interleave(floats<A>& a, floats<A>& b, requires_arch<xsimd::avx2>) {
    const __m256 low = _mm256_unpacklo_ps(a, b);
    const __m256 high = _mm256_unpackhi_ps(a, b);
    a = _mm256_permute2f128_ps(low, high, 0x20);
    b = _mm256_permute2f128_ps(low, high, 0x31);
}
template <class A> TARN_INLINE void interleave(doubles<A>& a, doubles<A>& b, requires_arch<xsimd::avx2>) {
    const __m256d low = _mm256_unpacklo_pd(a, b);
    const __m256d high = _mm256_unpackhi_pd(a, b);
    a = _mm256_permute2f128_pd(low, high, 0x20);
    b = _mm256_permute2f128_pd(low, high, 0x31);
}
// Gathers are slower than these on some CPUs, and faster on none that has no AVX-512.
template <int N, class A> TARN_INLINE floats<A> lanes_from(floats<A> a, floats<A> b, requires_arch<xsimd::avx2>) {
    const __m256i x = _mm256_castps_si256(a);
    const __m256i y = _mm256_castps_si256(b);
    const __m256i middle = _mm256_permute2x128_si256(x, y, 0x21);
    if constexpr (N < 4)
        return _mm256_castsi256_ps(_mm256_alignr_epi8(middle, x, 4 * N));
    else
        return _mm256_castsi256_ps(_mm256_alignr_epi8(y, middle, 4 * N - 16));
}
template <int N, class A> TARN_INLINE doubles<A> lanes_from(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx2>) {
    const __m256d middle = _mm256_permute2f128_pd(a, b, 0x21);
    if constexpr (N == 2)
        return middle;
    else if constexpr (N < 2)
        return _mm256_shuffle_pd(a, middle, 5);
    else
        return _mm256_shuffle_pd(middle, b, 5);
}
template <class A> TARN_INLINE floats<A> load_strided(const float* p, std::ptrdiff_t s, requires_arch<xsimd::avx2>) {
    const float* const q = p + 4 * s;
    return _mm256_setr_ps(p[0], p[s], p[2 * s], p[3 * s], q[0], q[s], q[2 * s], q[3 * s]);
}
template <class A> TARN_INLINE doubles<A> load_strided(const double* p, std::ptrdiff_t s, requires_arch<xsimd::avx2>) {
    return _mm256_setr_pd(p[0], p[s], p[2 * s], p[3 * s]);
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE floats<A> even_lanes(floats<A> a, floats<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_shuffle_ps(a, b, 0x88);
}
template <class A> TARN_INLINE floats<A> odd_lanes(floats<A> a, floats<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_shuffle_ps(a, b, 0xdd);
}
TARN_INLINE __m512d pairs_in_order(__m512d v) {
    return _mm512_permutexvar_pd(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), v);
}
template <class A> TARN_INLINE floats<A> unfolded(floats<A> v, requires_arch<xsimd::avx512f>) {
    return _mm512_castpd_ps(pairs_in_order(_mm512_castps_pd(v)));
}
template <class A> TARN_INLINE doubles<A> even_lanes(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_unpacklo_pd(a, b);
}
template <class A> TARN_INLINE doubles<A> odd_lanes(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_unpackhi_pd(a, b);
}
template <class A> TARN_INLINE doubles<A> unfolded(doubles<A> v, requires_arch<xsimd::avx512f>) {
    return pairs_in_order(v);
}
template <class A> TARN_INLINE void interleave(floats<A>& a, floats<A>& b, requires_arch<xsimd::avx512f>) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const __m512 first = _mm512_permutex2var_ps(a, low, b);
    b = _mm512_permutex2var_ps(a, high, b);
    a = first;
}
template <class A> TARN_INLINE void interleave(doubles<A>& a, doubles<A>& b, requires_arch<xsimd::avx512f>) {
    const __m512d first = _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
    b = _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
    a = first;
}
template <int N, class A> TARN_INLINE floats<A> lanes_from(floats<A> a, floats<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(b), _mm512_castps_si512(a), N));
}
template <int N, class A> TARN_INLINE doubles<A> lanes_from(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(b), _mm512_castpd_si512(a), N));
}
template <class A> TARN_INLINE floats<A> load_strided(const float* p, std::ptrdiff_t s, requires_arch<xsimd::avx512f>) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_i32gather_ps(_mm512_mullo_epi32(lane, _mm512_set1_epi32(static_cast<int>(s))), p, 4);
}
template <class A>
TARN_INLINE doubles<A> load_strided(const double* p, std::ptrdiff_t s, requires_arch<xsimd::avx512f>) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_i32gather_pd(_mm256_mullo_epi32(lane, _mm256_set1_epi32(static_cast<int>(s))), p, 8);
}
TARN_AVX512_END
#endif

} // namespace kernel

// The even lanes, or the odd lanes, of a and then those of b, in an order that unfolded() puts right: once, after
// whatever is done lane by lane.
template <class A> TARN_INLINE numbers<A> even_lanes(numbers<A> a, numbers<A> b) {
    return kernel::even_lanes<A>(a, b, A{});
}
template <class A> TARN_INLINE numbers<A> odd_lanes(numbers<A> a, numbers<A> b) {
    return kernel::odd_lanes<A>(a, b, A{});
}
template <class A> TARN_INLINE numbers<A> unfolded(numbers<A> v) { return kernel::unfolded<A>(v, A{}); }

// a[0], b[0], a[1], b[1], ...: the first half of them as a, the second as b.
template <class A> TARN_INLINE void interleave(numbers<A>& a, numbers<A>& b) { kernel::interleave<A>(a, b, A{}); }

// Lanes N .. of a, then the first N of b.
template <class A, int N> TARN_INLINE numbers<A> lanes_from(numbers<A> a, numbers<A> b) {
    constexpr int width = static_cast<int>(numbers<A>::size);
    static_assert(N >= 0 && N <= width, "");
    if constexpr (N == 0)
        return a;
    else if constexpr (N == width)
        return b;
    else
        return kernel::lanes_from<N, A>(a, b, A{});
}

// p[0], p[s], p[2 s], ...; 0 <= s < 2^24.
template <class A> TARN_INLINE numbers<A> load_strided(const number<A>* p, std::ptrdiff_t s) {
    return kernel::load_strided<A>(p, s, A{});
}

}}}} // namespace tarn::simd
