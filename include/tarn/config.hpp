// SPDX-License-Identifier: BSD-3-Clause
//
// Compiler checks, inlining, and the name of the namespace that keeps code of different modes and instruction sets
// apart.
#pragma once

#include <tarn/version.hpp>

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "tarn needs C++17 or newer"
#endif
#if !defined(__GNUC__)
#error "tarn needs GCC 12, Clang 14 or newer"
#endif
#if !defined(__x86_64__)
#error "tarn has kernels for x86-64 only"
#endif

#define TARN_INLINE inline __attribute__((always_inline))
#define TARN_NOINLINE __attribute__((noinline))
// For lambdas: `[&](auto i) TARN_LAMBDA { ... }`.
#define TARN_LAMBDA __attribute__((always_inline))

#if defined(__cpp_exceptions)
#define TARN_HAS_EXCEPTIONS 1
#else
#define TARN_HAS_EXCEPTIONS 0
#endif

// A function compiled for AVX-512 must never stand in for the same function compiled for SSE2, and a copy compiled at
// -O0 never for a kernel of the dispatch library. The linker merges functions by name, so the name says which is which:
// everything that emits a symbol lives in the inline namespace TARN_BACKEND, made of the mode, the instruction set, and
// the flags of the file that change what code means.
#if defined(__AVX512FP16__)
#define TARN_ISA_NAME avx512fp16
#elif defined(__AVX512BF16__)
#define TARN_ISA_NAME avx512bf16
#elif defined(__AVX512VBMI2__)
#define TARN_ISA_NAME avx512vbmi2
#elif defined(__AVX512VNNI__)
#define TARN_ISA_NAME avx512vnni
#elif defined(__AVX512BW__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define TARN_ISA_NAME avx512
#elif defined(__AVX512F__)
#define TARN_ISA_NAME avx512f
#elif defined(__AVXVNNI__)
#define TARN_ISA_NAME avxvnni
#elif defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__)
#define TARN_ISA_NAME avx2_bmi2
#elif defined(__AVX2__) && defined(__FMA__)
#define TARN_ISA_NAME avx2
#elif defined(__AVX2__)
#define TARN_ISA_NAME avx2_only
#elif defined(__AVX__)
#define TARN_ISA_NAME avx
#elif defined(__SSE4_2__)
#define TARN_ISA_NAME sse4_2
#elif defined(__SSE4_1__)
#define TARN_ISA_NAME sse4_1
#elif defined(__SSSE3__)
#define TARN_ISA_NAME ssse3
#elif defined(__SSE3__)
#define TARN_ISA_NAME sse3
#else
#define TARN_ISA_NAME sse2
#endif

#if defined(TARN_KERNEL_TIER_sse2) || defined(TARN_KERNEL_TIER_avx2) || defined(TARN_KERNEL_TIER_avx512)
#define TARN_MODE_NAME dispatch_kernels_
#elif defined(TARN_DISPATCH)
#define TARN_MODE_NAME dispatch_
#else
#define TARN_MODE_NAME header_only_
#endif

// Without exceptions errors abort, and with fast-math comparisons with NaN may be left out: code of its own as well.
#if TARN_HAS_EXCEPTIONS
#define TARN_ERRORS_NAME
#else
#define TARN_ERRORS_NAME _aborting
#endif
#if defined(__FAST_MATH__) || (__FINITE_MATH_ONLY__ + 0) || defined(__ASSOCIATIVE_MATH__)
#define TARN_MATH_NAME _fast_math
#else
#define TARN_MATH_NAME
#endif

// 1: while softmax, its logarithms, SoftPool, adaPool and their gradients run, what is denormal counts as 0, and so do
// results (MXCSR's bits for it are set, and put back). 0: MXCSR is not written; gradients and results of pooling may be
// denormal, and on CPUs of Intel rows of denormal numbers take 50 times as long.
#if !defined(TARN_ZERO_DENORMALS)
#define TARN_ZERO_DENORMALS 1
#endif
#if TARN_ZERO_DENORMALS
#define TARN_DENORMALS_NAME
#else
#define TARN_DENORMALS_NAME _denormals
#endif

#define TARN_PASTE_5(a, b, c, d, e) a##b##c##d##e
#define TARN_PASTE(a, b, c, d, e) TARN_PASTE_5(a, b, c, d, e)
#define TARN_BACKEND TARN_PASTE(TARN_MODE_NAME, TARN_ISA_NAME, TARN_ERRORS_NAME, TARN_MATH_NAME, TARN_DENORMALS_NAME)

// Kernels rely on NaN, on infinities and on the order of every addition. Files that only call tarn::dispatch may use
// any flags, since their kernels are compiled elsewhere.
#if !defined(TARN_DISPATCH) && !defined(TARN_ALLOW_FAST_MATH) &&                                                       \
    (defined(__FAST_MATH__) || (__FINITE_MATH_ONLY__ + 0) || defined(__ASSOCIATIVE_MATH__))
#error                                                                                                                 \
    "tarn's kernels need NaN, infinity and the order of their additions: compile this file without -ffast-math, -ffinite-math-only and -fassociative-math, or link tarn::dispatch, or define TARN_ALLOW_FAST_MATH and lose the promises on special values and accuracy"
#endif

// Results go around the caches by themselves (stores::automatic) when a call reads and writes more than this many
// bytes: the share of the last-level cache that its reader is likely to find again.
#if !defined(TARN_STREAMING_BYTES)
#define TARN_STREAMING_BYTES (64 * 1024 * 1024)
#endif
