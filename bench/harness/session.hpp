// SPDX-License-Identifier: BSD-3-Clause
//
// One row of a bench, from its methods to its figures.
#pragma once

#include <harness/figures.hpp>

#include <benchmark/benchmark.h>

namespace bench {

// Checks every method's result, times all of them for about `seconds`, and fills of.figures; methods that are missing
// get a figure without times. Runs inside a benchmark that uses manual time: an iteration is a round of all methods.
void measure(benchmark::State& state, row& of, const method_list& methods, double seconds);

} // namespace bench
