// SPDX-License-Identifier: BSD-3-Clause
//
// The three passes with SLEEF's exponential of 1 ulp.
#include <peers/avx2_loops.hpp>
#include <peers/plugin.hpp>

#include <sleef.h>

namespace bench::peers {
namespace {

constexpr int release_year() { return SLEEF_VERSION_MAJOR == 3 && SLEEF_VERSION_MINOR == 5 ? 2020 : 0; }

} // namespace

void add_methods(const problem& of, method_list& methods) {
    method result = avx2_softmax(of, "SLEEF three-pass", role::peer, [](__m256 x) { return Sleef_expf8_u10avx2(x); });
    result.version = dotted(SLEEF_VERSION_MAJOR, SLEEF_VERSION_MINOR, SLEEF_VERSION_PATCHLEVEL);
    result.year = release_year();
    methods.push_back(result);
}

} // namespace bench::peers
