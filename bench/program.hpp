// SPDX-License-Identifier: BSD-3-Clause
//
// What the bench programs have in common: all but the family.
#pragma once

#include <harness/problem.hpp>

#include <optional>
#include <vector>

namespace bench {

// Operators, the problems that the targets are about, and whom they are measured against. The problems name no
// operator and no window: each is measured with all of them. Those of another type than float, or of several threads, are
// left out where the command line names types or threads.
struct family {
    const char* name;
    std::vector<op> operators;
    std::vector<problem> hot, cold;                 // in these conditions against everybody
    std::vector<problem> hard;                      // masks, wide ranges and NaN against ordinary input
    std::optional<op> beside;                       // "tarn softmax" of the same matrix, for one, is a yardstick
    std::vector<map_window> windows = {window_2x2}; // of operators on maps, each with all of them
};

inline problem in(element_type type, problem of) {
    of.type = type;
    return of;
}
inline problem on_two_threads(problem of) {
    of.threads = 2;
    return of;
}

// Reads the command line, measures, prints; returns the status of the program.
int run_program(const family& bench, int argc, char** argv);

} // namespace bench
