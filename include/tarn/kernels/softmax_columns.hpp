// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax along a strided axis: columns side by side, one lane each. A column's weights are added in the order of
// row_sum.hpp, so it has the bits of the same row in any other layout.
#pragma once

#include <tarn/kernels/columns.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The place of W packs of columns in memory, of which the last may have only `last`.
template <class A, int W> struct column_block {
    static constexpr int width = W * lanes<A>;

    const number<A>* x;
    number<A>* y;
    std::ptrdiff_t x_stride, y_stride, rows;
    int last;
    number<A>* weights;
    std::ptrdiff_t weights_stride;

    TARN_INLINE int columns() const noexcept { return (W - 1) * lanes<A> + last; }
    TARN_INLINE pack<A> load(const number<A>* row, int w) const noexcept {
        return column_source<A, W>{row, 0, last}.at(0, w);
    }
    TARN_INLINE column_source<A, W> source() const noexcept { return {x, x_stride, last}; }
    TARN_INLINE void store(number<A>* row, int w, const pack<A>& v) const noexcept {
        column_sink<A, W>{row, 0, last, false}.put(0, w, v);
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

    TARN_INLINE void start(const column_block<A, W>& b, const simd::row_totals<A, W * lanes<A>>& total,
                           bool by_stream) noexcept {
        block = b;
        waiting = true;
        stream = by_stream;
        for (int c = 0; c < W * lanes<A>; ++c) {
            const normaliser<A> result = acceptable<A>(total[c]) ? normaliser<A>::of(total[c]) : normaliser<A>{0, 0, 0};
            high[c] = result.high;
            low[c] = result.low;
            thresholds[c] = result.threshold;
        }
    }
    TARN_INLINE void row(std::ptrdiff_t i) const noexcept {
        const number<A>* e = block.weights + i * block.weights_stride;
        number<A>* y = block.y + i * block.y_stride;
        for (int w = 0; w < W; ++w) {
            const pack<A> v =
                normaliser<A>::normalise(block.load(e, w), simd::load<A>(thresholds + w * lanes<A>),
                                         simd::load<A>(high + w * lanes<A>), simd::load<A>(low + w * lanes<A>));
            if (stream)
                simd::stream<A>(y + w * lanes<A>, v);
            else
                block.store(y, w, v);
        }
    }
    // All rows, if no other block's weights follow.
    TARN_NOINLINE void complete() noexcept {
        for (std::ptrdiff_t i = 0; waiting && i < block.rows; ++i)
            row(i);
        waiting = false;
    }
};

// The weights of a block, and their sums column by column. Whole: all packs of the block are whole. The block before,
// if one is waiting, departs from the same scratch.
template <bool Whole, class A, int W, class Weight>
TARN_NOINLINE void weigh_columns(column_block<A, W> block, const Weight& given,
                                 simd::row_totals<A, W * lanes<A>>& total, departing_columns<A, W>& before) noexcept {
    const Weight weight = given;
    if (Whole)
        block.last = lanes<A>;
    const bool both = before.waiting;
    before.waiting = false;
    const auto weigh = [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
        const pack<A> v = weight(block.source().at_ahead(i, w));
        block.store(block.weights + i * block.weights_stride, w, v);
        return v;
    };
    sum_columns<A, W>(block.rows, total, adding_weights<A, packs_added::in_pairs>(weigh),
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

    // A pack of columns, the greatest logit of each found first. Works in place.
    TARN_NOINLINE void careful(std::ptrdiff_t col, int last) noexcept {
        const auto block = block_at<1>(col, last, a.y + col, a.y_stride);
        const pack<A> flip = simd::broadcast<A>(state.base.sign());
        pack<A> m = simd::broadcast<A>(-infinity);
        for (std::ptrdiff_t i = 0; i < a.rows; ++i)
            m = simd::max_of<A>(block.load(block.x + i * a.x_stride, 0) * flip, m);
        const auto refs = pack_references<A>::of_greatest(m * flip, state.base, weights_of<A>::bias);
        simd::row_totals<A, lanes<A>> total;
        departing_columns<A, 1> result;
        weigh_columns<false>(block, exp_weight_by_lane<A>(state.base, refs), total, result);
        result.start(block, total, false);
        result.complete();
        alignas(64) number<A> exponents[lanes<A>];
        alignas(64) number<A> centres[lanes<A>];
        simd::store<A>(exponents, refs.exponent);
        simd::store<A>(centres, refs.centre);
        note(col, total.high, last, [&](int c) TARN_LAMBDA { return reference<A>{exponents[c], centres[c]}; });
        for (int c = 0; c < last; ++c) {
            if (acceptable<A>(total[c]))
                continue;
            const number<A> value = total.high[c] == 0 ? state.empty_value : __builtin_nanf("");
            for (std::ptrdiff_t i = 0; i < a.rows; ++i)
                block.y[i * a.y_stride + c] = value;
        }
        state.carry({exponents[0], centres[0]});
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
            if (W > 1 || b.last == lanes<A>)
                weigh_columns<true>(b, weight, total, before);
            else
                weigh_columns<false>(b, weight, total, before);
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
        if ((!in_place() || apart) && state.may_guess()) {
            const auto b =
                apart ? block_at<W>(col, last, a.scratch, width) : block_at<W>(col, last, a.y + col, a.y_stride);
            simd::row_totals<A, W * lanes<A>> total;
            if (guess(col, b, total)) {
                const bool whole_lines = reinterpret_cast<std::uintptr_t>(b.y) % 64 == 0 && a.y_stride % lanes<A> == 0;
                before.start(b, total, a.stream && whole_lines && last == lanes<A>);
                if (!apart)
                    before.complete();
                return;
            }
        }
        before.complete();
        for (int w = 0; w < W; ++w)
            careful(col + w * lanes<A>, w + 1 < W ? lanes<A> : last);
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
        const std::ptrdiff_t col = columns_engine<A, 8>{a, state}.run(0);
        columns_engine<A, 1>{a, state}.run(col);
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
