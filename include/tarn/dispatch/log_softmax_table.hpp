// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of log-softmax and log-sum-exp.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/dispatch/pieces.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// Independent rows of `length` elements. By rows: elements side by side, x_stride and y_stride from row to row. By
// columns: rows side by side, x_stride and y_stride from element to element.
template <class T> struct log_softmax_call {
    const T* x;
    T* y;   // null: only the logarithms of the sums are wanted
    T* lse; // null: only y is wanted
    std::ptrdiff_t rows, length;
    std::ptrdiff_t x_stride, y_stride;
    std::ptrdiff_t lse_stride; // from row to row
    T scale;
    double lse_offset;      // added to every logarithm
    bool empty_rows_lowest; // y of rows of -inf is -inf instead of NaN
    bool stream;            // y by non-temporal stores
};

// The same for rows of any type and stride, read where they are.
template <class T> struct log_softmax_stored {
    stored_rows x;
    stored_rows y;   // data null: only the logarithms of the sums are wanted
    stored_rows lse; // data null: only y is wanted; a row of numbers
    std::ptrdiff_t rows, length;
    T scale;
    double lse_offset;
    bool empty_rows_lowest;
};

// One long row, or a piece of it.
template <class T> struct log_softmax_long_row {
    stored_rows x;
    stored_rows y; // data null: only the logarithm of the sum is wanted
    std::ptrdiff_t length;
    T scale;
    bool empty_rows_lowest;
    bool stream; // numbers side by side only

    TARN_INLINE log_softmax_long_row part(std::ptrdiff_t begin, std::ptrdiff_t n) const noexcept {
        return {x.from(begin), y.from(begin), n, scale, empty_rows_lowest, stream};
    }
};
// What is read of it: sums of weights with the greatest element, the sum without that element, whether there is a NaN.
enum class log_softmax_step { guessed_sum, sum, others, nan };
template <class T> struct log_softmax_row_numbers {
    bool settled;
    log_softmax_step reads;
    piece_reading<T> reading; // the greatest element in the direction of the scale
    T exponent, centre;       // the reference
    T greatest;
    double sum;
    double value; // log sum_j exp(scale * (x_j - greatest))
    bool infinite;
};

// log(e^a + e^b) of rows of `length` elements that lie side by side.
template <class T> struct logaddexp_call {
    const T* a;
    const T* b;
    T* y;
    std::ptrdiff_t rows, length;
    std::ptrdiff_t a_stride, b_stride, y_stride; // from row to row
};

template <class T> struct log_softmax_table {
    void (*rows)(const log_softmax_call<T>&) noexcept;
    void (*columns)(const log_softmax_call<T>&) noexcept;
    void (*stored)(const log_softmax_stored<T>&) noexcept;
    void (*logaddexp)(const logaddexp_call<T>&) noexcept;
    row_pieces<T, log_softmax_long_row<T>, log_softmax_row_numbers<T>> pieces;
    T (*log_of_pieces)(const log_softmax_row_numbers<T>&, T scale, double offset) noexcept;
};

}}} // namespace tarn::dispatch
