// SPDX-License-Identifier: BSD-3-Clause
//
// The ada_pool tables of tarn::dispatch by tier. Included once, by a file compiled for plain x86-64.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/dispatch/family.hpp>

TARN_DEFINE_LOOKUP(ada_pool)
