// SPDX-License-Identifier: BSD-3-Clause
//
// What max and average pooling make of a window. A reduction has
//
//   state                  window_state<A, fields> of numbers, or of doubles for floats
//   fields                 numbers of its state
//   kept                   how many of the last fields calls want beside the result: the tap of the window that it is
//                          about, or the state itself
//   counts                 whether results depend on how many members a window has
//   looks_for              what elements are looked through for beforehand, block by block, or void: a type with add(x)
//   looks_at_stored        whether this is worth the time for elements that have to be converted
//   looks_at_lines         whether it is only for windows that share columns, of elements side by side
//   pick(seen, f)          with it: f(reduction), one that gives the same results for elements as they were seen
//   guess                  with it: the type of first_guess(), one of these, which is tried before they are looked for where
//                          that is known at the end only; guess.takes(seen) tells whether it was right. Or void
//   lifts_once             whether to lift is so much work that no element should be lifted twice
//   lifts_together         whether lift_each(x, s) lifts several registers in less time than one after the other
//   seldom                 whether it is asked for so seldom, or takes so long, that few loops do for all shapes
//   empty                  the result of no members
//   neutral(f)             field f of the state of no members
//   lift(x, row)           the state of one element in that row of the window, counted over depth and height
//   has_pair               whether pair(x, y, row) is a shorter way to combine the elements of that row and of the next
//   has_append             whether append(a, b) is a shorter way to combine states where all of b's elements lie behind
//                          those of a
//   at_column(s, t, width) the state of rows as that of column t of a window of so many columns
//   combine(a, b)          of two states, in the order of their elements in memory
//   finish(s, scale)       the result
//
// One that has members is made from a call, which has its parameters.
#pragma once

#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Whether there may be a NaN.
template <class A> struct nan_look {
    simd::mask<A> found = is_nan<A>(numbers<A>(number<A>(0)));

    TARN_INLINE void add(numbers<A> x) noexcept { found = found | is_nan<A>(x); }
    // A sum is NaN if one of both is, or if they are opposite infinities: then there is none, but may be.
    TARN_INLINE void add(numbers<A> x, numbers<A> y) noexcept { add(x + y); }
};

// The greatest element, where none is NaN.
template <class A> struct quick_max_window : window_reduction {
    static constexpr int fields = 1;
    static constexpr number<A> empty = -infinite<A>;
    using state = window_state<A, fields>;

    TARN_INLINE static number<A> neutral(int) noexcept { return empty; }
    TARN_INLINE static state lift(numbers<A> x, std::ptrdiff_t) noexcept { return {{x}}; }
    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t, std::ptrdiff_t) noexcept { return s; }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        return {{simd::max_of<A>(b.field[0], a.field[0])}};
    }
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>&) noexcept { return s.field[0]; }
};

// The greatest element; the first NaN, if there is one.
template <class A> struct max_window : quick_max_window<A> {
    using looks_for = nan_look<A>;
    static constexpr bool looks_at_stored = false;
    static constexpr bool looks_at_lines = true;
    using quick = quick_max_window<A>;
    using state = typename quick::state;

    template <class F> TARN_INLINE void pick(const nan_look<A>& seen, F f) const noexcept {
        if (xsimd::any(seen.found))
            f(*this);
        else
            f(quick{});
    }

    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        const numbers<A> x = b.field[0];
        return {{simd::select<A>(is_nan<A>(x), x, simd::max_of<A>(x, a.field[0]))}};
    }
};

// The same, and which tap of the window it is: the first of several. Taps are counted in numbers, exact below 2^24;
// infinity is none. Quick: where no element is NaN.
template <class A, bool Quick = false> struct max_index_window : window_reduction {
    static constexpr int fields = 2;
    static constexpr int kept = 1;
    static constexpr bool has_append = true;
    using looks_for = std::conditional_t<Quick, void, nan_look<A>>;
    static constexpr bool looks_at_stored = false;
    static constexpr number<A> empty = -infinite<A>;
    using state = window_state<A, fields>;

    template <class F> TARN_INLINE void pick(const nan_look<A>& seen, F f) const noexcept {
        if (xsimd::any(seen.found))
            f(*this);
        else
            f(max_index_window<A, true>{});
    }

    TARN_INLINE static number<A> neutral(int f) noexcept { return f == 0 ? -infinite<A> : infinite<A>; }
    TARN_INLINE static state lift(numbers<A> x, std::ptrdiff_t row) noexcept {
        return {{x, numbers<A>(static_cast<number<A>>(row))}};
    }
    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t t, std::ptrdiff_t width) noexcept {
        return {{s.field[0], simd::fmadd<A>(s.field[1], numbers<A>(static_cast<number<A>>(width)),
                                            numbers<A>(static_cast<number<A>>(t)))}};
    }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        const numbers<A> x = b.field[0];
        const numbers<A> y = a.field[0];
        const auto before = b.field[1] < a.field[1];
        if constexpr (Quick)
            return chosen((x > y) | ((x == y) & before), b, a);
        else
            return chosen((x > y) | (is_nan<A>(x) & (y == y)) | (((x == y) | (is_nan<A>(x) & is_nan<A>(y))) & before),
                          b, a);
    }
    TARN_INLINE static state append(const state& a, const state& b) noexcept {
        const numbers<A> x = b.field[0];
        const numbers<A> y = a.field[0];
        if constexpr (Quick)
            return chosen(x > y, b, a);
        else
            return chosen(((x > y) | is_nan<A>(x)) & (y == y), b, a);
    }
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>&) noexcept { return s.field[0]; }

private:
    TARN_INLINE static state chosen(const simd::mask<A>& first, const state& a, const state& b) noexcept {
        return {{simd::select<A>(first, a.field[0], b.field[0]), simd::select<A>(first, a.field[1], b.field[1])}};
    }
};

// What sums over windows share.
template <class A, int Fields> struct additive_window : window_reduction {
    static constexpr int fields = Fields;
    static constexpr bool counts = true;
    static constexpr number<A> empty = 0;
    using state = window_state<A, fields>;

    // Added to any number it changes nothing, not the sign of a zero either.
    TARN_INLINE static number<A> neutral(int) noexcept { return number<A>(-0.0); }
    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t, std::ptrdiff_t) noexcept { return s; }
};

// The sum, times the reciprocal of what it is divided by.
template <class A> struct average_window : additive_window<A, 1> {
    using typename additive_window<A, 1>::state;

    TARN_INLINE static state lift(numbers<A> x, std::ptrdiff_t) noexcept { return {{x}}; }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept { return {{a.field[0] + b.field[0]}}; }
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>& scale) noexcept {
        return scale.apply(s.field[0]);
    }
};

// The same for large windows: the sum, and what its additions lost.
template <class A> struct exact_average_window : additive_window<A, 2> {
    using typename additive_window<A, 2>::state;
    static constexpr bool seldom = true;

    TARN_INLINE static state lift(numbers<A> x, std::ptrdiff_t) noexcept { return {{x, numbers<A>(number<A>(0))}}; }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        const numbers<A> sum = a.field[0] + b.field[0];
        const numbers<A> added = sum - a.field[0];
        const numbers<A> lost = (a.field[0] - (sum - added)) + (b.field[0] - added);
        return {{sum, (a.field[1] + b.field[1]) + lost}};
    }
    // Infinite sums have lost what is no number.
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>& scale) noexcept {
        const numbers<A> whole = s.field[0] + s.field[1];
        return scale.apply(simd::select<A>(is_nan<A>(whole), s.field[0], whole));
    }
};

}}}} // namespace tarn::kernels
