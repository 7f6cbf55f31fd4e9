// SPDX-License-Identifier: BSD-3-Clause
//
// Eigen's thread pool as an executor: tarn::on(device) with an Eigen::ThreadPoolDevice splits a call over its threads. Results have
// the same bits whatever the number of threads.
//
//   Eigen::ThreadPool pool(4);
//   const Eigen::ThreadPoolDevice device(&pool, 4);
//   tarn::softmax(tarn::on(device), x, y);
//
// Include it before Eigen's Tensor module, or define EIGEN_USE_THREADS before that.
#pragma once

#include <tarn/where.hpp>

#if !defined(EIGEN_USE_THREADS)
#define EIGEN_USE_THREADS
#endif
#include <unsupported/Eigen/CXX11/Tensor>

namespace tarn { inline namespace v0 {

namespace detail {
template <class T, class = void> struct is_complete : std::false_type {};
template <class T> struct is_complete<T, std::void_t<decltype(sizeof(T))>> : std::true_type {};
} // namespace detail

template <> struct executor_traits<Eigen::ThreadPoolDevice> {
    template <class Device, class F>
    static void parallel_for(Device& device, std::ptrdiff_t n, const item_cost& cost, F&& f) {
        static_assert(detail::is_complete<Device>::value,
                      "tarn: define EIGEN_USE_THREADS before the first include of Eigen's Tensor module");
        const Eigen::TensorOpCost of_item(cost.bytes_read, cost.bytes_written, cost.cycles);
        device.parallelFor(n, of_item, [&f](Eigen::Index begin, Eigen::Index end) { f(begin, end); });
    }
};

// Runs everything in the calling thread.
template <> struct executor_traits<Eigen::DefaultDevice> {
    template <class Device, class F> static void parallel_for(Device&, std::ptrdiff_t n, const item_cost&, F&& f) {
        if (n > 0)
            f(std::ptrdiff_t{0}, n);
    }
};

}} // namespace tarn
