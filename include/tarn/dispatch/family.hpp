// SPDX-License-Identifier: BSD-3-Clause
//
// What every family of operators repeats: tables of kernels for each tier and each type of numbers, and the functions
// that find them. A family has a template dispatch::<family>_table<T> and a template kernels::<family>_kernels<A> with
// a static table.
#pragma once

#include <tarn/dispatch/tier.hpp>

// The tables of the tier that the file is compiled for, in files of tarn::dispatch; elsewhere nothing.
#define TARN_DEFINE_TABLE_OF(family, name, T)                                                                          \
    namespace tarn { inline namespace v0 { namespace dispatch {                                                        \
    extern const family##_table<T> name;                                                                               \
    const family##_table<T> name = kernels::family##_kernels<simd::tier_target<T>>::table;                             \
    }}}
#if defined(TARN_KERNEL_TIER_sse2)
#define TARN_DEFINE_TABLES(family)                                                                                     \
    TARN_DEFINE_TABLE_OF(family, family##_of_float_sse2, float)                                                        \
    TARN_DEFINE_TABLE_OF(family, family##_of_double_sse2, double)
#elif defined(TARN_KERNEL_TIER_avx2)
#define TARN_DEFINE_TABLES(family)                                                                                     \
    TARN_DEFINE_TABLE_OF(family, family##_of_float_avx2, float)                                                        \
    TARN_DEFINE_TABLE_OF(family, family##_of_double_avx2, double)
#elif defined(TARN_KERNEL_TIER_avx512)
#define TARN_DEFINE_TABLES(family)                                                                                     \
    TARN_DEFINE_TABLE_OF(family, family##_of_float_avx512, float)                                                      \
    TARN_DEFINE_TABLE_OF(family, family##_of_double_avx512, double)
#else
#define TARN_DEFINE_TABLES(family)
#endif

// <family>_table_of<T>(tier). Once, in a file compiled for plain x86-64. A tier that the library is built without has
// the tables of the one before: it is never the detected tier.
#if TARN_DISPATCH_TIERS > 1
#define TARN_TABLES_OF_avx2(tables) tables##_avx2
#else
#define TARN_TABLES_OF_avx2(tables) tables##_sse2
#endif
#if TARN_DISPATCH_TIERS > 2
#define TARN_TABLES_OF_avx512(tables) tables##_avx512
#else
#define TARN_TABLES_OF_avx512(tables) TARN_TABLES_OF_avx2(tables)
#endif
#define TARN_DEFINE_LOOKUP_OF(family, tables, T)                                                                       \
    namespace tarn { inline namespace v0 { namespace dispatch {                                                        \
    extern const family##_table<T> tables##_sse2;                                                                      \
    extern const family##_table<T> tables##_avx2;                                                                      \
    extern const family##_table<T> tables##_avx512;                                                                    \
    template <> const family##_table<T>& family##_table_of<T>(tier t) noexcept {                                       \
        return t == tier::avx512 ? TARN_TABLES_OF_avx512(tables)                                                       \
               : t == tier::avx2 ? TARN_TABLES_OF_avx2(tables)                                                         \
                                 : tables##_sse2;                                                                      \
    }                                                                                                                  \
    }}}
#define TARN_DEFINE_LOOKUP(family)                                                                                     \
    TARN_DECLARE_LOOKUP(family)                                                                                        \
    TARN_DEFINE_LOOKUP_OF(family, family##_of_float, float)                                                            \
    TARN_DEFINE_LOOKUP_OF(family, family##_of_double, double)

#define TARN_DECLARE_LOOKUP(family)                                                                                    \
    namespace tarn { inline namespace v0 { namespace dispatch {                                                        \
    template <class T> const family##_table<T>& family##_table_of(tier t) noexcept;                                    \
    template <> const family##_table<float>& family##_table_of<float>(tier t) noexcept;                                \
    template <> const family##_table<double>& family##_table_of<double>(tier t) noexcept;                              \
    }}}

// shape::<family>_kernels_of<T>(tier): where operators find their kernels. Header-only it is the file's own table, of
// which only the types that are asked for are compiled.
#if defined(TARN_DISPATCH)
#define TARN_DEFINE_KERNELS_OF(family)                                                                                 \
    TARN_DECLARE_LOOKUP(family)                                                                                        \
    namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {                           \
    template <class T> TARN_INLINE const dispatch::family##_table<T>& family##_kernels_of(tier t) noexcept {           \
        return dispatch::family##_table_of<T>(t);                                                                      \
    }                                                                                                                  \
    }}}}
#else
#define TARN_DEFINE_KERNELS_OF(family)                                                                                 \
    namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {                           \
    template <class T> TARN_INLINE const dispatch::family##_table<T>& family##_kernels_of(tier) noexcept {             \
        return kernels::family##_kernels<simd::tier_target<T>>::table;                                                 \
    }                                                                                                                  \
    }}}}
#endif
