// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of matrices: the library's tiers and algorithms against the limits of the memory and against its peers.
#include "program.hpp"

using bench::element_type;
using bench::in;
using bench::on_two_threads;

int main(int argc, char** argv) {
    const bench::family softmax = {
        "softmax",
        {bench::op::softmax},
        {{64, 1000},
         {16, 4096},
         {1, 10000},
         {4096, 16},
         {2048, 32},
         {1024, 64},
         {512, 128},
         {1, 16},
         {1000, 256, 0},
         in(element_type::float64, {64, 1000}),
         in(element_type::float64, {16, 4096}),
         in(element_type::float64, {1024, 64}),
         in(element_type::bfloat16, {64, 1000}),
         in(element_type::bfloat16, {16, 4096}),
         in(element_type::bfloat16, {1024, 64}),
         in(element_type::float16, {64, 1000}),
         in(element_type::float16, {16, 4096}),
         in(element_type::float16, {1024, 64}),
         on_two_threads({256, 1000}),
         on_two_threads({1024, 1000})},
        {{65536, 16},
         {65536, 64},
         {16384, 128},
         {4096, 1000},
         {1024, 4096},
         {512, 32000},
         {16, 262144},
         {1, 64000000},
         {1000, 4096, 0},
         in(element_type::float64, {1024, 4096}),
         in(element_type::bfloat16, {4096, 1000}),
         in(element_type::bfloat16, {1024, 4096}),
         in(element_type::float16, {4096, 1000}),
         in(element_type::float16, {1024, 4096}),
         on_two_threads({4096, 1000}),
         on_two_threads({1, 64000000}),
         on_two_threads(in(element_type::bfloat16, {1, 64000000}))},
        {{4096, 16}, {1024, 64}, {64, 1000}, {16, 4096}, {1000, 256, 0}},
        {},
    };
    return bench::run_program(softmax, argc, argv);
}
