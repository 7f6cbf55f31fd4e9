// SPDX-License-Identifier: BSD-3-Clause
//
// The second step of a reduction of windows: their columns, along lines of states, to results.
#pragma once

#include <tarn/kernels/window_block.hpp>
#include <tarn/kernels/window_combiner.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction, own_loops Own> struct window_columns {
    using combiner = window_combiner<A, Reduction>;
    using cells = typename combiner::cells;
    using state = typename combiner::state;
    using sum = typename combiner::sum;
    using block = window_block<A, sum>;
    static constexpr int width = combiner::width;
    static constexpr bool has_all = Own == own_loops::all;

    const combiner states;

    TARN_INLINE explicit window_columns(const Reduction& reduction) noexcept : states(reduction) {}

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

private:
    // Tap t of windows from p on. With two numbers from window to window, taps of the lines are taken in pairs.
    template <int Stride, int Kernel>
    TARN_INLINE static state tap_state(const sum* p, std::ptrdiff_t pitch, const line_windows& w,
                                       std::ptrdiff_t t) noexcept {
        return combiner::each_field([&](auto f) TARN_LAMBDA {
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
        state s = states.reduction.at_column(tap_state<Stride, Kernel>(p, pitch, w, 0), 0, kernel);
        if constexpr (Kernel > 0) {
            simd::unroll<Kernel - 1>([&](auto k) TARN_LAMBDA {
                constexpr int T = decltype(k)::value + 1;
                s = states.reduction.combine(
                    s, states.reduction.at_column(tap_state<Stride, Kernel>(p, pitch, w, T), T, kernel));
            });
        } else {
            for (std::ptrdiff_t t = 1; t < kernel; ++t)
                s = states.reduction.combine(
                    s, states.reduction.at_column(tap_state<Stride, Kernel>(p, pitch, w, t), t, kernel));
        }
        if constexpr (Stride == 2)
            return combiner::each_field([&](auto f)
                                            TARN_LAMBDA { return cells::unfolded(s.field[decltype(f)::value]); });
        else
            return s;
    }
    // n windows from p on. Of roots nothing is taken that is behind them: those of parts of windows might be denormal.
    template <int Stride, int Kernel>
    TARN_INLINE state first_windows(const sum* p, const block& b, [[maybe_unused]] int n) const noexcept {
        const state s = window_at<Stride, Kernel>(p, b.pitch, b.windows);
        if constexpr (Reduction::counts && sizeof(sum) == sizeof(double))
            return states.first_or_neutral(s, n);
        else
            return s;
    }
    template <int Stride, int Kernel, class Scales>
    TARN_NOINLINE void slide(const block& given, Scales& scales) const noexcept {
        const window_columns self = *this;
        const block b = given;
        if constexpr (has_all) {
            if (b.groups == 1) {
                if (b.group > width)
                    self.template slide_groups<Stride, Kernel, true>(b, scales);
                else
                    self.template slide_short<Stride, Kernel>(b, scales);
                return;
            }
        }
        self.template slide_groups<Stride, Kernel, false>(b, scales);
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
                const auto finished = [&](std::ptrdiff_t i, const state& s) TARN_LAMBDA {
                    combiner::keep(s, row_kept + g * n + i, b.kept_pitch);
                    return states.reduction.finish(s, b.one_scale ? one : scales.at(i));
                };
                const auto results = [&](std::ptrdiff_t i) TARN_LAMBDA {
                    return finished(i, window_at<Stride, Kernel>(line + i * stride, b.pitch, b.windows));
                };
                if (n < width) {
                    combiner::put(finished(0, first_windows<Stride, Kernel>(line, b, static_cast<int>(n))), y, n,
                                  b.room - (k * groups + g) * n);
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
            combiner::put(states.reduction.finish({{numbers<A>::load_unaligned(between)}}, scales.at(0)), b.y + r->y,
                          b.group, room);
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
            const state s = first_windows<Stride, Kernel>(line, b, static_cast<int>(b.group));
            combiner::put(states.reduction.finish(s, b.one_scale ? scales.all_of(0) : scales.at(0)),
                          b.y + (b.in_place ? r->y : done), b.group, room);
            combiner::keep(s, b.kept + done, b.kept_pitch);
            done += b.group;
            room -= b.group;
        }
    }
};

}}}} // namespace tarn::kernels
