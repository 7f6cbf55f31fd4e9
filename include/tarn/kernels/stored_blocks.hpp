// SPDX-License-Identifier: BSD-3-Clause
//
// any_source and any_sink for loops that go through a row from its start: through more of L1, so that a call of a conversion
// serves a block of elements.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/row_maps.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> constexpr std::ptrdiff_t stored_block = 32 * lanes<A>;
template <class A> struct block_buffer { alignas(64) number<A> numbers[stored_block<A>]; };

// Asked for prefetch(i) before the four packs from i on, for every such i from the start of a block on.
template <class A> struct block_source : any_source<A> {
    std::ptrdiff_t length;

    TARN_INLINE static block_source of(const dispatch::stored_rows& rows, std::ptrdiff_t r, std::ptrdiff_t length,
                                       block_buffer<A>& b) noexcept {
        return {{stored_row(rows, r), b.numbers}, length};
    }
    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        const std::ptrdiff_t rest = length - i;
        if (i % stored_block<A> == 0)
            transfer<A, true>(this->row, i, this->buffer, rest < stored_block<A> ? rest : stored_block<A>);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept {
        return simd::load<A>(this->buffer + i % stored_block<A>);
    }
};

// Given packs in order, four by four, and then what is left.
template <class A> struct block_sink : any_sink<A> {
    std::ptrdiff_t whole; // how many elements come in fours of packs

    TARN_INLINE static block_sink of(const dispatch::stored_rows& rows, std::ptrdiff_t r, std::ptrdiff_t length,
                                     block_buffer<A>& b) noexcept {
        return {{stored_row(rows, r), b.numbers}, length / (4 * lanes<A>)*(4 * lanes<A>)};
    }
    TARN_INLINE void put(std::ptrdiff_t i, const pack<A>& v) const noexcept {
        const std::ptrdiff_t at = i % stored_block<A>;
        const std::ptrdiff_t filled = at + lanes<A>;
        simd::store<A>(this->buffer + at, v);
        if (filled == stored_block<A> || i + lanes<A> == whole)
            transfer<A, false>(this->row, i - at, this->buffer, filled);
    }
};

// f of each pack of x, of this kind or any other, to y. f and what it holds are copied: constants stay in registers beside
// the calls of conversions.
template <class A, class F, class Source, class Sink>
TARN_NOINLINE void map_copied(const F& given, Source x, Sink y, std::ptrdiff_t n) noexcept {
    const F f = given;
    map_whole_row<A>(x, y, n, f);
}

}}}} // namespace tarn::kernels
