// SPDX-License-Identifier: BSD-3-Clause
//
// Reductions of packs in one fixed order: lanes i and i + 8 first, then i + 4, i + 2, i + 1. The order is part of the
// library's promise that a row has the same bits on AVX2 and AVX-512, alone or in a tile. Sums are double.
#pragma once

#include <tarn/simd/pack.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// For lanes that are not NaN.
struct greatest_of {
    TARN_INLINE __m128 operator()(__m128 a, __m128 b) const { return _mm_max_ps(a, b); }
    template <class A> TARN_INLINE floats<A> operator()(floats<A> a, floats<A> b) const {
        return simd::max_of<A>(a, b);
    }
};

// Lane i becomes op of the lanes congruent to i modulo 4.
template <class A, class Op> TARN_INLINE __m128 quad(const pack<A>& v, Op op, requires_arch<xsimd::sse2>) {
    return op(op(v.part[0], v.part[2]), op(v.part[1], v.part[3]));
}
#if XSIMD_WITH_AVX2
template <class A, class Op> TARN_INLINE __m128 quad(const pack<A>& v, Op op, requires_arch<xsimd::avx2>) {
    const __m256 a = v.part[0];
    const __m256 b = v.part[1];
    return op(op(_mm256_castps256_ps128(a), _mm256_castps256_ps128(b)),
              op(_mm256_extractf128_ps(a, 1), _mm256_extractf128_ps(b, 1)));
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A, class Op> TARN_INLINE __m128 quad(const pack<A>& v, Op op, requires_arch<xsimd::avx512f>) {
    const __m512 a = v.part[0];
    return op(op(_mm512_castps512_ps128(a), _mm512_extractf32x4_ps(a, 2)),
              op(_mm512_extractf32x4_ps(a, 1), _mm512_extractf32x4_ps(a, 3)));
}
TARN_AVX512_END
#endif

template <class A, class Op> TARN_INLINE float reduce(const pack<A>& v, Op op) {
    const __m128 four = kernel::quad<A>(v, op, A{});
    const __m128 two = op(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(op(two, _mm_shuffle_ps(two, two, 1)));
}

// Reductions of 16 packs stored one after the other: lane r of the result belongs to pack r.
template <class A, class Op> TARN_INLINE pack<A> reduce_each(const float* packs, Op op, requires_arch<xsimd::sse2>) {
    pack<A> r;
    unroll<4>([&](auto q) TARN_LAMBDA {
        constexpr int Q = decltype(q)::value;
        __m128 row[4];
        unroll<4>([&](auto e) TARN_LAMBDA {
            constexpr int E = decltype(e)::value;
            const float* p = packs + (4 * Q + E) * lanes;
            row[E] = op(op(_mm_load_ps(p), _mm_load_ps(p + 8)), op(_mm_load_ps(p + 4), _mm_load_ps(p + 12)));
        });
        const __m128 ab = op(_mm_movelh_ps(row[0], row[1]), _mm_movehl_ps(row[1], row[0]));
        const __m128 cd = op(_mm_movelh_ps(row[2], row[3]), _mm_movehl_ps(row[3], row[2]));
        r.part[Q] = op(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd));
    });
    return r;
}
#if XSIMD_WITH_AVX2
template <class A, class Op> TARN_INLINE pack<A> reduce_each(const float* packs, Op op, requires_arch<xsimd::avx2>) {
    const auto apply = [&](__m256 a, __m256 b) TARN_LAMBDA { return __m256(op(floats<A>(a), floats<A>(b))); };
    pack<A> r;
    unroll<2>([&](auto h) TARN_LAMBDA {
        constexpr int H = decltype(h)::value;
        __m256 row[4];
        // Register e holds rows e and e + 4, a quad each.
        unroll<4>([&](auto e) TARN_LAMBDA {
            constexpr int E = decltype(e)::value;
            const float* p = packs + (8 * H + E) * lanes;
            const float* q = p + 4 * lanes;
            const __m256 a = apply(_mm256_load_ps(p), _mm256_load_ps(p + 8));
            const __m256 b = apply(_mm256_load_ps(q), _mm256_load_ps(q + 8));
            row[E] = apply(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
        });
        const __m256 ab = apply(_mm256_shuffle_ps(row[0], row[1], 0x44), _mm256_shuffle_ps(row[0], row[1], 0xee));
        const __m256 cd = apply(_mm256_shuffle_ps(row[2], row[3], 0x44), _mm256_shuffle_ps(row[2], row[3], 0xee));
        r.part[H] = apply(_mm256_shuffle_ps(ab, cd, 0x88), _mm256_shuffle_ps(ab, cd, 0xdd));
    });
    return r;
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A, class Op> TARN_INLINE pack<A> reduce_each(const float* packs, Op op, requires_arch<xsimd::avx512f>) {
    const auto apply = [&](__m512 a, __m512 b) TARN_LAMBDA { return __m512(op(floats<A>(a), floats<A>(b))); };
    __m512 row[4];
    // Register e holds rows e, e + 4, e + 8 and e + 12, a quad each.
    unroll<4>([&](auto e) TARN_LAMBDA {
        constexpr int E = decltype(e)::value;
        __m512 pair[2];
        unroll<2>([&](auto h) TARN_LAMBDA {
            constexpr int H = decltype(h)::value;
            const __m512 a = _mm512_load_ps(packs + (E + 8 * H) * lanes);
            const __m512 b = _mm512_load_ps(packs + (E + 8 * H + 4) * lanes);
            pair[H] = apply(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
        });
        row[E] = apply(_mm512_shuffle_f32x4(pair[0], pair[1], 0x88), _mm512_shuffle_f32x4(pair[0], pair[1], 0xdd));
    });
    const __m512 ab = apply(_mm512_shuffle_ps(row[0], row[1], 0x44), _mm512_shuffle_ps(row[0], row[1], 0xee));
    const __m512 cd = apply(_mm512_shuffle_ps(row[2], row[3], 0x44), _mm512_shuffle_ps(row[2], row[3], 0xee));
    pack<A> r;
    r.part[0] = apply(_mm512_shuffle_ps(ab, cd, 0x88), _mm512_shuffle_ps(ab, cd, 0xdd));
    return r;
}
TARN_AVX512_END
#endif

// The lower and the upper half of a register as doubles, and back with one rounding.
template <class A> TARN_INLINE doubles<A> widen_low(floats<A> v, requires_arch<xsimd::sse2>) { return _mm_cvtps_pd(v); }
template <class A> TARN_INLINE doubles<A> widen_high(floats<A> v, requires_arch<xsimd::sse2>) {
    return _mm_cvtps_pd(_mm_movehl_ps(v, v));
}
template <class A> TARN_INLINE floats<A> narrow(doubles<A> low, doubles<A> high, requires_arch<xsimd::sse2>) {
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}
// d[0..3] hold eight lanes; lanes i and i + 4 first.
TARN_INLINE __m128d pair_of_eight(__m128d a, __m128d b, __m128d c, __m128d d) {
    return _mm_add_pd(_mm_add_pd(a, c), _mm_add_pd(b, d));
}
TARN_INLINE double total_of_pair(__m128d v) { return _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v))); }
template <class A> TARN_INLINE double total_of_eight(const doubles<A>* d, requires_arch<xsimd::sse2>) {
    return total_of_pair(pair_of_eight(d[0], d[1], d[2], d[3]));
}
// Totals of 16 rows of eight doubles.
template <class A> TARN_INLINE void totals_of_eight(const double* rows, double* totals, requires_arch<xsimd::sse2>) {
    const auto pair = [&](int r) TARN_LAMBDA {
        const double* p = rows + 8 * r;
        return pair_of_eight(_mm_load_pd(p), _mm_load_pd(p + 2), _mm_load_pd(p + 4), _mm_load_pd(p + 6));
    };
    for (int r = 0; r < 16; r += 2) {
        const __m128d a = pair(r);
        const __m128d b = pair(r + 1);
        _mm_store_pd(totals + r, _mm_add_pd(_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b)));
    }
}

