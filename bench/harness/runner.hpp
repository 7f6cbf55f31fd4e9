// SPDX-License-Identifier: BSD-3-Clause
//
// What every bench program does with its rows.
#pragma once

#include <harness/figures.hpp>
#include <harness/machine.hpp>

#include <functional>
#include <string>
#include <vector>

namespace bench {

struct run_settings {
    double seconds = 5; // for each row
    std::string csv;    // file for all figures; empty: none
    machine_facts machine;
};

// Measures the rows, each as a benchmark of Google Benchmark called row::name(); those of one thread bound to one core.
// A row is printed and written as soon as it is finished. `methods_for` is asked once for every row, when its turn has
// come.
void run_rows(std::vector<row> rows, const std::function<method_list(const row&)>& methods_for,
              const run_settings& settings);

} // namespace bench
