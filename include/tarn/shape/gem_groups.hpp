// SPDX-License-Identifier: BSD-3-Clause
//
// Powers of generalized means: which kernel is for which, and one for each of several groups of channels.
#pragma once

#include <tarn/dispatch/gem_table.hpp>
#include <tarn/shape/windows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

template <class N> void check_gem_epsilon(const char* op, double epsilon) {
    constexpr bool doubles = sizeof(N) == 8;
    if (!(epsilon >= (doubles ? 0x1p-1000 : 0x1p-126) && epsilon <= 0x1p127))
        fail(op, "epsilon", std::to_string(epsilon), doubles ? "2^-1000 to 2^127" : "2^-126 to 2^127");
}

// Powers beyond count as infinite.
inline bool is_infinite_power(double p) noexcept { return p > 0x1p40 || p < -0x1p40; }

// Powers of floats that are made of floats.
inline bool is_quick_power(double p) noexcept {
    const double size = p < 0 ? -p : p;
    return size > 1 && size <= 7;
}

// The kernel for a power. Which it is depends on the power and the type only.
template <class N> auto gem_kernel(const dispatch::gem_table<N>& kernels, dispatch::window_power& power) noexcept {
    constexpr double least = 0x1p-11;
    const double size = power.p < 0 ? -power.p : power.p;
    if (is_infinite_power(power.p))
        return kernels.extreme;
    if (size <= least) {
        // What powers so small would change of the geometric mean is nothing, and their products are denormal.
        if (size < 0x1p-100)
            power.p = 0;
        return kernels.logs;
    }
    if (power.p == 2 || power.p == 3 || power.p == 4)
        return kernels.integer_powers[static_cast<int>(power.p) - 2];
    if (is_quick_power(power.p))
        return kernels.quick_powers;
    return size > 1 ? kernels.scaled_powers : kernels.powers;
}

// Powers, one for each of so many groups of channels that follow each other.
struct gem_groups {
    std::ptrdiff_t count;
    int axis; // of the channels; not used for a single group
    const operand* p;
    double power;

    double of(std::ptrdiff_t group) const noexcept {
        if (!p)
            return power;
        const std::ptrdiff_t at = group * p->stride[0];
        return p->type == element::float64 ? static_cast<const double*>(p->data)[at]
                                           : static_cast<double>(static_cast<const float*>(p->data)[at]);
    }
    // The first group of an operand.
    operand first(const operand& v) const noexcept {
        operand r = v;
        if (p)
            r.extent[axis] /= count;
        return r;
    }
    // From the first group of an operand to another.
    void move(dispatch::plane_operand& plane, const operand& v, std::ptrdiff_t group) const noexcept {
        if (p)
            plane.data =
                static_cast<char*>(plane.data) + group * (v.extent[axis] / count * v.stride[axis]) * element_size(v);
    }
    // f(group, begin, end) for all items of all groups, as many as a thread has of a group at once.
    template <class Executor, class F>
    void run(const place<Executor>& where, std::ptrdiff_t items, const item_cost& cost, const F& f) const {
        where.parallel_for(count * items, cost, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            while (begin < end) {
                const std::ptrdiff_t group = begin / items;
                const std::ptrdiff_t first = group * items;
                const std::ptrdiff_t last = end < first + items ? end : first + items;
                f(group, begin - first, last - first);
                begin = last;
            }
        });
    }
    // The gradient in the power of a group.
    void put(const operand& dp, std::ptrdiff_t group, double v) const noexcept {
        put_sum(dp, p ? group * dp.stride[0] : 0, v);
    }
};

// The items of all groups as parts, so few of them at once that there is room for a sum of each. Sums of parts in their
// order, each of its items in their order, do not depend on threads.
struct gem_parts {
    static constexpr std::ptrdiff_t most = 64;

    std::ptrdiff_t items, of_group;
    std::ptrdiff_t groups; // at once

    gem_parts(std::ptrdiff_t count, std::ptrdiff_t items_of_group) noexcept : items(items_of_group) {
        const std::ptrdiff_t wanted = count < most ? most / count : 1;
        of_group = items < wanted ? items : wanted;
        groups = most / of_group;
    }
    std::ptrdiff_t first_item(std::ptrdiff_t part) const noexcept {
        const std::ptrdiff_t rest = items % of_group;
        return items / of_group * part + (part < rest ? part : rest);
    }
    // Of a part, from that of an item.
    item_cost cost(const item_cost& c) const noexcept {
        const double n = static_cast<double>(items) / static_cast<double>(of_group);
        return {c.bytes_read * n, c.bytes_written * n, c.cycles * n};
    }
};

inline void check_power(const char* op, double p) {
    if (!(p == p))
        fail(op, "p", std::to_string(p), "a number or an infinity");
}
// Powers for groups of the channels of x.
inline gem_groups check_groups(const char* op, const pool_window& window, const window_geometry& g, const operand& x,
                               const operand& p) {
    const int axis = window.layout == layout::channels_last ? x.rank - 1 : g.first - 1;
    if (axis < 0)
        fail(op, "input", "extents " + list(x.extent, x.rank), "an axis of channels before those of the windows");
    const std::ptrdiff_t groups = p.extent[0];
    if (groups < 1 || x.extent[axis] % groups != 0)
        fail(op, "p", "extents " + list(p.extent, 1),
             "as many powers as groups of equal size of " + std::to_string(x.extent[axis]) + " channels");
    return {groups, axis, &p, 0};
}

}}}} // namespace tarn::shape
