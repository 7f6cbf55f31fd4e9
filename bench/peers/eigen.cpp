// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax as users of Eigen write it: on the whole matrix, and row by row.
#include <peers/peers.hpp>

#include <Eigen/Core>

namespace bench::softmax_peers {
namespace {

using matrix = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void rows_at_once(const problem& of, const float* from, float* to) {
    const Eigen::Map<const matrix> x(from, of.rows, of.columns);
    Eigen::Map<matrix> y(to, of.rows, of.columns);
    y = (x.colwise() - x.rowwise().maxCoeff()).exp();
    y.colwise() /= y.rowwise().sum().eval();
}

void columns_at_once(const problem& of, const float* from, float* to) {
    const Eigen::Map<const matrix> x(from, of.rows, of.columns);
    Eigen::Map<matrix> y(to, of.rows, of.columns);
    y = (x.rowwise() - x.colwise().maxCoeff()).exp();
    y.rowwise() /= y.colwise().sum().eval();
}

template <class In, class Out> void one_lane(const In& x, Out&& y) {
    y = (x - x.maxCoeff()).exp();
    y /= y.sum();
}

void lane_by_lane(const problem& of, const float* from, float* to) {
    const Eigen::Map<const matrix> x(from, of.rows, of.columns);
    Eigen::Map<matrix> y(to, of.rows, of.columns);
    for (std::ptrdiff_t i = 0; i < of.lanes(); ++i) {
        of.axis == 0 ? one_lane(x.col(i), y.col(i)) : one_lane(x.row(i), y.row(i));
    }
}

constexpr int release_year() {
#if EIGEN_WORLD_VERSION == 3 && EIGEN_MAJOR_VERSION == 4
    return 2021;
#elif EIGEN_WORLD_VERSION == 5
    return 2025;
#else
    return 0;
#endif
}

method peer(const char* name, std::function<void(const float*, float*)> run) {
    method result;
    result.name = name;
    result.kind = role::peer;
    result.version = dotted(EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION);
    result.year = release_year();
    result.run = std::move(run);
    return result;
}

} // namespace

method_list eigen(const problem& of) {
    const auto at_once = of.axis == 0 ? columns_at_once : rows_at_once;
    return {
        peer("Eigen expression", [of, at_once](const float* x, float* y) { at_once(of, x, y); }),
        peer("Eigen lane by lane", [of](const float* x, float* y) { lane_by_lane(of, x, y); }),
    };
}

} // namespace bench::softmax_peers
