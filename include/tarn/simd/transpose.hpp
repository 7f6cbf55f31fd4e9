// SPDX-License-Identifier: BSD-3-Clause
//
// Rows to columns, in registers.
#pragma once

#include <tarn/simd/strided.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

// Lane k of row q becomes lane q of row k. As many rows as lanes: a power of two, halves of which are interleaved as
// often as it takes.
template <class A> TARN_INLINE void transpose(numbers<A> (&rows)[numbers<A>::size]) {
    constexpr int size = static_cast<int>(numbers<A>::size);
    constexpr int rounds = size == 2 ? 1 : size == 4 ? 2 : size == 8 ? 3 : 4;
    unroll<rounds>([&](auto) TARN_LAMBDA {
        numbers<A> next[size];
        unroll<size / 2>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            next[2 * K] = rows[K];
            next[2 * K + 1] = rows[K + size / 2];
            interleave<A>(next[2 * K], next[2 * K + 1]);
        });
        unroll<size>([&](auto k) TARN_LAMBDA { rows[decltype(k)::value] = next[decltype(k)::value]; });
    });
}

}}}} // namespace tarn::simd
