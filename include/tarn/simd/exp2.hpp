// SPDX-License-Identifier: BSD-3-Clause
//
// The pieces of 2^x that differ between tiers. With scalef (AVX-512) the power of two is applied at the end and a mask
// drops what is too small; without it the exponent is added as an integer and the argument is clamped beforehand.
#pragma once

#include <tarn/simd/arithmetic.hpp>

#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

// 2^e for integral e up to 1023; 0 below -1022.
TARN_INLINE double power_of_two(double e) {
    if (e < -1022)
        return 0;
    const std::int64_t bits = static_cast<std::int64_t>((e < 1023 ? static_cast<int>(e) : 1023) + 1023) << 52;
    double v;
    __builtin_memcpy(&v, &bits, sizeof v);
    return v;
}

// What the tier's instructions allow.
template <class Arch> struct exp2_instructions {
    // scalef multiplies by 2^n and masks in one instruction.
    static constexpr bool has_scalef = false;
    // A pack takes few enough instructions to be repeated wherever it is needed.
    static constexpr bool is_compact = false;
    using float_table = xsimd::batch<float, Arch>;
};
template <> struct exp2_instructions<xsimd::fma3<xsimd::avx2>> {
    static constexpr bool has_scalef = false;
    static constexpr bool is_compact = true;
    using float_table = xsimd::batch<std::int32_t, xsimd::fma3<xsimd::avx2>>;
};
template <> struct exp2_instructions<xsimd::avx512bw> {
    static constexpr bool has_scalef = true;
    static constexpr bool is_compact = true;
    using float_table = xsimd::batch<float, xsimd::avx512bw>;
};

struct no_table {};

// Floats are 2^x on a grid of eighths, by a table of eight entries; no register holds eight doubles on every tier, so
// theirs is a grid of integers.
template <class A> struct exp2_traits : exp2_instructions<typename A::arch> {
    static constexpr bool has_table = !is_double<A>;
    using table = std::conditional_t<has_table, typename exp2_instructions<typename A::arch>::float_table, no_table>;
};

