// SPDX-License-Identifier: BSD-3-Clause
//
// The exact softmax, to see that all methods compute the same thing.
#pragma once

#include <harness/method.hpp>

#include <cstddef>
#include <vector>

namespace bench {

class softmax_reference {
public:
    // Long shapes are sampled: whole lanes spread over the matrix, or elements spread over long lanes, ends included.
    softmax_reference(const problem& of, const float* x);

    // The largest error among results that are normal floats, in units of their last place. Smaller ones may be 0 or
    // denormal. Infinite if a result is NaN where it must not be, not NaN where it must be, or no small number where
    // the exact one is.
    double max_ulp(const float* y) const;

private:
    struct sample {
        std::ptrdiff_t index;
        long double value;
    };
    void add_lane(const problem& of, const float* x, std::ptrdiff_t begin);

    std::vector<sample> samples_;
};

} // namespace bench
