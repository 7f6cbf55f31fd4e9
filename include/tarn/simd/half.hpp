// SPDX-License-Identifier: BSD-3-Clause
//
// Packs of floats from and to 16-bit elements: the conversions of half.hpp, sixteen at a time. Hardware converts
// float16 where the file's flags have F16C; its results are the same.
#pragma once

#include <tarn/simd/pack.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// Eight float16 as two registers of four floats.
TARN_INLINE void widen_float16(const std::uint16_t* p, __m128* four) {
    const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const auto convert = [](__m128i bits) TARN_LAMBDA {
        const __m128i magnitude = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x7fff)), 13);
        const __m128i sign = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x8000)), 16);
        const __m128i tiny = _mm_cmpgt_epi32(_mm_set1_epi32(0x400 << 13), magnitude);
        const __m128i special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32((0x7c00 << 13) - 1));
        // The exponent's bias grows by 112; that of infinity and NaN by 112 more.
        const __m128i bias =
            _mm_add_epi32(_mm_set1_epi32(112 << 23), _mm_and_si128(special, _mm_set1_epi32(112 << 23)));
        const __m128i ordinary = _mm_add_epi32(magnitude, bias);
        const __m128 small =
            _mm_sub_ps(_mm_castsi128_ps(_mm_add_epi32(magnitude, _mm_set1_epi32(113 << 23))), _mm_set1_ps(0x1p-14f));
        const __m128i chosen =
            _mm_or_si128(_mm_and_si128(tiny, _mm_castps_si128(small)), _mm_andnot_si128(tiny, ordinary));
        return _mm_castsi128_ps(_mm_or_si128(chosen, sign));
    };
    four[0] = convert(_mm_unpacklo_epi16(h, _mm_setzero_si128()));
    four[1] = convert(_mm_unpackhi_epi16(h, _mm_setzero_si128()));
}
// Two registers of 32-bit lanes that hold 16 bits each, as one.
TARN_INLINE __m128i pack_halves(__m128i low, __m128i high) {
    const auto extend = [](__m128i v) TARN_LAMBDA { return _mm_srai_epi32(_mm_slli_epi32(v, 16), 16); };
    return _mm_packs_epi32(extend(low), extend(high));
}
TARN_INLINE __m128i narrow_float16(__m128 v) {
    const __m128i bits = _mm_castps_si128(v);
    const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fffffff));
    const __m128i tiny = _mm_cmpgt_epi32(_mm_set1_epi32(0x38800000), magnitude);
    const __m128i huge = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x47800000 - 1));
    const __m128i nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000));
    const __m128i odd = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(1));
    const __m128i ordinary =
        _mm_srli_epi32(_mm_add_epi32(_mm_add_epi32(magnitude, _mm_set1_epi32(0xfff - 0x38000000)), odd), 13);
    // Only what is tiny is added, so that nothing overflows.
    const __m128 sum = _mm_add_ps(_mm_castsi128_ps(_mm_and_si128(tiny, magnitude)), _mm_set1_ps(0.5f));
    const __m128i small = _mm_sub_epi32(_mm_castps_si128(sum), _mm_set1_epi32(0x3f000000));
    const __m128i special = _mm_or_si128(_mm_set1_epi32(0x7c00), _mm_and_si128(nan, _mm_set1_epi32(0x0200)));
    const auto choose = [](__m128i mask, __m128i a, __m128i b)
                            TARN_LAMBDA { return _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b)); };
    const __m128i half = choose(tiny, small, choose(huge, special, ordinary));
    return _mm_or_si128(half, _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(0x8000)));
}

