// SPDX-License-Identifier: BSD-3-Clause
//
// Masks of bytes, one for each lane: 0 or not.
#pragma once

#include <tarn/simd/pack.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// v where the byte is not 0, else `otherwise`.
template <class A>
TARN_INLINE floats<A> where_bytes(const unsigned char* p, floats<A> v, floats<A> otherwise,
                                  requires_arch<xsimd::sse2>) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    const __m128i zero = _mm_setzero_si128();
    const __m128i bytes = _mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero), zero);
    const __m128 without = _mm_castsi128_ps(_mm_cmpeq_epi32(bytes, zero));
    return _mm_or_ps(_mm_and_ps(without, otherwise), _mm_andnot_ps(without, v));
}
template <class A>
TARN_INLINE doubles<A> where_bytes(const unsigned char* p, doubles<A> v, doubles<A> otherwise,
                                   requires_arch<xsimd::sse2>) {
    const __m128i bytes = _mm_setr_epi32(p[0], p[0], p[1], p[1]);
    const __m128d without = _mm_castsi128_pd(_mm_cmpeq_epi32(bytes, _mm_setzero_si128()));
    return _mm_or_pd(_mm_and_pd(without, otherwise), _mm_andnot_pd(without, v));
}
#if XSIMD_WITH_AVX2
template <class A>
TARN_INLINE floats<A> where_bytes(const unsigned char* p, floats<A> v, floats<A> otherwise,
                                  requires_arch<xsimd::avx2>) {
    const __m256i bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    return _mm256_blendv_ps(v, otherwise, _mm256_castsi256_ps(_mm256_cmpeq_epi32(bytes, _mm256_setzero_si256())));
}
template <class A>
TARN_INLINE doubles<A> where_bytes(const unsigned char* p, doubles<A> v, doubles<A> otherwise,
                                   requires_arch<xsimd::avx2>) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    const __m256i bytes = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
    return _mm256_blendv_pd(v, otherwise, _mm256_castsi256_pd(_mm256_cmpeq_epi64(bytes, _mm256_setzero_si256())));
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A>
TARN_INLINE floats<A> where_bytes(const unsigned char* p, floats<A> v, floats<A> otherwise,
                                  requires_arch<xsimd::avx512f>) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_mask_mov_ps(otherwise, _mm_test_epi8_mask(bytes, bytes), v);
}
template <class A>
TARN_INLINE doubles<A> where_bytes(const unsigned char* p, doubles<A> v, doubles<A> otherwise,
                                   requires_arch<xsimd::avx512f>) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm512_mask_mov_pd(otherwise, static_cast<__mmask8>(_mm_test_epi8_mask(bytes, bytes)), v);
}
TARN_AVX512_END
#endif

} // namespace kernel

// v where the byte of the lane, from p on, is not 0, else `otherwise`.
template <class A> TARN_INLINE pack<A> where_bytes(const unsigned char* p, const pack<A>& v, const pack<A>& otherwise) {
    pack<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r.part[I] = kernel::where_bytes<A>(p + I * pack<A>::width, v.part[I], otherwise.part[I], A{});
    });
    return r;
}

