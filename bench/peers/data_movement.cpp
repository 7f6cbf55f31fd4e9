// SPDX-License-Identifier: BSD-3-Clause
//
// The physical limits: what it costs to move the data without computing anything.
#include <peers/peers.hpp>

#include <harness/parts.hpp>

#include <cstring>
#include <immintrin.h>

namespace bench {
namespace {

// What is moved: floats, or pairs of 16-bit numbers and halves of doubles as if they were floats. Adding those takes as
// long and means nothing.
using word = float __attribute__((may_alias));
constexpr std::ptrdiff_t line_words = 16;
constexpr std::ptrdiff_t prefetch_words = 512; // 2 KB ahead

// What a register holds.
#if defined(__AVX512F__)
constexpr std::ptrdiff_t width = 16;
#elif defined(__AVX__)
constexpr std::ptrdiff_t width = 8;
#else
constexpr std::ptrdiff_t width = 4;
#endif
using pack = float __attribute__((vector_size(sizeof(word) * width), aligned(4), may_alias));

inline const pack& pack_at(const word* x) { return *reinterpret_cast<const pack*>(x); }

// Past the caches; y is aligned.
inline void stream(word* y, const pack& v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(y, v);
#elif defined(__AVX__)
    _mm256_stream_ps(y, v);
#else
    _mm_stream_ps(y, v);
#endif
}

inline void prefetch(const word* x) { _mm_prefetch(reinterpret_cast<const char*>(x + prefetch_words), _MM_HINT_T0); }

// y begins on a line.
void nt_copy(const word* x, word* y, std::ptrdiff_t n) {
    std::ptrdiff_t i = 0;
    for (; i + line_words <= n; i += line_words) {
        prefetch(x + i);
        for (std::ptrdiff_t k = i; k < i + line_words; k += width) {
            stream(y + k, pack_at(x + k));
        }
    }
    std::memcpy(y + i, x + i, static_cast<std::size_t>(n - i) * sizeof(word));
    _mm_sfence();
}

void triad(const word* a, const word* b, word* y, std::ptrdiff_t n) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        y[i] = a[i] + b[i];
    }
}

// y begins on a line.
void nt_triad(const word* a, const word* b, word* y, std::ptrdiff_t n) {
    std::ptrdiff_t i = 0;
    for (; i + line_words <= n; i += line_words) {
        prefetch(a + i);
        prefetch(b + i);
        for (std::ptrdiff_t k = i; k < i + line_words; k += width) {
            stream(y + k, pack_at(a + k) + pack_at(b + k));
        }
    }
    triad(a + i, b + i, y + i, n - i);
    _mm_sfence();
}

float read_sum(const word* x, std::ptrdiff_t n) {
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

// Part i of the arrays of n words, beginning on a line.
struct slice {
    std::ptrdiff_t begin, size;

    slice(std::ptrdiff_t n, int i, int parts) {
        const auto place = [&](int k) { return k == parts ? n : n / parts * k / line_words * line_words; };
        begin = place(i);
        size = place(i + 1) - begin;
    }
};

struct moved {
    const word *a, *b; // b: null if there is only one input
    word* y;

    moved(const operands& all, element_type type)
        : a(static_cast<const word*>(all.input(type, 0))), b(static_cast<const word*>(all.input(type, 1))),
          y(static_cast<word*>(all.output(type))) {}
    void advance(std::ptrdiff_t words) {
        a += words;
        b = b ? b + words : nullptr;
        y += words;
    }
};

// `move` is called with the operands where a slice begins and the size of the slice.
template <class Move> method yardstick(const char* name, const problem& of, int arrays, Move move) {
    // Arrays are longer than what they hold: the last number of an odd count moves with what lies behind it.
    const std::size_t bytes = facts_of(of.type).bytes * static_cast<std::size_t>(of.input_size(0));
    const auto n = static_cast<std::ptrdiff_t>((bytes + sizeof(word) - 1) / sizeof(word));
    method result;
    result.name = name;
    result.bytes = static_cast<std::size_t>(arrays) * bytes;
    if (of.threads == 1) {
        result.run = [n, type = of.type, move](const operands& all) { move(moved(all, type), n); };
    } else {
        result.run = [n, type = of.type, parts = of.threads, move](const operands& all) {
            run_parts(parts, [&](int i) {
                const slice mine(n, i, parts);
                moved here(all, type);
                here.advance(mine.begin);
                move(here, mine.size);
            });
        };
    }
    return result;
}

} // namespace

method_list data_movement(const problem& of) {
    using size = std::ptrdiff_t;
    if (of.operation().inputs > 1 && of.operation().in[1] == extent::matrix && !pools_maps(of.what)) {
        return {
            yardstick("triad", of, 3, [](const moved& m, size n) { triad(m.a, m.b, m.y, n); }),
            yardstick("NT triad", of, 3, [](const moved& m, size n) { nt_triad(m.a, m.b, m.y, n); }),
        };
    }
    return {
        yardstick("memcpy", of, 2,
                  [](const moved& m, size n) { std::memcpy(m.y, m.a, static_cast<std::size_t>(n) * sizeof(word)); }),
        yardstick("NT copy", of, 2, [](const moved& m, size n) { nt_copy(m.a, m.y, n); }),
        yardstick("read-only sum", of, 1, [](const moved& m, size n) { *m.y = read_sum(m.a, n); }),
    };
}

} // namespace bench
