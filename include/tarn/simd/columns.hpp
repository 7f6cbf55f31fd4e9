// SPDX-License-Identifier: BSD-3-Clause
//
// What reductions over rows need, one lane for each column: numbers widened on their way from memory, NaN of two rows
// found by one comparison, and the first of the greatest or least.
#pragma once

#include <tarn/simd/sums.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

// One flag for every lane of a pack.
template <class A> struct pack_mask { mask<A> part[pack<A>::parts]; };

namespace kernel {

template <class A> TARN_INLINE doubles<A> load_widened(const float* p, requires_arch<xsimd::sse2>) {
    return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
// Whether a or b is NaN.
template <class A> TARN_INLINE float_mask<A> either_nan(floats<A> a, floats<A> b, requires_arch<xsimd::sse2>) {
    return _mm_cmpunord_ps(a, b);
}
template <class A> TARN_INLINE double_mask<A> either_nan(doubles<A> a, doubles<A> b, requires_arch<xsimd::sse2>) {
    return _mm_cmpunord_pd(a, b);
}

#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE doubles<A> load_widened(const float* p, requires_arch<xsimd::avx2>) {
    return _mm256_cvtps_pd(_mm_loadu_ps(p));
}
template <class A> TARN_INLINE float_mask<A> either_nan(floats<A> a, floats<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_cmp_ps(a, b, _CMP_UNORD_Q);
}
template <class A> TARN_INLINE double_mask<A> either_nan(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx2>) {
    return _mm256_cmp_pd(a, b, _CMP_UNORD_Q);
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE doubles<A> load_widened(const float* p, requires_arch<xsimd::avx512f>) {
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
}
template <class A> TARN_INLINE float_mask<A> either_nan(floats<A> a, floats<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
}
template <class A> TARN_INLINE double_mask<A> either_nan(doubles<A> a, doubles<A> b, requires_arch<xsimd::avx512f>) {
    return _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q);
}
TARN_AVX512_END
#endif

} // namespace kernel

// As many numbers as a pack has lanes, as doubles.
template <class A> TARN_INLINE double_pack<A> load_widened(const number<A>* p) {
    double_pack<A> r;
    unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        if constexpr (is_double<A>)
            r.part[I] = doubles<A>::load_unaligned(p + I * double_pack<A>::width);
        else
            r.part[I] = kernel::load_widened<A>(p + I * double_pack<A>::width, A{});
    });
    return r;
}

template <class A> TARN_INLINE pack_mask<A> no_lanes() {
    pack_mask<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA { r.part[decltype(i)::value] = mask<A>(false); });
    return r;
}
// Adds the lanes in which a or b is NaN.
template <class A> TARN_INLINE void add_nan(pack_mask<A>& m, const pack<A>& a, const pack<A>& b) {
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        m.part[I] = m.part[I] | kernel::either_nan<A>(a.part[I], b.part[I], A{});
    });
}
template <class A> TARN_INLINE pack<A> select(const pack_mask<A>& m, const pack<A>& a, const pack<A>& b) {
    pack<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r.part[I] = simd::select<A>(m.part[I], a.part[I], b.part[I]);
    });
    return r;
}

// Where x takes the place of `best`: it is greater (or less), or the first NaN.
template <class A, bool Greatest> TARN_INLINE pack_mask<A> beats(const pack<A>& x, const pack<A>& best) {
    pack_mask<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        const numbers<A> v = x.part[I];
        const numbers<A> b = best.part[I];
        // Not v != v: with AVX, xsimd 8.1 finds NaN equal to itself.
        const auto first_nan = kernel::either_nan<A>(v, v, A{}) & (b == b);
        if constexpr (Greatest)
            r.part[I] = (v > b) | first_nan;
        else
            r.part[I] = (v < b) | first_nan;
    });
    return r;
}

// v, or 0 where it is no normal number.
template <class A> TARN_INLINE double_pack<A> normal_or_zero(const double_pack<A>& v) {
    constexpr double least = is_double<A> ? 0x1p-1022 : 0x1p-126;
    double_pack<A> r;
    unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r.part[I] = simd::select<A>(xsimd::abs(v.part[I]) < doubles<A>(least), doubles<A>(0.0), v.part[I]);
    });
    return r;
}

}}}} // namespace tarn::simd
