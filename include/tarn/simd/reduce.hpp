// SPDX-License-Identifier: BSD-3-Clause
//
// Reductions of packs in one fixed order: lanes i and i + 8 first, then i + 4, i + 2, i + 1. The order is part of the
// library's promise that a row has the same bits on AVX2 and AVX-512, alone or in a tile. Sums of floats are double,
// sums of doubles twice as exact: each with what its additions have lost.
#pragma once

#include <tarn/simd/pack.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

// Lane i becomes the greatest of the lanes congruent to i modulo 4.
template <class A> TARN_INLINE __m128 greatest_four(const pack<A>& v, requires_arch<xsimd::sse2>) {
    return _mm_max_ps(_mm_max_ps(v.part[0], v.part[2]), _mm_max_ps(v.part[1], v.part[3]));
}
#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE __m128 greatest_four(const pack<A>& v, requires_arch<xsimd::avx2>) {
    const __m256 a = _mm256_max_ps(v.part[0], v.part[1]);
    return _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE __m128 greatest_four(const pack<A>& v, requires_arch<xsimd::avx512f>) {
    const __m512 a = v.part[0];
    return _mm_max_ps(_mm_max_ps(_mm512_castps512_ps128(a), _mm512_extractf32x4_ps(a, 2)),
                      _mm_max_ps(_mm512_extractf32x4_ps(a, 1), _mm512_extractf32x4_ps(a, 3)));
}
TARN_AVX512_END
#endif

// Of 16 packs of floats stored one after the other: lane r of the result belongs to pack r.
template <class A> TARN_INLINE pack<A> greatest_of_each(const float* packs, requires_arch<xsimd::sse2>) {
    pack<A> r;
    unroll<4>([&](auto q) TARN_LAMBDA {
        constexpr int Q = decltype(q)::value;
        __m128 row[4];
        unroll<4>([&](auto e) TARN_LAMBDA {
            constexpr int E = decltype(e)::value;
            const float* p = packs + (4 * Q + E) * 16;
            row[E] = _mm_max_ps(_mm_max_ps(_mm_load_ps(p), _mm_load_ps(p + 8)),
                                _mm_max_ps(_mm_load_ps(p + 4), _mm_load_ps(p + 12)));
        });
        const __m128 ab = _mm_max_ps(_mm_movelh_ps(row[0], row[1]), _mm_movehl_ps(row[1], row[0]));
        const __m128 cd = _mm_max_ps(_mm_movelh_ps(row[2], row[3]), _mm_movehl_ps(row[3], row[2]));
        r.part[Q] = _mm_max_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd));
    });
    return r;
}
#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE pack<A> greatest_of_each(const float* packs, requires_arch<xsimd::avx2>) {
    pack<A> r;
    unroll<2>([&](auto h) TARN_LAMBDA {
        constexpr int H = decltype(h)::value;
        __m256 row[4];
        // Register e holds rows e and e + 4, four lanes each.
        unroll<4>([&](auto e) TARN_LAMBDA {
            constexpr int E = decltype(e)::value;
            const float* p = packs + (8 * H + E) * 16;
            const float* q = p + 4 * 16;
            const __m256 a = _mm256_max_ps(_mm256_load_ps(p), _mm256_load_ps(p + 8));
            const __m256 b = _mm256_max_ps(_mm256_load_ps(q), _mm256_load_ps(q + 8));
            row[E] = _mm256_max_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
        });
        const __m256 ab =
            _mm256_max_ps(_mm256_shuffle_ps(row[0], row[1], 0x44), _mm256_shuffle_ps(row[0], row[1], 0xee));
        const __m256 cd =
            _mm256_max_ps(_mm256_shuffle_ps(row[2], row[3], 0x44), _mm256_shuffle_ps(row[2], row[3], 0xee));
        r.part[H] = _mm256_max_ps(_mm256_shuffle_ps(ab, cd, 0x88), _mm256_shuffle_ps(ab, cd, 0xdd));
    });
    return r;
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
template <class A> TARN_INLINE pack<A> greatest_of_each(const float* packs, requires_arch<xsimd::avx512f>) {
    __m512 row[4];
    // Register e holds rows e, e + 4, e + 8 and e + 12, four lanes each.
    unroll<4>([&](auto e) TARN_LAMBDA {
        constexpr int E = decltype(e)::value;
        __m512 pair[2];
        unroll<2>([&](auto h) TARN_LAMBDA {
            constexpr int H = decltype(h)::value;
            const __m512 a = _mm512_load_ps(packs + (E + 8 * H) * 16);
            const __m512 b = _mm512_load_ps(packs + (E + 8 * H + 4) * 16);
            pair[H] = _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
        });
        row[E] =
            _mm512_max_ps(_mm512_shuffle_f32x4(pair[0], pair[1], 0x88), _mm512_shuffle_f32x4(pair[0], pair[1], 0xdd));
    });
    const __m512 ab = _mm512_max_ps(_mm512_shuffle_ps(row[0], row[1], 0x44), _mm512_shuffle_ps(row[0], row[1], 0xee));
    const __m512 cd = _mm512_max_ps(_mm512_shuffle_ps(row[2], row[3], 0x44), _mm512_shuffle_ps(row[2], row[3], 0xee));
    pack<A> r;
    r.part[0] = _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x88), _mm512_shuffle_ps(ab, cd, 0xdd));
    return r;
}
TARN_AVX512_END
#endif

