// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of masked softmax.
#pragma once

#include <tarn/dispatch/softmax_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// Rows up to dispatch::short_row_columns are taken in tiles. With sinks, a column more, they have to be laid out on the
// stack, where there is room for this length beside the tiles of softmax.
constexpr std::ptrdiff_t short_rows_with_sink = 128;

// Which keys a query sees: those from query + offset - window + 1 on (window 0: from the first), up to query + offset
// (if causal, else to the last). Both numbers below 2^61 in magnitude.
struct key_limits {
    bool causal;
    std::ptrdiff_t offset, window;
};

// What the rows of a call share, and what is kept of them.
template <class T> struct mask_of_rows {
    T scale, soft_cap;         // 0: none
    const unsigned char* keep; // null: all; else a byte for each element, not 0 where it takes part
    std::ptrdiff_t keep_along, keep_across;
    key_limits limits;
    std::ptrdiff_t query, query_across; // of the first row, and from row to row
    bool zero_empty_rows;
};

// `rows` rows of `columns` numbers side by side. Strides are in elements, from row to row.
template <class T> struct masked_softmax_rows {
    const T* x;
    T* y;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t x_across, y_across;
    mask_of_rows<T> mask;
    const T* bias; // null: none
    std::ptrdiff_t bias_across;
    const T* slope; // one number for each row; null: none
    std::ptrdiff_t slope_across;
    const T* sink; // the same
    std::ptrdiff_t sink_across;
    bool stream;
    bool may_use_stack;                                  // for scratch
    T* scratch;                                          // as for softmax: buffered_scratch() numbers; null: do without
    void (*short_rows)(const softmax_rows<T>&) noexcept; // the tier's softmax of short rows
};

// Rows of any type and stride, read where they are.
template <class T> struct masked_softmax_stored {
    stored_rows x, y, bias; // bias.data null: none
    std::ptrdiff_t rows, columns;
    mask_of_rows<T> mask;
    stored_rows slope, sink; // a row of numbers; data null: none
};

template <class T> struct masked_softmax_table {
    void (*rows)(const masked_softmax_rows<T>&) noexcept;
    void (*stored)(const masked_softmax_stored<T>&) noexcept;
};

// The gradient: rows of numbers side by side.
template <class T> struct masked_softmax_backward_rows {
    const T *y, *dy;
    T* dx;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t y_across, dy_across, dx_across;
    mask_of_rows<T> mask;
    const T* x; // the logits, with a soft cap
    std::ptrdiff_t x_across;
    T* sink_gradient; // one number for each row; null: not wanted
    std::ptrdiff_t sink_across;
};

// Rows of any type and stride, read where they are.
template <class T> struct masked_softmax_backward_stored {
    stored_rows y, dy, dx;
    std::ptrdiff_t rows, columns;
    mask_of_rows<T> mask;
    stored_rows x;             // data null: no soft cap
    stored_rows sink_gradient; // a row of numbers; data null: not wanted
};

template <class T> struct masked_softmax_backward_table {
    void (*rows)(const masked_softmax_backward_rows<T>&) noexcept;
    void (*stored)(const masked_softmax_backward_stored<T>&) noexcept;
};

}}} // namespace tarn::dispatch
