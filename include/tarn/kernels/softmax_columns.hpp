// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax along a strided axis: columns side by side, one lane each. A column's weights are added in the order of
// row_sum.hpp, so it has the bits of the same row in any other layout.
#pragma once

#include <tarn/kernels/columns.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The place of W packs of columns in memory; a single one may have only `last` columns.
template <class A, int W> struct column_block {
    static constexpr int width = W * lanes<A>;

    const number<A>* x;
    number<A>* y;
    std::ptrdiff_t x_stride, y_stride, rows;
    int last;
    number<A>* weights;
    std::ptrdiff_t weights_stride;

    TARN_INLINE int columns() const noexcept { return W > 1 ? width : last; }
    TARN_INLINE pack<A> load(const number<A>* row, int w) const noexcept {
        return column_source<A, W>{row, 0, last}.at(0, w);
    }
    TARN_INLINE column_source<A, W> source() const noexcept { return {x, x_stride, last}; }
    // To y, or to the weights.
    TARN_INLINE column_sink<A, W> results(bool stream) const noexcept { return {y, y_stride, last, stream}; }
    TARN_INLINE void put_weights(std::ptrdiff_t i, int w, const pack<A>& v) const noexcept {
        number<A>* const to = weights + i * weights_stride + w * lanes<A>;
        if (W > 1 || last == lanes<A>)
            simd::store<A>(to, v);
        else
            simd::store_first<A>(to, v, last);
    }
};

// A block whose weights are known, on its way to y row by row: each just before the next block's weights take its
// place.
template <class A, int W> struct departing_columns {
    column_block<A, W> block = {};
    bool waiting = false;
    bool stream = false;
    alignas(64) number<A> high[W * lanes<A>];
    alignas(64) number<A> low[W * lanes<A>];
    alignas(64) number<A> thresholds[W * lanes<A>];

    // `empty_value`: of columns of nothing but -inf. Other columns without an acceptable sum become NaN.
    TARN_INLINE void start(const column_block<A, W>& b, const simd::row_totals<A, W * lanes<A>>& total, bool by_stream,
                           number<A> empty_value) noexcept {
        block = b;
        waiting = true;
        stream = by_stream;
        for (int c = 0; c < W * lanes<A>; ++c) {
            const number<A> extraordinary = total.high[c] == 0 ? empty_value : __builtin_nanf("");
            const normaliser<A> result =
                acceptable<A>(total[c]) ? normaliser<A>::of(total[c]) : normaliser<A>{extraordinary, extraordinary, 0};
            high[c] = result.high;
            low[c] = result.low;
            thresholds[c] = result.threshold;
        }
    }
    TARN_INLINE void row(std::ptrdiff_t i) const noexcept {
        const number<A>* e = block.weights + i * block.weights_stride;
        const column_sink<A, W> y = block.results(stream);
        for (int w = 0; w < W; ++w) {
            const pack<A> v =
                normaliser<A>::normalise(block.load(e, w), simd::load<A>(thresholds + w * lanes<A>),
                                         simd::load<A>(high + w * lanes<A>), simd::load<A>(low + w * lanes<A>));
            y.put(i, w, v);
        }
    }
    // All rows, if no other block's weights follow.
    TARN_NOINLINE void complete() noexcept {
        for (std::ptrdiff_t i = 0; waiting && i < block.rows; ++i)
            row(i);
        waiting = false;
    }
};

// The weights of a block, and their sums column by column; weigh is as for adding_weights. Whole: all packs of the block
// are whole. The block before, if one is waiting, departs from the same scratch.
template <bool Whole, class A, int W, class Weigh>
TARN_NOINLINE void weigh_columns(column_block<A, W> block, const Weigh& given, simd::row_totals<A, W * lanes<A>>& total,
                                 departing_columns<A, W>& before) noexcept {
    const Weigh weigh = given;
    if (Whole)
        block.last = lanes<A>;
    const bool both = before.waiting;
    before.waiting = false;
    const auto load = [&](std::ptrdiff_t i, int w) TARN_LAMBDA { return block.source().at_ahead(i, w); };
    const auto put = [&](std::ptrdiff_t i, int w, const pack<A>& v) TARN_LAMBDA { block.put_weights(i, w, v); };
    sum_columns<A, W>(block.rows, total, adding_weights<A, packs_added::in_pairs>(load, weigh, put),
                      [&](std::ptrdiff_t i) TARN_LAMBDA {
                          if (both)
                              before.row(i);
                      });
}

