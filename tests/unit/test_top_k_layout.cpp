// SPDX-License-Identifier: BSD-3-Clause
//
// top_k and softmax_top_k of any type and stride, with threads, with and without memory; nothing outside the operands;
// at most 64 KB of stack.
#include "support/allocations.hpp"
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/stack.hpp"
#include "support/strided.hpp"
#include "support/top.hpp"

namespace {

using namespace support;

class top_k_layout : public tier_test {};
TARN_TEST_ON_ALL_TIERS(top_k_layout);

// T is read, V written: rows or columns of either, values every second element of theirs.
template <class T, class V, class I, class Where>
std::string difference_from_dense(tarn::tier t, const Where& where, std::ptrdiff_t n, std::ptrdiff_t k, bool columns,
                                  bool softmax) {
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;
    constexpr std::ptrdiff_t rows = 13;
    auto p = top_problem<R>{rows, n, k, mixed_rows<R>(rows, n, 6)};
    p.softmax = softmax;
    for (R& v : p.x)
        v = static_cast<R>(static_cast<T>(v));
    const auto expected = p.expected(t);
    std::vector<T> x(p.x.size());
    const std::ptrdiff_t along = columns ? rows : 1;
    const std::ptrdiff_t across = columns ? 1 : n;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            x[static_cast<std::size_t>(r * across + i * along)] =
                static_cast<T>(p.x[static_cast<std::size_t>(r * n + i)]);
    }
    const auto gap = static_cast<V>(-77.0f);
    std::vector<V> values(static_cast<std::size_t>(2 * rows * k), gap);
    std::vector<I> indices(static_cast<std::size_t>(3 * rows * k), -77);
    const std::ptrdiff_t values_along = columns ? 2 : 2 * rows, values_across = columns ? 2 * k : 2;
    const std::ptrdiff_t indices_along = columns ? -3 * rows : 3, indices_across = columns ? 3 : 3 * k;
    I* const first = indices.data() + (columns ? 3 * rows * (k - 1) : 0);
    p.call(where,
           tarn::make_view(static_cast<const T*>(x.data()), tarn::extents{rows, n}, tarn::strides{across, along}),
           tarn::make_view(values.data(), tarn::extents{rows, k}, tarn::strides{values_across, values_along}),
           tarn::make_view(first, tarn::extents{rows, k}, tarn::strides{indices_across, indices_along}));
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t i = 0; i < k; ++i) {
            const auto at = static_cast<std::size_t>(r * k + i);
            const V* const value = values.data() + r * values_across + i * values_along;
            const I* const index = first + r * indices_across + i * indices_along;
            const auto got = static_cast<R>(*value);
            const auto wanted = static_cast<R>(static_cast<V>(expected.values[at]));
            if (bits_of(got) != bits_of(wanted) && (got == got || wanted == wanted))
                return "row " + std::to_string(r) + ", value " + std::to_string(i) + " is " + std::to_string(got) +
                       ", expected " + std::to_string(wanted);
            if (static_cast<std::int64_t>(*index) != expected.indices[at])
                return "row " + std::to_string(r) + ", index " + std::to_string(i) + " is " + std::to_string(*index) +
                       ", expected " + std::to_string(expected.indices[at]);
            if (static_cast<R>(value[1]) != static_cast<R>(gap) || index[1] != -77 || index[2] != -77)
                return "row " + std::to_string(r) + ", cell " + std::to_string(i) + ": the gap after it was written";
        }
    }
    return "";
}

