// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernels of pieces of one long row share. A piece is a chunk of row_sum.hpp, so the bits are those of the row
// taken by any other kernel.
#pragma once

#include <tarn/dispatch/pieces.hpp>
#include <tarn/kernels/row_maps.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

static_assert(dispatch::piece_size == chunk_size, "a piece is a chunk");

template <class A> using piece_reading = dispatch::piece_reading<number<A>>;

template <class A>
TARN_INLINE piece_reading<A> reading_of(const row_total<A>& sum, number<A> greatest = -infinity) noexcept {
    if constexpr (simd::is_double<A>)
        return {sum.high, sum.low, greatest};
    else
        return {sum, 0.0, greatest};
}
template <class A> TARN_INLINE row_total<A> total_of(const piece_reading<A>& r) noexcept {
    if constexpr (simd::is_double<A>)
        return {r.high, r.low};
    else
        return r.high;
}
// Adds a piece's sum to the row's, and keeps the greatest number.
template <class A> TARN_INLINE void add_reading(piece_reading<A>& row, const piece_reading<A>& piece) noexcept {
    row_total<A> sum = total_of<A>(row);
    simd::add_total(sum, total_of<A>(piece));
    row = reading_of<A>(sum, piece.greatest > row.greatest ? piece.greatest : row.greatest);
}

// What rows of weights begin with and how they go on: Row has x, length and a scale, Numbers a reference and a step.
template <class A, class Row, class Numbers> struct weighed_pieces {
    static Numbers begin(const Row& r) noexcept {
        softmax_rows_state<A> state(r.scale, false);
        guess_reference<A>(state, unit_source<A>{r.x}, r.length);
        Numbers n = {};
        refer(n, state.ref, decltype(n.reads)::guessed_sum);
        return n;
    }
    static void add(Numbers& n, const piece_reading<A>& piece) noexcept { add_reading<A>(n.reading, piece); }

protected:
    template <class Step> TARN_INLINE static void refer(Numbers& n, reference<A> ref, Step reads) noexcept {
        n.exponent = ref.exponent;
        n.centre = ref.centre;
        n.reading = {0, 0, -infinity};
        n.reads = reads;
    }
    TARN_INLINE static exp_weight<A, false> weight_of(const Row& p, const Numbers& n) noexcept {
        return {exp_base<A>::of(p.scale), reference<A>{n.exponent, n.centre}};
    }
};

template <class A, class Source, class F>
TARN_INLINE void map_piece(Source x, number<A>* y, std::ptrdiff_t n, bool stream, const F& f) noexcept {
    map_row_to_lines<A>(x, y, n, stream, f);
    if (stream)
        simd::stream_fence<A>();
}

}}}} // namespace tarn::kernels
