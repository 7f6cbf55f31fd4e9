// SPDX-License-Identifier: BSD-3-Clause
//
// Every kernel of the softmax table behind one call: the ways to compute the softmax of a few rows of equal length. The
// kernels are called as the library calls them, without its checks and choices.
#pragma once

#include "support/tiers.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

namespace support {

constexpr int columns_kernel = -1;
constexpr int stored_kernel = -2;

struct way {
    const char* name;
    int kernel;            // a row_kernel, columns_kernel or stored_kernel
    std::ptrdiff_t spread; // stride along a row, for kernels of rows
    bool stream, in_place, scratch;
};

constexpr int index_of(tarn::dispatch::row_kernel k) { return static_cast<int>(k); }

using tarn::dispatch::row_kernel;
constexpr way all_ways[] = {
    {"short_rows", index_of(row_kernel::short_rows), 1, false, false, false},
    {"short_rows_streaming", index_of(row_kernel::short_rows), 1, true, false, false},
    {"short_rows_in_place", index_of(row_kernel::short_rows), 1, false, true, false},
    {"cached", index_of(row_kernel::cached), 1, false, false, false},
    {"cached_in_place", index_of(row_kernel::cached), 1, false, true, false},
    {"buffered", index_of(row_kernel::buffered), 1, false, false, true},
    {"buffered_streaming", index_of(row_kernel::buffered), 1, true, false, true},
    {"buffered_in_place", index_of(row_kernel::buffered), 1, false, true, true},
    {"buffered_streaming_in_place", index_of(row_kernel::buffered), 1, true, true, true},
    {"buffered_on_stack", index_of(row_kernel::buffered), 1, false, false, false},
    {"buffered_on_stack_streaming", index_of(row_kernel::buffered), 1, true, false, false},
    {"two_read", index_of(row_kernel::two_read), 1, false, false, false},
    {"two_read_streaming", index_of(row_kernel::two_read), 1, true, false, false},
    {"two_read_in_place", index_of(row_kernel::two_read), 1, true, true, false},
    {"two_pass", index_of(row_kernel::two_pass), 1, false, false, false},
    {"two_pass_streaming", index_of(row_kernel::two_pass), 1, true, false, false},
    {"two_pass_in_place", index_of(row_kernel::two_pass), 1, false, true, false},
    {"online", index_of(row_kernel::online), 1, false, false, false},
    {"online_streaming", index_of(row_kernel::online), 1, true, false, false},
    {"online_in_place", index_of(row_kernel::online), 1, false, true, false},
    {"recompute", index_of(row_kernel::recompute), 1, false, false, false},
    {"recompute_streaming", index_of(row_kernel::recompute), 1, true, false, false},
    {"recompute_in_place", index_of(row_kernel::recompute), 1, false, true, false},
    {"reload", index_of(row_kernel::reload), 1, false, false, false},
    {"reload_in_place", index_of(row_kernel::reload), 1, false, true, false},
    {"stored", stored_kernel, 1, false, false, false},
    {"stored_apart", stored_kernel, 3, false, false, false},
    {"stored_in_place", stored_kernel, 2, false, true, false},
    {"columns", columns_kernel, 1, false, false, false},
    {"columns_in_place", columns_kernel, 1, false, true, false},
    {"columns_scratch_in_place", columns_kernel, 1, false, true, true},
    {"columns_scratch", columns_kernel, 1, false, false, true},
    {"columns_streaming_alone", columns_kernel, 1, true, false, false},
    {"columns_streaming", columns_kernel, 1, true, false, true},
    {"columns_streaming_in_place", columns_kernel, 1, true, true, true},
};
static_assert(tarn::dispatch::row_kernels == 8, "a kernel without a way");

inline void PrintTo(const way& w, std::ostream* os) { *os << w.name; }

// The longest row that a kernel takes.
template <class T = float> constexpr std::ptrdiff_t longest_row(const way& w) {
    if (w.kernel == index_of(row_kernel::short_rows))
        return tarn::dispatch::short_row_columns;
    return w.kernel == index_of(row_kernel::buffered) && !w.scratch ? tarn::dispatch::stack_buffered_columns<T>
                                                                    : PTRDIFF_MAX;
}

// The shortest: streaming rows of `buffered` are at least as long as the cache line that two of them may share.
constexpr std::ptrdiff_t shortest_row(const way& w) {
    return w.kernel == index_of(row_kernel::buffered) && w.stream ? 16 : 1;
}

// Numbers of scratch that the library would hand over for rows of n elements.
template <class T = float> constexpr std::ptrdiff_t scratch_size(const way& w, std::ptrdiff_t n) {
    if (!w.scratch)
        return 0;
    return w.kernel == columns_kernel ? n * 128 : tarn::dispatch::buffered_scratch<T>(n);
}

// Element i of row r lies at r * row + i * element.
struct placement {
    std::ptrdiff_t row, element;
    std::ptrdiff_t at(std::ptrdiff_t r, std::ptrdiff_t i) const { return r * row + i * element; }
    // From the first element to one past the last.
    std::ptrdiff_t size(std::ptrdiff_t rows, std::ptrdiff_t n) const { return at(rows - 1, n - 1) + 1; }
};

// The closest placement that the kernel takes, with `padding` unused elements between rows (columns: between steps).
constexpr placement place_rows(const way& w, std::ptrdiff_t rows, std::ptrdiff_t n, std::ptrdiff_t padding = 0) {
    return w.kernel == columns_kernel ? placement{1, rows + padding} : placement{n * w.spread + padding, w.spread};
}

struct kernel_call {
    std::ptrdiff_t rows, columns;
    double scale = 1;
    bool zero_empty_rows = false;
};

template <class T>
void run_kernel(tarn::tier t, const way& w, const kernel_call& call, const T* x, placement x_place, T* y,
                placement y_place, T* scratch = nullptr, std::ptrdiff_t scratch_numbers = 0, T* lse = nullptr,
                std::ptrdiff_t lse_stride = 0) {
    constexpr tarn::element type = tarn::element_traits<T>::value;
    const auto scale = static_cast<T>(call.scale);
    const tarn::dispatch::softmax_table<T>& table = tarn::dispatch::softmax_table_of<T>(t);
    if (w.kernel == columns_kernel)
        table.columns({x, y, call.columns, call.rows, x_place.element, y_place.element, scale, call.zero_empty_rows,
                       w.stream, scratch, scratch_numbers, lse, lse_stride});
    else if (w.kernel == stored_kernel)
        table.stored({{const_cast<T*>(x), type, x_place.element, x_place.row},
                      {y, type, y_place.element, y_place.row},
                      call.rows,
                      call.columns,
                      scale,
                      call.zero_empty_rows,
                      {lse, type, lse_stride, 0}});
    else
        table.rows[w.kernel]({x, y, call.rows, call.columns, x_place.row, y_place.row, scale, call.zero_empty_rows,
                              w.stream, scratch, scratch_numbers, lse, lse_stride});
}

// Memory at a 64-byte boundary.
template <class T> class aligned_numbers {
public:
    explicit aligned_numbers(std::ptrdiff_t n, T value = 0)
        : memory_(static_cast<std::size_t>(n) + 16, value), shift_((64 - address() % 64) % 64 / sizeof(T)) {}
    aligned_numbers(const aligned_numbers&) = delete;
    aligned_numbers& operator=(const aligned_numbers&) = delete;
    T* data() { return memory_.data() + shift_; }

private:
    std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(memory_.data()); }
    std::vector<T> memory_;
    std::size_t shift_;
};
using aligned_floats = aligned_numbers<float>;

