// SPDX-License-Identifier: BSD-3-Clause
//
// An operator along an axis, or adjacent axes together, as loops: the axis, an inner loop that a kernel takes whole,
// and outer loops around it.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/shape/checks.hpp>
#include <tarn/where.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

constexpr int max_operands = 8;

// The operands of a call, in an order of its own.
struct operand_list {
    const operand* item[max_operands] = {};
    int count = 0;

    template <class... Operands> static operand_list of(const Operands&... operands) noexcept {
        return {{&operands...}, static_cast<int>(sizeof...(Operands))};
    }
    // The index of the operand in the list.
    int add(const operand& v) noexcept {
        item[count] = &v;
        return count++;
    }
};

// One loop over equal steps in every operand. Strides of operands that a call does not have are never set: that would take
// longer than a short row.
struct loop {
    std::ptrdiff_t extent;
    std::ptrdiff_t stride[max_operands];
};

// Columns that are one item for an executor: whole cache lines, so threads share none of them.
constexpr std::ptrdiff_t columns_per_item = 128;

// The axis of an operator of elements by themselves: none, if all of them lie side by side in all operands, or as many as
// an item has; they are columns of one element then, which can be cut anywhere. Else the last, which leaves the loop over
// short rows to the kernel.
inline axis_span elementwise_axis(const operand_list& operands) noexcept {
    const operand& x = *operands.item[0];
    std::ptrdiff_t side_by_side = 1;
    for (int pass = 0; pass < x.rank; ++pass) {
        for (int i = 0; i < x.rank; ++i) {
            bool next = x.extent[i] > 1;
            for (int k = 0; k < operands.count; ++k)
                next = next && operands.item[k]->stride[i] == side_by_side;
            if (next)
                side_by_side *= x.extent[i];
        }
    }
    if (side_by_side == size(x) || side_by_side >= columns_per_item)
        return {0, 0};
    return {x.rank - 1};
}

// Which kernels an operator has: for rows side by side as well, or only for elements side by side.
enum class kernel_layouts { rows_and_columns, rows_only };

// How an operator runs along its axes. Operands have the same extents, none 0; those with one number for a row (sums,
// scales) come last, with extent 1 along the axes.
class row_loops {
public:
    // The first `whole` of the operands have whole rows; `key` is the one whose order in memory the loops follow.
    template <class... Operands>
    row_loops(axis_span axes, int whole, int key, const Operands&... operands) noexcept
        : row_loops(axes, whole, key, kernel_layouts::rows_and_columns, operand_list::of(operands...)) {}
    row_loops(axis_span axes, int whole, int key, kernel_layouts layouts, const operand_list& operands) noexcept
        : count_(operands.count), key_(key) {
        const operand* const* const all = operands.item;
        const operand& x = *all[0];
        join(all, axes);
        // A single element has no neighbour, so any stride is as good as 1.
        for (int k = 0; k < whole && axis_.extent == 1; ++k)
            axis_.stride[k] = 1;
        for (int i = 0; i < x.rank; ++i) {
            if (!axes.has(i) && x.extent[i] > 1)
                insert(loop_of(all, i));
        }
        outer_count_ = merge(outer_, outer_count_);
        if (layouts == kernel_layouts::rows_and_columns && !segmented() &&
            (!is_unit(axis_, whole) || axis_.extent == 1))
            inner_ = take_unit_loop(whole);
        else
            inner_.extent = 0;
        by_columns_ = inner_.extent > 0;
        if (!by_columns_)
            inner_ = take_inner_loop();
        step_ = by_columns_ ? columns_per_item : 1;
        items_ = items_per_loop();
        for (int i = 0; i < outer_count_; ++i)
            items_ *= outer_[i].extent;
    }

    // All elements of a row; the strides of a segment, if the row is not one.
    const loop& axis() const noexcept { return axis_; }
    // Whether no single stride runs through the elements of a row in all operands, and then where those of one lie.
    bool segmented() const noexcept { return segment_loops_ > 0; }
    dispatch::row_segments segments(int operand) const noexcept {
        static_assert(max_rank - 1 <= static_cast<int>(sizeof(dispatch::row_segments::extent) / sizeof(std::ptrdiff_t)),
                      "a loop for every axis but one");
        dispatch::row_segments s{segment_length_, segment_loops_, {}, {}};
        for (int i = 0; i < segment_loops_; ++i) {
            s.extent[i] = segment_loop_[i].extent;
            s.stride[i] = segment_loop_[i].stride[operand];
        }
        return s;
    }
    const loop& inner() const noexcept { return inner_; }
    // Rows side by side in all operands. Otherwise their elements are, or neither.
    bool by_columns() const noexcept { return by_columns_; }

    // Independent pieces of work, and what one of them costs that moves so many bytes for an element.
    std::ptrdiff_t items() const noexcept { return items_; }
    item_cost cost(double read, double written) const noexcept {
        const double elements = static_cast<double>(axis_.extent) * static_cast<double>(step_);
        return {read * elements, written * elements, elements};
    }

