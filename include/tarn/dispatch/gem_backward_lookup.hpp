// SPDX-License-Identifier: BSD-3-Clause
//
// The gem_backward tables of tarn::dispatch by tier. Included once, by a file compiled for plain x86-64.
#pragma once

#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/gem_table.hpp>

TARN_DEFINE_LOOKUP(gem_backward)
