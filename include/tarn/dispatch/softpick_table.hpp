// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of softpick and its gradient.
#pragma once

#include <tarn/dispatch/masked_softmax_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// Rows of numbers side by side. Of the mask, scale and bytes count.
template <class T> struct softpick_rows {
    const T* x;
    T* y;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t x_across, y_across;
    mask_of_rows<T> mask;
    T epsilon;
    bool stream;
    bool may_use_stack; // for scratch
    T* scratch;         // as for softmax: buffered_scratch() numbers; null: do without
};

// Rows of any type and stride, read where they are.
template <class T> struct softpick_stored {
    stored_rows x, y;
    std::ptrdiff_t rows, columns;
    mask_of_rows<T> mask;
    T epsilon;
};

template <class T> struct softpick_backward_rows {
    const T *x, *y, *dy;
    T* dx;
    std::ptrdiff_t rows, columns;
    std::ptrdiff_t x_across, y_across, dy_across, dx_across;
    mask_of_rows<T> mask;
    T epsilon;
};
template <class T> struct softpick_backward_stored {
    stored_rows x, y, dy, dx;
    std::ptrdiff_t rows, columns;
    mask_of_rows<T> mask;
    T epsilon;
};

template <class T> struct softpick_table {
    void (*rows)(const softpick_rows<T>&) noexcept;
    void (*stored)(const softpick_stored<T>&) noexcept;
    void (*backward)(const softpick_backward_rows<T>&) noexcept;
    void (*backward_stored)(const softpick_backward_stored<T>&) noexcept;
};

}}} // namespace tarn::dispatch