template <class A> TARN_INLINE pack<A> load_bfloat16(const std::uint16_t* p, requires_arch<xsimd::sse2>) {
    pack<A> r;
    unroll<2>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * I));
        r.part[2 * I] = _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), h));
        r.part[2 * I + 1] = _mm_castsi128_ps(_mm_unpackhi_epi16(_mm_setzero_si128(), h));
    });
    return r;
}
template <class A> TARN_INLINE void store_bfloat16(std::uint16_t* p, const pack<A>& v, requires_arch<xsimd::sse2>) {
    const auto narrow = [](__m128 f) TARN_LAMBDA {
        const __m128i bits = _mm_castps_si128(f);
        const __m128i odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
        const __m128i rounded = _mm_add_epi32(_mm_add_epi32(bits, _mm_set1_epi32(0x7fff)), odd);
        const __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(f, f));
        const __m128i quiet = _mm_or_si128(bits, _mm_set1_epi32(0x400000));
        return _mm_srli_epi32(_mm_or_si128(_mm_and_si128(nan, quiet), _mm_andnot_si128(nan, rounded)), 16);
    };
    unroll<2>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8 * I),
                         pack_halves(narrow(v.part[2 * I]), narrow(v.part[2 * I + 1])));
    });
}
template <class A> TARN_INLINE pack<A> load_float16(const std::uint16_t* p, requires_arch<xsimd::sse2>) {
    pack<A> r;
    unroll<2>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        __m128 four[2];
        widen_float16(p + 8 * I, four);
        r.part[2 * I] = four[0];
        r.part[2 * I + 1] = four[1];
    });
    return r;
}
template <class A> TARN_INLINE void store_float16(std::uint16_t* p, const pack<A>& v, requires_arch<xsimd::sse2>) {
    unroll<2>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8 * I),
                         pack_halves(narrow_float16(v.part[2 * I]), narrow_float16(v.part[2 * I + 1])));
    });
}

#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE pack<A> load_bfloat16(const std::uint16_t* p, requires_arch<xsimd::avx2>) {
    pack<A> r;
    unroll<2>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * I));
        r.part[I] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
    });
    return r;
}
template <class A> TARN_INLINE void store_bfloat16(std::uint16_t* p, const pack<A>& v, requires_arch<xsimd::avx2>) {
    const auto narrow = [](__m256 f) TARN_LAMBDA {
        const __m256i bits = _mm256_castps_si256(f);
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
        const __m256 quiet = _mm256_or_ps(f, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000)));
        const __m256 chosen = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), quiet, _mm256_cmp_ps(f, f, _CMP_UNORD_Q));
        return _mm256_srli_epi32(_mm256_castps_si256(chosen), 16);
    };
    const __m256i halves = _mm256_packus_epi32(narrow(v.part[0]), narrow(v.part[1]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(halves, 0xd8));
}
template <class A> TARN_INLINE pack<A> load_float16(const std::uint16_t* p, requires_arch<xsimd::avx2>) {
    pack<A> r;
    unroll<2>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
#if defined(__F16C__)
        r.part[I] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * I)));
#else
        __m128 four[2];
        widen_float16(p + 8 * I, four);
        r.part[I] = _mm256_insertf128_ps(_mm256_castps128_ps256(four[0]), four[1], 1);
#endif
    });
    return r;
}
template <class A> TARN_INLINE void store_float16(std::uint16_t* p, const pack<A>& v, requires_arch<xsimd::avx2>) {
    unroll<2>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        const __m256 f = v.part[I];
#if defined(__F16C__)
        const __m128i halves = _mm256_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT);
#else
        const __m128i halves =
            pack_halves(narrow_float16(_mm256_castps256_ps128(f)), narrow_float16(_mm256_extractf128_ps(f, 1)));
#endif
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8 * I), halves);
    });
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE pack<A> load_bfloat16(const std::uint16_t* p, requires_arch<xsimd::avx512f>) {
    const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {{_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))}};
}
template <class A> TARN_INLINE void store_bfloat16(std::uint16_t* p, const pack<A>& v, requires_arch<xsimd::avx512f>) {
    const __m512 f = v.part[0];
    const __m512i bits = _mm512_castps_si512(f);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i chosen =
        _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(f, f, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16)));
}
template <class A> TARN_INLINE pack<A> load_float16(const std::uint16_t* p, requires_arch<xsimd::avx512f>) {
    return {{_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}};
}
template <class A> TARN_INLINE void store_float16(std::uint16_t* p, const pack<A>& v, requires_arch<xsimd::avx512f>) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v.part[0], _MM_FROUND_TO_NEAREST_INT));
}
TARN_AVX512_END
#endif

} // namespace kernel

// Sixteen elements from p, and to p, rounded to nearest, ties to even. NaN stay NaN.
template <class A> TARN_INLINE pack<A> load_bfloat16(const std::uint16_t* p) {
    return kernel::load_bfloat16<A>(p, A{});
}
template <class A> TARN_INLINE void store_bfloat16(std::uint16_t* p, const pack<A>& v) {
    kernel::store_bfloat16<A>(p, v, A{});
}
template <class A> TARN_INLINE pack<A> load_float16(const std::uint16_t* p) { return kernel::load_float16<A>(p, A{}); }
template <class A> TARN_INLINE void store_float16(std::uint16_t* p, const pack<A>& v) {
    kernel::store_float16<A>(p, v, A{});
}

}}}} // namespace tarn::simd
