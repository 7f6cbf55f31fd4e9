// SPDX-License-Identifier: BSD-3-Clause
//
// Log-softmax of matrices, against softmax of the same matrix, the limits of the memory and its peers.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family log_softmax = {
        "log_softmax",
        {bench::op::log_softmax},
        {{64, 1000}, {16, 4096}, {1, 10000}, {1024, 64}},
        {{65536, 64}, {4096, 1000}, {1024, 4096}},
        {},
        true,
    };
    return bench::run_program(log_softmax, argc, argv);
}