    // Items begin..end-1 as runs of the inner loop: f(offsets of the operands in elements, rows).
    template <class F> void run(std::ptrdiff_t begin, std::ptrdiff_t end, F f) const {
        const std::ptrdiff_t items = items_per_loop();
        while (begin < end) {
            // A division takes as long as a short row.
            const std::ptrdiff_t outer = begin < items ? 0 : begin / items;
            const std::ptrdiff_t first = begin - outer * items;
            const std::ptrdiff_t last = end - outer * items < items ? end - outer * items : items;
            const std::ptrdiff_t from = first * step_;
            const std::ptrdiff_t to = last * step_ < inner_.extent ? last * step_ : inner_.extent;
            std::ptrdiff_t offset[max_operands];
            for (int k = 0; k < count_; ++k)
                offset[k] = from * inner_.stride[k];
            std::ptrdiff_t rest = outer;
            for (int i = outer_count_ - 1; i >= 0 && rest > 0; --i) {
                for (int k = 0; k < count_; ++k)
                    offset[k] += rest % outer_[i].extent * outer_[i].stride[k];
                rest /= outer_[i].extent;
            }
            f(static_cast<const std::ptrdiff_t*>(offset), to - from);
            begin = outer * items + last;
        }
    }

private:
    std::ptrdiff_t items_per_loop() const noexcept {
        return by_columns_ ? (inner_.extent + columns_per_item - 1) / columns_per_item : inner_.extent;
    }
    loop loop_of(const operand* const* operands, int axis) const noexcept {
        loop l;
        l.extent = operands[0]->extent[axis];
        for (int k = 0; k < count_; ++k)
            l.stride[k] = operands[k]->extent[axis] == l.extent ? operands[k]->stride[axis] : 0;
        return l;
    }
    // The axes as one, of which the last is the fastest.
    void join(const operand* const* operands, axis_span axes) noexcept {
        if (axes.count == 0) {
            axis_.extent = segment_length_ = 1;
            for (int k = 0; k < count_; ++k)
                axis_.stride[k] = 1;
            return;
        }
        if (axes.count == 1) {
            axis_ = loop_of(operands, axes.first);
            segment_length_ = axis_.extent;
            return;
        }
        loop all[max_rank];
        int n = 0;
        for (int i = axes.first; i < axes.first + axes.count; ++i) {
            const loop l = loop_of(operands, i);
            if (l.extent > 1 || (n == 0 && i + 1 == axes.first + axes.count))
                all[n++] = l;
        }
        n = merge(all, n);
        axis_ = all[n - 1];
        segment_length_ = axis_.extent;
        segment_loops_ = n - 1;
        for (int i = 0; i < segment_loops_; ++i) {
            segment_loop_[i] = all[i];
            axis_.extent *= all[i].extent;
        }
    }
    static bool is_unit(const loop& l, int whole) noexcept {
        bool unit = true;
        for (int k = 0; k < whole; ++k)
            unit = unit && l.stride[k] == 1;
        return unit;
    }
    // Widest stride first, whatever the order of the axes.
    void insert(const loop& l) noexcept {
        int at = outer_count_++;
        for (; at > 0 && std::abs(outer_[at - 1].stride[key_]) < std::abs(l.stride[key_]); --at)
            outer_[at] = outer_[at - 1];
        outer_[at] = l;
    }
    // Neighbours that one loop can run through become one. Returns how many are left.
    int merge(loop* loops, int count) const noexcept {
        int kept = 0;
        for (int i = 1; i < count; ++i) {
            loop& wide = loops[kept];
            const loop& narrow = loops[i];
            bool one = true;
            for (int k = 0; k < count_; ++k)
                one = one && wide.stride[k] == narrow.stride[k] * narrow.extent;
            if (one) {
                const std::ptrdiff_t extent = wide.extent * narrow.extent;
                wide = narrow;
                wide.extent = extent;
            } else {
                loops[++kept] = narrow;
            }
        }
        return count > 0 ? kept + 1 : 0;
    }
    // The outer loop with stride 1 in all operands of whole rows, taken out of the list; extent 0 if there is none.
    loop take_unit_loop(int whole) noexcept {
        for (int i = 0; i < outer_count_; ++i) {
            if (is_unit(outer_[i], whole))
                return take(i);
        }
        return {};
    }
    // The innermost outer loop, taken out of the list; one step if there is none.
    loop take_inner_loop() noexcept {
        if (outer_count_ > 0)
            return take(outer_count_ - 1);
        loop l{};
        l.extent = 1;
        return l;
    }
    loop take(int i) noexcept {
        const loop l = outer_[i];
        for (--outer_count_; i < outer_count_; ++i)
            outer_[i] = outer_[i + 1];
        return l;
    }

    int count_;
    int key_;
    loop axis_;
    std::ptrdiff_t segment_length_ = 0;
    loop segment_loop_[max_rank - 1]; // the last is the innermost
    int segment_loops_ = 0;
    loop inner_;
    loop outer_[max_rank]; // the last is the innermost
    int outer_count_ = 0;
    bool by_columns_ = false;
    std::ptrdiff_t step_ = 1;
    std::ptrdiff_t items_ = 1;
};

}}}} // namespace tarn::shape
