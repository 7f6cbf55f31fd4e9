// SPDX-License-Identifier: BSD-3-Clause
//
// Weighted k-means by plain loops.
#pragma once

#include <harness/problem.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

namespace bench {

// Of every sequence of tokens x, rows of `columns` numbers: the centres, one after the other, and the clusters that they
// are the means of. It begins with the tokens of greatest weight. T: the numbers of tokens and centres; Sum: those that
// decide and are added.
template <class T, class Sum>
std::vector<std::ptrdiff_t> cluster_tokens_of(const T* x, const T* weights, std::ptrdiff_t sequences,
                                              std::ptrdiff_t columns, T* centres) {
    std::vector<std::ptrdiff_t> all, ranked(cluster_tokens), slots(cluster_tokens);
    std::vector<Sum> sums, totals;
    for (; sequences > 0; --sequences) {
        std::iota(ranked.begin(), ranked.end(), std::ptrdiff_t{0});
        std::stable_sort(ranked.begin(), ranked.end(), [&](auto a, auto b) { return weights[a] > weights[b]; });
        for (std::ptrdiff_t s = 0; s < cluster_count; ++s) {
            std::copy_n(x + ranked[static_cast<std::size_t>(s)] * columns, columns, centres + s * columns);
        }
        for (int i = 0; i < cluster_iterations; ++i) {
            sums.assign(static_cast<std::size_t>(cluster_count * columns), Sum(0));
            totals.assign(cluster_count, Sum(0));
            for (std::ptrdiff_t t = 0; t < cluster_tokens; ++t) {
                const T* token = x + t * columns;
                std::ptrdiff_t nearest = 0;
                Sum least = -1;
                for (std::ptrdiff_t s = 0; s < cluster_count; ++s) {
                    Sum distance = 0;
                    for (std::ptrdiff_t c = 0; c < columns; ++c) {
                        const Sum d = static_cast<Sum>(token[c]) - static_cast<Sum>(centres[s * columns + c]);
                        distance += d * d;
                    }
                    nearest = least < 0 || distance < least ? s : nearest;
                    least = least < 0 || distance < least ? distance : least;
                }
                slots[static_cast<std::size_t>(t)] = nearest;
                totals[static_cast<std::size_t>(nearest)] += static_cast<Sum>(weights[t]);
                Sum* sum = sums.data() + nearest * columns;
                for (std::ptrdiff_t c = 0; c < columns; ++c) {
                    sum[c] += static_cast<Sum>(weights[t]) * static_cast<Sum>(token[c]);
                }
            }
            for (std::ptrdiff_t s = 0; s < cluster_count; ++s) {
                const Sum total = totals[static_cast<std::size_t>(s)];
                for (std::ptrdiff_t c = 0; c < columns && total > 0; ++c) {
                    centres[s * columns + c] = static_cast<T>(sums[static_cast<std::size_t>(s * columns + c)] / total);
                }
            }
        }
        all.insert(all.end(), slots.begin(), slots.end());
        x += cluster_tokens * columns;
        weights += cluster_tokens;
        centres += cluster_count * columns;
    }
    return all;
}

} // namespace bench
