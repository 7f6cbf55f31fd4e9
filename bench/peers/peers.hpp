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

namespace peers {

// Every operator.
method_list plain_fast_math(const problem& of); // plain loops, -O3 -march=native -ffast-math
method_list plain_strict(const problem& of);    // the same without -ffast-math
method_list eigen(const problem& of);           // whole matrices, and lane by lane

method_list onednn(const problem& of);          // softmax, log_softmax and their gradients; of others nothing
method_list avx2_three_pass(const problem& of); // softmax

} // namespace peers
} // namespace bench
