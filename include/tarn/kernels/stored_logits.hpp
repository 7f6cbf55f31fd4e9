// SPDX-License-Identifier: BSD-3-Clause
//
// The logits of rows of any type and stride that no buffer holds.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/masked_logits.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Row r of a stored operand, if there is one, from element i on.
TARN_INLINE dispatch::stored_rows stored_from(const dispatch::stored_rows& v, std::ptrdiff_t r,
                                              std::ptrdiff_t i) noexcept {
    return v.data ? stored_row(v, r).from(i) : v;
}

// The logits of a row, made four packs at a time in the order of reading of any_source.
template <class A> struct stored_logits {
    const logit_map<A>* map;
    dispatch::stored_rows x, bias; // of the row
    logit_row<A> row;              // the rest; its numbers are in the buffers below
    number<A>*logits, *added;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { make(i, 4 * lanes<A>); }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return simd::load<A>(logits + i % (4 * lanes<A>)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        make(i, n);
        return simd::load_first<A>(logits, n);
    }

private:
    TARN_NOINLINE void make(std::ptrdiff_t i, std::ptrdiff_t n) const noexcept {
        transfer<A, true>(x, i, logits, n);
        logit_row<A> part = row.from(i);
        part.x = logits;
        part.bias = nullptr;
        if (bias.data) {
            transfer<A, true>(bias, i, added, n);
            part.bias = added;
        }
        map->make(part, logits, n);
    }
};

}}}} // namespace tarn::kernels
