// SPDX-License-Identifier: BSD-3-Clause
//
// For each of some tokens the centre of least squared distance: of the products in registers, x . c - |c|^2 / 2, those
// that come close to the greatest, and of these the least by exact distances. So decisions are those of exact distances
// on every tier, of which few are made.
#pragma once

#include <tarn/dispatch/token_cluster_table.hpp>
#include <tarn/kernels/best_match.hpp>
#include <tarn/kernels/token_distance.hpp>
#include <tarn/simd/bits.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

TARN_INLINE double square_root(double v) noexcept { return _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd(v))); }

template <class A> class nearest_centre {
public:
    using number = simd::number<A>;
    using call = dispatch::cluster_call<number>;
    static constexpr int tile = product_tile_rows<A>; // tokens together
    static_assert(tile <= dispatch::cluster_tile, "the scratch has room for a tile");

    TARN_INLINE nearest_centre(const call& a, const product_range<A>& range) noexcept
        : a_(a), range_(range), distance_{a.channels, range}, clusters_(a.plan.slots),
          columns_((clusters_ + L - 1) / L * L), panels_(a.scratch), start_(panels_ + columns_ * a.channels),
          scores_(start_ + columns_), rows_(scores_ + columns_ * tile) {}

    // Takes the centres s of which changed[s] is not 0.
    TARN_NOINLINE void take_centres(const std::int32_t* changed) noexcept {
        for (std::ptrdiff_t first = 0; first < clusters_; first += L) {
            bool any = false;
            for (std::ptrdiff_t s = first; s < clusters_ && s < first + L; ++s)
                any = any || changed[s] != 0;
            if (any)
                fill_panel(first);
        }
        number least = 0;
        for (std::ptrdiff_t s = 0; s < clusters_; ++s)
            least = start_[s] < least && start_[s] > excluded / 2 ? start_[s] : least;
        longest_ = square_root(-2.0 * static_cast<double>(least)) * (1 + 0x1p-10);
    }

    // found[i]: the nearest centre of token first + i, for i < count; -1: none, as for tokens that are not finite.
    TARN_NOINLINE void find(std::ptrdiff_t first, int count, std::int32_t (&found)[tile]) noexcept {
        double squares[tile];
        const number* row[tile];
        for (int r = 0; r < tile; ++r) {
            row[r] = rows_ + r * a_.channels;
            squares[r] = r < count ? fill_row(a_.x, first + r, rows_ + r * a_.channels) : 0;
        }
        for (int r = count; r < tile; ++r)
            row[r] = row[0];
        for (std::ptrdiff_t p = 0; p < columns_; p += L) {
            pack<A> s[tile];
            const pack<A> start = simd::load<A>(start_ + p);
            simd::unroll<tile>([&](auto r) TARN_LAMBDA { s[decltype(r)::value] = start; });
            add_column_products<A, tile>(row, panels_ + p * a_.channels, a_.channels, s);
            simd::unroll<tile>([&](auto r) TARN_LAMBDA {
                simd::store<A>(scores_ + decltype(r)::value * columns_ + p, s[decltype(r)::value]);
            });
        }
        for (int r = 0; r < count; ++r)
            found[r] = squares[r] < 0 ? -1 : nearest(first + r, scores_ + r * columns_, squares[r]);
    }

    // The same of one token by the distances of all centres, without scratch.
    TARN_NOINLINE static std::int32_t find_exactly(const call& a, const token_distance<A>& distance,
                                                   std::ptrdiff_t token) noexcept {
        std::int32_t best = -1;
        double least = __builtin_huge_val();
        for (std::ptrdiff_t s = 0; s < a.plan.slots; ++s) {
            const double d = distance(a.x, token, a.centres, s);
            best = d < least ? static_cast<std::int32_t>(s) : best;
            least = d < least ? d : least;
        }
        return best;
    }

private:
    static constexpr int L = lanes<A>;
    // The score of a centre that is not finite.
    static constexpr number excluded = static_cast<number>(simd::is_double<A> ? -0x1p1000 : -0x1p126);

    // A row in range, 0 if it is not finite. Returns the sum of its squares, -1 if it is not finite.
    TARN_INLINE double fill_row(const stored_rows& rows, std::ptrdiff_t r, number* to) noexcept {
        pack<A> squares = simd::broadcast<A>(0);
        with_row<A>(rows, r, buffer_, [&](const auto& x) TARN_LAMBDA {
            each_pack<A>(x, a_.channels, [&](std::ptrdiff_t i, const pack<A>& v, int n) TARN_LAMBDA {
                const pack<A> w = range_(v);
                squares = simd::fmadd<A>(w, w, squares);
                if (n == L)
                    simd::store<A>(to + i, w);
                else
                    simd::store_first<A>(to + i, w, n);
            });
        });
        const double sum = simd::total_of_lanes<A>(double_pack<A>::of(squares));
        if (sum < __builtin_huge_val())
            return sum;
        for (std::ptrdiff_t i = 0; i < a_.channels; ++i)
            to[i] = 0;
        return -1;
    }
    TARN_NOINLINE void fill_panel(std::ptrdiff_t first) noexcept {
        const std::ptrdiff_t channels = a_.channels;
        for (int l = 0; l < L; ++l) {
            const bool there = first + l < clusters_;
            const bool finite = there && fill_row(a_.centres, first + l, rows_ + l * channels) >= 0;
            start_[first + l] = finite ? 0 : excluded;
            for (std::ptrdiff_t i = 0; i < channels && !there; ++i)
                rows_[l * channels + i] = 0;
        }
        number* const panel = panels_ + first * channels;
        simd::transpose_rows<A>(rows_, channels, channels, panel);
        auto squares = double_pack<A>::zero();
        for (std::ptrdiff_t i = 0; i < channels; ++i) {
            const auto v = double_pack<A>::of(simd::load<A>(panel + i * L));
            add_tier_product<A>(squares, v, v);
        }
        squares.multiply(double_pack<A>::broadcast(-0.5));
        simd::store<A>(start_ + first, simd::load<A>(start_ + first) + squares.to_numbers());
    }

    // `scores`: of all centres; squares: of the token.
    TARN_INLINE std::int32_t nearest(std::ptrdiff_t token, const number* scores, double squares) const noexcept {
        pack<A> most = simd::load<A>(scores);
        for (std::ptrdiff_t p = L; p < columns_; p += L)
            most = simd::max_of<A>(simd::load<A>(scores + p), most);
        const number top = simd::greatest<A>(most);
        if (!(top > excluded / 2))
            return -1;
        const number limit = least_close(static_cast<double>(top), squares);
        std::int32_t best = -1;
        double least = -1; // not yet known
        for (std::ptrdiff_t p = 0; p < columns_; p += L) {
            for (unsigned close = simd::bits_above<A>(simd::load<A>(scores + p), limit); close != 0;
                 close &= close - 1) {
                const auto s = static_cast<std::int32_t>(p) + __builtin_ctz(close);
                if (best < 0) {
                    best = s;
                    continue;
                }
                if (least < 0)
                    least = distance_(a_.x, token, a_.centres, best);
                const double d = distance_(a_.x, token, a_.centres, s);
                best = d < least ? s : best;
                least = d < least ? d : least;
            }
        }
        return best;
    }
    // Scores up to this are of centres that are further away than the one of the greatest score. With n channels and
    // numbers of precision u a score is off by no more than (n + 8) u (|x| + |c|)^2 / 2, exact distances and what counts
    // as 0 included. Of centres much longer than x and than what the greatest score allows, which are far away, the
    // length does not matter.
    TARN_INLINE number least_close(double top, double squares) const noexcept {
        constexpr double precision = simd::is_double<A> ? 0x1p-52 : 0x1p-24;
        const double rounding = (static_cast<double>(a_.channels) + 16) * precision;
        if (rounding > 0x1p-4)
            return excluded / 2;
        const double x = square_root(squares) * (1 + 0x1p-10);
        const double far = -top > squares ? -top : squares;
        double reach = 4 * square_root(far) + shortest;
        reach = reach < longest_ ? reach : longest_;
        const double sum = x + reach;
        const double flushed = zeroed * static_cast<double>(a_.channels) * sum;
        return static_cast<number>(top - (rounding * sum * sum + flushed) * (1 + 0x1p-10) - least_step);
    }
    // Four times what an element that counts as 0 may be; a length beside which all such do not matter; and less than
    // any other difference.
    static constexpr double zeroed = simd::is_double<A> ? 0x1p-398 : 0x1p-28;
    static constexpr double shortest = simd::is_double<A> ? 0x1p-360 : 1;
    static constexpr double least_step = simd::is_double<A> ? 0x1p-1000 : 0x1p-110;

    const call& a_;
    const product_range<A> range_;
    const token_distance<A> distance_;
    std::ptrdiff_t clusters_, columns_;
    number *panels_, *start_, *scores_, *rows_;
    double longest_ = 0;
    stored_buffer<A> buffer_;
};

}}}} // namespace tarn::kernels
