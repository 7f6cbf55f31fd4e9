// SPDX-License-Identifier: BSD-3-Clause
//
// Optional operands in the extents of another, repeated along axes that they lack.
#pragma once

#include <tarn/shape/checks.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// A view that is there, with its element type erased.
template <class T> operand erase(const optional_view<T>& v) noexcept {
    operand r{v.data, element::byte, v.rank, {}, {}};
    if constexpr (!std::is_same<std::remove_const_t<T>, bool>::value)
        r.type = element_traits<std::remove_const_t<T>>::value;
    for (int i = 0; i < v.rank; ++i) {
        r.extent[i] = v.extent[i];
        r.stride[i] = v.stride[i];
    }
    return r;
}

// v along the axes of x that are not `without`: aligned at the last of them, repeated along those where its extent is 1
// or missing. Along `without` it is repeated as well. More axes of extent 1 do no harm.
inline operand broadcast(const char* op, const char* argument, const operand& v, const operand& x,
                         axis_span without = {0, 0}) {
    check_operand(op, argument, v);
    operand r = x;
    r.data = v.data;
    r.type = v.type;
    std::ptrdiff_t expected[max_rank] = {};
    int n = 0;
    int from = v.rank;
    bool fits = true;
    for (int i = x.rank - 1; i >= 0; --i) {
        r.stride[i] = 0;
        if (without.has(i))
            continue;
        ++n;
        if (from == 0)
            continue;
        --from;
        fits = fits && (v.extent[from] == 1 || v.extent[from] == x.extent[i]);
        r.stride[i] = v.extent[from] == 1 ? 0 : v.stride[from];
    }
    while (from > 0)
        fits = v.extent[--from] == 1 && fits;
    if (!fits) {
        int at = n;
        for (int i = x.rank - 1; i >= 0; --i) {
            if (!without.has(i))
                expected[--at] = x.extent[i];
        }
        fail(op, argument, "extents " + list(v.extent, v.rank), "extents that broadcast to " + list(expected, n));
    }
    return r;
}

}}}} // namespace tarn::shape
