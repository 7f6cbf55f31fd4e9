// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and the kernels that turn stored elements into floats and back.
#pragma once

#include <tarn/element.hpp>

#include <cstddef>

namespace tarn { inline namespace v0 { namespace dispatch {

// Elements somewhere in memory: rows of them, with strides in elements along a row and from row to row.
struct stored_rows {
    void* data;
    element type;
    std::ptrdiff_t along, across;
};

// `rows` rows of `length` elements.
struct convert_call {
    stored_rows stored;
    float* floats;
    std::ptrdiff_t floats_across; // from row to row; along a row floats lie side by side
    std::ptrdiff_t rows, length;
};

struct convert_table {
    void (*widen)(const convert_call&) noexcept;  // stored to floats
    void (*narrow)(const convert_call&) noexcept; // floats to stored
};

}}} // namespace tarn::dispatch
