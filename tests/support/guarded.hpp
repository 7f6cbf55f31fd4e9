// SPDX-License-Identifier: BSD-3-Clause
//
// Memory between pages that must not be touched, and a way to turn the fault into a test failure.
#pragma once

#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace support {

// Numbers that can be placed against the page before them or against the page after them.
template <class T> class guarded_numbers {
public:
    explicit guarded_numbers(std::ptrdiff_t most)
        : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
          inside_((static_cast<std::size_t>(most) * sizeof(T) + page_ - 1) / page_ * page_),
          memory_(static_cast<char*>(
              mmap(nullptr, inside_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
        if (memory_ == MAP_FAILED || mprotect(memory_ + page_, inside_, PROT_READ | PROT_WRITE) != 0)
            std::abort();
    }
    ~guarded_numbers() { munmap(memory_, inside_ + 2 * page_); }
    guarded_numbers(const guarded_numbers&) = delete;
    guarded_numbers& operator=(const guarded_numbers&) = delete;

    T* against_start() { return reinterpret_cast<T*>(memory_ + page_); }
    // n numbers that end where the page after them begins.
    T* against_end(std::ptrdiff_t n) { return reinterpret_cast<T*>(memory_ + page_ + inside_) - n; }

private:
    std::size_t page_, inside_;
    char* memory_;
};
using guarded_floats = guarded_numbers<float>;

namespace detail {
inline sigjmp_buf& jump_back() {
    static sigjmp_buf place;
    return place;
}
inline volatile std::uintptr_t fault_address;
} // namespace detail

// Runs f, code that may be left at any instruction. Returns what went wrong, or nothing.
template <class F> std::string fault_in(F f) {
    struct sigaction catcher = {};
    struct sigaction before_segv = {};
    struct sigaction before_bus = {};
    catcher.sa_flags = SA_SIGINFO;
    catcher.sa_sigaction = [](int, siginfo_t* info, void*) {
        detail::fault_address = reinterpret_cast<std::uintptr_t>(info->si_addr);
        siglongjmp(detail::jump_back(), 1);
    };
    sigaction(SIGSEGV, &catcher, &before_segv);
    sigaction(SIGBUS, &catcher, &before_bus);
    std::string result;
    if (sigsetjmp(detail::jump_back(), 1) == 0)
        f();
    else
        result = "fault at address " + std::to_string(detail::fault_address);
    sigaction(SIGSEGV, &before_segv, nullptr);
    sigaction(SIGBUS, &before_bus, nullptr);
    return result;
}

} // namespace support