namespace kernel {

// 2^(j/8) times the common factor 0x1.89cb7cp+0, rounded to float. The factor cancels in a quotient of sums; this one
// makes all eight products nearly exact floats (worst error 0.05 of half an ulp, against 1 for the factor 1).
TARN_INLINE float exp2_entry(int j) {
    static constexpr float entries[8] = {0x1.89cb7cp+0f, 0x1.ad6fb4p+0f, 0x1.d44dbcp+0f, 0x1.feb052p+0f,
                                         0x1.16747cp+1f, 0x1.2fa848p+1f, 0x1.4b2404p+1f, 0x1.691c8ap+1f};
    return entries[j];
}

// Beside 1 these are nothing, and what sums with greater ones lose is not denormal.
constexpr double least_double_power = -400;

template <class A>
TARN_INLINE floats<A> exp2_remainder(floats<A> x, floats<A> high, floats<A> low, floats<A> n,
                                     requires_arch<xsimd::sse2>) {
    // Without a fused multiply-add the products are formed in double, where they are exact.
    const __m128d a = _mm_add_pd(_mm_cvtps_pd(high), _mm_cvtps_pd(low));
    const auto half = [&](__m128 p, __m128 q) TARN_LAMBDA {
        return _mm_cvtpd_ps(_mm_sub_pd(_mm_mul_pd(_mm_cvtps_pd(p), a), _mm_cvtps_pd(q)));
    };
    return _mm_movelh_ps(half(x, n), half(_mm_movehl_ps(x, x), _mm_movehl_ps(n, n)));
}
template <class A> TARN_INLINE floats<A> exp2_table(float, requires_arch<xsimd::sse2>) { return _mm_setzero_ps(); }
template <class A> TARN_INLINE floats<A> exp2_lookup(floats<A>, floats<A> grid, requires_arch<xsimd::sse2>) {
    const __m128i bits = _mm_castps_si128(grid);
    const auto entry = [&](int word) TARN_LAMBDA { return exp2_entry(word & 7); };
    return _mm_setr_ps(entry(_mm_extract_epi16(bits, 0)), entry(_mm_extract_epi16(bits, 2)),
                       entry(_mm_extract_epi16(bits, 4)), entry(_mm_extract_epi16(bits, 6)));
}
template <class A> TARN_INLINE floats<A> exp2_apply(floats<A> p, floats<A> grid, requires_arch<xsimd::sse2>) {
    const __m128i exponent = _mm_slli_epi32(_mm_srai_epi32(_mm_castps_si128(grid), 3), 23);
    return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(p), exponent));
}
template <class A> TARN_INLINE floats<A> exp2_floor(floats<A> n, requires_arch<xsimd::sse2>) {
    const __m128 to_integer = _mm_set1_ps(1.5f * 0x1p23f);
    const __m128 near = _mm_sub_ps(_mm_add_ps(n, to_integer), to_integer);
    return _mm_sub_ps(near, _mm_and_ps(_mm_cmpgt_ps(near, n), _mm_set1_ps(1.0f)));
}
template <class A> TARN_INLINE floats<A> exp2_of_integer(floats<A> n, requires_arch<xsimd::sse2>) {
    const __m128i power = _mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127)), 23);
    return _mm_and_ps(_mm_cmpge_ps(n, _mm_set1_ps(-126.0f)), _mm_castsi128_ps(power));
}
template <class A>
TARN_INLINE floats<A> zero_where_le(floats<A> v, floats<A> x, floats<A> low, requires_arch<xsimd::sse2>) {
    return _mm_and_ps(_mm_cmpnle_ps(x, low), v);
}
template <class A>
floats<A> scale_where_gt(floats<A> p, floats<A> n, floats<A> x, floats<A> low, requires_arch<xsimd::sse2>) = delete;
template <class A> floats<A> scale(floats<A> p, floats<A> n, requires_arch<xsimd::sse2>) = delete;

template <class A>
TARN_INLINE doubles<A> exp2_remainder(doubles<A> x, doubles<A> high, doubles<A> low, doubles<A> n,
                                      requires_arch<xsimd::sse2>) {
    // Of tiny remainders nothing is left beside 1, and their parts might be denormal.
    const __m128d magnitude = _mm_andnot_pd(_mm_set1_pd(-0.0), _mm_mul_pd(x, high));
    const __m128d v = _mm_and_pd(_mm_cmpnlt_pd(magnitude, _mm_set1_pd(0x1p-60)), x);
    return _mm_add_pd(product_less(v, high, n), rounded_product(v, low));
}
template <class A> TARN_INLINE doubles<A> exp2_apply(doubles<A> p, doubles<A> grid, requires_arch<xsimd::sse2>) {
    return _mm_castsi128_pd(_mm_add_epi64(_mm_castpd_si128(p), _mm_slli_epi64(_mm_castpd_si128(grid), 52)));
}
template <class A> TARN_INLINE doubles<A> exp2_of_integer(doubles<A> n, requires_arch<xsimd::sse2>) {
    const __m128d biased = _mm_add_pd(n, _mm_set1_pd(1.5 * 0x1p52 + 1023));
    const __m128d power = _mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(biased), 52));
    return _mm_and_pd(_mm_cmpge_pd(n, _mm_set1_pd(least_double_power)), power);
}
template <class A>
TARN_INLINE doubles<A> zero_where_le(doubles<A> v, doubles<A> x, doubles<A> low, requires_arch<xsimd::sse2>) {
    return _mm_and_pd(_mm_cmpnle_pd(x, low), v);
}
template <class A>
doubles<A> scale_where_gt(doubles<A> p, doubles<A> n, doubles<A> x, doubles<A> low,
                          requires_arch<xsimd::sse2>) = delete;
