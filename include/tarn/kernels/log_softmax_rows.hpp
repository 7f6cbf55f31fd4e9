// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax and log-sum-exp of rows whose elements lie side by side. A row is read for its sum and again for its
// results, the second time out of a cache and beside the first reading of the next row. Short rows are summed a tile at
// a time. Works in place.
#pragma once

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/log_sum.hpp>
#include <tarn/kernels/softmax_tile.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Rows one after the other, whose greatest elements are noted in the packs from `most` on.
template <class A> struct noted_rows {
    const number<A>* x;
    std::ptrdiff_t across;
    pack<A> signs;
    pack<A>* most;
    TARN_INLINE noting_source<A, unit_source<A>> next() noexcept {
        *most = simd::broadcast<A>(-infinity);
        const noting_source<A, unit_source<A>> row{{x}, signs, most++};
        x += across;
        return row;
    }
};

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
        with_rows_together<A, Packs>(n, n == lanes<A>, [&](auto together) TARN_LAMBDA {
            using some = decltype(together);
            pack<A> most[some::rows];
            noted_rows<A> rows{x, row_stride, signs, most};
            for (int i = 0; i < tile_rows<A>; i += some::rows) {
                rows.most = most;
                weights.template weigh_rows<packs_added::singly>(some{}, i, weight, rows, n);
                simd::unroll<some::rows>([&](auto k) TARN_LAMBDA {
                    simd::store<A>(noted + (i + decltype(k)::value) * lanes<A>, most[decltype(k)::value]);
                });
            }
        });
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

    // The log-sum-exp of every row; all are ordinary.
    TARN_INLINE pack<A> logs(number<A> scale, double offset) const noexcept {
        const auto g = simd::double_pack<A>::of(simd::load<A>(greatest));
        auto log = simd::double_pack<A>::load(value);
        simd::unroll<simd::double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            auto& l = log.part[decltype(i)::value];
            l = log_sum<A>::log_of(g.part[decltype(i)::value], l, static_cast<double>(scale), offset);
        });
        return log.to_numbers();
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
        const bool stream = a.y && a.stream && are_whole_lines<A>(a.y, a.y_stride, a.length);
        std::ptrdiff_t r = 0;
        for (; r + tile_rows<A> <= a.rows; r += tile_rows<A>) {
            const number<A>* x = a.x + r * a.x_stride;
            const bool ordinary = state.with_weight([&](const auto& weight) TARN_LAMBDA {
                return note_tile<Packs>(tile, weight, a, x, state.base.sign());
            });
            if (ordinary)
                state.guessed_right(tile.weights.sums[0]);
            // Differences may be infinite, which a scale of 0 does not bear.
            if (ordinary && a.scale != 0) {
                if (a.lse)
                    write_logs(a, r, tile);
                if (stream)
                    map_tile<Packs, true>(a, r, tile);
                else if (a.y)
                    map_tile<Packs, false>(a, r, tile);
            } else {
                finish_each(a, state, r, tile);
            }
        }
        for (; r < a.rows; ++r)
            finish(a, r, log_sum_of_row<A>(state, unit_source<A>{a.x + r * a.x_stride}, a.length, nothing_beside{}));
        if (stream)
            simd::stream_fence<A>();
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
    // Rows from r on, all ordinary.
    TARN_INLINE static void write_logs(const dispatch::log_softmax_call<number<A>>& a, std::ptrdiff_t r,
                                       const log_sum_tile<A>& tile) noexcept {
        alignas(64) number<A> logs[tile_rows<A>];
        simd::store<A>(logs, tile.logs(a.scale, a.lse_offset));
        for (int i = 0; i < tile_rows<A>; ++i)
            a.lse[(r + i) * a.lse_stride] = logs[i];
    }
    template <int Packs, bool Stream>
    TARN_INLINE static void map_tile(const dispatch::log_softmax_call<number<A>>& a, std::ptrdiff_t r,
                                     const log_sum_tile<A>& tile) noexcept {
        const number<A>* x = a.x + r * a.x_stride;
        number<A>* y = a.y + r * a.y_stride;
        for (int i = 0; i < tile_rows<A>; ++i, x += a.x_stride, y += a.y_stride) {
            const typename log_sum<A>::map map{a.scale, tile.greatest[i], static_cast<number<A>>(tile.value[i])};
            map_short_row<A, Packs, false>(unit_source<A>{x}, results_sink<A, Stream>{y}, a.length, map.on());
        }
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
