// SPDX-License-Identifier: BSD-3-Clause
//
// Executors that split loops in inconvenient ways.
#pragma once

#include <tarn/where.hpp>

#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

namespace support {

// Cuts a loop into ranges of 1, 2, 3, ... up to `widest` items, deals them to threads, and runs them backwards.
struct odd_threads {
    int threads;
    std::ptrdiff_t widest;

    template <class F> void parallel_for(std::ptrdiff_t n, const tarn::item_cost&, F&& f) const {
        std::vector<std::pair<std::ptrdiff_t, std::ptrdiff_t>> ranges;
        std::ptrdiff_t width = 1;
        for (std::ptrdiff_t begin = 0; begin < n; begin = ranges.back().second) {
            ranges.emplace_back(begin, begin + width < n ? begin + width : n);
            width = width % widest + 1;
        }
        const auto work = [&](std::size_t first) {
            for (std::size_t i = first; i < ranges.size(); i += static_cast<std::size_t>(threads))
                f(ranges[ranges.size() - 1 - i].first, ranges[ranges.size() - 1 - i].second);
        };
        std::vector<std::thread> pool;
        for (int t = 1; t < threads; ++t)
            pool.emplace_back(work, static_cast<std::size_t>(t));
        work(0);
        for (std::thread& t : pool)
            t.join();
    }
};

} // namespace support
