// SPDX-License-Identifier: BSD-3-Clause
//
// The tables of the gradient of masked softmax of tarn::dispatch by tier. Included once, by a file compiled for plain
// x86-64.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/masked_softmax_table.hpp>

TARN_DEFINE_LOOKUP(masked_softmax_backward)
