// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of the softmax family: plain structs, no instruction set, no symbols.
#pragma once

#include <tarn/dispatch/convert_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// Kernels for rows of floats side by side.
enum class row_kernel {
    short_rows, // sixteen rows at a time; up to short_row_columns
    cached,     // weights into y, scaled in place from the end
    buffered,   // weights of the next row into scratch while the last one is scaled; buffered_scratch() floats
    two_read,   // weights are computed twice, nothing is written in between
    two_pass,   // the same; first sums with an exponent for every lane
    online,     // the same; first sums with the greatest element so far
    recompute,  // three passes: greatest, sum, weights again
    reload,     // three passes: greatest, weights and sum, scale in place
    count_
};
constexpr int row_kernels = static_cast<int>(row_kernel::count_);

constexpr std::ptrdiff_t short_row_columns = 256;

// Floats of scratch that `buffered` uses for rows of n columns: two rows with a line of padding on either side, a
// quarter of a page apart modulo pages, and a page to choose where they start. Loads that follow a store to the same
// offset in another page would wait for it.
TARN_INLINE constexpr std::ptrdiff_t buffered_row_size(std::ptrdiff_t n) { return (n + 32 + 1023) / 1024 * 1024 + 256; }
TARN_INLINE constexpr std::ptrdiff_t buffered_scratch(std::ptrdiff_t n) { return 2 * buffered_row_size(n) + 1024; }
// Up to this many columns the stack has room for it (46 KB).
constexpr std::ptrdiff_t stack_buffered_columns = 4096;

// `rows` rows of `columns` elements. Strides are in elements.
struct softmax_rows {
    const float* x;
    float* y;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t x_row_stride, y_row_stride; // from row to row
    float scale;
    bool zero_empty_rows;        // rows of -inf become 0 instead of NaN
    bool stream;                 // results by non-temporal stores
    float* scratch;              // aligned to 64 bytes; may be null where a kernel can do without
    std::ptrdiff_t scratch_size; // in floats
    float* lse = nullptr;        // the log-sum-exp of each row, if wanted
    std::ptrdiff_t lse_stride = 0;
};

// Softmax along a strided axis: `columns` independent rows side by side (stride 1), each of `rows` elements.
struct softmax_columns {
    const float* x;
    float* y;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t x_stride, y_stride; // along the axis
    float scale;
    bool zero_empty_rows;
    bool stream;
    float* scratch;
    std::ptrdiff_t scratch_size;
    float* lse = nullptr; // of each column
    std::ptrdiff_t lse_stride = 0;
};

// Rows of any type and stride, read twice where they are.
struct softmax_stored {
    stored_rows x, y;
    std::ptrdiff_t rows, length;
    float scale;
    bool zero_empty_rows;
    stored_rows lse = {}; // a row of numbers, if wanted
};

// A piece of one long row, of at most chunk_size elements: the steps of a softmax whose pieces are worked on apart.
struct softmax_piece {
    const float* x;
    float* y;
    std::ptrdiff_t length;
    float scale;
    bool stream;
};
// What steps tell each other of the row.
struct softmax_row_numbers {
    float exponent, centre;     // the reference
    float high, low, threshold; // of the normaliser
    double sum;
    bool acceptable;
};
constexpr std::ptrdiff_t softmax_piece_size = 65536;
struct softmax_pieces {
    // A guess from the row's start; or from its greatest element.
    softmax_row_numbers (*guess)(const softmax_piece&) noexcept;
    softmax_row_numbers (*refer)(float greatest, float scale) noexcept;
    // The greatest element in the direction of the scale; the sum of weights.
    float (*greatest)(const softmax_piece&) noexcept;
    double (*sum)(const softmax_piece&, const softmax_row_numbers&) noexcept;
    // From the sum of all pieces in order: how to finish, and the log-sum-exp.
    void (*normalise)(softmax_row_numbers&, double sum) noexcept;
    float (*log)(const softmax_row_numbers&, float scale) noexcept;
    // Results; of rows without an acceptable sum `value`.
    void (*finish)(const softmax_piece&, const softmax_row_numbers&) noexcept;
    void (*fill)(const softmax_piece&, float value) noexcept;
};

struct softmax_table {
    void (*rows[row_kernels])(const softmax_rows&) noexcept;
    void (*columns)(const softmax_columns&) noexcept;
    void (*stored)(const softmax_stored&) noexcept;
    softmax_pieces pieces;
};

}}} // namespace tarn::dispatch
