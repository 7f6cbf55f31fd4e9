// SPDX-License-Identifier: BSD-3-Clause
//
// Times several methods against each other: A B C A B C. Clocks and neighbours disturb all methods of a round alike, so
// the ratio of two times of one round means more than either time.
#pragma once

#include <harness/buffers.hpp>
#include <harness/method.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <vector>

namespace bench {

struct entrant {
    method work;
    std::size_t input = 0; // index into the inputs of the buffers
};

// Seconds per call in every round; NaN in rounds that the entrant sat out.
using samples = std::vector<double>;

// One iteration of `state` is one round. Before an entrant is timed it runs untimed: twice if hot; if cold, until it
// has gone through the last-level cache once, so that it pays for its own dirty lines and for nobody else's. Entrants
// too slow for the budget of `seconds` are timed once.
std::vector<samples> interleave(benchmark::State& state, const std::vector<entrant>& entrants, buffers& data,
                                const problem& of, std::size_t cache_bytes, double seconds);

} // namespace bench
