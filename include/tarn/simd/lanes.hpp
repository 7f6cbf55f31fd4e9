// SPDX-License-Identifier: BSD-3-Clause
//
// Lanes of packs one by one: comparisons, and sums of few of them.
#pragma once

#include <tarn/simd/sums.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

template <class A> TARN_INLINE unsigned lanes_ge(floats<A> v, floats<A> least, requires_arch<xsimd::sse2>) {
    return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpge_ps(v, least)));
}
#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE unsigned lanes_ge(floats<A> v, floats<A> least, requires_arch<xsimd::avx2>) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(v, least, _CMP_GE_OQ)));
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE unsigned lanes_ge(floats<A> v, floats<A> least, requires_arch<xsimd::avx512f>) {
    return _mm512_cmp_ps_mask(v, least, _CMP_GE_OQ);
}
TARN_AVX512_END
#endif

} // namespace kernel

// Bit i: whether lane i of v is at least `least`.
template <class A> TARN_INLINE unsigned lanes_ge(const pack<A>& v, float least) {
    unsigned r = 0;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r |= kernel::lanes_ge<A>(v.part[I], floats<A>(least), A{}) << (I * pack<A>::width);
    });
    return r;
}

// a where v > w, else b.
template <class A>
TARN_INLINE pack<A> select_greater(const pack<A>& v, const pack<A>& w, const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q, numbers<A> r, numbers<A> s)
                       TARN_LAMBDA { return simd::select<A>(p > q, r, s); },
                   v, w, a, b);
}

// The greater of both; NaN where either is, and `first` where both are equal.
template <class A> TARN_INLINE pack<A> max_or_nan(const pack<A>& first, const pack<A>& v) {
    return each<A>([](numbers<A> p, numbers<A> q)
                       TARN_LAMBDA { return simd::select<A>((q > p) | xsimd::isnan(q), q, p); },
                   first, v);
}

// a where v and w are equal, or both NaN, else b.
template <class A>
TARN_INLINE pack<A> select_same(const pack<A>& v, const pack<A>& w, const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q, numbers<A> r, numbers<A> s)
                       TARN_LAMBDA { return simd::select<A>((p == q) | (xsimd::isnan(p) & xsimd::isnan(q)), r, s); },
                   v, w, a, b);
}

// v, and 0 where its magnitude is below `least`, or is 2^-1022. A mask, no choice: compilers move what follows, which
// may underflow, in front of a choice.
template <class A> TARN_INLINE double_pack<A> zero_below(const double_pack<A>& v, double least) {
    const doubles<A> low(least > 0x1p-1000 ? least * (1 - 0x1p-53) : least);
    double_pack<A> r;
    unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r.part[I] = kernel::zero_where_le<A>(v.part[I], xsimd::abs(v.part[I]), low, A{});
    });
    return r;
}

// The lanes added: i and i + half of them, then i and i + a quarter, and so on.
template <class A> TARN_INLINE double total_of_lanes(const double_pack<A>& v) {
    if constexpr (is_double<A>) {
        alignas(64) double lane[lanes<A>];
        v.store(lane);
        return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
    } else {
        return float_sums<A>{v}.total();
    }
}

namespace kernel {

TARN_INLINE void transpose_part(const float* from, std::ptrdiff_t stride, float* to) {
    __m128 a = _mm_loadu_ps(from);
    __m128 b = _mm_loadu_ps(from + stride);
    __m128 c = _mm_loadu_ps(from + 2 * stride);
    __m128 d = _mm_loadu_ps(from + 3 * stride);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + 16, b);
    _mm_storeu_ps(to + 32, c);
    _mm_storeu_ps(to + 48, d);
}
TARN_INLINE void transpose_part(const double* from, std::ptrdiff_t stride, double* to) {
    const __m128d a = _mm_loadu_pd(from);
    const __m128d b = _mm_loadu_pd(from + stride);
    _mm_storeu_pd(to, _mm_unpacklo_pd(a, b));
    _mm_storeu_pd(to + 8, _mm_unpackhi_pd(a, b));
}

} // namespace kernel

// As many rows as a pack has lanes, `stride` apart, as columns: element k of row r to to[k * lanes + r].
template <class A>
TARN_INLINE void transpose_rows(const number<A>* rows, std::ptrdiff_t stride, std::ptrdiff_t length, number<A>* to) {
    constexpr int part = is_double<A> ? 2 : 4;
    std::ptrdiff_t k = 0;
    for (; k + part <= length; k += part) {
        for (int r = 0; r < lanes<A>; r += part)
            kernel::transpose_part(rows + r * stride + k, stride, to + k * lanes<A> + r);
    }
    for (; k < length; ++k) {
        for (int r = 0; r < lanes<A>; ++r)
            to[k * lanes<A> + r] = rows[r * stride + k];
    }
}

}}}} // namespace tarn::simd
