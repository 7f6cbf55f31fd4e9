// SPDX-License-Identifier: BSD-3-Clause
//
// kernels/row_sum.hpp: the order of a row's sum, bit by bit against a plain model of it, and the greatest logit of a
// row.
#include "support/guarded.hpp"
#include "support/packs.hpp"

#include <tarn/kernels/row_sum.hpp>

#include <cstring>

namespace {

using namespace support;
namespace kernels = tarn::kernels;
namespace simd = tarn::simd;

// A weight that changes nothing: sums are sums of the numbers themselves.
struct same_weight {
    pack operator()(const pack& v) const { return v; }
};

// Packs 2j and 2j + 1 as floats, lane by lane in double; the 16 lanes of every 65536 elements in halves; chunks in
// turn.
double model_sum(const std::vector<float>& x) {
    double sum = 0;
    for (std::size_t chunk = 0; chunk < x.size(); chunk += 65536) {
        const std::size_t end = std::min(x.size(), chunk + 65536);
        const auto value = [&](std::size_t i) { return i < end ? x[i] : 0.0f; };
        double lane[16] = {};
        for (std::size_t i = chunk; i < end; i += 32) {
            for (std::size_t l = 0; l < 16; ++l)
                lane[l] += static_cast<double>(value(i + l) + value(i + 16 + l));
        }
        for (std::size_t half = 8; half > 0; half /= 2) {
            for (std::size_t l = 0; l < half; ++l)
                lane[l] += lane[l + half];
        }
        sum += lane[0];
    }
    return sum;
}

std::vector<float> numbers(std::ptrdiff_t n) {
    random_bits random(static_cast<std::uint64_t>(n));
    std::vector<float> x;
    for (std::ptrdiff_t i = 0; i < n; ++i)
        x.push_back(std::fabs(random_float(random, 20)));
    return x;
}

TEST(weigh_row, adds_in_the_order_of_the_row_length) {
    std::vector<std::ptrdiff_t> lengths = {1000, 4096, 65535, 65536, 65537, 65536 + 33, 3 * 65536 + 17};
    for (std::ptrdiff_t n = 1; n <= 200; ++n)
        lengths.push_back(n);
    for (const std::ptrdiff_t n : lengths) {
        const std::vector<float> x = numbers(n);
        std::vector<float> e(x.size() + 1, -7.0f);
        const double sum = kernels::weigh_row<arch>(same_weight{}, kernels::unit_source<arch>{x.data()},
                                                    kernels::unit_sink<arch>{e.data()}, n);
        const double without_sink =
            kernels::weigh_row<arch>(same_weight{}, kernels::unit_source<arch>{x.data()}, kernels::no_sink{}, n);
        const double expected = model_sum(x);
        ASSERT_EQ(std::memcmp(&sum, &expected, sizeof sum), 0) << n;
        ASSERT_EQ(std::memcmp(&without_sink, &expected, sizeof sum), 0) << n;
        ASSERT_EQ(std::memcmp(e.data(), x.data(), x.size() * sizeof(float)), 0) << n;
        ASSERT_EQ(e.back(), -7.0f) << n;
    }
}

TEST(greatest_of_row, finds_it_at_every_place_and_passes_over_nan) {
    for (const std::ptrdiff_t n : {1, 5, 15, 16, 17, 63, 64, 65, 100, 130}) {
        guarded_floats memory(n);
        float* const x = memory.against_end(n);
        for (std::ptrdiff_t at = 0; at < n; ++at) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                x[i] = -static_cast<float>(i + 2);
            x[at] = 0.5f;
            if (at > 0)
                x[at - 1] = qnan;
            float greatest = 0;
            float least = 0;
            ASSERT_EQ("", fault_in([&] {
                          const kernels::unit_source<arch> row{x};
                          greatest = kernels::greatest_of_row<arch>(row, n, 1.0f);
                          least = kernels::greatest_of_row<arch>(row, n, -1.0f);
                      }));
            ASSERT_EQ(greatest, 0.5f) << at << " of " << n;
            float expected = inf;
            for (std::ptrdiff_t i = 0; i < n; ++i)
                expected = x[i] < expected ? x[i] : expected;
            ASSERT_EQ(least, expected) << at << " of " << n;
        }
    }
    const float none[20] = {qnan, qnan, qnan, qnan, qnan};
    EXPECT_EQ(kernels::greatest_of_row<arch>(kernels::unit_source<arch>{none}, 5, 1.0f), -inf);
    EXPECT_EQ(kernels::greatest_of_row<arch>(kernels::unit_source<arch>{none}, 5, -1.0f), inf);
}

} // namespace
