// SPDX-License-Identifier: BSD-3-Clause
#include <own/calls.hpp>

namespace bench {

method own_header_only(const problem& of) {
    method result = own_method("tarn header-only", "native");
    result.version += " (xsimd " + dotted(XSIMD_VERSION_MAJOR, XSIMD_VERSION_MINOR, XSIMD_VERSION_PATCH) + ")";
    // Every type of numbers is all kernels once more, minutes of compilation each.
    if (of.type == element_type::float32) {
        result.run = call_in<float>(of, ways.front());
        result.prepare = preparation_of(of);
    } else {
        result.missing = "compiled for floats only";
    }
    return result;
}

} // namespace bench
