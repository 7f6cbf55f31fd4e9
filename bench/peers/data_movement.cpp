// SPDX-License-Identifier: BSD-3-Clause
//
// The physical limits: what it costs to move the data without computing anything.
#include <peers/peers.hpp>

#include <cstring>
#include <immintrin.h>

namespace bench {
namespace {

constexpr std::ptrdiff_t line_floats = 16;
constexpr std::ptrdiff_t prefetch_floats = 512; // 2 KB ahead

// Copies one line of 64 bytes past the caches.
inline void stream_line(const float* x, float* y) {
#if defined(__AVX512F__)
    _mm512_stream_ps(y, _mm512_loadu_ps(x));
#elif defined(__AVX__)
    _mm256_stream_ps(y, _mm256_loadu_ps(x));
    _mm256_stream_ps(y + 8, _mm256_loadu_ps(x + 8));
#else
    for (std::ptrdiff_t i = 0; i < line_floats; i += 4) {
        _mm_stream_ps(y + i, _mm_loadu_ps(x + i));
    }
#endif
}

// y begins on a line.
void nt_copy(const float* x, float* y, std::ptrdiff_t n) {
    std::ptrdiff_t i = 0;
    for (; i + line_floats <= n; i += line_floats) {
        _mm_prefetch(reinterpret_cast<const char*>(x + i + prefetch_floats), _MM_HINT_T0);
        stream_line(x + i, y + i);
    }
    std::memcpy(y + i, x + i, static_cast<std::size_t>(n - i) * sizeof(float));
    _mm_sfence();
}

// What a register holds, added lane by lane.
#if defined(__AVX512F__)
constexpr std::ptrdiff_t width = 16;
#elif defined(__AVX__)
constexpr std::ptrdiff_t width = 8;
#else
constexpr std::ptrdiff_t width = 4;
#endif
using pack = float __attribute__((vector_size(sizeof(float) * width), aligned(4), may_alias));

float read_sum(const float* x, std::ptrdiff_t n) {
    constexpr std::ptrdiff_t unroll = 8;
    pack sum[unroll] = {};
    std::ptrdiff_t i = 0;
    for (; i + unroll * width <= n; i += unroll * width) {
        for (std::ptrdiff_t k = 0; k < unroll; ++k) {
            sum[k] += *reinterpret_cast<const pack*>(x + i + k * width);
        }
    }
    for (; i + width <= n; i += width) {
        sum[0] += *reinterpret_cast<const pack*>(x + i);
    }
    for (std::ptrdiff_t k = 1; k < unroll; ++k) {
        sum[0] += sum[k];
    }
    float total = 0;
    for (std::ptrdiff_t lane = 0; lane < width; ++lane) {
        total += sum[0][lane];
    }
    for (; i < n; ++i) {
        total += x[i];
    }
    return total;
}

method yardstick(const char* name, std::size_t bytes, std::function<void(const operands&)> run) {
    method result;
    result.name = name;
    result.bytes = bytes;
    result.run = std::move(run);
    return result;
}

} // namespace

method_list data_movement(const problem& of) {
    const std::ptrdiff_t n = of.input_size(0);
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(float);
    return {
        yardstick("memcpy", 2 * bytes, [bytes](const operands& a) { std::memcpy(a.out, a.in[0], bytes); }),
        yardstick("NT copy", 2 * bytes, [n](const operands& a) { nt_copy(a.in[0], a.out, n); }),
        yardstick("read-only sum", bytes, [n](const operands& a) { *a.out = read_sum(a.in[0], n); }),
    };
}

} // namespace bench
