// SPDX-License-Identifier: BSD-3-Clause
//
// Logits: ordinary ones, and those that make softmax kernels slow or wrong.
#pragma once

#include <harness/method.hpp>

#include <array>
#include <string>
#include <vector>

namespace bench {

extern const char* const ordinary_input; // "normal": N(0,1)

// The inputs that are compared with the ordinary one, which comes first.
std::vector<std::string> input_names();

// Besides those there is any "normal*<s>", "normal+<s>", "normal-<s>": N(0,1) times, plus or minus a number, and any
// "uniform*<s>": evenly spread over (-s, s).
bool is_input(const std::string& name);

// Fills the inputs of the problem: logits, what an operator returns for them where a gradient takes that, and N(0,1)
// for its own gradient. `seed` tells apart several sets of the same kind.
// T: float or double; doubles are the floats with further digits.
template <class T>
void fill(const std::string& input, const problem& of, std::size_t seed, const std::array<T*, most_inputs>& in);

} // namespace bench