namespace kernel {

// n bytes that lie side by side, and others that are 0: as many as the pack has lanes.
template <class A> TARN_INLINE void first_bytes(const unsigned char* p, int n, unsigned char* bytes) {
    for (int i = 0; i < lanes<A>; ++i)
        bytes[i] = 0;
    const auto ends = [&](auto size) TARN_LAMBDA {
        constexpr int Size = decltype(size)::value;
        unsigned char first[Size], last[Size];
        __builtin_memcpy(first, p, Size);
        __builtin_memcpy(last, p + n - Size, Size);
        __builtin_memcpy(bytes, first, Size);
        __builtin_memcpy(bytes + n - Size, last, Size);
    };
    if (n >= 8)
        ends(index<8>{});
    else if (n >= 4)
        ends(index<4>{});
    else if (n >= 2)
        ends(index<2>{});
    else if (n == 1)
        bytes[0] = *p;
}
template <class A>
TARN_INLINE pack<A> where_copied_bytes(const unsigned char* p, int n, const pack<A>& v, const pack<A>& otherwise) {
    unsigned char bytes[lanes<A>];
    first_bytes<A>(p, n, bytes);
    return simd::where_bytes<A>(bytes, v, otherwise);
}
template <class A>
TARN_INLINE pack<A> where_first_bytes(const unsigned char* p, int n, const pack<A>& v, const pack<A>& otherwise,
                                      requires_arch<xsimd::sse2>) {
    return where_copied_bytes<A>(p, n, v, otherwise);
}
#if XSIMD_WITH_AVX2
template <class A>
TARN_INLINE pack<A> where_first_bytes(const unsigned char* p, int n, const pack<A>& v, const pack<A>& otherwise,
                                      requires_arch<xsimd::avx2>) {
    return where_copied_bytes<A>(p, n, v, otherwise);
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A>
TARN_INLINE pack<A> where_first_bytes(const unsigned char* p, int n, const pack<A>& v, const pack<A>& otherwise,
                                      requires_arch<xsimd::avx512bw>) {
    const auto wanted = static_cast<__mmask16>((1u << n) - 1);
    const __m128i bytes = _mm_maskz_loadu_epi8(wanted, p);
    const __mmask16 kept = _mm_test_epi8_mask(bytes, bytes);
    if constexpr (is_double<A>)
        return {{_mm512_mask_mov_pd(otherwise.part[0], static_cast<__mmask8>(kept), v.part[0])}};
    else
        return {{_mm512_mask_mov_ps(otherwise.part[0], kept, v.part[0])}};
}
TARN_AVX512_END
#endif

} // namespace kernel

// The same of n bytes, at most as many as lanes; `otherwise` in the lanes behind them.
template <class A>
TARN_INLINE pack<A> where_first_bytes(const unsigned char* p, int n, const pack<A>& v, const pack<A>& otherwise) {
    return kernel::where_first_bytes<A>(p, n, v, otherwise, A{});
}

// n bytes that lie `along` apart, side by side.
TARN_NOINLINE inline void gather_bytes(const unsigned char* p, std::ptrdiff_t along, std::ptrdiff_t n,
                                       unsigned char* bytes) {
    for (std::ptrdiff_t i = 0; i < n; ++i)
        bytes[i] = p[i * along];
}

// Whether none of n bytes side by side is 0.
template <class A> TARN_INLINE bool all_bytes_set(const unsigned char* p, std::ptrdiff_t n) {
    const __m128i zero = _mm_setzero_si128();
    std::ptrdiff_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m128i any = zero;
        unroll<4>([&](auto k) TARN_LAMBDA {
            const auto* const at = reinterpret_cast<const __m128i*>(p + i + 16 * decltype(k)::value);
            any = _mm_or_si128(any, _mm_cmpeq_epi8(_mm_loadu_si128(at), zero));
        });
        if (_mm_movemask_epi8(any) != 0)
            return false;
    }
    for (; i < n; ++i) {
        if (p[i] == 0)
            return false;
    }
    return true;
}

// Of n bytes that lie `along` apart, the index of the first that is not 0, and one past that of the last; n and 0 if
// there is none.
TARN_INLINE std::ptrdiff_t first_byte(const unsigned char* p, std::ptrdiff_t along, std::ptrdiff_t n) {
    std::ptrdiff_t i = 0;
    if (along == 1) {
        std::uint64_t eight = 0;
        for (; i + 8 <= n && eight == 0; i += 8)
            __builtin_memcpy(&eight, p + i, sizeof eight);
        if (eight != 0)
            i -= 8;
    }
    while (i < n && p[i * along] == 0)
        ++i;
    return i;
}
TARN_INLINE std::ptrdiff_t end_of_bytes(const unsigned char* p, std::ptrdiff_t along, std::ptrdiff_t n) {
    std::ptrdiff_t i = n;
    if (along == 1) {
        std::uint64_t eight = 0;
        for (; i >= 8 && eight == 0; i -= 8)
            __builtin_memcpy(&eight, p + i - 8, sizeof eight);
        if (eight != 0)
            i += 8;
    }
    while (i > 0 && p[(i - 1) * along] == 0)
        --i;
    return i;
}

}}}} // namespace tarn::simd
