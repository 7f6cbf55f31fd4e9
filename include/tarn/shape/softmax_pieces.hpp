// SPDX-License-Identifier: BSD-3-Clause
//
// One long row by pieces that an executor shares out: sums of all pieces, then results of all pieces. The pieces are
// fixed and their sums are added in order, so the bits do not depend on who takes which.
#pragma once

#include <tarn/dispatch/softmax_table.hpp>
#include <tarn/where.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

template <class T, class Executor>
void softmax_in_pieces(const place<Executor>& where, const dispatch::softmax_pieces<T>& kernels,
                       const dispatch::softmax_piece<T>& row, T* lse, bool zero_empty_rows) {
    constexpr std::ptrdiff_t size = dispatch::softmax_piece_size;
    constexpr std::ptrdiff_t most = 512; // pieces taken between two looks at their sums
    const std::ptrdiff_t pieces = (row.length + size - 1) / size;
    constexpr double bytes = sizeof(T) * 1.0 * size;
    constexpr item_cost cost{bytes, bytes, 1.0 * size};
    const auto piece = [&](std::ptrdiff_t i) {
        dispatch::softmax_piece<T> p = row;
        p.x += i * size;
        p.y += i * size;
        p.length = row.length - i * size < size ? row.length - i * size : size;
        return p;
    };
    const auto for_all = [&](std::ptrdiff_t first, std::ptrdiff_t count, const auto& f) {
        where.parallel_for(count, cost, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i)
                f(first + i);
        });
    };
    // found(what of(piece) gives) for all pieces in order.
    const auto collect = [&](auto zero, const auto& of, const auto& found) {
        decltype(zero) values[most] = {};
        for (std::ptrdiff_t first = 0; first < pieces; first += most) {
            const std::ptrdiff_t count = pieces - first < most ? pieces - first : most;
            for_all(first, count, [&](std::ptrdiff_t i) { values[i - first] = of(piece(i)); });
            for (std::ptrdiff_t i = 0; i < count; ++i)
                found(values[i]);
        }
    };
    const auto add = [&](dispatch::softmax_row_numbers<T>& numbers) {
        using sum = dispatch::softmax_piece_sum;
        collect(
            sum{}, [&](const dispatch::softmax_piece<T>& p) { return kernels.sum(p, numbers); },
            [&](const sum& part) { kernels.add(numbers, part); });
        kernels.normalise(numbers);
    };
    auto numbers = kernels.guess(row);
    add(numbers);
    if (!numbers.acceptable) {
        const bool down = row.scale < 0;
        T greatest = down ? __builtin_huge_valf() : -__builtin_huge_valf();
        collect(
            T{}, [&](const dispatch::softmax_piece<T>& p) { return kernels.greatest(p); },
            [&](T g) { greatest = (down ? g < greatest : g > greatest) ? g : greatest; });
        numbers = kernels.refer(greatest, row.scale);
        add(numbers);
    }
    const T value = numbers.sum == 0 && zero_empty_rows ? 0.0f : __builtin_nanf("");
    for_all(0, pieces, [&](std::ptrdiff_t i) {
        if (numbers.acceptable)
            kernels.finish(piece(i), numbers);
        else
            kernels.fill(piece(i), value);
    });
    if (lse)
        *lse = kernels.log(numbers, row.scale);
}

}}}} // namespace tarn::shape
