// SPDX-License-Identifier: BSD-3-Clause
//
// The accumulators behind every sum over a row, one for each lane of a pack, and their totals. Sums of floats are
// double. Sums of doubles are kept with what every addition has lost, so they are exact to about 2^-104.
#pragma once

#include <tarn/simd/reduce.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

// What a sum of doubles comes to: high + low, high the sum rounded.
struct exact_sum {
    double high, low;
    TARN_INLINE operator double() const { return high; }
};
template <class A> using row_total = std::conditional_t<is_double<A>, exact_sum, double>;

// What an addition has lost is forgotten if the sum is greater by this: it could meet nothing but denormal numbers.
constexpr double forgotten = 0x1p200;

// The same order of additions wherever a total is put together from totals.
TARN_INLINE exact_sum rounded_sum(double high, double low) {
    const double sum = high + low;
    const double lost = low - (sum - high);
    return {sum, (lost < 0 ? -lost : lost) * forgotten < sum ? 0.0 : lost};
}
TARN_INLINE void add_total(double& sum, double v) { sum += v; }
TARN_INLINE void add_total(exact_sum& sum, const exact_sum& v) {
    const double high = sum.high + v.high;
    const double v_rounded = high - sum.high;
    const double lost = (sum.high - (high - v_rounded)) + (v.high - v_rounded);
    sum = rounded_sum(high, (sum.low + v.low) + lost);
}
// By a power of two.
TARN_INLINE void scale_total(double& sum, double v) { sum *= v; }
TARN_INLINE void scale_total(exact_sum& sum, double v) {
    // Beside another total that is nothing, and its low part would be denormal.
    if (v < 0x1p-400)
        sum = {0.0, 0.0};
    else
        sum = {sum.high * v, sum.low * v};
}
// total - part of it, nothing lost where they are close.
TARN_INLINE double total_less(double total, double part) { return total - part; }
TARN_INLINE double total_less(const exact_sum& total, double part) { return (total.high - part) + total.low; }

namespace kernel {

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

// Two lanes of an exact sum.
struct exact_two {
    __m128d high, low;

    TARN_INLINE friend exact_two operator+(const exact_two& a, const exact_two& b) {
        const __m128d sum = _mm_add_pd(a.high, b.high);
        const __m128d b_rounded = _mm_sub_pd(sum, a.high);
        const __m128d lost = _mm_add_pd(_mm_sub_pd(a.high, _mm_sub_pd(sum, b_rounded)), _mm_sub_pd(b.high, b_rounded));
        return {sum, _mm_add_pd(_mm_add_pd(a.low, b.low), lost)};
    }
    TARN_INLINE exact_two rounded() const {
        const __m128d sum = _mm_add_pd(high, low);
        const __m128d lost = _mm_sub_pd(low, _mm_sub_pd(sum, high));
        const __m128d size = _mm_mul_pd(_mm_andnot_pd(_mm_set1_pd(-0.0), lost), _mm_set1_pd(forgotten));
        return {sum, _mm_and_pd(_mm_cmpnlt_pd(size, sum), lost)};
    }
};

} // namespace kernel

// Sixteen sums of floats.
template <class A> struct float_sums {
    double_pack<A> lane;

    // What a pack of them takes in memory.
    static constexpr int stored = lanes<A>;

    TARN_INLINE static float_sums zero() { return {double_pack<A>::zero()}; }
    TARN_INLINE static float_sums of(const pack<A>& v) { return {double_pack<A>::of(v)}; }
    TARN_INLINE static float_sums load(const double* p) { return {double_pack<A>::load(p)}; }
    TARN_INLINE void store(double* p) const { lane.store(p); }

    TARN_INLINE void add(const float_sums& v) { lane.add(v.lane); }
    TARN_INLINE void add(const pack<A>& v) { lane.add(double_pack<A>::of(v)); }
    // a * b is exact.
    TARN_INLINE void add_product(const pack<A>& a, const pack<A>& b) {
        const auto p = double_pack<A>::of(a);
        const auto q = double_pack<A>::of(b);
        unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            lane.part[I] = fmadd<A>(p.part[I], q.part[I], lane.part[I]);
        });
    }
    // By powers of two.
    TARN_INLINE void multiply(const pack<A>& v) { lane.multiply(double_pack<A>::of(v)); }
    TARN_INLINE void multiply(double v) { lane.multiply(double_pack<A>::broadcast(v)); }

    // Sum of the lanes: i and i + 8, then i + 4, i + 2, i + 1.
    TARN_INLINE double total() const {
        doubles<A> eight[double_pack<A>::parts / 2];
        fold(eight);
        return kernel::total_of_eight<A>(eight, A{});
    }
    // Lanes i and i + 8 added, to eight doubles at a 64-byte boundary.
    TARN_INLINE void store_folded(double* p) const {
        constexpr int width = double_pack<A>::width;
        doubles<A> eight[double_pack<A>::parts / 2];
        fold(eight);
        unroll<double_pack<A>::parts / 2>(
            [&](auto i) TARN_LAMBDA { eight[decltype(i)::value].store_aligned(p + decltype(i)::value * width); });
    }

