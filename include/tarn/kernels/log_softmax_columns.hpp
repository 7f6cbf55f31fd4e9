// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp along a strided axis: columns side by side, one lane each, in blocks that are read for
// their sums and again for their results. Works in place.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/log_sum.hpp>
#include <tarn/kernels/softmax_columns.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct log_softmax_columns {
    // 16 W columns: their sums, greatest logits and logarithms.
    template <int W> struct block_sums {
        static constexpr int width = W * lanes;
        alignas(64) double total[width];
        alignas(64) float greatest[width];
        alignas(64) double excess[width]; // sum / weight of the greatest - 1
        bool infinite[width];
    };

    template <bool Whole, int W, class Weight>
    TARN_NOINLINE static void note(column_block<A, W> block, const Weight& given, float sign,
                                   block_sums<W>& s) noexcept {
        const Weight weight = given;
        if (Whole)
            block.last = lanes;
        const pack<A> signs = simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f);
        for (int w = 0; w < W; ++w)
            simd::store<A>(s.greatest + w * lanes, simd::broadcast<A>(-infinity));
        sum_columns<A, W, packs_added::singly>(
            block.rows, s.total,
            [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
                const pack<A> x = block.load_ahead(i, w);
                float* const g = s.greatest + w * lanes;
                simd::store<A>(g, simd::max_of<A>(x ^ signs, simd::load<A>(g)));
                return weight(x);
            },
            [](std::ptrdiff_t) TARN_LAMBDA {});
        for (int w = 0; w < W; ++w) {
            const pack<A> g = simd::load<A>(s.greatest + w * lanes) ^ signs;
            simd::store<A>(s.greatest + w * lanes, g);
            write_excess(s, w, weight(g));
        }
    }
    template <int W>
    TARN_INLINE static void write_excess(block_sums<W>& s, int w, const pack<A>& weight_of_greatest) noexcept {
        const auto own = simd::double_pack<A>::of(weight_of_greatest);
        ((simd::double_pack<A>::load(s.total + w * lanes) - own) / own).store(s.excess + w * lanes);
    }

    // Sixteen columns of a block, the last of them cut off as in the block, and a reference for each.
    struct sixteen {
        column_block<A, 1> columns;
        pack<A> greatest;
        pack_references<A> refs;
    };
    template <int W>
    TARN_INLINE static sixteen sixteen_of(const softmax_rows_state<A>& state, const column_block<A, W>& block, int w,
                                          const block_sums<W>& s) noexcept {
        const int last = w + 1 < W ? lanes : block.last;
        const pack<A> g = simd::first_or<A>(simd::load<A>(s.greatest + w * lanes), last, 0.0f);
        return {{block.x + w * lanes, nullptr, block.x_stride, 0, block.rows, last, nullptr, 0},
                g,
                pack_references<A>::of_greatest(g, state.base, state.carried_bias)};
    }

    // Sixteen columns of a block again, each with a reference of its own; those without an acceptable sum have no
    // ordinary result.
    template <int W>
    TARN_NOINLINE static void note_again(softmax_rows_state<A>& state, const column_block<A, W>& block, int w,
                                         block_sums<W>& s) noexcept {
        const sixteen part = sixteen_of(state, block, w, s);
        const exp_weight_by_lane<A> weight(state.base, part.refs);
        sum_columns<A, 1, packs_added::singly>(
            block.rows, s.total + w * lanes,
            [&](std::ptrdiff_t i, int) TARN_LAMBDA { return weight(part.columns.load_ahead(i, 0)); },
            [](std::ptrdiff_t) TARN_LAMBDA {});
        write_excess(s, w, weight(part.greatest));
        for (int c = w * lanes; c < w * lanes + part.columns.last; ++c) {
            if (acceptable(s.total[c]))
                continue;
            const log_sum row = log_sum_of_no_row(s.total[c], s.greatest[c], state.base, [&]() TARN_LAMBDA {
                for (std::ptrdiff_t i = 0; i < block.rows; ++i) {
                    const float x = block.x[i * block.x_stride + c];
                    if (x != x)
                        return true;
                }
                return false;
            });
            s.excess[c] = row.value; // NaN, or the 0 that is its own logarithm
            s.infinite[c] = row.infinite;
        }
        alignas(64) float exponents[lanes];
        alignas(64) float centres[lanes];
        simd::store<A>(exponents, part.refs.exponent);
        simd::store<A>(centres, part.refs.centre);
        state.carry({exponents[0], centres[0]});
    }
    // Whether a column has an acceptable sum and an element beside which the others vanish.
    template <int W> TARN_INLINE static bool dominated(const block_sums<W>& s, int c, std::ptrdiff_t rows) noexcept {
        return acceptable(s.total[c]) && s.excess[c] < least_excess(rows);
    }
    // The others of such columns among sixteen.
    template <int W>
    TARN_NOINLINE static void note_others(const softmax_rows_state<A>& state, const column_block<A, W>& block, int w,
                                          block_sums<W>& s) noexcept {
        const sixteen part = sixteen_of(state, block, w, s);
        const exp_weight_by_lane<A> weight(state.base, part.refs);
        const pack<A> own = weight(part.greatest);
        alignas(64) double others[lanes];
        alignas(64) float own_of[lanes];
        sum_columns<A, 1, packs_added::singly>(
            block.rows, others,
            [&](std::ptrdiff_t i, int)
                TARN_LAMBDA { return weight_of_other<A>(weight(part.columns.load_ahead(i, 0)), own); },
            [](std::ptrdiff_t) TARN_LAMBDA {});
        simd::store<A>(own_of, own);
        for (int c = 0; c < part.columns.last; ++c) {
            if (dominated(s, w * lanes + c, block.rows))
                s.excess[w * lanes + c] = excess_of_others(others[c], own_of[c]);
        }
    }
    template <int W>
    TARN_INLINE static void finish(const dispatch::log_softmax_call& a, const column_block<A, W>& block,
                                   std::ptrdiff_t col, const block_sums<W>& s) noexcept {
        constexpr int width = W * lanes;
        alignas(64) float greatest[width];
        alignas(64) float less[width];
        alignas(64) double value[width];
        for (int w = 0; w < W; ++w)
            simd::log_of_one_plus<A>(simd::double_pack<A>::load(s.excess + w * lanes)).store(value + w * lanes);
        for (int c = 0; c < block.columns(); ++c) {
            const log_sum row{s.greatest[c], value[c], s.infinite[c]};
            if (a.lse)
                a.lse[(col + c) * a.lse_stride] = row.log_of_sum(a.scale, a.lse_offset);
            const log_sum::map map = row.map_of(a.scale, a.empty_rows_lowest);
            greatest[c] = map.greatest;
            less[c] = -map.value;
        }
        if (!a.y)
            return;
        const bool stream = a.stream && block.last == lanes && a.y_stride % lanes == 0 &&
                            reinterpret_cast<std::uintptr_t>(block.y) % 64 == 0;
        const pack<A> scale = simd::broadcast<A>(a.scale);
        for (int c = block.columns(); c < width; ++c)
            greatest[c] = less[c] = 0.0f;
        for (std::ptrdiff_t i = 0; i < block.rows; ++i) {
            const float* x = block.x + i * block.x_stride;
            float* y = block.y + i * block.y_stride;
            for (int w = 0; w < W; ++w) {
                const pack<A> v = simd::fmadd<A>(block.load(x, w) - simd::load<A>(greatest + w * lanes), scale,
                                                 simd::load<A>(less + w * lanes));
                if (stream)
                    simd::stream<A>(y + w * lanes, v);
                else
                    block.store(y, w, v);
            }
        }
    }

    // The blocks of 16 W columns that fit from `col` on. Returns the first column left.
    template <int W>
    TARN_NOINLINE static std::ptrdiff_t run_blocks(const dispatch::log_softmax_call& a, softmax_rows_state<A>& state,
                                                   std::ptrdiff_t col) noexcept {
        constexpr int width = W * lanes;
        block_sums<W> s;
        while (col < a.rows) {
            const std::ptrdiff_t rest = a.rows - col;
            if (W > 1 && rest < width)
                break;
            const int last = rest < width ? static_cast<int>(rest) : lanes;
            const column_block<A, W> block{
                a.x + col, a.y ? a.y + col : nullptr, a.x_stride, a.y_stride, a.length, last, nullptr, 0};
            state.with_weight([&](const auto& weight) TARN_LAMBDA {
                if (W > 1 || last == lanes)
                    note<true>(block, weight, state.base.sign(), s);
                else
                    note<false>(block, weight, state.base.sign(), s);
                return 0;
            });
            bool right = true;
            for (int w = 0; w < W; ++w) {
                const int begin = w * lanes;
                const int end = begin + (w + 1 < W ? lanes : last);
                bool pack_right = true;
                for (int c = begin; c < end; ++c) {
                    s.infinite[c] = false;
                    pack_right = acceptable(s.total[c]) && pack_right;
                }
                if (!pack_right)
                    note_again(state, block, w, s);
                bool any_dominated = false;
                for (int c = begin; c < end; ++c)
                    any_dominated = dominated(s, c, block.rows) || any_dominated;
                if (any_dominated)
                    note_others(state, block, w, s);
                right = pack_right && right;
            }
            if (right)
                state.guessed_right(s.total[0]);
            finish(a, block, col, s);
            col += W > 1 || last == lanes ? width : last;
        }
        return col;
    }

    static void run(const dispatch::log_softmax_call& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        const std::ptrdiff_t col = run_blocks<8>(a, state, 0);
        run_blocks<1>(a, state, col);
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
