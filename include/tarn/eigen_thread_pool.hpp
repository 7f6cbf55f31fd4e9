// SPDX-License-Identifier: BSD-3-Clause
//
// Eigen's thread pool as an executor: tarn::on(device) with an Eigen::ThreadPoolDevice splits a call over as many threads as the
// device has, the caller's being one of them. Results have the same bits whatever their number. Nobody waits for a thread that is
// asleep or busy: what it would have done is done by the others.
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

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace tarn { inline namespace v0 {

namespace detail {
template <class T, class = void> struct is_complete : std::false_type {};
template <class T> struct is_complete<T, std::void_t<decltype(sizeof(T))>> : std::true_type {};

// Pieces of a loop, taken one after the other by its caller and by threads of a pool. The caller waits for pieces that were
// begun, never for threads: those that come late find nothing left, so a busy or sleeping pool costs no time and cannot
// block, and calls from its own threads cannot either.
class shared_loop {
public:
    shared_loop(std::ptrdiff_t items, std::ptrdiff_t pieces) : items_(items), pieces_(pieces) {}
    shared_loop(const shared_loop&) = delete;
    shared_loop& operator=(const shared_loop&) = delete;

    // Takes pieces until none is left. f is used only while the caller waits.
    template <class F> void work(F& f) {
        for (std::ptrdiff_t k; (k = next_.fetch_add(1)) < pieces_;) {
            const finished_at_end end{this, 1};
            f(begin_of(k), begin_of(k + 1));
        }
    }
    // Once the caller has no more to do, or is left by an exception: no piece is begun any more, and all are finished.
    void finish() {
        const std::ptrdiff_t begun = next_.exchange(pieces_);
        if (begun < pieces_)
            finished(pieces_ - begun);
        // The last piece of another thread is nearly done: to sleep and be woken up would take longer.
        for (int i = 0; i < 2000 && !all_finished(); ++i)
            __builtin_ia32_pause();
        if (all_finished())
            return;
        std::unique_lock<std::mutex> hold(lock_);
        done_.wait(hold, [&] { return all_finished(); });
    }

private:
    struct finished_at_end {
        shared_loop* loop;
        std::ptrdiff_t count;
        ~finished_at_end() { loop->finished(count); }
    };
    std::ptrdiff_t begin_of(std::ptrdiff_t piece) const {
        return items_ / pieces_ * piece + std::min(piece, items_ % pieces_);
    }
    bool all_finished() const { return finished_.load() >= pieces_; }
    void finished(std::ptrdiff_t count) {
        if (finished_.fetch_add(count) + count < pieces_)
            return;
        const std::lock_guard<std::mutex> hold(lock_);
        done_.notify_one();
    }

    const std::ptrdiff_t items_, pieces_;
    std::atomic<std::ptrdiff_t> next_{0}, finished_{0};
    std::mutex lock_;
    std::condition_variable done_;
};

} // namespace detail

template <> struct executor_traits<Eigen::ThreadPoolDevice> {
    template <class Device, class F>
    static void parallel_for(Device& device, std::ptrdiff_t n, const item_cost& cost, F&& f) {
        static_assert(detail::is_complete<Device>::value,
                      "tarn: define EIGEN_USE_THREADS before the first include of Eigen's Tensor module");
        const Eigen::TensorOpCost of_item(cost.bytes_read, cost.bytes_written, cost.cycles);
        const int threads = n <= 1 ? 1
                                   : Eigen::TensorCostModel<Eigen::ThreadPoolDevice>::numThreads(
                                         static_cast<double>(n), of_item, static_cast<int>(device.numThreads()));
        if (threads <= 1) {
            if (n > 0)
                f(std::ptrdiff_t{0}, n);
            return;
        }
        // Some for each thread, since none of them has a core for itself.
        const auto loop = std::make_shared<detail::shared_loop>(n, std::min<std::ptrdiff_t>(n, 4 * threads));
        struct finished_at_end {
            detail::shared_loop& of;
            ~finished_at_end() { of.finish(); }
        } end{*loop};
        for (int helper = 1; helper < threads; ++helper)
            device.getPool()->Schedule([loop, &f] { loop->work(f); });
        loop->work(f);
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
