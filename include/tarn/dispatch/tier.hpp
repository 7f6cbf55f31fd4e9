// SPDX-License-Identifier: BSD-3-Clause
//
// The instruction-set tiers that kernels exist for, and which of them a call may use.
#pragma once

#include <tarn/config.hpp>

namespace tarn { inline namespace v0 {

// sse2: any x86-64. avx2: AVX2, FMA, BMI and F16C (x86-64-v3). avx512: AVX-512 F, CD, BW, DQ and VL (x86-64-v4).
enum class tier { sse2, avx2, avx512 };

namespace dispatch {

// How many of them, from the first, a build of tarn::dispatch has kernels for.
#if !defined(TARN_DISPATCH_TIERS)
#define TARN_DISPATCH_TIERS 3
#endif

constexpr const char* tier_names[] = {"sse2", "avx2", "avx512"};

// The best tier of this CPU that the operating system has enabled, capped by the environment variable TARN_MAX_ISA
// (sse2, avx2 or avx512). Found once per process. Part of the library tarn::dispatch.
tier detected_tier() noexcept;

} // namespace dispatch

inline namespace TARN_BACKEND {

// The best tier that a call of this file can use: with tarn::dispatch what the machine offers, header-only what the
// compiler flags allow.
TARN_INLINE tier best_tier() noexcept {
#if defined(TARN_DISPATCH)
    return dispatch::detected_tier();
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
    return tier::avx512;
#elif defined(__AVX2__) && defined(__FMA__)
    return tier::avx2;
#else
    return tier::sse2;
#endif
}

// Whether tarn::on(t) may be asked for: with tarn::dispatch every tier up to best_tier(), header-only best_tier()
// alone.
TARN_INLINE bool available(tier t) noexcept {
#if defined(TARN_DISPATCH)
    return t <= best_tier();
#else
    return t == best_tier();
#endif
}

} // namespace TARN_BACKEND
}} // namespace tarn
