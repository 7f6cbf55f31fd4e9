// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of the softmax family: plain structs, no instruction set, no symbols.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/dispatch/pieces.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// Kernels for rows of numbers side by side. T is their type, float or double.
enum class row_kernel {
    short_rows, // sixteen rows at a time; up to short_row_columns
    cached,     // weights into y, scaled in place from the end
    buffered,   // weights of the next row into scratch while the last one is scaled; buffered_scratch() floats
    two_read,   // weights are computed twice, nothing is written in between (SSE2: as cached)
    two_pass,   // the same; first sums with an exponent for every lane
    online,     // the same; first sums with the greatest element so far
    recompute,  // three passes: greatest, sum, weights again
    reload,     // three passes: greatest, weights and sum, scale in place
    count_
};
constexpr int row_kernels = static_cast<int>(row_kernel::count_);

constexpr std::ptrdiff_t short_row_columns = 256;

// Numbers of scratch that `buffered` uses for rows of n columns: two rows with a line of padding on either side, a
// quarter of a page apart modulo pages, and a page to choose where they start. Loads that follow a store to the same
// offset in another page would wait for it.
template <class T> constexpr std::ptrdiff_t page_size = 4096 / static_cast<std::ptrdiff_t>(sizeof(T));
template <class T> TARN_INLINE constexpr std::ptrdiff_t buffered_row_size(std::ptrdiff_t n) {
    constexpr std::ptrdiff_t page = page_size<T>;
    return (n + page / 32 + page - 1) / page * page + page / 4;
}
template <class T> TARN_INLINE constexpr std::ptrdiff_t buffered_scratch(std::ptrdiff_t n) {
    return 2 * buffered_row_size<T>(n) + page_size<T>;
}
// Up to this many columns the stack has room for it (46 KB).
template <class T> constexpr std::ptrdiff_t stack_buffered_columns = 4 * page_size<T>;
// Up to this many, two rows of it stay in L2 or close to it.
template <class T> constexpr std::ptrdiff_t most_buffered_columns = 1048576 / static_cast<std::ptrdiff_t>(sizeof(T));

// `rows` rows of `columns` elements. Strides are in elements.
template <class T> struct softmax_rows {
    const T* x;
    T* y;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t x_row_stride, y_row_stride; // from row to row
    T scale;
    bool zero_empty_rows;        // rows of -inf become 0 instead of NaN
    bool stream;                 // results by non-temporal stores
    T* scratch;                  // aligned to 64 bytes; may be null where a kernel can do without
    std::ptrdiff_t scratch_size; // in numbers
    T* lse = nullptr;            // the log-sum-exp of each row, if wanted
    std::ptrdiff_t lse_stride = 0;
};

// Softmax along a strided axis: `columns` independent rows side by side (stride 1), each of `rows` elements.
template <class T> struct softmax_columns {
    const T* x;
    T* y;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t x_stride, y_stride; // along the axis
    T scale;
    bool zero_empty_rows;
    bool stream;
    T* scratch;
    std::ptrdiff_t scratch_size;
    T* lse = nullptr; // of each column
    std::ptrdiff_t lse_stride = 0;
};

// Rows of any type and stride, read twice where they are.
template <class T> struct softmax_stored {
    stored_rows x, y;
    std::ptrdiff_t rows, length;
    T scale;
    bool zero_empty_rows;
    stored_rows lse = {}; // a row of numbers, if wanted
};

// One long row, or a piece of it.
template <class T> struct softmax_long_row {
    stored_rows x, y;
    std::ptrdiff_t length;
    T scale;
    bool zero_empty_rows;
    bool stream; // numbers side by side only

    TARN_INLINE softmax_long_row part(std::ptrdiff_t begin, std::ptrdiff_t n) const noexcept {
        return {x.from(begin), y.from(begin), n, scale, zero_empty_rows, stream};
    }
};
// What is read of it.
enum class softmax_step { guessed_sum, greatest, sum };
template <class T> struct softmax_row_numbers {
    bool settled;
    softmax_step reads;
    piece_reading<T> reading; // the greatest element in the direction of the scale
    T exponent, centre;       // the reference
    bool acceptable;          // whether the row has results; if so
    T high, low, threshold;   // of the normaliser
};

template <class T> struct softmax_table {
    void (*rows[row_kernels])(const softmax_rows<T>&) noexcept;
    void (*columns)(const softmax_columns<T>&) noexcept;
    void (*stored)(const softmax_stored<T>&) noexcept;
    row_pieces<T, softmax_long_row<T>, softmax_row_numbers<T>> pieces;
    T (*log_of_pieces)(const softmax_row_numbers<T>&, T scale) noexcept; // the log-sum-exp
};

}}} // namespace tarn::dispatch
