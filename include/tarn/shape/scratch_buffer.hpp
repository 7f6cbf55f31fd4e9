// SPDX-License-Identifier: BSD-3-Clause
//
// The memory behind kernels that need a buffer: lent by the caller, or one buffer per thread made at first use.
#pragma once

#include <tarn/where.hpp>

#include <cstdint>
#include <cstdlib>
#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// Numbers at a 64-byte boundary; null if there are none.
template <class T> struct number_buffer {
    T* data;
    std::ptrdiff_t size;
};

// A thread's own buffer. Grows to what is asked for, up to a limit, and is released when the thread ends. Null when
// memory is short: kernels can do without.
class thread_buffer {
public:
    static constexpr std::ptrdiff_t limit = 4 * 1024 * 1024;

    template <class T> static number_buffer<T> of_thread(std::ptrdiff_t numbers) noexcept {
        constexpr auto size = static_cast<std::ptrdiff_t>(sizeof(T));
        thread_buffer* const buffer = grown_to((numbers * size + 63) / 64 * 64);
        if (!buffer)
            return {nullptr, 0};
        return {static_cast<T*>(buffer->data_), buffer->bytes_ / size};
    }
    thread_buffer(const thread_buffer&) = delete;
    thread_buffer& operator=(const thread_buffer&) = delete;

private:
    // The buffer of this thread, if it has so many bytes.
    static thread_buffer* grown_to(std::ptrdiff_t bytes) noexcept {
        if (bytes > limit || gone())
            return nullptr;
        static thread_local thread_buffer buffer;
        if (bytes > buffer.bytes_) {
            std::free(buffer.data_);
            buffer.data_ = std::aligned_alloc(64, static_cast<std::size_t>(bytes));
            buffer.bytes_ = buffer.data_ ? bytes : 0;
        }
        return buffer.data_ ? &buffer : nullptr;
    }
    thread_buffer() = default;
    ~thread_buffer() {
        std::free(data_);
        gone() = true;
    }
    // Destructors of other objects may still call the library. Not a member: compilers drop what a destructor writes
    // into its own object.
    static bool& gone() noexcept {
        static thread_local bool value = false;
        return value;
    }

    void* data_ = nullptr;
    std::ptrdiff_t bytes_ = 0;
};

// The buffer for a call on `where` that could use so many numbers.
template <class T, class Executor>
number_buffer<T> buffer_for(const place<Executor>& where, std::ptrdiff_t numbers) noexcept {
    if (numbers == 0)
        return {nullptr, 0};
    if (!where.lends_scratch)
        return thread_buffer::of_thread<T>(numbers);
    if (!std::is_same<std::remove_cv_t<Executor>, serial_executor>::value)
        return {nullptr, 0};
    const auto address = reinterpret_cast<std::uintptr_t>(where.memory.data);
    const auto skip = static_cast<std::ptrdiff_t>((64 - address % 64) % 64);
    constexpr auto size = static_cast<std::ptrdiff_t>(sizeof(T));
    if (!where.memory.data || where.memory.bytes < skip + numbers * size)
        return {nullptr, 0};
    return {reinterpret_cast<T*>(static_cast<char*>(where.memory.data) + skip), (where.memory.bytes - skip) / size};
}

}}}} // namespace tarn::shape