template <class A> doubles<A> scale(doubles<A> p, doubles<A> n, requires_arch<xsimd::sse2>) = delete;

#if XSIMD_WITH_AVX2
template <class A>
TARN_INLINE floats<A> exp2_remainder(floats<A> x, floats<A> high, floats<A> low, floats<A> n,
                                     requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmadd_ps(x, low, _mm256_fmsub_ps(x, high, n));
}
// Entry j carries -j in the bits that the shifted grid adds to it.
template <class A>
TARN_INLINE xsimd::batch<std::int32_t, typename A::arch> exp2_table(float, requires_arch<xsimd::avx2>) {
    const __m256 t = _mm256_setr_ps(exp2_entry(0), exp2_entry(1), exp2_entry(2), exp2_entry(3), exp2_entry(4),
                                    exp2_entry(5), exp2_entry(6), exp2_entry(7));
    const __m256i j = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_slli_epi32(j, 20));
}
template <class A>
TARN_INLINE floats<A> exp2_lookup(xsimd::batch<std::int32_t, typename A::arch> table, floats<A> grid,
                                  requires_arch<xsimd::avx2>) {
    const __m256i bits = _mm256_castps_si256(grid);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_permutevar8x32_epi32(table, bits), _mm256_slli_epi32(bits, 20)));
}
template <class A> TARN_INLINE floats<A> exp2_apply(floats<A> p, floats<A>, requires_arch<xsimd::avx2>) { return p; }
template <class A> TARN_INLINE floats<A> exp2_floor(floats<A> n, requires_arch<xsimd::avx2>) {
    return _mm256_floor_ps(n);
}
template <class A> TARN_INLINE floats<A> exp2_of_integer(floats<A> n, requires_arch<xsimd::avx2>) {
    const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(_mm256_cmp_ps(n, _mm256_set1_ps(-126.0f), _CMP_GE_OQ), _mm256_castsi256_ps(power));
}
template <class A>
TARN_INLINE floats<A> zero_where_le(floats<A> v, floats<A> x, floats<A> low, requires_arch<xsimd::avx2>) {
    return _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_NLE_UQ), v);
}
template <class A>
TARN_INLINE doubles<A> exp2_remainder(doubles<A> x, doubles<A> high, doubles<A> low, doubles<A> n,
                                      requires_arch<xsimd::fma3<xsimd::avx2>>) {
    return _mm256_fmadd_pd(x, low, _mm256_fmsub_pd(x, high, n));
}
template <class A> TARN_INLINE doubles<A> exp2_apply(doubles<A> p, doubles<A> grid, requires_arch<xsimd::avx2>) {
    const __m256i exponent = _mm256_slli_epi64(_mm256_castpd_si256(grid), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(p), exponent));
}
template <class A> TARN_INLINE doubles<A> exp2_of_integer(doubles<A> n, requires_arch<xsimd::avx2>) {
    const __m256d biased = _mm256_add_pd(n, _mm256_set1_pd(1.5 * 0x1p52 + 1023));
    const __m256d power = _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(biased), 52));
    return _mm256_and_pd(_mm256_cmp_pd(n, _mm256_set1_pd(least_double_power), _CMP_GE_OQ), power);
}
template <class A>
TARN_INLINE doubles<A> zero_where_le(doubles<A> v, doubles<A> x, doubles<A> low, requires_arch<xsimd::avx2>) {
    return _mm256_and_pd(_mm256_cmp_pd(x, low, _CMP_NLE_UQ), v);
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A>
TARN_INLINE floats<A> exp2_remainder(floats<A> x, floats<A> high, floats<A> low, floats<A> n,
                                     requires_arch<xsimd::avx512f>) {
    return _mm512_fmadd_ps(x, low, _mm512_fmsub_ps(x, high, n));
}
template <class A> TARN_INLINE floats<A> exp2_table(float factor, requires_arch<xsimd::avx512f>) {
    const __m512 t =
        _mm512_setr_ps(exp2_entry(0), exp2_entry(1), exp2_entry(2), exp2_entry(3), exp2_entry(4), exp2_entry(5),
                       exp2_entry(6), exp2_entry(7), exp2_entry(0), exp2_entry(1), exp2_entry(2), exp2_entry(3),
                       exp2_entry(4), exp2_entry(5), exp2_entry(6), exp2_entry(7));
    return _mm512_mul_ps(t, _mm512_set1_ps(factor));
}
template <class A> TARN_INLINE floats<A> exp2_lookup(floats<A> table, floats<A> grid, requires_arch<xsimd::avx512f>) {
    return _mm512_permutexvar_ps(_mm512_castps_si512(grid), table);
}
template <class A> TARN_INLINE floats<A> exp2_floor(floats<A> n, requires_arch<xsimd::avx512f>) {
    return _mm512_roundscale_ps(n, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
template <class A> TARN_INLINE floats<A> exp2_of_integer(floats<A> n, requires_arch<xsimd::avx512f>) {
    const __mmask16 normal = _mm512_cmp_ps_mask(n, _mm512_set1_ps(-126.0f), _CMP_GE_OQ);
    return _mm512_maskz_scalef_ps(normal, _mm512_set1_ps(1.0f), n);
}
template <class A>
TARN_INLINE floats<A> zero_where_le(floats<A> v, floats<A> x, floats<A> low, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, low, _CMP_NLE_UQ), v);
}
template <class A>
TARN_INLINE floats<A> scale_where_gt(floats<A> p, floats<A> n, floats<A> x, floats<A> low,
                                     requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, low, _CMP_NLE_UQ), p, n);
}
template <class A> TARN_INLINE floats<A> scale(floats<A> p, floats<A> n, requires_arch<xsimd::avx512f>) {
    return _mm512_scalef_ps(p, n);
}
template <class A>
TARN_INLINE doubles<A> exp2_remainder(doubles<A> x, doubles<A> high, doubles<A> low, doubles<A> n,
                                      requires_arch<xsimd::avx512f>) {
    return _mm512_fmadd_pd(x, low, _mm512_fmsub_pd(x, high, n));
}
template <class A> TARN_INLINE doubles<A> exp2_apply(doubles<A> p, doubles<A> grid, requires_arch<xsimd::avx512f>) {
    const __m512i exponent = _mm512_slli_epi64(_mm512_castpd_si512(grid), 52);
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(p), exponent));
}
template <class A> TARN_INLINE doubles<A> exp2_of_integer(doubles<A> n, requires_arch<xsimd::avx512f>) {
    const __mmask8 normal = _mm512_cmp_pd_mask(n, _mm512_set1_pd(least_double_power), _CMP_GE_OQ);
    return _mm512_maskz_scalef_pd(normal, _mm512_set1_pd(1.0), n);
}
template <class A>
TARN_INLINE doubles<A> zero_where_le(doubles<A> v, doubles<A> x, doubles<A> low, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, low, _CMP_NLE_UQ), v);
}
template <class A>
TARN_INLINE doubles<A> scale_where_gt(doubles<A> p, doubles<A> n, doubles<A> x, doubles<A> low,
                                      requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_scalef_pd(_mm512_cmp_pd_mask(x, low, _CMP_NLE_UQ), p, n);
}
template <class A> TARN_INLINE doubles<A> scale(doubles<A> p, doubles<A> n, requires_arch<xsimd::avx512f>) {
    return _mm512_scalef_pd(p, n);
}
TARN_AVX512_END
#endif

} // namespace kernel

