// SPDX-License-Identifier: BSD-3-Clause
//
// How much stack a function takes: it runs in a thread with a painted stack, and what has lost its paint was used.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <sys/mman.h>

namespace support {

constexpr std::size_t stack_bytes = 1024 * 1024;
constexpr char paint = 0x5a;

// Bytes of stack that f uses, those of its callers not counted.
template <class F> std::ptrdiff_t stack_of(F f) {
    struct job {
        F* f;
        char* frame;
    } work{&f, nullptr};
    char* const stack = static_cast<char*>(
        mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0));
    if (stack == MAP_FAILED)
        std::abort();
    std::memset(stack, paint, stack_bytes);
    pthread_attr_t attributes;
    pthread_t thread;
    const auto run = [](void* argument) -> void* {
        job& j = *static_cast<job*>(argument);
        j.frame = static_cast<char*>(__builtin_frame_address(0));
        (*j.f)();
        return nullptr;
    };
    if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstack(&attributes, stack, stack_bytes) != 0 ||
        pthread_create(&thread, &attributes, run, &work) != 0 || pthread_join(thread, nullptr) != 0)
        std::abort();
    pthread_attr_destroy(&attributes);
    const char* const lowest = std::find_if(stack, work.frame, [](char c) { return c != paint; });
    const std::ptrdiff_t used = work.frame - lowest;
    munmap(stack, stack_bytes);
    return used;
}

} // namespace support
