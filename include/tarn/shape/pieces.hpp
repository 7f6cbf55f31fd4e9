// SPDX-License-Identifier: BSD-3-Clause
//
// Few long rows: an executor shares each of them, instead of dealing them out.
#pragma once

#include <tarn/dispatch/pieces.hpp>
#include <tarn/shape/denormals.hpp>
#include <tarn/shape/row_parts.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// Whether to: fewer rows than a machine may have cores, each of many pieces. A row that fits a buffer is converted once, and
// twice if it is shared.
template <class T> bool wants_pieces(const row_loops& loops, const row_parts<T>& parts) noexcept {
    const std::ptrdiff_t few_rows = parts.scratch_numbers() > 0 ? 8 : 32;
    return !loops.by_columns() && loops.items() <= few_rows && loops.axis().extent >= 4 * dispatch::piece_size;
}

// f(part of one row) for every row, if an executor had better share rows. Returns whether it did. f takes any part, so
// that it is compiled for executors only.
template <class T, class Executor, class F>
bool run_in_pieces(const place<Executor>&, const row_loops& loops, const row_parts<T>& parts, const F& f) {
    if constexpr (!std::is_same<std::remove_cv_t<Executor>, serial_executor>::value) {
        if (wants_pieces(loops, parts)) {
            parts.each_row(f);
            return true;
        }
    }
    return false;
}

// All pieces of a row. Row has part(begin, length) and writes results if `results`. Returns what is known of the row.
template <class T, class Executor, class Row, class Numbers>
Numbers take_in_pieces(const place<Executor>& where, const dispatch::row_pieces<T, Row, Numbers>& kernels,
                       const Row& row, bool results) {
    constexpr std::ptrdiff_t size = dispatch::piece_size;
    constexpr std::ptrdiff_t most = 512; // pieces taken between two looks at what they gave
    const std::ptrdiff_t pieces = (row.length + size - 1) / size;
    constexpr double bytes = sizeof(T) * 1.0 * size;
    constexpr item_cost cost{bytes, bytes, 1.0 * size};
    const auto for_all = [&](std::ptrdiff_t first, std::ptrdiff_t count, const auto& f) {
        where.parallel_for(count, cost, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            [[maybe_unused]] const zero_denormals scope;
            for (std::ptrdiff_t i = first + begin; i < first + end; ++i)
                f(i, row.part(i * size, row.length - i * size < size ? row.length - i * size : size));
        });
    };
    Numbers numbers = with_zero_denormals([&] { return kernels.begin(row); });
    while (!numbers.settled) {
        dispatch::piece_reading<T> readings[most];
        for (std::ptrdiff_t first = 0; first < pieces; first += most) {
            const std::ptrdiff_t count = pieces - first < most ? pieces - first : most;
            for_all(first, count,
                    [&](std::ptrdiff_t i, const Row& piece) { readings[i - first] = kernels.read(piece, numbers); });
            for (std::ptrdiff_t i = 0; i < count; ++i)
                kernels.add(numbers, readings[i]);
        }
        with_zero_denormals([&] { kernels.next(numbers, row); });
    }
    if (results)
        for_all(0, pieces, [&](std::ptrdiff_t, const Row& piece) { kernels.finish(piece, numbers); });
    return numbers;
}

}}}} // namespace tarn::shape
