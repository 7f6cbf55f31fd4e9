// SPDX-License-Identifier: BSD-3-Clause
//
// What windows give to their elements in gradients, as the loops over windows and elements see it.
#pragma once

#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Windows at one depth of some planes, from number `plane` on: `rows` from `row` on, of each `columns` from `column` on,
// `lanes` from `lane` on. They are numbered plane by plane, row by row, column by column, lanes side by side.
struct window_group {
    std::ptrdiff_t plane, lane, lanes, depth, row, rows, column, columns, planes = 1;

    TARN_INLINE std::ptrdiff_t of_plane() const noexcept { return rows * columns * lanes; }
    TARN_INLINE std::ptrdiff_t count() const noexcept { return planes * of_plane(); }
};

// What shares depend on of a register of elements.
template <class A, int Numbers> struct element_numbers { numbers<A> number[Numbers]; };
template <class A> struct element_numbers<A, 0> {};

// Shares: what the windows of a group give.
//
//   call                   what it is made of
//   room                   windows of a group, lanes among them, that it can hold
//   load(group)            takes these windows
//   several_planes         whether a group may be of more than one
//   at(i)                  what it knows of windows side by side from number i of the group on; at(i, n): of n of
//                          them, and 0 of the others
//   all_of(i)              the same of window number i in all lanes
//   elements               how many numbers it asks for of an element
//   lifts, lift(x)         whether these are others than the element, and then the numbers of elements x. Where there
//                          is no element they are 0
//   add(sum, w, tap, e)    the sum and what windows w give to their elements `tap`, whose numbers are e
//   end()                  after the last group
//   rule                   what of them is done in registers where windows are tiles, or void: see window_tiles.hpp
//
// Those that do not say otherwise ask nothing of elements:
struct shares_of_windows {
    using call = dispatch::window_gradients;
    static constexpr int elements = 0;
    static constexpr bool lifts = false;
    static constexpr bool several_planes = true;
    using rule = void;

    TARN_INLINE void end() noexcept {}
};

// f(first of a register), and f(first, how many) for the rest of n.
template <class A, class F> TARN_INLINE void each_register(std::ptrdiff_t n, F f) noexcept {
    constexpr auto width = static_cast<std::ptrdiff_t>(numbers<A>::size);
    std::ptrdiff_t k = 0;
    for (; k + width <= n; k += width)
        f(k);
    if (k < n)
        f(k, static_cast<int>(n - k));
}

}}}} // namespace tarn::kernels
