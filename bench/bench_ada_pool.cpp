// SPDX-License-Identifier: BSD-3-Clause
//
// adaPool of maps, its gradient and adaUnPool, against memcpy of the map and the formula as it is published.
#include "program.hpp"

#include <harness/maps.hpp>

int main(int argc, char** argv) {
    using bench::maps;
    const bench::family ada_pool = {
        "ada_pool",
        {bench::op::ada_pool, bench::op::ada_pool_backward, bench::op::ada_unpool, bench::op::ada_unpool_backward},
        {maps(64, 56, 56), maps(2048, 7, 7), maps(1, 28, 28, 256)},
        {maps(4096, 56, 56), maps(65536, 7, 7), maps(16, 56, 56, 256)},
        {},
        {},
        {bench::window_2x2, bench::window_3x3},
    };
    return bench::run_program(ada_pool, argc, argv);
}
