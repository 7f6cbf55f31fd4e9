// SPDX-License-Identifier: BSD-3-Clause
//
// Part of every peer in a shared library: the one symbol that it shows.
#include <peers/plugin.hpp>

extern "C" __attribute__((visibility("default"))) void tarn_bench_add_methods(const bench::problem& of,
                                                                              bench::method_list& methods) {
    bench::peers::add_methods(of, methods);
}
