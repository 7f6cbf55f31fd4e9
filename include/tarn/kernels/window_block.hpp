// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of windows that are reduced together, and for which of their shapes there are loops.
#pragma once

#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Rows of windows that are reduced together. Lines have a number for every field and column.
template <class A, class Number = number<A>> struct window_block {
    const window_row* row;
    std::ptrdiff_t rows;
    const number<A>* x;   // of the first column
    const number<A>* end; // up to here elements may be loaded, also those that lie behind a row; or null
    window_steps step;
    std::ptrdiff_t pieces, piece, piece_step; // elements side by side, and from one piece of a row to the next
    Number* line;
    std::ptrdiff_t begin;             // of the first column in its line
    std::ptrdiff_t pitch, line_pitch; // from field to field, and from row to row
    line_windows windows;
    std::ptrdiff_t groups, group;             // of results side by side
    bool one_scale;                           // in a group
    std::ptrdiff_t group_step, group_windows; // from group to group of results, and of windows in the line
    number<A>*y, *kept;                       // kept: fields of states, if anybody asks
    std::ptrdiff_t kept_pitch;                // from field to field
    bool adjoining;                           // lines lie one behind the other,
    number<A>* between;                       // and this has room for as many numbers
    bool in_place;                            // results go where rows say; else one row behind the other
    std::ptrdiff_t room;                      // numbers that results may overwrite, from row 0 on
};

// Shapes of windows that have a loop of their own: all usual ones, pairs of columns, or none. Few loops do for what is asked
// for seldom, and for doubles: the others are most of what there is to be compiled.
enum class own_loops { none, pairs, all };
template <class A, class Reduction>
constexpr own_loops usual_loops = Reduction::seldom    ? own_loops::none
                                  : simd::is_double<A> ? own_loops::pairs
                                                       : own_loops::all;

}}}} // namespace tarn::kernels
