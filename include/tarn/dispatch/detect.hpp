// SPDX-License-Identifier: BSD-3-Clause
//
// Which tier this machine can run. Included once, by a file of tarn::dispatch compiled for plain x86-64.
//
// A tier counts only if every feature is there that the compiler may use for it (-march=x86-64-v3 or -v4), and if the
// operating system saves the registers (XCR0): a CPU may have AVX that the system has not enabled.
#pragma once

#include <tarn/dispatch/tier.hpp>

#include <atomic>
#include <cpuid.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tarn { inline namespace v0 { namespace dispatch {

namespace detail {

struct cpu_leaf {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    cpu_leaf(unsigned leaf, unsigned subleaf) noexcept {
        if (!__get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx))
            eax = ebx = ecx = edx = 0;
    }
};

inline bool has_bits(unsigned value, unsigned mask) noexcept { return (value & mask) == mask; }

// The state components that the operating system has enabled: 2 XMM, 4 YMM, 0xe0 mask and ZMM registers.
inline unsigned enabled_state() noexcept {
    unsigned low = 0;
    unsigned high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

inline tier tier_of_machine() noexcept {
    const cpu_leaf basic(1, 0);
    const cpu_leaf extended(0x80000001u, 0);
    const cpu_leaf features(7, 0);
    constexpr unsigned osxsave = 1u << 27;
    // FMA, SSSE3, SSE4.1, SSE4.2, MOVBE, POPCNT, XSAVE, AVX, F16C and SSE3, CMPXCHG16B
    constexpr unsigned v3_basic = 1u << 12 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 26 | 1u << 28 |
                                  1u << 29 | 1u << 0 | 1u << 13;
    constexpr unsigned v3_extended = 1u << 5 | 1u << 0;                                    // LZCNT, LAHF
    constexpr unsigned v3_features = 1u << 3 | 1u << 5 | 1u << 8;                          // BMI1, AVX2, BMI2
    constexpr unsigned v4_features = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; // F, DQ, CD, BW, VL
    if (!has_bits(basic.ecx, osxsave | v3_basic) || !has_bits(extended.ecx, v3_extended) ||
        !has_bits(features.ebx, v3_features) || !has_bits(enabled_state(), 0x6))
        return tier::sse2;
    if (!has_bits(features.ebx, v4_features) || !has_bits(enabled_state(), 0xe6))
        return tier::avx2;
    return tier::avx512;
}

// The cap set by the user. A word that is no tier is reported, since a silent one would be taken for obeyed.
inline tier tier_allowed() noexcept {
    const char* name = std::getenv("TARN_MAX_ISA");
    if (!name || !*name)
        return tier::avx512;
    for (int t = 0; t < 3; ++t) {
        if (std::strcmp(name, tier_names[t]) == 0)
            return static_cast<tier>(t);
    }
    std::fprintf(stderr, "tarn: TARN_MAX_ISA is \"%s\", expected sse2, avx2 or avx512: ignored\n", name);
    return tier::avx512;
}

} // namespace detail

tier detected_tier() noexcept {
    static std::atomic<int> known{-1};
    int t = known.load(std::memory_order_relaxed);
    if (t < 0) {
        const int machine = static_cast<int>(detail::tier_of_machine());
        const int allowed = static_cast<int>(detail::tier_allowed());
        constexpr int built = TARN_DISPATCH_TIERS - 1;
        t = machine < allowed ? machine : allowed;
        t = t < built ? t : built;
        known.store(t, std::memory_order_relaxed);
    }
    return static_cast<tier>(t);
}

}}} // namespace tarn::dispatch