// Blocks of W packs of columns one after the other.
template <class A, int W> struct columns_engine {
    static constexpr int width = W * lanes<A>;

    const dispatch::softmax_columns<number<A>>& a;
    softmax_rows_state<A>& state;
    departing_columns<A, W> before = {};

    TARN_INLINE bool in_place() const noexcept { return a.x == a.y; }
    // Whether a block's weights fit the scratch. If not they go to y, whose rows may share few sets of a cache.
    TARN_INLINE bool has_scratch() const noexcept { return a.scratch && a.rows <= a.scratch_size / width; }

    template <int Packs>
    TARN_INLINE column_block<A, Packs> block_at(std::ptrdiff_t col, int last, number<A>* weights,
                                                std::ptrdiff_t weights_stride) const noexcept {
        return {a.x + col, a.y + col, a.x_stride, a.y_stride, a.rows, last, weights, weights_stride};
    }

    // Columns of which the greatest logit of each is found first. Works in place.
    TARN_NOINLINE void careful(std::ptrdiff_t col, const column_block<A, W>& b,
                               simd::row_totals<A, W * lanes<A>>& total) noexcept {
        alignas(64) number<A> greatest[width];
        greatest_of_columns<A, W>(b.source(), b.rows, state.base.sign(), greatest);
        const weights_by_column<A, W> weights(state.base, greatest);
        weigh_columns<false>(b, typename weights_by_column<A, W>::own{&weights}, total, before);
        note(col, total.high, b.columns(), [&](int c) TARN_LAMBDA { return weights[c]; });
        state.carry(weights[b.columns() - 1]);
    }

    // The log-sum-exp of columns from `col` on, if the call wants it.
    template <class Reference>
    TARN_INLINE void note(std::ptrdiff_t col, const double* total, int columns, Reference ref) const noexcept {
        if (!a.lse)
            return;
        for (int first = 0; first < columns; first += lanes<A>)
            row_logs<A>(a.lse + (col + first) * a.lse_stride, a.lse_stride, a.scale)
                .note_tile(
                    total + first, columns - first < lanes<A> ? columns - first : lanes<A>,
                    [&](int c) TARN_LAMBDA { return ref(first + c); }, acceptable<A>);
    }

    TARN_INLINE bool guess(std::ptrdiff_t col, const column_block<A, W>& b,
                           simd::row_totals<A, W * lanes<A>>& total) noexcept {
        state.with_weight([&](const auto& weight) TARN_LAMBDA {
            const common_weight<std::decay_t<decltype(weight)>> weigh{weight};
            if constexpr (W == 1) {
                if (b.last < lanes<A>) {
                    weigh_columns<false>(b, weigh, total, before);
                    return 0.0;
                }
            }
            weigh_columns<true>(b, weigh, total, before);
            return 0.0;
        });
        bool right = true;
        for (int c = 0; c < b.columns(); ++c)
            right = acceptable<A>(total[c]) && right;
        if (right) {
            note(col, total.high, b.columns(), [&](int) TARN_LAMBDA { return state.ref; });
            state.guessed_right(total[0]);
        } else {
            state.guessed_wrong();
        }
        return right;
    }

    TARN_NOINLINE void block(std::ptrdiff_t col, int last) noexcept {
        const bool apart = has_scratch();
        const auto b = apart ? block_at<W>(col, last, a.scratch, width) : block_at<W>(col, last, a.y + col, a.y_stride);
        simd::row_totals<A, W * lanes<A>> total;
        const bool may_guess = (!in_place() || apart) && state.may_guess();
        if (!may_guess || !guess(col, b, total)) {
            before.complete();
            careful(col, b, total);
        }
        const bool whole_lines = reinterpret_cast<std::uintptr_t>(b.y) % 64 == 0 && a.y_stride % lanes<A> == 0;
        before.start(b, total, a.stream && whole_lines && last == lanes<A>, state.empty_value);
        if (!apart)
            before.complete();
    }

    // The blocks that fit from `col` on. Returns the first column left.
    TARN_INLINE std::ptrdiff_t run(std::ptrdiff_t col) noexcept {
        for (; col + width <= a.columns; col += width)
            block(col, lanes<A>);
        if (W == 1 && col < a.columns) {
            block(col, static_cast<int>(a.columns - col));
            col = a.columns;
        }
        before.complete();
        return col;
    }
};

template <class A> struct softmax_columns {
    static void run(const dispatch::softmax_columns<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        std::ptrdiff_t col = columns_engine<A, 8>{a, state}.run(0);
        col = columns_engine<A, 4>{a, state}.run(col);
        columns_engine<A, 1>{a, state}.run(col);
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
