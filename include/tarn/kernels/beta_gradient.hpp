// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of adaPool in beta: dy (eDSCW - eM), added over planes, rows and lanes.
#pragma once

#include <tarn/kernels/ada_pool.hpp>
#include <tarn/kernels/pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Both averages of windows.
template <class A> class ada_averages {
public:
    static constexpr int fields = 2;
    static constexpr bool reads_beside = false;

    TARN_INLINE explicit ada_averages(const dispatch::window_planes& c) noexcept : window_(c) {}

    TARN_INLINE static void begin(const windows_of_row&, std::ptrdiff_t) noexcept {}
    template <class Elements>
    TARN_INLINE void run(const Elements& e, numbers<A> n, numbers<A> one_by_n, std::ptrdiff_t,
                         numbers<A>* to) const noexcept {
        const numbers<A> zero(number<A>(0));
        const numbers<A> greatest = greatest_magnitude<A>(e);
        const auto unit = window_unit<A>::of(greatest);
        const auto m = window_mean<A>::of(e, unit, one_by_n);
        const auto v = window_.any(e, unit, m, greatest);
        const auto finite = xsimd::abs(m.total) < numbers<A>(infinite<A>);
        const auto none = n == zero;
        to[0] = simd::select<A>(none, zero, simd::select<A>(finite, unit.original(v.similar), m.total));
        to[1] = simd::select<A>(none, zero, v.soft);
    }

private:
    ada_window<A, true> window_;
};

template <class A> class beta_gradient {
public:
    TARN_NOINLINE static void run(const dispatch::ada_gradients& c, double* columns) noexcept {
        beta_gradient gradient(c);
        gradient.add(columns);
    }

private:
    static constexpr std::ptrdiff_t room = dispatch::most_beta_columns;
    static constexpr std::ptrdiff_t pitch = room + static_cast<std::ptrdiff_t>(numbers<A>::size);

    TARN_INLINE explicit beta_gradient(const dispatch::ada_gradients& c) noexcept
        : c_(c), averages_(c.windows), dy_(c.dy) {}

    TARN_INLINE void add(double* columns) noexcept {
        const dispatch::window_planes& w = c_.windows;
        const std::ptrdiff_t all = w.last_column - w.first_column;
        for (std::ptrdiff_t p = 0; p < w.planes; ++p) {
            for (std::ptrdiff_t r = w.first_row; r < w.last_row; ++r) {
                const std::ptrdiff_t depth = r / w.axis[1].out;
                for (std::ptrdiff_t lane = 0; lane < w.lanes; lane += room) {
                    const std::ptrdiff_t lanes = w.lanes - lane < room ? w.lanes - lane : room;
                    const std::ptrdiff_t some = room / lanes;
                    for (std::ptrdiff_t j = 0; j < all; j += some) {
                        const std::ptrdiff_t n = all - j < some ? all - j : some;
                        add_group({p, lane, lanes, depth, r - depth * w.axis[1].out, 1, w.first_column + j, n},
                                  columns + j);
                    }
                }
            }
        }
    }
    TARN_INLINE void add_group(const window_group& b, double* columns) noexcept {
        dy_.load(b);
        whole_windows<A, ada_averages<A>>::run(states_of(c_.windows, b, field_[0], pitch), averages_);
        for (std::ptrdiff_t j = 0; j < b.columns; ++j) {
            double sum = 0;
            for (std::ptrdiff_t i = j * b.lanes; i < (j + 1) * b.lanes; ++i)
                sum += static_cast<double>(dy_.begin()[i]) *
                       (static_cast<double>(field_[0][i]) - static_cast<double>(field_[1][i]));
            columns[j] += sum;
        }
    }

    const dispatch::ada_gradients& c_;
    ada_averages<A> averages_;
    gradient_block<A, room> dy_;
    alignas(64) number<A> field_[2][pitch];
};

}}}} // namespace tarn::kernels
