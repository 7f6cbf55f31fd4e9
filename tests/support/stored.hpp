// SPDX-License-Identifier: BSD-3-Clause
//
// Calls with elements of any type, in any layout, against pages that must not be touched, compared with dense rows of the
// same numbers.
#pragma once

#include "support/operators.hpp"

namespace support {

// Element i of row r lies at r * row + i * element.
struct layout {
    std::ptrdiff_t row, element;

    template <class T> tarn::tensor_view<T, 2> view(T* p, std::ptrdiff_t rows, std::ptrdiff_t n) const {
        return tarn::make_view(p, tarn::extents{rows, n}, tarn::strides{row, element});
    }
    std::ptrdiff_t size(std::ptrdiff_t rows, std::ptrdiff_t n) const {
        return (rows - 1) * row + (n - 1) * element + 1;
    }
};

// T is read and U written; N holds the numbers of rows. Results lie apart, or in the place of a.
template <class T, class N, class U, class Where>
std::string difference_from_dense(op o, tarn::tier t, const Where& where, const op_numbers<number_of<T>>& p, layout in,
                                  layout out, bool in_place) {
    using R = number_of<T>;
    const std::ptrdiff_t rows = p.rows, n = p.n;
    const op_results<R> expected = dense_results(o, t, p);

    guarded<T> a(in.size(rows, n)), b(in.size(rows, n));
    guarded<N> c(2 * rows - 1), d(rows);
    guarded<U> y(out.size(rows, n)), s(rows);
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            a.data()[r * in.row + i * in.element] = static_cast<T>(p.a[static_cast<std::size_t>(r * n + i)]);
            b.data()[r * in.row + i * in.element] = static_cast<T>(p.b[static_cast<std::size_t>(r * n + i)]);
        }
        c.data()[2 * r] = static_cast<N>(p.c[static_cast<std::size_t>(r)]);
        d.data()[r] = static_cast<N>(p.d[static_cast<std::size_t>(r)]);
    }
    U* to = y.data();
    if constexpr (std::is_same<T, U>::value) {
        if (in_place) {
            to = a.data();
            out = in;
        }
    }
    const tarn::tensor_view<const T, 2> av = in.view(static_cast<const T*>(a.data()), rows, n);
    const tarn::tensor_view<const T, 2> bv = in.view(static_cast<const T*>(b.data()), rows, n);
    const tarn::tensor_view<const N, 1> cv =
        tarn::make_view(static_cast<const N*>(c.data()), tarn::extents{rows}, tarn::strides{2});
    const tarn::tensor_view<const N, 1> dv = tarn::make_view(static_cast<const N*>(d.data()), rows);
    const std::string fault = fault_in(
        [&] { call_op<T, N, U>(o, where, av, bv, cv, dv, out.view(to, rows, n), tarn::make_view(s.data(), rows)); });
    if (!fault.empty())
        return fault;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        if (has_numbers(o)) {
            const R e = expected.sums[static_cast<std::size_t>(r)];
            if (!same_bits(s.data()[r], static_cast<U>(e)))
                return "row " + std::to_string(r) + " is " + std::to_string(static_cast<double>(s.data()[r])) +
                       ", expected " + std::to_string(e) + " rounded";
        }
        if (reduces(o))
            continue;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const R e = expected.whole[static_cast<std::size_t>(r * n + i)];
            const U got = to[r * out.row + i * out.element];
            if (!same_bits(got, static_cast<U>(e)))
                return "row " + std::to_string(r) + ", element " + std::to_string(i) + " is " +
                       std::to_string(static_cast<double>(got)) + ", expected " + std::to_string(e) + " rounded";
        }
    }
    return {};
}

} // namespace support
