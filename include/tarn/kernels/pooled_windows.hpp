// SPDX-License-Identifier: BSD-3-Clause
//
// Windows over planes by whichever loops are for them.
#pragma once

#include <tarn/kernels/window_flat_planes.hpp>
#include <tarn/kernels/window_lines.hpp>
#include <tarn/kernels/window_plane_lanes.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction> TARN_NOINLINE void pooled_windows(const dispatch::window_planes& c) noexcept {
    using flat = window_flat_planes<A, Reduction>;
    using lanes = window_plane_lanes<A, Reduction>;
    using lines = window_lines<A, Reduction>;
    dispatch::window_planes some = c;
    const auto begin_at = [&](std::ptrdiff_t p) TARN_LAMBDA {
        some.x.data = static_cast<char*>(c.x.data) + p * c.x.across * detail::size_of(c.x.type);
        some.y.data = static_cast<char*>(c.y.data) + p * c.y.across * detail::size_of(c.y.type);
    };
    if constexpr (usual_loops<A, Reduction> == own_loops::all) {
        if (lanes::takes(c)) {
            const std::ptrdiff_t done = lanes::run(c);
            begin_at(done);
            some.planes = c.planes - done;
        } else if (flat::takes(c)) {
            // Where planes are not for the one they are left to the other, the more of them the oftener this happens.
            std::ptrdiff_t again = flat::planes_at_once(c);
            for (std::ptrdiff_t p = 0; p < c.planes; p += some.planes) {
                const std::ptrdiff_t done = flat::run(c, p);
                again = done > p ? flat::planes_at_once(c) : 2 * again;
                p = done;
                some.planes = again < c.planes - p ? again : c.planes - p;
                if (some.planes == 0)
                    return;
                begin_at(p);
                lines::run(some);
            }
            return;
        }
    }
    if (some.planes > 0)
        lines::run(some);
}

}}}} // namespace tarn::kernels
