// SPDX-License-Identifier: BSD-3-Clause
//
// Every operator on elements of every type, in every layout, with and without a buffer: the bits of dense rows of the same
// numbers, for 16-bit elements those of floats rounded once.
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/rows.hpp"

#include <tarn/tarn.hpp>

#include <cstring>

namespace {

using namespace support;

enum class op {
    softmax,
    softmax_and_lse,
    log_softmax,
    logsumexp,
    logmeanexp,
    logaddexp,
    softmax_backward,
    log_softmax_backward,
    logsumexp_backward
};
constexpr op all_ops[] = {op::softmax,          op::softmax_and_lse,      op::log_softmax,
                          op::logsumexp,        op::logmeanexp,           op::logaddexp,
                          op::softmax_backward, op::log_softmax_backward, op::logsumexp_backward};
constexpr bool reduces(op o) { return o == op::logsumexp || o == op::logmeanexp; }
constexpr bool has_numbers(op o) { return reduces(o) || o == op::softmax_and_lse; }
constexpr double scale = 0.7;

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

// One call: a and b are whole operands, c and d numbers for rows; results in y, or in s if the operator reduces.
template <class Where, class T, class N, class U>
void call(op o, const Where& where, tarn::tensor_view<const T, 2> a, tarn::tensor_view<const T, 2> b,
          tarn::tensor_view<const N, 1> c, tarn::tensor_view<const N, 1> d, tarn::tensor_view<U, 2> y,
          tarn::tensor_view<U, 1> s) {
    switch (o) {
    case op::softmax:
        return tarn::softmax(where, a, y, {-1, scale});
    case op::softmax_and_lse:
        return tarn::softmax(where, a, y, s, {-1, scale});
    case op::log_softmax:
        return tarn::log_softmax(where, a, y, {-1, scale});
    case op::logsumexp:
        return tarn::logsumexp(where, a, s, {-1, scale});
    case op::logmeanexp:
        return tarn::logmeanexp(where, a, s, {-1, scale});
    case op::logaddexp:
        return tarn::logaddexp(where, a, b, y);
    case op::softmax_backward:
        return tarn::softmax_backward(where, a, b, y, {-1, scale});
    case op::log_softmax_backward:
        return tarn::log_softmax_backward(where, a, b, y, {-1, scale});
    case op::logsumexp_backward:
        return tarn::logsumexp_backward(where, a, c, d, y, {-1, scale});
    }
}

// n elements of T that end where a page begins that must not be touched.
template <class T> class guarded {
public:
    explicit guarded(std::ptrdiff_t n) : memory_(n), data_(memory_.against_end(n)) {}
    T* data() { return data_; }

private:
    guarded_numbers<T> memory_;
    T* data_;
};

// R: what elements are worked on in.
template <class R> struct numbers {
    std::ptrdiff_t rows, n;
    std::vector<R> a, b, c, d; // dense, exact in the element type
};
template <class T> using number_of = std::conditional_t<std::is_same<T, double>::value, double, float>;

template <class T> numbers<number_of<T>> numbers_for(op o, std::ptrdiff_t rows, std::ptrdiff_t n, std::uint64_t seed) {
    using R = number_of<T>;
    numbers<R> p{rows, n, mixed_rows<R>(rows, n, seed), normal_logits<R>(rows * n, 1, 0.2, seed + 1), {}, {}};
    const auto exact = [](std::vector<R>& v) {
        for (R& e : v)
            e = static_cast<R>(static_cast<T>(e));
    };
    exact(p.a);
    if (o == op::logaddexp)
        p.b = mixed_rows<R>(rows, n, seed + 2);
    exact(p.b);
    const tarn::tensor_view<const R, 2> logits = tarn::make_view(static_cast<const R*>(p.a.data()), rows, n);
    p.c.resize(static_cast<std::size_t>(rows));
    p.d = normal_logits<R>(rows, 1, 0.2, seed + 3);
    tarn::logsumexp(logits, tarn::make_view(p.c.data(), rows), {-1, scale});
    exact(p.c);
    exact(p.d);
    if (o == op::softmax_backward || o == op::log_softmax_backward) {
        std::vector<R> y(p.a.size());
        if (o == op::softmax_backward)
            tarn::softmax(logits, tarn::make_view(y.data(), rows, n), {-1, scale});
        else
            tarn::log_softmax(logits, tarn::make_view(y.data(), rows, n), {-1, scale});
        p.a = y;
        exact(p.a);
    }
    return p;
}

template <class T> bool same_bits(T a, T b) {
    const auto p = static_cast<double>(a);
    const auto q = static_cast<double>(b);
    return std::memcmp(&a, &b, sizeof a) == 0 || (p != p && q != q);
}

// T is read and U written; N holds the numbers of rows. Results lie apart, or in the place of a.
template <class T, class N, class U, class Where>
std::string difference_from_dense(op o, tarn::tier t, const Where& where, const numbers<number_of<T>>& p, layout in,
                                  layout out, bool in_place) {
    using R = number_of<T>;
    const std::ptrdiff_t rows = p.rows, n = p.n;
    std::vector<R> expected(p.a.size()), expected_sums(static_cast<std::size_t>(rows));
    const auto dense = [&](const std::vector<R>& v) { return tarn::make_view(v.data(), rows, n); };
    const auto row_numbers = [&](const std::vector<R>& v) { return tarn::make_view(v.data(), rows); };
    call<decltype(tarn::on(t)), R, R, R>(o, tarn::on(t), dense(p.a), dense(p.b), row_numbers(p.c), row_numbers(p.d),
                                         tarn::make_view(expected.data(), rows, n),
                                         tarn::make_view(expected_sums.data(), rows));

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
    const std::string fault = fault_in([&] {
        call<Where, T, N, U>(o, where, av, bv, cv, dv, out.view(to, rows, n), tarn::make_view(s.data(), rows));
    });
    if (!fault.empty())
        return fault;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        if (has_numbers(o)) {
            const R e = expected_sums[static_cast<std::size_t>(r)];
            if (!same_bits(s.data()[r], static_cast<U>(e)))
                return "row " + std::to_string(r) + " is " + std::to_string(static_cast<double>(s.data()[r])) +
                       ", expected " + std::to_string(e) + " rounded";
        }
        if (reduces(o))
            continue;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const R e = expected[static_cast<std::size_t>(r * n + i)];
            const U got = to[r * out.row + i * out.element];
            if (!same_bits(got, static_cast<U>(e)))
                return "row " + std::to_string(r) + ", element " + std::to_string(i) + " is " +
                       std::to_string(static_cast<double>(got)) + ", expected " + std::to_string(e) + " rounded";
        }
    }
    return {};
}

