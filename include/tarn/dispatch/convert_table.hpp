// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and the kernels that turn stored elements into the numbers that kernels know, and back.
#pragma once

#include <tarn/element.hpp>

#include <cstddef>

namespace tarn { inline namespace v0 { namespace dispatch {

// Rows along several axes that no single stride runs through: segments of `length` elements, under loops of which the
// last is the innermost.
struct row_segments {
    std::ptrdiff_t length;
    int loops;
    std::ptrdiff_t extent[4], stride[4]; // strides in elements, between segments
};

// Elements somewhere in memory: rows of them, with strides in elements along a row and from row to row.
struct stored_rows {
    void* data;
    element type;
    std::ptrdiff_t along, across;
    const row_segments* segments = nullptr; // null: a row is one segment
    std::ptrdiff_t first = 0;               // of the elements of a row of segments, where to begin

    // The rest of a row, from element i on.
    TARN_INLINE stored_rows from(std::ptrdiff_t i) const noexcept {
        stored_rows rest = *this;
        if (segments)
            rest.first += i;
        else if (data)
            rest.data = static_cast<char*>(data) + i * along * detail::size_of(type);
        return rest;
    }
};

// `rows` rows of `length` elements. T: float or double, for stored elements of 64 bits.
template <class T> struct convert_call {
    stored_rows stored;
    T* numbers;
    std::ptrdiff_t numbers_across; // from row to row; along a row numbers lie side by side
    std::ptrdiff_t rows, length;
};

template <class T> struct convert_table {
    void (*widen)(const convert_call<T>&) noexcept;  // stored to numbers
    void (*narrow)(const convert_call<T>&) noexcept; // numbers to stored
};

}}} // namespace tarn::dispatch
