// SPDX-License-Identifier: BSD-3-Clause
//
// The elements of a register of windows, a window in each lane, for reductions that look at them several times. They
// lie in rows and columns; those of some windows may be no members. Sums are of rows, then of the rows' sums. What is
// no member changes no sum, so that windows have the same bits whatever others are beside them.
#pragma once

#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Whether an element is a member: of all windows, or of those in the lanes of a mask.
struct all_members {};
template <class A> TARN_INLINE numbers<A> where_member(all_members, numbers<A> v, numbers<A>) noexcept { return v; }
template <class A>
TARN_INLINE numbers<A> where_member(const simd::mask<A>& member, numbers<A> v, numbers<A> otherwise) noexcept {
    return simd::select<A>(member, v, otherwise);
}

template <class A, int N> struct window_sums {
    numbers<A> field[N];

    TARN_INLINE static window_sums zero() noexcept {
        window_sums s;
        simd::unroll<N>([&](auto k) TARN_LAMBDA { s.field[decltype(k)::value] = numbers<A>(number<A>(0)); });
        return s;
    }
    TARN_INLINE void add(const window_sums& more) noexcept {
        simd::unroll<N>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            field[K] = field[K] + more.field[K];
        });
    }
};

// Both kinds of elements below have
//
//   clipped        whether windows may have fewer members than elements, or none
//   each(f)        f(x, member) for every element
//   sum<N>(f)      f(x, member, sums, first) adds what an element is worth to N sums; `first`, known at compile time:
//                  they hold nothing yet
//   sum_beside<N>(f)   the same, f(x, z, member, sums, first), z what another operand has beside x; if they have one
//   reduce(of)     the state that a reduction as in pool.hpp, with a pair and 0 for its sums of none, has of them

// As many as stay in registers.
template <class A, int Rows, int Columns> struct few_elements {
    static constexpr bool clipped = false;

    numbers<A> x[Rows][Columns];

    template <class F> TARN_INLINE void each(F f) const noexcept {
        simd::unroll<Rows>([&](auto r) TARN_LAMBDA {
            simd::unroll<Columns>([&](auto t)
                                      TARN_LAMBDA { f(x[decltype(r)::value][decltype(t)::value], all_members()); });
        });
    }
    template <int N, class F> TARN_INLINE window_sums<A, N> sum(F f) const noexcept {
        return sum_places<N>([&](auto r, auto t, auto& sums, auto first) TARN_LAMBDA {
            f(x[decltype(r)::value][decltype(t)::value], all_members(), sums, first);
        });
    }
    template <class Reduction> TARN_INLINE typename Reduction::state reduce(const Reduction& of) const noexcept {
        static_assert(Rows == 2 && Columns == 2);
        return of.combine(of.pair(x[0][0], x[0][1], 0), of.pair(x[1][0], x[1][1], 0));
    }

protected:
    // f(row, column, sums, first) adds what an element is worth.
    template <int N, class F> TARN_INLINE static window_sums<A, N> sum_places(F f) noexcept {
        window_sums<A, N> all;
        simd::unroll<Rows>([&](auto r) TARN_LAMBDA {
            window_sums<A, N> row;
            simd::unroll<Columns>([&](auto t) TARN_LAMBDA { f(r, t, row, simd::index<decltype(t)::value == 0>{}); });
            if constexpr (decltype(r)::value == 0)
                all = row;
            else
                all.add(row);
        });
        return all;
    }
};
// Beside each element another number.
template <class A, int Rows, int Columns> struct few_pairs_of_elements : few_elements<A, Rows, Columns> {
    using elements = few_elements<A, Rows, Columns>;

    numbers<A> z[Rows][Columns];

    template <int N, class F> TARN_INLINE window_sums<A, N> sum_beside(F f) const noexcept {
        const elements& e = *this;
        return elements::template sum_places<N>([&](auto r, auto t, auto& sums, auto first) TARN_LAMBDA {
            constexpr int R = decltype(r)::value;
            constexpr int T = decltype(t)::value;
            f(e.x[R][T], z[R][T], all_members(), sums, first);
        });
    }
};

