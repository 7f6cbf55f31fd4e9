// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernels of pieces of one long row share. A piece is a chunk of row_sum.hpp, so the bits are those of the row
// taken by any other kernel.
#pragma once

#include <tarn/dispatch/pieces.hpp>
#include <tarn/kernels/row_maps.hpp>
#include <tarn/kernels/softmax_row.hpp>
#include <tarn/kernels/stored_blocks.hpp>

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

// Whether kernels can take the elements of a row where they are.
template <class A> TARN_INLINE bool are_numbers(const dispatch::stored_rows& row) noexcept {
    constexpr element type = simd::is_double<A> ? element::float64 : element::float32;
    return row.type == type && row.along == 1 && !row.segments;
}
// A buffer that lives as long as the call that it is written into.
template <class A> TARN_INLINE block_buffer<A>& until_then(block_buffer<A>&& buffer) noexcept { return buffer; }
// f(sources of n elements of the operands), to read them.
template <class A, class F, class... Rows>
TARN_INLINE auto with_sources(std::ptrdiff_t n, const F& f, const Rows&... x) noexcept {
    if ((are_numbers<A>(x) && ...))
        return f(unit_source<A>{static_cast<const number<A>*>(x.data)}...);
    return f(block_source<A>::of(x, 0, n, until_then(block_buffer<A>{}))...);
}
// f(sink of n results, sources of the operands), for maps of whole rows.
template <class A, class F, class... Rows>
TARN_INLINE void with_results(const dispatch::stored_rows& y, bool stream, std::ptrdiff_t n, const F& f,
                              const Rows&... x) noexcept {
    if (are_numbers<A>(y) && (are_numbers<A>(x) && ...)) {
        f(either_sink<A>{static_cast<number<A>*>(y.data), stream},
          unit_source<A>{static_cast<const number<A>*>(x.data)}...);
        if (stream)
            simd::stream_fence<A>();
    } else {
        f(block_sink<A>::of(y, 0, n, until_then(block_buffer<A>{})),
          block_source<A>::of(x, 0, n, until_then(block_buffer<A>{}))...);
    }
}

// What rows of weights begin with and how they go on: Row has x, length and a scale, Numbers a reference and a step.
template <class A, class Row, class Numbers> struct weighed_pieces {
    static Numbers begin(const Row& r) noexcept {
        softmax_rows_state<A> state(r.scale, false);
        with_sources<A>(
            r.length, [&](auto x) TARN_LAMBDA { guess_reference<A>(state, x, r.length); }, r.x);
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

}}}} // namespace tarn::kernels
