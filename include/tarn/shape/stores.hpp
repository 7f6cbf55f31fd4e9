// SPDX-License-Identifier: BSD-3-Clause
//
// Options that several operators share.
#pragma once

#include <tarn/config.hpp>

namespace tarn { inline namespace v0 {

// How results reach memory. streaming: past the caches, for results that nobody reads soon. automatic: streaming when
// input and output together exceed TARN_STREAMING_BYTES, out of place.
enum class stores { automatic, cached, streaming };

// What a row without any weight (all -inf, or all masked) becomes.
enum class empty_row { nan, zero };

inline namespace TARN_BACKEND { namespace shape {

TARN_INLINE bool streams(stores how, bool in_place, double bytes, double streaming_bytes) noexcept {
    return how == stores::streaming || (how == stores::automatic && !in_place && bytes > streaming_bytes);
}

}} // namespace TARN_BACKEND::shape
}} // namespace tarn