private:
    TARN_INLINE void fold(doubles<A>* eight) const {
        constexpr int half = double_pack<A>::parts / 2;
        unroll<half>([&](auto i) TARN_LAMBDA {
            eight[decltype(i)::value] = lane.part[decltype(i)::value] + lane.part[decltype(i)::value + half];
        });
    }
};

// Eight sums of doubles.
template <class A> struct double_sums {
    double_pack<A> high, low;

    static constexpr int stored = 2 * lanes<A>;

    TARN_INLINE static double_sums zero() { return {double_pack<A>::zero(), double_pack<A>::zero()}; }
    TARN_INLINE static double_sums of(const pack<A>& v) { return {double_pack<A>::of(v), double_pack<A>::zero()}; }
    TARN_INLINE static double_sums load(const double* p) {
        return {double_pack<A>::load(p), double_pack<A>::load(p + lanes<A>)};
    }
    TARN_INLINE void store(double* p) const {
        high.store(p);
        low.store(p + lanes<A>);
    }

    TARN_INLINE void add(const double_sums& v) {
        double_pack<A> rest = low;
        rest.add(v.low);
        unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            add_exactly<A>(high.part[I], rest.part[I], v.high.part[I]);
        });
        low = rest;
    }
    TARN_INLINE void add(const pack<A>& v) {
        unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            add_exactly<A>(high.part[I], low.part[I], v.part[I]);
        });
    }
    TARN_INLINE void add_product(const pack<A>& a, const pack<A>& b) {
        unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            const doubles<A> product = a.part[I] * b.part[I];
            add_exactly<A>(high.part[I], low.part[I], product);
        });
    }
    // By powers of two, 0 or 2^-400 to 1: what is tiny already must not become denormal.
    TARN_INLINE void multiply(const pack<A>& v) {
        const auto scaled = [&](doubles<A> d, doubles<A> power) TARN_LAMBDA {
            return simd::select<A>(xsimd::abs(d) < doubles<A>(0x1p-500), doubles<A>(0.0), d) * power;
        };
        unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            high.part[I] = scaled(high.part[I], v.part[I]);
            low.part[I] = scaled(low.part[I], v.part[I]);
        });
    }
    TARN_INLINE void multiply(double v) { multiply(broadcast<A>(v < 0x1p-400 ? 0.0 : v)); }

    // Lanes i and i + 4, then i + 2, i + 1.
    TARN_INLINE exact_sum total() const {
        alignas(64) double four[lanes<A>];
        store_folded(four);
        return total_of_four(four);
    }
    // Lanes i and i + 4 added, four sums and what they have lost, to eight doubles at a 64-byte boundary.
    TARN_INLINE void store_folded(double* p) const {
        alignas(64) double lane[stored];
        store(lane);
        for (int i = 0; i < 4; i += 2) {
            const kernel::exact_two sum = two(lane, i) + two(lane, i + 4);
            _mm_store_pd(p + i, sum.high);
            _mm_store_pd(p + i + 4, sum.low);
        }
    }
    TARN_INLINE static exact_sum total_of_four(const double* four) {
        const kernel::exact_two sum = total_two(four);
        const kernel::exact_two other = {_mm_unpackhi_pd(sum.high, sum.high), _mm_unpackhi_pd(sum.low, sum.low)};
        const kernel::exact_two total = (sum + other).rounded();
        return {_mm_cvtsd_f64(total.high), _mm_cvtsd_f64(total.low)};
    }
    // The totals of two rows left by store_folded, one after the other.
    TARN_INLINE static void totals_of_two(const double* rows, double* totals, double* lows) {
        const kernel::exact_two a = total_two(rows);
        const kernel::exact_two b = total_two(rows + 8);
        const kernel::exact_two even = {_mm_unpacklo_pd(a.high, b.high), _mm_unpacklo_pd(a.low, b.low)};
        const kernel::exact_two odd = {_mm_unpackhi_pd(a.high, b.high), _mm_unpackhi_pd(a.low, b.low)};
        const kernel::exact_two sum = (even + odd).rounded();
        _mm_store_pd(totals, sum.high);
        _mm_store_pd(lows, sum.low);
    }

