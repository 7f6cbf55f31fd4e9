// SPDX-License-Identifier: BSD-3-Clause
//
// The seam to xsimd: its version differences, the architecture of each tier, and compile-time loops.
#pragma once

#include <tarn/config.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

#include <xsimd/xsimd.hpp>

#if XSIMD_VERSION_MAJOR < 8 || (XSIMD_VERSION_MAJOR == 8 && XSIMD_VERSION_MINOR < 1)
#error "tarn needs xsimd 8.1 or newer"
#endif

// GCC 12 takes the deliberately undefined operands inside its own AVX-512 intrinsics for mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#define TARN_AVX512_BEGIN                                                                                              \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")                         \
        _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")
#define TARN_AVX512_END _Pragma("GCC diagnostic pop")
#else
#define TARN_AVX512_BEGIN
#define TARN_AVX512_END
#endif

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

template <class Arch> using requires_arch = xsimd::kernel::requires_arch<Arch>;
template <class Arch> using floats = xsimd::batch<float, Arch>;
template <class Arch> using doubles = xsimd::batch<double, Arch>;

// The architecture that kernels of this file are compiled for: one of three tiers, whatever finer name xsimd has for
// the flags. A tier's kernels give the same bits wherever they are compiled.
#if defined(TARN_KERNEL_TIER_sse2)
using tier_arch = xsimd::sse2;
#elif defined(TARN_KERNEL_TIER_avx2)
using tier_arch = xsimd::fma3<xsimd::avx2>;
#elif defined(TARN_KERNEL_TIER_avx512) ||                                                                              \
    (defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
using tier_arch = xsimd::avx512bw;
#elif defined(__AVX2__) && defined(__FMA__)
using tier_arch = xsimd::fma3<xsimd::avx2>;
#else
using tier_arch = xsimd::sse2;
#endif

static_assert(tier_arch::supported(), "the compiler flags of this file do not allow the tier's instructions");

// A number known at compile time, as an argument: `unroll<4>([&](auto i) { ... decltype(i)::value ... })`.
template <int I> struct index { static constexpr int value = I; };

template <class F, int... I> TARN_INLINE void unroll(F& f, std::integer_sequence<int, I...>) { (f(index<I>{}), ...); }

template <int N, class F> TARN_INLINE void unroll(F f) { unroll(f, std::make_integer_sequence<int, N>{}); }

}}}} // namespace tarn::simd
