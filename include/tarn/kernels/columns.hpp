// SPDX-License-Identifier: BSD-3-Clause
//
// Loops over columns side by side, one lane each: where they come from and go to, and their sums. A column has the bits
// of the same row in any other layout: rows a pack's lanes apart belong to one lane of the order of row_sum.hpp.
#pragma once

#include <tarn/kernels/row_sum.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// W packs of columns, of which the last has only `last`.
template <class A, int W> struct column_source {
    const number<A>* p;
    std::ptrdiff_t stride;
    int last;

    TARN_INLINE pack<A> at(std::ptrdiff_t i, int w) const noexcept {
        const number<A>* const from = p + i * stride + w * lanes<A>;
        return w + 1 < W || last == lanes<A> ? simd::load<A>(from) : simd::load_first<A>(from, last);
    }
    // The same, asking for what lies some rows on.
    TARN_INLINE pack<A> at_ahead(std::ptrdiff_t i, int w) const noexcept {
        constexpr std::ptrdiff_t rows_ahead = 8;
        simd::prefetch<A>(p + (i + rows_ahead) * stride + w * lanes<A>);
        return at(i, w);
    }
};

template <class A, int W> struct column_sink {
    number<A>* p;
    std::ptrdiff_t stride;
    int last;
    bool stream; // whole lines, by non-temporal stores

    // Streams if that is wanted and possible.
    TARN_INLINE static column_sink of(number<A>* p, std::ptrdiff_t stride, int last, bool stream) noexcept {
        const bool whole_lines =
            last == lanes<A> && stride % lanes<A> == 0 && reinterpret_cast<std::uintptr_t>(p) % 64 == 0;
        return {p, stride, last, stream && whole_lines};
    }
    TARN_INLINE void put(std::ptrdiff_t i, int w, const pack<A>& v) const noexcept {
        number<A>* const to = p + i * stride + w * lanes<A>;
        if (stream)
            simd::stream<A>(to, v);
        else if (w + 1 < W || last == lanes<A>)
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
// of row i + lanes if `pair`; beside(i) is called once for every row, before it is added. The accumulators, all lanes
// of the order for each column, lie in L1.
template <class A, int W, class Add, class Beside>
TARN_INLINE void sum_columns(std::ptrdiff_t rows, simd::row_totals<A, W * lanes<A>>& total, const Add& add_to,
                             const Beside& beside) noexcept {
    using sums = simd::sum_pack<A>;
    alignas(64) double stored[lanes<A> * W * sums::stored];
    const auto at = [&](std::ptrdiff_t lane, int w) TARN_LAMBDA { return stored + (lane * W + w) * sums::stored; };
    const auto add = [&](std::ptrdiff_t i, std::ptrdiff_t lane, int w, bool pair) TARN_LAMBDA {
        auto s = sums::load(at(lane, w));
        add_to(s, i, w, pair);
        s.store(at(lane, w));
    };
    total.clear();
    for (std::ptrdiff_t chunk = 0; chunk < rows; chunk += chunk_size) {
        const std::ptrdiff_t end = rows - chunk < chunk_size ? rows : chunk + chunk_size;
        for (int k = 0; k < lanes<A> * W; ++k)
            sums::zero().store(stored + k * sums::stored);
        std::ptrdiff_t base = chunk;
        for (; base + 2 * lanes<A> <= end; base += 2 * lanes<A>) {
            for (std::ptrdiff_t i = base; i < base + lanes<A>; ++i) {
                beside(i);
                beside(i + lanes<A>);
                for (int w = 0; w < W; ++w)
                    add(i, i - base, w, true);
            }
        }
        for (std::ptrdiff_t i = base; i < end && i < base + lanes<A>; ++i) {
            const bool pair = i + lanes<A> < end;
            beside(i);
            if (pair)
                beside(i + lanes<A>);
            for (int w = 0; w < W; ++w)
                add(i, i - base, w, pair);
        }
        for (int half = lanes<A> / 2; half > 0; half /= 2) {
            for (int lane = 0; lane < half; ++lane) {
                for (int w = 0; w < W; ++w) {
                    auto s = sums::load(at(lane, w));
                    s.add(sums::load(at(lane + half, w)));
                    s.store(at(lane, w));
                }
            }
        }
        for (int w = 0; w < W; ++w)
            total.add(w * lanes<A>, sums::load(at(0, w)));
    }
}

// Adds weights: weigh(i, w) gives those of pack w of row i.
template <class A, packs_added How, class Weigh> TARN_INLINE auto adding_weights(const Weigh& weigh) noexcept {
    return [&weigh](simd::sum_pack<A>& s, std::ptrdiff_t i, int w, bool pair) TARN_LAMBDA {
        const pack<A> v = weigh(i, w);
        if (pair)
            add_packs<How>(s, v, weigh(i + lanes<A>, w));
        else
            s.add(v);
    };
}

// Calls block(packs, column, last) for all columns: blocks of eight packs, then of one, the last of which may have
// fewer.
template <class A, class Block>
TARN_INLINE void for_column_blocks(std::ptrdiff_t columns, const Block& block) noexcept {
    std::ptrdiff_t col = 0;
    for (; col + 8 * lanes<A> <= columns; col += 8 * lanes<A>)
        block(simd::index<8>{}, col, lanes<A>);
    for (; col < columns; col += lanes<A>)
        block(simd::index<1>{}, col, columns - col < lanes<A> ? static_cast<int>(columns - col) : lanes<A>);
}

}}}} // namespace tarn::kernels
