// SPDX-License-Identifier: BSD-3-Clause
//
// The natural logarithm that turns sums of weights into results, of 1 + r for r >= 0, exact to a few units of 2^-52 of
// the result however small r is. In double: there is one for every row, not for every element.
#pragma once

#include <tarn/simd/sums.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// A positive normal v as m * 2^k with m from sqrt(1/2) to sqrt(2); infinity has k = 1024, NaN anything finite. Exponents
// are taken apart as integers and come back as doubles by the significand of 2^52.
template <class A> TARN_INLINE void split(doubles<A> v, doubles<A>& m, doubles<A>& k, requires_arch<xsimd::sse2>) {
    const __m128i bits = _mm_castpd_si128(v);
    const __m128i exponent = _mm_srli_epi64(_mm_add_epi64(bits, _mm_set1_epi64x(0x00095f619980c433)), 52);
    const __m128i one = _mm_set1_epi64x(0x3ff0000000000000);
    m = _mm_castsi128_pd(_mm_sub_epi64(_mm_add_epi64(bits, one), _mm_slli_epi64(exponent, 52)));
    k = _mm_sub_pd(_mm_castsi128_pd(_mm_or_si128(exponent, _mm_set1_epi64x(0x4330000000000000))),
                   _mm_set1_pd(0x1p52 + 1023));
}
#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE void split(doubles<A> v, doubles<A>& m, doubles<A>& k, requires_arch<xsimd::avx2>) {
    const __m256i bits = _mm256_castpd_si256(v);
    const __m256i exponent = _mm256_srli_epi64(_mm256_add_epi64(bits, _mm256_set1_epi64x(0x00095f619980c433)), 52);
    const __m256i one = _mm256_set1_epi64x(0x3ff0000000000000);
    m = _mm256_castsi256_pd(_mm256_sub_epi64(_mm256_add_epi64(bits, one), _mm256_slli_epi64(exponent, 52)));
    k = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(exponent, _mm256_set1_epi64x(0x4330000000000000))),
                      _mm256_set1_pd(0x1p52 + 1023));
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE void split(doubles<A> v, doubles<A>& m, doubles<A>& k, requires_arch<xsimd::avx512f>) {
    const __m512i bits = _mm512_castpd_si512(v);
    const __m512i exponent = _mm512_srli_epi64(_mm512_add_epi64(bits, _mm512_set1_epi64(0x00095f619980c433)), 52);
    const __m512i one = _mm512_set1_epi64(0x3ff0000000000000);
    m = _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_add_epi64(bits, one), _mm512_slli_epi64(exponent, 52)));
    k = _mm512_sub_pd(_mm512_castsi512_pd(_mm512_or_si512(exponent, _mm512_set1_epi64(0x4330000000000000))),
                      _mm512_set1_pd(0x1p52 + 1023));
}
TARN_AVX512_END
#endif

} // namespace kernel

// atanh f = f + f^3 q, q = 1/3 + f^2/5 + f^4/7 ...: q for f^2 <= 0.0295, where ten terms leave 2^-55.
template <class A, int Terms = 10> TARN_INLINE doubles<A> atanh_tail(doubles<A> f2) {
    doubles<A> q(1.0 / (2 * Terms + 1));
    unroll<Terms - 1>(
        [&](auto i) TARN_LAMBDA { q = fmadd<A>(q, f2, doubles<A>(1.0 / (2 * Terms - 1 - 2 * decltype(i)::value))); });
    return q;
}

// log2(v) = k + the returned number, which is at most 1/2 and loses nothing next to 0; v as for split.
template <class A, int Terms = 10> TARN_INLINE doubles<A> log2_of(doubles<A> v, doubles<A>& k) {
    doubles<A> m;
    kernel::split<A>(v, m, k, A{});
    const doubles<A> f = (m - doubles<A>(1.0)) / (m + doubles<A>(1.0));
    const doubles<A> f2 = f * f;
    const doubles<A> twice = f * doubles<A>(2 * 1.4426950408889634074);
    return fmadd<A>(twice * f2, atanh_tail<A, Terms>(f2), twice);
}

