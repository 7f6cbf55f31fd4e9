// SPDX-License-Identifier: BSD-3-Clause
//
// Operands without their types, the checks at the boundary of every operator, and the errors they raise.
#pragma once

#include <tarn/half.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// A view with its element type erased.
struct operand {
    const void* data;
    element type;
    int rank;
    std::ptrdiff_t extent[max_rank];
    std::ptrdiff_t stride[max_rank];
};

template <class T, int Rank> TARN_INLINE operand erase(const tensor_view<T, Rank>& v) noexcept {
    // Others have been refused by an assertion.
    operand r{v.data, element::float32, Rank, {}, {}};
    if constexpr (element_traits<std::remove_const_t<T>>::known)
        r.type = element_traits<std::remove_const_t<T>>::value;
    for (int i = 0; i < Rank; ++i) {
        r.extent[i] = v.extent[i];
        r.stride[i] = v.stride[i];
    }
    return r;
}

TARN_INLINE std::ptrdiff_t element_size(const operand& v) noexcept { return detail::size_of(v.type); }

// Throws std::invalid_argument, or prints and aborts where exceptions are off: "tarn::softmax: output extents {2,3},
// expected {2,4}".
[[noreturn]] TARN_NOINLINE __attribute__((cold)) inline void fail(const char* op, const char* argument,
                                                                  const std::string& got, const std::string& expected) {
    const std::string message = std::string("tarn::") + op + ": " + argument + " " + got + ", expected " + expected;
#if TARN_HAS_EXCEPTIONS
    throw std::invalid_argument(message);
#else
    std::fprintf(stderr, "%s\n", message.c_str());
    std::abort();
#endif
}

inline std::string list(const std::ptrdiff_t* values, int n) {
    std::string s = "{";
    for (int i = 0; i < n; ++i)
        s += (i ? "," : "") + std::to_string(values[i]);
    return s + "}";
}

// Products of extents beside one of 0 may be of any size: they wrap.
TARN_INLINE std::ptrdiff_t size(const operand& v) noexcept {
    std::size_t n = 1;
    for (int i = 0; i < v.rank; ++i)
        n *= static_cast<std::size_t>(v.extent[i]);
    return static_cast<std::ptrdiff_t>(n);
}
TARN_INLINE double bytes_of_element(const operand& v) noexcept { return static_cast<double>(element_size(v)); }
TARN_INLINE double bytes_of(const operand& v) noexcept { return static_cast<double>(size(v)) * bytes_of_element(v); }
// Whether kernels ask for elements before they need them: what caches hold is there soon enough.
TARN_INLINE bool reads_ahead(const operand& x) noexcept {
    constexpr double ahead_bytes = 4 * 1024 * 1024;
    return bytes_of(x) > ahead_bytes;
}

TARN_INLINE void check_operand(const char* op, const char* argument, const operand& v) {
    bool empty = false;
    bool countable = true;
    std::ptrdiff_t bytes = element_size(v);
    for (int i = 0; i < v.rank; ++i) {
        if (v.extent[i] < 0)
            fail(op, argument, "extents " + list(v.extent, v.rank), "extents of at least 0");
        empty = empty || v.extent[i] == 0;
        countable = !__builtin_mul_overflow(bytes, v.extent[i], &bytes) && countable;
    }
    if (!countable && !empty)
        fail(op, argument, "extents " + list(v.extent, v.rank), "fewer than 2^63 bytes");
    if (!v.data && !empty)
        fail(op, argument, "data is null with extents " + list(v.extent, v.rank), "a pointer to the elements");
}

TARN_INLINE void check_same_extents(const char* op, const operand& x, const operand& y,
                                    const char* argument = "output") {
    for (int i = 0; i < x.rank; ++i) {
        if (x.extent[i] != y.extent[i])
            fail(op, argument, "extents " + list(y.extent, y.rank), list(x.extent, x.rank));
    }
}

// Adjacent axes that an operator takes as one.
struct axis_span {
    int first, count = 1;

    TARN_INLINE bool has(int axis) const noexcept { return axis >= first && axis - first < count; }
    // Elements along them. Products of extents beside one of 0 may be of any size: they wrap.
    TARN_INLINE std::ptrdiff_t length(const operand& v) const noexcept {
        std::size_t n = 1;
        for (int i = first; i < first + count; ++i)
            n *= static_cast<std::size_t>(v.extent[i]);
        return static_cast<std::ptrdiff_t>(n);
    }
};

