// SPDX-License-Identifier: BSD-3-Clause
//
// Counts every allocation of the program: this header replaces the whole malloc family, so it belongs into one file of
// an executable. With a sanitizer, which owns malloc, nothing is counted.
#pragma once

#include "support/tiers.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <xmmintrin.h> // clang declares posix_memalign there, without noexcept if nobody has before

namespace support {

inline std::atomic<long> allocations{0};
inline std::atomic<long> buffers{0};           // of them, those by aligned_alloc: the library's own
inline std::atomic<bool> out_of_memory{false}; // aligned_alloc fails
constexpr bool counts_allocations = !sanitized;

inline void* counted(void* p) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    return p;
}

// Allocations while f runs.
struct allocation_count {
    long all, buffers;
};
template <class F> allocation_count allocations_in(F f) {
    const allocation_count before{allocations, buffers};
    f();
    return {allocations - before.all, buffers - before.buffers};
}

} // namespace support

#if !defined(__SANITIZE_ADDRESS__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TARN_TEST_SANITIZER_OWNS_MALLOC 1
#endif
#endif
#if !defined(TARN_TEST_SANITIZER_OWNS_MALLOC)
extern "C" {
void* __libc_malloc(std::size_t) noexcept;
void* __libc_calloc(std::size_t, std::size_t) noexcept;
void* __libc_realloc(void*, std::size_t) noexcept;
void* __libc_memalign(std::size_t, std::size_t) noexcept;

void* malloc(std::size_t n) noexcept { return support::counted(__libc_malloc(n)); }
void* calloc(std::size_t n, std::size_t m) noexcept { return support::counted(__libc_calloc(n, m)); }
void* realloc(void* p, std::size_t n) noexcept { return support::counted(__libc_realloc(p, n)); }
void* memalign(std::size_t a, std::size_t n) noexcept { return support::counted(__libc_memalign(a, n)); }
void* aligned_alloc(std::size_t a, std::size_t n) noexcept {
    support::buffers.fetch_add(1, std::memory_order_relaxed);
    return support::counted(support::out_of_memory ? nullptr : __libc_memalign(a, n));
}
int posix_memalign(void** p, std::size_t a, std::size_t n) noexcept {
    *p = support::counted(__libc_memalign(a, n));
    return *p ? 0 : ENOMEM;
}
}
#endif
#endif
