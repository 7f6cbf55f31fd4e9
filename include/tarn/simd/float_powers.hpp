// SPDX-License-Identifier: BSD-3-Clause
//
// Logarithms and powers of floats: log.hpp and exp2.hpp have those of doubles.
#pragma once

#include <tarn/simd/arithmetic.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// A positive normal v as m * 2^k with m from sqrt(1/2) to sqrt(2); infinity has k = 128, NaN anything finite.
template <class A> TARN_INLINE void split(floats<A> v, floats<A>& m, floats<A>& k, requires_arch<xsimd::sse2>) {
    const __m128i bits = _mm_castps_si128(v);
    const __m128i exponent = _mm_srai_epi32(_mm_sub_epi32(bits, _mm_set1_epi32(0x3f3504f3)), 23);
    m = _mm_castsi128_ps(_mm_sub_epi32(bits, _mm_slli_epi32(exponent, 23)));
    k = _mm_cvtepi32_ps(exponent);
}
// 2^n, n = position - 1.5 * 2^23 from -1022 to 1023, as doubles: those of the lower lanes and of the upper ones.
template <class A>
TARN_INLINE void powers_of_two(floats<A> position, doubles<A>& low, doubles<A>& high, requires_arch<xsimd::sse2>) {
    const __m128i upper = _mm_add_epi32(_mm_slli_epi32(_mm_castps_si128(position), 20), _mm_set1_epi32(0x3ff00000));
    low = _mm_castsi128_pd(_mm_unpacklo_epi32(_mm_setzero_si128(), upper));
    high = _mm_castsi128_pd(_mm_unpackhi_epi32(_mm_setzero_si128(), upper));
}
#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE void split(floats<A> v, floats<A>& m, floats<A>& k, requires_arch<xsimd::avx2>) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i exponent = _mm256_srai_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f3504f3)), 23);
    m = _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(exponent, 23)));
    k = _mm256_cvtepi32_ps(exponent);
}
template <class A>
TARN_INLINE void powers_of_two(floats<A> position, doubles<A>& low, doubles<A>& high, requires_arch<xsimd::avx2>) {
    const __m256i upper =
        _mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(position), 20), _mm256_set1_epi32(0x3ff00000));
    const auto doubles_of = [](__m128i v) TARN_LAMBDA {
        return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_cvtepu32_epi64(v), 32));
    };
    low = doubles_of(_mm256_castsi256_si128(upper));
    high = doubles_of(_mm256_extracti128_si256(upper, 1));
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE void split(floats<A> v, floats<A>& m, floats<A>& k, requires_arch<xsimd::avx512f>) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i exponent = _mm512_srai_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3)), 23);
    m = _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(exponent, 23)));
    k = _mm512_cvtepi32_ps(exponent);
}
template <class A>
TARN_INLINE void powers_of_two(floats<A> position, doubles<A>& low, doubles<A>& high, requires_arch<xsimd::avx512f>) {
    const __m512i upper =
        _mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(position), 20), _mm512_set1_epi32(0x3ff00000));
    const __m512i lower_lanes = _mm512_setr_epi32(0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7);
    const __m512i upper_lanes = _mm512_setr_epi32(0, 8, 0, 9, 0, 10, 0, 11, 0, 12, 0, 13, 0, 14, 0, 15);
    low = _mm512_castsi512_pd(_mm512_maskz_permutexvar_epi32(0xaaaa, lower_lanes, upper));
    high = _mm512_castsi512_pd(_mm512_maskz_permutexvar_epi32(0xaaaa, upper_lanes, upper));
}
TARN_AVX512_END
#endif

} // namespace kernel

template <class A> TARN_INLINE void powers_of_two(floats<A> position, doubles<A>& low, doubles<A>& high) {
    kernel::powers_of_two<A>(position, low, high, A{});
}

// log2(v) = k + the returned number, which is at most 1/2 and 2^-24.8 off, without fused operations 2^-23.9;
// v as for split.
template <class A> TARN_INLINE floats<A> log2_of(floats<A> v, floats<A>& k) {
    floats<A> m;
    kernel::split<A>(v, m, k, A{});
    const floats<A> z = m - floats<A>(1.0f);
    // log2(1 + z) = z / log(2) + z^2 q: the last step adds what is small to what is nearly exact.
    constexpr float coefficients[] = {0x1.803f00p-3f, -0x1.8645b4p-3f, 0x1.a27abcp-3f, -0x1.eaccb2p-3f,
                                      0x1.27822cp-2f, -0x1.715a38p-2f, 0x1.ec7086p-2f, -0x1.715472p-1f};
    floats<A> q(-0x1.ce4e3ep-4f);
    unroll<8>([&](auto i) TARN_LAMBDA { q = fmadd<A>(q, z, floats<A>(coefficients[decltype(i)::value])); });
    return fmadd<A>(z, floats<A>(0x1.715476p+0f), fmadd<A>(z * z, q, z * floats<A>(0x1.4ae0c0p-26f)));
}

// (2^r - 1) / r for r of at most 1/2: r times it is 2^-24.4 of 2^r off.
template <class A> TARN_INLINE floats<A> exp2_slope(floats<A> r) {
    constexpr float coefficients[] = {0x1.5f3e54p-10f, 0x1.3b2d4cp-7f, 0x1.c6aee8p-5f, 0x1.ebfbdcp-3f, 0x1.62e430p-1f};
    floats<A> s(0x1.41fbbcp-13f);
    unroll<5>([&](auto i) TARN_LAMBDA { s = fmadd<A>(s, r, floats<A>(coefficients[decltype(i)::value])); });
    return s;
}

}}}} // namespace tarn::simd
