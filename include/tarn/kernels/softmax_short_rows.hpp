// SPDX-License-Identifier: BSD-3-Clause
//
// Short rows, up to sixteen at a time: their weights stay in a buffer in L1, their sums are reduced together, and one
// division serves all. The bits are those of a row taken alone. Works in place.
#pragma once

#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

constexpr int tile_rows = 16;

// Sixteen rows' weights, row after row in whole packs, and what is needed to finish them. A row's weights may be written as
// whole packs, since the next row's follow.
template <class A> struct softmax_tile {
    alignas(64) float weights[tile_rows * dispatch::short_row_columns];
    alignas(64) float lane_values[tile_rows * lanes];
    alignas(64) double lane_sums[tile_rows * lanes / 2];
    alignas(64) double sums[tile_rows];
    alignas(64) float factors[tile_rows];
    alignas(64) float thresholds[tile_rows];

    // Packs: the number of packs in a row if known at compile time, else 0.
    template <int Packs> TARN_INLINE static std::ptrdiff_t row_size(std::ptrdiff_t n) noexcept {
        return Packs ? Packs * lanes : (n + lanes - 1) / lanes * lanes;
    }

    // One row's weights to the buffer; returns their sums. Lanes beyond the row hold 0.
    template <int Packs, class Weight>
    TARN_INLINE simd::double_pack<A> weigh(int row, const Weight& weight, unit_source<A> x, std::ptrdiff_t n) noexcept {
        const unit_sink<A> e{weights + row * row_size<Packs>(n)};
        if constexpr (Packs == 1) {
            // The only pack is its own sum.
            const int count = static_cast<int>(n);
            const pack<A> v = count == lanes ? weight(x.at(0)) : weigh_first<A>(weight, x, 0, count);
            e.put(0, v);
            return simd::double_pack<A>::of(v);
        } else {
            return weigh_span<A>(weight, x, e, 0, n, nothing_beside{});
        }
    }

    TARN_INLINE void keep_sums(int row, const simd::double_pack<A>& sums) noexcept {
        sums.store_folded(lane_sums + row * lanes / 2);
    }

    // Sums of all rows; factors and thresholds follow. True if every sum is acceptable.
    TARN_INLINE bool total() noexcept {
        simd::totals_of_folded<A>(lane_sums, sums);
        const auto total = simd::double_pack<A>::load(sums);
        const pack<A> s = total.to_floats();
        simd::store<A>(factors, total.inverse_to_floats());
        simd::store<A>(thresholds, s * simd::broadcast<A>(smallest_normal));
        return simd::all_within<A>(s, least_sum, greatest_sum);
    }

    // Row `row` to y.
    template <int Packs, class Sink> TARN_INLINE void finish(int row, Sink y, std::ptrdiff_t n) const noexcept {
        finish<Packs>(row, y, n, normaliser{factors[row], thresholds[row]});
    }
    template <int Packs, class Sink>
    TARN_INLINE void finish(int row, Sink y, std::ptrdiff_t n, normaliser result) const noexcept {
        const auto f = result.template on<A>();
        const unit_source<A> e{weights + row * row_size<Packs>(n)};
        if constexpr (Packs == 1) {
            if (n == lanes)
                y.put(0, f(e.at(0)));
            else
                y.put_first(0, f(e.at(0)), static_cast<int>(n));
        } else {
            std::ptrdiff_t i = 0;
            for (; i + lanes <= n; i += lanes)
                y.put(i, f(e.at(i)));
            if (i < n)
                y.put_first(i, f(e.at(i)), static_cast<int>(n - i));
        }
    }
};

