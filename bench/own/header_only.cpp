// SPDX-License-Identifier: BSD-3-Clause
//
// Compiled once for every group of calls.hpp, named by TARN_BENCH_GROUP; a program has that of its operators.
#include <own/calls.hpp>

namespace bench {

method own_header_only(const problem& of) {
    using group = TARN_BENCH_GROUP;
    method result = own_method("tarn header-only", "native");
    result.version += " (xsimd " + dotted(XSIMD_VERSION_MAJOR, XSIMD_VERSION_MINOR, XSIMD_VERSION_PATCH) + ")";
    // Every type of numbers is all kernels once more, minutes of compilation each.
    if (of.type != element_type::float32) {
        result.missing = "compiled for floats only";
    } else if (!group::has(of.what)) {
        result.missing = "not compiled into this program";
    } else {
        result.run = group::make<float>(of, ways.front());
        result.prepare = group::preparation<float>(of);
    }
    return result;
}

} // namespace bench
