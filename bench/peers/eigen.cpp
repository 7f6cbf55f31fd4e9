// SPDX-License-Identifier: BSD-3-Clause
//
// The operators as users of Eigen write them: on the whole matrix, and lane by lane.
#include <peers/eigen.hpp>
#include <peers/peers.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

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

// Weighted k-means with distances from products of matrices, |c|^2 - 2 x . c.
template <class T> class k_means {
public:
    explicit k_means(const problem& of)
        : of_(of), products_(cluster_tokens, cluster_count), squares_(cluster_count), totals_(cluster_count),
          ranked_(cluster_tokens) {}

    void operator()(const operands& a) {
        for (std::ptrdiff_t i = 0; i < of_.sequences(); ++i) {
            sequence(tokens(a, i), a.of<T>().in[1] + i * cluster_tokens, centres(a, i));
        }
    }
    // The products of the tokens with as many centres, as often as k-means takes them; centres are whatever is there.
    void products_alone(const operands& a) {
        for (std::ptrdiff_t i = 0; i < of_.sequences(); ++i) {
            for (int k = 0; k <= cluster_iterations; ++k) {
                products_.noalias() = tokens(a, i) * tokens(a, i).topRows(cluster_count).transpose();
            }
        }
    }

private:
    using rows = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

    Eigen::Map<const rows> tokens(const operands& a, std::ptrdiff_t i) const {
        return {a.of<T>().in[0] + i * cluster_tokens * of_.columns, cluster_tokens, of_.columns};
    }
    Eigen::Map<rows> centres(const operands& a, std::ptrdiff_t i) const {
        return {a.of<T>().out + i * cluster_count * of_.columns, cluster_count, of_.columns};
    }
    void sequence(const Eigen::Map<const rows>& x, const T* weights, Eigen::Map<rows> c) {
        std::iota(ranked_.begin(), ranked_.end(), std::ptrdiff_t{0});
        std::stable_sort(ranked_.begin(), ranked_.end(), [&](auto a, auto b) { return weights[a] > weights[b]; });
        for (std::ptrdiff_t s = 0; s < cluster_count; ++s) {
            c.row(s) = x.row(ranked_[static_cast<std::size_t>(s)]);
        }
        for (int i = 0; i <= cluster_iterations; ++i) {
            squares_ = c.rowwise().squaredNorm().transpose();
            products_.noalias() = x * c.transpose();
            for (std::ptrdiff_t t = 0; t < cluster_tokens; ++t) {
                (squares_ - 2 * products_.row(t)).minCoeff(&ranked_[static_cast<std::size_t>(t)]);
            }
            if (i == cluster_iterations) {
                return;
            }
            totals_.setZero();
            for (std::ptrdiff_t t = 0; t < cluster_tokens; ++t) {
                totals_(ranked_[static_cast<std::size_t>(t)]) += weights[t];
            }
            for (std::ptrdiff_t s = 0; s < cluster_count; ++s) {
                if (totals_(s) > 0) {
                    c.row(s).setZero();
                }
            }
            for (std::ptrdiff_t t = 0; t < cluster_tokens; ++t) {
                const std::ptrdiff_t s = ranked_[static_cast<std::size_t>(t)];
                if (totals_(s) > 0) {
                    c.row(s) += weights[t] / totals_(s) * x.row(t);
                }
            }
        }
    }

    problem of_;
    rows products_;
    Eigen::Matrix<T, 1, Eigen::Dynamic> squares_, totals_;
    std::vector<std::ptrdiff_t> ranked_; // tokens by weight, then the clusters of tokens
};

template <class T> method_list k_means_with_eigen(const problem& of) {
    method products =
        eigen_peer("products alone", [work = k_means<T>(of)](const operands& a) mutable { work.products_alone(a); });
    products.kind = role::movement;
    return {eigen_peer("Eigen expression", k_means<T>(of)), products};
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
    case op::token_cluster:
        return k_means_with_eigen<T>(of);
    default:
        return {};
    }
}

} // namespace

method_list eigen(const problem& of) {
    return with_number(of.type, [&](auto zero) { return eigen_of<decltype(zero)>(of); });
}

} // namespace bench::peers
