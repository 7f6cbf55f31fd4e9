// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp of rows whose elements lie side by side. A row is read for its sum and again for its
// results, the second time out of a cache and beside the first reading of the next row. Short rows are summed a tile at
// a time. Works in place.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/log_sum.hpp>
#include <tarn/kernels/softmax_short_rows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A tile of short rows: their sums, greatest logits and logarithms.
template <class A> struct log_sum_tile {
    softmax_tile<A> weights;
    alignas(64) number<A> noted[tile_rows<A> * lanes<A>];
    alignas(64) number<A> greatest[tile_rows<A>];
    alignas(64) double excess[tile_rows<A>];
    alignas(64) double value[tile_rows<A>]; // its logarithm

    // Rows from x on. Returns whether every sum is acceptable, and every excess large enough.
    template <int Packs, class Weight>
    TARN_INLINE bool note(const Weight& weight, const number<A>* x, std::ptrdiff_t row_stride, std::ptrdiff_t n,
                          number<A> sign) noexcept {
        const pack<A> signs = simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f);
        for (int i = 0; i < tile_rows<A>; ++i, x += row_stride) {
            pack<A> most = simd::broadcast<A>(-infinity);
            const noting_source<A, unit_source<A>> noting{{x}, signs, &most};
            weights.keep_sums(i, weights.template weigh<Packs, packs_added::singly>(i, weight, noting, n));
            simd::store<A>(noted + i * lanes<A>, most);
        }
        const bool acceptable_sums = weights.total();
        const pack<A> g = simd::greatests<A>(noted) ^ signs;
        simd::store<A>(greatest, g);
        const auto own = simd::double_pack<A>::of(weight(g));
        const auto e = weights.sums.less(0, own) / own;
        e.store(excess);
        simd::log_of_one_plus<A>(e).store(value);
        // Rounded to float, an excess may reach the bound from just below it.
        const number<A> least = static_cast<number<A>>(least_excess<A>(n)) * (1 + 0x1p-22f);
        return simd::all_within<A>(e.to_numbers(), least, infinity) && acceptable_sums;
    }
};

template <class A> struct log_softmax_rows {
    // Rows of a call one by one.
    template <bool Stream> TARN_NOINLINE static void run_long(const dispatch::log_softmax_call<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        departing_row<A, results_sink<A, Stream>, mapped_source<A, typename log_sum<A>::map>> before(
            Stream && a.y_stride == a.length && a.x_stride == a.length);
        guess_reference<A>(state, unit_source<A>{a.x}, a.length);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const std::conditional_t<Stream, ahead_source<A>, unit_source<A>> x{a.x + r * a.x_stride};
            const log_sum<A> s = log_sum_of_row<A>(state, x, a.length, before.beside());
            before.complete(a.length);
            write_sum(a, r, s);
            before.start({x.p, s.map_of(a.scale, a.empty_rows_lowest)}, a.y + r * a.y_stride, a.length);
        }
        before.complete(0);
        before.flush();
        if (Stream)
            simd::stream_fence<A>();
    }
    TARN_NOINLINE static void run_sums(const dispatch::log_softmax_call<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        guess_reference<A>(state, unit_source<A>{a.x}, a.length);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r)
            write_sum(a, r,
                      log_sum_of_row<A>(state, ahead_source<A>(a.x + r * a.x_stride), a.length, nothing_beside{}));
    }

    template <int Packs> TARN_NOINLINE static void run_short(const dispatch::log_softmax_call<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, false);
        log_sum_tile<A> tile;
        std::ptrdiff_t r = 0;
        for (; r + tile_rows<A> <= a.rows; r += tile_rows<A>) {
            const number<A>* x = a.x + r * a.x_stride;
            const bool ordinary = state.with_weight([&](const auto& weight) TARN_LAMBDA {
                return note_tile<Packs>(tile, weight, a, x, state.base.sign());
            });
            if (ordinary) {
                state.guessed_right(tile.weights.sums[0]);
                for (int i = 0; i < tile_rows<A>; ++i)
                    finish(a, r + i, {tile.greatest[i], tile.value[i], false});
            } else {
                finish_each(a, state, r, tile);
            }
        }
        for (; r < a.rows; ++r)
            finish(a, r, log_sum_of_row<A>(state, unit_source<A>{a.x + r * a.x_stride}, a.length, nothing_beside{}));
    }

    static void run(const dispatch::log_softmax_call<number<A>>& a) noexcept {
        if (a.length <= lanes<A>)
            run_short<1>(a);
        else if (a.length <= dispatch::short_row_columns)
            run_short<0>(a);
        else if (!a.y)
            run_sums(a);
        else if (a.stream)
            run_long<true>(a);
        else
            run_long<false>(a);
    }

private:
    TARN_INLINE static void write_sum(const dispatch::log_softmax_call<number<A>>& a, std::ptrdiff_t r,
                                      const log_sum<A>& s) noexcept {
        if (a.lse)
            a.lse[r * a.lse_stride] = s.log_of_sum(a.scale, a.lse_offset);
    }
    template <int Packs, class Weight>
    TARN_NOINLINE static bool note_tile(log_sum_tile<A>& tile, const Weight& given,
                                        const dispatch::log_softmax_call<number<A>>& a, const number<A>* x,
                                        number<A> sign) noexcept {
        const Weight weight = given;
        return tile.template note<Packs>(weight, x, a.x_stride, a.length, sign);
    }
    TARN_INLINE static void finish(const dispatch::log_softmax_call<number<A>>& a, std::ptrdiff_t r,
                                   const log_sum<A>& s) noexcept {
        write_sum(a, r, s);
        if (a.y)
            map_row<A>(unit_source<A>{a.x + r * a.x_stride}, unit_sink<A>{a.y + r * a.y_stride}, 0, a.length,
                       s.map_of(a.scale, a.empty_rows_lowest).on());
    }
    // A tile with rows that defied the guess, or with an element that dominates: only those are summed again.
    TARN_NOINLINE static void finish_each(const dispatch::log_softmax_call<number<A>>& a, softmax_rows_state<A>& state,
                                          std::ptrdiff_t r, const log_sum_tile<A>& tile) noexcept {
        for (int i = 0; i < tile_rows<A>; ++i) {
            const unit_source<A> x{a.x + (r + i) * a.x_stride};
            finish(a, r + i,
                   acceptable<A>(tile.weights.sums[i])
                       ? log_sum_of_ordinary_row<A>(state, x, a.length, tile.greatest[i], tile.excess[i])
                       : log_sum_again<A>(state, x, a.length, tile.greatest[i]));
        }
    }
};

}}}} // namespace tarn::kernels