// The rows of a call, sixteen by sixteen. While the rows of one tile are weighed, those of the tile before are finished: two
// streams of work that do not wait for each other.
template <class A, int Packs> struct short_rows_engine {
    const dispatch::softmax_rows a;
    softmax_rows_state<A> state;
    softmax_tile<A> tiles[2];

    TARN_INLINE explicit short_rows_engine(const dispatch::softmax_rows& call) noexcept
        : a(call), state(call.scale, call.zero_empty_rows) {}

    TARN_INLINE unit_source<A> source(std::ptrdiff_t row) const noexcept { return {a.x + row * a.x_row_stride}; }
    TARN_INLINE unit_sink<A> sink(std::ptrdiff_t row) const noexcept { return {a.y + row * a.y_row_stride}; }

    // Weighs the rows from `next` on into `to`, and finishes those from `last` on, if there are any, out of `from`.
    template <bool Finish, class Sink>
    TARN_INLINE bool step(softmax_tile<A>& to, std::ptrdiff_t next, const softmax_tile<A>& from,
                          std::ptrdiff_t last) noexcept {
        const exp_weight<A, true> weight = state.folded;
        const std::ptrdiff_t n = a.columns;
        const float* x = a.x + next * a.x_row_stride;
        float* y = a.y + last * a.y_row_stride;
        for (int i = 0; i < tile_rows; ++i) {
            to.keep_sums(i, to.template weigh<Packs>(i, weight, unit_source<A>{x}, n));
            x += a.x_row_stride;
            if constexpr (Finish) {
                from.template finish<Packs>(i, Sink{y}, n);
                y += a.y_row_stride;
            }
        }
        return to.total();
    }
    template <class Sink> TARN_INLINE void finish(const softmax_tile<A>& from, std::ptrdiff_t last) noexcept {
        for (int i = 0; i < tile_rows; ++i)
            from.template finish<Packs>(i, Sink{sink(last + i).p}, a.columns);
    }

    // Fewer than sixteen rows from `first` on, one by one. Returns the first that defies the guess.
    TARN_INLINE std::ptrdiff_t alone(std::ptrdiff_t first) noexcept {
        const exp_weight<A, true> weight = state.folded;
        for (std::ptrdiff_t r = first; r < a.rows; ++r) {
            const double sum = tiles[0].template weigh<Packs>(0, weight, source(r), a.columns).total();
            if (!acceptable(sum))
                return r;
            tiles[0].template finish<Packs>(0, sink(r), a.columns, normaliser::of(sum));
        }
        return a.rows;
    }

    // Every row with a reference of its own, from its greatest logit.
    TARN_NOINLINE void careful(softmax_tile<A>& tile, std::ptrdiff_t first, int count) noexcept {
        const std::ptrdiff_t n = a.columns;
        const float sign = state.base.sign();
        const pack<A> flip = simd::broadcast<A>(sign);
        for (int i = 0; i < count; ++i) {
            pack<A> m = simd::broadcast<A>(-infinity);
            for (std::ptrdiff_t k = 0; k < n; k += lanes) {
                const int count = n - k < lanes ? static_cast<int>(n - k) : lanes;
                m = simd::max_of<A>(simd::first_or<A>(source(first + i).first(k, count) * flip, count, -infinity), m);
            }
            simd::store<A>(tile.lane_values + i * lanes, m);
        }
        for (int i = count; i < tile_rows; ++i)
            simd::store<A>(tile.lane_values + i * lanes, simd::broadcast<A>(-infinity));
        const auto refs = pack_references<A>::of_greatest(simd::greatests<A>(tile.lane_values) * flip, state.base,
                                                          state.carried_bias);
        alignas(64) float exponents[tile_rows];
        alignas(64) float centres[tile_rows];
        simd::store<A>(exponents, refs.exponent);
        simd::store<A>(centres, refs.centre);
        const exp_weight_by_lane<A> by_lane(state.base, refs);
        alignas(64) float fields[6][tile_rows];
        by_lane.bounds.store(fields);
        exp_weight<A, false> weight = by_lane.common;
        for (int i = 0; i < count; ++i) {
            weight.refer_to(exp_bounds<float>{fields[0][i], fields[1][i], fields[2][i], fields[3][i], fields[4][i],
                                              fields[5][i]});
            tile.keep_sums(i, tile.template weigh<Packs>(i, weight, source(first + i), n));
        }
        for (int i = count; i < tile_rows; ++i)
            tile.keep_sums(i, simd::double_pack<A>::zero());
        const bool ordinary = tile.total();
        for (int i = 0; i < count; ++i) {
            const double sum = tile.sums[i];
            if (ordinary || acceptable(sum))
                tile.template finish<Packs>(i, sink(first + i), n);
            else
                fill_row<A>(sink(first + i), n, sum == 0 ? state.empty_value : __builtin_nanf(""));
        }
        state.carry({exponents[0], centres[0]});
    }

    template <class Sink> TARN_INLINE void run() noexcept {
        std::ptrdiff_t r = 0;
        std::ptrdiff_t unfinished = -1;    // the tile before, still to be finished out of tiles[turn ^ 1]
        int turn = 0;
        for (; r + tile_rows <= a.rows; r += tile_rows) {
            softmax_tile<A>& tile = tiles[turn];
            const softmax_tile<A>& before = tiles[turn ^ 1];
            const bool guess = exp_weight<A, true>::can_express(state.ref) && state.may_guess();
            if (!guess && unfinished >= 0)
                finish<Sink>(before, unfinished);
            const bool right = guess && (unfinished >= 0 ? step<true, Sink>(tile, r, before, unfinished)
                                                         : step<false, Sink>(tile, r, before, 0));
            unfinished = right ? r : -1;
            turn ^= right;
            if (right)
                state.guessed_right(tile.sums[0]);
            else if (guess)
                state.guessed_wrong();
            if (!right)
                careful(tile, r, tile_rows);
        }
        if (unfinished >= 0)
            finish<Sink>(tiles[turn ^ 1], unfinished);
        if (r < a.rows && exp_weight<A, true>::can_express(state.ref))
            r = alone(r);
        if (r < a.rows)
            careful(tiles[0], r, static_cast<int>(a.rows - r));
    }
};

template <class A> struct short_rows {
    template <int Packs> TARN_NOINLINE static void run_as(const dispatch::softmax_rows& a) noexcept {
        short_rows_engine<A, Packs> engine(a);
        const bool whole_lines = a.columns % lanes == 0 && a.y_row_stride % lanes == 0 &&
                                 reinterpret_cast<std::uintptr_t>(a.y) % 64 == 0;
        if (a.stream && whole_lines) {
            engine.template run<stream_sink<A>>();
            simd::stream_fence<A>();
        } else {
            engine.template run<unit_sink<A>>();
        }
    }
    static void run(const dispatch::softmax_rows& a) noexcept {
        if (a.columns <= lanes)
            run_as<1>(a);
        else
            run_as<0>(a);
    }
};

}}}} // namespace tarn::kernels
