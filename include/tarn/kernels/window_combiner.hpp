// SPDX-License-Identifier: BSD-3-Clause
//
// States of windows: how they are made of elements, put together, loaded and stored. What a reduction is: see pool.hpp.
#pragma once

#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction> struct window_combiner {
    using state = typename Reduction::state;
    using cells = typename state::cells;
    using sum = typename state::number;
    using scale = window_scale<A, sum>;
    static constexpr int fields = Reduction::fields;
    static constexpr int width = static_cast<int>(numbers<A>::size);

    const Reduction reduction;

    TARN_INLINE explicit window_combiner(const Reduction& r) noexcept : reduction(r) {}

    // The elements of a row of the window and of the next.
    TARN_INLINE state pair(numbers<A> x, numbers<A> y, std::ptrdiff_t tap) const noexcept {
        if constexpr (Reduction::has_pair)
            return reduction.pair(x, y, tap);
        else
            return reduction.combine(reduction.lift(x, tap), reduction.lift(y, tap + 1));
    }
    // Of two states, all elements of the second behind those of the first.
    TARN_INLINE state append(const state& a, const state& b) const noexcept {
        if constexpr (Reduction::has_append)
            return reduction.append(a, b);
        else
            return reduction.combine(a, b);
    }
    template <class F> TARN_INLINE static state each_field(F f) noexcept {
        state s;
        simd::unroll<fields>([&](auto k) TARN_LAMBDA { s.field[decltype(k)::value] = f(k); });
        return s;
    }
    TARN_INLINE static state load_state(const sum* line, std::ptrdiff_t pitch) noexcept {
        return each_field([&](auto f) TARN_LAMBDA { return cells::load(line + decltype(f)::value * pitch); });
    }
    TARN_INLINE static void store_state(const state& s, sum* line, std::ptrdiff_t pitch) noexcept {
        simd::unroll<fields>(
            [&](auto f) TARN_LAMBDA { cells::store(s.field[decltype(f)::value], line + decltype(f)::value * pitch); });
    }
    TARN_INLINE state neutral_state() const noexcept {
        return each_field([&](auto f) TARN_LAMBDA { return cells::all(reduction.neutral(decltype(f)::value)); });
    }
    // The first n lanes of s, no members in the others.
    TARN_INLINE state first_or_neutral(const state& s, int n) const noexcept {
        return each_field([&](auto f) TARN_LAMBDA {
            constexpr int F = decltype(f)::value;
            return cells::first_or(s.field[F], n, reduction.neutral(F));
        });
    }
    // The states of single elements load(0) .. load(N - 1).
    template <int N, class Load>
    TARN_INLINE void lift_each(state (&s)[N], std::ptrdiff_t tap, Load load) const noexcept {
        if constexpr (Reduction::lifts_together) {
            numbers<A> x[N];
            simd::unroll<N>([&](auto k) TARN_LAMBDA { x[decltype(k)::value] = load(k); });
            reduction.lift_each(x, s);
        } else {
            simd::unroll<N>([&](auto k) TARN_LAMBDA { s[decltype(k)::value] = reduction.lift(load(k), tap); });
        }
    }
    // As many of n elements as are whole registers to states; how many.
    TARN_INLINE std::ptrdiff_t lift_registers(const number<A>* x, std::ptrdiff_t n, sum* to,
                                              std::ptrdiff_t pitch) const noexcept {
        const auto some = [&](std::ptrdiff_t i, auto count) TARN_LAMBDA {
            constexpr int N = decltype(count)::value;
            state s[N];
            lift_each(s, 0, [&](auto k) TARN_LAMBDA {
                return numbers<A>::load_unaligned(x + i + decltype(k)::value * width);
            });
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                store_state(s[decltype(k)::value], to + i + decltype(k)::value * width, pitch);
            });
        };
        constexpr int together = Reduction::lifts_together ? 4 : 1;
        std::ptrdiff_t i = 0;
        for (; i + together * width <= n; i += together * width)
            some(i, simd::index<together>{});
        for (; together > 1 && i + width <= n; i += width)
            some(i, simd::index<1>{});
        return i;
    }
    // load(0) .. load(Rows - 1) of the rows of a window from `tap` on, combined.
    template <int Rows, class Load> TARN_INLINE state few(std::ptrdiff_t tap, Load load) const noexcept {
        constexpr int first = Rows > 1 ? 2 : 1;
        state s;
        if constexpr (Rows > 1)
            s = pair(load(0), load(1), tap);
        else
            s = reduction.lift(load(0), tap);
        simd::unroll<Rows - first>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value + first;
            s = append(s, reduction.lift(load(K), tap + K));
        });
        return s;
    }
    // The same of rows that have been lifted. Rows: how many, or 0 for any.
    template <int Rows>
    TARN_INLINE state lifted(const sum* p, std::ptrdiff_t step, std::ptrdiff_t rows,
                             std::ptrdiff_t pitch) const noexcept {
        state s = load_state(p, pitch);
        if constexpr (Rows > 0) {
            simd::unroll<Rows - 1>([&](auto k) TARN_LAMBDA {
                s = reduction.combine(s, load_state(p + (decltype(k)::value + 1) * step, pitch));
            });
        } else {
            for (std::ptrdiff_t k = 1; k < rows; ++k)
                s = reduction.combine(s, load_state(p += step, pitch));
        }
        return s;
    }

    // f(p, tap, whether it is the first) for every member of a row.
    template <class F>
    TARN_INLINE static void each_row(const number<A>* x, const window_row& r, const window_steps& step, F f) noexcept {
        f(x, r.tap, simd::index<1>{});
        std::ptrdiff_t b = 1;
        for (std::ptrdiff_t a = 0; a < r.count[0]; ++a, b = 0) {
            const number<A>* p = x + a * step.x[0] + b * step.x[1];
            for (std::ptrdiff_t tap = r.tap + a * step.tap + b; b < r.count[1]; ++b, ++tap, p += step.x[1])
                f(p, tap, simd::index<0>{});
        }
    }

    // The fields that calls want of windows side by side.
    TARN_INLINE static void keep([[maybe_unused]] const state& s, [[maybe_unused]] number<A>* to,
                                 [[maybe_unused]] std::ptrdiff_t pitch) noexcept {
        if constexpr (Reduction::kept > 0) {
            simd::unroll<Reduction::kept>([&](auto f) TARN_LAMBDA {
                constexpr int F = decltype(f)::value;
                s.field[fields - Reduction::kept + F].store_unaligned(to + F * pitch);
            });
        }
    }
    // n results, fewer than a register has, to y.
    TARN_INLINE static void put(numbers<A> v, number<A>* y, std::ptrdiff_t n, std::ptrdiff_t room) noexcept {
        if (width <= room)
            v.store_unaligned(y);
        else
            simd::store_n<A>(y, v, static_cast<int>(n));
    }
    TARN_INLINE static void fill_results(number<A>* y, std::ptrdiff_t n) noexcept {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            y[i] = Reduction::empty;
    }
};

}}}} // namespace tarn::kernels
