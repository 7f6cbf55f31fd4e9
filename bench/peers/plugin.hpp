// SPDX-License-Identifier: BSD-3-Clause
//
// What a peer in a shared library of its own defines. The bench loads it with its symbols hidden from all others, so
// that two versions of one library, or libraries that carry copies of each other, run in one process.
#pragma once

#include <harness/method.hpp>

// The function by which the bench enters; it calls add_methods.
#define TARN_BENCH_PLUGIN_ENTRY "tarn_bench_add_methods"

namespace bench::peers {

using plugin_entry = void(const problem&, method_list&);

// Prepares the peer's methods for a problem. Asked only for the operators that the list of peers names.
void add_methods(const problem& of, method_list& methods);

} // namespace bench::peers