private:
    TARN_INLINE static kernel::exact_two two(const double* lane, int i) {
        return {_mm_load_pd(lane + i), _mm_load_pd(lane + lanes<A> + i)};
    }
    TARN_INLINE static kernel::exact_two total_two(const double* four) {
        return kernel::exact_two{_mm_load_pd(four), _mm_load_pd(four + 4)} +
               kernel::exact_two{_mm_load_pd(four + 2), _mm_load_pd(four + 6)};
    }
};

// numerator / (total + lost) as the sum of two doubles, low one to five units in the last place of high.
template <class A>
TARN_INLINE void divide_exactly(doubles<A> numerator, doubles<A> total, doubles<A> lost, doubles<A>& high,
                                doubles<A>& low) {
    high = numerator / total * doubles<A>(below_one<A>);
    const doubles<A> excess = fmadd<A>(high, lost, simd::product_error<A>(high, total, numerator));
    low = doubles<A>(0.0) - excess / total;
}

template <class A> using sum_pack = std::conditional_t<is_double<A>, double_sums<A>, float_sums<A>>;

// The totals of N rows side by side.
template <class A, int N> struct row_totals {
    alignas(64) double high[N];
    alignas(64) double low[is_double<A> ? N : 1];

    TARN_INLINE row_total<A> operator[](int i) const {
        if constexpr (is_double<A>)
            return {high[i], low[i]};
        else
            return high[i];
    }
    TARN_INLINE void set(int i, const row_total<A>& v) {
        high[i] = v;
        if constexpr (is_double<A>)
            low[i] = v.low;
    }
    TARN_INLINE void clear() {
        for (int i = 0; i < N; ++i)
            set(i, {});
    }
    // Adds to the totals from `first` on, one for each lane of a pack: sums that need no folding.
    TARN_INLINE void add(int first, const sum_pack<A>& sums) {
        alignas(64) double lane[sum_pack<A>::stored];
        sums.store(lane);
        for (int i = 0; i < lanes<A>; ++i) {
            row_total<A> sum = (*this)[first + i];
            if constexpr (is_double<A>)
                add_total(sum, rounded_sum(lane[i], lane[lanes<A> + i]));
            else
                add_total(sum, lane[i]);
            set(first + i, sum);
        }
    }
    // As many rows as a pack has lanes, left by sum_pack::store_folded eight doubles apart.
    TARN_INLINE void assign_folded(const double* rows) {
        if constexpr (is_double<A>) {
            for (int r = 0; r < lanes<A>; r += 2)
                double_sums<A>::totals_of_two(rows + 8 * r, high + r, low + r);
        } else {
            kernel::totals_of_eight<A>(rows, high, A{});
        }
    }

    TARN_INLINE double_pack<A> rounded(int first) const { return double_pack<A>::load(high + first); }
    // The totals less a part of each.
    TARN_INLINE double_pack<A> less(int first, const double_pack<A>& part) const {
        auto r = rounded(first) - part;
        if constexpr (is_double<A>)
            r.add(double_pack<A>::load(low + first));
        return r;
    }
    // numerator / total as the sum of two numbers, low one to five units in the last place of high.
    TARN_INLINE void divide(double numerator, pack<A>& inverse, pack<A>& inverse_low) const {
        const auto total = rounded(0);
        const auto numerators = double_pack<A>::broadcast(numerator);
        if constexpr (is_double<A>) {
            const auto lost = double_pack<A>::load(low);
            unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
                constexpr int I = decltype(i)::value;
                divide_exactly<A>(numerators.part[I], total.part[I], lost.part[I], inverse.part[I],
                                  inverse_low.part[I]);
            });
        } else {
            const auto quotient = numerators / total;
            auto less = quotient;
            less.multiply(double_pack<A>::broadcast(below_one<A>));
            inverse = less.to_numbers();
            inverse_low = (quotient - double_pack<A>::of(inverse)).to_numbers();
        }
    }
};

}}}} // namespace tarn::simd
