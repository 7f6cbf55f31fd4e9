// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of the ten greatest elements of rows, and its cross-entropy, against a partial sort and its softmax.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family sparse_softmax = {
        "sparse_softmax",
        {bench::op::sparse_softmax, bench::op::sparse_softmax_loss},
        {{64, 1000}, {64, 32000}, {1024, 64}},
        {{512, 32000}, {64, 128256}},
        {},
        bench::op::softmax,
    };
    return bench::run_program(sparse_softmax, argc, argv);
}
