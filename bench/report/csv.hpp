// SPDX-License-Identifier: BSD-3-Clause
//
// Every figure in a file for programs, written row by row so that an interrupted run keeps what it has.
#pragma once

#include <harness/figures.hpp>
#include <harness/machine.hpp>

#include <fstream>
#include <string>

namespace bench {

class csv_writer {
public:
    // Starts the file anew, with the machine in comment lines (#). An empty path writes nothing.
    csv_writer(const std::string& path, const machine_facts& machine);

    void write(const row& r);

private:
    std::ofstream out_;
};

} // namespace bench
