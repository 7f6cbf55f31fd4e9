// SPDX-License-Identifier: BSD-3-Clause
//
// Windows that share no column, from their elements to results in one step. The elements are added to `seen` on the way.
#pragma once

#include <tarn/kernels/window_rows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Windows of a row, lanes side by side, and room for states of columns.
template <class A, class Number> struct windows_of_lanes {
    const number<A>* x; // the plane
    number<A>* y;
    dispatch::window_axis columns;
    std::ptrdiff_t first, outputs, lanes;
    std::ptrdiff_t x_step, y_step; // from column to column
    window_steps step;
    bool ahead; // see window_planes
    Number* line;
    std::ptrdiff_t pitch; // from field to field
};

template <class A, class Reduction, own_loops Own> struct windows_apart {
    using combiner = window_combiner<A, Reduction>;
    using cells = typename combiner::cells;
    using scale = typename combiner::scale;
    using state = typename combiner::state;
    using sum = typename combiner::sum;
    using block = window_block<A, sum>;
    static constexpr int width = combiner::width;
    static constexpr bool has_all = Own == own_loops::all;
    using windows = windows_of_lanes<A, sum>;
    static constexpr std::ptrdiff_t few_rows = 8; // and columns: of windows that are taken column by column

    const combiner states;

    TARN_INLINE explicit windows_apart(const Reduction& reduction) noexcept : states(reduction) {}

    // Windows of two columns side by side, from where the rows of a block are to its results.
    template <class Scales, class Look>
    TARN_NOINLINE void reduce_pairs(const block& b, Scales& scales, Look& seen) const noexcept {
        const windows_apart self = *this;
        Look look = seen;
        const std::ptrdiff_t n = b.group;
        for (std::ptrdiff_t k = 0; k < b.rows; ++k) {
            const window_row& r = b.row[k];
            scales.prepare(r.counted);
            const auto some = [&](auto rows) TARN_LAMBDA {
                self.template pairs<decltype(rows)::value>(b.x + r.x, r, b.step, n, scales.at(0), b.y + r.y,
                                                           b.room - k * n, b.end, look);
            };
            if (r.count[0] == 0) {
                combiner::fill_results(b.y + r.y, n);
                continue;
            }
            if constexpr (has_all) {
                if (r.count[0] == 1 && r.count[1] == 2) {
                    some(simd::index<2>{});
                    continue;
                }
            }
            some(simd::index<0>{});
        }
        seen = look;
    }

    // Windows of lanes, from where they are.
    template <class Scales, class Look>
    TARN_NOINLINE void reduce_row(const windows& given, const window_row& of_all, Scales& scales,
                                  Look& seen) const noexcept {
        const windows_apart self = *this;
        const windows w = given;
        const window_row r = of_all;
        Look look = seen;
        number<A>* y = w.y + r.y;
        scales.prepare(r.counted);
        for (std::ptrdiff_t j = 0; j < w.outputs; ++j, y += w.y_step) {
            const window_taps taps = window_taps::of(w.columns, w.first + j);
            if (taps.count == 0 || r.count[0] == 0) {
                combiner::fill_results(y, w.lanes);
                continue;
            }
            const bool few = r.count[0] * r.count[1] <= few_rows && taps.count <= few_rows;
            const std::ptrdiff_t most = few ? w.pitch / width * width : w.pitch / (2 * width) * width;
            const number<A>* const from = w.x + r.x + (taps.start + taps.first * w.columns.dilation) * w.x_step;
            for (std::ptrdiff_t l = 0; l < w.lanes; l += most) {
                const std::ptrdiff_t n = w.lanes - l < most ? w.lanes - l : most;
                if (few)
                    self.reduce_lanes(w, from + l, r, taps, n, scales.all_of(j), y + l, look);
                else
                    self.reduce_large(w, from + l, r, taps, n, scales.all_of(j), y + l);
            }
        }
        seen = look;
    }

private:
    // A window for n lanes. Column by column, for processors do not see ahead where cache lines of four places and more
    // come in turn. Until the last the line has what there is.
    template <class Look>
    TARN_INLINE void reduce_lanes(const windows& w, const number<A>* x, const window_row& r, const window_taps& taps,
                                  std::ptrdiff_t n, const scale& by, number<A>* y, Look& look) const noexcept {
        const bool two = has_all && r.count[0] == 1 && r.count[1] == 2;
        for (std::ptrdiff_t t = 0; t < taps.count; ++t) {
            const auto put = [&](const state& of_column, std::ptrdiff_t lane, std::ptrdiff_t at) TARN_LAMBDA {
                const state s =
                    t > 0 ? states.reduction.combine(combiner::load_state(w.line + at, w.pitch), of_column) : of_column;
                if (t + 1 < taps.count)
                    combiner::store_state(s, w.line + at, w.pitch);
                else
                    states.reduction.finish(s, by).store_unaligned(y + lane);
            };
            const number<A>* const p = x + t * w.columns.dilation * w.x_step;
            if (two)
                column<2>(p, r, w.step, taps.first + t, w.columns.kernel, n, look, put);
            else
                column<0>(p, r, w.step, taps.first + t, w.columns.kernel, n, look, put);
        }
    }

    // A large window in the order of its elements in memory: as many columns at once as a line has room for, some rows at
    // a time. Before them the line has the state of all columns that are done. The rows that come next are asked for in
    // the same order: processors do not see ahead along several rows that end soon.
    template <class Scale>
    TARN_NOINLINE void reduce_large(const windows& w, const number<A>* x, const window_row& all,
                                    const window_taps& taps, std::ptrdiff_t n, const Scale& by,
                                    number<A>* y) const noexcept {
        constexpr std::ptrdiff_t rows_at_once = 4;
        const window_rows<A, Reduction, Own> of(states.reduction);
        const std::ptrdiff_t pitch = w.pitch;
        const std::ptrdiff_t padded = (n + width - 1) / width * width;
        const std::ptrdiff_t columns_at_once = pitch / padded - 1;
        const std::ptrdiff_t column = w.columns.dilation * w.x_step;
        const bool one_piece = n == padded && column == n;
        sum* const done = w.line;
        sum* const line = done + padded;
        of.fill(done, padded, pitch);
        for (std::ptrdiff_t t = 0; t < taps.count; t += columns_at_once) {
            const std::ptrdiff_t columns = taps.count - t < columns_at_once ? taps.count - t : columns_at_once;
            const std::ptrdiff_t piece = one_piece ? columns * n : n;
            of.fill(line, columns * padded, pitch);
            window_row r = all;
            r.count[0] = 1;
            for (std::ptrdiff_t a = 0; a < all.count[0]; ++a) {
                for (std::ptrdiff_t b = 0; b < all.count[1]; b += r.count[1]) {
                    r.count[1] = all.count[1] - b < rows_at_once ? all.count[1] - b : rows_at_once;
                    r.tap = all.tap + a * w.step.tap + b;
                    const number<A>* const p = x + t * column + a * w.step.x[0] + b * w.step.x[1];
                    const std::ptrdiff_t ahead = !w.ahead                        ? 0
                                                 : b + r.count[1] < all.count[1] ? r.count[1] * w.step.x[1]
                                                 : t + columns < taps.count      ? columns * column - b * w.step.x[1]
                                                                                 : 0;
                    for (std::ptrdiff_t j = 0; j < (one_piece ? 1 : columns); ++j) {
                        if (ahead == 0)
                            of.add_rows(p + j * column, r, w.step, piece, line + j * padded, pitch);
                        else
                            of.add_rows(p + j * column, r, w.step, piece, line + j * padded, pitch, true, ahead);
                    }
                }
            }
            for (std::ptrdiff_t i = 0; i < padded; i += width) {
                auto s = states.load_state(done + i, pitch);
                for (std::ptrdiff_t j = 0; j < columns; ++j)
                    s = states.reduction.combine(
                        s, states.reduction.at_column(states.load_state(line + j * padded + i, pitch),
                                                      taps.first + t + j, w.columns.kernel));
                states.store_state(s, done + i, pitch);
            }
        }
        for (std::ptrdiff_t i = 0; i < n; i += width)
            simd::store_n<A>(y + i, states.reduction.finish(states.load_state(done + i, pitch), by),
                             n - i < width ? static_cast<int>(n - i) : width);
    }

    template <class Look> TARN_INLINE static numbers<A> noted(numbers<A> x, Look& look) noexcept {
        look.add(x);
        return x;
    }

    // Rows: how many there are, one after the other, or 0 for any.
    template <int Rows, class Look>
    TARN_INLINE void pairs(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t n,
                           const scale& by, number<A>* y, std::ptrdiff_t room, const number<A>* end,
                           Look& look) const noexcept {
        const auto results = [&](std::ptrdiff_t i, auto load_from) TARN_LAMBDA {
            const auto load = [&](const number<A>* p, int k) TARN_LAMBDA { return noted(load_from(p, k), look); };
            state s[2];
            const auto add = [&](const number<A>* p, std::ptrdiff_t tap, auto first) TARN_LAMBDA {
                simd::unroll<2>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    const state v = states.reduction.lift(load(p + K * width, K), tap);
                    if constexpr (decltype(first)::value)
                        s[K] = v;
                    else
                        s[K] = states.reduction.combine(s[K], v);
                });
            };
            if constexpr (Rows == 2) {
                const number<A>* const p = x + 2 * i;
                const number<A>* const q = p + step.x[1];
                simd::unroll<2>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    s[K] = states.pair(load(p + K * width, K), load(q + K * width, K), r.tap);
                });
            } else {
                combiner::each_row(x + 2 * i, r, step, add);
            }
            const state even = combiner::each_field([&](auto f) TARN_LAMBDA {
                return cells::even_lanes(s[0].field[decltype(f)::value], s[1].field[decltype(f)::value]);
            });
            const state odd = combiner::each_field([&](auto f) TARN_LAMBDA {
                return cells::odd_lanes(s[0].field[decltype(f)::value], s[1].field[decltype(f)::value]);
            });
            const state both =
                states.reduction.combine(states.reduction.at_column(even, 0, 2), states.reduction.at_column(odd, 1, 2));
            return states.reduction.finish(combiner::each_field([&](auto f) TARN_LAMBDA {
                                               return cells::unfolded(both.field[decltype(f)::value]);
                                           }),
                                           by);
        };
        const auto whole = [](const number<A>* p, int) TARN_LAMBDA { return numbers<A>::load_unaligned(p); };
        if (n < width) {
            const int columns = static_cast<int>(2 * n);
            // Parts of registers are loaded slowly from where nothing has looked before.
            const auto some = [&](const number<A>* p, int k) TARN_LAMBDA {
                return end - p >= width ? numbers<A>::load_unaligned(p) : simd::load_n<A>(p, columns - k * width);
            };
            combiner::put(results(0, some), y, n, room);
            return;
        }
        std::ptrdiff_t i = 0;
        for (; i + width <= n; i += width)
            results(i, whole).store_unaligned(y + i);
        if (i < n)
            results(n - width, whole).store_unaligned(y + n - width);
    }

    // put(state, first lane, place) for each register of n lanes of column t of a window: the last may have lanes of the one
    // before, but no place has two. Rows: as above.
    template <int Rows, class Look, class Put>
    TARN_INLINE void column(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t t,
                            std::ptrdiff_t kernel, std::ptrdiff_t n, Look& look, Put put) const noexcept {
        const auto some = [&](std::ptrdiff_t lane, std::ptrdiff_t at, auto count) TARN_LAMBDA {
            constexpr int N = decltype(count)::value;
            state s[N];
            if constexpr (Rows > 0) {
                simd::unroll<N>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    s[K] = states.template few<Rows>(r.tap, [&](int row) TARN_LAMBDA {
                        return noted(numbers<A>::load_unaligned(x + lane + K * width + row * step.x[1]), look);
                    });
                });
            } else {
                const auto add = [&](const number<A>* p, std::ptrdiff_t tap, auto begins) TARN_LAMBDA {
                    simd::unroll<N>([&](auto k) TARN_LAMBDA {
                        constexpr int K = decltype(k)::value;
                        const state v =
                            states.reduction.lift(noted(numbers<A>::load_unaligned(p + K * width), look), tap);
                        if constexpr (decltype(begins)::value)
                            s[K] = v;
                        else
                            s[K] = states.append(s[K], v);
                    });
                };
                combiner::each_row(x + lane, r, step, add);
            }
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                put(states.reduction.at_column(s[K], t, kernel), lane + K * width, at + K * width);
            });
        };
        constexpr int together = Rows > 0 ? 2 : 4;
        std::ptrdiff_t i = 0;
        if constexpr (has_all) {
            for (; i + together * width <= n; i += together * width)
                some(i, i, simd::index<together>{});
        }
        for (; i < n; i += width)
            some(i + width > n ? n - width : i, i, simd::index<1>{});
    }
};

}}}} // namespace tarn::kernels
