// SPDX-License-Identifier: BSD-3-Clause
//
// Max and average pooling of maps, channels first and last, against memcpy of the map and what people use.
#include "program.hpp"

int main(int argc, char** argv) {
    const auto maps = [](std::ptrdiff_t batch, std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t channels) {
        bench::problem of;
        of.batch = batch;
        of.rows = rows;
        of.columns = columns * channels;
        of.channels = channels;
        return of;
    };
    const bench::family pool = {
        {bench::op::max_pool_2x2, bench::op::average_pool_2x2, bench::op::max_pool_3x3_stride_2,
         bench::op::average_pool_3x3_stride_2, bench::op::max_pool_3x3, bench::op::average_pool_3x3},
        {maps(64, 56, 56, 1), maps(2048, 7, 7, 1), maps(1, 28, 28, 256)},
        {maps(4096, 56, 56, 1), maps(16384, 28, 28, 1), maps(65536, 7, 7, 1), maps(16, 56, 56, 256)},
        {},
        false,
    };
    return bench::run_program(pool, argc, argv);
}
