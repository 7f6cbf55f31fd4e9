// SPDX-License-Identifier: BSD-3-Clause
//
// Weighted k-means of the tokens of vision transformers: 196 tokens to 98 clusters, 5 iterations. One sequence, and
// batches.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family token_cluster = {
        "token_cluster", {bench::op::token_cluster}, {{196, 384}, {196, 64}, {1568, 384}}, {}, {}, {},
    };
    return bench::run_program(token_cluster, argc, argv);
}
