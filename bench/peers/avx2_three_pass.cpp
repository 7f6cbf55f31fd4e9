// SPDX-License-Identifier: BSD-3-Clause
//
// The three passes with a polynomial of degree 5: the yardstick of the library's AVX2 tier.
#include <peers/avx2_loops.hpp>
#include <peers/peers.hpp>

namespace bench::peers {
namespace {

// exp(x) for x <= 0: x = n ln 2 + t, with ln 2 in a high and a low part. Below ln(2^-126) the result is 0.
inline __m256 exp_of_negative(__m256 x) {
    const __m256 magic = _mm256_set1_ps(0x1.8000FEp23F); // 1.5 * 2^23 + 127: the low bits become a biased exponent
    __m256 n = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p+0F), magic);
    const __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(n), 23));
    n = _mm256_sub_ps(n, magic);
    __m256 t = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62E43p-1F), x);
    t = _mm256_fmadd_ps(n, _mm256_set1_ps(0x1.05C61p-29F), t);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(8.290324360e-3F), t, _mm256_set1_ps(4.189795256e-2F));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(1.666763574e-1F));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(4.999915063e-1F));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(9.999997020e-1F));
    const __m256 result = _mm256_fmadd_ps(_mm256_mul_ps(t, power), p, power);
    return _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(-0x1.5D589Ep6F), _CMP_LT_OS), result);
}

} // namespace

method_list avx2_three_pass(const problem& of) {
    return {avx2_softmax(of, "AVX2 three-pass", role::baseline, [](__m256 x) { return exp_of_negative(x); })};
}

} // namespace bench::peers
