// SPDX-License-Identifier: BSD-3-Clause
//
// The exact results, to see that all methods compute the same thing.
#pragma once

#include <harness/problem.hpp>

#include <cstddef>
#include <vector>

namespace bench {

class reference {
public:
    // Long shapes are sampled: whole lanes spread over the matrix, or elements spread over long lanes, ends included.
    reference(const problem& of, const operands& arrays);

    // The largest error in units of the last place of the problem's type: of the exact result, or, where parts may cancel,
    // of the parts (see exact.cpp). Infinite if a result is NaN or infinite where it must not be, or not where it must be.
    // T: float, or double for problems of that type.
    template <class T> double max_ulp(const T* y) const;

private:
    struct sample {
        std::ptrdiff_t index; // in the output
        long double value;
        long double unit;      // of the error
        long double tolerance; // errors up to here are none
    };
    template <class T> void add_lane(const problem& of, const operands_of<T>& arrays, std::ptrdiff_t lane);

    element_type type_;
    std::vector<sample> samples_;
};

} // namespace bench
