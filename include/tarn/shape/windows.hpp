// SPDX-License-Identifier: BSD-3-Clause
//
// From windows and operands to what kernels of windows know, and to independent pieces of work.
#pragma once

#include <tarn/dispatch/pool_table.hpp>
#include <tarn/pool_window.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/rows.hpp>
#include <tarn/shape/tiers.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// Windows over a map of these extents: the axes of space are axes first .. first + count - 1.
struct window_geometry {
    int first, count;
    dispatch::window_axis axis[dispatch::window_axes]; // the last `count` are in use
    bool ceil_mode;

    bool in_space(int axis_index) const noexcept { return axis_index >= first && axis_index < first + count; }
    const dispatch::window_axis& of(int axis_index) const noexcept {
        return axis[dispatch::window_axes - count + axis_index - first];
    }
};

namespace detail_of_windows {

inline void check_values(const char* op, const char* name, const window_extents& v, int axes, bool needed,
                         std::ptrdiff_t least) {
    if (v.count != axes && v.count != 1 && (needed || v.count != 0))
        fail(op, name, list(v.value, v.count),
             axes == 1 ? "one number" : "one number, or " + std::to_string(axes) + " as the kernel");
    for (int i = 0; i < v.count; ++i) {
        if (v.value[i] < least)
            fail(op, name, list(v.value, v.count), "numbers of at least " + std::to_string(least));
    }
}
TARN_INLINE std::ptrdiff_t value_of(const window_extents& v, int i, std::ptrdiff_t otherwise) noexcept {
    return v.count == 0 ? otherwise : v.value[v.count == 1 ? 0 : i];
}

// How many windows an axis has; none if it is shorter than one.
inline std::ptrdiff_t windows_along(const dispatch::window_axis& a, bool ceil_mode) noexcept {
    const std::ptrdiff_t room = a.in + a.before + a.after - a.dilation * (a.kernel - 1) - 1;
    if (room < 0 && (!ceil_mode || room + a.stride <= 0))
        return 0;
    const std::ptrdiff_t steps = room < 0 ? 0 : ceil_mode ? (room + a.stride - 1) / a.stride : room / a.stride;
    const bool behind = ceil_mode && steps > 0 && steps * a.stride >= a.in + a.before;
    return behind ? steps : steps + 1;
}

} // namespace detail_of_windows

// extent: that of the map, of which an axis may be empty only outside of space.
inline window_geometry check_window(const char* op, const pool_window& w, const std::ptrdiff_t* extent, int rank) {
    using namespace detail_of_windows;
    const int axes = w.kernel.count;
    if (axes < 1)
        fail(op, "kernel", "{}", "a number for each of 1 to 3 axes of space");
    check_values(op, "kernel", w.kernel, axes, true, 1);
    check_values(op, "stride", w.stride, axes, false, 1);
    check_values(op, "padding", w.padding, axes, false, 0);
    check_values(op, "padding_after", w.padding_after, axes, false, 0);
    check_values(op, "dilation", w.dilation, axes, false, 1);
    const bool channels_last = w.layout == layout::channels_last;
    window_geometry g{rank - axes - (channels_last ? 1 : 0), axes, {}, w.ceil_mode};
    if (g.first < 0)
        fail(op, "kernel", list(w.kernel.value, axes),
             "at most " + std::to_string(channels_last ? rank - 1 : rank) + " axes of space for an input of rank " +
                 std::to_string(rank));
    for (int i = 0; i < axes; ++i) {
        dispatch::window_axis& a = g.axis[dispatch::window_axes - axes + i];
        a.in = extent[g.first + i];
        a.kernel = w.kernel.value[i];
        a.stride = value_of(w.stride, i, a.kernel);
        a.dilation = value_of(w.dilation, i, 1);
        a.before = value_of(w.padding, i, 0);
        a.after = value_of(w.padding_after, i, a.before);
        if (a.before > a.kernel / 2)
            fail(op, "padding", list(w.padding.value, w.padding.count), "at most half the kernel");
        if (a.after > a.kernel / 2)
            fail(op, w.padding_after.count > 0 ? "padding_after" : "padding", std::to_string(a.after),
                 "at most half the kernel");
        constexpr std::ptrdiff_t most = std::ptrdiff_t{1} << 60;
        std::ptrdiff_t reach;
        if (__builtin_mul_overflow(a.kernel - 1, a.dilation, &reach) || reach > most || a.stride > most)
            fail(op, "kernel", list(w.kernel.value, axes), "windows of fewer than 2^60 elements along an axis");
        a.out = windows_along(a, w.ceil_mode);
        if (a.out < 1)
            fail(op, "input", "extents " + list(extent, rank),
                 "room for a window of " + std::to_string(reach + 1) + " elements along axis " +
                     std::to_string(g.first + i));
    }
    return g;
}

// Refuses an operand that has not an element for every window.
inline void check_window_extents(const char* op, const char* argument, const window_geometry& g, const operand& x,
                                 const operand& y) {
    std::ptrdiff_t expected[max_rank];
    bool fits = true;
    for (int i = 0; i < x.rank; ++i) {
        expected[i] = g.in_space(i) ? g.of(i).out : x.extent[i];
        fits = fits && y.extent[i] == expected[i];
    }
    if (!fits)
        fail(op, argument, "extents " + list(y.extent, y.rank),
             list(expected, x.rank) + " (ceil_mode = " + (g.ceil_mode ? "true" : "false") + ")");
}

