// SPDX-License-Identifier: BSD-3-Clause
//
// Log-sum-exp of the rows of matrices, against reading them, softmax of the same matrix and its peers.
#include "program.hpp"

using bench::element_type;
using bench::in;

int main(int argc, char** argv) {
    const bench::family logsumexp = {
        "logsumexp", {bench::op::logsumexp},
        {},          {{4096, 1000}, {1024, 4096}, {1, 64000000}, in(element_type::float16, {4096, 1000})},
        {},          bench::op::softmax,
    };
    return bench::run_program(logsumexp, argc, argv);
}
