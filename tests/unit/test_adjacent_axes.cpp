// SPDX-License-Identifier: BSD-3-Clause
//
// Adjacent axes taken as one row: every operator, in layouts that one stride runs through and in those that none does. The
// bits are those of dense rows of the same numbers.
#include "support/executors.hpp"
#include "support/operators.hpp"
#include "support/refusals.hpp"

#include <array>

namespace {

using namespace support;

constexpr int rank = 4;
using axes4 = std::array<std::ptrdiff_t, rank>;

// The elements of a tensor in memory: strides that follow from an order of the axes, slowest first, and a gap of so many
// elements after each run along an axis.
struct placing {
    axes4 order, gap;

    axes4 strides(const axes4& extent) const {
        axes4 stride{};
        std::ptrdiff_t next = 1;
        for (int i = rank - 1; i >= 0; --i) {
            const auto axis = static_cast<std::size_t>(order[static_cast<std::size_t>(i)]);
            stride[axis] = next;
            next = next * extent[axis] + gap[axis];
        }
        return stride;
    }
};
constexpr placing dense{{0, 1, 2, 3}, {}};
constexpr placing padded{{0, 1, 2, 3}, {0, 2, 1, 3}};
constexpr placing reversed{{3, 2, 1, 0}, {}};
constexpr placing exchanged{{0, 2, 1, 3}, {0, 1, 0, 0}};

template <class T> tarn::tensor_view<T, rank> placed(T* p, const axes4& extent, const placing& how) {
    tarn::tensor_view<T, rank> v{p, {}, {}};
    const axes4 stride = how.strides(extent);
    std::copy(extent.begin(), extent.end(), v.extent);
    std::copy(stride.begin(), stride.end(), v.stride);
    return v;
}
std::ptrdiff_t elements(const axes4& extent, const placing& how) {
    std::ptrdiff_t last = 0;
    for (std::size_t i = 0; i < rank; ++i)
        last += (extent[i] - 1) * how.strides(extent)[i];
    return last + 1;
}

// f(place in dense rows, offset in v): a row holds the axes first, .., first + axes - 1 in logical order, rows the others.
template <class T, class F> void each_element(const tarn::tensor_view<T, rank>& v, int first, int axes, const F& f) {
    const auto inside = [&](int i) { return i >= first && i < first + axes; };
    std::ptrdiff_t size = 1, length = 1;
    for (int i = 0; i < rank; ++i) {
        size *= v.extent[i];
        length *= inside(i) ? v.extent[i] : 1;
    }
    for (std::ptrdiff_t at = 0; at < size; ++at) {
        std::ptrdiff_t row = at / length, element = at % length, offset = 0;
        for (int i = rank - 1; i >= 0; --i) {
            std::ptrdiff_t& rest = inside(i) ? element : row;
            offset += rest % v.extent[i] * v.stride[i];
            rest /= v.extent[i];
        }
        f(static_cast<std::size_t>(at), offset);
    }
}

class adjacent_axes : public op_test {
protected:
    // T is read and U written. RowsRank: the rank of the numbers of rows, the axes kept with extent 1 or dropped.
    template <class T, class U, int RowsRank, class Where>
    void check(const Where& where, const axes4& extent, int first, int axes, const placing& in, const placing& out,
               bool in_place = false) {
        using R = number_of<T>;
        std::ptrdiff_t n = 1, size = 1;
        axes4 kept = extent;
        for (int i = 0; i < rank; ++i) {
            size *= extent[static_cast<std::size_t>(i)];
            if (i >= first && i < first + axes) {
                n *= extent[static_cast<std::size_t>(i)];
                kept[static_cast<std::size_t>(i)] = 1;
            }
        }
        const std::ptrdiff_t rows = size / n;
        const auto p = numbers_for<T>(of(), rows, n, static_cast<std::uint64_t>(size + first));
        const op_results<R> expected = dense_results(of(), on(), p);

        guarded<T> a(elements(extent, in)), b(elements(extent, in));
        guarded<R> c(rows), d(rows);
        guarded<U> y(elements(extent, out)), s(rows);
        const auto av = placed<T>(a.data(), extent, in);
        const auto bv = placed<T>(b.data(), extent, in);
        each_element(av, first, axes, [&](std::size_t i, std::ptrdiff_t at) {
            a.data()[at] = static_cast<T>(p.a[i]);
            b.data()[at] = static_cast<T>(p.b[i]);
        });
        std::copy(p.c.begin(), p.c.end(), c.data());
        std::copy(p.d.begin(), p.d.end(), d.data());
        auto yv = placed<U>(y.data(), extent, out);
        if constexpr (std::is_same<T, U>::value) {
            if (in_place)
                yv = av;
        }
        const auto row_view = [&](auto* data) {
            const auto all = placed(data, kept, dense);
            tarn::tensor_view<std::remove_pointer_t<decltype(data)>, RowsRank> v{data, {}, {}};
            for (int i = 0, to = 0; i < rank; ++i) {
                if (RowsRank < rank && i >= first && i < first + axes)
                    continue;
                v.extent[to] = all.extent[i];
                v.stride[to++] = all.stride[i];
            }
            return v;
        };
        const auto at = [&] {
            return ::testing::Message() << rows << " rows of " << n << ", axes from " << first
                                        << (in_place ? ", in place" : "");
        };
        const std::string fault = fault_in([&] {
            call_op<T, R, U>(of(), where, tarn::tensor_view<const T, rank>(av), tarn::tensor_view<const T, rank>(bv),
                             row_view(static_cast<const R*>(c.data())), row_view(static_cast<const R*>(d.data())), yv,
                             row_view(s.data()), first - rank, axes);
        });
        ASSERT_EQ(fault, "") << at();
        for (std::size_t r = 0; has_numbers(of()) && r < static_cast<std::size_t>(rows); ++r)
            ASSERT_TRUE(same_bits(s.data()[r], static_cast<U>(expected.sums[r]))) << at() << ", row " << r;
        if (reduces(of()))
            return;
        each_element(yv, first, axes, [&](std::size_t i, std::ptrdiff_t to) {
            ASSERT_TRUE(same_bits(yv.data[to], static_cast<U>(expected.whole[i]))) << at() << ", element " << i;
        });
    }
    template <class T, class U, class Where> void check_layouts(const Where& where, const axes4& extent) {
        check<T, U, 1>(where, extent, 0, 3, dense, dense);
        check<T, U, 2>(where, extent, 2, 2, dense, padded);
        check<T, U, 2>(where, extent, 1, 2, dense, dense);
        check<T, U, 2>(where, extent, 1, 2, padded, padded, true);
        check<T, U, 2>(where, extent, 0, 2, exchanged, dense);
        check<T, U, rank>(where, extent, 1, 3, reversed, exchanged);
        check<T, U, rank>(where, extent, 0, 2, padded, reversed);
        check<T, U, rank>(where, extent, 2, 2, exchanged, exchanged, true);
    }
    void check_types(const axes4& extent) {
        const auto where = tarn::on(on());
        check_layouts<float, float>(where, extent);
        check_layouts<double, double>(where, extent);
        check_layouts<tarn::float16, float>(where, extent);
        check_layouts<tarn::bfloat16, tarn::bfloat16>(where, extent);
    }
};
TARN_TEST_ON_ALL_OPS(adjacent_axes);

TEST_P(adjacent_axes, small_extents) {
    for (const std::ptrdiff_t a : {1, 2, 3})
        for (const std::ptrdiff_t b : {1, 4})
            for (const std::ptrdiff_t c : {1, 3})
                for (const std::ptrdiff_t d : {1, 2, 5})
                    check_types({a, b, c, d});
}
TEST_P(adjacent_axes, rows_on_the_stack) {
    check_types({3, 7, 9, 33});
    check_types({40, 5, 17, 4});
}
// 37 * 61 * 3 elements in a row: in the thread's buffer, or read segment by segment where there is none.
TEST_P(adjacent_axes, rows_beyond_the_stack) {
    check_types({2, 37, 61, 3});
    const auto without_buffer = tarn::on(on(), tarn::serial, tarn::scratch{});
    check_layouts<float, float>(without_buffer, {2, 37, 61, 3});
    check_layouts<double, double>(without_buffer, {2, 37, 61, 3});
    check_layouts<tarn::bfloat16, float>(without_buffer, {2, 37, 61, 3});
}
// Above 4 MB in a row.
TEST_P(adjacent_axes, rows_beyond_any_buffer) {
    check<float, float, 2>(tarn::on(on()), {1, 1100, 1001, 1}, 1, 2, padded, padded, true);
    check<tarn::float16, float, 2>(tarn::on(on()), {1, 1100, 1001, 1}, 1, 2, padded, dense);
}
TEST_P(adjacent_axes, any_split) {
    for (int threads = 1; threads <= 9; threads += 4) {
        const odd_threads executor{threads, 3};
        check<float, float, 2>(tarn::on(on(), executor), {7, 20, 30, 5}, 1, 2, padded, exchanged);
        check<double, double, 2>(tarn::on(on(), executor), {3, 4, 20, 30}, 2, 2, padded, padded, true);
    }
}
// Rows so long that threads share each.
TEST_P(adjacent_axes, shared_rows) {
    const odd_threads executor{3, 2};
    check<float, float, 2>(tarn::on(on(), executor), {2, 531, 501, 1}, 1, 2, padded, padded, true);
    check<tarn::bfloat16, float, 2>(tarn::on(on(), executor), {2, 531, 501, 1}, 1, 2, exchanged, dense);
}

// Errors leave everything as it was.
TEST(adjacent_axes_errors, counts_and_extents) {
    std::vector<float> x(24, 1.0f), y(24, -1.0f);
    const auto in = tarn::make_view(static_cast<const float*>(x.data()), 2, 3, 4);
    const auto out = tarn::make_view(y.data(), 2, 3, 4);
    tarn::softmax_options options;
    const auto message = [&](int axis, int axes) {
        options.axis = axis;
        options.axes = axes;
        return refusal_of([&] { tarn::softmax(in, out, options); });
    };
    EXPECT_EQ(message(-1, 2), "tarn::softmax: axes 2, expected 1 to 1 from axis -1 on of operands of rank 3");
    EXPECT_EQ(message(1, 3), "tarn::softmax: axes 3, expected 1 to 2 from axis 1 on of operands of rank 3");
    EXPECT_EQ(message(0, 0), "tarn::softmax: axes 0, expected 1 to 3 from axis 0 on of operands of rank 3");
    EXPECT_EQ(message(0, -1), "tarn::softmax: axes -1, expected 1 to 3 from axis 0 on of operands of rank 3");
    EXPECT_EQ(message(3, 1), "tarn::softmax: axis 3, expected -3 to 2 for operands of rank 3");
    tarn::logsumexp_options two;
    two.axis = 1;
    two.axes = 2;
    EXPECT_EQ(refusal_of([&] { tarn::logsumexp(in, tarn::make_view(y.data(), 2, 3), two); }),
              "tarn::logsumexp: output extents {2,3}, expected {2}");
    EXPECT_EQ(refusal_of([&] { tarn::logsumexp(in, tarn::make_view(y.data(), 2, 1, 4), two); }),
              "tarn::logsumexp: output extents {2,1,4}, expected {2,1,1}");
    EXPECT_EQ(refusal_of([&] { tarn::logsumexp(in, y[0], two); }), "tarn::logsumexp: output extents {}, expected {2}");
    EXPECT_EQ(y, std::vector<float>(24, -1.0f));
}

// An extent of 0 among several: nothing to write, or the logarithm of an empty sum.
TEST(adjacent_axes_errors, empty_rows) {
    const float x = 1.0f;
    float y[2] = {-1.0f, -1.0f};
    tarn::logsumexp_options two;
    two.axis = 1;
    two.axes = 2;
    tarn::logsumexp(tarn::make_view(&x, 2, 0, 3), tarn::make_view(y, 2), two);
    EXPECT_EQ(y[0], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(y[1], -std::numeric_limits<float>::infinity());
    tarn::logmeanexp(tarn::make_view(&x, 2, 3, 0), tarn::make_view(y, 2), two);
    EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
    tarn::logsumexp(tarn::make_view(&x, 0, 3, 3), tarn::make_view(y, 0), two);
    EXPECT_TRUE(std::isnan(y[0]));
}

} // namespace
