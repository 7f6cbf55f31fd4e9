// SPDX-License-Identifier: BSD-3-Clause
//
// Loops over columns side by side, one lane each: where they come from and go to, and their sums. A column has the bits
// of the same row in any other layout: rows i and i + 16 belong to one lane of the order of row_sum.hpp.
#pragma once

#include <tarn/kernels/row_sum.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// 16 W columns, of which the last pack has only `last`. Pack w of row i begins at p + i * stride + 16 w.
template <class A, int W> struct column_source {
    const float* p;
    std::ptrdiff_t stride;
    int last;

    TARN_INLINE pack<A> at(std::ptrdiff_t i, int w) const noexcept {
        const float* const from = p + i * stride + w * lanes;
        return w + 1 < W || last == lanes ? simd::load<A>(from) : simd::load_first<A>(from, last);
    }
    // The same, asking for what lies some rows on.
    TARN_INLINE pack<A> at_ahead(std::ptrdiff_t i, int w) const noexcept {
        constexpr std::ptrdiff_t rows_ahead = 8;
        simd::prefetch<A>(p + (i + rows_ahead) * stride + w * lanes);
        return at(i, w);
    }
};

template <class A, int W> struct column_sink {
    float* p;
    std::ptrdiff_t stride;
    int last;
    bool stream; // whole lines, by non-temporal stores

    // Streams if that is wanted and possible.
    TARN_INLINE static column_sink of(float* p, std::ptrdiff_t stride, int last, bool stream) noexcept {
        const bool whole_lines = last == lanes && stride % lanes == 0 && reinterpret_cast<std::uintptr_t>(p) % 64 == 0;
        return {p, stride, last, stream && whole_lines};
    }
    TARN_INLINE void put(std::ptrdiff_t i, int w, const pack<A>& v) const noexcept {
        float* const to = p + i * stride + w * lanes;
        if (stream)
            simd::stream<A>(to, v);
        else if (w + 1 < W || last == lanes)
            simd::store<A>(to, v);
        else
            simd::store_first<A>(to, v, last);
    }
};

// f(i, w) of every pack to y.
template <class A, int W, class F>
TARN_INLINE void map_columns(const column_sink<A, W>& y, std::ptrdiff_t rows, const F& f) noexcept {
    for (std::ptrdiff_t i = 0; i < rows; ++i) {
        for (int w = 0; w < W; ++w)
            y.put(i, w, f(i, w));
    }
}

// The sums of W packs of columns in the order of row_sum.hpp, to total. add(sums, i, w, pair) adds pack w of row i, and
// of row i + 16 if `pair`; beside(i) is called once for every row, before it is added. The accumulators, 16 lanes of
// the order for each column, lie in L1.
template <class A, int W, class Add, class Beside>
TARN_INLINE void sum_columns(std::ptrdiff_t rows, double* total, const Add& add_to, const Beside& beside) noexcept {
    constexpr int width = W * lanes;
    alignas(64) double sums[lanes * width];
    const auto add = [&](std::ptrdiff_t i, std::ptrdiff_t lane, int w, bool pair) TARN_LAMBDA {
        double* sum = sums + lane * width + w * lanes;
        auto s = simd::double_pack<A>::load(sum);
        add_to(s, i, w, pair);
        s.store(sum);
    };
    for (int c = 0; c < width; ++c)
        total[c] = 0;
    for (std::ptrdiff_t chunk = 0; chunk < rows; chunk += chunk_size) {
        const std::ptrdiff_t end = rows - chunk < chunk_size ? rows : chunk + chunk_size;
        for (int k = 0; k < lanes * W; ++k)
            simd::double_pack<A>::zero().store(sums + k * lanes);
        std::ptrdiff_t base = chunk;
        for (; base + 2 * lanes <= end; base += 2 * lanes) {
            for (std::ptrdiff_t i = base; i < base + lanes; ++i) {
                beside(i);
                beside(i + lanes);
                for (int w = 0; w < W; ++w)
                    add(i, i - base, w, true);
            }
        }
        for (std::ptrdiff_t i = base; i < end && i < base + lanes; ++i) {
            const bool pair = i + lanes < end;
            beside(i);
            if (pair)
                beside(i + lanes);
            for (int w = 0; w < W; ++w)
                add(i, i - base, w, pair);
        }
        for (int half = lanes / 2; half > 0; half /= 2) {
            for (int k = 0; k < half * W; ++k) {
                auto s = simd::double_pack<A>::load(sums + k * lanes);
                s.add(simd::double_pack<A>::load(sums + (k + half * W) * lanes));
                s.store(sums + k * lanes);
            }
        }
        for (int c = 0; c < width; ++c)
            total[c] += sums[c];
    }
}

// Adds weights: weigh(i, w) gives those of pack w of row i.
template <class A, packs_added How, class Weigh> TARN_INLINE auto adding_weights(const Weigh& weigh) noexcept {
    return [&weigh](simd::double_pack<A>& s, std::ptrdiff_t i, int w, bool pair) TARN_LAMBDA {
        const pack<A> v = weigh(i, w);
        if (pair)
            add_packs<How>(s, v, weigh(i + lanes, w));
        else
            s.add(v);
    };
}

// Calls block(width, column, last) for all columns: blocks of 128, then of 16, the last of which may have fewer.
template <class Block> TARN_INLINE void for_column_blocks(std::ptrdiff_t columns, const Block& block) noexcept {
    std::ptrdiff_t col = 0;
    for (; col + 8 * lanes <= columns; col += 8 * lanes)
        block(simd::index<8>{}, col, lanes);
    for (; col < columns; col += lanes)
        block(simd::index<1>{}, col, columns - col < lanes ? static_cast<int>(columns - col) : lanes);
}

}}}} // namespace tarn::kernels
