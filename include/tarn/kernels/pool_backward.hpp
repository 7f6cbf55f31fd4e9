// SPDX-License-Identifier: BSD-3-Clause
//
// What windows give to their elements in the gradients of max and average pooling.
#pragma once

#include <tarn/kernels/pool.hpp>
#include <tarn/kernels/window_adjoint.hpp>
#include <tarn/kernels/window_lines.hpp>
#include <tarn/simd/settled.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The gradients of a block of windows as numbers.
template <class A, std::ptrdiff_t Room> class gradient_block {
public:
    TARN_INLINE explicit gradient_block(const dispatch::plane_operand& dy) noexcept : dy_(dy) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        const auto at = [&](std::ptrdiff_t p, std::ptrdiff_t r) TARN_LAMBDA {
            return static_cast<char*>(dy_.data) + ((b.plane + p) * dy_.across + b.lane + b.depth * dy_.step[0] +
                                                   (b.row + r) * dy_.step[1] + b.column * dy_.step[2]) *
                                                      detail::size_of(dy_.type);
        };
        if (b.lanes == 1 && b.rows == 1 && b.columns == 1) {
            convert<A>::widen({{at(0, 0), dy_.type, dy_.across, 0}, number_, 0, 1, b.planes});
            return;
        }
        for (std::ptrdiff_t p = 0; p < b.planes; ++p) {
            number<A>* const to = number_ + p * b.of_plane();
            if (b.lanes == 1) {
                convert<A>::widen({{at(p, 0), dy_.type, dy_.step[2], dy_.step[1]}, to, b.columns, b.rows, b.columns});
                continue;
            }
            for (std::ptrdiff_t r = 0; r < b.rows; ++r)
                convert<A>::widen(
                    {{at(p, r), dy_.type, 1, dy_.step[2]}, to + r * b.columns * b.lanes, b.lanes, b.columns, b.lanes});
        }
    }
    TARN_INLINE numbers<A> at(std::ptrdiff_t i) const noexcept { return numbers<A>::load_unaligned(number_ + i); }
    TARN_INLINE numbers<A> at(std::ptrdiff_t i, int n) const noexcept { return simd::load_n<A>(number_ + i, n); }
    TARN_INLINE numbers<A> all_of(std::ptrdiff_t i) const noexcept { return numbers<A>(number_[i]); }
    TARN_INLINE number<A>* begin() noexcept { return number_; }

private:
    const dispatch::plane_operand& dy_;
    alignas(64) number<A> number_[Room + static_cast<std::ptrdiff_t>(numbers<A>::size)];
};

// The windows of a group, results of theirs not wanted.
TARN_INLINE dispatch::window_planes windows_of(const dispatch::window_planes& all, const window_group& b) noexcept {
    dispatch::window_planes w = all;
    w.x.data = static_cast<char*>(w.x.data) + (b.plane * w.x.across + b.lane) * detail::size_of(w.x.type);
    w.y.data = nullptr;
    w.planes = b.planes;
    w.lanes = b.lanes;
    w.first_row = b.depth * w.axis[1].out + b.row;
    w.last_row = w.first_row + b.rows;
    w.first_column = b.column;
    w.last_column = b.column + b.columns;
    return w;
}
// Their states, to numbers side by side; from field to field `pitch`.
template <class Number>
TARN_INLINE dispatch::window_planes states_of(const dispatch::window_planes& all, const window_group& b, Number* to,
                                              std::ptrdiff_t pitch) noexcept {
    dispatch::window_planes w = windows_of(all, b);
    w.index.kind = dispatch::index_kind::state;
    w.index.step[0] = 0;
    w.index.step[1] = b.columns * b.lanes;
    w.index.step[2] = b.lanes;
    w.index.along = 1;
    w.index.across = b.of_plane();
    w.index.field = pitch;
    w.index.data = to;
    w.index.first = -(b.row * b.columns + b.column) * b.lanes;
    return w;
}
// Their results, to numbers side by side.
template <class Number>
TARN_INLINE dispatch::window_planes results_of(const dispatch::window_planes& all, const window_group& b,
                                               Number* to) noexcept {
    dispatch::window_planes w = windows_of(all, b);
    w.y.data = to - (b.row * b.columns + b.column) * b.lanes;
    w.y.type = element_traits<Number>::value;
    w.y.step[0] = 0;
    w.y.step[1] = b.columns * b.lanes;
    w.y.step[2] = b.lanes;
    w.y.across = b.of_plane();
    return w;
}

// All of it to one element of the window: its tap is what the reduction keeps.
template <class A, class Window> struct extreme_rule {
    using reduction = Window;
    template <std::ptrdiff_t Most> using scales = no_scales<A>;
    struct windows {
        numbers<A> tap, dy;
    };

    const reduction windows_by;

    TARN_INLINE explicit extreme_rule(const dispatch::window_gradients& c) noexcept
        : windows_by(reduction_of<Window>(c.windows)) {}
    TARN_INLINE static windows of(numbers<A> dy, const typename Window::state& s, const window_scale<A>&) noexcept {
        return {s.field[Window::fields - 1], dy};
    }
    TARN_INLINE static numbers<A> add(numbers<A> sum, const windows& w, numbers<A> tap,
                                      element_numbers<A, 0>) noexcept {
        return sum + simd::select<A>(w.tap == tap, w.dy, numbers<A>(number<A>(0)));
    }
};
template <class A, class Window> class extreme_shares : public shares_of_windows {
    using own_rule = extreme_rule<A, Window>;

public:
    using rule = std::conditional_t<Window::seldom, void, own_rule>;
    using windows = typename own_rule::windows;
    static constexpr std::ptrdiff_t room = 3072 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    TARN_INLINE explicit extreme_shares(const dispatch::window_gradients& c) noexcept : c_(c), dy_(c.dy) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        dy_.load(b);
        window_lines<A, Window, own_loops::none>::run(states_of(c_.windows, b, tap_, 0));
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept {
        return {numbers<A>::load_unaligned(tap_ + i), dy_.at(i)};
    }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept {
        return {simd::load_n<A>(tap_ + i, n), dy_.at(i, n)};
    }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return {numbers<A>(tap_[i]), dy_.all_of(i)}; }
    TARN_INLINE static numbers<A> add(numbers<A> sum, const windows& w, numbers<A> tap,
                                      element_numbers<A, 0> e) noexcept {
        return own_rule::add(sum, w, tap, e);
    }

