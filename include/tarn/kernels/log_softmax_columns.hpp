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

    TARN_INLINE int columns() const noexcept { return W > 1 ? width : x.last; }

    template <class Weight> TARN_NOINLINE void note(const Weight& given, number<A> sign) noexcept {
        const Weight weight = given;
        const column_source<A, W> from = x;
        const pack<A> signs = simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f);
        for (int w = 0; w < W; ++w)
            simd::store<A>(greatest + w * lanes<A>, simd::broadcast<A>(-infinity));
        const auto load = [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
            const pack<A> v = from.at_ahead(i, w);
            number<A>* const g = greatest + w * lanes<A>;
            simd::store<A>(g, simd::max_of<A>(v ^ signs, simd::load<A>(g)));
            return v;
        };
        sum_columns<A, W>(rows, total,
                          adding_weights<A, packs_added::singly>(load, common_weight<Weight>{weight}, nowhere{}),
                          nothing_beside{});
        for (int w = 0; w < W; ++w) {
            const pack<A> g = simd::load<A>(greatest + w * lanes<A>) ^ signs;
            simd::store<A>(greatest + w * lanes<A>, g);
            write_excess(w, weight(g));
        }
        for (bool& b : infinite)
            b = false;
    }
    // Whether a guess was good for all columns.
    TARN_INLINE bool all_acceptable() const noexcept {
        bool right = true;
        for (int c = 0; c < columns(); ++c)
            right = acceptable<A>(total[c]) && right;
        return right;
    }

    // The sums again, each column with a reference of its own; those without an acceptable one have no ordinary result.
    TARN_NOINLINE void note_again(softmax_rows_state<A>& state) noexcept {
        const weights_by_column<A, W> weights(state.base, greatest);
        add(weights_own{&weights}, total);
        for (int w = 0; w < W; ++w)
            write_excess(w, weights(w, simd::load<A>(greatest + w * lanes<A>)));
        for (int c = 0; c < columns(); ++c) {
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
        state.carry(weights[columns() - 1]);
    }

    // Whether a column has an acceptable sum and an element beside which the others vanish.
    TARN_INLINE bool any_dominated() const noexcept {
        bool any = false;
        for (int c = 0; c < columns(); ++c)
            any = dominated(c) || any;
        return any;
    }
    // The others of such columns.
    TARN_NOINLINE void note_others(const softmax_rows_state<A>& state) noexcept {
        const weights_by_column<A, W> weights(state.base, greatest);
        alignas(64) number<A> own[width];
        for (int w = 0; w < W; ++w)
            simd::store<A>(own + w * lanes<A>, weights(w, simd::load<A>(greatest + w * lanes<A>)));
        simd::row_totals<A, width> others;
        add(weights_of_others{{&weights}, own}, others);
        for (int c = 0; c < columns(); ++c) {
            if (dominated(c))
                excess[c] = excess_of_others<A>(others[c], own[c]);
        }
    }

private:
    using weights_own = typename weights_by_column<A, W>::own;
    struct weights_of_others : weights_own {
        const number<A>* greatest;
        template <int N, class Rows> TARN_INLINE void operator()(pack<A> (&v)[N], int w, Rows of_lane) const noexcept {
            weights_own::operator()(v, w, of_lane);
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                v[K] = weight_of_other<A>(v[K], simd::load<A>(greatest + (w + K / Rows::value) * lanes<A>));
            });
        }
    };
    template <class Weigh> TARN_INLINE void add(const Weigh& weigh, simd::row_totals<A, width>& sums) const noexcept {
        const column_source<A, W> from = x;
        const auto load = [&](std::ptrdiff_t i, int w) TARN_LAMBDA { return from.at_ahead(i, w); };
        sum_columns<A, W>(rows, sums, adding_weights<A, packs_added::singly>(load, weigh, nowhere{}), nothing_beside{});
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
        if (s.all_acceptable())
            state.guessed_right(s.total[0]);
        else
            s.note_again(state);
        if (s.any_dominated())
            s.note_others(state);
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
        for (int c = 0; c < s.columns(); ++c) {
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
