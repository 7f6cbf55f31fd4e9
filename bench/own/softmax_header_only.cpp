// SPDX-License-Identifier: BSD-3-Clause
#include <own/softmax.hpp>

#include <tarn/softmax.hpp>
#include <tarn/version.hpp>

namespace bench {

method softmax_header_only(const problem& of) {
    method result;
    result.name = "tarn header-only";
    result.kind = role::own;
    result.tier = "native";
    result.version = dotted(TARN_VERSION_MAJOR, TARN_VERSION_MINOR, TARN_VERSION_PATCH) + " (xsimd " +
                     dotted(XSIMD_VERSION_MAJOR, XSIMD_VERSION_MINOR, XSIMD_VERSION_PATCH) + ")";
    result.run = [of](const float* x, float* y) {
        tarn::softmax(tarn::make_view(x, of.rows, of.columns), tarn::make_view(y, of.rows, of.columns), {of.axis});
    };
    return result;
}

} // namespace bench