// Lines: the elements of a row and a column of all windows side by side. What knows them has
//
//   rows, columns, pitch       numbers from one line to the next
//   columns_at_once            of a row that lie one behind the other
//   beside                     numbers from an element to that of the other operand, if there is one
//   line(row, column, n)       the first of n lines
//   member(column)             who has members there
template <class A, class Lines> struct listed_elements {
    static constexpr bool clipped = Lines::clipped;

    const Lines& lines;

    template <class F> TARN_INLINE void each(F f) const noexcept {
        for (std::ptrdiff_t r = 0; r < lines.rows; ++r)
            each_of_row(r,
                        [&](const number<A>* p, auto member) TARN_LAMBDA { f(numbers<A>::load_unaligned(p), member); });
    }
    template <int N, class F> TARN_INLINE window_sums<A, N> sum(F f) const noexcept {
        return sum_places<N>([&](const number<A>* p, auto member, auto& sums)
                                 TARN_LAMBDA { f(numbers<A>::load_unaligned(p), member, sums, simd::index<0>{}); });
    }
    template <int N, class F> TARN_INLINE window_sums<A, N> sum_beside(F f) const noexcept {
        const std::ptrdiff_t beside = lines.beside;
        return sum_places<N>([&](const number<A>* p, auto member, auto& sums) TARN_LAMBDA {
            f(numbers<A>::load_unaligned(p), numbers<A>::load_unaligned(p + beside), member, sums, simd::index<0>{});
        });
    }
    template <class Reduction> TARN_INLINE typename Reduction::state reduce(const Reduction& of) const noexcept {
        using state = typename Reduction::state;
        state nothing;
        simd::unroll<Reduction::fields>([&](auto f) TARN_LAMBDA {
            nothing.field[decltype(f)::value] = numbers<A>(of.neutral(decltype(f)::value));
        });
        state all = nothing;
        for (std::ptrdiff_t r = 0; r < lines.rows; ++r) {
            state row = nothing;
            each_of_row(r, [&](const number<A>* p, auto member) TARN_LAMBDA {
                state one = of.lift(numbers<A>::load_unaligned(p), r);
                simd::unroll<Reduction::fields>([&](auto f) TARN_LAMBDA {
                    constexpr int F = decltype(f)::value;
                    one.field[F] = where_member<A>(member, one.field[F], nothing.field[F]);
                });
                row = of.combine(row, one);
            });
            all = of.combine(all, row);
        }
        return all;
    }

private:
    // f(where an element is, member, sums) adds what it is worth. Sums that begin with 0 have the bits of those that begin
    // with their first term.
    template <int N, class F> TARN_INLINE window_sums<A, N> sum_places(F f) const noexcept {
        window_sums<A, N> all = window_sums<A, N>::zero();
        for (std::ptrdiff_t r = 0; r < lines.rows; ++r) {
            window_sums<A, N> row = window_sums<A, N>::zero();
            each_of_row(r, [&](const number<A>* p, auto member) TARN_LAMBDA { f(p, member, row); });
            all.add(row);
        }
        return all;
    }
    template <class F> TARN_INLINE void each_of_row(std::ptrdiff_t r, F f) const noexcept {
        std::ptrdiff_t end = 0;
        const number<A>* p = nullptr;
        for (std::ptrdiff_t t = 0; t < lines.columns; ++t, p += lines.pitch) {
            if (t == end) {
                const std::ptrdiff_t left = lines.columns - t;
                const std::ptrdiff_t n = left < lines.columns_at_once ? left : lines.columns_at_once;
                p = lines.line(r, t, n);
                end += n;
            }
            f(p, lines.member(t));
        }
    }
};

// All of them in L1, and all elements are members.
template <class A> struct whole_lines {
    static constexpr bool clipped = false;

    const number<A>* first;
    std::ptrdiff_t rows, columns, pitch, columns_at_once, beside;

    TARN_INLINE const number<A>* line(std::ptrdiff_t r, std::ptrdiff_t t, std::ptrdiff_t) const noexcept {
        return first + (r * columns + t) * pitch;
    }
    TARN_INLINE static all_members member(std::ptrdiff_t) noexcept { return {}; }
};

// A lane's members lie in columns first_member to end_member - 1. Those that are not in L1, `loader` brings there piece
// by piece: load(row, column, n).
template <class A, class Loader> struct clipped_lines {
    static constexpr bool clipped = true;

    const number<A>* first;
    std::ptrdiff_t rows, columns, pitch, columns_at_once, beside;
    numbers<A> first_member, end_member;
    Loader* loader;

    TARN_INLINE const number<A>* line(std::ptrdiff_t r, std::ptrdiff_t t, std::ptrdiff_t n) const noexcept {
        if (!loader)
            return first + (r * columns + t) * pitch;
        loader->load(r, t, n);
        return first;
    }
    TARN_INLINE simd::mask<A> member(std::ptrdiff_t t) const noexcept {
        const numbers<A> column(static_cast<number<A>>(t));
        return (first_member <= column) & (column < end_member);
    }
};

}}}} // namespace tarn::kernels
