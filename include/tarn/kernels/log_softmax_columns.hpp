// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp along a strided axis: columns side by side, one lane each, in blocks that are read for
// their sums and again for their results. Works in place.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/columns.hpp>
#include <tarn/kernels/log_sum.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// W packs of columns: their sums, greatest logits and logarithms.
template <class A, int W> struct column_log_sums {
    static constexpr int width = W * lanes<A>;

    column_source<A, W> x;
    std::ptrdiff_t rows;
    simd::row_totals<A, width> total;
    alignas(64) number<A> greatest[width];
    alignas(64) double excess[width]; // sum / weight of the greatest - 1
    bool infinite[width];

    TARN_INLINE int lanes_of(int w) const noexcept { return w + 1 < W ? lanes<A> : x.last; }

    template <class Weight> TARN_NOINLINE void note(const Weight& given, number<A> sign) noexcept {
        const Weight weight = given;
        const column_source<A, W> from = x;
        const pack<A> signs = simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f);
        for (int w = 0; w < W; ++w)
            simd::store<A>(greatest + w * lanes<A>, simd::broadcast<A>(-infinity));
        const auto weigh = [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
            const pack<A> v = from.at_ahead(i, w);
            number<A>* const g = greatest + w * lanes<A>;
            simd::store<A>(g, simd::max_of<A>(v ^ signs, simd::load<A>(g)));
            return weight(v);
        };
        sum_columns<A, W>(rows, total, adding_weights<A, packs_added::singly>(weigh),
                          [](std::ptrdiff_t) TARN_LAMBDA {});
        for (int w = 0; w < W; ++w) {
            const pack<A> g = simd::load<A>(greatest + w * lanes<A>) ^ signs;
            simd::store<A>(greatest + w * lanes<A>, g);
            write_excess(w, weight(g));
        }
        for (bool& b : infinite)
            b = false;
    }
    TARN_INLINE bool acceptable_pack(int w) const noexcept {
        bool right = true;
        for (int c = w * lanes<A>; c < w * lanes<A> + lanes_of(w); ++c)
            right = acceptable<A>(total[c]) && right;
        return right;
    }

    // A pack of columns again, each with a reference of its own; those without an acceptable sum have no ordinary
    // result.
    TARN_NOINLINE void note_again(softmax_rows_state<A>& state, int w) noexcept {
        const column_pack part = pack_at(state, w);
        const exp_weight_by_lane<A> weight(state.base, part.refs);
        simd::row_totals<A, lanes<A>> again;
        sum_pack(part, again, weight);
        for (int c = 0; c < lanes<A>; ++c)
            total.set(w * lanes<A> + c, again[c]);
        write_excess(w, weight(part.greatest));
        for (int c = w * lanes<A>; c < w * lanes<A> + part.x.last; ++c) {
            if (acceptable<A>(total[c]))
                continue;
            const log_sum<A> row = log_sum_of_no_row<A>(total[c], greatest[c], state.base, [&]() TARN_LAMBDA {
                for (std::ptrdiff_t i = 0; i < rows; ++i) {
                    const number<A> v = x.p[i * x.stride + c];
                    if (v != v)
                        return true;
                }
                return false;
            });
            excess[c] = row.value; // NaN, or the 0 that is its own logarithm
            infinite[c] = row.infinite;
        }
        alignas(64) number<A> exponents[lanes<A>];
        alignas(64) number<A> centres[lanes<A>];
        simd::store<A>(exponents, part.refs.exponent);
        simd::store<A>(centres, part.refs.centre);
        state.carry({exponents[0], centres[0]});
    }

    // Whether a column of a pack has an acceptable sum and an element beside which the others vanish.
    TARN_INLINE bool any_dominated(int w) const noexcept {
        bool any = false;
        for (int c = w * lanes<A>; c < w * lanes<A> + lanes_of(w); ++c)
            any = dominated(c) || any;
        return any;
    }
    // The others of such columns in a pack.
    TARN_NOINLINE void note_others(const softmax_rows_state<A>& state, int w) noexcept {
        const column_pack part = pack_at(state, w);
        const exp_weight_by_lane<A> weight(state.base, part.refs);
        const pack<A> own = weight(part.greatest);
        simd::row_totals<A, lanes<A>> others;
        alignas(64) number<A> own_of[lanes<A>];
        sum_pack(part, others, [&](const pack<A>& v) TARN_LAMBDA { return weight_of_other<A>(weight(v), own); });
        simd::store<A>(own_of, own);
        for (int c = 0; c < part.x.last; ++c) {
            if (dominated(w * lanes<A> + c))
                excess[w * lanes<A> + c] = excess_of_others<A>(others[c], own_of[c]);
        }
    }

