// SPDX-License-Identifier: BSD-3-Clause
//
// The soft_pool tables of tarn::dispatch by tier. Included once, by a file compiled for plain x86-64.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/soft_pool_table.hpp>

TARN_DEFINE_LOOKUP(soft_pool)
