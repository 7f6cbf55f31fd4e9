// SPDX-License-Identifier: BSD-3-Clause
//
// The rows of masked softmax: which part of a row may be kept, and the logits that its options make of it.
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

// What the limits leave of row r.
template <class T>
TARN_INLINE row_span limited_span(const dispatch::mask_of_rows<T>& m, std::ptrdiff_t r,
                                  std::ptrdiff_t columns) noexcept {
    const std::ptrdiff_t last = m.limits.offset + m.query + r * m.query_across;
    const auto within = [](std::ptrdiff_t i, std::ptrdiff_t most) TARN_LAMBDA {
        return i < 0 ? 0 : i < most ? i : most;
    };
    row_span s{0, columns};
    if (m.limits.causal)
        s.end = within(last + 1, columns);
    if (m.limits.window > 0)
        s.begin = within(last - m.limits.window + 1, s.end);
    return s;
}

// What they leave of some rows, or more: where a row's part begins and ends grows from row to row, or falls.
template <class T>
TARN_INLINE row_span limited_span(const dispatch::mask_of_rows<T>& m, std::ptrdiff_t first, std::ptrdiff_t rows,
                                  std::ptrdiff_t columns) noexcept {
    const row_span a = limited_span(m, first, columns);
    const row_span b = limited_span(m, first + rows - 1, columns);
    return {a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

// Of that, the part from the first kept byte to the last.
template <class T>
TARN_INLINE row_span kept_span(const dispatch::mask_of_rows<T>& m, std::ptrdiff_t r, std::ptrdiff_t columns) noexcept {
    row_span s = limited_span(m, r, columns);
    if (m.keep) {
        const unsigned char* keep = m.keep + r * m.keep_across;
        s.begin += simd::first_byte(keep + s.begin * m.keep_along, m.keep_along, s.length());
        s.end = s.begin + simd::end_of_bytes(keep + s.begin * m.keep_along, m.keep_along, s.length());
    }
    return s;
}

// Packs of a row by what of it is kept. Bytes that lie apart are put side by side for four packs at a time: for loops
// that ask for prefetch(i) before the four packs from i on, i a multiple of four packs.
template <class A> struct kept_bytes {
    static constexpr std::ptrdiff_t at_once = 4 * lanes<A>;
    using buffer = unsigned char[at_once];

    const unsigned char* keep; // null: all
    std::ptrdiff_t along;
    const unsigned char* bytes; // what is looked at
    unsigned char* gathered;    // null: nothing has to be
    std::ptrdiff_t mask;        // of the index into bytes

    // Row r from element `begin` on.
    TARN_INLINE static kept_bytes of(const dispatch::mask_of_rows<number<A>>& m, std::ptrdiff_t r, std::ptrdiff_t begin,
                                     buffer& b) noexcept {
        const unsigned char* const keep = m.keep ? m.keep + r * m.keep_across + begin * m.keep_along : nullptr;
        if (m.keep_along == 1)
            return {keep, 1, keep, nullptr, -1};
        return {keep, m.keep_along, b, b, at_once - 1};
    }
    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        if (keep && gathered)
            simd::gather_bytes(keep + i * along, along, at_once, gathered);
    }
    // v where it is kept, elsewhere 0.
    TARN_INLINE pack<A> at(std::ptrdiff_t i, const pack<A>& v) const noexcept {
        return keep ? simd::where_bytes<A>(bytes + (i & mask), v, simd::broadcast<A>(0)) : v;
    }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n, const pack<A>& v) const noexcept {
        if (!keep)
            return v;
        unsigned char few[lanes<A>] = {};
        simd::gather_bytes(keep + i * along, along, n, few);
        return simd::where_bytes<A>(few, v, simd::broadcast<A>(0));
    }
};

// Asks for the bytes that tell the span of row r, if there is such a row.
template <class T>
TARN_INLINE void prefetch_span(const dispatch::mask_of_rows<T>& m, std::ptrdiff_t r, std::ptrdiff_t rows,
                               std::ptrdiff_t columns) noexcept {
    if (!m.keep || r >= rows)
        return;
    const unsigned char* const keep = m.keep + r * m.keep_across;
    __builtin_prefetch(keep, 0, 3);
    __builtin_prefetch(keep + (columns - 1) * m.keep_along, 0, 3);
}

