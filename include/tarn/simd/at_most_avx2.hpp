// SPDX-License-Identifier: BSD-3-Clause
//
// AVX2 in the place of AVX-512, for kernels that registers of half the size do not make slower.
#pragma once

#include <tarn/simd/arch.hpp>

#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

template <class A>
using at_most_avx2 = target<std::conditional_t<std::is_same<typename A::arch, xsimd::avx512bw>::value,
                                               xsimd::fma3<xsimd::avx2>, typename A::arch>,
                            number<A>>;

}}}} // namespace tarn::simd
