// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#define TARN_VERSION_MAJOR 0
#define TARN_VERSION_MINOR 1
#define TARN_VERSION_PATCH 0
