// SPDX-License-Identifier: BSD-3-Clause
//
// A tile of short rows, up to sixteen, of doubles eight: their weights stay in a buffer in L1, their sums are reduced
// together, and one division serves all.
#pragma once

#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// As many as a pack has lanes.
template <class A> constexpr int tile_rows = simd::lanes<A>;

// The columns that a tile of rows has: those outside are none of the engine's.
struct tile_part {
    std::ptrdiff_t begin, columns;
};

// How many rows are weighed together: a short one alone is a chain of instructions too long to overlap with the next.
// Packs: the number of packs in a row, 0 for any; Whole: the last pack is known to be full.
template <int Some, int Packs, bool Whole> struct rows_together {
    static constexpr int rows = Some;
    static constexpr bool whole = Whole;
};
// f of what is best for rows of n elements. Packs: 1 if they have at most a pack, else 0; whole: they are exactly one.
template <class A, int Packs, class F>
TARN_INLINE auto with_rows_together(std::ptrdiff_t n, [[maybe_unused]] bool whole, F f) noexcept {
    if constexpr (Packs == 1) {
        return whole ? f(rows_together<4, 1, true>{}) : f(rows_together<4, 1, false>{});
    } else {
        const std::ptrdiff_t packs = (n + lanes<A> - 1) / lanes<A>;
        if (packs == 2)
            return f(rows_together<2, 2, false>{});
        if (packs == 3)
            return f(rows_together<2, 3, false>{});
        if (packs == 4)
            return f(rows_together<1, 4, false>{});
        return f(rows_together<1, 0, false>{});
    }
}

// f of each pack of a row to y. Packs: 1 if it has at most a pack, else 0; Whole: it is known to be exactly one.
template <class A, int Packs, bool Whole, class Source, class Sink, class F>
TARN_INLINE void map_short_row(Source x, Sink y, std::ptrdiff_t n, F f) noexcept {
    if constexpr (Packs == 1) {
        if (Whole || n == lanes<A>)
            y.put(0, f(x.at(0)));
        else
            y.put_first(0, f(x.first(0, static_cast<int>(n))), static_cast<int>(n));
    } else {
        std::ptrdiff_t i = 0;
        for (; i + lanes<A> <= n; i += lanes<A>)
            y.put(i, f(x.at(i)));
        if (i < n)
            y.put_first(i, f(x.first(i, static_cast<int>(n - i))), static_cast<int>(n - i));
    }
}