private:
    const dispatch::window_gradients& c_;
    gradient_block<A, room> dy_;
    alignas(64) number<A> tap_[room + static_cast<std::ptrdiff_t>(numbers<A>::size)];
};

// The gradients of a block of windows, divided by what the sums of these are divided by.
template <class A, std::ptrdiff_t Room> class divided_gradients : public gradient_block<A, Room> {
public:
    TARN_INLINE explicit divided_gradients(const dispatch::window_gradients& c) noexcept
        : gradient_block<A, Room>(c.dy), windows_(c.windows) {}

    // Out of line: what it needs is free again when windows are reduced.
    TARN_NOINLINE void load(const window_group& b) noexcept {
        gradient_block<A, Room>::load(b);
        const dispatch::window_divisor& divisor = windows_.divisor;
        const std::ptrdiff_t deep = window_taps::counted(windows_.axis[0], b.depth, divisor.count_padding);
        window_scales<A, most_columns> scales;
        // A tile of columns for all rows, since their scales cost a division each.
        for (std::ptrdiff_t first = 0; first < b.columns; first += most_columns) {
            const std::ptrdiff_t some = b.columns - first < most_columns ? b.columns - first : most_columns;
            scales.begin(windows_.axis[2], b.column + first, some, divisor);
            for (std::ptrdiff_t r = 0; r < b.rows; ++r) {
                scales.prepare(deep * window_taps::counted(windows_.axis[1], b.row + r, divisor.count_padding));
                number<A>* const line = this->begin() + (r * b.columns + first) * b.lanes;
                if (b.of_plane() == 1) {
                    scale_lanes(scales, line, 1, b.planes);
                    continue;
                }
                for (std::ptrdiff_t p = 0; p < b.planes; ++p) {
                    if (b.lanes == 1)
                        scale(scales, line + p * b.of_plane(), some);
                    else
                        scale_lanes(scales, line + p * b.of_plane(), some, b.lanes);
                }
            }
        }
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t columns_in_2048 = 2048 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    static constexpr std::ptrdiff_t most_columns = Room < columns_in_2048 ? Room : columns_in_2048;

    template <class Scales>
    TARN_INLINE static void scale(const Scales& scales, number<A>* line, std::ptrdiff_t n) noexcept {
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const int some = n - i < width ? static_cast<int>(n - i) : width;
            simd::store_n<A>(line + i, scales.at(i).apply(simd::load_n<A>(line + i, some)), some);
        }
    }
    template <class Scales>
    TARN_INLINE static void scale_lanes(const Scales& scales, number<A>* line, std::ptrdiff_t columns,
                                        std::ptrdiff_t lanes) noexcept {
        for (std::ptrdiff_t j = 0; j < columns; ++j) {
            const window_scale<A> all = scales.all_of(j);
            for (std::ptrdiff_t i = 0; i < lanes; i += width) {
                const int some = lanes - i < width ? static_cast<int>(lanes - i) : width;
                number<A>* const p = line + j * lanes + i;
                simd::store_n<A>(p, all.apply(simd::load_n<A>(p, some)), some);
            }
        }
    }

    const dispatch::window_planes& windows_;
};

// The same to every member.
template <class A> struct average_rule {
    using reduction = void;
    template <std::ptrdiff_t Most> using scales = window_scales<A, Most>;
    using windows = numbers<A>;

    TARN_INLINE explicit average_rule(const dispatch::window_gradients&) noexcept {}
    // Rounded before it is added to anything, whatever the compiler contracts.
    TARN_INLINE static windows of(numbers<A> dy, const window_scale<A>& scale) noexcept {
        return simd::settled<A>(scale.apply(dy));
    }
    TARN_INLINE static numbers<A> add(numbers<A> sum, numbers<A> dy, numbers<A>, element_numbers<A, 0>) noexcept {
        return sum + dy;
    }
};
template <class A> class average_shares : public shares_of_windows {
public:
    using rule = average_rule<A>;
    static constexpr std::ptrdiff_t room = 8192 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    TARN_INLINE explicit average_shares(const dispatch::window_gradients& c) noexcept : dy_(c) {}

    TARN_INLINE void load(const window_group& b) noexcept { dy_.load(b); }
    TARN_INLINE numbers<A> at(std::ptrdiff_t i) const noexcept { return dy_.at(i); }
    TARN_INLINE numbers<A> at(std::ptrdiff_t i, int n) const noexcept { return dy_.at(i, n); }
    TARN_INLINE numbers<A> all_of(std::ptrdiff_t i) const noexcept { return dy_.all_of(i); }
    TARN_INLINE static numbers<A> add(numbers<A> sum, numbers<A> dy, numbers<A> tap, element_numbers<A, 0> e) noexcept {
        return rule::add(sum, dy, tap, e);
    }

private:
    divided_gradients<A, room> dy_;
};

}}}} // namespace tarn::kernels