// A row, or some of it: what its logits are made of.
template <class A> struct logit_row {
    const number<A>* x;
    const number<A>* bias;     // null: none
    const unsigned char* keep; // null: all
    std::ptrdiff_t keep_along;
    number<A> slope;       // 0: none
    std::ptrdiff_t origin; // the element whose distance is 0

    TARN_INLINE logit_row from(std::ptrdiff_t i) const noexcept {
        return {
            x ? x + i : nullptr, bias ? bias + i : nullptr, keep ? keep + i * keep_along : nullptr, keep_along, slope,
            origin - i};
    }
};

// How logits are made, for all rows of a call. Exact ones are the elements, and the scale belongs to the exponential;
// others are scaled, capped, with bias and slope, and rounded. What is not kept becomes a logit of weight 0.
template <class A> class logit_map {
public:
    TARN_INLINE logit_map(const dispatch::mask_of_rows<number<A>>& m, bool has_bias, bool has_slope,
                          bool has_sink) noexcept
        : exact_(m.soft_cap == 0 && !has_bias && !has_slope && m.scale != 0 && (!has_sink || m.scale == 1)),
          shaped_(m.soft_cap > 0 || has_slope), copies_(exact_ && !m.keep), scale_(exact_ ? m.scale : 1),
          factor_(m.soft_cap > 0 ? m.scale / m.soft_cap : m.scale), cap_(m.soft_cap) {}

    // Whether logits are the elements themselves, in all rows, or in one.
    TARN_INLINE bool copies() const noexcept { return copies_; }
    TARN_INLINE bool copies(const logit_row<A>& row) const noexcept { return exact_ && !row.keep; }
    // The scale of the exponential.
    TARN_INLINE number<A> scale() const noexcept { return scale_; }
    TARN_INLINE number<A> masked() const noexcept { return scale_ < 0 ? infinity : -infinity; }

    // Whether a logit_source can make those of a row.
    TARN_INLINE bool may_be_fused(const logit_row<A>& row) const noexcept {
        return !shaped_ && (row.bias || (exact_ && row.keep)) && (!row.keep || row.keep_along == 1);
    }
    TARN_INLINE number<A> factor() const noexcept { return factor_; }
    TARN_INLINE static pack<A> scaled(const pack<A>& v, const pack<A>& factor, const pack<A>& added) noexcept {
        return simd::fmadd<A>(v, factor, added + tiny(0x1p-90, 0x1p-800));
    }

    // The first n logits of a row to z, which may be its x.
    TARN_NOINLINE void make(const logit_row<A>& row, number<A>* z, std::ptrdiff_t n) const noexcept {
        if (!row.keep || row.keep_along == 1) {
            make_dense(row, z, n);
            return;
        }
        constexpr std::ptrdiff_t at_once = 256;
        unsigned char bytes[at_once];
        for (std::ptrdiff_t i = 0; i < n; i += at_once) {
            const std::ptrdiff_t count = n - i < at_once ? n - i : at_once;
            logit_row<A> part = row.from(i);
            simd::gather_bytes(part.keep, part.keep_along, count, bytes);
            part.keep = bytes;
            make_dense(part, z + i, count);
        }
    }

private:
    enum class kind { exact, scaled, shaped };

    TARN_INLINE void make_dense(const logit_row<A>& row, number<A>* z, std::ptrdiff_t n) const noexcept {
        if (shaped_)
            run<kind::shaped>(row, z, n);
        else if (exact_)
            run<kind::exact>(row, z, n);
        else
            run<kind::scaled>(row, z, n);
    }
    template <kind Kind>
    TARN_NOINLINE void run(const logit_row<A>& given, number<A>* z, std::ptrdiff_t n) const noexcept {
        const logit_row<A> row = given;
        const pack<A> factor = simd::broadcast<A>(factor_);
        const pack<A> masked = simd::broadcast<A>(this->masked());
        const unit_source<A> x{row.x}, bias{row.bias};
        std::ptrdiff_t i = 0;
        for (; i + lanes<A> <= n; i += lanes<A>) {
            pack<A> v = x.at(i);
            if constexpr (Kind != kind::exact)
                v = mapped<Kind>(v, factor, row.bias ? bias.at(i) : simd::broadcast<A>(0), row, i);
            if (row.keep)
                v = simd::where_bytes<A>(row.keep + i, v, masked);
            simd::store<A>(z + i, v);
        }
        const int rest = static_cast<int>(n - i);
        if (rest == 0)
            return;
        pack<A> v = x.first(i, rest);
        if constexpr (Kind != kind::exact)
            v = mapped<Kind>(v, factor, row.bias ? bias.first(i, rest) : simd::broadcast<A>(0), row, i);
        if (row.keep)
            v = simd::where_first_bytes<A>(row.keep + i, rest, v, masked);
        simd::store_first<A>(z + i, v, rest);
    }
    // Of no weight; products that are added to 0 would be denormal.
    TARN_INLINE static pack<A> tiny(double of_floats, double of_doubles) noexcept {
        return simd::broadcast<A>(static_cast<number<A>>(simd::is_double<A> ? of_doubles : of_floats));
    }
    template <kind Kind>
    TARN_INLINE pack<A> mapped(const pack<A>& v, const pack<A>& factor, const pack<A>& added, const logit_row<A>& row,
                               std::ptrdiff_t i) const noexcept {
        if constexpr (Kind == kind::scaled) {
            return scaled(v, factor, added);
        } else {
            pack<A> z;
            if (cap_ > 0)
                z = simd::fmadd<A>(hyperbolic_tangent<A>()(simd::fmadd<A>(v, factor, tiny(0x1p-60, 0x1p-400))),
                                   simd::broadcast<A>(cap_), added);
            else
                z = scaled(v, factor, added);
            if (row.slope == 0)
                return z;
            const pack<A> distance =
                simd::broadcast<A>(static_cast<number<A>>(i - row.origin)) + simd::load<A>(ramp_.steps);
            return simd::fmadd<A>(distance, simd::broadcast<A>(row.slope), z);
        }
    }

    // 0, 1, 2 ...
    struct ramp {
        alignas(64) number<A> steps[lanes<A>];
        TARN_INLINE ramp() noexcept {
            for (int i = 0; i < lanes<A>; ++i)
                steps[i] = static_cast<number<A>>(i);
        }
    };

    bool exact_, shaped_, copies_;
    number<A> scale_, factor_, cap_;
    ramp ramp_;
};

