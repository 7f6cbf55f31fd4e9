// SPDX-License-Identifier: BSD-3-Clause
//
// For each of some rows the most similar of many columns, all of them unit vectors: products and arg-max in registers,
// no matrix of similarities.
//
// A similarity is the sum in double of products of unit vectors' elements, added from the first to the last. Products
// of floats are exact in double and doubles' are rounded before they are added, so it has the same bits on every tier,
// and so have decisions. For floats most decisions are made on sums in float: those in which no other column comes
// closer to the best than what rounding may change. The rest are made again in double.
#pragma once

#include <tarn/kernels/unit_vectors.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Columns in panels of a cache line: element k of column j is at[(j / lanes * width + k) * lanes + j % lanes]. A column
// that may not be chosen is 0 everywhere, and its sums begin with `excluded`.
template <class A> struct column_panels {
    const number<A>* at;
    const number<A>* start;
    std::ptrdiff_t count, width;

    static constexpr number<A> excluded = -4; // similarities are -1 at least, but for rounding

    TARN_INLINE std::ptrdiff_t panels() const noexcept { return (count + lanes<A> - 1) / lanes<A>; }
    TARN_INLINE const number<A>* panel(std::ptrdiff_t p) const noexcept { return at + p * width * lanes<A>; }
};

// Rows of a tile in registers: of sums of the type of the elements, and of sums in double.
template <class A> constexpr int product_tile_rows = pack<A>::parts == 1 ? 12 : pack<A>::parts == 2 ? 6 : 2;
template <class A> constexpr int exact_tile_rows = 8 / double_pack<A>::parts;

// sums[r] + the similarities, over `width` elements, of rows and the columns of a panel.
template <class A, int R>
TARN_INLINE void add_similarities(const number<A>* const (&row)[R], const number<A>* panel, std::ptrdiff_t width,
                                  double_pack<A> (&sums)[R]) noexcept {
    double_pack<A> s[R];
    simd::unroll<R>([&](auto r) TARN_LAMBDA { s[decltype(r)::value] = sums[decltype(r)::value]; });
    for (std::ptrdiff_t k = 0; k < width; ++k) {
        const auto b = double_pack<A>::of(simd::load<A>(panel + k * lanes<A>));
        simd::unroll<R>([&](auto r) TARN_LAMBDA {
            constexpr int I = decltype(r)::value;
            add_tier_product<A>(s[I], double_pack<A>::broadcast(static_cast<double>(row[I][k])), b);
        });
    }
    simd::unroll<R>([&](auto r) TARN_LAMBDA { sums[decltype(r)::value] = s[decltype(r)::value]; });
}

// sums[r] + the products, over `width` elements, of rows and the columns of a panel: in the type of the elements, from
// the first to the last.
template <class A, int R>
TARN_INLINE void add_column_products(const number<A>* const (&row)[R], const number<A>* panel, std::ptrdiff_t width,
                                     pack<A> (&sums)[R]) noexcept {
    pack<A> s[R];
    simd::unroll<R>([&](auto r) TARN_LAMBDA { s[decltype(r)::value] = sums[decltype(r)::value]; });
    for (std::ptrdiff_t k = 0; k < width; ++k) {
        const pack<A> v = simd::load<A>(panel + k * lanes<A>);
        simd::unroll<R>([&](auto r) TARN_LAMBDA {
            constexpr int I = decltype(r)::value;
            s[I] = simd::fmadd<A>(simd::broadcast<A>(row[I][k]), v, s[I]);
        });
    }
    simd::unroll<R>([&](auto r) TARN_LAMBDA { sums[decltype(r)::value] = s[decltype(r)::value]; });
}

// The best column so far; of equal ones the first.
struct best_column {
    double similarity;
    std::ptrdiff_t column; // -1: none

    template <class A>
    TARN_INLINE void take(const double_pack<A>& sums, std::ptrdiff_t first, std::ptrdiff_t count) noexcept {
        alignas(64) double lane[lanes<A>];
        sums.store(lane);
        for (int l = 0; l < lanes<A> && first + l < count; ++l) {
            if (lane[l] > similarity) {
                similarity = lane[l];
                column = first + l;
            }
        }
    }
    TARN_INLINE static best_column none() noexcept { return {-2, -1}; }
};

