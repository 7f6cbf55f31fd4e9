// SPDX-License-Identifier: BSD-3-Clause
//
// Long rows of which a part is kept, one by one: the weights of a row are made beside the results of the row before.
#pragma once

#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/masked_logits.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Copies a row, or what a source makes of it.
template <class A, class Source, class Sink> TARN_INLINE void copy_row(Source x, Sink y, std::ptrdiff_t n) noexcept {
    map_row<A>(x, y, 0, n, [](const pack<A>& v) TARN_LAMBDA { return v; });
}

// The same number for every element.
template <class A> struct constant_source {
    number<A> value;
    TARN_INLINE void prefetch(std::ptrdiff_t) const noexcept {}
    TARN_INLINE pack<A> at(std::ptrdiff_t) const noexcept { return simd::broadcast<A>(value); }
    TARN_INLINE pack<A> first(std::ptrdiff_t, int) const noexcept { return simd::broadcast<A>(value); }
};
template <class A>
TARN_NOINLINE void fill_numbers(number<A>* y, std::ptrdiff_t n, number<A> value, bool stream) noexcept {
    map_row_to_lines<A>(constant_source<A>{value}, y, n, stream, [](const pack<A>& v) TARN_LAMBDA { return v; });
}

// The results around a span, beside those in it, which are NaN together or not at all.
template <class A, class Sink>
TARN_INLINE void fill_around(Sink before, Sink after, std::ptrdiff_t columns, row_span s, number<A> first) noexcept {
    const number<A> value = first == first ? 0 : first;
    if (s.begin > 0)
        fill_row<A>(before, s.begin, value);
    if (s.end < columns)
        fill_row<A>(after, columns - s.end, value);
}
template <class A>
TARN_INLINE void fill_around(number<A>* y, std::ptrdiff_t columns, row_span s, number<A> first, bool stream) noexcept {
    const number<A> value = first == first ? 0 : first;
    if (s.begin > 0)
        fill_numbers<A>(y, s.begin, value, stream);
    if (s.end < columns)
        fill_numbers<A>(y + s.end, columns - s.end, value, stream);
}

// What a guess came to.
template <class A> struct guessed_row {
    bool right;
    normaliser<A> result;
};

// All rows of a call a, with x, y, rows, columns, y_across, mask and scratch. Rows has
//
//   state                           softmax_rows_state<A>
//   nothing(r)                      the results of row r if nothing of it is kept
//   guess(r, span, e, beside)       a guessed_row: the weights of the span to e, with the carried reference
//   careful(r, span, y)             the results of the span to y, whatever they are
template <class A, class Call, class Rows> TARN_INLINE void run_kept_rows(const Call& a, Rows& rows) noexcept {
    number<A>* const scratch = a.scratch ? first_buffered_row<A>(a.x, a.scratch) : nullptr;
    // In place, weights would overwrite what a wrong guess needs again.
    const bool may_guess = scratch || a.x != a.y;
    departing_row<A, either_sink<A>, mapped_source<A, normaliser<A>>> before(false, {nullptr, a.stream});
    std::ptrdiff_t turn = 0;
    for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
        prefetch_span(a.mask, r + 2, a.rows, a.columns);
        const row_span s = kept_span(a.mask, r, a.columns);
        const std::ptrdiff_t n = s.length();
        number<A>* const y = a.y + r * a.y_across;
        if (n == 0) {
            fill_numbers<A>(y, a.columns, rows.nothing(r), a.stream);
            continue;
        }
        if (may_guess && rows.state.may_guess()) {
            number<A>* const e =
                scratch ? scratch + turn % 2 * dispatch::buffered_row_size<number<A>>(a.columns) : y + s.begin;
            const guessed_row<A> guess = rows.guess(r, s, e, before.beside());
            before.complete(n);
            if (guess.right) {
                fill_around<A>(y, a.columns, s, 0, a.stream);
                if (scratch)
                    before.start({e, guess.result}, y + s.begin, n);
                else
                    map_row_backwards<A>(unit_source<A>{e}, unit_sink<A>{e}, n, guess.result.on());
                turn ^= 1;
                continue;
            }
            rows.state.guessed_wrong();
        } else {
            before.complete(0);
        }
        rows.careful(r, s, y + s.begin);
        fill_around<A>(y, a.columns, s, y[s.begin], a.stream);
    }
    before.complete(0);
    if (a.stream)
        simd::stream_fence<A>();
}

// The same with scratch on the stack where there is none. Run::run_long(a) calls run_kept_rows.
template <class A, class Run, class Call> struct kept_rows_on_stack {
    TARN_NOINLINE static void run_on_stack(Call a) noexcept {
        alignas(64) number<A>
            scratch[dispatch::buffered_scratch<number<A>>(dispatch::stack_buffered_columns<number<A>>)];
        a.scratch = scratch;
        Run::run_long(a);
    }
    TARN_INLINE static void run(const Call& a) noexcept {
        if (!a.scratch && a.may_use_stack && a.columns <= dispatch::stack_buffered_columns<number<A>>)
            run_on_stack(a);
        else
            Run::run_long(a);
    }
};

}}}} // namespace tarn::kernels
