// SPDX-License-Identifier: BSD-3-Clause
//
// An operator along one axis as loops: the axis, an inner loop that a kernel takes whole, and outer loops around it.
#pragma once

#include <tarn/shape/checks.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// One loop over equal steps in input and output.
struct loop {
    std::ptrdiff_t extent;
    std::ptrdiff_t x_stride;
    std::ptrdiff_t y_stride;
};

struct axis_loops {
    loop axis;
    int outer_count;
    loop outer[max_rank]; // the last is the innermost

    // x and y have the same extents, none 0.
    static axis_loops of(const operand& x, const operand& y, int axis) noexcept {
        axis_loops r{{x.extent[axis], x.stride[axis], y.stride[axis]}, 0, {}};
        // A single element has no neighbour, so any stride is as good as 1.
        if (r.axis.extent == 1)
            r.axis.x_stride = r.axis.y_stride = 1;
        for (int i = 0; i < x.rank; ++i) {
            if (i != axis && x.extent[i] > 1)
                r.insert({x.extent[i], x.stride[i], y.stride[i]});
        }
        r.merge();
        return r;
    }

    std::ptrdiff_t outer_size() const noexcept {
        std::ptrdiff_t n = 1;
        for (int i = 0; i < outer_count; ++i)
            n *= outer[i].extent;
        return n;
    }

    // The outer loop with stride 1 in input and output, taken out of the list; extent 0 if there is none.
    loop take_unit_loop() noexcept {
        for (int i = 0; i < outer_count; ++i) {
            if (outer[i].x_stride == 1 && outer[i].y_stride == 1)
                return take(i);
        }
        return {0, 0, 0};
    }
    // The innermost outer loop, taken out of the list; one step if there is none.
    loop take_inner_loop() noexcept { return outer_count > 0 ? take(outer_count - 1) : loop{1, 0, 0}; }

    // Offsets in elements of item i of the outer loops.
    void offsets(std::ptrdiff_t i, std::ptrdiff_t& x, std::ptrdiff_t& y) const noexcept {
        x = y = 0;
        for (int k = outer_count - 1; k >= 0; --k) {
            const std::ptrdiff_t step = i % outer[k].extent;
            i /= outer[k].extent;
            x += step * outer[k].x_stride;
            y += step * outer[k].y_stride;
        }
    }

private:
    // Widest output stride first, whatever the order of the axes.
    void insert(loop l) noexcept {
        int at = outer_count++;
        for (; at > 0 && std::abs(outer[at - 1].y_stride) < std::abs(l.y_stride); --at)
            outer[at] = outer[at - 1];
        outer[at] = l;
    }
    // Neighbours that one loop can run through become one.
    void merge() noexcept {
        int kept = 0;
        for (int i = 1; i < outer_count; ++i) {
            loop& wide = outer[kept];
            const loop& narrow = outer[i];
            if (wide.x_stride == narrow.x_stride * narrow.extent && wide.y_stride == narrow.y_stride * narrow.extent)
                wide = {wide.extent * narrow.extent, narrow.x_stride, narrow.y_stride};
            else
                outer[++kept] = narrow;
        }
        outer_count = outer_count > 0 ? kept + 1 : 0;
    }
    loop take(int i) noexcept {
        const loop l = outer[i];
        for (--outer_count; i < outer_count; ++i)
            outer[i] = outer[i + 1];
        return l;
    }
};

}}}} // namespace tarn::shape
