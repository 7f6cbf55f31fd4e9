// SPDX-License-Identifier: BSD-3-Clause
//
// Windows that share no column, from their elements to results in one step. The elements are added to `seen` on the way.
#pragma once

#include <tarn/kernels/window_block.hpp>
#include <tarn/kernels/window_combiner.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction, own_loops Own> struct windows_apart {
    using combiner = window_combiner<A, Reduction>;
    using cells = typename combiner::cells;
    using scale = typename combiner::scale;
    using state = typename combiner::state;
    using sum = typename combiner::sum;
    using block = window_block<A, sum>;
    static constexpr int width = combiner::width;
    static constexpr bool has_all = Own == own_loops::all;

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
                                                           b.room - k * n, look);
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

    // A window of a row and `taps` columns, of `kernel` the first is tap `first`, for n lanes side by side.
    template <class Look>
    TARN_NOINLINE void reduce_lanes(const number<A>* x, const window_row& r, const window_steps& step,
                                    std::ptrdiff_t taps, std::ptrdiff_t tap_step, std::ptrdiff_t first,
                                    std::ptrdiff_t kernel, std::ptrdiff_t n, const scale& by, number<A>* y,
                                    Look& seen) const noexcept {
        const windows_apart self = *this;
        Look look = seen;
        std::ptrdiff_t i = 0;
        if constexpr (has_all) {
            if (taps == 2 && r.count[0] == 1 && r.count[1] == 2) {
                self.lanes_of_four(x, r.tap, step.x[1], tap_step, first, kernel, n, by, y, look);
                i = n;
            }
            for (; i + 4 * width <= n; i += 4 * width)
                self.template lane_registers<4>(x + i, r, step, taps, tap_step, first, kernel, by, y + i, look);
        }
        for (; i < n; i += width) {
            const std::ptrdiff_t at = i + width > n ? n - width : i;
            self.template lane_registers<1>(x + at, r, step, taps, tap_step, first, kernel, by, y + at, look);
        }
        seen = look;
    }

private:
    template <class Look> TARN_INLINE static numbers<A> noted(numbers<A> x, Look& look) noexcept {
        look.add(x);
        return x;
    }

    // Rows: how many there are, one after the other, or 0 for any.
    template <int Rows, class Look>
    TARN_INLINE void pairs(const number<A>* x, const window_row& r, const window_steps& step, std::ptrdiff_t n,
                           const scale& by, number<A>* y, std::ptrdiff_t room, Look& look) const noexcept {
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
            const auto some = [&](const number<A>* p, int k)
                                  TARN_LAMBDA { return simd::load_n<A>(p, columns - k * width); };
            combiner::put(results(0, some), y, n, room);
            return;
        }
        std::ptrdiff_t i = 0;
        for (; i + width <= n; i += width)
            results(i, whole).store_unaligned(y + i);
        if (i < n)
            results(n - width, whole).store_unaligned(y + n - width);
    }

    // Two rows from tap row `tap` on, and two columns.
    template <class Look>
    TARN_INLINE void lanes_of_four(const number<A>* x, std::ptrdiff_t tap, std::ptrdiff_t down, std::ptrdiff_t right,
                                   std::ptrdiff_t first, std::ptrdiff_t kernel, std::ptrdiff_t n, const scale& by,
                                   number<A>* y, Look& look) const noexcept {
        for (std::ptrdiff_t lane = 0; lane < n; lane += width) {
            // The last register repeats what the one before has.
            const number<A>* const p = x + (lane + width > n ? n - width : lane);
            const auto column = [&](int t) TARN_LAMBDA {
                const state s = states.template few<2>(tap, [&](int k) TARN_LAMBDA {
                    // The same of the next window: processors do not see ahead where lines of four places come in turn.
                    __builtin_prefetch(p + (t + 2) * right + k * down);
                    return noted(numbers<A>::load_unaligned(p + t * right + k * down), look);
                });
                return states.reduction.at_column(s, first + t, kernel);
            };
            const state left = column(0);
            states.reduction.finish(states.reduction.combine(left, column(1)), by).store_unaligned(y + (p - x));
        }
    }
    template <int N, class Look>
    TARN_INLINE void lane_registers(const number<A>* x, const window_row& r, const window_steps& step,
                                    std::ptrdiff_t taps, std::ptrdiff_t tap_step, std::ptrdiff_t first,
                                    std::ptrdiff_t kernel, const scale& by, number<A>* y, Look& look) const noexcept {
        struct column {
            state lane[N];
        };
        const auto column_of = [&](std::ptrdiff_t t) TARN_LAMBDA {
            column c;
            combiner::each_row(
                x + t * tap_step, r, step, [&](const number<A>* p, std::ptrdiff_t tap, auto begins) TARN_LAMBDA {
                    simd::unroll<N>([&](auto k) TARN_LAMBDA {
                        constexpr int K = decltype(k)::value;
                        const state v =
                            states.reduction.lift(noted(numbers<A>::load_unaligned(p + K * width), look), tap);
                        if constexpr (decltype(begins)::value)
                            c.lane[K] = v;
                        else
                            c.lane[K] = states.append(c.lane[K], v);
                    });
                });
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                state& s = c.lane[decltype(k)::value];
                s = states.reduction.at_column(s, first + t, kernel);
            });
            return c;
        };
        column all = column_of(0);
        for (std::ptrdiff_t t = 1; t < taps; ++t) {
            const column c = column_of(t);
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                all.lane[K] = states.reduction.combine(all.lane[K], c.lane[K]);
            });
        }
        simd::unroll<N>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            states.reduction.finish(all.lane[K], by).store_unaligned(y + K * width);
        });
    }
};

}}}} // namespace tarn::kernels
