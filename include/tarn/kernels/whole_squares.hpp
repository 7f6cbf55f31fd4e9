// SPDX-License-Identifier: BSD-3-Clause
//
// Windows of two rows and columns, all of them members, lanes side by side: from where elements are to where results belong.
// What operations are: see whole_windows.hpp.
#pragma once

#include <tarn/kernels/square_ahead.hpp>
#include <tarn/kernels/whole_windows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Operation> class whole_squares {
public:
    TARN_INLINE static bool takes(const dispatch::window_planes& c) noexcept {
        const dispatch::window_axis* const a = c.axis;
        constexpr auto own = element_traits<number<A>>::value;
        return c.lanes >= width && a[0].kernel * a[1].kernel == 2 && a[2].kernel == 2 && c.x.type == own &&
               c.y.type == own && are_whole(a[0]) && are_whole(a[1]) && are_whole(a[2]);
    }
    TARN_NOINLINE static void run(const dispatch::window_planes& c, Operation& operation) noexcept {
        const whole_squares squares(c);
        for (std::ptrdiff_t p = 0; p < c.planes; ++p) {
            for (std::ptrdiff_t r = c.first_row; r < c.last_row; ++r)
                squares.run_row(p, r, operation);
        }
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t most_lanes = 2048 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    TARN_INLINE explicit whole_squares(const dispatch::window_planes& c) noexcept
        : c_(c), right_(c.axis[2].dilation * c.x.step[2]),
          down_(c.axis[1].kernel == 2 ? c.axis[1].dilation * c.x.step[1] : c.axis[0].dilation * c.x.step[0]) {}

    TARN_INLINE void run_row(std::ptrdiff_t plane, std::ptrdiff_t row, Operation& operation) const noexcept {
        const std::ptrdiff_t d = quotient(row, c_.axis[1].out);
        const std::ptrdiff_t h = row - d * c_.axis[1].out;
        const auto* const x = static_cast<const number<A>*>(c_.x.data) + plane * c_.x.across +
                              d * c_.axis[0].stride * c_.x.step[0] + h * c_.axis[1].stride * c_.x.step[1];
        auto* const y = static_cast<number<A>*>(c_.y.data) + plane * c_.y.across + d * c_.y.step[0] + h * c_.y.step[1];
        const std::ptrdiff_t x_step = c_.axis[2].stride * c_.x.step[2];
        for (std::ptrdiff_t j = c_.first_column; j < c_.last_column; ++j) {
            for (std::ptrdiff_t l = 0; l < c_.lanes; l += most_lanes) {
                const std::ptrdiff_t n = c_.lanes - l < most_lanes ? c_.lanes - l : most_lanes;
                operation.begin(windows_of_row{d, h, j, 1, n}, 0);
                run_lanes(x + j * x_step + l, x_step, n, y + j * c_.y.step[2] + l, operation);
            }
        }
    }
    // n lanes of a window; of those behind a whole register the first are lanes before. `next`: from the window to the one
    // after it.
    TARN_INLINE void run_lanes(const number<A>* x, std::ptrdiff_t next, std::ptrdiff_t n, number<A>* y,
                               Operation& operation) const noexcept {
        const numbers<A> four(number<A>(4));
        const numbers<A> quarter(number<A>(0.25));
        square_ahead<A> ahead(x + next, right_, down_, n);
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            ahead.ask();
            const std::ptrdiff_t at = i + width > n ? n - width : i;
            const auto load = [&](std::ptrdiff_t offset)
                                  TARN_LAMBDA { return numbers<A>::load_unaligned(x + offset + at); };
            const few_elements<A, 2, 2> e{{{load(0), load(right_)}, {load(down_), load(down_ + right_)}}};
            numbers<A> to[1];
            operation.run(e, four, quarter, 0, to);
            to[0].store_unaligned(y + at);
        }
    }

    const dispatch::window_planes& c_;
    const std::ptrdiff_t right_, down_;
};

}}}} // namespace tarn::kernels