#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE doubles<A> widen_low(floats<A> v, requires_arch<xsimd::avx2>) {
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}
template <class A> TARN_INLINE doubles<A> widen_high(floats<A> v, requires_arch<xsimd::avx2>) {
    return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}
template <class A> TARN_INLINE floats<A> narrow(doubles<A> low, doubles<A> high, requires_arch<xsimd::avx2>) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1);
}
template <class A> TARN_INLINE double total_of_eight(const doubles<A>* d, requires_arch<xsimd::avx2>) {
    const __m256d a = _mm256_add_pd(d[0], d[1]);
    return total_of_pair(_mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1)));
}
template <class A> TARN_INLINE void totals_of_eight(const double* rows, double* totals, requires_arch<xsimd::avx2>) {
    const auto four = [&](int r) TARN_LAMBDA {
        return _mm256_add_pd(_mm256_load_pd(rows + 8 * r), _mm256_load_pd(rows + 8 * r + 4));
    };
    const auto pairs = [&](int r) TARN_LAMBDA {
        const __m256d a = four(r);
        const __m256d b = four(r + 2);
        return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
    };
    for (int r = 0; r < 16; r += 4) {
        const __m256d even = pairs(r);
        const __m256d odd = pairs(r + 1);
        _mm256_store_pd(totals + r, _mm256_add_pd(_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd)));
    }
}
#endif

