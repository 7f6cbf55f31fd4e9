// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp along a strided axis: columns side by side, one lane each, in blocks that are read for
// their sums and again for their results. Works in place.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/columns.hpp>
#include <tarn/kernels/log_sum.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// 16 W columns: their sums, greatest logits and logarithms.
template <class A, int W> struct column_log_sums {
    static constexpr int width = W * lanes;

    column_source<A, W> x;
    std::ptrdiff_t rows;
    alignas(64) double total[width];
    alignas(64) float greatest[width];
    alignas(64) double excess[width]; // sum / weight of the greatest - 1
    bool infinite[width];

    TARN_INLINE int lanes_of(int w) const noexcept { return w + 1 < W ? lanes : x.last; }

    template <class Weight> TARN_NOINLINE void note(const Weight& given, float sign) noexcept {
        const Weight weight = given;
        const column_source<A, W> from = x;
        const pack<A> signs = simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f);
        for (int w = 0; w < W; ++w)
            simd::store<A>(greatest + w * lanes, simd::broadcast<A>(-infinity));
        const auto weigh = [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
            const pack<A> v = from.at_ahead(i, w);
            float* const g = greatest + w * lanes;
            simd::store<A>(g, simd::max_of<A>(v ^ signs, simd::load<A>(g)));
            return weight(v);
        };
        sum_columns<A, W>(rows, total, adding_weights<A, packs_added::singly>(weigh),
                          [](std::ptrdiff_t) TARN_LAMBDA {});
        for (int w = 0; w < W; ++w) {
            const pack<A> g = simd::load<A>(greatest + w * lanes) ^ signs;
            simd::store<A>(greatest + w * lanes, g);
            write_excess(w, weight(g));
        }
        for (bool& b : infinite)
            b = false;
    }
    TARN_INLINE bool acceptable_pack(int w) const noexcept {
        bool right = true;
        for (int c = w * lanes; c < w * lanes + lanes_of(w); ++c)
            right = acceptable(total[c]) && right;
        return right;
    }

    // Sixteen columns again, each with a reference of its own; those without an acceptable sum have no ordinary result.
    TARN_NOINLINE void note_again(softmax_rows_state<A>& state, int w) noexcept {
        const sixteen part = sixteen_at(state, w);
        const exp_weight_by_lane<A> weight(state.base, part.refs);
        sum_sixteen(part, total + w * lanes, weight);
        write_excess(w, weight(part.greatest));
        for (int c = w * lanes; c < w * lanes + part.x.last; ++c) {
            if (acceptable(total[c]))
                continue;
            const log_sum row = log_sum_of_no_row(total[c], greatest[c], state.base, [&]() TARN_LAMBDA {
                for (std::ptrdiff_t i = 0; i < rows; ++i) {
                    const float v = x.p[i * x.stride + c];
                    if (v != v)
                        return true;
                }
                return false;
            });
            excess[c] = row.value; // NaN, or the 0 that is its own logarithm
            infinite[c] = row.infinite;
        }
        alignas(64) float exponents[lanes];
        alignas(64) float centres[lanes];
        simd::store<A>(exponents, part.refs.exponent);
        simd::store<A>(centres, part.refs.centre);
        state.carry({exponents[0], centres[0]});
    }

    // Whether a column of sixteen has an acceptable sum and an element beside which the others vanish.
    TARN_INLINE bool any_dominated(int w) const noexcept {
        bool any = false;
        for (int c = w * lanes; c < w * lanes + lanes_of(w); ++c)
            any = dominated(c) || any;
        return any;
    }
    // The others of such columns among sixteen.
    TARN_NOINLINE void note_others(const softmax_rows_state<A>& state, int w) noexcept {
        const sixteen part = sixteen_at(state, w);
        const exp_weight_by_lane<A> weight(state.base, part.refs);
        const pack<A> own = weight(part.greatest);
        alignas(64) double others[lanes];
        alignas(64) float own_of[lanes];
        sum_sixteen(part, others, [&](const pack<A>& v) TARN_LAMBDA { return weight_of_other<A>(weight(v), own); });
        simd::store<A>(own_of, own);
        for (int c = 0; c < part.x.last; ++c) {
            if (dominated(w * lanes + c))
                excess[w * lanes + c] = excess_of_others(others[c], own_of[c]);
        }
    }

