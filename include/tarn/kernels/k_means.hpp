// SPDX-License-Identifier: BSD-3-Clause
//
// Weighted k-means by Lloyd's iterations: every token to the nearest centre, every centre to the mean of its tokens.
#pragma once

#include <tarn/kernels/cluster_start.hpp>
#include <tarn/kernels/nearest_centre.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> class k_means {
public:
    using number = simd::number<A>;
    using call = dispatch::cluster_call<number>;

    static void run(const call& a) noexcept {
        const plan_arrays& p = a.plan;
        const row_copy<A> copy(a.x, a.centres, a.channels, false);
        if (p.slots >= p.tokens) {
            for (std::ptrdiff_t t = 0; t < p.tokens; ++t)
                copy(t, t, t);
            return cluster_start<A>::keep_all(p);
        }
        const auto start = cluster_start<A>::of(a);
        for (std::ptrdiff_t s = 0; s < p.slots; ++s)
            copy(p.rep[s], s, s);
        if (a.scratch) {
            by_products nearest{nearest_centre<A>(a, start.range)};
            iterate(a, start, nearest);
        } else {
            by_distances nearest{a, {a.channels, start.range}};
            iterate(a, start, nearest);
        }
        start.add_lost(p);
        plan_slots<A>::run(p);
    }

private:
    // Ways to find nearest centres, for `tile` tokens together.
    struct by_products {
        static constexpr int tile = nearest_centre<A>::tile;
        nearest_centre<A> nearest;

        TARN_INLINE void take_centres(const std::int32_t* changed) noexcept { nearest.take_centres(changed); }
        TARN_INLINE void find(std::ptrdiff_t first, int count, std::int32_t (&found)[tile]) noexcept {
            nearest.find(first, count, found);
        }
    };
    struct by_distances {
        static constexpr int tile = 1;
        const call& a;
        token_distance<A> distance;

        TARN_INLINE void take_centres(const std::int32_t*) noexcept {}
        TARN_INLINE void find(std::ptrdiff_t token, int, std::int32_t (&found)[tile]) noexcept {
            found[0] = nearest_centre<A>::find_exactly(a, distance, token);
        }
    };

    // While it runs, rep[s] says whether cluster s, and then its centre, has changed.
    template <class Way>
    TARN_NOINLINE static void iterate(const call& a, const cluster_start<A>& start, Way& nearest) noexcept {
        const plan_arrays& p = a.plan;
        set_changed(p, 1);
        for (int i = 0;; ++i) {
            nearest.take_centres(p.rep);
            set_changed(p, 0);
            const bool moved = assign(p, start, nearest);
            if (i == a.iterations || (i > 0 && !moved))
                return;
            if (i == 0)
                set_changed(p, 1);
            update(a);
        }
    }
    TARN_INLINE static void set_changed(const plan_arrays& p, std::int32_t changed) noexcept {
        for (std::ptrdiff_t s = 0; s < p.slots; ++s)
            p.rep[s] = changed;
    }
    // Whether a token has gone to another cluster.
    template <class Way>
    TARN_INLINE static bool assign(const plan_arrays& p, const cluster_start<A>& start, Way& nearest) noexcept {
        bool moved = false;
        for (std::ptrdiff_t t = 0; t < p.tokens; t += Way::tile) {
            std::int32_t found[Way::tile];
            const int count = p.tokens - t < Way::tile ? static_cast<int>(p.tokens - t) : Way::tile;
            nearest.find(t, count, found);
            for (int i = 0; i < count; ++i) {
                std::int32_t& slot = p.assign[t + i];
                const std::int32_t s = found[i] < 0 ? start.lost : found[i];
                if (slot == takes_no_part || slot == s)
                    continue;
                p.rep[slot] = p.rep[s] = 1;
                slot = s;
                moved = true;
            }
        }
        return moved;
    }
    // New centres of clusters that have changed; without tokens, or of weight 0, a cluster keeps the one it has.
    TARN_NOINLINE static void update(const call& a) noexcept {
        const plan_arrays& p = a.plan;
        const auto weights = cluster_weights<number>::of(a);
        const row_copy<A> copy(a.x, a.centres, a.channels, false);
        alignas(64) number buffers[2][lanes<A>];
        sort_by_slot(p);
        with_rows_kind<A>(
            [&](auto kind) TARN_LAMBDA {
                using rows = typename decltype(kind)::type;
                const rows x = rows::of(a.x, buffers[0]);
                const rows centres = rows::of(a.centres, buffers[1]);
                for (std::ptrdiff_t s = 0; s < p.slots; ++s) {
                    if (p.rep[s] == 0)
                        continue;
                    const slot_members members = slot_members::of(p, s);
                    const double total = weights.total(members);
                    if (total == 0)
                        continue;
                    if (members.count == 1)
                        copy(members.token[0], s, s);
                    else
                        weighted_sum<A>(members, weights, total, x, centres, s, a.channels);
                }
            },
            a.x, a.centres);
    }
};

}}}} // namespace tarn::kernels
