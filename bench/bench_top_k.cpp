// SPDX-License-Identifier: BSD-3-Clause
//
// The five greatest elements of rows, and of their softmax, against softmax and a separate selection.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family top_k = {
        "top_k",
        {bench::op::top_k, bench::op::softmax_top_k},
        {{64, 1000}, {64, 32000}, {1024, 64}},
        {{512, 32000}, {64, 128256}},
        {},
        bench::op::softmax,
    };
    return bench::run_program(top_k, argc, argv);
}
