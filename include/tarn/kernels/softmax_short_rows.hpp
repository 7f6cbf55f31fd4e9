// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of short rows, tile by tile: guessed references, what to do where they are wrong, and rows that fill no tile. The
// bits are those of a row taken alone. Works in place.
#pragma once

#include <tarn/kernels/softmax_tile.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Where rows come from: part(r) are the columns of the tile whose first row is r, source(r) is that of row r, and from(r)
// has those of the tile from row r on, one after the other, as next(). Those of a call are its elements.
template <class A> struct rows_of_elements {
    const number<A>* x;
    std::ptrdiff_t across, columns;

    TARN_INLINE explicit rows_of_elements(const dispatch::softmax_rows<number<A>>& a) noexcept
        : x(a.x), across(a.x_row_stride), columns(a.columns) {}
    TARN_INLINE tile_part part(std::ptrdiff_t) const noexcept { return {0, columns}; }
    TARN_INLINE unit_source<A> source(std::ptrdiff_t r) const noexcept { return {x + r * across}; }

    struct walk {
        const number<A>* x;
        std::ptrdiff_t across;
        TARN_INLINE unit_source<A> next() noexcept {
            const unit_source<A> row{x};
            x += across;
            return row;
        }
    };
    TARN_INLINE walk from(std::ptrdiff_t r) const noexcept { return {x + r * across, across}; }
};

// Rows from `first` on one by one, fewer than a tile, up to the first that defies the weight. Returns its index, or
// a.rows. note(sum) is called for every row before it.
template <class A, int Packs, class Rows, class Weight, class Note>
TARN_INLINE std::ptrdiff_t guess_rows(const dispatch::softmax_rows<number<A>>& a, const Rows& rows,
                                      std::ptrdiff_t first, const Weight& given, softmax_tile<A>& tile,
                                      const Note& note) noexcept {
    const Weight weight = given;
    for (std::ptrdiff_t r = first; r < a.rows; ++r) {
        const row_total<A> sum = tile.template weigh<Packs>(0, weight, rows.source(r), a.columns).total();
        if (!acceptable<A>(sum))
            return r;
        tile.template finish<Packs>(0, unit_sink<A>{a.y + r * a.y_row_stride}, a.columns, normaliser<A>::of(sum));
        note(sum);
    }
    return a.rows;
}

// The same for all rows: those that defy the carried reference are taken carefully, and leave theirs behind.
template <class A, int Packs, class Rows>
TARN_NOINLINE void remaining_rows(softmax_rows_state<A>& state, row_logs<A>& logs,
                                  const dispatch::softmax_rows<number<A>>& a, const Rows& rows, std::ptrdiff_t first,
                                  softmax_tile<A>& tile) noexcept {
    const auto note = [&](double sum) TARN_LAMBDA { logs.note({sum, state.ref}, true); };
    for (std::ptrdiff_t r = first; r < a.rows; ++r) {
        if (state.may_guess()) {
            const std::ptrdiff_t wrong = state.with_weight(
                [&](const auto& weight) TARN_LAMBDA { return guess_rows<A, Packs>(a, rows, r, weight, tile, note); });
            if (wrong > r)
                state.next_careful_rows = 0;
            if (wrong < a.rows)
                state.guessed_wrong();
            r = wrong;
        }
        if (r < a.rows) {
            careful_row<A, true>(state, rows.source(r), unit_sink<A>{a.y + r * a.y_row_stride}, a.columns);
            note_last(logs, state);
        }
    }
    logs.flush();
}

// The bounds of a tile's weights, as exp_bounds stores them.
template <class A> struct tile_references {
    alignas(64) number<A> bounds[6][tile_rows<A>];
    std::ptrdiff_t first = -1; // the row they begin at
};

