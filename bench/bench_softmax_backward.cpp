// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of softmax, log-softmax and log-sum-exp of matrices, against the memory and their peers.
#include "program.hpp"

using bench::element_type;
using bench::in;

int main(int argc, char** argv) {
    const bench::family softmax_backward = {
        "softmax_backward",
        {bench::op::softmax_backward, bench::op::log_softmax_backward, bench::op::logsumexp_backward},
        {{64, 1000},
         {1024, 64},
         {1000, 256, 0},
         in(element_type::float64, {64, 1000}),
         in(element_type::bfloat16, {64, 1000}),
         in(element_type::float16, {64, 1000})},
        {{16384, 128},
         {4096, 1000},
         {1024, 4096},
         {1000, 4096, 0},
         in(element_type::bfloat16, {4096, 1000}),
         in(element_type::float16, {4096, 1000})},
        {},
        {},
    };
    return bench::run_program(softmax_backward, argc, argv);
}
