// SPDX-License-Identifier: BSD-3-Clause
//
// Quotients of extents, by shifts and by divisions of 32 and 64 bits.
#include <tarn/kernels/window_geometry.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace {

TEST(quotient, is_that_of_the_language) {
    std::vector<std::ptrdiff_t> numbers;
    for (std::ptrdiff_t i = 0; i < 200; ++i)
        numbers.push_back(i);
    for (int bits = 8; bits < 63; ++bits) {
        for (std::ptrdiff_t i = -2; i <= 2; ++i)
            numbers.push_back((std::ptrdiff_t{1} << bits) + i);
        numbers.push_back((std::ptrdiff_t{3} << (bits - 2)) + 17);
    }
    numbers.push_back(std::numeric_limits<std::ptrdiff_t>::max());
    for (std::ptrdiff_t n : numbers) {
        for (std::ptrdiff_t d : numbers) {
            if (d == 0)
                continue;
            ASSERT_EQ(tarn::kernels::quotient(n, d), n / d) << n << " / " << d;
        }
    }
}

} // namespace
