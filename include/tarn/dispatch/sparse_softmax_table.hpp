// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of sparse softmax, its loss and the gradient of that.
#pragma once

#include <tarn/dispatch/top_k_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

template <class T> struct sparse_softmax_rows {
    // The rows, k, what becomes of rows of -inf, and results as values and indices, if wanted.
    top_k_rows<T> selection;
    stored_rows y; // dense results, or the gradient of the loss; for `rows` numbers side by side
    bool stream;
    stored_rows targets, loss, loss_gradient; // one for each row
};

template <class T> struct sparse_softmax_table {
    void (*rows)(const sparse_softmax_rows<T>&) noexcept;
    void (*stored)(const sparse_softmax_rows<T>&) noexcept; // rows of any type and stride, read where they are
};

}}} // namespace tarn::dispatch