// The rows of a call, tile by tile. While the rows of one tile are weighed, those of the tile before are
// finished: two streams of work that do not wait for each other.
template <class A, int Packs, class Rows> struct short_rows_engine {
    const dispatch::softmax_rows<number<A>> a;
    const Rows all;
    const bool stream;
    softmax_rows_state<A> state;
    row_logs<A> logs;
    softmax_tile<A> tiles[2];
    tile_references<A> references[2];

    TARN_INLINE short_rows_engine(const dispatch::softmax_rows<number<A>>& call, const Rows& rows) noexcept
        : a(call), all(rows), stream(call.stream && are_whole_lines<A>(call.y, call.y_row_stride, call.columns)),
          state(call.scale, call.zero_empty_rows), logs(logs_of<A>(call)) {}

    TARN_INLINE bool may_guess() const noexcept { return state.careful_rows == 0; }
    TARN_INLINE either_sink<A> sink(const softmax_tile<A>& tile, std::ptrdiff_t row) const noexcept {
        return {a.y + row * a.y_row_stride + tile.part.begin, stream};
    }

    // Weighs the rows from `next` on into `to`, by weigh(i, x) for Some rows from row i on, and finishes those from `last`
    // on out of `before` if there are any (last >= 0). Returns whether every sum is acceptable.
    // Rows of both tiles are a whole pack each, if Whole.
    template <int Some, bool Whole, class Weigh>
    TARN_INLINE bool step(softmax_tile<A>& to, std::ptrdiff_t next, const softmax_tile<A>& before, std::ptrdiff_t last,
                          Weigh weigh) noexcept {
        const std::ptrdiff_t n = before.part.columns;
        auto x = all.from(next);
        either_sink<A> y = sink(before, last);
        if (last < 0) {
            for (int i = 0; i < tile_rows<A>; i += Some)
                weigh(i, x);
            return to.total();
        }
        for (int i = 0; i < tile_rows<A>; i += Some) {
            weigh(i, x);
            simd::unroll<Some>([&](auto k) TARN_LAMBDA {
                y.with([&](auto sink)
                           TARN_LAMBDA { before.template finish<Packs, Whole>(i + decltype(k)::value, sink, n); });
                y.p += a.y_row_stride;
            });
        }
        return to.total();
    }
    template <class Weight>
    TARN_NOINLINE bool guess(const Weight& given, softmax_tile<A>& to, std::ptrdiff_t next,
                             const softmax_tile<A>& before, std::ptrdiff_t last) noexcept {
        const Weight weight = given;
        const std::ptrdiff_t n = to.part.columns;
        const bool whole = n == lanes<A> && (last < 0 || before.part.columns == n);
        return with_rows_together<A, Packs>(n, whole, [&](auto together) TARN_LAMBDA {
            using some = decltype(together);
            return step<some::rows, some::whole>(
                to, next, before, last, [&](int i, auto& x) TARN_LAMBDA { to.weigh_rows(some{}, i, weight, x, n); });
        });
    }

    // A reference for every row of the tile from `first` on, from its greatest logit.
    TARN_INLINE void prepare(tile_references<A>& refs, std::ptrdiff_t first) noexcept {
        const pack<A> flip = simd::broadcast<A>(state.base.sign());
        alignas(64) number<A> greatest[tile_rows<A> * lanes<A>];
        const std::ptrdiff_t n = all.part(first).columns;
        auto rows = all.from(first);
        for (int i = 0; i < tile_rows<A>; ++i) {
            const auto x = rows.next();
            pack<A> m = simd::broadcast<A>(-infinity);
            std::ptrdiff_t k = 0;
            for (; k + lanes<A> <= n; k += lanes<A>)
                m = simd::max_of<A>(x.at(k) * flip, m);
            if (k < n) {
                const int rest = static_cast<int>(n - k);
                m = simd::max_of<A>(simd::first_or<A>(x.first(k, rest) * flip, rest, -infinity), m);
            }
            simd::store<A>(greatest + i * lanes<A>, m);
        }
        const exp_weight_by_lane<A> by_lane(
            state.base,
            pack_references<A>::of_greatest(simd::greatests<A>(greatest) * flip, state.base, weights_of<A>::bias));
        by_lane.bounds.store(refs.bounds);
        refs.first = first;
    }

    // The same as guess, with a reference for every row. Always right: sums are acceptable, or 0, or NaN. References of
    // the next tile are found meanwhile if it will need them.
    TARN_NOINLINE bool careful(softmax_tile<A>& to, std::ptrdiff_t next, const softmax_tile<A>& before,
                               std::ptrdiff_t last, bool careful_after) noexcept {
        tile_references<A>& refs = references[next / tile_rows<A> % 2];
        if (refs.first != next)
            prepare(refs, next);
        if (careful_after && next + 2 * tile_rows<A> <= a.rows)
            prepare(references[(next / tile_rows<A> + 1) % 2], next + tile_rows<A>);
        state.carry({refs.bounds[4][0], refs.bounds[5][0]});
        exp_weight<A, false> weight(state.base, reference<A>{0, 0});
        return step<1, false>(to, next, before, last, [&](int i, auto& x) TARN_LAMBDA {
            weight.refer_to(exp_bounds<A, number<A>>{refs.bounds[0][i], refs.bounds[1][i], refs.bounds[2][i],
                                                     refs.bounds[3][i], refs.bounds[4][i], refs.bounds[5][i]});
            to.keep_sums(i, to.template weigh<Packs>(i, weight, x.next(), to.part.columns));
        });
    }

    // A tile that no other follows, or with rows that have no sum.
    TARN_NOINLINE void finish_alone(const softmax_tile<A>& tile, std::ptrdiff_t first) noexcept {
        for (int i = 0; i < tile_rows<A>; ++i) {
            const unit_sink<A> y{sink(tile, first + i).p};
            if (acceptable<A>(tile.sums[i]))
                tile.template finish<Packs>(i, y, tile.part.columns);
            else
                fill_row<A>(y, tile.part.columns, tile.sums.high[i] == 0 ? state.empty_value : __builtin_nanf(""));
        }
    }

    TARN_INLINE void run() noexcept {
        std::ptrdiff_t r = 0;
        std::ptrdiff_t last = -1; // the tile before, still to be finished out of tiles[turn ^ 1]
        int turn = 0;
        for (; r + tile_rows<A> <= a.rows; r += tile_rows<A>) {
            softmax_tile<A>& tile = tiles[turn];
            const softmax_tile<A>& before = tiles[turn ^ 1];
            tile.part = all.part(r);
            bool ordinary = false;
            bool guessed = false;
            if (may_guess()) {
                ordinary = guessed = state.with_weight(
                    [&](const auto& weight) TARN_LAMBDA { return guess(weight, tile, r, before, last); });
                last = -1;
                if (guessed) {
                    logs.note_tile(
                        tile.sums.high, tile_rows<A>, [&](int) TARN_LAMBDA { return state.ref; }, acceptable<A>);
                    state.guessed_right(tile.sums[0]);
                } else {
                    state.guessed_wrong();
                }
            }
            if (!guessed && state.careful_rows > 0)
                --state.careful_rows;
            if (!guessed) {
                ordinary = careful(tile, r, before, last, !may_guess());
                const auto& bounds = references[r / tile_rows<A> % 2].bounds;
                logs.note_tile(
                    tile.sums.high, tile_rows<A>,
                    [&](int i) TARN_LAMBDA {
                        return reference<A>{bounds[4][i], bounds[5][i]};
                    },
                    acceptable<A>);
            }
            tile.normalise();
            last = ordinary ? r : -1;
            turn ^= ordinary;
            if (!ordinary)
                finish_alone(tile, r);
        }
        if (last >= 0)
            finish_alone(tiles[turn ^ 1], last);
        const tile_part part = all.part(r);
        dispatch::softmax_rows<number<A>> rest = a;
        rest.y += part.begin;
        rest.columns = part.columns;
        remaining_rows<A, Packs>(state, logs, rest, all, r, tiles[0]);
        if (stream)
            simd::stream_fence<A>();
    }
};

