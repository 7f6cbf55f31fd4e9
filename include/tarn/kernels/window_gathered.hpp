// SPDX-License-Identifier: BSD-3-Clause
//
// Rows of few windows, none of which is cut off by an edge: the taps of all windows are gathered side by side, row behind
// row and plane behind plane, so that registers are full.
#pragma once

#include <tarn/kernels/window_block.hpp>
#include <tarn/kernels/window_combiner.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The taps of a window, over depth, height and width, and from one to the next.
struct gathered_taps {
    std::ptrdiff_t depth, height, width;
    std::ptrdiff_t step[3];

    TARN_INLINE std::ptrdiff_t count() const noexcept { return depth * height * width; }
};

template <class A, class Reduction> class window_gathered {
public:
    using combiner = window_combiner<A, Reduction>;
    using state = typename combiner::state;
    using block = window_block<A, typename combiner::sum>;
    static constexpr int width = combiner::width;
    static constexpr std::ptrdiff_t most_taps = 16;

    // The windows of a block, whose results lie side by side, by room for as many registers as there are taps of them.
    template <class Scales>
    TARN_NOINLINE static void run(const combiner& given, const block& b, const gathered_taps& taps, number<A>* room,
                                  Scales& scales) noexcept {
        const combiner self = given;
        const std::ptrdiff_t n = b.rows * b.group;
        const std::ptrdiff_t pitch = (n + width - 1) / width * width;
        gather(b, taps, room, pitch);
        scales.prepare(b.row->counted);
        const auto scale = scales.all_of(0);
        number<A>* const y = b.y + b.row->y;
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const numbers<A> v = self.reduction.finish(window_at(self, taps, room + i, pitch), scale);
            if (i + width <= n)
                v.store_unaligned(y + i);
            else
                simd::store_n<A>(y + i, v, static_cast<int>(n - i));
        }
    }

private:
    TARN_INLINE static void gather(const block& b, const gathered_taps& taps, number<A>* to,
                                   std::ptrdiff_t pitch) noexcept {
        const std::ptrdiff_t n = b.group;
        const std::ptrdiff_t stride = b.windows.stride;
        // f(number of a tap, where it lies from a window's first)
        const auto each_tap = [&](auto f) TARN_LAMBDA {
            std::ptrdiff_t t = 0;
            for (std::ptrdiff_t d = 0; d < taps.depth; ++d) {
                for (std::ptrdiff_t h = 0; h < taps.height; ++h) {
                    for (std::ptrdiff_t w = 0; w < taps.width; ++w, ++t)
                        f(t, d * taps.step[0] + h * taps.step[1] + w * taps.step[2]);
                }
            }
        };
        std::ptrdiff_t from[most_taps];
        each_tap([&](std::ptrdiff_t t, std::ptrdiff_t offset) TARN_LAMBDA { from[t] = offset; });
        const bool square = taps.count() == 4;
        for (std::ptrdiff_t k = 0; k < b.rows; ++k, to += n) {
            const number<A>* const x = b.x + b.row[k].x;
            if (square) {
                const number<A>* p = x;
                for (std::ptrdiff_t j = 0; j < n; ++j, p += stride) {
                    to[j] = p[0];
                    to[j + pitch] = p[from[1]];
                    to[j + 2 * pitch] = p[from[2]];
                    to[j + 3 * pitch] = p[from[3]];
                }
            } else if (n == 2 || n == 3) { // of two the second twice
                for (std::ptrdiff_t t = 0; t < taps.count(); ++t) {
                    const number<A>* const p = x + from[t];
                    to[t * pitch] = p[0];
                    to[t * pitch + 1] = p[stride];
                    to[t * pitch + n - 1] = p[(n - 1) * stride];
                }
            } else {
                for (std::ptrdiff_t t = 0; t < taps.count(); ++t) {
                    for (std::ptrdiff_t j = 0; j < n; ++j)
                        to[j + t * pitch] = x[from[t] + j * stride];
                }
            }
        }
        // Lanes behind the last window have no meaning, but are numbers.
        for (std::ptrdiff_t i = b.rows * b.group; i < pitch; ++i, ++to) {
            for (std::ptrdiff_t t = 0; t < taps.count(); ++t)
                to[t * pitch] = 0;
        }
    }
    TARN_INLINE static state window_at(const combiner& self, const gathered_taps& taps, const number<A>* from,
                                       std::ptrdiff_t pitch) noexcept {
        const Reduction& of = self.reduction;
        const std::ptrdiff_t rows = taps.depth * taps.height;
        state s;
        for (std::ptrdiff_t w = 0; w < taps.width; ++w) {
            const number<A>* p = from + w * pitch;
            const auto row = [&](std::ptrdiff_t h)
                                 TARN_LAMBDA { return numbers<A>::load_unaligned(p + h * taps.width * pitch); };
            state column;
            if (rows > 1)
                column = self.pair(row(0), row(1), 0);
            else
                column = of.lift(row(0), 0);
            for (std::ptrdiff_t h = 2; h < rows; ++h)
                column = of.combine(column, of.lift(row(h), h));
            column = of.at_column(column, w, taps.width);
            s = w == 0 ? column : of.combine(s, column);
        }
        return s;
    }
};

}}}} // namespace tarn::kernels
