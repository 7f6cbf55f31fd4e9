// SPDX-License-Identifier: BSD-3-Clause
//
// The boundary between calls and kernels of clusters of tokens.
#pragma once

#include <tarn/dispatch/token_merge_table.hpp>

namespace tarn { inline namespace v0 { namespace dispatch {

// Clusters of the tokens of one sequence: as many as the plan has slots.
template <class T> struct cluster_call {
    plan_arrays plan;
    stored_rows x, centres; // centres: of k-means
    std::ptrdiff_t channels;
    const T* weights; // may be null
    std::ptrdiff_t weights_stride;
    int iterations;
    bool start_given;  // rep holds the tokens that clusters begin with
    T* scratch;        // of k-means: k_means_scratch() numbers at a 64-byte boundary; null: do without
    double* distances; // of k-medoids: k_medoids_scratch() numbers; null: do without
};

// Tokens whose distances are made together, at most; and as many, or as many as a cache line has numbers.
constexpr std::ptrdiff_t cluster_tile = 12;
template <class T>
constexpr std::ptrdiff_t cluster_rows = cluster_tile* static_cast<std::ptrdiff_t>(sizeof(T)) > 64
                                            ? cluster_tile
                                            : 64 / static_cast<std::ptrdiff_t>(sizeof(T));

// Numbers of scratch of k-means: centres in panels of a cache line, a number for each, rows of a tile of tokens or of
// the centres of a panel, and the tile's distances.
template <class T>
TARN_INLINE constexpr std::ptrdiff_t k_means_scratch(std::ptrdiff_t channels, std::ptrdiff_t clusters) noexcept {
    constexpr std::ptrdiff_t line = 64 / static_cast<std::ptrdiff_t>(sizeof(T));
    const std::ptrdiff_t columns = (clusters + line - 1) / line * line;
    return columns * (channels + 1 + cluster_tile) + cluster_rows<T> * channels;
}

// The distances of all pairs.
TARN_INLINE constexpr std::ptrdiff_t k_medoids_scratch(std::ptrdiff_t tokens) noexcept {
    return tokens * (tokens - 1) / 2;
}

template <class T> struct token_cluster_table {
    void (*k_means)(const cluster_call<T>&) noexcept;
    void (*k_medoids)(const cluster_call<T>&) noexcept;
};

}}} // namespace tarn::dispatch