// Maps as planes of windows. Axes outside of space are loops, but for one whose elements lie side by side where those
// of space do not: its elements are the lanes of a column.
class window_loops {
public:
    // The operands have the extents of the input outside of space. `key`: the one whose order in memory loops follow.
    window_loops(const window_geometry& g, const operand& x, const operand& y, const operand* index,
                 const dispatch::window_divisor& divisor)
        : lane_axis_(choose_lanes(g, x, y)), outer_{outer(g, x), outer(g, y), index ? outer(g, *index) : operand{}},
          loops_({outer_[0].rank - 1}, index ? 3 : 2, 1, kernel_layouts::rows_only, list_of(index != nullptr)) {
        base_.x = plane(g, x, 0);
        base_.y = plane(g, y, 1);
        base_.lanes = lane_axis_ < 0 ? 1 : x.extent[lane_axis_];
        for (int i = 0; i < dispatch::window_axes; ++i)
            base_.axis[i] = g.axis[i];
        base_.divisor = divisor;
        if (index) {
            const dispatch::plane_operand p = plane(g, *index, 2);
            base_.index.data = p.data;
            base_.index.wide = index->type == element::float64;
            for (int i = 0; i < dispatch::window_axes; ++i)
                base_.index.step[i] = p.step[i];
            base_.index.across = p.across;
            base_.index.along = lane_axis_ < 0 ? 0 : index->stride[lane_axis_];
        }
        rows_ = base_.axis[0].out * base_.axis[1].out;
        const double elements = static_cast<double>(base_.axis[0].in) * static_cast<double>(base_.axis[1].in) *
                                static_cast<double>(base_.axis[2].in) * static_cast<double>(base_.lanes);
        const double wanted = elements / elements_per_item;
        blocks_ = wanted < 2 ? 1 : wanted < static_cast<double>(rows_) ? static_cast<std::ptrdiff_t>(wanted) : rows_;
        elements_ = elements / static_cast<double>(blocks_);
    }
    window_loops(const window_loops&) = delete;
    window_loops& operator=(const window_loops&) = delete;

    // Independent pieces of work: planes, large ones cut into blocks of rows.
    std::ptrdiff_t items() const noexcept { return loops_.items() * blocks_; }
    item_cost cost(double read, double written) const noexcept {
        return {read * elements_, written * elements_, elements_};
    }
    // Items begin..end-1 as kernel(const dispatch::window_planes&).
    template <class Kernel> void run(std::ptrdiff_t begin, std::ptrdiff_t end, Kernel kernel) const {
        if (blocks_ == 1 && base_.lanes == 1) {
            planes(begin, end, 0, rows_, kernel);
            return;
        }
        for (; begin < end; ++begin) {
            const std::ptrdiff_t block = begin % blocks_;
            planes(begin / blocks_, begin / blocks_ + 1, rows_ / blocks_ * block + least(block, rows_ % blocks_),
                   rows_ / blocks_ * (block + 1) + least(block + 1, rows_ % blocks_), kernel);
        }
    }

private:
    static constexpr double elements_per_item = 32768;

    static std::ptrdiff_t least(std::ptrdiff_t a, std::ptrdiff_t b) noexcept { return a < b ? a : b; }
    static int choose_lanes(const window_geometry& g, const operand& x, const operand& y) noexcept {
        const int last = g.first + g.count - 1;
        const bool planar =
            (x.stride[last] == 1 || x.extent[last] == 1) && (y.stride[last] == 1 || y.extent[last] == 1);
        for (int i = x.rank - 1; i >= 0; --i) {
            if (!g.in_space(i) && x.extent[i] > 1 && x.stride[i] == 1 && y.stride[i] == 1 && !planar)
                return i;
        }
        return -1;
    }
    // The operand without its axes of space and lanes, and with one of a single element at its end.
    operand outer(const window_geometry& g, const operand& v) const noexcept {
        operand r{v.data, v.type, 0, {}, {}};
        for (int i = 0; i < v.rank; ++i) {
            if (!g.in_space(i) && i != lane_axis_) {
                r.extent[r.rank] = v.extent[i];
                r.stride[r.rank++] = v.stride[i];
            }
        }
        r.extent[r.rank] = 1;
        r.stride[r.rank++] = 1;
        return r;
    }
    operand_list list_of(bool with_index) const noexcept {
        return with_index ? operand_list::of(outer_[0], outer_[1], outer_[2]) : operand_list::of(outer_[0], outer_[1]);
    }
    dispatch::plane_operand plane(const window_geometry& g, const operand& v, int k) const noexcept {
        dispatch::plane_operand p{const_cast<void*>(v.data), v.type, {}, loops_.inner().stride[k]};
        for (int i = 0; i < g.count; ++i)
            p.step[dispatch::window_axes - g.count + i] = v.stride[g.first + i];
        return p;
    }
    template <class Kernel>
    void planes(std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first_row, std::ptrdiff_t last_row,
                const Kernel& kernel) const {
        loops_.run(begin, end, [&](const std::ptrdiff_t* offset, std::ptrdiff_t count) {
            dispatch::window_planes c = base_;
            c.x.data = static_cast<char*>(c.x.data) + offset[0] * element_bytes(0);
            c.y.data = static_cast<char*>(c.y.data) + offset[1] * element_bytes(1);
            if (c.index.data)
                c.index.data = static_cast<char*>(c.index.data) + offset[2] * (c.index.wide ? 8 : 4);
            c.planes = count;
            c.first_row = first_row;
            c.last_row = last_row;
            kernel(static_cast<const dispatch::window_planes&>(c));
        });
    }
    std::ptrdiff_t element_bytes(int k) const noexcept { return element_size(outer_[k]); }

    int lane_axis_;
    operand outer_[3];
    row_loops loops_;
    dispatch::window_planes base_ = {};
    std::ptrdiff_t rows_ = 1, blocks_ = 1;
    double elements_ = 0;
};

}}}} // namespace tarn::shape
