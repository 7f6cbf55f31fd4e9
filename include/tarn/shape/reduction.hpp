// SPDX-License-Identifier: BSD-3-Clause
//
// Outputs with one number for every row: the reduced axes are dropped, or kept with extent 1.
#pragma once

#include <tarn/shape/checks.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

template <class X, class Y, class Input, class Output>
TARN_INLINE constexpr void assert_reduction(const Input&, const Output&) noexcept {
    // One mistake, one message: a refused operand has been reported before.
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    static_assert(!viewable || detail::is_element_pair<typename Input::value_type, typename Output::value_type>::value,
                  "tarn: a reduction takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits "
                  "with results "
                  "in float");
    static_assert(!viewable || Input::rank >= 1, "tarn: a reduction needs an axis: an input of rank 1 to 5");
    static_assert(!viewable || Output::rank <= Input::rank,
                  "tarn: the output of a reduction has at most the rank of the input");
}

// y with the rank of x and extent 1 along the axes.
inline operand check_reduced(const char* op, const operand& x, axis_span axes, const operand& y,
                             const char* argument = "output") {
    const bool kept = y.rank == x.rank;
    operand r = {y.data, y.type, x.rank, {}, {}};
    bool fits = kept || y.rank == x.rank - axes.count;
    for (int i = 0, from = 0; i < x.rank && fits; ++i) {
        const bool reduced = axes.has(i);
        if (reduced && !kept) {
            r.extent[i] = 1;
            continue;
        }
        r.extent[i] = y.extent[from];
        r.stride[i] = y.stride[from++];
        fits = r.extent[i] == (reduced ? 1 : x.extent[i]);
    }
    if (!fits) {
        std::ptrdiff_t expected[max_rank] = {};
        int n = 0;
        for (int i = 0; i < x.rank; ++i) {
            if (kept || !axes.has(i))
                expected[n++] = axes.has(i) ? 1 : x.extent[i];
        }
        fail(op, argument, "extents " + list(y.extent, y.rank), list(expected, n));
    }
    return r;
}

// Refuses an operand that certainly shares elements with another: both begin together, or one is dense where the other
// begins or ends. Disjoint views of one matrix are never refused; others may overlap unnoticed.
inline void check_apart(const char* op, const operand& x, const operand& y, const char* argument = "output",
                        const char* other = "input") {
    const byte_range a = byte_range::of(x);
    const byte_range b = byte_range::of(y);
    const auto holds_an_end = [](const byte_range& dense, const byte_range& v) {
        return dense.dense &&
               ((v.first >= dense.first && v.first < dense.last) || (v.last > dense.first && v.last <= dense.last));
    };
    if (x.data == y.data || (a.last > b.first && b.last > a.first && a.dense && b.dense) || holds_an_end(a, b) ||
        holds_an_end(b, a))
        fail(op, argument, std::string("overlaps the ") + other, std::string("memory apart from the ") + other);
}

TARN_INLINE void store_element(const operand& y, std::ptrdiff_t offset, float value) noexcept {
    void* const p = const_cast<void*>(y.data);
    if (y.type == element::float64)
        static_cast<double*>(p)[offset] = static_cast<double>(value);
    else if (y.type == element::float32)
        static_cast<float*>(p)[offset] = value;
    else
        static_cast<std::uint16_t*>(p)[offset] =
            y.type == element::float16 ? detail::narrow_float16(value) : detail::narrow_bfloat16(value);
}

// f(offset) of every element.
template <class F> void for_each_element(const operand& y, const F& f) {
    const std::ptrdiff_t n = size(y);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        std::ptrdiff_t rest = i;
        std::ptrdiff_t offset = 0;
        for (int k = y.rank - 1; k >= 0; --k) {
            offset += rest % y.extent[k] * y.stride[k];
            rest /= y.extent[k];
        }
        f(offset);
    }
}
// Writes a number to every element.
inline void fill(const operand& y, float value) noexcept {
    for_each_element(y, [&](std::ptrdiff_t offset) { store_element(y, offset, value); });
}

}}}} // namespace tarn::shape
