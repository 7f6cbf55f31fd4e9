// SPDX-License-Identifier: BSD-3-Clause
//
// States of a softmax that the rows of matrices are pushed to, or merged from, against log-sum-exp of the same matrix.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family softmax_state = {
        "softmax_state",      {bench::op::softmax_state, bench::op::state_merge}, {{64, 1000}, {16, 4096}}, {}, {},
        bench::op::logsumexp,
    };
    return bench::run_program(softmax_state, argc, argv);
}