// `axes` axes from `axis` on, counted from 0.
TARN_INLINE axis_span check_axes(const char* op, int axis, int axes, int rank) {
    if (axis < -rank || axis >= rank)
        fail(op, "axis", std::to_string(axis),
             std::to_string(-rank) + " to " + std::to_string(rank - 1) + " for operands of rank " +
                 std::to_string(rank));
    const int first = axis < 0 ? axis + rank : axis;
    if (axes < 1 || axes > rank - first)
        fail(op, "axes", std::to_string(axes),
             "1 to " + std::to_string(rank - first) + " from axis " + std::to_string(axis) +
                 " on of operands of rank " + std::to_string(rank));
    return {first, axes};
}

// The first and one past the last byte that a view with elements touches.
struct byte_range {
    std::uintptr_t first, last;
    bool dense; // every byte between belongs to an element

    static byte_range of(const operand& v) noexcept {
        std::ptrdiff_t low = 0;
        std::ptrdiff_t high = 0;
        std::ptrdiff_t distinct = 1;
        for (int i = 0; i < v.rank; ++i) {
            const std::ptrdiff_t reach = (v.extent[i] - 1) * v.stride[i];
            (reach < 0 ? low : high) += reach;
            distinct *= v.stride[i] == 0 ? 1 : v.extent[i];
        }
        const auto base = reinterpret_cast<std::uintptr_t>(v.data);
        return {base + static_cast<std::uintptr_t>(low * element_size(v)),
                base + static_cast<std::uintptr_t>((high + 1) * element_size(v)), high - low + 1 == distinct};
    }
};

// Whether distance = sum of k_i * stride_i for some |k_i| < extent_i. Exact for layouts whose axes do not interleave,
// and never true without such k.
inline bool reaches(std::ptrdiff_t distance, const operand& v, unsigned axes) noexcept {
    int widest = -1;
    for (int i = 0; i < v.rank; ++i) {
        if (axes >> i & 1u && v.stride[i] != 0 && v.extent[i] > 1 &&
            (widest < 0 || std::abs(v.stride[i]) > std::abs(v.stride[widest])))
            widest = i;
    }
    if (widest < 0)
        return distance == 0;
    const std::ptrdiff_t quotient = distance / v.stride[widest];
    for (std::ptrdiff_t k = quotient - 1; k <= quotient + 1; ++k) {
        if (std::abs(k) < v.extent[widest] && reaches(distance - k * v.stride[widest], v, axes & ~(1u << widest)))
            return true;
    }
    return false;
}

// Refuses outputs in which two indices are certainly one element: i steps along one axis are j along another.
TARN_INLINE void check_distinct(const char* op, const operand& y, const char* argument = "output") {
    for (int i = 0; i < y.rank; ++i) {
        if (y.stride[i] == 0 && y.extent[i] > 1)
            fail(op, argument, "strides " + list(y.stride, y.rank), "no stride of 0 along an extent above 1");
        for (int j = 0; j < i; ++j) {
            if (y.extent[i] == 1 || y.extent[j] == 1)
                continue;
            const std::ptrdiff_t a = std::abs(y.stride[i]);
            const std::ptrdiff_t b = std::abs(y.stride[j]);
            std::ptrdiff_t divisor = a;
            for (std::ptrdiff_t rest = b; rest != 0;) {
                const std::ptrdiff_t next = divisor % rest;
                divisor = rest;
                rest = next;
            }
            if (b / divisor < y.extent[i] && a / divisor < y.extent[j])
                fail(op, argument, "strides " + list(y.stride, y.rank) + " with extents " + list(y.extent, y.rank),
                     "every element at an address of its own");
        }
    }
}

// Refuses outputs that certainly share elements with an input without being that input (in place): both dense, of equal
// strides, or with the same first element. Others may overlap unnoticed. x and y have the same extents, none 0. Returns
// whether the call is in place.
TARN_INLINE bool check_overlap(const char* op, const operand& x, const operand& y, const char* argument = "output") {
    check_distinct(op, y, argument);
    bool equal_strides = x.type == y.type;
    for (int i = 0; i < x.rank; ++i)
        equal_strides = equal_strides && (x.stride[i] == y.stride[i] || x.extent[i] == 1);
    if (x.data == y.data && equal_strides)
        return true;
    const byte_range a = byte_range::of(x);
    const byte_range b = byte_range::of(y);
    if (a.last <= b.first || b.last <= a.first)
        return false;
    bool overlap = (a.dense && b.dense) || x.data == y.data;
    if (!overlap && equal_strides) {
        const auto bytes = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(x.data) -
                                                       reinterpret_cast<std::uintptr_t>(y.data));
        overlap = bytes % element_size(x) == 0 && reaches(bytes / element_size(x), x, (1u << x.rank) - 1u);
    }
    if (overlap)
        fail(op, argument, "overlaps the input in part", "memory apart from the input, or the input itself");
    return false;
}

}}}} // namespace tarn::shape
