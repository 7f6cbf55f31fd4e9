// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of log-sum-exp: dx = dlse * scale * exp(scale * x - lse), a map of every row by two numbers. The
// integral part of lse in powers of two is the reference of the weights, which costs nothing for an element; the rest
// is a factor of the row. In place.
#pragma once

#include <tarn/dispatch/softmax_backward_table.hpp>
#include <tarn/kernels/columns.hpp>
#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/softmax_row.hpp>
#include <tarn/simd/log.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// What turns the weights of a reference into gradients, for as many rows as a pack has lanes: weight * factor.
template <class A> struct logsumexp_shares {
    using doubles = simd::doubles<A>;

    pack_references<A> refs;
    pack<A> factor;

    // Of `count` rows; the other lanes are of no row.
    TARN_NOINLINE static logsumexp_shares of(const number<A>* lse, std::ptrdiff_t lse_stride, const number<A>* dlse,
                                             std::ptrdiff_t dlse_stride, int count, number<A> scale) noexcept {
        alignas(64) double sums[lanes<A>] = {};
        alignas(64) double gradients[lanes<A>] = {};
        for (int i = 0; i < count; ++i) {
            sums[i] = static_cast<double>(lse[i * lse_stride]);
            gradients[i] = static_cast<double>(dlse[i * dlse_stride]);
        }
        const auto sum = simd::double_pack<A>::load(sums);
        const auto gradient = simd::double_pack<A>::load(gradients);
        simd::double_pack<A> exponent, centre, factor;
        simd::unroll<simd::double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            share(sum.part[I], gradient.part[I], static_cast<double>(scale), exponent.part[I], centre.part[I],
                  factor.part[I]);
        });
        return {{exponent.to_numbers(), centre.to_numbers()}, factor.to_numbers()};
    }
    // Logits beyond these, in the direction of the scale, count as they.
    TARN_INLINE pack<A> limits(number<A> scale) const noexcept {
        return simd::select_equal<A>(refs.centre, 0, simd::broadcast<A>(scale < 0 ? -infinity : infinity), refs.centre);
    }

private:
    TARN_INLINE static void share(doubles lse, doubles dlse, double scale, doubles& exponent, doubles& centre,
                                  doubles& factor) noexcept {
        constexpr bool is_double = simd::is_double<A>;
        const auto where = [](auto condition, double a, double b)
                               TARN_LAMBDA { return simd::select<A>(condition, doubles(a), doubles(b)); };
        // Weights are so many powers of two too large that none is dropped whose gradient is not; but the factor, which
        // makes up for it, must not be denormal.
        const doubles gradient = dlse * doubles(scale);
        const doubles size = xsimd::abs(gradient);
        const auto is_small = size < doubles(is_double ? 0x1p-800 : 0x1p-60);
        const auto is_large = size > doubles(is_double ? 0x1p130 : 0x1p50);
        const auto by_size = [&](double small, double usual, double large) TARN_LAMBDA {
            return simd::select<A>(is_small, doubles(small), where(is_large, large, usual));
        };
        constexpr double usual = is_double ? 200 : 60;
        constexpr double large = is_double ? 900 : 120;
        const doubles bias = by_size(0, usual, large);
        const doubles unbiased =
            by_size(1 / weights_of<A>::common_factor, simd::power_of_two(-usual) / weights_of<A>::common_factor,
                    simd::power_of_two(-large) / weights_of<A>::common_factor);

        // The integral part of lse in powers of two is the reference.
        constexpr double log2_of_e = 1.4426950408889634074;
        const doubles log2_lse = lse * doubles(log2_of_e);
        const auto is_near = (log2_lse < doubles(reference<A>::far)) & (log2_lse > doubles(-reference<A>::far));
        const doubles m = simd::select<A>(is_near, nearest<doubles>(log2_lse, doubles(1.5 * 0x1p52)), doubles(0.0));
        // m less that, for doubles from twice as many digits.
        doubles rest;
        if constexpr (is_double) {
            const auto base = exp_base<A>::of(1);
            rest = doubles(0.0) - simd::exp2_remainder<A>(lse, doubles(base.high), doubles(base.low), m);
        } else {
            rest = simd::fmadd<A>(lse, doubles(-log2_of_e), m);
        }
        const doubles fraction =
            simd::select<A>(is_near, simd::exp_of_small<A>(rest * doubles(0.693147180559945309417)), doubles(1.0));
        // Far from 0 lse knows little or nothing of its fraction, and may lie below the greatest logit by more than
        // exponentials reach: the logits are centred at it, and none counts as greater.
        exponent = m - bias;
        centre = simd::select<A>(is_near, doubles(0.0), lse / doubles(scale));
        factor = fraction * gradient * unbiased;
    }
};

