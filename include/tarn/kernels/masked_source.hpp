// SPDX-License-Identifier: BSD-3-Clause
//
// The rows of masked softmax: which part of a row may be kept, and where its logits come from.
#pragma once

#include <tarn/dispatch/masked_softmax_table.hpp>
#include <tarn/kernels/access.hpp>
#include <tarn/kernels/soft_cap.hpp>
#include <tarn/simd/bytes.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Elements begin..end-1 of a row; none if they are equal.
struct row_span {
    std::ptrdiff_t begin, end;

    TARN_INLINE bool empty() const noexcept { return begin == end; }
    TARN_INLINE std::ptrdiff_t length() const noexcept { return end - begin; }
};

// The least part of row r that holds all that is kept: what the limits leave, and of that, from the first kept byte to
// the last.
template <class T>
TARN_INLINE row_span kept_span(const dispatch::mask_of_rows<T>& m, std::ptrdiff_t r, std::ptrdiff_t columns) noexcept {
    const std::ptrdiff_t last = m.limits.offset + m.query + r * m.query_across;
    const auto within = [](std::ptrdiff_t i, std::ptrdiff_t most) TARN_LAMBDA {
        return i < 0 ? 0 : i < most ? i : most;
    };
    row_span s{0, columns};
    if (m.limits.causal)
        s.end = within(last + 1, columns);
    if (m.limits.window > 0)
        s.begin = within(last - m.limits.window + 1, s.end);
    if (m.keep) {
        const unsigned char* keep = m.keep + r * m.keep_across;
        s.begin += simd::first_byte(keep + s.begin * m.keep_along, m.keep_along, s.length());
        s.end = s.begin + simd::end_of_bytes(keep + s.begin * m.keep_along, m.keep_along, s.length());
    }
    return s;
}

// What the logits of all rows of a call have in common. Mapped: they are numbers z of their own, scaled, capped, with
// bias and slope, and rounded; otherwise they are the elements, and the scale belongs to the exponential.
template <class A, bool Mapped> struct logit_map {
    number<A> masked; // a logit of weight 0
    pack<A> factor;
    pack<A> cap;
    bool capped;
    hyperbolic_tangent<A> tangent;
    pack<A> ramp; // 0, 1, 2 ...

    TARN_INLINE explicit logit_map(const dispatch::mask_of_rows<number<A>>& m) noexcept
        : masked(!Mapped && m.scale < 0 ? infinity : -infinity),
          factor(simd::broadcast<A>(m.soft_cap > 0 ? m.scale / m.soft_cap : m.scale)),
          cap(simd::broadcast<A>(m.soft_cap)), capped(m.soft_cap > 0) {
        alignas(64) number<A> steps[lanes<A>];
        for (int i = 0; i < lanes<A>; ++i)
            steps[i] = static_cast<number<A>>(i);
        ramp = simd::load<A>(steps);
    }
};

// One row: logits from x, the bias from `bias` if there is one. Base: unit_source, or any_source with its order of
// reading.
template <class A, bool Mapped, class Base> struct masked_source {
    const logit_map<A, Mapped>* map;
    Base x, bias;
    bool has_bias;
    const unsigned char* keep; // null: all
    std::ptrdiff_t keep_along;
    number<A> slope;       // 0: none
    std::ptrdiff_t origin; // the element whose distance is 0

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        x.prefetch(i);
        if (Mapped && has_bias)
            bias.prefetch(i);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept {
        pack<A> v = x.at(i);
        if constexpr (Mapped)
            v = mapped(v, i, has_bias ? bias.at(i) : simd::broadcast<A>(0));
        if (!keep)
            return v;
        if (keep_along == 1)
            return simd::where_bytes<A>(keep + i, v, simd::broadcast<A>(map->masked));
        return simd::where_bytes_apart<A>(keep + i * keep_along, keep_along, lanes<A>, v,
                                          simd::broadcast<A>(map->masked));
    }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        pack<A> v = x.first(i, n);
        if constexpr (Mapped)
            v = mapped(v, i, has_bias ? bias.first(i, n) : simd::broadcast<A>(0));
        if (!keep)
            return v;
        return simd::where_bytes_apart<A>(keep + i * keep_along, keep_along, n, v, simd::broadcast<A>(map->masked));
    }

private:
    TARN_INLINE pack<A> mapped(const pack<A>& v, std::ptrdiff_t i, const pack<A>& added) const noexcept {
        // Tiny numbers, of no weight, keep products that are added to 0 from being denormal.
        const auto tiny = [](double of_floats, double of_doubles) TARN_LAMBDA {
            return simd::broadcast<A>(static_cast<number<A>>(simd::is_double<A> ? of_doubles : of_floats));
        };
        pack<A> z;
        if (map->capped)
            z = simd::fmadd<A>(map->tangent(simd::fmadd<A>(v, map->factor, tiny(0x1p-60, 0x1p-400))), map->cap, added);
        else
            z = simd::fmadd<A>(v, map->factor, added + tiny(0x1p-90, 0x1p-800));
        if (slope == 0)
            return z;
        const pack<A> distance = simd::broadcast<A>(static_cast<number<A>>(i - origin)) + map->ramp;
        return simd::fmadd<A>(distance, simd::broadcast<A>(slope), z);
    }
};

}}}} // namespace tarn::kernels
