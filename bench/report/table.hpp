// SPDX-License-Identifier: BSD-3-Clause
//
// What a person reads while the bench runs.
#pragma once

#include <harness/figures.hpp>
#include <harness/machine.hpp>

namespace bench {

void print_machine(const machine_facts& machine, int core); // core: the one the process is bound to; -1: none

// One block for a row of the bench: a line for each method, the yardsticks first.
void print_row(const row& r);

} // namespace bench
