// SPDX-License-Identifier: BSD-3-Clause
//
// Where operators find the conversion kernels of a tier.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/dispatch/family.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/convert_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(convert)
