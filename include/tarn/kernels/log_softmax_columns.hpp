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
    alignas(64) double value[width];
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
            write_values(w, weight(g));
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
        const column_source<A, 1> from{x.p + w * lanes, x.stride, lanes_of(w)};
        const pack<A> g = simd::first_or<A>(simd::load<A>(greatest + w * lanes), from.last, 0.0f);
        const auto refs = pack_references<A>::of_greatest(g, state.base, state.carried_bias);
        const exp_weight_by_lane<A> weight(state.base, refs);
        const auto weigh = [&](std::ptrdiff_t i, int) TARN_LAMBDA { return weight(from.at_ahead(i, 0)); };
        sum_columns<A, 1>(rows, total + w * lanes, adding_weights<A, packs_added::singly>(weigh),
                          [](std::ptrdiff_t) TARN_LAMBDA {});
        write_values(w, weight(g));
        for (int c = w * lanes; c < w * lanes + from.last; ++c) {
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
            value[c] = row.value;
            infinite[c] = row.infinite;
        }
        alignas(64) float exponents[lanes];
        alignas(64) float centres[lanes];
        simd::store<A>(exponents, refs.exponent);
        simd::store<A>(centres, refs.centre);
        state.carry({exponents[0], centres[0]});
    }

private:
    TARN_INLINE void write_values(int w, const pack<A>& weight_of_greatest) noexcept {
        const auto own = simd::double_pack<A>::of(weight_of_greatest);
        const auto sums = simd::double_pack<A>::load(total + w * lanes);
        simd::log_of_one_plus<A>((sums - own) / own).store(value + w * lanes);
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
            if (s.acceptable_pack(w))
                continue;
            s.note_again(state, w);
            right = false;
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
        for (int c = 0; c < (W - 1) * lanes + s.x.last; ++c) {
            const log_sum row{s.greatest[c], s.value[c], s.infinite[c]};
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
