// SPDX-License-Identifier: BSD-3-Clause
//
// Bipartite soft matching by plain loops.
#pragma once

#include <harness/problem.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace bench {

// The slot of every token of all sequences, slots of later ones behind those of earlier ones. A class token stands
// first: what stays of the even tokens is in order, the odd ones follow. T: the numbers that decide.
template <class T> std::vector<std::ptrdiff_t> merged_slots(const T* metric, std::ptrdiff_t sequences) {
    constexpr std::ptrdiff_t evens = (merge_tokens + 1) / 2, odds = merge_tokens / 2, n = merge_tokens * merge_width;
    std::vector<std::ptrdiff_t> slots;
    std::vector<T> unit(n), similarity(evens);
    std::vector<std::ptrdiff_t> partner(evens);
    std::vector<std::size_t> ranked(evens - 1);
    for (std::ptrdiff_t sequence = 0; sequence < sequences; ++sequence) {
        for (std::ptrdiff_t token = 0; token < merge_tokens; ++token) {
            const T* from = metric + sequence * n + token * merge_width;
            T* to = unit.data() + token * merge_width;
            const T norm = std::sqrt(std::inner_product(from, from + merge_width, from, T(0)));
            std::transform(from, from + merge_width, to, [norm](T v) { return v / norm; });
        }
        for (std::size_t i = 1; i < similarity.size(); ++i) {
            const T* from = unit.data() + 2 * i * merge_width;
            similarity[i] = T(-2);
            for (std::ptrdiff_t j = 0; j < odds; ++j) {
                const T s = std::inner_product(from, from + merge_width, unit.data() + (2 * j + 1) * merge_width, T(0));
                if (s > similarity[i]) {
                    similarity[i] = s;
                    partner[i] = j;
                }
            }
        }
        std::iota(ranked.begin(), ranked.end(), std::size_t{1});
        std::stable_sort(ranked.begin(), ranked.end(), [&](auto a, auto b) { return similarity[a] > similarity[b]; });
        std::vector<bool> merges(evens);
        std::for_each_n(ranked.begin(), merge_count, [&](std::size_t even) { merges[even] = true; });
        const std::ptrdiff_t first = sequence * (merge_tokens - merge_count), kept = evens - merge_count;
        std::ptrdiff_t next = first;
        for (std::ptrdiff_t token = 0; token < merge_tokens; ++token) {
            const bool even = token % 2 == 0;
            const auto pair = static_cast<std::size_t>(token / 2);
            slots.push_back(!even ? first + kept + token / 2 : merges[pair] ? first + kept + partner[pair] : next++);
        }
    }
    return slots;
}

} // namespace bench
