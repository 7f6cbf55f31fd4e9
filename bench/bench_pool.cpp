// SPDX-License-Identifier: BSD-3-Clause
//
// Max and average pooling of maps and their gradients, channels first and last, against memcpy of the map and what
// people use.
#include "program.hpp"

#include <harness/maps.hpp>

int main(int argc, char** argv) {
    using bench::maps;
    const bench::family pool = {
        "pool",
        {bench::op::max_pool, bench::op::average_pool, bench::op::max_pool_backward, bench::op::average_pool_backward},
        {maps(64, 56, 56), maps(2048, 7, 7), maps(1, 28, 28, 256)},
        {maps(4096, 56, 56), maps(16384, 28, 28), maps(65536, 7, 7), maps(16, 56, 56, 256)},
        {},
        {},
        {bench::window_2x2, bench::window_3x3_stride_2, bench::window_3x3},
    };
    return bench::run_program(pool, argc, argv);
}
