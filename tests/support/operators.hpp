// SPDX-License-Identifier: BSD-3-Clause
//
// All operators of the softmax family behind one call, for tests of what they share.
#pragma once

#include "support/guarded.hpp"
#include "support/rows.hpp"

#include <tarn/tarn.hpp>

#include <cstring>
#include <utility>

namespace support {

enum class op {
    softmax,
    softmax_and_lse,
    log_softmax,
    logsumexp,
    logmeanexp,
    logaddexp,
    softmax_backward,
    log_softmax_backward,
    logsumexp_backward,
    logaddexp_backward // in the first operand, with the second for a gradient
};
constexpr op all_ops[] = {
    op::softmax,   op::softmax_and_lse,  op::log_softmax,          op::logsumexp,          op::logmeanexp,
    op::logaddexp, op::softmax_backward, op::log_softmax_backward, op::logsumexp_backward, op::logaddexp_backward};
constexpr const char* op_names[] = {
    "softmax",   "softmax_and_lse",  "log_softmax",          "logsumexp",          "logmeanexp",
    "logaddexp", "softmax_backward", "log_softmax_backward", "logsumexp_backward", "logaddexp_backward"};
// Of elements, each by itself.
constexpr bool is_elementwise(op o) { return o == op::logaddexp || o == op::logaddexp_backward; }
constexpr bool reduces(op o) { return o == op::logsumexp || o == op::logmeanexp; }
constexpr bool has_numbers(op o) { return reduces(o) || o == op::softmax_and_lse; }

// One call with this scale: a and b are whole operands, c and d numbers for rows; results in y, or in s if the operator
// reduces. Types are named, since calls have views of types of their own.
constexpr double op_scale = 0.7;
template <class T, class N, class U, class Where, int Rank, int RowsRank>
void call_op(op o, const Where& where, tarn::tensor_view<const T, Rank> a, tarn::tensor_view<const T, Rank> b,
             tarn::tensor_view<const N, RowsRank> c, tarn::tensor_view<const N, RowsRank> d,
             tarn::tensor_view<U, Rank> y, tarn::tensor_view<U, RowsRank> s, int axis = -1, int axes = 1,
             tarn::stores stores = tarn::stores::automatic) {
    const auto reduced = [&](auto options) {
        options.axis = axis;
        options.scale = op_scale;
        options.axes = axes;
        return options;
    };
    const auto with = [&](auto options) {
        options.stores = stores;
        return reduced(options);
    };
    switch (o) {
    case op::softmax:
        return tarn::softmax(where, a, y, with(tarn::softmax_options{}));
    case op::softmax_and_lse:
        return tarn::softmax(where, a, y, s, with(tarn::softmax_options{}));
    case op::log_softmax:
        return tarn::log_softmax(where, a, y, with(tarn::log_softmax_options{}));
    case op::logsumexp:
        return tarn::logsumexp(where, a, s, reduced(tarn::logsumexp_options{}));
    case op::logmeanexp:
        return tarn::logmeanexp(where, a, s, reduced(tarn::logsumexp_options{}));
    case op::logaddexp:
        return tarn::logaddexp(where, a, b, y);
    case op::softmax_backward:
        return tarn::softmax_backward(where, a, b, y, with(tarn::softmax_backward_options{}));
    case op::log_softmax_backward:
        return tarn::log_softmax_backward(where, a, b, y, with(tarn::softmax_backward_options{}));
    case op::logsumexp_backward:
        return tarn::logsumexp_backward(where, a, c, d, y, with(tarn::softmax_backward_options{}));
    case op::logaddexp_backward:
        return tarn::logaddexp_backward(where, a, b, b, y, tarn::none);
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

// Operands of one call. R: what elements are worked on in.
template <class R> struct op_numbers {
    std::ptrdiff_t rows, n;
    std::vector<R> a, b, c, d; // dense, exact in the element type
};
template <class T> using number_of = std::conditional_t<std::is_same<T, double>::value, double, float>;

// From logits; for gradients what the operator makes of them.
template <class T>
op_numbers<number_of<T>> numbers_from(op o, std::ptrdiff_t rows, std::ptrdiff_t n, std::vector<number_of<T>> given,
                                      std::uint64_t seed) {
    using R = number_of<T>;
    op_numbers<R> p{rows, n, std::move(given), normal_logits<R>(rows * n, 1, 0.2, seed + 1), {}, {}};
    const auto exact = [](std::vector<R>& v) {
        for (R& e : v)
            e = static_cast<R>(static_cast<T>(e));
    };
    exact(p.a);
    if (is_elementwise(o))
        p.b = mixed_rows<R>(rows, n, seed + 2);
    exact(p.b);
    const tarn::tensor_view<const R, 2> logits = tarn::make_view(static_cast<const R*>(p.a.data()), rows, n);
    p.c.resize(static_cast<std::size_t>(rows));
    p.d = normal_logits<R>(rows, 1, 0.2, seed + 3);
    tarn::logsumexp(logits, tarn::make_view(p.c.data(), rows), {-1, op_scale});
    exact(p.c);
    exact(p.d);
    if (o == op::softmax_backward || o == op::log_softmax_backward) {
        std::vector<R> y(p.a.size());
        if (o == op::softmax_backward)
            tarn::softmax(logits, tarn::make_view(y.data(), rows, n), {-1, op_scale});
        else
            tarn::log_softmax(logits, tarn::make_view(y.data(), rows, n), {-1, op_scale});
        p.a = y;
        exact(p.a);
    }
    return p;
}

template <class T>
op_numbers<number_of<T>> numbers_for(op o, std::ptrdiff_t rows, std::ptrdiff_t n, std::uint64_t seed) {
    return numbers_from<T>(o, rows, n, mixed_rows<number_of<T>>(rows, n, seed), seed);
}

template <class T> bool same_bits(T a, T b) {
    const auto p = static_cast<double>(a);
    const auto q = static_cast<double>(b);
    return std::memcmp(&a, &b, sizeof a) == 0 || (p != p && q != q);
}

// What dense operands of R give on the tier: whole results, and the numbers of rows.
template <class R> struct op_results { std::vector<R> whole, sums; };
template <class R> op_results<R> dense_results(op o, tarn::tier t, const op_numbers<R>& p) {
    op_results<R> e{std::vector<R>(p.a.size()), std::vector<R>(static_cast<std::size_t>(p.rows))};
    const auto dense = [&](const std::vector<R>& v) { return tarn::make_view(v.data(), p.rows, p.n); };
    const auto row_numbers = [&](const std::vector<R>& v) { return tarn::make_view(v.data(), p.rows); };
    call_op<R, R, R>(o, tarn::on(t), dense(p.a), dense(p.b), row_numbers(p.c), row_numbers(p.d),
                     tarn::make_view(e.whole.data(), p.rows, p.n), tarn::make_view(e.sums.data(), p.rows));
    return e;
}

// Tests of an operator on a tier.
class op_test : public testing::TestWithParam<std::tuple<tarn::tier, op>> {
protected:
    tarn::tier on() const { return std::get<0>(GetParam()); }
    op of() const { return std::get<1>(GetParam()); }
    void SetUp() override {
        if (!tarn::available(on())) {
            GTEST_SKIP() << why_skipped(on());
        }
    }
};
inline std::string name_of_op(const testing::TestParamInfo<std::tuple<tarn::tier, op>>& instance) {
    return name_of(std::get<0>(instance.param)) + "_" + op_names[static_cast<int>(std::get<1>(instance.param))];
}

} // namespace support

#define TARN_TEST_ON_ALL_OPS(suite)                                                                                    \
    INSTANTIATE_TEST_SUITE_P(                                                                                          \
        on, suite, testing::Combine(testing::ValuesIn(support::all_tiers), testing::ValuesIn(support::all_ops)),       \
        support::name_of_op)
