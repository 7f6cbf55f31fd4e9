// SPDX-License-Identifier: BSD-3-Clause
//
// The operators as users of Eigen write them: on the whole matrix, and lane by lane.
#include <peers/eigen.hpp>
#include <peers/peers.hpp>

namespace bench::peers {
namespace {

// Each operator three times: of all rows, of all columns, of one lane.
struct softmax {
    template <class In, class Out> static void rows(const In& x, Out& y) {
        y = (x.colwise() - x.rowwise().maxCoeff()).exp();
        y.colwise() /= y.rowwise().sum().eval();
    }
    template <class In, class Out> static void columns(const In& x, Out& y) {
        y = (x.rowwise() - x.colwise().maxCoeff()).exp();
        y.rowwise() /= y.colwise().sum().eval();
    }
    template <class In, class Out> static void lane(const In& x, Out&& y) {
        y = (x - x.maxCoeff()).exp();
        y /= y.sum();
    }
};

struct log_softmax {
    template <class In, class Out> static void rows(const In& x, Out& y) {
        y = x.colwise() - x.rowwise().maxCoeff();
        y.colwise() -= y.exp().rowwise().sum().log().eval();
    }
    template <class In, class Out> static void columns(const In& x, Out& y) {
        y = x.rowwise() - x.colwise().maxCoeff();
        y.rowwise() -= y.exp().colwise().sum().log().eval();
    }
    template <class In, class Out> static void lane(const In& x, Out&& y) {
        y = x - x.maxCoeff();
        y -= std::log(y.exp().sum());
    }
};

struct logsumexp {
    template <class In, class Out> static void rows(const In& x, Out& y) {
        y = x.rowwise().maxCoeff();
        y += (x.colwise() - y.col(0)).exp().rowwise().sum().log();
    }
    template <class In, class Out> static void columns(const In& x, Out& y) {
        y = x.colwise().maxCoeff();
        y += (x.rowwise() - y.row(0)).exp().colwise().sum().log();
    }
    template <class In, class Out> static void lane(const In& x, Out&& y) {
        const auto greatest = x.maxCoeff();
        y(0, 0) = greatest + std::log((x - greatest).exp().sum());
    }
};

// An axis that is reduced is left with extent 1.
template <class T> Eigen::Map<matrix<T>> output(const problem& of, const operands& a) {
    return {a.of<T>().out, of.reduces() && of.axis == 0 ? 1 : of.rows, of.reduces() && of.axis != 0 ? 1 : of.columns};
}

template <class T, class Operator> method_list written_with(const problem& of) {
    const auto at_once = [of](const operands& a) {
        const auto x = input<T>(of, a);
        auto y = output<T>(of, a);
        of.axis == 0 ? Operator::columns(x, y) : Operator::rows(x, y);
    };
    const auto lane_by_lane = [of](const operands& a) {
        const auto x = input<T>(of, a);
        auto y = output<T>(of, a);
        for (std::ptrdiff_t i = 0; i < of.lanes(); ++i) {
            of.axis == 0 ? Operator::lane(x.col(i), y.col(i)) : Operator::lane(x.row(i), y.row(i));
        }
    };
    return eigen_peers(at_once, lane_by_lane);
}

template <class T> method_list eigen_of(const problem& of) {
    switch (of.what) {
    case op::softmax:
        return written_with<T, softmax>(of);
    case op::log_softmax:
        return written_with<T, log_softmax>(of);
    case op::logsumexp:
        return written_with<T, logsumexp>(of);
    case op::softmax_backward:
    case op::log_softmax_backward:
    case op::logsumexp_backward:
        return eigen_backward(of);
    case op::masked_softmax:
    case op::biased_softmax:
    case op::causal_softmax:
    case op::softpick:
    case op::token_mean:
    case op::token_max:
    case op::half_token_mean:
    case op::half_token_max:
    case op::top_k:
    case op::softmax_top_k:
    case op::token_merge:
    case op::max_pool:
    case op::average_pool:
    case op::soft_pool:
    case op::ada_pool:
    case op::gem_pool:
    case op::gem_pool_any:
        break;
    }
    return {};
}

} // namespace

method_list eigen(const problem& of) {
    return with_number(of.type, [&](auto zero) { return eigen_of<decltype(zero)>(of); });
}

} // namespace bench::peers