// Logits made on the way to a kernel: exact or with bias, all or those that are kept by bytes side by side. Asks for
// the lines 2 KB ahead if that is wanted: these are more streams than the hardware follows.
template <class A, bool HasBias, bool HasKeep> struct logit_source {
    logit_row<A> row;
    bool wanted;
    // Copies, which stay in registers.
    number<A> factor, masked;

    TARN_INLINE logit_source(const logit_map<A>& map, const logit_row<A>& row_, bool ahead) noexcept
        : row(row_), wanted(ahead), factor(map.factor()), masked(map.masked()) {}

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        if (!wanted)
            return;
        constexpr std::ptrdiff_t ahead = 32 * lanes<A>;
        simd::unroll<4>([&](auto k) TARN_LAMBDA {
            const std::ptrdiff_t at = i + ahead + decltype(k)::value * lanes<A>;
            simd::prefetch<A>(row.x + at);
            if constexpr (HasBias)
                simd::prefetch<A>(row.bias + at);
        });
        if constexpr (HasKeep)
            __builtin_prefetch(row.keep + i + ahead, 0, 3);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept {
        pack<A> v = simd::load<A>(row.x + i);
        if constexpr (HasBias)
            v = logit_map<A>::scaled(v, simd::broadcast<A>(factor), simd::load<A>(row.bias + i));
        if constexpr (HasKeep)
            v = simd::where_bytes<A>(row.keep + i, v, simd::broadcast<A>(masked));
        return v;
    }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        pack<A> v = simd::load_first<A>(row.x + i, n);
        if constexpr (HasBias)
            v = logit_map<A>::scaled(v, simd::broadcast<A>(factor), simd::load_first<A>(row.bias + i, n));
        if constexpr (HasKeep)
            v = simd::where_first_bytes<A>(row.keep + i, n, v, simd::broadcast<A>(masked));
        return v;
    }
};

// Elements begin .. end - 1 of a short row, and `masked` around them.
template <class A> struct limited_source {
    const number<A>* x;
    std::ptrdiff_t begin, end;
    number<A> masked;

    TARN_INLINE void prefetch(std::ptrdiff_t) const noexcept {}
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept {
        const pack<A> v = simd::load<A>(x + i);
        // Most packs are kept whole.
        return __builtin_expect(i >= begin && i + lanes<A> <= end, 1) ? v : limited(v, i);
    }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        return limited(simd::load_first<A>(x + i, n), i);
    }

private:
    TARN_INLINE pack<A> limited(const pack<A>& v, std::ptrdiff_t i) const noexcept {
        const pack<A> outside = simd::broadcast<A>(masked);
        const pack<A> w = simd::first_or<A>(v, static_cast<int>(end - i), outside);
        return begin > i ? simd::first_or<A>(outside, static_cast<int>(begin - i), w) : w;
    }
};

}}}} // namespace tarn::kernels
