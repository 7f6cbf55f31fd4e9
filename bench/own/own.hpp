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

// The names of the stores, algorithms and further results that a call can ask for; the first, "", leaves all to the
// library. The named algorithms are about floats and doubles.
std::vector<std::string> ways_of(const problem& of);

// "tarn", or "tarn <way>".
method own_dispatch(const problem& of, const std::string& tier, const std::string& way = "");

// "tarn softmax", or another operator of the same matrix, for families that are measured against it.
method operator_beside(const problem& of, op what, const std::string& tier);

// "tarn two calls", softmax and partial_sort: softmax_top_k of floats or doubles along rows.
method selection_of_softmax(const problem& of, const std::string& tier);

// "tarn float" or "tarn bfloat16", for problems of another type: the same numbers as far as the type has them.
method type_beside(problem of, element_type type, const std::string& tier);

// "tarn one thread", for problems with several.
method one_thread_beside(problem of, const std::string& tier);

// All options at their defaults, compiled into the caller with -march=native.
method own_header_only(const problem& of);

} // namespace bench
