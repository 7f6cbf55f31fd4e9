// SPDX-License-Identifier: BSD-3-Clause
//
// The loops over elements in which windows are reduced. What a reduction is: see pool.hpp.
#pragma once

#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Rows of windows that are reduced together. Lines have a number for every field and column.
template <class A, class Number = number<A>> struct window_block {
    const window_row* row;
    std::ptrdiff_t rows;
    const number<A>* x; // of the first column
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

template <class A, class Reduction, own_loops Own = usual_loops<A, Reduction>> struct window_loops {
    using state = typename Reduction::state;
    using cells = typename state::cells;
    using sum = typename state::number;
    using block = window_block<A, sum>;
    using scale = window_scale<A, sum>;
    static constexpr int fields = Reduction::fields;
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr bool has_all = Own == own_loops::all;

    Reduction reduction;

    // The rows of windows of a block into its lines.
    TARN_NOINLINE void reduce_rows(const block& b) const noexcept {
        const window_loops self = *this;
        if constexpr (!has_all)
            self.reduce_any(b);
        else if (b.pieces > 1)
            self.template reduce_pieces<false>(b);
        else if (b.piece > width)
            self.template reduce_pieces<true>(b);
        else
            self.reduce_short(b);
    }

    // n elements side by side of a row of windows into a line, beside what it has already or in its place.
    TARN_NOINLINE void add_rows(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t n,
                                sum* line, std::ptrdiff_t pitch, [[maybe_unused]] bool beside = true) const noexcept {
        const window_loops self = *this;
        if constexpr (has_all)
            self.any_rows(x, r, step, n, line, pitch, std::true_type{});
        else
            self.any_rows(x, r, step, n, line, pitch, beside);
    }

    // The windows of the lines of a block to its results.
    template <class Scales> TARN_INLINE void reduce_columns(const block& b, Scales& scales) const noexcept {
        const line_windows& w = b.windows;
        if constexpr (has_all) {
            if (w.stride == 1 && w.kernel == 3) {
                slide<1, 3>(b, scales);
                return;
            }
            if (w.stride == 2) {
                if (w.kernel == 3 && w.step == 1)
                    slide<2, 3>(b, scales);
                else
                    slide<2, 0>(b, scales);
                return;
            }
        }
        if (w.stride == 1)
            slide<1, 0>(b, scales);
        else
            slide<0, 0>(b, scales);
    }

    // Windows of two columns side by side, from where the rows of a block are to its results.
    template <class Scales> TARN_NOINLINE void reduce_pairs(const block& b, Scales& scales) const noexcept {
        const window_loops self = *this;
        const std::ptrdiff_t n = b.group;
        for (std::ptrdiff_t k = 0; k < b.rows; ++k) {
            const window_row& r = b.row[k];
            scales.prepare(r.counted);
            if (has_all && r.count[0] == 1 && r.count[1] == 2)
                self.template pairs<has_all ? 2 : 0>(b.x + r.x, r, b.step, n, scales.at(0), b.y + r.y, b.room - k * n);
            else if (r.count[0] == 0)
                fill_results(b.y + r.y, n);
            else
                self.template pairs<0>(b.x + r.x, r, b.step, n, scales.at(0), b.y + r.y, b.room - k * n);
        }
    }

    // A window of a row and `taps` columns, of `kernel` the first is tap `first`, for n lanes side by side.
    TARN_NOINLINE void reduce_lanes(const number<A>* x, const window_row& r, const window_steps& step,
                                    std::ptrdiff_t taps, std::ptrdiff_t tap_step, std::ptrdiff_t first,
                                    std::ptrdiff_t kernel, std::ptrdiff_t n, const scale& by,
                                    number<A>* y) const noexcept {
        const window_loops self = *this;
        if (has_all && taps == 2 && r.count[0] == 1 && r.count[1] == 2) {
            self.lanes_of_four(x, r.tap, step.x[1], tap_step, first, kernel, n, by, y);
            return;
        }
        std::ptrdiff_t i = 0;
        for (; has_all && i + 4 * width <= n; i += 4 * width)
            self.template lane_registers<has_all ? 4 : 1>(x + i, r, step, taps, tap_step, first, kernel, by, y + i);
        for (; i < n; i += width) {
            const std::ptrdiff_t at = i + width > n ? n - width : i;
            self.template lane_registers<1>(x + at, r, step, taps, tap_step, first, kernel, by, y + at);
        }
    }

    // n numbers of a line without members.
    TARN_INLINE void fill(sum* line, std::ptrdiff_t n, std::ptrdiff_t pitch) const noexcept {
        for (int f = 0; f < fields; ++f) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                line[f * pitch + i] = reduction.neutral(f);
        }
    }
    TARN_INLINE static void fill_results(number<A>* y, std::ptrdiff_t n) noexcept {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            y[i] = Reduction::empty;
    }

    // What n elements are looked through for.
    template <class Look> TARN_NOINLINE static void look(const number<A>* p, std::ptrdiff_t n, Look& seen) noexcept {
        Look look = seen;
        std::ptrdiff_t i = 0;
        for (; i + 4 * width <= n; i += 4 * width) {
            simd::unroll<2>([&](auto k) TARN_LAMBDA {
                const number<A>* const q = p + i + 2 * decltype(k)::value * width;
                look.add(numbers<A>::load_unaligned(q), numbers<A>::load_unaligned(q + width));
            });
        }
        for (; i < n; i += width)
            look.add(simd::load_n<A>(p + i, n - i < width ? static_cast<int>(n - i) : width));
        seen = look;
    }

    // Rows of n elements to the states of single elements, line behind line, and numbers of no meaning up to a register
    // behind each: there is room for (n / width + 1) * width.
    TARN_NOINLINE void lift_rows(const number<A>* x, std::ptrdiff_t step, std::ptrdiff_t rows, std::ptrdiff_t n,
                                 sum* to, std::ptrdiff_t pitch) const noexcept {
        const window_loops self = *this;
        for (; rows > 0; --rows, x += step, to += fields * pitch) {
            const std::ptrdiff_t i = self.lift_registers(x, n, to, pitch);
            store_state(i < n ? self.reduction.lift(simd::load_n<A>(x + i, static_cast<int>(n - i)), 0)
                              : self.neutral_state(),
                        to + i, pitch);
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
    // As reduce_rows does it, of rows of a register or more that have been lifted: row `first` of the plane and those
    // behind it.
    TARN_NOINLINE void combine_rows(const block& b, const sum* lifted, std::ptrdiff_t lifted_pitch,
                                    std::ptrdiff_t first, std::ptrdiff_t dilation) const noexcept {
        const window_loops self = *this;
        const std::ptrdiff_t n = b.piece;
        sum* line = b.line + b.begin;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, line += b.line_pitch) {
            if (r->count[0] == 0) {
                self.fill(line, n, b.pitch);
                continue;
            }
            const std::ptrdiff_t step = dilation * fields * lifted_pitch;
            const sum* const from = lifted + (r->row - first) * fields * lifted_pitch;
            if (has_all && r->count[1] == 3)
                self.template lifted_line<has_all ? 3 : 0>(from, step, 3, lifted_pitch, n, line, b.pitch);
            else
                self.template lifted_line<0>(from, step, r->count[1], lifted_pitch, n, line, b.pitch);
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

private:
    // n results, fewer than a register has, to y.
    TARN_INLINE static void put(numbers<A> v, number<A>* y, std::ptrdiff_t n, std::ptrdiff_t room) noexcept {
        if (width <= room)
            v.store_unaligned(y);
        else
            simd::store_n<A>(y, v, static_cast<int>(n));
    }

    TARN_INLINE void reduce_any(const block b) const noexcept {
        sum* line = b.line + b.begin;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, line += b.line_pitch) {
            if (r->count[0] == 0) {
                fill(line, b.pieces * b.piece, b.pitch);
                continue;
            }
            for (std::ptrdiff_t j = 0; j < b.pieces; ++j)
                add_rows(b.x + r->x + j * b.piece_step, *r, b.step, b.piece, line + j * b.piece, b.pitch, false);
        }
    }
    // Single: rows are one piece.
    template <bool Single> TARN_INLINE void reduce_pieces(const block b) const noexcept {
        const std::ptrdiff_t pieces = Single ? 1 : b.pieces;
        const std::ptrdiff_t n = b.piece;
        sum* line = b.line + b.begin;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, line += b.line_pitch) {
            const number<A>* const x = b.x + r->x;
            const auto each_piece = [&](auto f) TARN_LAMBDA {
                for (std::ptrdiff_t j = 0; j < pieces; ++j)
                    f(x + j * b.piece_step, line + j * n);
            };
            if (r->count[0] != 1 || r->count[1] > 3) {
                if (r->count[0] == 0)
                    fill(line, pieces * n, b.pitch);
                else
                    each_piece([&](const number<A>* p, sum* to)
                                   TARN_LAMBDA { any_rows(p, *r, b.step, n, to, b.pitch, std::false_type{}); });
            } else if (r->count[1] == 3) {
                each_piece([&](const number<A>* p, sum* to)
                               TARN_LAMBDA { few_rows<3>(p, b.step.x[1], r->tap, n, to, b.pitch); });
            } else if (r->count[1] == 2) {
                each_piece([&](const number<A>* p, sum* to)
                               TARN_LAMBDA { few_rows<2>(p, b.step.x[1], r->tap, n, to, b.pitch); });
            } else {
                each_piece([&](const number<A>* p, sum* to)
                               TARN_LAMBDA { few_rows<1>(p, b.step.x[1], r->tap, n, to, b.pitch); });
            }
        }
    }
    // Rows of at most a register.
    TARN_INLINE void reduce_short(const block b) const noexcept {
        const int n = static_cast<int>(b.piece);
        sum* line = b.line + b.begin;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, line += b.line_pitch) {
            if (r->count[0] == 0) {
                fill(line, n, b.pitch);
                continue;
            }
            const number<A>* x = b.x + r->x;
            std::ptrdiff_t tap = r->tap;
            state s = reduction.lift(simd::load_n<A>(x, n), tap);
            if (r->count[0] == 1 && r->count[1] == 3) {
                const std::ptrdiff_t step = b.step.x[1];
                s = reduction.combine(s, reduction.lift(simd::load_n<A>(x + step, n), tap + 1));
                s = reduction.combine(s, reduction.lift(simd::load_n<A>(x + 2 * step, n), tap + 2));
                store_first(s, n, line, b.pitch);
                continue;
            }
            for (std::ptrdiff_t a = 1; a < r->count[1]; ++a) {
                x += b.step.x[1];
                s = reduction.combine(s, reduction.lift(simd::load_n<A>(x, n), ++tap));
            }
            for (std::ptrdiff_t d = 1; d < r->count[0]; ++d) {
                x = b.x + r->x + d * b.step.x[0];
                tap = r->tap + d * b.step.tap;
                for (std::ptrdiff_t a = 0; a < r->count[1]; ++a, x += b.step.x[1], ++tap)
                    s = reduction.combine(s, reduction.lift(simd::load_n<A>(x, n), tap));
            }
            store_first(s, n, line, b.pitch);
        }
    }

    // The first n lanes of s to a line, no members in the others.
    TARN_INLINE void store_first(const state& s, int n, sum* line, std::ptrdiff_t pitch) const noexcept {
        store_state(first_or_neutral(s, n), line, pitch);
    }
    template <int N>
    TARN_INLINE void few_rows(const number<A>* x, std::ptrdiff_t step, std::ptrdiff_t tap, std::ptrdiff_t n, sum* line,
                              std::ptrdiff_t pitch) const noexcept {
        const auto rows = [&](std::ptrdiff_t i, auto load) TARN_LAMBDA {
            return few<N>(tap, [&](int k) TARN_LAMBDA { return load(x + i + k * step); });
        };
        const auto whole = [](const number<A>* p) TARN_LAMBDA { return numbers<A>::load_unaligned(p); };
        if (n < width) {
            const int few = static_cast<int>(n);
            const state s = rows(0, [&](const number<A>* p) TARN_LAMBDA { return simd::load_n<A>(p, few); });
            store_first(s, few, line, pitch);
            return;
        }
        std::ptrdiff_t i = 0;
        for (; i + 2 * width <= n; i += 2 * width) {
            store_state(rows(i, whole), line + i, pitch);
            store_state(rows(i + width, whole), line + i + width, pitch);
        }
        // The last register repeats what the one before has.
        for (; i < n; i += width) {
            const std::ptrdiff_t at = i + width > n ? n - width : i;
            store_state(rows(at, whole), line + at, pitch);
        }
    }
    template <int Rows>
    TARN_INLINE void lifted_line(const sum* from, std::ptrdiff_t step, std::ptrdiff_t rows, std::ptrdiff_t lifted_pitch,
                                 std::ptrdiff_t n, sum* line, std::ptrdiff_t pitch) const noexcept {
        const auto one = [&](std::ptrdiff_t i) TARN_LAMBDA {
            store_state(lifted<Rows>(from + i, step, rows, lifted_pitch), line + i, pitch);
        };
        std::ptrdiff_t i = 0;
        for (; i + width <= n; i += width)
            one(i);
        // The last register repeats what the one before has.
        if (i < n)
            one(n - width);
    }
    // Beside: bool, or known to the compiler.
    template <class Beside>
    TARN_INLINE void any_rows(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t n,
                              sum* line, std::ptrdiff_t pitch, Beside beside) const noexcept {
        if (n < width) {
            const int few = static_cast<int>(n);
            state s;
            each_row(x, r, step, [&](const number<A>* p, std::ptrdiff_t tap, auto first) TARN_LAMBDA {
                const state v = reduction.lift(simd::load_n<A>(p, few), tap);
                if constexpr (decltype(first)::value)
                    s = beside ? reduction.combine(load_state(line, pitch), v) : v;
                else
                    s = append(s, v);
            });
            store_first(s, few, line, pitch);
            return;
        }
        // Rows of up to four registers are walked once, in the order of memory. The last register is not alone: it may
        // repeat numbers of the one before, from what the line had.
        std::ptrdiff_t i = 0;
        std::ptrdiff_t left = (n + width - 1) / width;
        const auto group = [&](auto k) TARN_LAMBDA {
            constexpr int N = decltype(k)::value;
            registers_of_rows<N>(x + i, r, step, n - i, line + i, pitch, beside);
            i += N * width;
            left -= N;
        };
        if (left % 2 == 1)
            group(simd::index<1>{});
        while (left >= 4)
            group(simd::index<4>{});
        if (left == 2)
            group(simd::index<2>{});
    }
    // N registers of n numbers or more, or all n: then the last repeats what the one before has.
    template <int N, class Beside>
    TARN_INLINE void registers_of_rows(const number<A>* x, const window_row& r, const window_steps& step,
                                       std::ptrdiff_t n, sum* line, std::ptrdiff_t pitch,
                                       Beside beside) const noexcept {
        const std::ptrdiff_t last = n < N * width ? n - width : (N - 1) * width;
        const auto at = [&](auto k)
                            TARN_LAMBDA { return decltype(k)::value == N - 1 ? last : decltype(k)::value * width; };
        state s[N];
        each_row(x, r, step, [&](const number<A>* p, std::ptrdiff_t tap, auto first) TARN_LAMBDA {
            state v[N];
            lift_each(v, tap, [&](auto k) TARN_LAMBDA { return numbers<A>::load_unaligned(p + at(k)); });
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                if constexpr (decltype(first)::value)
                    s[K] = beside ? reduction.combine(load_state(line + at(k), pitch), v[K]) : v[K];
                else
                    s[K] = append(s[K], v[K]);
            });
        });
        simd::unroll<N>([&](auto k) TARN_LAMBDA { store_state(s[decltype(k)::value], line + at(k), pitch); });
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

    // Tap t of windows from p on. With two numbers from window to window, taps of the lines are taken in pairs.
    template <int Stride, int Kernel>
    TARN_INLINE static state tap_state(const sum* p, std::ptrdiff_t pitch, const line_windows& w,
                                       std::ptrdiff_t t) noexcept {
        return each_field([&](auto f) TARN_LAMBDA {
            const sum* q = p + decltype(f)::value * pitch;
            if constexpr (Stride == 1)
                return cells::load(q + t * w.step);
            else if constexpr (Stride == 0)
                return cells::load_strided(q + t * w.step, w.stride);
            else if constexpr (Kernel == 0)
                return pair_lanes<0>(q + t * w.step);
            else
                return t % 2 == 0 ? pair_lanes<0>(q + t) : pair_lanes<1>(q + t - 1);
        });
    }
    template <int Odd> TARN_INLINE static typename cells::type pair_lanes(const sum* q) noexcept {
        const typename cells::type a = cells::load(q);
        const typename cells::type b = cells::load(q + width);
        return Odd ? cells::odd_lanes(a, b) : cells::even_lanes(a, b);
    }
    // A register of windows from p on.
    template <int Stride, int Kernel>
    TARN_INLINE state window_at(const sum* p, std::ptrdiff_t pitch, const line_windows& w) const noexcept {
        const std::ptrdiff_t kernel = Kernel > 0 ? Kernel : w.kernel;
        state s = reduction.at_column(tap_state<Stride, Kernel>(p, pitch, w, 0), 0, kernel);
        if constexpr (Kernel > 0) {
            simd::unroll<Kernel - 1>([&](auto k) TARN_LAMBDA {
                constexpr int T = decltype(k)::value + 1;
                s = reduction.combine(s, reduction.at_column(tap_state<Stride, Kernel>(p, pitch, w, T), T, kernel));
            });
        } else {
            for (std::ptrdiff_t t = 1; t < kernel; ++t)
                s = reduction.combine(s, reduction.at_column(tap_state<Stride, Kernel>(p, pitch, w, t), t, kernel));
        }
        if constexpr (Stride == 2)
            return each_field([&](auto f) TARN_LAMBDA { return cells::unfolded(s.field[decltype(f)::value]); });
        else
            return s;
    }
    template <int Stride, int Kernel, class Scales>
    TARN_NOINLINE void slide(const block& given, Scales& scales) const noexcept {
        const window_loops self = *this;
        const block b = given;
        if (!has_all || b.groups > 1)
            self.template slide_groups<Stride, Kernel, false>(b, scales);
        else if constexpr (has_all)
            b.group > width ? self.template slide_groups<Stride, Kernel, true>(b, scales)
                            : self.template slide_short<Stride, Kernel>(b, scales);
    }
    // Single: results of a row are one group.
    template <int Stride, int Kernel, bool Single, class Scales>
    TARN_INLINE void slide_groups(const block& b, Scales& scales) const noexcept {
        const std::ptrdiff_t n = b.group;
        const std::ptrdiff_t groups = Single ? 1 : b.groups;
        const std::ptrdiff_t stride = Stride > 0 ? Stride : b.windows.stride;
        const sum* row_line = b.line;
        for (std::ptrdiff_t k = 0; k < b.rows; ++k, row_line += b.line_pitch) {
            scales.prepare(b.row[k].counted);
            number<A>* row_y = b.in_place ? b.y + b.row[k].y : b.y + k * groups * n;
            number<A>* const row_kept = b.kept + (Reduction::kept > 0 ? k * groups * n : 0);
            for (std::ptrdiff_t g = 0; g < groups; ++g) {
                const sum* const line = row_line + g * b.group_windows;
                number<A>* const y = row_y + g * b.group_step;
                const auto one = scales.all_of(g);
                const auto results = [&](std::ptrdiff_t i) TARN_LAMBDA {
                    const state s = window_at<Stride, Kernel>(line + i * stride, b.pitch, b.windows);
                    keep(s, row_kept + g * n + i, b.kept_pitch);
                    return reduction.finish(s, b.one_scale ? one : scales.at(i));
                };
                if (n < width) {
                    put(results(0), y, n, b.room - (k * groups + g) * n);
                    continue;
                }
                std::ptrdiff_t i = 0;
                for (; i + width <= n; i += width)
                    results(i).store_unaligned(y + i);
                // The last register repeats results of the one before.
                if (i < n)
                    results(n - width).store_unaligned(y + n - width);
            }
        }
    }
    // The same where lines lie one behind the other. Whatever begins between the windows is worked out as well.
    template <int Kernel, class Scales>
    TARN_INLINE void slide_adjoining(const block& b, Scales& scales) const noexcept {
        const std::ptrdiff_t n = b.rows * b.line_pitch;
        for (std::ptrdiff_t i = 0; i < n; i += width)
            window_at<1, Kernel>(b.line + i, b.pitch, b.windows).field[0].store_unaligned(b.between + i);
        const number<A>* between = b.between;
        std::ptrdiff_t room = b.room;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, between += b.line_pitch, room -= b.group) {
            scales.prepare(r->counted);
            put(reduction.finish({{numbers<A>::load_unaligned(between)}}, scales.at(0)), b.y + r->y, b.group, room);
        }
    }
    // Rows of at most a register of results.
    template <int Stride, int Kernel, class Scales>
    TARN_INLINE void slide_short(const block& b, Scales& scales) const noexcept {
        const sum* line = b.line;
        std::ptrdiff_t room = b.room;
        std::ptrdiff_t done = 0;
        if constexpr (Stride == 1 && std::is_same<sum, number<A>>::value) {
            if (b.adjoining) {
                slide_adjoining<Kernel>(b, scales);
                return;
            }
        }
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, line += b.line_pitch) {
            scales.prepare(r->counted);
            const state s = window_at<Stride, Kernel>(line, b.pitch, b.windows);
            put(reduction.finish(s, b.one_scale ? scales.all_of(0) : scales.at(0)), b.y + (b.in_place ? r->y : done),
                b.group, room);
            keep(s, b.kept + done, b.kept_pitch);
            done += b.group;
            room -= b.group;
        }
    }

    // Rows: how many there are, one after the other, or 0 for any.
    template <int Rows>
    TARN_INLINE void pairs(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t n,
                           const scale& by, number<A>* y, std::ptrdiff_t room) const noexcept {
        const auto results = [&](std::ptrdiff_t i, auto load) TARN_LAMBDA {
            state s[2];
            const auto add = [&](const number<A>* p, std::ptrdiff_t tap, auto first) TARN_LAMBDA {
                simd::unroll<2>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    const state v = reduction.lift(load(p + K * width, K), tap);
                    if constexpr (decltype(first)::value)
                        s[K] = v;
                    else
                        s[K] = reduction.combine(s[K], v);
                });
            };
            if constexpr (Rows == 2) {
                const number<A>* const p = x + 2 * i;
                const number<A>* const q = p + step.x[1];
                simd::unroll<2>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    s[K] = pair(load(p + K * width, K), load(q + K * width, K), r.tap);
                });
            } else {
                each_row(x + 2 * i, r, step, add);
            }
            const state even = each_field([&](auto f) TARN_LAMBDA {
                return cells::even_lanes(s[0].field[decltype(f)::value], s[1].field[decltype(f)::value]);
            });
            const state odd = each_field([&](auto f) TARN_LAMBDA {
                return cells::odd_lanes(s[0].field[decltype(f)::value], s[1].field[decltype(f)::value]);
            });
            const state both = reduction.combine(reduction.at_column(even, 0, 2), reduction.at_column(odd, 1, 2));
            return reduction.finish(
                each_field([&](auto f) TARN_LAMBDA { return cells::unfolded(both.field[decltype(f)::value]); }), by);
        };
        const auto whole = [](const number<A>* p, int) TARN_LAMBDA { return numbers<A>::load_unaligned(p); };
        if (n < width) {
            const int columns = static_cast<int>(2 * n);
            const auto some = [&](const number<A>* p, int k)
                                  TARN_LAMBDA { return simd::load_n<A>(p, columns - k * width); };
            put(results(0, some), y, n, room);
            return;
        }
        std::ptrdiff_t i = 0;
        for (; i + width <= n; i += width)
            results(i, whole).store_unaligned(y + i);
        if (i < n)
            results(n - width, whole).store_unaligned(y + n - width);
    }

    // Two rows from tap row `tap` on, and two columns.
    TARN_INLINE void lanes_of_four(const number<A>* x, std::ptrdiff_t tap, std::ptrdiff_t down, std::ptrdiff_t right,
                                   std::ptrdiff_t first, std::ptrdiff_t kernel, std::ptrdiff_t n, const scale& by,
                                   number<A>* y) const noexcept {
        for (std::ptrdiff_t lane = 0; lane < n; lane += width) {
            // The last register repeats what the one before has.
            const number<A>* const p = x + (lane + width > n ? n - width : lane);
            const auto column = [&](int t) TARN_LAMBDA {
                const state s = few<2>(
                    tap, [&](int k) TARN_LAMBDA { return numbers<A>::load_unaligned(p + t * right + k * down); });
                return reduction.at_column(s, first + t, kernel);
            };
            const state left = column(0);
            reduction.finish(reduction.combine(left, column(1)), by).store_unaligned(y + (p - x));
        }
    }
    template <int N>
    TARN_INLINE void lane_registers(const number<A>* x, const window_row& r, const window_steps& step,
                                    std::ptrdiff_t taps, std::ptrdiff_t tap_step, std::ptrdiff_t first,
                                    std::ptrdiff_t kernel, const scale& by, number<A>* y) const noexcept {
        struct column {
            state lane[N];
        };
        const auto column_of = [&](std::ptrdiff_t t) TARN_LAMBDA {
            column c;
            each_row(x + t * tap_step, r, step, [&](const number<A>* p, std::ptrdiff_t tap, auto begins) TARN_LAMBDA {
                simd::unroll<N>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    const state v = reduction.lift(numbers<A>::load_unaligned(p + K * width), tap);
                    if constexpr (decltype(begins)::value)
                        c.lane[K] = v;
                    else
                        c.lane[K] = append(c.lane[K], v);
                });
            });
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                state& s = c.lane[decltype(k)::value];
                s = reduction.at_column(s, first + t, kernel);
            });
            return c;
        };
        column all = column_of(0);
        for (std::ptrdiff_t t = 1; t < taps; ++t) {
            const column c = column_of(t);
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                all.lane[K] = reduction.combine(all.lane[K], c.lane[K]);
            });
        }
        simd::unroll<N>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            reduction.finish(all.lane[K], by).store_unaligned(y + K * width);
        });
    }
};

}}}} // namespace tarn::kernels
