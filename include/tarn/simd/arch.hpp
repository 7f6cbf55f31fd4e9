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

// What kernels are templates on, under the name A: an instruction set and the type of the numbers that they work on,
// float or double. It derives from the instruction set, so it picks that one's overloads.
template <class Arch, class T> struct target : Arch {
    using arch = Arch;
    using number = T;
};

template <class A> using number = typename A::number;
template <class A> using floats = xsimd::batch<float, typename A::arch>;
template <class A> using doubles = xsimd::batch<double, typename A::arch>;
// A register of numbers.
template <class A> using numbers = xsimd::batch<number<A>, typename A::arch>;
// What comparing them gives.
template <class A> using float_mask = xsimd::batch_bool<float, typename A::arch>;
template <class A> using double_mask = xsimd::batch_bool<double, typename A::arch>;
template <class A> using mask = xsimd::batch_bool<number<A>, typename A::arch>;

template <class A> constexpr bool is_double = sizeof(number<A>) == 8;

// Numbers in a cache line: the width of everything that kernels do at once.
template <class A> constexpr int lanes = 64 / static_cast<int>(sizeof(number<A>));

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

template <class T> using tier_target = target<tier_arch, T>;

// A number known at compile time, as an argument: `unroll<4>([&](auto i) { ... decltype(i)::value ... })`.
template <int I> struct index { static constexpr int value = I; };

template <class F, int... I> TARN_INLINE void unroll(F& f, std::integer_sequence<int, I...>) { (f(index<I>{}), ...); }

template <int N, class F> TARN_INLINE void unroll(F f) { unroll(f, std::make_integer_sequence<int, N>{}); }

}}}} // namespace tarn::simd
