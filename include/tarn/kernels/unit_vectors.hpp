// SPDX-License-Identifier: BSD-3-Clause
//
// Rows as unit vectors x / max(|x|, 1e-12), the same bits on every tier: products of floats are exact in double, those
// of doubles are rounded before they are added, and sums have one order.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/simd/lanes.hpp>
#include <tarn/simd/sums.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

using dispatch::stored_rows;
using simd::double_pack;
using simd::doubles;

constexpr double least_norm = 1e-12;

// Elements of unit vectors below this are 0: then neither their products nor any sum of those are denormal.
template <class A> constexpr double least_of_unit = simd::is_double<A> ? 0x1p-400 : 0x1p-30;

// sum + a * b, lane by lane.
template <class A>
TARN_INLINE void add_tier_product(double_pack<A>& sum, const double_pack<A>& a, const double_pack<A>& b) noexcept {
    simd::unroll<double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        if constexpr (simd::is_double<A>)
            sum.part[I] = sum.part[I] + simd::rounded_product<A>(a.part[I], b.part[I]);
        else
            sum.part[I] = simd::fmadd<A>(a.part[I], b.part[I], sum.part[I]);
    });
}

// f(i, pack, n) for all packs of a row; lanes beyond the first n are 0.
template <class A, class Source, class F>
TARN_INLINE void each_pack(const Source& x, std::ptrdiff_t n, const F& f) noexcept {
    std::ptrdiff_t i = 0;
    for (; i + 4 * lanes<A> <= n; i += 4 * lanes<A>) {
        x.prefetch(i);
        simd::unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            f(i + K * lanes<A>, x.at(i + K * lanes<A>), lanes<A>);
        });
    }
    for_tail<A>(i, n, [&](auto, std::ptrdiff_t at, int count) TARN_LAMBDA {
        f(at, simd::first_or<A>(x.first(at, count), count, 0), count);
    });
}

// What makes a row a unit vector: a power of two, which keeps squares of doubles in range, and a factor.
struct unit_scale {
    double power, factor;
    bool finite;

    template <class A, class Source> TARN_INLINE static unit_scale of(const Source& x, std::ptrdiff_t n) noexcept {
        unit_scale s{1, 0, true};
        if constexpr (simd::is_double<A>) {
            pack<A> greatest = simd::broadcast<A>(0);
            each_pack<A>(x, n, [&](std::ptrdiff_t, const pack<A>& v, int) TARN_LAMBDA {
                greatest = simd::max_of<A>(simd::magnitude<A>(v), greatest);
            });
            const double m = simd::greatest<A>(greatest);
            std::uint64_t bits;
            __builtin_memcpy(&bits, &m, sizeof bits);
            const std::uint64_t exponent = bits >> 52;
            // 1 / 2^exponent of m, up to 2^600: unit vectors of smaller rows are 0 anyway.
            bits = (exponent >= 2045 ? 1 : exponent < 423 ? 1623 : 2046 - exponent) << 52;
            __builtin_memcpy(&s.power, &bits, sizeof bits);
        }
        auto sum = double_pack<A>::zero();
        each_pack<A>(x, n, [&](std::ptrdiff_t, const pack<A>& v, int) TARN_LAMBDA {
            const double_pack<A> d = s.scaled<A>(v);
            add_tier_product<A>(sum, d, d);
        });
        const double squares = simd::total_of_lanes<A>(sum);
        // NaN and infinity lead to a sum that is not finite.
        s.finite = squares < __builtin_huge_val();
        const double norm = _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd(squares)));
        // Rows that were scaled down are longer than that.
        const double least = least_norm * simd::settled(s.power < 1 ? 1 : s.power);
        s.factor = 1 / (norm < least ? least : norm);
        return s;
    }
    // The elements of a unit vector.
    template <class A> TARN_INLINE pack<A> operator()(const pack<A>& v) const noexcept {
        double_pack<A> d = scaled<A>(v);
        d.multiply(double_pack<A>::broadcast(factor));
        return simd::zero_below<A>(d, least_of_unit<A>).to_numbers();
    }

private:
    template <class A> TARN_INLINE double_pack<A> scaled(const pack<A>& v) const noexcept {
        double_pack<A> d = double_pack<A>::of(v);
        if constexpr (simd::is_double<A>) {
            d = simd::zero_below<A>(d, least_of_unit<A> / power);
            d.multiply(double_pack<A>::broadcast(power));
        }
        return d;
    }
};

// Row r of a matrix as a source: f(source).
template <class A, class F>
TARN_INLINE void with_row(const stored_rows& rows, std::ptrdiff_t r, stored_buffer<A>& buffer, const F& f) noexcept {
    constexpr element type = simd::is_double<A> ? element::float64 : element::float32;
    if (rows.type == type && rows.along == 1)
        f(unit_source<A>{static_cast<const number<A>*>(rows.data) + r * rows.across});
    else
        f(any_source<A>::of(rows, r, buffer));
}

}}}} // namespace tarn::kernels
