// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax of matrices, against softmax of the same matrix, the limits of the memory and its peers.
#include "program.hpp"

using bench::element_type;
using bench::in;

int main(int argc, char** argv) {
    const bench::family log_softmax = {
        "log_softmax",
        {bench::op::log_softmax},
        {{64, 1000},
         {16, 4096},
         {1, 10000},
         {4096, 16},
         {2048, 32},
         {1024, 64},
         {1000, 256, 0},
         in(element_type::float64, {64, 1000}),
         in(element_type::bfloat16, {64, 1000}),
         in(element_type::float16, {64, 1000})},
        {{65536, 64},
         {4096, 1000},
         {1024, 4096},
         {1000, 4096, 0},
         in(element_type::bfloat16, {4096, 1000}),
         in(element_type::float16, {4096, 1000})},
        {},
        bench::op::softmax,
    };
    return bench::run_program(log_softmax, argc, argv);
}
