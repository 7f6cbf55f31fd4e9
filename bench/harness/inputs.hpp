// SPDX-License-Identifier: BSD-3-Clause
//
// Logits: ordinary ones, and those that make softmax kernels slow or wrong.
#pragma once

#include <harness/method.hpp>

#include <string>
#include <vector>

namespace bench {

extern const char* const ordinary_input; // "normal": N(0,1)

// The names of all inputs; the ordinary one comes first.
std::vector<std::string> input_names();

// Fills operand `which` of the problem: the first with logits, others with N(0,1). `seed` tells apart several arrays of
// the same kind.
void fill(const std::string& input, const problem& of, std::size_t which, std::size_t seed, float* x);

} // namespace bench
