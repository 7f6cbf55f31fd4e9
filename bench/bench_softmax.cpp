// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of matrices: the library's tiers and algorithms against the limits of the memory and against its peers.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family softmax = {
        "softmax",
        {bench::op::softmax},
        {{64, 1000}, {16, 4096}, {1, 10000}, {4096, 16}, {1024, 64}, {512, 128}, {1, 16}},
        {{65536, 16},
         {65536, 64},
         {16384, 128},
         {4096, 1000},
         {1024, 4096},
         {512, 32000},
         {16, 262144},
         {1, 64000000},
         {1000, 4096, 0}},
        {{4096, 16}, {1024, 64}, {64, 1000}, {16, 4096}},
        false,
    };
    return bench::run_program(softmax, argc, argv);
}
