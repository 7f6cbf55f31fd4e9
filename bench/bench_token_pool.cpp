// SPDX-License-Identifier: BSD-3-Clause
//
// Mean and max of tokens, all and half of them, and their gradients, against memcpy and what people write.
#include "program.hpp"

int main(int argc, char** argv) {
    const auto batch = [](std::ptrdiff_t sequences, std::ptrdiff_t tokens, std::ptrdiff_t channels) {
        bench::problem of;
        of.batch = sequences;
        of.rows = tokens;
        of.columns = channels;
        of.axis = 0;
        return of;
    };
    const bench::family token_pool = {
        "token_pool",
        {bench::op::token_mean, bench::op::token_max, bench::op::half_token_mean, bench::op::half_token_max,
         bench::op::token_mean_backward, bench::op::token_max_backward},
        {batch(4, 128, 384), batch(8, 32, 768)},
        {batch(32, 512, 768)},
        {},
        {},
    };
    return bench::run_program(token_pool, argc, argv);
}
