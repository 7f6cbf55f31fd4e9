// SPDX-License-Identifier: BSD-3-Clause
//
// Square roots, cube roots for results that are rounded to floats, and inverse cube roots.
#pragma once

#include <tarn/simd/exp2.hpp>
#include <tarn/simd/float_powers.hpp>
#include <tarn/simd/log.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

namespace kernel {

template <class A> TARN_INLINE floats<A> square_root(floats<A> v, requires_arch<xsimd::sse2>) { return _mm_sqrt_ps(v); }
template <class A> TARN_INLINE doubles<A> square_root(doubles<A> v, requires_arch<xsimd::sse2>) {
    return _mm_sqrt_pd(v);
}
#if XSIMD_WITH_AVX2
template <class A> TARN_INLINE floats<A> square_root(floats<A> v, requires_arch<xsimd::avx2>) {
    return _mm256_sqrt_ps(v);
}
template <class A> TARN_INLINE doubles<A> square_root(doubles<A> v, requires_arch<xsimd::avx2>) {
    return _mm256_sqrt_pd(v);
}
#endif
#if XSIMD_WITH_AVX512F
TARN_AVX512_BEGIN
// With a mask, since g++ 12 warns of the form without.
template <class A> TARN_INLINE floats<A> square_root(floats<A> v, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_sqrt_ps(0xffff, v);
}
template <class A> TARN_INLINE doubles<A> square_root(doubles<A> v, requires_arch<xsimd::avx512f>) {
    return _mm512_maskz_sqrt_pd(0xff, v);
}
TARN_AVX512_END
#endif

} // namespace kernel

template <class A> TARN_INLINE numbers<A> square_root(numbers<A> v) { return kernel::square_root<A>(v, A{}); }

// m^(-1/3) for m from sqrt(1/2) to sqrt(2), 2^-14.7 of it off.
template <class A> TARN_INLINE numbers<A> near_inverse_cube_root(numbers<A> m) {
    const auto number = [](double c) TARN_LAMBDA { return numbers<A>(static_cast<simd::number<A>>(c)); };
    numbers<A> r = fmadd<A>(number(0x1.06e68ac493e12p-3), m, number(-0x1.679f3948b63c2p-1));
    r = fmadd<A>(r, m, number(0x1.8fb1c32ab0c73p+0));
    r = fmadd<A>(r, m, number(-0x1.dca0ffaed4155p+0));
    return fmadd<A>(r, m, number(0x1.dfe07ef9b6107p+0));
}
// 2^(j/3) for j of -1, 0 and 1.
template <class A> TARN_INLINE numbers<A> root_of_power(numbers<A> j) {
    const auto number = [](double c) TARN_LAMBDA { return numbers<A>(static_cast<simd::number<A>>(c)); };
    const numbers<A> below = simd::select<A>(j < number(0.0), number(0.79370052598409973738), number(1.0));
    return simd::select<A>(j > number(0.0), number(1.25992104989487316477), below);
}
// v^(-1/3) of a positive normal number, 2.5 ulp off; no meaning for others.
template <class A> TARN_INLINE numbers<A> inverse_cube_root(numbers<A> v) {
    const auto number = [](double c) TARN_LAMBDA { return numbers<A>(static_cast<simd::number<A>>(c)); };
    numbers<A> m, k;
    kernel::split<A>(v, m, k, A{});
    // k = 3 n + j.
    const numbers<A> to_integer = number(is_double<A> ? 1.5 * 0x1p52 : 1.5 * 0x1p23);
    const numbers<A> n = fmadd<A>(k, number(1.0 / 3), to_integer) - to_integer;
    const numbers<A> j = fmadd<A>(n, number(-3.0), k);
    numbers<A> r = near_inverse_cube_root<A>(m);
    // e: how much m times the cube of r is less than 1. (1 - e)^(-1/3).
    const auto error = [&]() TARN_LAMBDA { return fmadd<A>(number(0.0) - (m * r) * r, r, number(1.0)); };
    const numbers<A> e = error();
    r = fmadd<A>(r * e, fmadd<A>(e, number(2.0 / 9), number(1.0 / 3)), r);
    if constexpr (is_double<A>)
        r = fmadd<A>(r * error(), number(1.0 / 3), r);
    return r * root_of_power<A>(number(0.0) - j) * exp2_of_integer<A>(number(0.0) - n);
}

// The cube root of a positive normal number, 2^-40 of it off; no meaning for others.
template <class A> TARN_INLINE doubles<A> cube_root(doubles<A> v) {
    const auto number = [](double c) TARN_LAMBDA { return doubles<A>(c); };
    doubles<A> m, k;
    kernel::split<A>(v, m, k, A{});
    // k = 3 n + j, j from -1 to 1.
    const doubles<A> to_integer = number(1.5 * 0x1p52);
    const doubles<A> position = fmadd<A>(k, number(1.0 / 3), to_integer);
    const doubles<A> j = fmadd<A>(position - to_integer, number(-3.0), k);
    // e: how much m times the cube of r is less than 1.
    const doubles<A> r = near_inverse_cube_root<A>(m);
    const doubles<A> root = (m * r) * r;
    const doubles<A> e = fmadd<A>(number(0.0) - root, r, number(1.0));
    // (1 - e)^(-2/3).
    const doubles<A> more = fmadd<A>(e, number(5.0 / 9), number(2.0 / 3));
    return exp2_apply<A>(fmadd<A>(root * e, more, root) * root_of_power<A>(j), position);
}

}}}} // namespace tarn::simd
