// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients as users of Eigen write them: of the whole matrix, and lane by lane.
#include <peers/eigen.hpp>

namespace bench::peers {
namespace {

// Each gradient three times: of all rows, of all columns, of one lane.
struct softmax_backward {
    template <class In, class Out> static void rows(const In& y, const In& dy, Out& dx) {
        dx = y * (dy.colwise() - (y * dy).rowwise().sum());
    }
    template <class In, class Out> static void columns(const In& y, const In& dy, Out& dx) {
        dx = y * (dy.rowwise() - (y * dy).colwise().sum());
    }
    template <class In, class Out> static void lane(const In& y, const In& dy, Out&& dx) {
        dx = y * (dy - (y * dy).sum());
    }
};

struct log_softmax_backward {
    template <class In, class Out> static void rows(const In& y, const In& dy, Out& dx) {
        dx = dy - y.exp().colwise() * dy.rowwise().sum();
    }
    template <class In, class Out> static void columns(const In& y, const In& dy, Out& dx) {
        dx = dy - y.exp().rowwise() * dy.colwise().sum();
    }
    template <class In, class Out> static void lane(const In& y, const In& dy, Out&& dx) {
        dx = dy - y.exp() * dy.sum();
    }
};

template <class T> Eigen::Map<matrix<T>> output(const problem& of, const operands& a) {
    return {a.of<T>().out, of.rows, of.columns};
}

template <class T, class Gradient> method_list of_two_matrices(const problem& of) {
    const auto at_once = [of](const operands& a) {
        const auto y = input<T>(of, a);
        const auto dy = input<T>(of, a, 1);
        auto dx = output<T>(of, a);
        of.axis == 0 ? Gradient::columns(y, dy, dx) : Gradient::rows(y, dy, dx);
    };
    const auto lane_by_lane = [of](const operands& a) {
        const auto y = input<T>(of, a);
        const auto dy = input<T>(of, a, 1);
        auto dx = output<T>(of, a);
        for (std::ptrdiff_t i = 0; i < of.lanes(); ++i) {
            of.axis == 0 ? Gradient::lane(y.col(i), dy.col(i), dx.col(i))
                         : Gradient::lane(y.row(i), dy.row(i), dx.row(i));
        }
    };
    return eigen_peers(at_once, lane_by_lane);
}

template <class T> method_list logsumexp_backward(const problem& of) {
    using lanes = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;
    const auto at_once = [of](const operands& a) {
        const auto x = input<T>(of, a);
        const lanes lse(a.of<T>().in[1], of.lanes());
        const lanes dlse(a.of<T>().in[2], of.lanes());
        auto dx = output<T>(of, a);
        if (of.axis == 0) {
            dx = (x.rowwise() - lse.transpose()).exp().rowwise() * dlse.transpose();
        } else {
            dx = (x.colwise() - lse).exp().colwise() * dlse;
        }
    };
    const auto lane_by_lane = [of](const operands& a) {
        const auto x = input<T>(of, a);
        const T* lse = a.of<T>().in[1];
        const T* dlse = a.of<T>().in[2];
        auto dx = output<T>(of, a);
        for (std::ptrdiff_t i = 0; i < of.lanes(); ++i) {
            if (of.axis == 0) {
                dx.col(i) = (x.col(i) - lse[i]).exp() * dlse[i];
            } else {
                dx.row(i) = (x.row(i) - lse[i]).exp() * dlse[i];
            }
        }
    };
    return eigen_peers(at_once, lane_by_lane);
}

template <class T> method_list eigen_backward_of(const problem& of) {
    switch (of.what) {
    case op::softmax_backward:
        return of_two_matrices<T, softmax_backward>(of);
    case op::log_softmax_backward:
        return of_two_matrices<T, log_softmax_backward>(of);
    case op::logsumexp_backward:
        return logsumexp_backward<T>(of);
    default:
        return {};
    }
}

} // namespace

method_list eigen_backward(const problem& of) {
    return with_number(of.type, [&](auto zero) { return eigen_backward_of<decltype(zero)>(of); });
}

} // namespace bench::peers
