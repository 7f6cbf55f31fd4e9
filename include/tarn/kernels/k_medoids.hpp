// SPDX-License-Identifier: BSD-3-Clause
//
// Weighted k-medoids: as k-means, but the centre of a cluster is one of its tokens.
#pragma once

#include <tarn/kernels/cluster_start.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> class k_medoids {
public:
    using number = simd::number<A>;
    using call = dispatch::cluster_call<number>;

    static void run(const call& a) noexcept {
        const plan_arrays& p = a.plan;
        if (p.slots >= p.tokens)
            return cluster_start<A>::keep_all(p);
        const auto start = cluster_start<A>::of(a);
        const distances between(a, start);
        // rep holds the medoids; offsets is free between two sorts.
        for (int i = 0;; ++i) {
            assign(p, start, between);
            if (i == a.iterations || !update(a, between))
                break;
        }
        start.add_lost(p);
        sort_by_slot(p);
        for (std::ptrdiff_t s = 0; s < p.slots; ++s) {
            if (p.assign[p.rep[s]] != s)
                p.rep[s] = -1;
        }
    }

private:
    // Of pairs of tokens that take part: from the scratch, or made anew.
    class distances {
    public:
        TARN_INLINE distances(const call& a, const cluster_start<A>& start) noexcept
            : a_(a), distance_{a.channels, start.range} {
            for (std::ptrdiff_t j = 1; j < a.plan.tokens && a.distances; ++j) {
                for (std::ptrdiff_t i = 0; i < j && a.plan.assign[j] != takes_no_part; ++i) {
                    if (a.plan.assign[i] != takes_no_part)
                        a.distances[j * (j - 1) / 2 + i] = distance_(a.x, i, a.x, j);
                }
            }
        }
        TARN_INLINE double operator()(std::ptrdiff_t i, std::ptrdiff_t j) const noexcept {
            if (i == j)
                return 0;
            const std::ptrdiff_t low = i < j ? i : j;
            const std::ptrdiff_t high = i < j ? j : i;
            return a_.distances ? a_.distances[high * (high - 1) / 2 + low] : distance_(a_.x, low, a_.x, high);
        }

    private:
        const call& a_;
        token_distance<A> distance_;
    };

    TARN_NOINLINE static void assign(const plan_arrays& p, const cluster_start<A>& start,
                                     const distances& between) noexcept {
        // Medoids that are not finite are those of the start, and nobody's nearest.
        for (std::ptrdiff_t s = 0; s < p.slots; ++s)
            p.offsets[s] = p.assign[p.rep[s]] != takes_no_part;
        for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
            if (p.assign[t] == takes_no_part)
                continue;
            double least = __builtin_huge_val();
            p.assign[t] = start.lost;
            for (std::ptrdiff_t s = 0; s < p.slots; ++s) {
                const double d = p.offsets[s] != 0 ? between(t, p.rep[s]) : least;
                p.assign[t] = d < least ? static_cast<std::int32_t>(s) : p.assign[t];
                least = d < least ? d : least;
            }
        }
    }
    // Whether a medoid is another than before.
    TARN_NOINLINE static bool update(const call& a, const distances& between) noexcept {
        const plan_arrays& p = a.plan;
        const auto weights = cluster_weights<number>::of(a);
        bool changed = false;
        sort_by_slot(p);
        for (std::ptrdiff_t s = 0; s < p.slots; ++s) {
            const slot_members members = slot_members::of(p, s);
            if (weights.total(members) == 0)
                continue;
            double least = __builtin_huge_val();
            std::int32_t best = members.token[0];
            for (std::ptrdiff_t i = 0; i < members.count; ++i) {
                double sum = 0;
                for (std::ptrdiff_t j = 0; j < members.count; ++j)
                    sum += simd::settled(weights[members.token[j]] * between(members.token[i], members.token[j]));
                best = sum < least ? members.token[i] : best;
                least = sum < least ? sum : least;
            }
            changed = changed || best != p.rep[s];
            p.rep[s] = best;
        }
        return changed;
    }
};

}}}} // namespace tarn::kernels
