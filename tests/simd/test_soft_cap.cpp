// SPDX-License-Identifier: BSD-3-Clause
//
// The hyperbolic tangent of kernels/soft_cap.hpp against long double, for floats and doubles.
#include "support/packs.hpp"

#include <tarn/kernels/soft_cap.hpp>

#include <cmath>

namespace {

using namespace support;
namespace simd = tarn::simd;

template <class A> std::vector<simd::number<A>> tangents(const std::vector<simd::number<A>>& u) {
    const tarn::kernels::hyperbolic_tangent<A> tangent;
    std::vector<simd::number<A>> r(u.size());
    for (std::size_t i = 0; i < u.size(); i += static_cast<std::size_t>(simd::lanes<A>))
        simd::store<A>(r.data() + i, tangent(simd::load<A>(u.data() + i)));
    return r;
}

template <class T> void check(int least_exponent) {
    using A = simd::target<arch::arch, T>;
    random_bits random(1);
    std::vector<T> u;
    for (const T edge : {T(0.625), T(22), T(1), T(9), T(0.3)}) {
        for (const T v : {std::nextafter(edge, T(0)), edge, std::nextafter(edge, T(100)), T(-edge)})
            u.push_back(v);
    }
    while (u.size() < 400000) {
        const double m = 1 + static_cast<double>(random.next() >> 12) * 0x1p-52;
        const int e = static_cast<int>(random.below(random.below(2) ? 8 - least_exponent : 9)) - 4;
        u.push_back(static_cast<T>(std::ldexp(random.below(2) ? m : -m, e > 5 ? 5 - e : e)));
    }
    const auto y = tangents<A>(u);
    double worst = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
        const long double exact = std::tanh(static_cast<long double>(u[i]));
        const double error = ulp_error(std::fabs(y[i]), std::fabs(exact));
        worst = std::max(worst, error);
        ASSERT_LE(error, sizeof(T) == 4 ? 3 : 4) << u[i];
        ASSERT_EQ(std::signbit(y[i]), std::signbit(u[i])) << u[i];
    }
    std::printf("    worst %.2f ulp\n", worst);
}

TEST(hyperbolic_tangent, of_floats) { check<float>(-60); }
TEST(hyperbolic_tangent, of_doubles) { check<double>(-400); }

TEST(hyperbolic_tangent, special_values) {
    std::vector<float> u(static_cast<std::size_t>(lanes), 0.0f);
    u[0] = inf;
    u[1] = -inf;
    u[2] = qnan;
    u[3] = 3e38f;
    const auto y = tangents<arch>(u);
    EXPECT_EQ(y[0], 1.0f);
    EXPECT_EQ(y[1], -1.0f);
    EXPECT_TRUE(std::isnan(y[2]));
    EXPECT_EQ(y[3], 1.0f);
    EXPECT_EQ(y[4], 0.0f);
}

} // namespace
