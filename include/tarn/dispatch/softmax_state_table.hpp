// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of the online softmax state.
#pragma once

#include <tarn/config.hpp>

#include <cstddef>

namespace tarn { inline namespace v0 { namespace dispatch {

// Sums over logits, each with the weight w = 2^v, v = scale * logit * log2(e) - exponent. The greatest weight lies in
// sqrt(1/2)..sqrt(2). NaN among the logits makes `sum` NaN. All zero: no logits yet.
struct softmax_sums {
    double exponent; // an integer
    double sum;      // of w; 0: no logits yet, or none above -inf
    double moment;   // of w * v
    double squares;  // of w * w
    double greatest; // the greatest v
    bool infinite;   // +inf has been met: the sums are those of the others
    bool has_logits; // any, -inf included
};

struct softmax_readings {
    float logsumexp, confidence, entropy, sum_of_squares;
};

template <class T> struct softmax_state_table {
    void (*push)(softmax_sums&, const T* x, std::ptrdiff_t n, T scale) noexcept; // elements side by side
    void (*merge)(softmax_sums&, const softmax_sums&) noexcept;
    softmax_readings (*read)(const softmax_sums&) noexcept;
};

}}} // namespace tarn::dispatch
