// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of windows that cover their planes like tiles, with many elements side by side: a row of windows at once,
// which gives to its elements where these are, since there is nothing to add up. The bits are those of window_adjoint.
#pragma once

#include <tarn/kernels/tile_geometry.hpp>
#include <tarn/simd/memory.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Shares> class window_large_tiles {
public:
    using call = typename Shares::call;

    TARN_INLINE static bool takes(const call& c) noexcept {
        return c.windows.axis[2].out > 0 && (c.windows.lanes == 1 ? span_of(c) >= width : c.windows.lanes >= width) &&
               are_tiles<A, (elements > 0)>(c);
    }
    TARN_NOINLINE static void run(const call& c) noexcept {
        window_large_tiles tiles(c);
        tiles.run_planes();
        tiles.shares_.end();
    }

private:
    static constexpr int elements = Shares::elements;
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t most_span = std::ptrdiff_t{1} << 24;
    static constexpr std::ptrdiff_t lanes_in_1024 = 1024 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    static constexpr std::ptrdiff_t most_lanes = Shares::room < lanes_in_1024 ? Shares::room : lanes_in_1024;

    // What is read for the results should still be in a cache for the gradients.
    static constexpr std::ptrdiff_t cached_numbers = 131072 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    TARN_INLINE explicit window_large_tiles(const call& c) noexcept
        : c_(c), height_(c.windows.axis[1]), columns_(c.windows.axis[2]), span_(span_of(c)),
          rows_(c.windows.axis[0].kernel * (span_ > columns_.kernel ? 1 : height_.kernel)), shares_(c) {
        for (int i = 0; i < width; ++i)
            lane_[i] = static_cast<number<A>>(i);
    }
    // Elements of a window side by side: of one of its rows, or of all at a depth.
    TARN_INLINE static std::ptrdiff_t span_of(const call& c) noexcept {
        const dispatch::window_axis& height = c.windows.axis[1];
        const dispatch::window_axis& columns = c.windows.axis[2];
        const auto adjoining = [&](const dispatch::plane_operand& v) TARN_LAMBDA { return v.step[1] == columns.in; };
        const bool whole_rows = c.windows.lanes == 1 && columns.kernel == columns.in && adjoining(c.dx) &&
                                (elements == 0 || adjoining(c.windows.x)) && height.kernel < most_span / columns.kernel;
        return whole_rows ? height.kernel * columns.kernel : columns.kernel;
    }

    TARN_INLINE void run_planes() noexcept {
        const std::ptrdiff_t fitting = cached_numbers / (c_.windows.axis[0].in * height_.in * columns_.in) + 1;
        for (first_lane_ = 0; first_lane_ < c_.windows.lanes; first_lane_ += lanes_) {
            const std::ptrdiff_t left = c_.windows.lanes - first_lane_;
            lanes_ = left < most_lanes ? left : most_lanes;
            const std::ptrdiff_t room = Shares::room / (lanes_ * columns_.out);
            const std::ptrdiff_t most = !Shares::several_planes || lanes_ > 1 || room < 1 ? 1
                                        : room < fitting                                  ? room
                                                                                          : fitting;
            for (plane_ = 0; plane_ < c_.windows.planes; plane_ += planes_) {
                planes_ = c_.windows.planes - plane_ < most ? c_.windows.planes - plane_ : most;
                each_row_of_tiles(
                    c_.windows,
                    [&](std::ptrdiff_t r, std::ptrdiff_t d, std::ptrdiff_t h) TARN_LAMBDA { run_windows(r, d, h); },
                    [&](std::ptrdiff_t r) TARN_LAMBDA {
                        for (std::ptrdiff_t p = 0; p < planes_; ++p)
                            clear(p, r, 0);
                    });
            }
        }
    }
    // A row of windows whose first elements are in row r.
    TARN_INLINE void run_windows(std::ptrdiff_t r, std::ptrdiff_t d, std::ptrdiff_t h) noexcept {
        const std::ptrdiff_t most = Shares::room / lanes_;
        for (std::ptrdiff_t j = 0; j < columns_.out; j += most) {
            const std::ptrdiff_t some = columns_.out - j < most ? columns_.out - j : most;
            shares_.load({plane_, first_lane_, lanes_, d, h, 1, j, some, planes_});
            for (std::ptrdiff_t p = 0; p < planes_; ++p) {
                for (std::ptrdiff_t k = 0; k < rows_; ++k)
                    give_row(p, row_of(r, k), k * span_, j, some);
            }
        }
        for (std::ptrdiff_t p = 0; p < planes_ && columns_.out * columns_.kernel < columns_.in; ++p) {
            for (std::ptrdiff_t k = 0; k < rows_; ++k)
                clear(p, row_of(r, k), columns_.out * columns_.kernel);
        }
    }
    // Of windows that begin in row r: the row of their taps in row k.
    TARN_INLINE std::ptrdiff_t row_of(std::ptrdiff_t r, std::ptrdiff_t k) const noexcept {
        if (span_ > columns_.kernel)
            return r + k * height_.in;
        const std::ptrdiff_t d = quotient(k, height_.kernel);
        return r + d * height_.in + k - d * height_.kernel;
    }
    TARN_INLINE number<A>* place(const dispatch::plane_operand& v, std::ptrdiff_t p, std::ptrdiff_t r) const noexcept {
        const std::ptrdiff_t d = quotient(r, height_.in);
        return static_cast<number<A>*>(v.data) + (plane_ + p) * v.across + first_lane_ + d * v.step[0] +
               (r - d * height_.in) * v.step[1];
    }
    // Columns from `first` on belong to no window.
    TARN_INLINE void clear(std::ptrdiff_t p, std::ptrdiff_t r, std::ptrdiff_t first) const noexcept {
        number<A>* const dx = place(c_.dx, p, r);
        for (std::ptrdiff_t j = first; j < columns_.in; ++j) {
            for (std::ptrdiff_t i = 0; i < lanes_; ++i)
                dx[j * c_.dx.step[2] + i] = 0;
        }
    }

    // What the loaded windows of a plane, `some` from column j on, give to row r, that of their taps from `tap` on.
    TARN_INLINE void give_row(std::ptrdiff_t p, std::ptrdiff_t r, std::ptrdiff_t tap, std::ptrdiff_t j,
                              std::ptrdiff_t some) noexcept {
        number<A>* const dx = place(c_.dx, p, r);
        const dispatch::plane_operand& from = elements > 0 ? c_.windows.x : c_.dx;
        const number<A>* const x = place(from, p, r);
        const std::ptrdiff_t kernel = columns_.kernel;
        for (std::ptrdiff_t o = 0; o < some; ++o) {
            const std::ptrdiff_t first = (j + o) * kernel;
            const std::ptrdiff_t window = (p * some + o) * lanes_;
            if (lanes_ == 1) {
                const auto all = shares_.all_of(window);
                each_register<A>(span_, [&](std::ptrdiff_t k, auto... n) TARN_LAMBDA {
                    const numbers<A> taps = numbers<A>(static_cast<number<A>>(tap)) +
                                            (numbers<A>::load_unaligned(lane_) + numbers<A>(static_cast<number<A>>(k)));
                    give(x + first + k, dx + first + k, all, taps, n...);
                });
                continue;
            }
            for (std::ptrdiff_t t = 0; t < kernel; ++t) {
                const numbers<A> taps(static_cast<number<A>>(tap + t));
                each_register<A>(lanes_, [&](std::ptrdiff_t k, auto... n) TARN_LAMBDA {
                    give(x + (first + t) * from.step[2] + k, dx + (first + t) * c_.dx.step[2] + k,
                         shares_.at(window + k, n...), taps, n...);
                });
            }
        }
    }
    template <class Windows, class... Some>
    TARN_INLINE void give([[maybe_unused]] const number<A>* x, number<A>* dx, const Windows& windows, numbers<A> taps,
                          Some... some) noexcept {
        const numbers<A> zero(number<A>(0));
        using element_sum = element_sums<A, Shares::sums>;
        element_numbers<A, elements> e;
        if constexpr (elements > 0) {
            numbers<A> v;
            if constexpr (sizeof...(some) == 0)
                v = numbers<A>::load_unaligned(x);
            else
                v = simd::load_n<A>(x, some...);
            if constexpr (Shares::lifts)
                e = shares_.lift(v);
            else
                e.number[0] = v;
            if constexpr (sizeof...(some) > 0 && Shares::lifts) {
                for (numbers<A>& number : e.number)
                    number = simd::first_or<A>(number, some..., zero);
            }
        }
        const auto sum = shares_.add(element_sum::of([&](int) TARN_LAMBDA { return zero; }), windows, taps, e);
        numbers<A> v;
        if constexpr (Shares::finishes)
            v = shares_.finish(sum, e);
        else
            v = sum;
        if constexpr (sizeof...(some) == 0)
            v.store_unaligned(dx);
        else
            simd::store_n<A>(dx, v, some...);
    }

    const call& c_;
    const dispatch::window_axis &height_, &columns_;
    const std::ptrdiff_t span_, rows_; // of a window
    Shares shares_;
    std::ptrdiff_t plane_ = 0, planes_ = 1, first_lane_ = 0, lanes_ = 1;
    alignas(64) number<A> lane_[width];
};

}}}} // namespace tarn::kernels
