// SPDX-License-Identifier: BSD-3-Clause
//
// Every operator on elements of every type, in every layout, with and without a buffer: the bits of dense rows of the same
// numbers, for 16-bit elements those of floats rounded once.
#include "support/executors.hpp"
#include "support/stored.hpp"

namespace {

using namespace support;

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
