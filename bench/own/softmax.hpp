// SPDX-License-Identifier: BSD-3-Clause
//
// The library's softmax as a method of the bench.
#pragma once

#include <harness/method.hpp>

#include <string>
#include <vector>

namespace bench {

// Tiers that this CPU can run, best first.
std::vector<std::string> available_tiers();

// How the result is stored and which algorithm is named; the plain "tarn" leaves both to the library.
enum class way { automatic, cached, streaming, three_pass_recompute, three_pass_reload };

method softmax_dispatch(const problem& of, const std::string& tier, way how);

// All options at their defaults, compiled into the caller with -march=native.
method softmax_header_only(const problem& of);

} // namespace bench
