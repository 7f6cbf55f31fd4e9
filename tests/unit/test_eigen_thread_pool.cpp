// SPDX-License-Identifier: BSD-3-Clause
//
// Operators on Eigen's thread pool: the bits of one thread with any number of them, work that really is shared, pools that are
// busy, and exceptions that reach the caller.
#include <tarn/eigen_thread_pool.hpp>

#include "support/rows.hpp"

#include <tarn/eigen_tensor.hpp>
#include <tarn/log_softmax.hpp>
#include <tarn/softmax_backward.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace {

using namespace support;

constexpr std::ptrdiff_t rows = 300;
constexpr std::ptrdiff_t columns = 1000;

class thread_pool : public tier_test {
protected:
    const std::vector<float> x = normal_logits(rows * columns, 3, 0, 1);

    // Every operator, along both axes.
    template <class Place> std::vector<float> all(const Place& where) const {
        std::vector<float> result;
        const auto in = tarn::make_view(x.data(), rows, columns);
        for (const int axis : {0, 1}) {
            std::vector<float> y(x.size()), ly(x.size()), dx(x.size());
            std::vector<float> lse(static_cast<std::size_t>(axis == 0 ? columns : rows));
            const auto view = [](std::vector<float>& v) { return tarn::make_view(v.data(), rows, columns); };
            tarn::softmax(where, in, view(y), {axis});
            tarn::log_softmax(where, in, view(ly), {axis});
            tarn::logsumexp(where, in, tarn::make_view(lse.data(), static_cast<std::ptrdiff_t>(lse.size())), {axis});
            tarn::softmax_backward(where, view(y), in, view(dx), {axis});
            for (const auto* part : {&y, &ly, &lse, &dx})
                result.insert(result.end(), part->begin(), part->end());
        }
        return result;
    }
};
TARN_TEST_ON_ALL_TIERS(thread_pool);

TEST_P(thread_pool, gives_the_bits_of_one_thread) {
    const auto expected = all(tarn::on(GetParam()));
    for (int threads = 1; threads <= 9; ++threads) {
        Eigen::ThreadPool pool(threads);
        const Eigen::ThreadPoolDevice device(&pool, threads);
        const auto result = all(tarn::on(GetParam(), device));
        ASSERT_EQ("", difference(result.data(), expected.data(), static_cast<std::ptrdiff_t>(result.size())))
            << threads;
    }
}

TEST(eigen_devices, share_the_work) {
    Eigen::ThreadPool pool(4);
    const Eigen::ThreadPoolDevice device(&pool, 4);
    std::mutex lock;
    std::set<std::thread::id> threads;
    std::vector<int> met(64);
    tarn::on(device).parallel_for(64, {1e6, 1e6, 1e9}, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        const std::lock_guard<std::mutex> hold(lock);
        threads.insert(std::this_thread::get_id());
        for (std::ptrdiff_t i = begin; i < end; ++i)
            ++met[static_cast<std::size_t>(i)];
    });
    EXPECT_GT(threads.size(), 1u);
    EXPECT_EQ(met, std::vector<int>(64, 1));
}

TEST(eigen_devices, meet_every_item_once) {
    Eigen::ThreadPool pool(3);
    const Eigen::ThreadPoolDevice device(&pool, 3);
    for (std::ptrdiff_t n = 0; n < 300; ++n) {
        std::vector<std::atomic<int>> met(static_cast<std::size_t>(n));
        tarn::on(device).parallel_for(n, {1e6, 1e6, 1e6}, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i)
                ++met[static_cast<std::size_t>(i)];
        });
        for (const std::atomic<int>& count : met)
            ASSERT_EQ(count, 1) << n;
    }
}

// The caller does all by itself, and threads that come later do nothing.
TEST(eigen_devices, do_not_wait_for_busy_threads) {
    std::mutex gate;
    Eigen::ThreadPool pool(2);
    const Eigen::ThreadPoolDevice device(&pool, 2);
    std::vector<float> x(512 * 1000, 1.0f), y(x.size());
    {
        const std::lock_guard<std::mutex> closed(gate);
        for (int i = 0; i < 2; ++i)
            pool.Schedule([&] { const std::lock_guard<std::mutex> wait(gate); });
        tarn::softmax(tarn::on(device), tarn::make_view(x.data(), 512, 1000), tarn::make_view(y.data(), 512, 1000));
    }
    EXPECT_EQ(std::count(y.begin(), y.end(), 0.001f), static_cast<std::ptrdiff_t>(y.size()));
}

TEST(eigen_devices, may_be_used_in_their_own_threads) {
    Eigen::ThreadPool pool(2);
    const Eigen::ThreadPoolDevice device(&pool, 2);
    std::atomic<int> inner{0};
    tarn::on(device).parallel_for(8, {1e6, 1e6, 1e9}, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin; i < end; ++i)
            tarn::on(device).parallel_for(100, {1e6, 1e6, 1e6}, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
                inner += static_cast<int>(last - first);
            });
    });
    EXPECT_EQ(inner, 800);
}

TEST(eigen_devices, exceptions_reach_the_caller_when_no_piece_runs_any_more) {
    Eigen::ThreadPool pool(3);
    const Eigen::ThreadPoolDevice device(&pool, 3);
    const auto caller = std::this_thread::get_id();
    for (int round = 0; round < 50; ++round) {
        std::atomic<int> running{0};
        std::atomic<bool> over{false};
        bool thrown = false;
        try {
            tarn::on(device).parallel_for(64, {1e6, 1e6, 1e9}, [&](std::ptrdiff_t, std::ptrdiff_t) {
                EXPECT_FALSE(over);
                if (std::this_thread::get_id() == caller)
                    throw std::runtime_error("in the caller's piece");
                ++running;
                std::this_thread::sleep_for(std::chrono::microseconds(200));
                --running;
            });
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        EXPECT_EQ(running, 0);
        over = true;
        EXPECT_TRUE(thrown);
    }
}

TEST(eigen_devices, default_device_is_the_calling_thread) {
    const Eigen::DefaultDevice device;
    Eigen::Tensor<float, 2, Eigen::RowMajor> x(2, 3), y(2, 3);
    x.setValues({{1, 2, 3}, {3, 2, 1}});
    tarn::softmax(tarn::on(device), x, y);
    EXPECT_FLOAT_EQ(y(0, 2), y(1, 0));
    EXPECT_NEAR(y(0, 0) + y(0, 1) + y(0, 2), 1, 1e-6);
}

TEST(eigen_devices, errors_reach_the_caller) {
    Eigen::ThreadPool pool(2);
    const Eigen::ThreadPoolDevice device(&pool, 2);
    std::vector<float> x(6), y(6, -7.0f);
    EXPECT_THROW(tarn::softmax(tarn::on(device), tarn::make_view(x.data(), 2, 3), tarn::make_view(y.data(), 3, 2)),
                 std::invalid_argument);
    EXPECT_EQ(y, std::vector<float>(6, -7.0f));
}

} // namespace