#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE doubles<A> widen_low(floats<A> v, requires_arch<xsimd::avx512f>) {
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}
template <class A> TARN_INLINE doubles<A> widen_high(floats<A> v, requires_arch<xsimd::avx512f>) {
    return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
}
template <class A> TARN_INLINE floats<A> narrow(doubles<A> low, doubles<A> high, requires_arch<xsimd::avx512f>) {
    const __m512d l = _mm512_castps_pd(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)));
    return _mm512_castpd_ps(_mm512_insertf64x4(l, _mm256_castps_pd(_mm512_cvtpd_ps(high)), 1));
}
template <class A> TARN_INLINE double total_of_eight(const doubles<A>* d, requires_arch<xsimd::avx512f>) {
    const __m256d a = _mm256_add_pd(_mm512_castpd512_pd256(d[0]), _mm512_extractf64x4_pd(d[0], 1));
    return total_of_pair(_mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1)));
}
template <class A> TARN_INLINE void totals_of_eight(const double* rows, double* totals, requires_arch<xsimd::avx512f>) {
    const auto fours = [&](int r) TARN_LAMBDA {
        const __m512d a = _mm512_load_pd(rows + 8 * r);
        const __m512d b = _mm512_load_pd(rows + 8 * (r + 2));
        return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x44), _mm512_shuffle_f64x2(a, b, 0xee));
    };
    const auto pairs = [&](int r) TARN_LAMBDA {
        const __m512d a = fours(r);
        const __m512d b = fours(r + 4);
        return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
    };
    for (int r = 0; r < 16; r += 8) {
        const __m512d even = pairs(r);
        const __m512d odd = pairs(r + 1);
        _mm512_store_pd(totals + r, _mm512_add_pd(_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd)));
    }
}
TARN_AVX512_END
#endif

} // namespace kernel

// Greatest lane; no lane may be NaN.
template <class A> TARN_INLINE float greatest(const pack<A>& v) { return kernel::reduce<A>(v, kernel::greatest_of{}); }

// The same for 16 packs that lie one after the other at a 64-byte boundary: lane r belongs to pack r.
template <class A> TARN_INLINE pack<A> greatests(const float* packs) {
    return kernel::reduce_each<A>(packs, kernel::greatest_of{}, A{});
}

// Rounded to float, a double times this is a unit or two below it.
constexpr double below_one = 1 - 0x1p-23;

