// SPDX-License-Identifier: BSD-3-Clause
//
// What the files about Eigen have in common.
#pragma once

#include <harness/method.hpp>

#include <Eigen/Core>

#include <utility>

namespace bench::peers {

method_list eigen_backward(const problem& of); // the part of eigen() that is about gradients

// T is float or double.
template <class T> using matrix = Eigen::Array<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T> Eigen::Map<const matrix<T>> input(const problem& of, const operands& a, std::size_t k = 0) {
    return {a.of<T>().in[k], of.rows, of.columns};
}

constexpr int eigen_release_year() {
#if EIGEN_WORLD_VERSION == 3 && EIGEN_MAJOR_VERSION == 4
    return 2021;
#elif EIGEN_WORLD_VERSION == 5
    return 2025;
#else
    return 0;
#endif
}

inline method eigen_peer(const char* name, std::function<void(const operands&)> run) {
    method result;
    result.name = name;
    result.kind = role::peer;
    result.version = dotted(EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION);
    result.year = eigen_release_year();
    result.run = std::move(run);
    return result;
}

inline method_list eigen_peers(std::function<void(const operands&)> at_once,
                               std::function<void(const operands&)> lane_by_lane) {
    return {eigen_peer("Eigen expression", std::move(at_once)),
            eigen_peer("Eigen lane by lane", std::move(lane_by_lane))};
}

} // namespace bench::peers