// Of a line of doubles, two lanes.
TARN_INLINE __m128d greatest_two(const double* p) {
    return _mm_max_pd(_mm_max_pd(_mm_load_pd(p), _mm_load_pd(p + 4)),
                      _mm_max_pd(_mm_load_pd(p + 2), _mm_load_pd(p + 6)));
}
// The same of eight lines of doubles.
template <class A> TARN_INLINE pack<A> greatest_of_each(const double* lines, A) {
    alignas(64) double greatest[8];
    for (int r = 0; r < 8; r += 2) {
        const __m128d a = greatest_two(lines + 8 * r);
        const __m128d b = greatest_two(lines + 8 * (r + 1));
        _mm_store_pd(greatest + r, _mm_max_pd(_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b)));
    }
    return load<A>(greatest);
}

// The lower and the upper half of a register as doubles, and back with one rounding.
template <class A> TARN_INLINE doubles<A> widen_low(floats<A> v, requires_arch<xsimd::sse2>) { return _mm_cvtps_pd(v); }
template <class A> TARN_INLINE doubles<A> widen_high(floats<A> v, requires_arch<xsimd::sse2>) {
    return _mm_cvtps_pd(_mm_movehl_ps(v, v));
}
template <class A> TARN_INLINE floats<A> narrow(doubles<A> low, doubles<A> high, requires_arch<xsimd::sse2>) {
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
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
TARN_AVX512_END
#endif

} // namespace kernel

// Greatest lane; no lane may be NaN.
template <class A> TARN_INLINE number<A> greatest(const pack<A>& v) {
    if constexpr (is_double<A>) {
        alignas(64) double lane[lanes<A>];
        store<A>(lane, v);
        const __m128d two = kernel::greatest_two(lane);
        return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
    } else {
        const __m128 four = kernel::greatest_four<A>(v, A{});
        const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
    }
}

// The same for as many packs as a pack has lanes, one after the other at a 64-byte boundary: lane r belongs to pack r.
template <class A> TARN_INLINE pack<A> greatests(const number<A>* packs) {
    return kernel::greatest_of_each<A>(packs, A{});
}

// Rounded to a number, a double times this is one to five units below it.
template <class A> constexpr double below_one = is_double<A> ? 1 - 0x1p-51 : 1 - 0x1p-23;

// Doubles, lane by lane beside a pack.
template <class A> struct double_pack {
    static constexpr int width = static_cast<int>(doubles<A>::size);
    static constexpr int parts = lanes<A> / width;
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
            if constexpr (is_double<A>) {
                r.part[I] = v.part[I];
            } else {
                r.part[2 * I] = kernel::widen_low<A>(v.part[I], A{});
                r.part[2 * I + 1] = kernel::widen_high<A>(v.part[I], A{});
            }
        });
        return r;
    }
    // From and to doubles at a 64-byte boundary.
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
    TARN_INLINE void multiply(const double_pack& v) {
        unroll<parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            part[I] = part[I] * v.part[I];
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

    // Rounded to the type of the numbers.
    TARN_INLINE pack<A> to_numbers() const {
        pack<A> r;
        unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            if constexpr (is_double<A>)
                r.part[I] = part[I];
            else
                r.part[I] = kernel::narrow<A>(part[2 * I], part[2 * I + 1], A{});
        });
        return r;
    }
};

}}}} // namespace tarn::simd
