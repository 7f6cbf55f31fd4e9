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

// The sums of a register of elements. A single one is what it is.
template <class A, int Sums> struct element_sums {
    using type = element_numbers<A, Sums>;

    // Of f(0) .. f(Sums - 1).
    template <class F> TARN_INLINE static type of(F f) noexcept {
        type s;
        simd::unroll<Sums>([&](auto k) TARN_LAMBDA { s.number[decltype(k)::value] = f(decltype(k)::value); });
        return s;
    }
    TARN_INLINE static numbers<A>& part(type& s, int k) noexcept { return s.number[k]; }
};
template <class A> struct element_sums<A, 1> {
    using type = numbers<A>;

    template <class F> TARN_INLINE static type of(F f) noexcept { return f(0); }
    TARN_INLINE static numbers<A>& part(type& s, int) noexcept { return s; }
};

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
//   sums                   how many sums an element has
//   add(sum, w, tap, e)    the sum, or sums, and what windows w give to their elements `tap`, whose numbers are e
//   finishes, finish(sum, e)  whether gradients are others than the sum, and then these
//   end()                  after the last group
//   rule                   what of them is done in registers where windows are tiles, or void: see window_tiles.hpp
//
// Those that do not say otherwise ask nothing of elements:
struct shares_of_windows {
    using call = dispatch::window_gradients;
    static constexpr int elements = 0;
    static constexpr bool lifts = false;
    static constexpr int sums = 1;
    static constexpr bool finishes = false;
    static constexpr bool several_planes = true;
    using rule = void;

    TARN_INLINE void end() noexcept {}
};

// What is known of a register of windows.
template <class A, int Fields> struct window_numbers {
    static constexpr int count = Fields;
    numbers<A> field[Fields];
};
// The same of windows side by side, from field to field of a block.
template <class A, int Fields, std::ptrdiff_t Room> class window_fields {
public:
    using windows = window_numbers<A, Fields>;

    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept {
        return each([&](int f) TARN_LAMBDA { return numbers<A>::load_unaligned(number_[f] + i); });
    }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept {
        return each([&](int f) TARN_LAMBDA { return simd::load_n<A>(number_[f] + i, n); });
    }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept {
        return each([&](int f) TARN_LAMBDA { return numbers<A>(number_[f][i]); });
    }
    TARN_INLINE void put(std::ptrdiff_t i, int n, const windows& w) noexcept {
        simd::unroll<Fields>([&](auto f) TARN_LAMBDA {
            simd::store_n<A>(number_[decltype(f)::value] + i, w.field[decltype(f)::value], n);
        });
    }

private:
    template <class F> TARN_INLINE static windows each(F f) noexcept {
        windows w;
        simd::unroll<Fields>([&](auto k) TARN_LAMBDA { w.field[decltype(k)::value] = f(decltype(k)::value); });
        return w;
    }

    alignas(64) number<A> number_[Fields][Room + static_cast<std::ptrdiff_t>(numbers<A>::size)];
};

// Rules with `others`, another rule, leave it those windows w for which are_far(dy, w), a mask, holds; near(w, mask) is 0 for
// these. What others give of elements themselves, by add(sum, w, x), is the last sum, and is added to the gradient. Elements
// are the last of their numbers.
template <class Rule, class = void> struct has_others : std::false_type {};
template <class Rule> struct has_others<Rule, std::void_t<typename Rule::others>> : std::true_type {};

// Rules with takes_whole look at all elements of windows at once, of two rows and columns: of(dy, few_elements, share), the
// share as shares_of(depth, height, column, n) gives it for n windows side by side, or for one in all lanes.
template <class Rule, class = void> struct takes_whole : std::false_type {};
template <class Rule> struct takes_whole<Rule, std::void_t<decltype(Rule::takes_whole)>> : std::true_type {};

template <class A>
constexpr number<A> greatest_number = simd::is_double<A> ? number<A>(0x1.fffffffffffffp1023)
                                                         : number<A>(0x1.fffffep127f);

// 0, or a magnitude from least to greatest; not NaN.
template <class A> TARN_INLINE auto are_within(numbers<A> v, number<A> least, number<A> greatest) noexcept {
    const numbers<A> size = xsimd::abs(v);
    return (size <= numbers<A>(greatest)) & ((size >= numbers<A>(least)) | (size == numbers<A>(number<A>(0))));
}

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