// x * (high + low) - n, of which only the result is rounded: for floats twice by less than 2^-28 with |result| <= 1/16,
// for doubles twice by 2^-54 with |result| <= 1/2.
template <class A> TARN_INLINE numbers<A> exp2_remainder(numbers<A> x, numbers<A> high, numbers<A> low, numbers<A> n) {
    return kernel::exp2_remainder<A>(x, high, low, n, A{});
}

// (2^r - 1) / r for doubles of at most 1/2, 2^-57.8 off. Odd and even powers apart: a chain of eight additions instead
// of eleven, which schedulers hold few of.
template <class A> TARN_INLINE doubles<A> exp2_slope(doubles<A> r) {
    // The square of a tiny remainder would be denormal.
    const doubles<A> r2 = fmadd<A>(r, r, doubles<A>(0x1p-200));
    const auto series = [&](auto... c) TARN_LAMBDA {
        const double coefficients[] = {c...};
        doubles<A> s(coefficients[0]);
        unroll<sizeof...(c) - 1>(
            [&](auto i) TARN_LAMBDA { s = fmadd<A>(s, r2, doubles<A>(coefficients[decltype(i)::value + 1])); });
        return s;
    };
    const doubles<A> odd = series(0x1.e611a2720f1b7p-28, 0x1.62bfcddd2468fp-20, 0x1.4309130c01a66p-13,
                                  0x1.3b2ab6fba11f3p-7, 0x1.ebfbdff82c59cp-3);
    const doubles<A> even = series(0x1.e80b1be5f5ad8p-32, 0x1.b526102a45c95p-24, 0x1.ffcbfbf79221bp-17,
                                   0x1.5d87fe78b3f66p-10, 0x1.c6b08d704a0d3p-5, 0x1.62e42fefa39efp-1);
    return fmadd<A>(odd, r, even);
}

