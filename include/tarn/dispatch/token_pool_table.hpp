// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of token pooling and its gradient.
#pragma once

#include <tarn/dispatch/convert_table.hpp>

#include <cstdint>

namespace tarn { inline namespace v0 {

// What becomes of the tokens that take part. n is their number, x_1 to x_n they are in their order.
enum class token_pooling {
    mean,                   // sum x_i / n
    sum,                    // sum x_i
    mean_sqrt,              // sum x_i / sqrt(n)
    weighted_mean,          // sum w_i x_i / sum w_i
    position_weighted_mean, // the same with w_i = i
    max,
    min,
    cls, // x_1
    last // x_n
};

// As many poolings as one call may do.
inline constexpr int max_token_poolings = 8;

namespace dispatch {

struct pooling_list {
    token_pooling pooling[max_token_poolings];
    int count;

    // Whether they need the place of an element.
    TARN_INLINE static constexpr bool has_index(token_pooling p) noexcept {
        return p == token_pooling::max || p == token_pooling::min;
    }
};

// Indices somewhere in memory, int32 or int64: `along` from channel to channel, `across` from pooling to pooling.
struct stored_indices {
    void* data; // null: not wanted
    bool wide;  // int64
    std::ptrdiff_t along, across;
};

// Tokens of one sequence, and those of their channels that the kernel is to work on.
struct token_span {
    std::ptrdiff_t tokens, channels;
    const unsigned char* keep; // null: all
    std::ptrdiff_t keep_along;
    stored_rows weights; // from token to token along; data null: none
};

template <class T> struct token_pool_call {
    stored_rows x; // channels along, tokens across
    token_span span;
    const pooling_list* poolings;
    stored_rows y;      // channels along, poolings across
    stored_indices arg; // of max and min only
    std::int64_t first_index;
    T empty_value;
    bool ahead; // ask for tokens before they are needed: x does not lie in a cache
};

// Channels that a kernel takes at once: what it keeps of them has so many bytes in all.
inline constexpr std::ptrdiff_t token_pool_bytes = 32768;

struct token_pool_parts {
    bool sums, weighted, positions, greatest, least, cls, last;

    TARN_INLINE static constexpr token_pool_parts of(const pooling_list& list) noexcept {
        token_pool_parts p = {};
        for (int i = 0; i < list.count; ++i) {
            const token_pooling v = list.pooling[i];
            p.sums |= v == token_pooling::mean || v == token_pooling::sum || v == token_pooling::mean_sqrt;
            p.weighted |= v == token_pooling::weighted_mean;
            p.positions |= v == token_pooling::position_weighted_mean;
            p.greatest |= v == token_pooling::max;
            p.least |= v == token_pooling::min;
            p.cls |= v == token_pooling::cls;
            p.last |= v == token_pooling::last;
        }
        return p;
    }
    TARN_INLINE constexpr int accumulators() const noexcept { return sums + weighted + positions + greatest + least; }
    // Bytes that a kernel keeps of a channel; sums of floats are double, those of doubles twice as exact.
    TARN_INLINE constexpr std::ptrdiff_t bytes_of_channel(std::ptrdiff_t number, bool indices) const noexcept {
        return (sums + weighted + positions) * 2 * number + (greatest + least) * (indices ? 2 : 1) * number;
    }
    // The same of a kernel of the gradient: sums, what each extreme sends and where to, and two rows of results.
    TARN_INLINE constexpr std::ptrdiff_t bytes_of_gradient(std::ptrdiff_t number) const noexcept {
        const std::ptrdiff_t sum = sizeof(double);
        return (sums + weighted + positions + cls + last) * sum + (greatest + least) * 3 * number + 2 * number;
    }
};

template <class T> struct token_pool_backward_call {
    stored_rows x; // channels along, tokens across; read for max and min without indices
    token_span span;
    const pooling_list* poolings;
    stored_rows dy;     // channels along, poolings across
    stored_indices arg; // data null: none
    std::int64_t first_index;
    stored_rows dx; // channels along, tokens across
    bool ahead;     // as in token_pool_call
};

// The gradient in the weights; all channels.
template <class T> struct token_weights_call {
    stored_rows x;
    token_span span;
    const pooling_list* poolings;
    stored_rows dy;
    stored_rows dw; // tokens along
};

template <class T> struct token_pool_table {
    void (*pool)(const token_pool_call<T>&) noexcept;
    void (*backward)(const token_pool_backward_call<T>&) noexcept;
    void (*weights_backward)(const token_weights_call<T>&) noexcept;
};

} // namespace dispatch
}} // namespace tarn
