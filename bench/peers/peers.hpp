// SPDX-License-Identifier: BSD-3-Clause
//
// What the library is measured against. Every function prepares its methods for one problem; a method that cannot run
// here is returned with the reason, so that the report can name it.
#pragma once

#include <harness/method.hpp>

namespace bench {

// memcpy, NT copy and read-only sum of the first input; triad and NT triad of two that are matrices, which read both
// and write a third.
method_list data_movement(const problem& of);

// Everybody who knows the operator and can use the threads of the problem; `further`: also those who are not part of a
// plain installation of the bench.
method_list peers_for(const problem& of, bool further);

namespace peers {

// On one thread, every operator, floats and doubles.
method_list plain_fast_math(const problem& of); // plain loops, -O3 -march=native -ffast-math
method_list plain_strict(const problem& of);    // the same without -ffast-math
method_list eigen(const problem& of);           // whole matrices, and lane by lane

// On one thread, softmax of floats.
method_list avx2_three_pass(const problem& of);

// A peer in the shared library peer_<file>.so (plugin.hpp). If it is not there, one method with `name` says so and what
// would bring it.
method_list load_peer(const problem& of, const char* file, const char* name, const char* source);

} // namespace peers
} // namespace bench
