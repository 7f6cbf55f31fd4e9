// SPDX-License-Identifier: BSD-3-Clause
//
// Every operator on elements of every type, in every layout, with and without a buffer: the bits of dense rows of the same
// numbers, for 16-bit elements those of floats rounded once.
#include "support/executors.hpp"
#include "support/operators.hpp"

namespace {

using namespace support;

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

class stored_operators : public op_test {
protected:
    template <class T, class N, class U, class Where>
    void check(const Where& where, const op_numbers<number_of<T>>& p, layout in, layout out, bool in_place) {
        ASSERT_EQ("", (difference_from_dense<T, N, U>(of(), on(), where, p, in, out, in_place)))
            << p.rows << " rows of " << p.n << ", strides " << in.row << " " << in.element << " to " << out.row << " "
            << out.element << (in_place ? ", in place" : "");
    }
    // Rows, columns, neither, and rows to columns.
    template <class T, class Where> void check_layouts(const Where& where, std::ptrdiff_t rows, std::ptrdiff_t n) {
        const auto p = numbers_for<T>(of(), rows, n, static_cast<std::uint64_t>(rows * 1000 + n));
        const layout dense{n, 1}, apart{n + 3, 1}, columns{1, rows}, wide_columns{1, rows + 5}, neither{3 * n, 3};
        check<T, T, T>(where, p, dense, dense, false);
        check<T, number_of<T>, number_of<T>>(where, p, apart, dense, false);
        check<T, T, T>(where, p, apart, apart, true);
        check<T, T, T>(where, p, columns, wide_columns, false);
        check<T, number_of<T>, number_of<T>>(where, p, wide_columns, columns, false);
        check<T, T, T>(where, p, columns, columns, true);
        check<T, T, T>(where, p, neither, neither, true);
        check<T, T, T>(where, p, dense, columns, false);
        check<T, number_of<T>, number_of<T>>(where, p, columns, neither, false);
    }
    void check_types(std::ptrdiff_t rows, std::ptrdiff_t n) {
        SCOPED_TRACE("with the thread's buffer");
        check_layouts<tarn::float16>(tarn::on(on()), rows, n);
        check_layouts<tarn::bfloat16>(tarn::on(on()), rows, n);
        check_layouts<float>(tarn::on(on()), rows, n);
        check_layouts<double>(tarn::on(on()), rows, n);
    }
    void check_types_without_buffer(std::ptrdiff_t rows, std::ptrdiff_t n) {
        SCOPED_TRACE("without a buffer");
        const auto where = tarn::on(on(), tarn::serial, tarn::scratch{});
        check_layouts<tarn::float16>(where, rows, n);
        check_layouts<tarn::bfloat16>(where, rows, n);
        check_layouts<float>(where, rows, n);
        check_layouts<double>(where, rows, n);
    }
};
TARN_TEST_ON_ALL_OPS(stored_operators);

TEST_P(stored_operators, short_rows) {
    for (const std::ptrdiff_t n : {1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100})
        for (const std::ptrdiff_t rows : {1, 19, 50})
            if (!thinned() || rows == 19)
                check_types(rows, n);
}
TEST_P(stored_operators, longer_rows) {
    for (const std::ptrdiff_t n : {192, 193, 255, 256, 257, 384, 385, 1000})
        for (const std::ptrdiff_t rows : {2, 37})
            if (!thinned() || (rows == 2) == (n < 300))
                check_types(rows, n);
}
// Around the lengths from which rows no longer fit the stack.
TEST_P(stored_operators, rows_beyond_the_stack) {
    for (const std::ptrdiff_t n : {767, 1152, 1153, 1536, 2289, 2304, 2305, 3073, 4609, 20000}) {
        if (thinned() && n > 2305)
            continue;
        check_types(3, n);
        check_types_without_buffer(3, n);
    }
}
TEST_P(stored_operators, rows_beyond_any_buffer) {
    if (thinned())
        check_layouts<tarn::bfloat16>(tarn::on(on()), 1, 524289);
    else
        check_types(1, 524289);
}
TEST_P(stored_operators, many_columns) {
    check_types(300, 200);
    check_types_without_buffer(300, 400);
}
TEST_P(stored_operators, any_split) {
    const auto p = numbers_for<tarn::bfloat16>(of(), 70, 300, 5);
    for (int threads = 1; threads <= 9; threads += 4) {
        const odd_threads executor{threads, 3};
        const auto where = tarn::on(on(), executor);
        check<tarn::bfloat16, tarn::bfloat16, tarn::bfloat16>(where, p, {300, 1}, {300, 1}, false);
        check<tarn::bfloat16, float, float>(where, p, {1, 70}, {1, 80}, false);
    }
}

} // namespace
