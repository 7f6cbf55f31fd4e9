// SPDX-License-Identifier: BSD-3-Clause
//
// Which elements are members of a window.
#pragma once

#include <tarn/dispatch/pool_table.hpp>

#include <cstdint>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

TARN_INLINE constexpr std::ptrdiff_t least_of(std::ptrdiff_t a, std::ptrdiff_t b) noexcept { return a < b ? a : b; }

// n / d, n >= 0. A division of 64 bits takes some CPUs ninety cycles, as long as a row of a small map; strides and dilations
// are mostly powers of two.
TARN_NOINLINE inline std::ptrdiff_t quotient(std::ptrdiff_t n, std::ptrdiff_t d) noexcept {
    if ((d & (d - 1)) == 0)
        return n >> __builtin_ctzll(static_cast<unsigned long long>(d));
    if (((n | d) >> 32) == 0)
        return static_cast<std::ptrdiff_t>(static_cast<std::uint32_t>(n) / static_cast<std::uint32_t>(d));
    return n / d;
}

// Taps first .. first + count - 1 of a window lie inside the axis; tap 0 lies at `start`, which may be outside.
struct window_taps {
    std::ptrdiff_t start, first, count;

    TARN_INLINE static window_taps of(const dispatch::window_axis& a, std::ptrdiff_t window) noexcept {
        const std::ptrdiff_t start = window * a.stride - a.before;
        if (start >= 0 && start + (a.kernel - 1) * a.dilation < a.in)
            return {start, 0, a.kernel};
        const std::ptrdiff_t first = start < 0 ? up(-start, a.dilation) : 0;
        const std::ptrdiff_t inside = start < a.in ? up(a.in - start, a.dilation) : 0;
        const std::ptrdiff_t end = inside < a.kernel ? inside : a.kernel;
        return {start, first, end > first ? end - first : 0};
    }
    // How many of them count for an average: those inside, or all that the padding has room for.
    TARN_INLINE static std::ptrdiff_t counted(const dispatch::window_axis& a, std::ptrdiff_t window,
                                              bool padding) noexcept {
        if (!padding)
            return of(a, window).count;
        const std::ptrdiff_t inside = up(a.in + a.after - (window * a.stride - a.before), a.dilation);
        return inside < a.kernel ? inside : a.kernel;
    }

private:
    // n / d, rounded up.
    TARN_INLINE static std::ptrdiff_t up(std::ptrdiff_t n, std::ptrdiff_t d) noexcept { return quotient(n + d - 1, d); }
};

// Windows first .. end - 1 along an axis may have elements from .. from + count - 1 as members.
struct window_range {
    std::ptrdiff_t first, end;

    TARN_INLINE static window_range of(const dispatch::window_axis& a, std::ptrdiff_t from,
                                       std::ptrdiff_t count) noexcept {
        const std::ptrdiff_t low = from + a.before - (a.kernel - 1) * a.dilation;
        const std::ptrdiff_t first = low > 0 ? quotient(low + a.stride - 1, a.stride) : 0;
        const std::ptrdiff_t end = quotient(from + count - 1 + a.before, a.stride) + 1;
        return {first, end < a.out ? end : a.out};
    }
};

// Whether all taps of all windows are members.
TARN_INLINE bool are_whole(const dispatch::window_axis& a) noexcept {
    return a.before == 0 && (a.out - 1) * a.stride + (a.kernel - 1) * a.dilation < a.in;
}

// Which tap of a window an element is; -1: no member.
TARN_INLINE std::ptrdiff_t tap_of(const dispatch::window_axis& a, std::ptrdiff_t window,
                                  std::ptrdiff_t element) noexcept {
    const std::ptrdiff_t distance = element + a.before - window * a.stride;
    if (distance < 0)
        return -1;
    const std::ptrdiff_t tap = quotient(distance, a.dilation);
    return tap < a.kernel && tap * a.dilation == distance ? tap : -1;
}

}}}} // namespace tarn::kernels