// The exact best columns of R rows.
template <class A, int R>
TARN_NOINLINE void exact_best(const number<A>* const (&row)[R], const column_panels<A>& b,
                              best_column (&best)[R]) noexcept {
    for (best_column& v : best)
        v = best_column::none();
    for (std::ptrdiff_t p = 0; p < b.panels(); ++p) {
        double_pack<A> sums[R];
        for (double_pack<A>& v : sums)
            v = double_pack<A>::of(simd::load<A>(b.start + p * lanes<A>));
        add_similarities<A, R>(row, b.panel(p), b.width, sums);
        for (int r = 0; r < R; ++r)
            best[r].take(sums[r], p * lanes<A>, b.count);
    }
}

// The similarity of a row and a column.
template <class A>
TARN_NOINLINE double exact_similarity(const number<A>* row, const column_panels<A>& b, std::ptrdiff_t column) noexcept {
    static_assert(!simd::is_double<A>, "products of doubles are not exact");
    const number<A>* const from = b.panel(column / lanes<A>) + column % lanes<A>;
    double sum = 0;
    for (std::ptrdiff_t k = 0; k < b.width; ++k)
        sum += static_cast<double>(row[k]) * static_cast<double>(from[k * lanes<A>]);
    return sum;
}

// What is known of a row by sums in float: the best column, `undecided` if another may be as good, or `none`; and its
// similarity, to half of closeness().
struct float_match {
    static constexpr std::ptrdiff_t none = -1, undecided = -2;

    std::ptrdiff_t column;
    float similarity;
};

// Sums in float that are further apart are in the order of exact ones: twice what a sum may be off, and what the
// roundings of comparisons take.
TARN_INLINE float closeness(std::ptrdiff_t width) noexcept { return 2 * (static_cast<float>(width) + 8) * 0x1p-24f; }

template <class A, int R>
TARN_NOINLINE void float_best(const float* const (&row)[R], const column_panels<A>& b,
                              float_match (&match)[R]) noexcept {
    constexpr float nothing = column_panels<A>::excluded;
    // In memory: the sums take all registers.
    alignas(64) float best[R][lanes<A>], second[R][lanes<A>], panel[R][lanes<A>];
    for (int r = 0; r < R; ++r) {
        simd::store<A>(best[r], simd::broadcast<A>(nothing));
        simd::store<A>(second[r], simd::broadcast<A>(nothing));
        simd::store<A>(panel[r], simd::broadcast<A>(0));
    }
    for (std::ptrdiff_t p = 0; p < b.panels(); ++p) {
        const pack<A> start = simd::load<A>(b.start + p * lanes<A>);
        pack<A> s[R];
        simd::unroll<R>([&](auto r) TARN_LAMBDA { s[decltype(r)::value] = start; });
        add_column_products<A, R>(row, b.panel(p), b.width, s);
        const pack<A> here = simd::broadcast<A>(static_cast<float>(p));
        simd::unroll<R>([&](auto r) TARN_LAMBDA {
            constexpr int I = decltype(r)::value;
            const pack<A> before = simd::load<A>(best[I]);
            simd::store<A>(panel[I], simd::select_greater<A>(s[I], before, here, simd::load<A>(panel[I])));
            simd::store<A>(second[I], simd::max_of<A>(simd::load<A>(second[I]), simd::min_of<A>(s[I], before)));
            simd::store<A>(best[I], simd::max_of<A>(before, s[I]));
        });
    }
    const float distance = closeness(b.width);
    const bool rough = distance >= 1;
    for (int r = 0; r < R; ++r) {
        const pack<A> bests = simd::load<A>(best[r]);
        const float top = simd::greatest<A>(bests);
        const float close = top - distance;
        const unsigned lanes_close = simd::lanes_ge<A>(bests, close);
        const bool alone =
            (lanes_close & (lanes_close - 1)) == 0 && simd::lanes_ge<A>(simd::load<A>(second[r]), close) == 0;
        match[r] = {float_match::none, top};
        if (!alone || rough) {
            match[r].column = top < -2 && !rough ? float_match::none : float_match::undecided;
        } else {
            const int lane = __builtin_ctz(lanes_close);
            match[r].column = static_cast<std::ptrdiff_t>(panel[r][lane]) * lanes<A> + lane;
        }
    }
}

}}}} // namespace tarn::kernels
