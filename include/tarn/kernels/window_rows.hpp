// SPDX-License-Identifier: BSD-3-Clause
//
// The first step of a reduction of windows: their rows, element by element, into lines of states.
#pragma once

#include <tarn/kernels/window_block.hpp>
#include <tarn/kernels/window_combiner.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction, own_loops Own> struct window_rows {
    using combiner = window_combiner<A, Reduction>;
    using state = typename combiner::state;
    using sum = typename combiner::sum;
    using block = window_block<A, sum>;
    static constexpr int fields = combiner::fields;
    static constexpr int width = combiner::width;
    static constexpr bool has_all = Own == own_loops::all;

    const combiner states;

    TARN_INLINE explicit window_rows(const Reduction& reduction) noexcept : states(reduction) {}

    // The rows of windows of a block into its lines.
    TARN_NOINLINE void reduce_rows(const block& b) const noexcept {
        const window_rows self = *this;
        if constexpr (!has_all)
            self.reduce_any(b);
        else if (b.pieces > 1)
            self.template reduce_pieces<false>(b);
        else if (b.piece > width)
            self.template reduce_pieces<true>(b);
        else
            self.reduce_short(b);
    }

    // n elements side by side of a row of windows into a line, beside what it has already or in its place. `ahead`: also
    // asks for what lies so far behind each element.
    using no_distance = std::integral_constant<std::ptrdiff_t, 0>;
    template <class Ahead = no_distance>
    TARN_NOINLINE void add_rows(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t n,
                                sum* line, std::ptrdiff_t pitch, [[maybe_unused]] bool beside = true,
                                Ahead ahead = {}) const noexcept {
        const window_rows self = *this;
        if constexpr (has_all)
            self.any_rows(x, r, step, n, line, pitch, std::true_type{}, ahead);
        else
            self.any_rows(x, r, step, n, line, pitch, beside, ahead);
    }

    // n numbers of a line without members.
    TARN_INLINE void fill(sum* line, std::ptrdiff_t n, std::ptrdiff_t pitch) const noexcept {
        for (int f = 0; f < fields; ++f) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                line[f * pitch + i] = states.reduction.neutral(f);
        }
    }
    // Rows of n elements to the states of single elements, line behind line, and numbers of no meaning up to a register
    // behind each: there is room for (n / width + 1) * width.
    TARN_NOINLINE void lift_rows(const number<A>* x, std::ptrdiff_t step, std::ptrdiff_t rows, std::ptrdiff_t n,
                                 sum* to, std::ptrdiff_t pitch) const noexcept {
        const window_rows self = *this;
        for (; rows > 0; --rows, x += step, to += fields * pitch) {
            const std::ptrdiff_t i = self.states.lift_registers(x, n, to, pitch);
            states.store_state(i < n ? self.states.reduction.lift(simd::load_n<A>(x + i, static_cast<int>(n - i)), 0)
                                     : self.states.neutral_state(),
                               to + i, pitch);
        }
    }
    // As reduce_rows does it, of rows of a register or more that have been lifted: row `first` of the plane and those
    // behind it.
    TARN_NOINLINE void combine_rows(const block& b, const sum* lifted, std::ptrdiff_t lifted_pitch,
                                    std::ptrdiff_t first, std::ptrdiff_t dilation) const noexcept {
        const window_rows self = *this;
        const std::ptrdiff_t n = b.piece;
        sum* line = b.line + b.begin;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, line += b.line_pitch) {
            if (r->count[0] == 0) {
                self.fill(line, n, b.pitch);
                continue;
            }
            const std::ptrdiff_t step = dilation * fields * lifted_pitch;
            const sum* const from = lifted + (r->row - first) * fields * lifted_pitch;
            const auto combine = [&](auto rows) TARN_LAMBDA {
                self.template lifted_line<decltype(rows)::value>(from, step, r->count[1], lifted_pitch, n, line,
                                                                 b.pitch);
            };
            if constexpr (has_all) {
                if (r->count[1] == 3) {
                    combine(simd::index<3>{});
                    continue;
                }
            }
            combine(simd::index<0>{});
        }
    }

