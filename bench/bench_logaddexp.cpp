// SPDX-License-Identifier: BSD-3-Clause
//
// The logarithm of the sum of two exponentials, element by element, against the memory and its peers.
#include "program.hpp"

using bench::element_type;
using bench::in;

int main(int argc, char** argv) {
    const bench::family logaddexp = {
        "logaddexp",
        {bench::op::logaddexp},
        {{64, 1000}, {20000, 3}, in(element_type::float64, {64, 1000}), in(element_type::bfloat16, {64, 1000})},
        {{4096, 1000}},
        {},
        {},
    };
    return bench::run_program(logaddexp, argc, argv);
}
