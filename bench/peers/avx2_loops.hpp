// SPDX-License-Identifier: BSD-3-Clause
//
// The textbook softmax, made well, whatever the exponential: greatest element; exponential, store and sum; scale. AVX2
// and FMA, several vectors in flight, several accumulators.
#pragma once

#include <harness/method.hpp>

#include <immintrin.h>
#include <limits>

namespace bench::peers { namespace {

constexpr std::ptrdiff_t width = 8;

// Lanes 0 to count - 1.
inline __m256i first_lanes(std::ptrdiff_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

template <class Reduce> float reduce(__m256 v, Reduce two) {
    __m128 half = two(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = two(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(two(half, _mm_movehdup_ps(half)));
}

inline float greatest_of(const float* x, std::ptrdiff_t n) {
    constexpr std::ptrdiff_t unroll = 8;
    const __m256 lowest = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
    __m256 top[unroll] = {lowest, lowest, lowest, lowest, lowest, lowest, lowest, lowest};
    std::ptrdiff_t i = 0;
    for (; i + unroll * width <= n; i += unroll * width) {
        for (std::ptrdiff_t k = 0; k < unroll; ++k) {
            top[k] = _mm256_max_ps(top[k], _mm256_loadu_ps(x + i + k * width));
        }
    }
    for (; i + width <= n; i += width) {
        top[0] = _mm256_max_ps(top[0], _mm256_loadu_ps(x + i));
    }
    if (i < n) {
        const __m256i lanes = first_lanes(n - i);
        const __m256 rest = _mm256_blendv_ps(lowest, _mm256_maskload_ps(x + i, lanes), _mm256_castsi256_ps(lanes));
        top[1] = _mm256_max_ps(top[1], rest);
    }
    for (std::ptrdiff_t step = unroll / 2; step > 0; step /= 2) {
        for (std::ptrdiff_t k = 0; k < step; ++k) {
            top[k] = _mm256_max_ps(top[k], top[k + step]);
        }
    }
    return reduce(top[0], [](__m128 a, __m128 b) { return _mm_max_ps(a, b); });
}

// y = exp(x - greatest); returns the sum of y.
template <class Exp> float store_exp(const float* x, float* y, std::ptrdiff_t n, float greatest, Exp exp) {
    constexpr std::ptrdiff_t unroll = 2; // 3, 4, 6 and 8 are 3 to 10 % slower on Zen 4
    const __m256 top = _mm256_set1_ps(greatest);
    __m256 sum[unroll] = {};
    std::ptrdiff_t i = 0;
    for (; i + unroll * width <= n; i += unroll * width) {
        for (std::ptrdiff_t k = 0; k < unroll; ++k) {
            const __m256 e = exp(_mm256_sub_ps(_mm256_loadu_ps(x + i + k * width), top));
            _mm256_storeu_ps(y + i + k * width, e);
            sum[k] = _mm256_add_ps(sum[k], e);
        }
    }
    for (; i + width <= n; i += width) {
        const __m256 e = exp(_mm256_sub_ps(_mm256_loadu_ps(x + i), top));
        _mm256_storeu_ps(y + i, e);
        sum[0] = _mm256_add_ps(sum[0], e);
    }
    if (i < n) {
        const __m256i lanes = first_lanes(n - i);
        const __m256 e = exp(_mm256_sub_ps(_mm256_maskload_ps(x + i, lanes), top));
        _mm256_maskstore_ps(y + i, lanes, e);
        sum[1] = _mm256_add_ps(sum[1], _mm256_and_ps(e, _mm256_castsi256_ps(lanes)));
    }
    return reduce(_mm256_add_ps(sum[0], sum[1]), [](__m128 a, __m128 b) { return _mm_add_ps(a, b); });
}

inline void scale(float* y, std::ptrdiff_t n, float factor) {
    constexpr std::ptrdiff_t unroll = 8;
    const __m256 f = _mm256_set1_ps(factor);
    std::ptrdiff_t i = 0;
    for (; i + unroll * width <= n; i += unroll * width) {
        for (std::ptrdiff_t k = 0; k < unroll; ++k) {
            _mm256_storeu_ps(y + i + k * width, _mm256_mul_ps(_mm256_loadu_ps(y + i + k * width), f));
        }
    }
    for (; i + width <= n; i += width) {
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), f));
    }
    if (i < n) {
        const __m256i lanes = first_lanes(n - i);
        _mm256_maskstore_ps(y + i, lanes, _mm256_mul_ps(_mm256_maskload_ps(y + i, lanes), f));
    }
}

// `exp` takes and returns a __m256; its argument is not above 0.
template <class Exp> method avx2_softmax(const problem& of, const char* name, role kind, Exp exp) {
    method result;
    result.name = name;
    result.kind = kind;
    result.tier = "avx2";
    if (of.axis == 0) {
        result.missing = "written for rows only";
    } else if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        result.missing = "this CPU has no AVX2 and FMA";
    } else {
        result.run = [of, exp](const operands& a) {
            for (std::ptrdiff_t row = 0; row < of.rows; ++row) {
                const float* x = a.floats.in[0] + row * of.columns;
                float* y = a.floats.out + row * of.columns;
                scale(y, of.columns, 1 / store_exp(x, y, of.columns, greatest_of(x, of.columns), exp));
            }
        };
    }
    return result;
}

}} // namespace bench::peers
