// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of masked, biased and causally limited matrices and gradients, against softmax and what people write.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family masked_softmax = {
        "masked_softmax",
        {bench::op::masked_softmax, bench::op::biased_softmax, bench::op::causal_softmax,
         bench::op::masked_softmax_backward, bench::op::causal_softmax_backward},
        {{64, 1000}, {16, 4096}, {1024, 64}, {128, 128}, {1000, 1000}},
        {{4096, 1000}, {4096, 4096}},
        {},
        bench::op::softmax,
    };
    return bench::run_program(masked_softmax, argc, argv);
}