// f(index in dense rows, index in memory) for every element.
template <class F> void each_placed(const placement& place, std::ptrdiff_t rows, std::ptrdiff_t n, F f) {
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            f(static_cast<std::size_t>(r * n + i), place.at(r, i));
    }
}

// The softmax of dense rows by one kernel, whatever layout it needs: dense rows out.
template <class T>
std::vector<T> softmax_by(tarn::tier t, const way& w, const kernel_call& call, const std::vector<T>& x) {
    const placement place = place_rows(w, call.rows, call.columns);
    const std::ptrdiff_t size = place.size(call.rows, call.columns);
    aligned_numbers<T> in(size), out(size), scratch(scratch_size<T>(w, call.columns));
    std::vector<T> y(x.size());
    each_placed(place, call.rows, call.columns,
                [&](std::size_t dense, std::ptrdiff_t placed) { in.data()[placed] = x[dense]; });
    T* to = w.in_place ? in.data() : out.data();
    run_kernel(t, w, call, in.data(), place, to, place, w.scratch ? scratch.data() : nullptr,
               scratch_size<T>(w, call.columns));
    each_placed(place, call.rows, call.columns,
                [&](std::size_t dense, std::ptrdiff_t placed) { y[dense] = to[placed]; });
    return y;
}

// Tests that run for every way on every tier.
template <class Way> class way_test : public testing::TestWithParam<std::tuple<tarn::tier, Way>> {
protected:
    tarn::tier on() const { return std::get<0>(this->GetParam()); }
    const Way& by() const { return std::get<1>(this->GetParam()); }
    void SetUp() override {
        if (!tarn::available(on())) {
            GTEST_SKIP() << why_skipped(on());
        }
    }
};
using kernel_test = way_test<way>;

} // namespace support

#define TARN_TEST_ALL_WAYS(suite, ways)                                                                                \
    INSTANTIATE_TEST_SUITE_P(                                                                                          \
        on, suite, testing::Combine(testing::ValuesIn(support::all_tiers), testing::ValuesIn(ways)),                   \
        [](const auto& instance) {                                                                                     \
            return support::name_of(std::get<0>(instance.param)) + "_" + std::get<1>(instance.param).name;             \
        })
#define TARN_TEST_ALL_KERNELS(suite) TARN_TEST_ALL_WAYS(suite, support::all_ways)
