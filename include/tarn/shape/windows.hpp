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
    // Rows of depth and height that lie behind the first of a window up to its last.
    std::ptrdiff_t reach() const noexcept {
        const auto along = [](const dispatch::window_axis& a) {
            const std::ptrdiff_t most = (a.kernel - 1) * a.dilation;
            return most < a.in ? most : a.in;
        };
        return along(axis[0]) * axis[1].in + along(axis[1]);
    }
    // Where windows share no element: rows from one to the next, or all of them if there is one.
    std::ptrdiff_t rows_of_tiles() const noexcept { return axis[1].out == 1 ? axis[1].in : axis[1].stride; }
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

// What gradients of windows are made of, and of a parameter if there is one. Its gradient: null if it is not wanted.
struct window_gradient_operands {
    const operand &x, &dy, &dx;
    const operand *parameter = nullptr, *dparameter = nullptr;
    const char *name = "", *gradient_name = ""; // of both in messages
};

// Refuses operands that do not belong together.
inline void check_window_gradients(const char* op, const window_geometry& g, const window_gradient_operands& o) {
    check_operand(op, "gradient", o.dy);
    check_operand(op, "output", o.dx);
    check_window_extents(op, "gradient", g, o.x, o.dy);
    check_same_extents(op, o.x, o.dx);
    if (o.dparameter) {
        check_operand(op, o.gradient_name, *o.dparameter);
        if (o.parameter)
            check_same_extents(op, *o.parameter, *o.dparameter, o.gradient_name);
        check_distinct(op, *o.dparameter, o.gradient_name);
        if (o.parameter)
            check_apart(op, *o.parameter, *o.dparameter, o.gradient_name, o.name);
    }
    if (size(o.x) == 0)
        return;
    check_distinct(op, o.dx);
    check_apart(op, o.x, o.dx);
    check_apart(op, o.dy, o.dx, "output", "gradient");
    if (o.parameter)
        check_apart(op, *o.parameter, o.dx, "output", o.name);
    if (o.dparameter) {
        check_apart(op, o.x, *o.dparameter, o.gradient_name);
        check_apart(op, o.dy, *o.dparameter, o.gradient_name, "gradient");
        check_apart(op, o.dx, *o.dparameter, o.gradient_name, "output");
    }
}

// The gradient in a parameter, a sum of doubles, as element `at` of a float or double operand. Floats below 2^-126 are 0.
inline void put_sum(const operand& to, std::ptrdiff_t at, double v) noexcept {
    void* const data = const_cast<void*>(to.data);
    if (to.type == element::float64) {
        static_cast<double*>(data)[at] = v;
        return;
    }
    // Volatile: no compiler converts the sum, which may underflow, before it was chosen.
    const volatile double normal = v > -0x1p-126 && v < 0x1p-126 ? 0 : v;
    static_cast<float*>(data)[at] = static_cast<float>(normal);
}

// Maps as planes of windows. Axes outside of space are loops, but for one whose elements lie side by side where those
// of space do not: its elements are the lanes of a column.
class map_loops {
public:
    // Some planes, and rows first_row .. last_row - 1 of depth and height together.
    struct part {
        std::ptrdiff_t offset[max_operands]; // of the operands, in elements
        std::ptrdiff_t planes, first_row, last_row;
    };

    // The operands have the same extents outside of space. Those after the first `whole` may have any lanes. Work is
    // of so many rows, cut into blocks of at least `least_rows` that begin at multiples of `unit`.
    map_loops(const window_geometry& g, std::ptrdiff_t rows, int whole, const operand_list& operands,
              std::ptrdiff_t least_rows = 1, std::ptrdiff_t unit = 1)
        : geometry_(g), lane_axis_(choose_lanes(g, whole, operands)), count_(operands.count),
          outer_(outer_of(operands)),
          loops_({outer_.item[0].rank - 1}, count_, 1, kernel_layouts::rows_only, outer_.list(count_)), rows_(rows),
          unit_(unit < rows ? unit : rows), ahead_(reads_ahead(*operands.item[0])) {
        for (int k = 0; k < count_; ++k)
            operand_[k] = operands.item[k];
        const operand& x = *operands.item[0];
        double elements = static_cast<double>(lanes());
        for (int i = g.first; i < g.first + g.count; ++i)
            elements *= static_cast<double>(x.extent[i]);
        const double wanted = elements / elements_per_item;
        const std::ptrdiff_t least = least_rows > unit ? least_rows : unit;
        const std::ptrdiff_t most = wanted >= 2 && rows > least ? rows / least : 1;
        blocks_ = wanted < 2 ? 1 : wanted < static_cast<double>(most) ? static_cast<std::ptrdiff_t>(wanted) : most;
        elements_ = elements / static_cast<double>(blocks_);
    }
    map_loops(const map_loops&) = delete;
    map_loops& operator=(const map_loops&) = delete;

