// SPDX-License-Identifier: BSD-3-Clause
//
// Windows by their definition, one position after the other, and maps in memory of any layout.
#pragma once

#include "support/guarded.hpp"

#include <tarn/pool_window.hpp>
#include <tarn/tensor_view.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <ostream>
#include <random>
#include <vector>

namespace support {

// A kind of window along one axis, and the extent of the map.
struct axis_case {
    std::ptrdiff_t extent = 1, kernel = 1, stride = 1, before = 0, after = 0, dilation = 1;

    std::ptrdiff_t reach() const { return (kernel - 1) * dilation + 1; }
    // Whether window i exists: it fits into the padded map, or, with ceil, it is the first that does not reach its end
    // but begins inside the map or before it.
    bool has(std::ptrdiff_t i, bool ceil) const {
        const std::ptrdiff_t end = extent + after;
        const std::ptrdiff_t start = i * stride - before;
        if (start + reach() <= end)
            return true;
        return ceil && start < extent && (i > 0 ? start - stride + reach() < end : stride > start + reach() - end);
    }
    std::ptrdiff_t windows(bool ceil) const {
        std::ptrdiff_t n = 0;
        while (has(n, ceil))
            ++n;
        return n;
    }
};

struct window_case {
    std::vector<axis_case> axes;
    bool ceil = false;

    tarn::pool_window window() const {
        const auto all = [&](auto member) {
            tarn::window_extents e;
            e.count = static_cast<int>(axes.size());
            for (std::size_t i = 0; i < axes.size(); ++i)
                e.value[i] = axes[i].*member;
            return e;
        };
        tarn::pool_window w{all(&axis_case::kernel)};
        w.stride = all(&axis_case::stride);
        w.padding = all(&axis_case::before);
        w.padding_after = all(&axis_case::after);
        w.dilation = all(&axis_case::dilation);
        w.ceil_mode = ceil;
        return w;
    }
    std::vector<std::ptrdiff_t> in() const {
        std::vector<std::ptrdiff_t> n;
        for (const axis_case& a : axes)
            n.push_back(a.extent);
        return n;
    }
    std::vector<std::ptrdiff_t> out() const {
        std::vector<std::ptrdiff_t> n;
        for (const axis_case& a : axes)
            n.push_back(a.windows(ceil));
        return n;
    }
    bool empty() const {
        for (std::ptrdiff_t n : out()) {
            if (n == 0)
                return true;
        }
        return false;
    }
};
inline std::ostream& operator<<(std::ostream& os, const window_case& c) {
    for (const axis_case& a : c.axes)
        os << "[extent " << a.extent << " kernel " << a.kernel << " stride " << a.stride << " padding " << a.before
           << "/" << a.after << " dilation " << a.dilation << "]";
    return os << (c.ceil ? " ceil" : "");
}

inline std::ptrdiff_t product(const std::vector<std::ptrdiff_t>& n) {
    std::ptrdiff_t p = 1;
    for (std::ptrdiff_t v : n)
        p *= v;
    return p;
}
// Indices from the last axis on, the fastest.
inline bool next(std::vector<std::ptrdiff_t>& i, const std::vector<std::ptrdiff_t>& n) {
    for (std::size_t k = n.size(); k-- > 0;) {
        if (++i[k] < n[k])
            return true;
        i[k] = 0;
    }
    return false;
}

// The members of one window, as indices into its map in ascending order, and how many taps padding has room for.
struct window_members {
    std::vector<std::ptrdiff_t> index;
    std::ptrdiff_t with_padding = 0;
};
inline std::vector<window_members> members_of(const window_case& c) {
    std::vector<window_members> all;
    const std::vector<std::ptrdiff_t> out = c.out();
    std::vector<std::ptrdiff_t> kernel;
    for (const axis_case& a : c.axes)
        kernel.push_back(a.kernel);
    if (c.empty())
        return all;
    std::vector<std::ptrdiff_t> o(out.size(), 0);
    do {
        window_members m;
        std::vector<std::ptrdiff_t> t(kernel.size(), 0);
        do {
            std::ptrdiff_t flat = 0;
            bool inside = true;
            bool padded = true;
            for (std::size_t k = 0; k < kernel.size(); ++k) {
                const axis_case& a = c.axes[k];
                const std::ptrdiff_t at = o[k] * a.stride - a.before + t[k] * a.dilation;
                inside = inside && at >= 0 && at < a.extent;
                padded = padded && at >= -a.before && at < a.extent + a.after;
                flat = flat * a.extent + at;
            }
            if (inside)
                m.index.push_back(flat);
            m.with_padding += padded;
        } while (next(t, kernel));
        all.push_back(m);
    } while (next(o, out));
    return all;
}

// How [batch, channels, space...] lies in memory.
enum class memory_order { channels_first, channels_last, reversed, gaps };
constexpr memory_order memory_orders[] = {memory_order::channels_first, memory_order::channels_last,
                                          memory_order::reversed, memory_order::gaps};

// Strides for these extents, and how many elements they span.
struct strided_layout {
    std::vector<std::ptrdiff_t> stride;
    std::ptrdiff_t span;

    static strided_layout of(const std::vector<std::ptrdiff_t>& n, memory_order order) {
        std::vector<std::size_t> fastest_last(n.size());
        for (std::size_t k = 0; k < n.size(); ++k)
            fastest_last[k] = order == memory_order::reversed ? n.size() - 1 - k : k;
        if (order == memory_order::channels_last) {
            for (std::size_t k = 1; k + 1 < n.size(); ++k)
                fastest_last[k] = k + 1;
            fastest_last[n.size() - 1] = 1;
        }
        strided_layout r{std::vector<std::ptrdiff_t>(n.size()), 1};
        for (std::size_t k = n.size(); k-- > 0;) {
            const std::size_t axis = fastest_last[k];
            r.stride[axis] = r.span;
            r.span = order == memory_order::gaps ? r.span * n[axis] + 1 + static_cast<std::ptrdiff_t>(k) % 2
                                                 : r.span * n[axis];
        }
        r.span = 1;
        for (std::size_t k = 0; k < n.size(); ++k)
            r.span += (n[k] - 1) * r.stride[k];
        return r;
    }
};

template <int Rank, class T>
tarn::tensor_view<T, Rank> view_of(T* data, const std::vector<std::ptrdiff_t>& n, const strided_layout& l) {
    tarn::tensor_view<T, Rank> v{data, {}, {}};
    for (int k = 0; k < Rank; ++k) {
        v.extent[k] = n[static_cast<std::size_t>(k)];
        v.stride[k] = l.stride[static_cast<std::size_t>(k)];
    }
    return v;
}

// f(offset) for all elements in the order of their indices.
template <class F> void for_elements(const std::vector<std::ptrdiff_t>& n, const strided_layout& l, F f) {
    if (product(n) == 0)
        return;
    std::vector<std::ptrdiff_t> i(n.size(), 0);
    do {
        std::ptrdiff_t offset = 0;
        for (std::size_t k = 0; k < n.size(); ++k)
            offset += i[k] * l.stride[k];
        f(offset);
    } while (next(i, n));
}

} // namespace support