TEST_P(top_k_layout, any_type_and_stride) {
    for (const std::ptrdiff_t n : {1, 16, 37, 129, 700, 5000}) {
        for (const std::ptrdiff_t k : {1, 7, 20, 300}) {
            for (int how = 0; how < 8; ++how) {
                const bool columns = how & 1, softmax = how & 2, lent = how & 4;
                const tarn::serial_executor serial;
                const odd_threads threads{3, 4};
                const auto check = [&](auto where) {
                    ASSERT_EQ("", (difference_from_dense<float, float, std::int32_t>(GetParam(), where, n, k, columns,
                                                                                     softmax)));
                    ASSERT_EQ("",
                              (difference_from_dense<double, double, long>(GetParam(), where, n, k, columns, softmax)));
                    ASSERT_EQ("", (difference_from_dense<tarn::bfloat16, tarn::bfloat16, long long>(
                                      GetParam(), where, n, k, columns, softmax)));
                    ASSERT_EQ("", (difference_from_dense<tarn::float16, tarn::float16, std::int32_t>(
                                      GetParam(), where, n, k, columns, softmax)));
                    ASSERT_EQ("", (difference_from_dense<tarn::float16, float, std::int64_t>(GetParam(), where, n, k,
                                                                                             columns, softmax)));
                };
                SCOPED_TRACE(std::to_string(n) + ", k " + std::to_string(k) + " way " + std::to_string(how));
                if (lent)
                    check(tarn::on(GetParam(), serial, tarn::scratch{}));
                else
                    check(tarn::on(GetParam(), threads));
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

// Tensors of any rank, along any axis, in any order of strides.
template <int Rank> void check_tensor(tarn::tier t, random_bits& random) {
    std::ptrdiff_t extent[Rank];
    for (std::ptrdiff_t& e : extent)
        e = 1 + random.below(Rank > 3 ? 4 : 12);
    const auto axis = static_cast<int>(random.below(Rank));
    const std::ptrdiff_t k = 1 + random.below(extent[axis] + 1);
    std::ptrdiff_t selected[Rank];
    std::copy(extent, extent + Rank, selected);
    selected[axis] = k;
    strided x(random, Rank, extent, random.below(3) == 0 ? static_cast<int>(random.below(Rank)) : -1);
    strided values(random, Rank, selected, -1);
    strided indices(random, Rank, selected, -1);
    for (float& v : x.memory)
        v = static_cast<float>(random.below(6));
    std::fill(values.memory.begin(), values.memory.end(), -77.0f);
    std::vector<int> places(indices.memory.size(), -77);
    tarn::tensor_view<int, Rank> at{places.data() + indices.first, {}, {}};
    std::copy(selected, selected + Rank, at.extent);
    std::copy(indices.stride, indices.stride + Rank, at.stride);
    tarn::top_k(tarn::on(t), x.view<Rank>(extent), values.view<Rank>(selected), at, {axis - (axis % 2 ? Rank : 0)});
    std::ptrdiff_t rows[Rank];
    std::copy(extent, extent + Rank, rows);
    rows[axis] = 1;
    std::size_t written = 0;
    each_index(Rank, rows, [&](const std::ptrdiff_t* row) {
        std::ptrdiff_t index[Rank];
        std::copy(row, row + Rank, index);
        std::vector<float> elements;
        for (index[axis] = 0; index[axis] < extent[axis]; ++index[axis])
            elements.push_back(x.at(index, Rank));
        const auto order = order_of_row(elements.data(), extent[axis]);
        for (index[axis] = 0; index[axis] < k; ++index[axis]) {
            const bool there = index[axis] < extent[axis];
            const std::ptrdiff_t wanted = there ? order[static_cast<std::size_t>(index[axis])] : -1;
            ASSERT_EQ(wanted, at.data[std::inner_product(index, index + Rank, at.stride, std::ptrdiff_t{0})]);
            ASSERT_EQ(there ? elements[static_cast<std::size_t>(wanted)] : -std::numeric_limits<float>::infinity(),
                      values.at(index, Rank));
            ++written;
        }
    });
    EXPECT_EQ(values.memory.size() - written,
              static_cast<std::size_t>(std::count(values.memory.begin(), values.memory.end(), -77.0f)));
    EXPECT_EQ(places.size() - written, static_cast<std::size_t>(std::count(places.begin(), places.end(), -77)));
}

TEST_P(top_k_layout, any_tensor) {
    random_bits random(20);
    for (int i = 0; i < 300 && !HasFailure(); ++i) {
        SCOPED_TRACE(i);
        check_tensor<1>(GetParam(), random);
        check_tensor<2>(GetParam(), random);
        check_tensor<3>(GetParam(), random);
        check_tensor<5>(GetParam(), random);
    }
}

// Rows that no buffer holds are read where they are.
TEST_P(top_k_layout, long_rows_of_16_bits) {
    constexpr std::ptrdiff_t n = 1100000;
    std::vector<float> x = normal_logits<float>(n, 1, 0, 2);
    x[70001] = 9;
    std::vector<tarn::bfloat16> h(x.begin(), x.end());
    std::copy(h.begin(), h.end(), x.begin());
    for (const bool softmax : {false, true}) {
        auto p = top_problem<float>{1, n, 40, x};
        p.softmax = softmax;
        const auto expected = p.expected(GetParam());
        top_problem<float>::result got{std::vector<float>(40), std::vector<std::int64_t>(40)};
        p.call(tarn::on(GetParam()), tarn::make_view(h.data(), n), tarn::make_view(got.values.data(), 40),
               tarn::make_view(got.indices.data(), 40));
        EXPECT_EQ("", p.fault_of(got, expected));
    }
}

TEST_P(top_k_layout, nothing_outside_the_operands) {
    constexpr std::ptrdiff_t most = 3 * 300;
    guarded_floats x(most), values(most);
    guarded_numbers<std::int64_t> indices(most);
    for (const std::ptrdiff_t n : {1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 300}) {
        for (const std::ptrdiff_t k : {1, 5, 16, 17, 70}) {
            for (int how = 0; how < 4; ++how) {
                const bool at_end = how & 1, softmax = how & 2;
                auto p = top_problem<float>{3, n, k, normal_logits<float>(3 * n, 1, 0, 8)};
                p.softmax = softmax;
                const auto place = [&](auto& memory, std::ptrdiff_t size) {
                    return at_end ? memory.against_end(size) : memory.against_start();
                };
                float* const from = place(x, 3 * n);
                std::copy(p.x.begin(), p.x.end(), from);
                const auto to = tarn::make_view(place(values, 3 * k), 3, k);
                const auto at = tarn::make_view(place(indices, 3 * k), 3, k);
                ASSERT_EQ("", fault_in([&] {
                              p.call(tarn::on(GetParam()), tarn::make_view(static_cast<const float*>(from), 3, n), to,
                                     at);
                          }))
                    << n << ", k " << k << ", way " << how;
            }
        }
    }
}

TEST_P(top_k_layout, stack_and_heap) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames and owns malloc";
    }
    for (const std::ptrdiff_t n : {16, 1000, 20000}) {
        for (const std::ptrdiff_t k : {5, 100, 2000}) {
            auto p = top_problem<float>{4, n, k, normal_logits<float>(4 * n, 1, 0, 10)};
            p.softmax = true;
            const std::vector<tarn::bfloat16> h(p.x.begin(), p.x.end());
            const std::vector<double> d(p.x.begin(), p.x.end());
            std::vector<float> values(static_cast<std::size_t>(4 * k));
            std::vector<double> values_of_doubles(values.size());
            std::vector<int> indices(values.size());
            const auto at = tarn::make_view(indices.data(), 4, k);
            const auto floats = [&](auto where) {
                p.call(where, tarn::make_view(p.x.data(), 4, n), tarn::make_view(values.data(), 4, k), at);
            };
            const auto others = [&] {
                p.call(tarn::on(GetParam()), tarn::make_view(h.data(), 4, n), tarn::make_view(values.data(), 4, k), at);
                p.call(tarn::on(GetParam()), tarn::make_view(d.data(), 4, n),
                       tarn::make_view(values_of_doubles.data(), 4, k), at);
            };
            EXPECT_LE(stack_of([&] { floats(tarn::on(GetParam())); }), 64 * 1024) << n;
            EXPECT_LE(stack_of(others), 64 * 1024) << n;
            const tarn::serial_executor serial;
            EXPECT_EQ(allocations_in([&] { floats(tarn::on(GetParam(), serial, tarn::scratch{})); }).all, 0) << n;
            if (k <= 256) {
                EXPECT_EQ(allocations_in([&] { floats(tarn::on(GetParam())); }).all, 0) << n;
            }
        }
    }
}

} // namespace
