// SPDX-License-Identifier: BSD-3-Clause
//
// Uses of operands that must not compile, one per value of TARN_CASE; cases.txt has the message each must give, run.py
// checks them. Case 0 must compile. TARN_THROUGH_SOFTMAX = 1: by a call of tarn::softmax instead of the view functions.
// Cases from 50 on are mistakes in a call of an operator with good operands: of tarn::softmax, from 60 on of the others.
#if TARN_CASE == 1
#include <Eigen/Core>
#include <tarn/tensor_view.hpp>
#elif TARN_CASE <= 19 || (TARN_CASE >= 40 && TARN_CASE < 60)
#include <tarn/eigen.hpp>
#elif TARN_CASE <= 29
#include <tarn/eigen_tensor.hpp>
#elif TARN_CASE >= 60
#include <tarn/log_softmax.hpp>
#endif
#include <tarn/range.hpp>

#include <complex>
#include <list>

#if TARN_THROUGH_SOFTMAX || TARN_CASE >= 50
#include <tarn/softmax.hpp>
template <class X, class Y> void call(const X& x, Y&& y) { tarn::softmax(x, static_cast<Y&&>(y)); }
#else
template <class X, class Y> void call(const X& x, Y&& y) {
    (void)tarn::detail::input_view(x);
    (void)tarn::detail::output_view(static_cast<Y&&>(y));
}
#endif

#if TARN_CASE <= 19 || (TARN_CASE >= 40 && TARN_CASE < 60)
using matrix = Eigen::MatrixXf;

#if TARN_CASE >= 50
struct executor {
    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&& f) const {
        f(std::ptrdiff_t{0}, n);
    }
};
const executor const_executor();
#endif

void test(matrix& x, matrix& y, const matrix& fixed) {
    (void)x, (void)y, (void)fixed;
#if TARN_CASE == 0
    call(x, y);
    call(fixed, y.leftCols(2));
    call(std::vector<float>(3), x.row(0));
#elif TARN_CASE == 1
    call(x, y);
#elif TARN_CASE == 2
    call(x.data(), y);
#elif TARN_CASE == 3
    call(x, fixed);
#elif TARN_CASE == 4
    call(x, Eigen::Map<const matrix>(y.data(), 2, 3));
#elif TARN_CASE == 5
    call(x, fixed.leftCols(2));
#elif TARN_CASE == 6
    call(x, matrix(2, 3));
#elif TARN_CASE == 7
    call(x, static_cast<matrix&&>(y));
#elif TARN_CASE == 8
    call(x + y, y);
#elif TARN_CASE == 9
    call(x, x + y);
#elif TARN_CASE == 10
    call((2 * x).leftCols(2), y);
#elif TARN_CASE == 11
    call(x, (x * y).transpose());
#elif TARN_CASE == 12
    call(x, y.reshaped<Eigen::RowMajor>(3, 2));
#elif TARN_CASE == 13
    call(x.triangularView<Eigen::Lower>(), y);
#elif TARN_CASE == 14
    call(x(Eigen::seq(0, 2, 2), Eigen::seq(0, 2)), y);
#elif TARN_CASE == 15
    call(x, y(Eigen::seq(0, 2, 2), Eigen::seq(0, 2)).transpose());
#elif TARN_CASE == 16
    call(x, Eigen::Ref<const matrix>(y));
#elif TARN_CASE == 17
    call(x, 2.0f);
#elif TARN_CASE == 18
    const float result = 0;
    call(x, result);
#elif TARN_CASE == 40
    tarn::optional_view<const float> mask(matrix(2, 3));
    (void)mask;
#elif TARN_CASE == 41
    tarn::optional_view<const bool> mask = x;
    (void)mask;
#elif TARN_CASE == 42
    tarn::optional_view<float> lse = fixed;
    (void)lse;
#elif TARN_CASE == 50
    call(x.cast<double>().eval(), y);
#elif TARN_CASE == 51
    Eigen::MatrixXd result(2, 3);
    call(x, result);
#elif TARN_CASE == 52
    call(x, y.row(0));
#elif TARN_CASE == 53
    float result = 0;
    call(1.0f, result);
#elif TARN_CASE == 54
    tarn::softmax(tarn::on(executor{}), x, y);
#elif TARN_CASE == 55
    tarn::softmax(tarn::on(tarn::tier::sse2, executor{}, tarn::scratch{}), x, y);
#elif TARN_CASE == 56
    tarn::softmax(tarn::on(const_executor()), x, y);
#else
#error "no such case"
#endif
}