    std::ptrdiff_t lanes() const noexcept { return lane_axis_ < 0 ? 1 : operand_extent(); }
    // An operand's elements along depth, height and width, and from lane to lane.
    dispatch::plane_operand plane(int k, const part& p) const noexcept {
        const operand& v = *operand_[k];
        dispatch::plane_operand r{static_cast<char*>(const_cast<void*>(v.data)) + p.offset[k] * element_size(v),
                                  v.type,
                                  {},
                                  loops_.inner().stride[k]};
        for (int i = 0; i < geometry_.count; ++i)
            r.step[dispatch::window_axes - geometry_.count + i] = v.stride[geometry_.first + i];
        return r;
    }
    std::ptrdiff_t lane_step(int k) const noexcept { return lane_axis_ < 0 ? 0 : operand_[k]->stride[lane_axis_]; }
    // What kernels know of it: windows of operands 0 and 1.
    dispatch::window_planes windows(const part& p) const noexcept {
        dispatch::window_planes w = {};
        w.x = plane(0, p);
        w.y = plane(1, p);
        w.lanes = lanes();
        for (int i = 0; i < dispatch::window_axes; ++i)
            w.axis[i] = geometry_.axis[i];
        w.planes = p.planes;
        w.first_row = p.first_row;
        w.last_row = p.last_row;
        w.last_column = w.axis[2].out;
        w.ahead = ahead_;
        return w;
    }

    // Independent pieces of work: planes, large ones cut into blocks of rows.
    std::ptrdiff_t items() const noexcept { return loops_.items() * blocks_; }
    item_cost cost(double read, double written) const noexcept {
        return {read * elements_, written * elements_, elements_};
    }
    // Items begin..end-1 as f(const part&).
    template <class F> void run(std::ptrdiff_t begin, std::ptrdiff_t end, F f) const {
        while (begin < end) {
            const std::ptrdiff_t plane = by_blocks(begin);
            const std::ptrdiff_t block = begin - plane * blocks_;
            const std::ptrdiff_t whole = block == 0 && lane_axis_ < 0 ? by_blocks(end - begin) : 0;
            if (whole > 0) {
                planes(plane, plane + whole, 0, rows_, f);
                begin += whole * blocks_;
                continue;
            }
            const std::ptrdiff_t some = end - begin < blocks_ - block ? end - begin : blocks_ - block;
            planes(plane, plane + 1, first_of(block), first_of(block + some), f);
            begin += some;
        }
    }

private:
    static constexpr double elements_per_item = 32768;

    // Operands without their axes of space and lanes, and with one of a single element at their ends; of those that a call
    // does not have nothing is set.
    struct outer_operands {
        operand item[max_operands];

        operand_list list(int count) const noexcept {
            operand_list l;
            for (int k = 0; k < count; ++k)
                l.add(item[k]);
            return l;
        }
    };
    outer_operands outer_of(const operand_list& operands) const noexcept {
        outer_operands all;
        for (int k = 0; k < operands.count; ++k) {
            const operand& v = *operands.item[k];
            operand& r = all.item[k];
            r.data = v.data;
            r.type = v.type;
            r.rank = 0;
            for (int i = 0; i < v.rank; ++i) {
                if (!geometry_.in_space(i) && i != lane_axis_) {
                    r.extent[r.rank] = v.extent[i];
                    r.stride[r.rank++] = v.stride[i];
                }
            }
            r.extent[r.rank] = 1;
            r.stride[r.rank++] = 1;
        }
        return all;
    }
    static int choose_lanes(const window_geometry& g, int whole, const operand_list& operands) noexcept {
        const int last = g.first + g.count - 1;
        const auto unit = [&](int axis) {
            bool all = true;
            for (int k = 0; k < whole; ++k)
                all = all && (operands.item[k]->stride[axis] == 1 || operands.item[k]->extent[axis] == 1);
            return all;
        };
        if (unit(last))
            return -1;
        for (int i = operands.item[0]->rank - 1; i >= 0; --i) {
            if (!g.in_space(i) && operands.item[0]->extent[i] > 1 && unit(i))
                return i;
        }
        return -1;
    }
    std::ptrdiff_t operand_extent() const noexcept { return operand_[0]->extent[lane_axis_]; }
    // n / blocks_. A division takes as long as a row of a small map.
    std::ptrdiff_t by_blocks(std::ptrdiff_t n) const noexcept { return blocks_ == 1 ? n : n / blocks_; }
    std::ptrdiff_t first_of(std::ptrdiff_t block) const noexcept {
        if (block == 0 || block == blocks_)
            return block == 0 ? 0 : rows_;
        const std::ptrdiff_t units = (rows_ + unit_ - 1) / unit_;
        const std::ptrdiff_t rest = units % blocks_;
        const std::ptrdiff_t first = (units / blocks_ * block + (block < rest ? block : rest)) * unit_;
        return first < rows_ ? first : rows_;
    }
    template <class F>
    void planes(std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first_row, std::ptrdiff_t last_row,
                const F& f) const {
        loops_.run(begin, end, [&](const std::ptrdiff_t* offset, std::ptrdiff_t count) {
            part p{{}, count, first_row, last_row};
            for (int k = 0; k < count_; ++k)
                p.offset[k] = offset[k];
            f(static_cast<const part&>(p));
        });
    }

    window_geometry geometry_;
    int lane_axis_, count_;
    const operand* operand_[max_operands];
    outer_operands outer_;
    row_loops loops_;
    std::ptrdiff_t rows_, unit_, blocks_ = 1;
    bool ahead_;
    double elements_ = 0;
};

}}}} // namespace tarn::shape
