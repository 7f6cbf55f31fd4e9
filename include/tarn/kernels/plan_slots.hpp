// SPDX-License-Identifier: BSD-3-Clause
//
// The tokens of every slot of a plan side by side, by a counting sort: results are sums in a fixed order, and no two
// threads write to one of them.
#pragma once

#include <tarn/dispatch/token_merge_table.hpp>
#include <tarn/kernels/access.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

using dispatch::plan_arrays;

// order and offsets from assign; tokens that are dropped come last.
TARN_INLINE void sort_by_slot(const plan_arrays& p) noexcept {
    std::int32_t* const offsets = p.offsets;
    for (std::ptrdiff_t s = 0; s <= p.slots; ++s)
        offsets[s] = 0;
    std::int32_t dropped = 0;
    for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
        const std::int32_t s = p.assign[t];
        dropped += s < 0;
        offsets[s < 0 ? 0 : s + 1] += s >= 0;
    }
    for (std::ptrdiff_t s = 1; s <= p.slots; ++s)
        offsets[s] += offsets[s - 1];
    // offsets[s] moves on to where slot s ends, which is where the next begins.
    auto end = static_cast<std::int32_t>(p.tokens) - dropped;
    for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
        const std::int32_t s = p.assign[t];
        p.order[s < 0 ? end++ : offsets[s]++] = static_cast<std::int32_t>(t);
    }
    for (std::ptrdiff_t s = p.slots; s > 0; --s)
        offsets[s] = offsets[s - 1];
    offsets[0] = 0;
}

// The tokens of a slot.
struct slot_members {
    const std::int32_t* token;
    std::ptrdiff_t count;

    TARN_INLINE static slot_members of(const plan_arrays& p, std::ptrdiff_t slot) noexcept {
        return {p.order + p.offsets[slot], p.offsets[slot + 1] - p.offsets[slot]};
    }
};

// f(slot, its tokens) for the slots whose first token is one of first..last-1, and for those of these numbers that have
// none: over all tokens every slot once.
template <class F>
TARN_INLINE void each_slot(const plan_arrays& p, std::ptrdiff_t first, std::ptrdiff_t last, const F& f) noexcept {
    for (std::ptrdiff_t t = first; t < last; ++t) {
        const std::int32_t slot = p.assign[t];
        if (slot >= 0) {
            const slot_members members = slot_members::of(p, slot);
            if (members.token[0] == t)
                f(slot, members);
        }
        if (t < p.slots && p.offsets[t] == p.offsets[t + 1])
            f(t, slot_members{p.order, 0});
    }
}

template <class A> struct plan_slots {
    // The first of its tokens stands for a slot.
    static void run(const plan_arrays& p) noexcept {
        sort_by_slot(p);
        for (std::ptrdiff_t s = 0; s < p.slots; ++s) {
            const slot_members members = slot_members::of(p, s);
            p.rep[s] = members.count > 0 ? members.token[0] : -1;
        }
    }
};

}}}} // namespace tarn::kernels
