// SPDX-License-Identifier: BSD-3-Clause
//
// What the bench programs have in common: all but the family.
#pragma once

#include <harness/problem.hpp>

#include <vector>

namespace bench {

// Operators, the problems that the targets are about, and whom they are measured against. The problems name no
// operator: each is measured with all of them.
struct family {
    std::vector<op> operators;      // the first gives the family its name
    std::vector<problem> hot, cold; // in these conditions against everybody
    std::vector<problem> hard;      // masks, wide ranges and NaN against ordinary input
    bool beside_softmax;            // "tarn softmax" of the same problem is a yardstick
};

// Reads the command line, measures, prints; returns the status of the program.
int run_program(const family& bench, int argc, char** argv);

} // namespace bench
