// SPDX-License-Identifier: BSD-3-Clause
//
// SoftPool of maps and its gradient, channels first and last, against memcpy of the map and the formula as it is
// published.
#include "program.hpp"

#include <harness/maps.hpp>

int main(int argc, char** argv) {
    using bench::maps;
    const bench::family soft_pool = {
        "soft_pool",
        {bench::op::soft_pool, bench::op::soft_pool_backward},
        {maps(64, 56, 56), maps(2048, 7, 7), maps(1, 28, 28, 256)},
        {maps(4096, 56, 56), maps(65536, 7, 7), maps(16, 56, 56, 256)},
        {},
        {},
        {bench::window_2x2, bench::window_3x3},
    };
    return bench::run_program(soft_pool, argc, argv);
}
