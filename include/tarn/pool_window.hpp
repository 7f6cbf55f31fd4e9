// SPDX-License-Identifier: BSD-3-Clause
//
// The windows that pooling operators move over maps.
#pragma once

#include <tarn/config.hpp>

#include <cstddef>
#include <type_traits>

namespace tarn { inline namespace v0 {

// Where the axes of space are: [..., channels, space...] or [..., space..., channels].
enum class layout { channels_first, channels_last };

inline namespace TARN_BACKEND {

// A number for each of 1 to 3 axes of space: {3, 3}; or one for all of them: {2}. None, {}: the default of what it is
// for. Any integer types.
struct window_extents {
    int count;
    std::ptrdiff_t value[3];

    TARN_INLINE constexpr window_extents() : count(0), value{} {}
    template <class... I, std::enable_if_t<(sizeof...(I) >= 1 && sizeof...(I) <= 3) &&
                                               (std::is_convertible<I, std::ptrdiff_t>::value && ...),
                                           int> = 0>
    TARN_INLINE constexpr window_extents(I... i)
        : count(static_cast<int>(sizeof...(I))), value{static_cast<std::ptrdiff_t>(i)...} {}
};

// Windows over the last axes of a map, or over those before its channels. Window i along an axis has its elements at
// i * stride - padding + t * dilation, t = 0 .. kernel - 1; those outside the map are not members of it. There are
//
//   floor((extent + padding + padding_after - dilation * (kernel - 1) - 1) / stride) + 1
//
// windows; with ceil_mode the quotient is rounded up, but no window begins behind the map and the padding before it.
// pool_output_extents tells how many.
struct pool_window {
    window_extents kernel;             // as many numbers as there are axes of space; at least 1
    window_extents stride = {};        // at least 1; default: the kernel
    window_extents padding = {};       // before and after the map; 0 (default) to half the kernel
    window_extents padding_after = {}; // default: padding
    window_extents dilation = {};      // at least 1; default: 1
    bool ceil_mode = false;
    v0::layout layout = v0::layout::channels_first;
};

} // namespace TARN_BACKEND
}} // namespace tarn::v0