template <class A> struct logsumexp_backward {
    // x, or the limit where it is beyond that in the direction of the scale. NaN passes.
    struct limiter {
        pack<A> signs; // 0 or -0 in every lane

        TARN_INLINE explicit limiter(number<A> scale) noexcept : signs(simd::broadcast<A>(scale < 0 ? -0.0f : 0.0f)) {}
        TARN_INLINE pack<A> operator()(const pack<A>& x, const pack<A>& limit) const noexcept {
            return simd::min_of<A>(limit ^ signs, x ^ signs) ^ signs;
        }
    };

    template <class Weight, class Limited, class Source, class Sink>
    TARN_NOINLINE static void map_row(const Weight& given, const Limited& given_limited, number<A> factor, Source x,
                                      Sink dx, std::ptrdiff_t n) noexcept {
        const Weight weight = given;
        const Limited limited = given_limited;
        const pack<A> factors = simd::broadcast<A>(factor);
        map_whole_row<A>(x, dx, n, [&](const pack<A>& v) TARN_LAMBDA { return weight(limited(v)) * factors; });
    }
    // Maps of up to a pack of rows.
    struct row_shares {
        limiter limited;
        dropping_weight<A> ordinary;
        exp_weight<A, false> any;
        alignas(64) number<A> bounds[6][lanes<A>];
        alignas(64) number<A> limits[lanes<A>];
        alignas(64) number<A> factors[lanes<A>];

        TARN_INLINE explicit row_shares(number<A> scale) noexcept
            : limited(scale), ordinary(exp_base<A>::of(scale), reference<A>{0, 0}),
              any(exp_base<A>::of(scale), reference<A>{0, 0}) {}
        TARN_INLINE void refer_to(const logsumexp_shares<A>& shares, number<A> scale) noexcept {
            exp_weight_by_lane<A>(exp_base<A>::of(scale), shares.refs).bounds.store(bounds);
            simd::store<A>(limits, shares.limits(scale));
            simd::store<A>(factors, shares.factor);
        }
        // Row i of them.
        template <class Source, class Sink> TARN_INLINE void map(int i, Source x, Sink dx, std::ptrdiff_t n) noexcept {
            const exp_bounds<A, number<A>> b{bounds[0][i], bounds[1][i], bounds[2][i],
                                             bounds[3][i], bounds[4][i], bounds[5][i]};
            if (exp_weight<A, true>::can_express({b.exponent, b.centre})) {
                ordinary.refer_to(b);
                map_row(
                    ordinary, [](const pack<A>& v) TARN_LAMBDA { return v; }, factors[i], x, dx, n);
            } else {
                any.refer_to(b);
                const pack<A> limit = simd::broadcast<A>(limits[i]);
                const auto limit_of = [limited = limited, limit](const pack<A>& v)
                                          TARN_LAMBDA { return limited(v, limit); };
                map_row(any, limit_of, factors[i], x, dx, n);
            }
        }
    };
    template <class Source, class Sink>
    TARN_INLINE static void run_row(number<A> lse, number<A> dlse, number<A> scale, Source x, Sink dx,
                                    std::ptrdiff_t n) noexcept {
        row_shares rows(scale);
        rows.refer_to(logsumexp_shares<A>::of(&lse, 0, &dlse, 0, 1, scale), scale);
        rows.map(0, x, dx, n);
    }
    TARN_NOINLINE static void run_rows(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        row_shares rows(a.scale);
        for (std::ptrdiff_t first = 0; first < a.rows; first += lanes<A>) {
            const int count = a.rows - first < lanes<A> ? static_cast<int>(a.rows - first) : lanes<A>;
            rows.refer_to(logsumexp_shares<A>::of(a.lse + first * a.lse_stride, a.lse_stride,
                                                  a.dlse + first * a.dlse_stride, a.dlse_stride, count, a.scale),
                          a.scale);
            for (int i = 0; i < count; ++i)
                rows.map(i, unit_source<A>{a.y + (first + i) * a.y_stride},
                         either_sink<A>{a.dx + (first + i) * a.dx_stride, a.stream}, a.length);
        }
        if (a.stream)
            simd::stream_fence<A>();
    }

    TARN_NOINLINE static void run_block(const dispatch::softmax_backward_call<number<A>>& a, std::ptrdiff_t col,
                                        int last) noexcept {
        const auto shares = logsumexp_shares<A>::of(a.lse + col * a.lse_stride, a.lse_stride,
                                                    a.dlse + col * a.dlse_stride, a.dlse_stride, last, a.scale);
        const exp_weight_by_lane<A> weight(exp_base<A>::of(a.scale), shares.refs);
        const limiter limited(a.scale);
        const pack<A> limit = shares.limits(a.scale);
        const column_source<A, 1> x{a.y + col, a.y_stride, last};
        map_columns<A, 1>(column_sink<A, 1>::of(a.dx + col, a.dx_stride, last, a.stream), a.length,
                          [&](std::ptrdiff_t i, int w)
                              TARN_LAMBDA { return weight(limited(x.at_ahead(i, w), limit)) * shares.factor; });
    }
    static void run_columns(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        for (std::ptrdiff_t col = 0; col < a.rows; col += lanes<A>)
            run_block(a, col, a.rows - col < lanes<A> ? static_cast<int>(a.rows - col) : lanes<A>);
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
