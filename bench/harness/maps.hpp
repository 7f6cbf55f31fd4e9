// SPDX-License-Identifier: BSD-3-Clause
//
// Problems on maps.
#pragma once

#include <harness/problem.hpp>

namespace bench {

// One channel: channels first, every map of the batch by itself; several: last.
inline problem maps(std::ptrdiff_t batch, std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t channels = 1) {
    problem of;
    of.batch = batch;
    of.rows = rows;
    of.columns = columns * channels;
    of.channels = channels;
    return of;
}

} // namespace bench
