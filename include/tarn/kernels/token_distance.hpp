// SPDX-License-Identifier: BSD-3-Clause
//
// Squared distances of tokens, the same bits on every tier: differences and squares in double, each rounded by itself,
// and sums in one order.
#pragma once

#include <tarn/kernels/unit_vectors.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The greatest magnitude of a row, if it is finite.
template <class A> struct row_range {
    number<A> greatest;
    bool finite;

    template <class Source> TARN_INLINE static row_range of(const Source& x, std::ptrdiff_t n) noexcept {
        const pack<A> zero = simd::broadcast<A>(0);
        pack<A> most = zero;
        pack<A> zeros = zero; // or NaN
        each_pack<A>(x, n, [&](std::ptrdiff_t, const pack<A>& v, int) TARN_LAMBDA {
            most = simd::max_of<A>(simd::magnitude<A>(v), most);
            zeros = simd::fmadd<A>(v, zero, zeros);
        });
        const bool finite = simd::all_within<A>(zeros, 0, 0);
        return {finite ? simd::greatest<A>(most) : 0, finite};
    }
};

// Brings numbers up to a greatest one to where neither products of them nor sums of these are denormal or infinite: a
// power of two, and what counts as 0. Those of floats come to 2^41, with products and sums that are multiples of
// 2^-106; doubles to 4.
template <class A> struct product_range {
    number<A> power, none; // numbers up to `none` are 0

    TARN_INLINE static product_range of(number<A> greatest) noexcept {
        constexpr bool of_double = simd::is_double<A>;
        constexpr int top = of_double ? 0 : 40;
        constexpr int least = of_double ? -400 : -30;
        constexpr int most_power = of_double ? 1000 : 126;
        constexpr int least_power = of_double ? -1022 : -126;
        const auto wide = static_cast<double>(greatest);
        std::uint64_t bits;
        __builtin_memcpy(&bits, &wide, sizeof bits);
        const int raised = top - (static_cast<int>(bits >> 52) - 1023);
        const int e = raised > most_power ? most_power : raised < least_power ? least_power : raised;
        return {power_of_two(e), power_of_two(least - e < least_power ? least_power : least - e)};
    }
    TARN_INLINE pack<A> operator()(const pack<A>& v) const noexcept {
        return simd::zero_where_le<A>(v, simd::magnitude<A>(v), simd::broadcast<A>(none)) * simd::broadcast<A>(power);
    }

private:
    TARN_INLINE static number<A> power_of_two(int e) noexcept {
        const auto bits = static_cast<std::uint64_t>(e + 1023) << 52;
        double v;
        __builtin_memcpy(&v, &bits, sizeof v);
        return static_cast<number<A>>(v);
    }
};

// Of row i of x and row j of y. Squares of floats need no range in double.
template <class A> struct token_distance {
    std::ptrdiff_t channels;
    product_range<A> range;

    TARN_NOINLINE double operator()(const stored_rows& x, std::ptrdiff_t i, const stored_rows& y,
                                    std::ptrdiff_t j) const noexcept {
        stored_buffer<A> x_buffer, y_buffer;
        double r = 0;
        with_row<A>(x, i, x_buffer, [&](const auto& p) TARN_LAMBDA {
            with_row<A>(y, j, y_buffer, [&](const auto& q) TARN_LAMBDA { r = squared(p, q); });
        });
        return r;
    }

private:
    template <class X, class Y> TARN_INLINE double squared(const X& x, const Y& y) const noexcept {
        auto sum = double_pack<A>::zero();
        const auto add = [&](const pack<A>& v, const pack<A>& w) TARN_LAMBDA {
            const double_pack<A> d = in_range(v) - in_range(w);
            simd::unroll<double_pack<A>::parts>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                sum.part[K] = sum.part[K] + simd::rounded_product<A>(d.part[K], d.part[K]);
            });
        };
        std::ptrdiff_t i = 0;
        for (; i + 4 * lanes<A> <= channels; i += 4 * lanes<A>) {
            x.prefetch(i);
            y.prefetch(i);
            simd::unroll<4>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                add(x.at(i + K * lanes<A>), y.at(i + K * lanes<A>));
            });
        }
        for_tail<A>(i, channels, [&](auto, std::ptrdiff_t at, int n) TARN_LAMBDA {
            add(simd::first_or<A>(x.first(at, n), n, 0), simd::first_or<A>(y.first(at, n), n, 0));
        });
        return simd::total_of_lanes<A>(sum);
    }
    TARN_INLINE double_pack<A> in_range(const pack<A>& v) const noexcept {
        if constexpr (simd::is_double<A>)
            return double_pack<A>::of(range(v));
        else
            return double_pack<A>::of(v);
    }
};

}}}} // namespace tarn::kernels
