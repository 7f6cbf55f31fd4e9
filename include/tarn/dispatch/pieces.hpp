// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels for one long row that an executor shares out. Pieces of the row are read, what
// they give is added in order, and this is repeated until the row is settled; then pieces of results follow from what
// is known of the row. The pieces are fixed, so the bits do not depend on who takes which.
#pragma once

#include <tarn/element.hpp>

#include <cstddef>

namespace tarn { inline namespace v0 { namespace dispatch {

constexpr std::ptrdiff_t piece_size = 65536;

// What reading a piece gives: a sum, for doubles with what its rounding has lost, and the greatest number.
template <class T> struct piece_reading {
    double high, low;
    T greatest;
};

// Row: operands and options of a row, or of a piece of it. Numbers: what is known of the row; Numbers::settled tells
// that nothing is left to be read.
template <class T, class Row, class Numbers> struct row_pieces {
    Numbers (*begin)(const Row&) noexcept;
    piece_reading<T> (*read)(const Row& piece, const Numbers&) noexcept;
    void (*add)(Numbers&, const piece_reading<T>&) noexcept;
    void (*next)(Numbers&, const Row&) noexcept; // after all pieces
    void (*finish)(const Row& piece, const Numbers&) noexcept;
};

}}} // namespace tarn::dispatch
