// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// Name and value of what a reader must know to judge the figures.
using machine_facts = std::vector<std::pair<std::string, std::string>>;

// Binds the process to one core, always the same, and returns its number; -1 if the system refuses.
int pin_to_one_core();
// Lets it run on all cores that it could before.
void release_cores();

std::size_t last_level_cache_bytes();

// "g++ 12.2.0", and the year of that major version (0: not known).
std::string compiler_version();
int compiler_year();

// "machine" is the name by which figures of different CPUs are kept apart.
machine_facts describe_machine();

} // namespace bench
