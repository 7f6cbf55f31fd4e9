// SPDX-License-Identifier: BSD-3-Clause
//
// Comparisons of packs with a number, all lanes at once or as bits.
#pragma once

#include <tarn/simd/reduce.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// Bit i: whether not v_i <= t_i, which is so for NaN.
template <class A> TARN_INLINE unsigned bits_above(floats<A> v, floats<A> t, requires_arch<xsimd::sse2>) {
    return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpnle_ps(v, t)));
}
template <class A> TARN_INLINE unsigned bits_above(doubles<A> v, doubles<A> t, requires_arch<xsimd::sse2>) {
    return static_cast<unsigned>(_mm_movemask_pd(_mm_cmpnle_pd(v, t)));
}
#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE unsigned bits_above(floats<A> v, floats<A> t, requires_arch<xsimd::avx2>) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(v, t, _CMP_NLE_UQ)));
}
template <class A> TARN_INLINE unsigned bits_above(doubles<A> v, doubles<A> t, requires_arch<xsimd::avx2>) {
    return static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd(v, t, _CMP_NLE_UQ)));
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE unsigned bits_above(floats<A> v, floats<A> t, requires_arch<xsimd::avx512f>) {
    return _mm512_cmp_ps_mask(v, t, _CMP_NLE_UQ);
}
template <class A> TARN_INLINE unsigned bits_above(doubles<A> v, doubles<A> t, requires_arch<xsimd::avx512f>) {
    return _mm512_cmp_pd_mask(v, t, _CMP_NLE_UQ);
}
TARN_AVX512_END
#endif

} // namespace kernel

// A bit for every lane of v that is above t, or NaN; the first lane's is the lowest.
template <class A> TARN_INLINE unsigned bits_above(const pack<A>& v, number<A> t) {
    unsigned r = 0;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r |= kernel::bits_above<A>(v.part[I], numbers<A>(t), A{}) << (I * pack<A>::width);
    });
    return r;
}

// f(register) of all registers of the packs, together.
template <class A, int N, class F> TARN_INLINE bool all_of(const pack<A> (&v)[N], F f) {
    auto r = f(v[0].part[0]);
    unroll<N>([&](auto k) TARN_LAMBDA {
        unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA { r = r & f(v[decltype(k)::value].part[decltype(i)::value]); });
    });
    return xsimd::all(r);
}
// Whether every lane is at most, or at least, t; false if any is NaN.
template <class A, int N> TARN_INLINE bool all_at_most(const pack<A> (&v)[N], number<A> t) {
    const numbers<A> bound(t);
    return all_of<A>(v, [&](numbers<A> p) TARN_LAMBDA { return p <= bound; });
}
template <class A, int N> TARN_INLINE bool all_at_least(const pack<A> (&v)[N], number<A> t) {
    const numbers<A> bound(t);
    return all_of<A>(v, [&](numbers<A> p) TARN_LAMBDA { return p >= bound; });
}

// v where it is at most t, else `otherwise`; NaN as well.
template <class A> TARN_INLINE pack<A> select_at_most(const pack<A>& v, number<A> t, number<A> otherwise) {
    return each<A>(
        [&](numbers<A> p) TARN_LAMBDA { return simd::select<A>(p <= numbers<A>(t), p, numbers<A>(otherwise)); }, v);
}

// The greatest number that at least k lanes reach; k is 1 to the number of lanes, no lane is NaN.
template <class A> TARN_INLINE number<A> kth_greatest(const pack<A>& v, int k) {
    alignas(64) number<A> lane[lanes<A>];
    store<A>(lane, v);
    pack<A> reached = broadcast<A>(0);
    unroll<lanes<A>>([&](auto i) TARN_LAMBDA {
        const numbers<A> other(lane[decltype(i)::value]);
        reached =
            each<A>([&](numbers<A> p, numbers<A> n)
                        TARN_LAMBDA { return n + simd::select<A>(p <= other, numbers<A>(1.0f), numbers<A>(0.0f)); },
                    v, reached);
    });
    const numbers<A> enough(static_cast<number<A>>(k));
    return greatest<A>(
        each<A>([&](numbers<A> p, numbers<A> n)
                    TARN_LAMBDA { return simd::select<A>(n >= enough, p, numbers<A>(-__builtin_huge_valf())); },
                v, reached));
}

}}}} // namespace tarn::simd
