// SPDX-License-Identifier: BSD-3-Clause
//
// Softpick of matrices and its gradient, against softmax and what its authors write.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family softpick = {
        "softpick",
        {bench::op::softpick, bench::op::softpick_backward},
        {{64, 1000}, {16, 4096}, {1024, 64}},
        {{4096, 1000}, {1024, 4096}},
        {},
        bench::op::softmax,
    };
    return bench::run_program(softpick, argc, argv);
}