// The eight entries for floats; with scalef multiplied by `factor`, a power of two.
template <class A> TARN_INLINE typename exp2_traits<A>::table exp2_table([[maybe_unused]] number<A> factor) {
    if constexpr (exp2_traits<A>::has_table)
        return kernel::exp2_table<A>(factor, A{});
    else
        return {};
}

// The entry for the low three bits of grid = n + 1.5 * 2^20; on AVX2 times 2^floor(n). Floats only.
template <class A> TARN_INLINE floats<A> exp2_lookup(typename exp2_traits<A>::table table, floats<A> grid) {
    return kernel::exp2_lookup<A>(table, grid, A{});
}

// p * 2^floor(n), for floats on AVX2 p: their lookup has applied the power. Without a fused multiply-add, products with
// small entries could be denormal, so SSE2 applies it last; tiers without scalef only. For doubles grid = n + 1.5 *
// 2^52, on every tier.
template <class A> TARN_INLINE numbers<A> exp2_apply(numbers<A> p, numbers<A> grid) {
    return kernel::exp2_apply<A>(p, grid, A{});
}

// floor(n) for |n| < 2^22, whatever the rounding mode. Floats only.
template <class A> TARN_INLINE floats<A> exp2_floor(floats<A> n) { return kernel::exp2_floor<A>(n, A{}); }

// 2^n for integral n up to the greatest exponent; 0 below the least, for doubles below -400, and for NaN.
template <class A> TARN_INLINE numbers<A> exp2_of_integer(numbers<A> n) { return kernel::exp2_of_integer<A>(n, A{}); }

// v where x > low or x is NaN, else +0.
template <class A> TARN_INLINE numbers<A> zero_where_le(numbers<A> v, numbers<A> x, numbers<A> low) {
    return kernel::zero_where_le<A>(v, x, low, A{});
}

// p * 2^floor(n) where x > low or x is NaN, else +0. Tiers with scalef only.
template <class A> TARN_INLINE numbers<A> scale_where_gt(numbers<A> p, numbers<A> n, numbers<A> x, numbers<A> low) {
    return kernel::scale_where_gt<A>(p, n, x, low, A{});
}
// p * 2^floor(n). Tiers with scalef only.
template <class A> TARN_INLINE numbers<A> scale(numbers<A> p, numbers<A> n) { return kernel::scale<A>(p, n, A{}); }

}}}} // namespace tarn::simd