template <class A, int Packs, class Rows>
TARN_NOINLINE void run_short_rows(const dispatch::softmax_rows<number<A>>& a, const Rows& rows) noexcept {
    short_rows_engine<A, Packs, Rows>(a, rows).run();
}

template <class A> struct short_rows {
    template <int Packs>
    TARN_NOINLINE static void run_remaining(const dispatch::softmax_rows<number<A>>& a, std::ptrdiff_t first,
                                            int careful, softmax_tile<A>& tile) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        state.careful_rows = careful;
        auto logs = logs_of<A>(a);
        remaining_rows<A, Packs>(state, logs, a, rows_of_elements<A>(a), first, tile);
    }
    // Less than a tile: a single call on a few numbers waits for nothing but its own row. With the usual scale all
    // constants of the exponential are known to the compiler.
    template <int Packs> TARN_NOINLINE static void run_few(const dispatch::softmax_rows<number<A>>& a) noexcept {
        const auto rows = [&](number<A> scale) TARN_LAMBDA {
            softmax_tile<A> tile;
            const reference<A> guess{-weights_of<A>::bias, 0.0f};
            const std::ptrdiff_t r =
                guess_rows<A, Packs>(a, rows_of_elements<A>(a), 0, exp_weight<A, true>(exp_base<A>::of(scale), guess),
                                     tile, [](double) TARN_LAMBDA {});
            if (r < a.rows)
                run_remaining<Packs>(a, r, 1, tile);
        };
        if (a.lse) {
            softmax_tile<A> tile;
            run_remaining<Packs>(a, 0, 0, tile);
        } else if (a.scale == 1.0f) {
            rows(1.0f);
        } else {
            rows(a.scale);
        }
    }
    template <int Packs> TARN_INLINE static void run_rows(const dispatch::softmax_rows<number<A>>& a) noexcept {
        if (a.rows < tile_rows<A>)
            run_few<Packs>(a);
        else
            run_short_rows<A, Packs>(a, rows_of_elements<A>(a));
    }
    static void run(const dispatch::softmax_rows<number<A>>& a) noexcept {
        if (a.columns <= lanes<A>)
            run_rows<1>(a);
        else
            run_rows<0>(a);
    }
};

}}}} // namespace tarn::kernels