private:
    // Sixteen of the columns, and a reference for each.
    struct sixteen {
        column_source<A, 1> x;
        pack<A> greatest;
        pack_references<A> refs;
    };
    TARN_INLINE sixteen sixteen_at(const softmax_rows_state<A>& state, int w) const noexcept {
        const pack<A> g = simd::first_or<A>(simd::load<A>(greatest + w * lanes), lanes_of(w), 0.0f);
        return {{x.p + w * lanes, x.stride, lanes_of(w)},
                g,
                pack_references<A>::of_greatest(g, state.base, state.carried_bias)};
    }
    template <class Weight>
    TARN_INLINE void sum_sixteen(const sixteen& part, double* sums, const Weight& weight) const noexcept {
        const auto weigh = [&](std::ptrdiff_t i, int) TARN_LAMBDA { return weight(part.x.at_ahead(i, 0)); };
        sum_columns<A, 1>(rows, sums, adding_weights<A, packs_added::singly>(weigh), [](std::ptrdiff_t) TARN_LAMBDA {});
    }
    TARN_INLINE bool dominated(int c) const noexcept { return acceptable(total[c]) && excess[c] < least_excess(rows); }
    TARN_INLINE void write_excess(int w, const pack<A>& weight_of_greatest) noexcept {
        const auto own = simd::double_pack<A>::of(weight_of_greatest);
        ((simd::double_pack<A>::load(total + w * lanes) - own) / own).store(excess + w * lanes);
    }
};

template <class A> struct log_softmax_columns {
    template <int W>
    TARN_NOINLINE static void run_block(const dispatch::log_softmax_call& a, softmax_rows_state<A>& state,
                                        std::ptrdiff_t col, int last) noexcept {
        column_log_sums<A, W> s;
        s.x = {a.x + col, a.x_stride, last};
        s.rows = a.length;
        state.with_weight([&](const auto& weight) TARN_LAMBDA {
            s.note(weight, state.base.sign());
            return 0;
        });
        bool right = true;
        for (int w = 0; w < W; ++w) {
            if (!s.acceptable_pack(w)) {
                s.note_again(state, w);
                right = false;
            }
            if (s.any_dominated(w))
                s.note_others(state, w);
        }
        if (right)
            state.guessed_right(s.total[0]);
        finish(a, s, col);
    }

    template <int W>
    TARN_INLINE static void finish(const dispatch::log_softmax_call& a, const column_log_sums<A, W>& s,
                                   std::ptrdiff_t col) noexcept {
        constexpr int width = W * lanes;
        alignas(64) float greatest[width] = {};
        alignas(64) float less[width] = {};
        alignas(64) double value[width];
        for (int w = 0; w < W; ++w)
            simd::log_of_one_plus<A>(simd::double_pack<A>::load(s.excess + w * lanes)).store(value + w * lanes);
        for (int c = 0; c < (W - 1) * lanes + s.x.last; ++c) {
            const log_sum row{s.greatest[c], value[c], s.infinite[c]};
            if (a.lse)
                a.lse[(col + c) * a.lse_stride] = row.log_of_sum(a.scale, a.lse_offset);
            const log_sum::map map = row.map_of(a.scale, a.empty_rows_lowest);
            greatest[c] = map.greatest;
            less[c] = -map.value;
        }
        if (!a.y)
            return;
        const pack<A> scale = simd::broadcast<A>(a.scale);
        map_columns<A, W>(column_sink<A, W>::of(a.y + col, a.y_stride, s.x.last, a.stream), a.length,
                          [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
                              return simd::fmadd<A>(s.x.at(i, w) - simd::load<A>(greatest + w * lanes), scale,
                                                    simd::load<A>(less + w * lanes));
                          });
    }

    static void run(const dispatch::log_softmax_call& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        for_column_blocks(a.rows, [&](auto packs, std::ptrdiff_t col, int last)
                                      TARN_LAMBDA { run_block<decltype(packs)::value>(a, state, col, last); });
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