// A tile of rows' weights, row after row in whole packs, and what is needed to finish them. A row's weights may be
// written as whole packs, since the next row's follow.
template <class A> struct softmax_tile {
    alignas(64) number<A> weights[tile_rows<A> * dispatch::short_row_columns];
    alignas(64) double lane_sums[tile_rows<A> * 8];
    simd::row_totals<A, tile_rows<A>> sums;
    alignas(64) number<A> high[tile_rows<A>];
    alignas(64) number<A> low[tile_rows<A>];
    alignas(64) number<A> thresholds[tile_rows<A>];
    tile_part part;

    // Packs: the number of packs in a row if known at compile time, else 0.
    template <int Packs> TARN_INLINE static std::ptrdiff_t row_size(std::ptrdiff_t n) noexcept {
        return Packs ? Packs * lanes<A> : (n + lanes<A> - 1) / lanes<A> * lanes<A>;
    }

    // One row's weights to the buffer; returns their sums. Lanes beyond the row hold 0.
    template <int Packs, packs_added How = packs_added::in_pairs, class Weight, class Source>
    TARN_INLINE simd::sum_pack<A> weigh(int row, const Weight& weight, const Source& x, std::ptrdiff_t n) noexcept {
        const unit_sink<A> e{weights + row * row_size<Packs>(n)};
        if constexpr (Packs == 1) {
            // The only pack is its own sum.
            const int count = static_cast<int>(n);
            const pack<A> v = count == lanes<A> ? weight(x.at(0)) : weigh_first<A>(weight, x, 0, count);
            e.put(0, v);
            return simd::sum_pack<A>::of(v);
        } else {
            return weigh_span<A, How>(weight, x, e, 0, n, nothing_beside{});
        }
    }

    // The same of several rows from `row` on, whose sources are rows.next().
    template <packs_added How = packs_added::in_pairs, int Some, int Packs, bool Whole, class Weight, class Rows>
    TARN_INLINE void weigh_rows(rows_together<Some, Packs, Whole>, int row, const Weight& weight, Rows& rows,
                                std::ptrdiff_t n) noexcept {
        if constexpr (Packs == 0) {
            keep_sums(row, weigh<0, How>(row, weight, rows.next(), n));
        } else {
            constexpr int before_last = (Packs - 1) * lanes<A>;
            const int count = Whole ? lanes<A> : static_cast<int>(n) - before_last;
            pack<A> v[Some * Packs];
            simd::unroll<Some>([&](auto k) TARN_LAMBDA {
                constexpr int first = decltype(k)::value * Packs;
                const auto x = rows.next();
                simd::unroll<Packs - 1>([&](auto i) TARN_LAMBDA {
                    constexpr int I = decltype(i)::value;
                    v[first + I] = x.at(I * lanes<A>);
                });
                v[first + Packs - 1] = count == lanes<A> ? x.at(before_last) : x.first(before_last, count);
            });
            weigh_each(weight, v);
            simd::unroll<Some>([&](auto k) TARN_LAMBDA {
                constexpr int first = decltype(k)::value * Packs;
                if (count < lanes<A>)
                    v[first + Packs - 1] = simd::first_or<A>(v[first + Packs - 1], count, 0.0f);
                number<A>* const e = weights + (row + decltype(k)::value) * Packs * lanes<A>;
                simd::unroll<Packs>([&](auto i) TARN_LAMBDA {
                    constexpr int I = decltype(i)::value;
                    simd::store<A>(e + I * lanes<A>, v[first + I]);
                });
                keep_sums(row + decltype(k)::value, sum_of<Packs, How>(v + first));
            });
        }
    }

    TARN_INLINE void keep_sums(int row, const simd::sum_pack<A>& row_sums) noexcept {
        row_sums.store_folded(lane_sums + row * 8);
    }

    template <int Packs, packs_added How> TARN_INLINE static simd::sum_pack<A> sum_of(const pack<A>* v) noexcept {
        // A single pack is its own sum.
        if constexpr (Packs == 1) {
            return simd::sum_pack<A>::of(v[0]);
        } else {
            auto row_sums = simd::sum_pack<A>::zero();
            simd::unroll<Packs / 2>([&](auto i) TARN_LAMBDA {
                constexpr int I = 2 * decltype(i)::value;
                add_packs<How>(row_sums, v[I], v[I + 1]);
            });
            if constexpr (Packs % 2 == 1)
                row_sums.add(v[Packs - 1]);
            return row_sums;
        }
    }

    // Sums of all rows. True if every one is acceptable.
    TARN_INLINE bool total() noexcept {
        sums.assign_folded(lane_sums);
        return simd::all_within<A>(sums.rounded(0).to_numbers(), weights_of<A>::least_sum, weights_of<A>::greatest_sum);
    }
    // The normalisers of all rows; sums are acceptable, or 0, or NaN.
    TARN_INLINE void normalise() noexcept {
        pack<A> inverse_high, inverse_low;
        sums.divide(normaliser<A>::excess, inverse_high, inverse_low);
        simd::store<A>(high, inverse_high);
        simd::store<A>(low, inverse_low);
        simd::store<A>(thresholds, sums.rounded(0).to_numbers() * simd::broadcast<A>(weights_of<A>::least_result));
    }

    // Row `row` to y.
    template <int Packs, bool Whole = false, class Sink>
    TARN_INLINE void finish(int row, Sink y, std::ptrdiff_t n) const noexcept {
        finish<Packs, Whole>(row, y, n, normaliser<A>{high[row], low[row], thresholds[row]});
    }
    template <int Packs, bool Whole = false, class Sink>
    TARN_INLINE void finish(int row, Sink y, std::ptrdiff_t n, normaliser<A> result) const noexcept {
        const std::conditional_t<Packs == 1, whole_packs, unit_source<A>> e{{weights + row * row_size<Packs>(n)}};
        map_short_row<A, Packs, Whole>(e, y, n, result.on());
    }

private:
    // Of a row of a single pack all lanes have been written.
    struct whole_packs : unit_source<A> {
        TARN_INLINE pack<A> first(std::ptrdiff_t i, int) const noexcept { return this->at(i); }
    };
};

}}}} // namespace tarn::kernels