private:
    // A pack of the columns, and a reference for each.
    struct column_pack {
        column_source<A, 1> x;
        pack<A> greatest;
        pack_references<A> refs;
    };
    TARN_INLINE column_pack pack_at(const softmax_rows_state<A>& state, int w) const noexcept {
        const pack<A> g = simd::first_or<A>(simd::load<A>(greatest + w * lanes<A>), lanes_of(w), 0.0f);
        return {{x.p + w * lanes<A>, x.stride, lanes_of(w)},
                g,
                pack_references<A>::of_greatest(g, state.base, weights_of<A>::bias)};
    }
    template <class Weight>
    TARN_INLINE void sum_pack(const column_pack& part, simd::row_totals<A, lanes<A>>& sums,
                              const Weight& weight) const noexcept {
        const auto weigh = [&](std::ptrdiff_t i, int) TARN_LAMBDA { return weight(part.x.at_ahead(i, 0)); };
        sum_columns<A, 1>(rows, sums, adding_weights<A, packs_added::singly>(weigh), [](std::ptrdiff_t) TARN_LAMBDA {});
    }
    TARN_INLINE bool dominated(int c) const noexcept {
        return acceptable<A>(total[c]) && excess[c] < least_excess<A>(rows);
    }
    TARN_INLINE void write_excess(int w, const pack<A>& weight_of_greatest) noexcept {
        const auto own = simd::double_pack<A>::of(weight_of_greatest);
        (total.less(w * lanes<A>, own) / own).store(excess + w * lanes<A>);
    }
};

template <class A> struct log_softmax_columns {
    template <int W>
    TARN_NOINLINE static void run_block(const dispatch::log_softmax_call<number<A>>& a, softmax_rows_state<A>& state,
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
    TARN_INLINE static void finish(const dispatch::log_softmax_call<number<A>>& a, const column_log_sums<A, W>& s,
                                   std::ptrdiff_t col) noexcept {
        constexpr int width = W * lanes<A>;
        alignas(64) number<A> greatest[width] = {};
        alignas(64) number<A> less[width] = {};
        alignas(64) double value[width];
        for (int w = 0; w < W; ++w)
            simd::log_of_one_plus<A>(simd::double_pack<A>::load(s.excess + w * lanes<A>)).store(value + w * lanes<A>);
        for (int c = 0; c < (W - 1) * lanes<A> + s.x.last; ++c) {
            const log_sum<A> row{s.greatest[c], value[c], s.infinite[c]};
            if (a.lse)
                a.lse[(col + c) * a.lse_stride] = row.log_of_sum(a.scale, a.lse_offset);
            const typename log_sum<A>::map map = row.map_of(a.scale, a.empty_rows_lowest);
            greatest[c] = map.greatest;
            less[c] = -map.value;
        }
        if (!a.y)
            return;
        const pack<A> scale = simd::broadcast<A>(a.scale);
        map_columns<A, W>(column_sink<A, W>::of(a.y + col, a.y_stride, s.x.last, a.stream), a.length,
                          [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
                              return simd::fmadd<A>(s.x.at(i, w) - simd::load<A>(greatest + w * lanes<A>), scale,
                                                    simd::load<A>(less + w * lanes<A>));
                          });
    }

    static void run(const dispatch::log_softmax_call<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        for_column_blocks<A>(a.rows, [&](auto packs, std::ptrdiff_t col, int last)
                                         TARN_LAMBDA { run_block<decltype(packs)::value>(a, state, col, last); });
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
