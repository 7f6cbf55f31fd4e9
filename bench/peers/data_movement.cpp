// SPDX-License-Identifier: BSD-3-Clause
//
// The physical limits: what it costs to move the data without computing anything.
#include <peers/peers.hpp>

#include <harness/parts.hpp>

#include <cstring>
#include <immintrin.h>

namespace bench {
namespace {

constexpr std::ptrdiff_t line_floats = 16;
constexpr std::ptrdiff_t prefetch_floats = 512; // 2 KB ahead

// What a register holds.
#if defined(__AVX512F__)
constexpr std::ptrdiff_t width = 16;
#elif defined(__AVX__)
constexpr std::ptrdiff_t width = 8;
#else
constexpr std::ptrdiff_t width = 4;
#endif
using pack = float __attribute__((vector_size(sizeof(float) * width), aligned(4), may_alias));

inline const pack& pack_at(const float* x) { return *reinterpret_cast<const pack*>(x); }

// Past the caches; y is aligned.
inline void stream(float* y, const pack& v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(y, v);
#elif defined(__AVX__)
    _mm256_stream_ps(y, v);
#else
    _mm_stream_ps(y, v);
#endif
}

inline void prefetch(const float* x) { _mm_prefetch(reinterpret_cast<const char*>(x + prefetch_floats), _MM_HINT_T0); }

// y begins on a line.
void nt_copy(const float* x, float* y, std::ptrdiff_t n) {
    std::ptrdiff_t i = 0;
    for (; i + line_floats <= n; i += line_floats) {
        prefetch(x + i);
        for (std::ptrdiff_t k = i; k < i + line_floats; k += width) {
            stream(y + k, pack_at(x + k));
        }
    }
    std::memcpy(y + i, x + i, static_cast<std::size_t>(n - i) * sizeof(float));
    _mm_sfence();
}

void triad(const float* a, const float* b, float* y, std::ptrdiff_t n) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        y[i] = a[i] + b[i];
    }
}

// y begins on a line.
void nt_triad(const float* a, const float* b, float* y, std::ptrdiff_t n) {
    std::ptrdiff_t i = 0;
    for (; i + line_floats <= n; i += line_floats) {
        prefetch(a + i);
        prefetch(b + i);
        for (std::ptrdiff_t k = i; k < i + line_floats; k += width) {
            stream(y + k, pack_at(a + k) + pack_at(b + k));
        }
    }
    triad(a + i, b + i, y + i, n - i);
    _mm_sfence();
}

float read_sum(const float* x, std::ptrdiff_t n) {
    constexpr std::ptrdiff_t unroll = 8;
    pack sum[unroll] = {};
    std::ptrdiff_t i = 0;
    for (; i + unroll * width <= n; i += unroll * width) {
        for (std::ptrdiff_t k = 0; k < unroll; ++k) {
            sum[k] += pack_at(x + i + k * width);
        }
    }
    for (; i + width <= n; i += width) {
        sum[0] += pack_at(x + i);
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

// Part i of the arrays of n floats, beginning on a line.
struct slice {
    std::ptrdiff_t begin, size;

    slice(std::ptrdiff_t n, int i, int parts) {
        const auto place = [&](int k) { return k == parts ? n : n / parts * k / line_floats * line_floats; };
        begin = place(i);
        size = place(i + 1) - begin;
    }
};

// `move` is called with the operands where a slice begins and the size of the slice.
template <class Move> method yardstick(const char* name, const problem& of, int arrays, Move move) {
    const std::ptrdiff_t n = of.input_size(0);
    method result;
    result.name = name;
    result.bytes = static_cast<std::size_t>(arrays * n) * sizeof(float);
    if (of.threads == 1) {
        result.run = [n, move](const operands& a) { move(a, n); };
    } else {
        result.run = [n, parts = of.threads, move](const operands& a) {
            run_parts(parts, [&](int i) {
                const slice mine(n, i, parts);
                move({{a.in[0] + mine.begin, a.in[1] ? a.in[1] + mine.begin : nullptr}, a.out + mine.begin}, mine.size);
            });
        };
    }
    return result;
}

} // namespace

method_list data_movement(const problem& of) {
    using size = std::ptrdiff_t;
    if (of.operation().inputs > 1 && of.operation().in[1] == extent::matrix) {
        return {
            yardstick("triad", of, 3, [](const operands& a, size n) { triad(a.in[0], a.in[1], a.out, n); }),
            yardstick("NT triad", of, 3, [](const operands& a, size n) { nt_triad(a.in[0], a.in[1], a.out, n); }),
        };
    }
    return {
        yardstick("memcpy", of, 2,
                  [](const operands& a, size n) {
                      std::memcpy(a.out, a.in[0], static_cast<std::size_t>(n) * sizeof(float));
                  }),
        yardstick("NT copy", of, 2, [](const operands& a, size n) { nt_copy(a.in[0], a.out, n); }),
        yardstick("read-only sum", of, 1, [](const operands& a, size n) { *a.out = read_sum(a.in[0], n); }),
    };
}

} // namespace bench
