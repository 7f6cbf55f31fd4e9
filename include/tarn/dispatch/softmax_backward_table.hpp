// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of the gradients of softmax, log-softmax, log-sum-exp and logaddexp.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/dispatch/pieces.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

enum class softmax_gradient { softmax, log_softmax, logsumexp };
constexpr int softmax_gradients = 3;

// Independent rows of `length` elements. By rows: elements side by side, y_stride, dy_stride and dx_stride from row to
// row. By columns: rows side by side, these strides from element to element.
template <class T> struct softmax_backward_call {
    const T* y;    // what the operator returned; for logsumexp its input
    const T* dy;   // the gradient of that; not for logsumexp
    const T* lse;  // for logsumexp: what it returned, one for each row,
    const T* dlse; // and the gradient of that
    T* dx;
    std::ptrdiff_t rows, length;
    std::ptrdiff_t y_stride, dy_stride, dx_stride;
    std::ptrdiff_t lse_stride, dlse_stride; // from row to row
    T scale;
    bool stream; // dx by non-temporal stores
};

// Rows of any type and stride, read where they are, for softmax and log_softmax.
template <class T> struct softmax_backward_stored {
    stored_rows y, dy, dx;
    std::ptrdiff_t rows, length;
    T scale;
};

// One long row, or a piece of it.
template <class T> struct softmax_backward_long_row {
    stored_rows y, dy; // dy: not for logsumexp, which has
    T lse, dlse;       // these
    stored_rows dx;
    std::ptrdiff_t length;
    T scale;
    bool stream; // numbers side by side only

    TARN_INLINE softmax_backward_long_row part(std::ptrdiff_t begin, std::ptrdiff_t n) const noexcept {
        return {y.from(begin), dy.from(begin), lse, dlse, dx.from(begin), n, scale, stream};
    }
};
template <class T> struct softmax_backward_row_numbers {
    bool settled;
    piece_reading<T> reading; // a sum over the row
    T number;                 // what it means for every element
};

// The gradients of log(e^a + e^b), of rows of `length` elements that lie side by side.
template <class T> struct logaddexp_gradient_call {
    const T *a, *b, *dy;
    T *da, *db; // null: not wanted
    std::ptrdiff_t rows, length;
    std::ptrdiff_t a_stride, b_stride, dy_stride, da_stride, db_stride; // from row to row
};

template <class T> struct softmax_backward_table {
    void (*rows[softmax_gradients])(const softmax_backward_call<T>&) noexcept;
    void (*columns[softmax_gradients])(const softmax_backward_call<T>&) noexcept;
    // logsumexp has none: every element is by itself.
    void (*stored[softmax_gradients])(const softmax_backward_stored<T>&) noexcept;
    row_pieces<T, softmax_backward_long_row<T>, softmax_backward_row_numbers<T>> pieces[softmax_gradients];
    void (*logaddexp)(const logaddexp_gradient_call<T>&) noexcept;
};

}}} // namespace tarn::dispatch
