// SPDX-License-Identifier: BSD-3-Clause
//
// What every family of operators repeats: a table of kernels for each tier, and the function that finds them. A family has a
// struct <family>_table here and a template kernels::<family>_kernels<Arch> with a static table.
#pragma once

#include <tarn/dispatch/tier.hpp>

// The table of the tier that the file is compiled for, in files of tarn::dispatch; elsewhere nothing.
#define TARN_DEFINE_TABLE_OF(family, tier)                                                                             \
    namespace tarn { inline namespace v0 { namespace dispatch {                                                        \
    extern const family##_table family##_table_##tier;                                                                 \
    const family##_table family##_table_##tier = kernels::family##_kernels<simd::tier_arch>::table;                    \
    }}}
#if defined(TARN_KERNEL_TIER_sse2)
#define TARN_DEFINE_TABLE(family) TARN_DEFINE_TABLE_OF(family, sse2)
#elif defined(TARN_KERNEL_TIER_avx2)
#define TARN_DEFINE_TABLE(family) TARN_DEFINE_TABLE_OF(family, avx2)
#elif defined(TARN_KERNEL_TIER_avx512)
#define TARN_DEFINE_TABLE(family) TARN_DEFINE_TABLE_OF(family, avx512)
#else
#define TARN_DEFINE_TABLE(family)
#endif

// <family>_table_of(tier). Once, in a file compiled for plain x86-64.
#define TARN_DEFINE_LOOKUP(family)                                                                                     \
    namespace tarn { inline namespace v0 { namespace dispatch {                                                        \
    extern const family##_table family##_table_sse2;                                                                   \
    extern const family##_table family##_table_avx2;                                                                   \
    extern const family##_table family##_table_avx512;                                                                 \
    const family##_table& family##_table_of(tier t) noexcept {                                                         \
        return t == tier::avx512 ? family##_table_avx512                                                               \
               : t == tier::avx2 ? family##_table_avx2                                                                 \
                                 : family##_table_sse2;                                                                \
    }                                                                                                                  \
    }}}
