// SPDX-License-Identifier: BSD-3-Clause
//
// Token merging of vision transformers, plan and means, and the gradient of the means: 197 tokens, 16 to merge.
// Keys have 64 channels. One sequence, which L2 all but holds, and batches.
#include "program.hpp"

int main(int argc, char** argv) {
    const bench::family token_merge = {
        "token_merge",
        {bench::op::token_merge, bench::op::token_merge_backward},
        {{197, 768}, {1576, 768}, {1576, 384}},
        {{1576, 768}, {6304, 768}},
        {},
        {},
    };
    return bench::run_program(token_merge, argc, argv);
}
