// SPDX-License-Identifier: BSD-3-Clause
//
// The tables of clusters of tokens of tarn::dispatch by tier. Included once, by a file compiled for plain x86-64.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/token_cluster_table.hpp>

TARN_DEFINE_LOOKUP(token_cluster)
