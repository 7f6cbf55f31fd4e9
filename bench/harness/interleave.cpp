// SPDX-License-Identifier: BSD-3-Clause
#include <harness/interleave.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

namespace bench {
namespace {

constexpr double hot_slot = 200e-6; // seconds an entrant runs at least, where the clock would not see one call
constexpr double slow_share = 0.05; // of the budget, in one round
constexpr int fewest_rounds = 5;
constexpr int most_rounds = 999;
constexpr auto until_threads_sleep = std::chrono::milliseconds(5); // they spin a while after their last work

// What an entrant does in one round.
struct slot {
    std::ptrdiff_t untimed = 0;
    std::ptrdiff_t timed = 1;
    bool slow = false;
};

double time_calls(const entrant& one, buffers& data, std::ptrdiff_t calls) {
    const auto start = std::chrono::steady_clock::now();
    for (std::ptrdiff_t call = 0; call < calls; ++call) {
        one.work.run(data.next(one.input));
        benchmark::ClobberMemory();
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double estimate_call(const entrant& one, buffers& data) {
    double call = time_calls(one, data, 1);
    for (int repeat = 0; repeat < 2 && call < 50 * hot_slot; ++repeat) {
        call = std::min(call, time_calls(one, data, 1));
    }
    if (call < hot_slot / 100) {
        constexpr int calls = 64;
        call = time_calls(one, data, calls) / calls;
    }
    return std::max(call, 1e-9);
}

slot plan(double call, const buffers& data, const problem& of, std::size_t cache_bytes, double seconds) {
    slot result;
    if (data.state() == condition::hot) {
        result.untimed = 2;
        result.timed = std::max<std::ptrdiff_t>(1, std::lround(hot_slot / call));
    } else {
        result.untimed = static_cast<std::ptrdiff_t>((cache_bytes + of.bytes() - 1) / of.bytes());
        result.timed = result.untimed;
    }
    result.slow = call * static_cast<double>(result.untimed + result.timed) > slow_share * seconds;
    return result;
}

// Returns the seconds that were timed.
double run_round(const std::vector<entrant>& entrants, const std::vector<slot>& slots, buffers& data, int threads,
                 bool first, std::vector<samples>& times) {
    double total = 0;
    for (std::size_t i = 0; i < entrants.size(); ++i) {
        if (slots[i].slow && !first) {
            times[i].push_back(std::numeric_limits<double>::quiet_NaN());
            continue;
        }
        if (threads > 1) {
            std::this_thread::sleep_for(until_threads_sleep);
        }
        time_calls(entrants[i], data, slots[i].untimed);
        const double seconds = time_calls(entrants[i], data, slots[i].timed);
        times[i].push_back(seconds / static_cast<double>(slots[i].timed));
        total += seconds;
    }
    return total;
}

} // namespace

std::vector<samples> interleave(benchmark::State& state, const std::vector<entrant>& entrants, buffers& data,
                                const problem& of, std::size_t cache_bytes, double seconds) {
    std::vector<slot> slots;
    double round_seconds = 0;
    for (const entrant& one : entrants) {
        const double call = estimate_call(one, data);
        slots.push_back(plan(call, data, of, cache_bytes, seconds));
        if (!slots.back().slow) {
            round_seconds += call * static_cast<double>(slots.back().untimed + slots.back().timed);
            round_seconds += of.threads > 1 ? std::chrono::duration<double>(until_threads_sleep).count() : 0;
        }
    }
    const double affordable = round_seconds > 0 ? seconds / round_seconds : 0;
    const auto rounds = static_cast<int>(std::clamp<double>(affordable, fewest_rounds, most_rounds));

    std::vector<samples> times(entrants.size());
    while (state.KeepRunningBatch(rounds)) {
        for (int round = 0; round < rounds; ++round) {
            state.SetIterationTime(run_round(entrants, slots, data, of.threads, round == 0, times));
            data.skip();
        }
    }
    return times;
}

} // namespace bench