// Sixteen doubles, lane by lane beside a pack: accumulators of sums.
template <class A> struct double_pack {
    static constexpr int width = static_cast<int>(doubles<A>::size);
    static constexpr int parts = lanes / width;
    doubles<A> part[parts];

    TARN_INLINE static double_pack broadcast(double v) {
        double_pack r;
        unroll<parts>([&](auto i) TARN_LAMBDA { r.part[decltype(i)::value] = doubles<A>(v); });
        return r;
    }
    TARN_INLINE static double_pack zero() { return broadcast(0.0); }
    TARN_INLINE static double_pack of(const pack<A>& v) {
        double_pack r;
        unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            r.part[2 * I] = kernel::widen_low<A>(v.part[I], A{});
            r.part[2 * I + 1] = kernel::widen_high<A>(v.part[I], A{});
        });
        return r;
    }
    // From and to 16 doubles at a 64-byte boundary.
    TARN_INLINE static double_pack load(const double* p) {
        double_pack r;
        unroll<parts>([&](auto i) TARN_LAMBDA {
            r.part[decltype(i)::value] = doubles<A>::load_aligned(p + decltype(i)::value * width);
        });
        return r;
    }
    TARN_INLINE void store(double* p) const {
        unroll<parts>([&](auto i)
                          TARN_LAMBDA { part[decltype(i)::value].store_aligned(p + decltype(i)::value * width); });
    }

    TARN_INLINE void add(const double_pack& v) {
        unroll<parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            part[I] = part[I] + v.part[I];
        });
    }
    TARN_INLINE void add(const pack<A>& v) { add(of(v)); }
    TARN_INLINE void multiply(const double_pack& v) {
        unroll<parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            part[I] = part[I] * v.part[I];
        });
    }
    TARN_INLINE void multiply(const pack<A>& v) { multiply(of(v)); }
    TARN_INLINE void multiply(double v) { multiply(broadcast(v)); }
    // Adds a * b, which is exact in double.
    TARN_INLINE void add_product(const pack<A>& a, const pack<A>& b) {
        const double_pack p = of(a);
        const double_pack q = of(b);
        unroll<parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            part[I] = fmadd<A>(p.part[I], q.part[I], part[I]);
        });
    }
    friend TARN_INLINE double_pack operator-(const double_pack& a, const double_pack& b) {
        double_pack r;
        unroll<parts>([&](auto i) TARN_LAMBDA {
            r.part[decltype(i)::value] = a.part[decltype(i)::value] - b.part[decltype(i)::value];
        });
        return r;
    }
    friend TARN_INLINE double_pack operator/(const double_pack& a, const double_pack& b) {
        double_pack r;
        unroll<parts>([&](auto i) TARN_LAMBDA {
            r.part[decltype(i)::value] = a.part[decltype(i)::value] / b.part[decltype(i)::value];
        });
        return r;
    }

    // Lanes i and i + 8 added: the first step of every total. Leaves parts / 2 registers of eight lanes.
    TARN_INLINE void fold(doubles<A>* eight) const {
        unroll<parts / 2>([&](auto i) TARN_LAMBDA {
            eight[decltype(i)::value] = part[decltype(i)::value] + part[decltype(i)::value + parts / 2];
        });
    }
    // Sum of the lanes: i and i + 8, then i + 4, i + 2, i + 1.
    TARN_INLINE double total() const {
        doubles<A> eight[parts / 2];
        fold(eight);
        return kernel::total_of_eight<A>(eight, A{});
    }
    TARN_INLINE void store_folded(double* p) const {
        doubles<A> eight[parts / 2];
        fold(eight);
        unroll<parts / 2>([&](auto i)
                              TARN_LAMBDA { eight[decltype(i)::value].store_aligned(p + decltype(i)::value * width); });
    }

    // Rounded to float.
    TARN_INLINE pack<A> to_floats() const {
        pack<A> r;
        unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            r.part[I] = kernel::narrow<A>(part[2 * I], part[2 * I + 1], A{});
        });
        return r;
    }
    // numerator / lane as the sum of two floats, low between 2^-24 and 2^-22 of high.
    TARN_INLINE void divide(double numerator, pack<A>& high, pack<A>& low) const {
        const double_pack quotient = broadcast(numerator) / *this;
        double_pack less;
        unroll<parts>([&](auto i) TARN_LAMBDA {
            less.part[decltype(i)::value] = quotient.part[decltype(i)::value] * doubles<A>(below_one);
        });
        high = less.to_floats();
        low = (quotient - of(high)).to_floats();
    }
};

// Totals of 16 rows left by store_folded, with the bits of double_pack::total().
template <class A> TARN_INLINE void totals_of_folded(const double* rows, double* totals) {
    kernel::totals_of_eight<A>(rows, totals, A{});
}

}}}} // namespace tarn::simd