// log2(1 + q) / q for q from sqrt(1/2) - 1 to sqrt(2) - 1, also for 0.
template <class A> TARN_INLINE doubles<A> log2_slope(doubles<A> q) {
    const doubles<A> inverse = doubles<A>(1.0) / (doubles<A>(2.0) + q);
    const doubles<A> f = q * inverse;
    const doubles<A> f2 = f * f;
    const doubles<A> twice = inverse * doubles<A>(2 * 1.4426950408889634074);
    return fmadd<A>(twice * f2, atanh_tail<A>(f2), twice);
}

// log(1 + r) for r >= 0, finite; NaN for NaN. With f = (m - 1) / (m + 1), log m = 2 atanh f; for small r, f is r / (2 +
// r), where nothing of r is lost.
template <class A> TARN_INLINE doubles<A> log_of_one_plus(doubles<A> given) {
    const auto number = [](double v) TARN_LAMBDA { return doubles<A>(v); };
    // Tiny r are their own logarithm; their squares, and half of them, might be denormal. Excesses of floats are
    // larger.
    const auto tiny = given < number(0x1p-300);
    const doubles<A> r = is_double<A> ? simd::select<A>(tiny, number(0.0), given) : given;
    doubles<A> m, k;
    kernel::split<A>(number(1.0) + r, m, k, A{});
    const auto small = r < number(0.40625);
    k = simd::select<A>(small, number(0.0), k);
    const doubles<A> f =
        simd::select<A>(small, r, m - number(1.0)) / simd::select<A>(small, number(2.0) + r, m + number(1.0));
    const doubles<A> f2 = f * f;
    const doubles<A> q = atanh_tail<A>(f2);
    const doubles<A> twice = f + f;
    const doubles<A> result = fmadd<A>(k, number(0.693147180559945309417), fmadd<A>(twice * f2, q, twice));
    return simd::select<A>(given == given, is_double<A> ? simd::select<A>(tiny, given, result) : result, given);
}

template <class A> TARN_INLINE double_pack<A> log_of_one_plus(const double_pack<A>& r) {
    double_pack<A> result;
    unroll<double_pack<A>::parts>(
        [&](auto i) TARN_LAMBDA { result.part[decltype(i)::value] = log_of_one_plus<A>(r.part[decltype(i)::value]); });
    return result;
}

// log(1 + w / unit) for w from 0 to unit; NaN for NaN. With f = w / (2 unit + w), at most 1/3, it is 2 atanh f: the range
// need not be reduced. For floats to 2^-29 of the result, for doubles to 2^-54.
template <class A> TARN_INLINE doubles<A> log_of_one_plus_share(const doubles<A>& w, double unit) {
    const auto number = [](double v) TARN_LAMBDA { return doubles<A>(v); };
    const doubles<A> f = w / (w + number(2 * unit));
    const doubles<A> twice = f + f;
    // Squares of tiny ones might be denormal. Those of floats are not.
    const doubles<A> g = is_double<A> ? simd::select<A>(f < number(0x1p-300), number(0.0), f) : f;
    const doubles<A> f2 = g * g;
    return fmadd<A>(twice * f2, atanh_tail < A, is_double<A> ? 17 : 8 > (f2), twice);
}

template <class A> TARN_INLINE double log_of_one_plus(double r) {
    return first_lane<A>(log_of_one_plus<A>(doubles<A>(r)));
}

// e^x for |x| <= 0.35, to a few units of 2^-53.
template <class A> TARN_INLINE doubles<A> exp_of_small(doubles<A> x) {
    constexpr double inverse_factorial[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
        1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
    doubles<A> q(inverse_factorial[0]);
    unroll<13>([&](auto i) TARN_LAMBDA { q = fmadd<A>(q, x, doubles<A>(inverse_factorial[decltype(i)::value + 1])); });
    return q;
}

template <class A> TARN_INLINE double exp_of_small(double x) { return first_lane<A>(exp_of_small<A>(doubles<A>(x))); }

}}}} // namespace tarn::simd