private:
    static constexpr auto registers_of_state = static_cast<int>(sizeof(state) / sizeof(numbers<A>));
    static constexpr bool has_room_for_eight = 8 * registers_of_state <= (sizeof(numbers<A>) == 64 ? 16 : 12);

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
                    each_piece([&](const number<A>* p, sum* to) TARN_LAMBDA {
                        any_rows(p, *r, b.step, n, to, b.pitch, std::false_type{}, no_distance{});
                    });
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
        // Parts of registers are loaded slowly from where nothing has looked before.
        const auto load = [&](const number<A>* p) TARN_LAMBDA {
            return b.end - p >= width ? numbers<A>::load_unaligned(p) : simd::load_n<A>(p, n);
        };
        sum* line = b.line + b.begin;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r, line += b.line_pitch) {
            if (r->count[0] == 0) {
                fill(line, n, b.pitch);
                continue;
            }
            const number<A>* x = b.x + r->x;
            std::ptrdiff_t tap = r->tap;
            state s = states.reduction.lift(load(x), tap);
            if (r->count[0] == 1 && r->count[1] == 3) {
                const std::ptrdiff_t step = b.step.x[1];
                s = states.reduction.combine(s, states.reduction.lift(load(x + step), tap + 1));
                s = states.reduction.combine(s, states.reduction.lift(load(x + 2 * step), tap + 2));
                store_first(s, n, line, b.pitch);
                continue;
            }
            for (std::ptrdiff_t a = 1; a < r->count[1]; ++a) {
                x += b.step.x[1];
                s = states.reduction.combine(s, states.reduction.lift(load(x), ++tap));
            }
            for (std::ptrdiff_t d = 1; d < r->count[0]; ++d) {
                x = b.x + r->x + d * b.step.x[0];
                tap = r->tap + d * b.step.tap;
                for (std::ptrdiff_t a = 0; a < r->count[1]; ++a, x += b.step.x[1], ++tap)
                    s = states.reduction.combine(s, states.reduction.lift(load(x), tap));
            }
            store_first(s, n, line, b.pitch);
        }
    }

    // The first n lanes of s to a line, no members in the others.
    TARN_INLINE void store_first(const state& s, int n, sum* line, std::ptrdiff_t pitch) const noexcept {
        states.store_state(states.first_or_neutral(s, n), line, pitch);
    }
    template <int N>
    TARN_INLINE void few_rows(const number<A>* x, std::ptrdiff_t step, std::ptrdiff_t tap, std::ptrdiff_t n, sum* line,
                              std::ptrdiff_t pitch) const noexcept {
        const auto rows = [&](std::ptrdiff_t i, auto load) TARN_LAMBDA {
            return states.template few<N>(tap, [&](int k) TARN_LAMBDA { return load(x + i + k * step); });
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
            states.store_state(rows(i, whole), line + i, pitch);
            states.store_state(rows(i + width, whole), line + i + width, pitch);
        }
        // The last register repeats what the one before has.
        for (; i < n; i += width) {
            const std::ptrdiff_t at = i + width > n ? n - width : i;
            states.store_state(rows(at, whole), line + at, pitch);
        }
    }
    template <int Rows>
    TARN_INLINE void lifted_line(const sum* from, std::ptrdiff_t step, std::ptrdiff_t rows, std::ptrdiff_t lifted_pitch,
                                 std::ptrdiff_t n, sum* line, std::ptrdiff_t pitch) const noexcept {
        const auto one = [&](std::ptrdiff_t i) TARN_LAMBDA {
            states.store_state(states.template lifted<Rows>(from + i, step, rows, lifted_pitch), line + i, pitch);
        };
        std::ptrdiff_t i = 0;
        for (; i + width <= n; i += width)
            one(i);
        // The last register repeats what the one before has.
        if (i < n)
            one(n - width);
    }
    // Beside, Ahead: bool and integer, or known to the compiler.
    template <class Beside, class Ahead>
    TARN_INLINE void any_rows(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t n,
                              sum* line, std::ptrdiff_t pitch, Beside beside, Ahead ahead) const noexcept {
        if (n < width) {
            const int few = static_cast<int>(n);
            state s;
            combiner::each_row(x, r, step, [&](const number<A>* p, std::ptrdiff_t tap, auto first) TARN_LAMBDA {
                const state v = states.reduction.lift(simd::load_n<A>(p, few), tap);
                if constexpr (decltype(first)::value)
                    s = beside ? states.reduction.combine(states.load_state(line, pitch), v) : v;
                else
                    s = states.append(s, v);
            });
            store_first(s, few, line, pitch);
            return;
        }
        // Rows of few registers are walked once, in the order of memory. The last register is not alone: it may repeat
        // numbers of the one before, from what the line had.
        std::ptrdiff_t i = 0;
        std::ptrdiff_t left = (n + width - 1) / width;
        const auto group = [&](auto k) TARN_LAMBDA {
            constexpr int N = decltype(k)::value;
            registers_of_rows<N>(x + i, r, step, n - i, line + i, pitch, beside, ahead);
            i += N * width;
            left -= N;
        };
        if constexpr (has_room_for_eight) {
            if (left > 4 && left <= 8) {
                group(simd::index<8>{});
                return;
            }
        }
        if (left % 4 == 1)
            group(simd::index<1>{});
        while (left > 2)
            group(simd::index<4>{});
        if (left > 0)
            group(simd::index<2>{});
    }
    // N registers of n numbers or more, or all n: then the last ones repeat what the one before has.
    template <int N, class Beside, class Ahead>
    TARN_INLINE void registers_of_rows(const number<A>* x, const window_row& r, const window_steps& step,
                                       std::ptrdiff_t n, sum* line, std::ptrdiff_t pitch, Beside beside,
                                       Ahead ahead) const noexcept {
        const std::ptrdiff_t last = n - width;
        const auto at = [&](auto k) TARN_LAMBDA {
            constexpr std::ptrdiff_t own = decltype(k)::value * width;
            return own < last ? own : last;
        };
        state s[N];
        combiner::each_row(x, r, step, [&](const number<A>* p, std::ptrdiff_t tap, auto first) TARN_LAMBDA {
            if constexpr (!std::is_same<Ahead, no_distance>::value)
                simd::unroll<N>([&](auto k) TARN_LAMBDA { simd::prefetch_far<A>(p + ahead + at(k)); });
            state v[N];
            states.lift_each(v, tap, [&](auto k) TARN_LAMBDA { return numbers<A>::load_unaligned(p + at(k)); });
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                if constexpr (decltype(first)::value)
                    s[K] = beside ? states.reduction.combine(states.load_state(line + at(k), pitch), v[K]) : v[K];
                else
                    s[K] = states.append(s[K], v[K]);
            });
        });
        simd::unroll<N>([&](auto k) TARN_LAMBDA { states.store_state(s[decltype(k)::value], line + at(k), pitch); });
    }
};
}}}} // namespace tarn::kernels
