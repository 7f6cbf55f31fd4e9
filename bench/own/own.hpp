// SPDX-License-Identifier: BSD-3-Clause
//
// The library as a method of the bench, whatever the problem's operator.
#pragma once

#include <harness/method.hpp>

#include <string>
#include <vector>

namespace bench {

// Tiers that this CPU can run, best first.
std::vector<std::string> available_tiers();

// How the result is stored and which algorithm is named; the plain "tarn" leaves both to the library.
enum class way { automatic, cached, streaming, three_pass_recompute, three_pass_reload };

// Those that the operator knows, automatic first.
std::vector<way> ways_of(op what);

method own_dispatch(const problem& of, const std::string& tier, way how);

// "tarn softmax", for families that are measured against it.
method softmax_beside(const problem& of, const std::string& tier);

// "tarn one thread", for problems with several.
method one_thread_beside(problem of, const std::string& tier);

// All options at their defaults, compiled into the caller with -march=native.
method own_header_only(const problem& of);

} // namespace bench