#elif TARN_CASE <= 29
using tensor = Eigen::Tensor<float, 3>;

void test(tensor& x, tensor& y) {
#if TARN_CASE == 20
    call(Eigen::TensorRef<tensor>(x + y), y);
#elif TARN_CASE == 21
    call(x, Eigen::TensorRef<tensor>(y));
#elif TARN_CASE == 22
    call(x + y, y);
#elif TARN_CASE == 23
    call(x, y.slice(y.dimensions(), y.dimensions()));
#elif TARN_CASE == 24
    Eigen::Tensor<float, 6> big;
    call(big, y);
    (void)x;
#elif TARN_CASE == 25
    call(x, tensor(2, 3, 4));
    (void)y;
#elif TARN_CASE == 26
    call(x, Eigen::TensorMap<const tensor>(y.data(), 2, 3, 4));
#else
#error "no such case"
#endif
}

#elif TARN_CASE >= 60
void test(const std::vector<float>& x, std::vector<float>& y, std::vector<double>& d) {
    (void)x, (void)y, (void)d;
    const auto block = tarn::make_view(x.data(), 2, 3, 4);
    (void)block;
#if TARN_CASE == 60
    std::vector<int> whole(3);
    tarn::log_softmax(whole, whole);
#elif TARN_CASE == 61
    tarn::log_softmax(x, d);
#elif TARN_CASE == 62
    tarn::log_softmax(block, y);
#elif TARN_CASE == 63
    tarn::log_softmax(1.0f, y[0]);
#elif TARN_CASE == 64
    tarn::log_softmax(x, std::vector<float>(3));
#elif TARN_CASE == 65
    tarn::logsumexp(d, y[0]);
#elif TARN_CASE == 66
    tarn::logmeanexp(x, d[0]);
#elif TARN_CASE == 67
    tarn::softmax(x, y, tarn::make_view(y.data(), 3, 1));
#elif TARN_CASE == 68
    tarn::logsumexp(x, tarn::make_view(y.data(), 3, 1));
#elif TARN_CASE == 69
    tarn::logmeanexp(1.0f, y[0]);
#elif TARN_CASE == 70
    tarn::logsumexp(x, 2.0f);
#elif TARN_CASE == 71
    tarn::logmeanexp(x, x[0]);
#else
#error "no such case"
#endif
}

#else
void test(std::vector<float>& x, std::vector<float>& y) {
    (void)x, (void)y;
#if TARN_CASE == 30
    call(x, std::vector<float>(3));
#elif TARN_CASE == 31
    std::vector<bool> bits(3);
    call(bits, y);
#elif TARN_CASE == 32
    std::vector<bool> bits(3);
    call(x, bits);
#elif TARN_CASE == 33
    call(std::list<float>(), y);
#elif TARN_CASE == 34
    call(x, static_cast<const std::vector<float>&>(y));
#elif TARN_CASE == 35
    call(x, std::array<float, 3>{});
#elif TARN_CASE == 36
    call(x, tarn::make_view(static_cast<const float*>(y.data()), 3));
#elif TARN_CASE == 37
    (void)tarn::make_view(x.data(), tarn::extents{2, 3}, tarn::strides{1});
#elif TARN_CASE == 38
    (void)tarn::make_view(x.data(), 2.0);
#elif TARN_CASE == 39
    (void)tarn::make_view(x.data(), 1, 2, 3, 4, 5, 6);
#else
#error "no such case"
#endif
}
#endif
