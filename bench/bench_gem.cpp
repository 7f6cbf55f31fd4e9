// SPDX-License-Identifier: BSD-3-Clause
//
// Generalized means of maps and windows, p = 3 and any p, and their gradients, against memcpy and what people write.
#include "program.hpp"

#include <harness/maps.hpp>

int main(int argc, char** argv) {
    using bench::maps;
    const bench::family gem = {
        "gem",
        {bench::op::gem_pool, bench::op::gem_pool_any, bench::op::gem_pool_backward, bench::op::gem_pool_backward_any},
        {maps(64, 56, 56), maps(1, 28, 28, 256)},
        {maps(4096, 56, 56), maps(65536, 7, 7), maps(16, 56, 56, 256)},
        {},
        {},
        {bench::whole_map, bench::window_2x2},
    };
    return bench::run_program(gem, argc, argv);
}
