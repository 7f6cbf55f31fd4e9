// SPDX-License-Identifier: BSD-3-Clause
#include <harness/parts.hpp>

#include <unsupported/Eigen/CXX11/ThreadPool>

#include <map>

namespace bench {

void run_parts(int count, const std::function<void(int)>& part) {
    if (count > 1) {
        static std::map<int, Eigen::ThreadPool> pools;
        Eigen::ThreadPool& pool = pools.try_emplace(count, count - 1).first->second;
        Eigen::Barrier finished(static_cast<unsigned>(count - 1));
        for (int i = 1; i < count; ++i) {
            pool.Schedule([&part, &finished, i] {
                part(i);
                finished.Notify();
            });
        }
        part(0);
        finished.Wait();
    } else {
        part(0);
    }
}

} // namespace bench