class stored_operators : public testing::TestWithParam<std::tuple<tarn::tier, op>> {
protected:
    tarn::tier on() const { return std::get<0>(GetParam()); }
    op of() const { return std::get<1>(GetParam()); }
    void SetUp() override {
        if (!tarn::available(on())) {
            GTEST_SKIP() << why_skipped(on());
        }
    }
    template <class T, class N, class U, class Where>
    void check(const Where& where, const numbers<number_of<T>>& p, layout in, layout out, bool in_place) {
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
std::string name_of_instance(const testing::TestParamInfo<std::tuple<tarn::tier, op>>& instance) {
    constexpr const char* names[] = {"softmax",          "softmax_and_lse",      "log_softmax",
                                     "logsumexp",        "logmeanexp",           "logaddexp",
                                     "softmax_backward", "log_softmax_backward", "logsumexp_backward"};
    return name_of(std::get<0>(instance.param)) + "_" + names[static_cast<int>(std::get<1>(instance.param))];
}
INSTANTIATE_TEST_SUITE_P(on, stored_operators,
                         testing::Combine(testing::ValuesIn(all_tiers), testing::ValuesIn(all_ops)), name_of_instance);

TEST_P(stored_operators, short_rows) {
    for (const std::ptrdiff_t n : {1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100})
        for (const std::ptrdiff_t rows : {1, 19, 50})
            check_types(rows, n);
}
TEST_P(stored_operators, longer_rows) {
    for (const std::ptrdiff_t n : {192, 193, 255, 256, 257, 384, 385, 1000})
        for (const std::ptrdiff_t rows : {2, 37})
            check_types(rows, n);
}
// Around the lengths from which rows no longer fit the stack.
TEST_P(stored_operators, rows_beyond_the_stack) {
    for (const std::ptrdiff_t n : {767, 1152, 1153, 1536, 2289, 2304, 2305, 3073, 4609, 20000}) {
        check_types(3, n);
        check_types_without_buffer(3, n);
    }
}
TEST_P(stored_operators, rows_beyond_any_buffer) { check_types(1, 524289); }
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
