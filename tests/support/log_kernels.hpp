// SPDX-License-Identifier: BSD-3-Clause
//
// Both kernels of the log-softmax table behind one call, in every way to use them. They are called as the library calls
// them, without its checks and choices.
#pragma once

#include "support/kernels.hpp"

#include <tarn/dispatch/log_softmax_table.hpp>
#include <tarn/log_softmax.hpp>

namespace support {

struct log_way {
    const char* name;
    bool columns, stream, in_place;
    bool results, sums;        // what is asked for: y, logarithms of sums
    std::ptrdiff_t spread = 0; // stride along a row, for the kernel of stored rows; 0: the others
};

constexpr log_way all_log_ways[] = {
    {"rows", false, false, false, true, false},
    {"rows_streaming", false, true, false, true, false},
    {"rows_in_place", false, false, true, true, true},
    {"rows_streaming_in_place", false, true, true, true, true},
    {"rows_and_sums", false, false, false, true, true},
    {"sums_of_rows", false, false, false, false, true},
    {"columns", true, false, false, true, false},
    {"columns_streaming", true, true, false, true, true},
    {"columns_in_place", true, false, true, true, true},
    {"columns_streaming_in_place", true, true, true, true, false},
    {"sums_of_columns", true, false, false, false, true},
    {"stored", false, false, false, true, true, 1},
    {"stored_apart", false, false, false, true, false, 3},
    {"stored_in_place", false, false, true, true, true, 2},
    {"sums_of_stored", false, false, false, false, true, 2},
};

inline void PrintTo(const log_way& w, std::ostream* os) { *os << w.name; }

// The closest placement that the kernel takes, with `padding` unused elements between rows (columns: between steps).
constexpr placement place_rows(const log_way& w, std::ptrdiff_t rows, std::ptrdiff_t n, std::ptrdiff_t padding = 0) {
    const std::ptrdiff_t spread = w.spread ? w.spread : 1;
    return w.columns ? placement{1, rows + padding} : placement{n * spread + padding, spread};
}

struct log_call {
    std::ptrdiff_t rows, columns;
    double scale = 1;
    bool empty_rows_lowest = false;
    double offset = 0;
};

template <class T>
void run_log_kernel(tarn::tier t, const log_way& w, const log_call& call, const T* x, placement x_place, T* y,
                    placement y_place, T* sums, std::ptrdiff_t sums_stride = 1) {
    constexpr tarn::element type = tarn::element_traits<T>::value;
    const auto scale = static_cast<T>(call.scale);
    const tarn::dispatch::log_softmax_table<T>& table = tarn::dispatch::log_softmax_table_of<T>(t);
    if (w.spread) {
        table.stored({{const_cast<T*>(x), type, x_place.element, x_place.row},
                      {w.results ? y : nullptr, type, y_place.element, y_place.row},
                      {w.sums ? sums : nullptr, type, sums_stride, 0},
                      call.rows,
                      call.columns,
                      scale,
                      call.offset,
                      call.empty_rows_lowest});
        return;
    }
    (w.columns ? table.columns
               : table.rows)({x, w.results ? y : nullptr, w.sums ? sums : nullptr, call.rows, call.columns,
                              w.columns ? x_place.element : x_place.row, w.columns ? y_place.element : y_place.row,
                              sums_stride, scale, call.offset, call.empty_rows_lowest, w.stream});
}

// What a kernel makes of dense rows, whatever layout it needs: dense rows out, and one number for each row. What is not
// asked for stays empty.
template <class T = float> struct log_results { std::vector<T> y, sums; };
template <class T>
log_results<T> logs_by(tarn::tier t, const log_way& w, const log_call& call, const std::vector<T>& x) {
    const placement place = place_rows(w, call.rows, call.columns);
    const std::ptrdiff_t size = place.size(call.rows, call.columns);
    aligned_numbers<T> in(size), out(size);
    log_results<T> r;
    r.y.resize(w.results ? x.size() : 0);
    r.sums.resize(w.sums ? static_cast<std::size_t>(call.rows) : 0);
    each_placed(place, call.rows, call.columns,
                [&](std::size_t dense, std::ptrdiff_t placed) { in.data()[placed] = x[dense]; });
    T* to = w.in_place ? in.data() : out.data();
    run_log_kernel(t, w, call, in.data(), place, to, place, r.sums.data());
    if (w.results)
        each_placed(place, call.rows, call.columns,
                    [&](std::size_t dense, std::ptrdiff_t placed) { r.y[dense] = to[placed]; });
    return r;
}

using log_kernel_test = way_test<log_way>;

} // namespace support

#define TARN_TEST_ALL_LOG_KERNELS(suite) TARN_TEST_ALL_WAYS(suite, support::all_log_ways)
