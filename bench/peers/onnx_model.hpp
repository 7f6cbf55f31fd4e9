// SPDX-License-Identifier: BSD-3-Clause
//
// An ONNX model of one node, as bytes: what a file of such a model holds.
#pragma once

#include <harness/problem.hpp>

#include <string>

namespace bench::peers {

// "x" in, "y" out, of float or double. Softmax and LogSoftmax of operator set 13 with their axis, ReduceLogSumExp
// without keeping it.
std::string onnx_model(const problem& of);

} // namespace bench::peers
