// SPDX-License-Identifier: BSD-3-Clause
#include <own/calls.hpp>

namespace bench {

method own_header_only(const problem& of) {
    method result = own_method("tarn header-only", "native");
    result.version += " (xsimd " + dotted(XSIMD_VERSION_MAJOR, XSIMD_VERSION_MINOR, XSIMD_VERSION_PATCH) + ")";
    set_calls(result, of, ways.front());
    return result;
}

} // namespace bench
