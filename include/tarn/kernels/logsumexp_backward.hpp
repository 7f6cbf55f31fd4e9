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

template <class A> struct logsumexp_backward {
    // What turns weights of a reference into gradients: weight * factor, or 0 where that is below the least normal
    // number.
    struct row_numbers {
        // Weights are so many powers of two too large that none is dropped whose gradient is not; but the factor, which
        // makes up for it, must not be denormal.
        TARN_INLINE static number<A> bias_of(double gradient) noexcept {
            constexpr bool is_double = simd::is_double<A>;
            const double size = gradient < 0 ? -gradient : gradient;
            if (size < (is_double ? 0x1p-800 : 0x1p-60))
                return 0;
            if (size > (is_double ? 0x1p130 : 0x1p50))
                return is_double ? 900 : 120;
            return is_double ? 200 : 60;
        }

        reference<A> ref;
        number<A> limit; // logits beyond it count as it
        number<A> factor, threshold;

        TARN_INLINE static row_numbers of(number<A> lse, number<A> dlse, number<A> scale) noexcept {
            const double gradient = static_cast<double>(dlse) * static_cast<double>(scale);
            const number<A> bias = bias_of(gradient);
            const double log2_lse = static_cast<double>(lse) * 1.4426950408889634074;
            const bool near = log2_lse < reference<A>::far && log2_lse > -reference<A>::far;
            const double m = near ? nearest(log2_lse, 1.5 * 0x1p52) : 0.0;
            // m - log2_lse, for doubles from twice as many digits.
            double rest = m - log2_lse;
            if constexpr (simd::is_double<A>) {
                using doubles = simd::doubles<A>;
                const auto log2_e = exp_base<A>::of(1);
                rest = -simd::first_lane<A>(
                    simd::exp2_remainder<A>(doubles(lse), doubles(log2_e.high), doubles(log2_e.low), doubles(m)));
            }
            // Far from 0 lse knows little or nothing of its fraction, and may lie below the greatest logit by more than
            // exponentials reach: the logits are centred at it, and none counts as greater.
            const reference<A> ref =
                near ? reference<A>{static_cast<number<A>>(m) - bias, 0} : reference<A>{-bias, lse / scale};
            const double fraction = near ? simd::exp_of_small<A>(rest * 0.693147180559945309417) : 1.0;
            const double factor =
                fraction * gradient * (simd::power_of_two(-static_cast<double>(bias)) / weights_of<A>::common_factor);
            const auto f = static_cast<number<A>>(factor);
            return {ref, near ? (scale < 0 ? -infinity : infinity) : ref.centre, f,
                    weights_of<A>::least_result / (f < 0 ? -f : f)};
        }
    };
    // x, or the limit where it is beyond that in the direction of the scale. NaN passes.
    struct limiter {
        pack<A> signs; // 0 or -0 in every lane

        TARN_INLINE explicit limiter(number<A> scale) noexcept : signs(simd::broadcast<A>(scale < 0 ? -0.0f : 0.0f)) {}
        TARN_INLINE pack<A> operator()(const pack<A>& x, const pack<A>& limit) const noexcept {
            return simd::min_of<A>(limit ^ signs, x ^ signs) ^ signs;
        }
    };
    TARN_INLINE static pack<A> finish(const pack<A>& weight, const pack<A>& factor, const pack<A>& threshold) noexcept {
        return simd::zero_where_le<A>(weight, weight, threshold) * factor;
    }

    template <bool Stream, class Weight>
    TARN_NOINLINE static void map_row(const Weight& given, const row_numbers& numbers, const limiter& given_limited,
                                      const number<A>* x, number<A>* dx, std::ptrdiff_t n) noexcept {
        const Weight weight = given;
        const limiter limited = given_limited;
        const pack<A> limit = simd::broadcast<A>(numbers.limit);
        const pack<A> factor = simd::broadcast<A>(numbers.factor);
        const pack<A> threshold = simd::broadcast<A>(numbers.threshold);
        map_row_to_lines<A, Stream>(unit_source<A>{x}, dx, n, [&](const pack<A>& v) TARN_LAMBDA {
            return finish(weight(limited(v, limit)), factor, threshold);
        });
    }
    static void run_rows(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        const exp_base<A> base = exp_base<A>::of(a.scale);
        const limiter limited(a.scale);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_numbers numbers = row_numbers::of(a.lse[r * a.lse_stride], a.dlse[r * a.dlse_stride], a.scale);
            const exp_weight<A, false> weight(base, numbers.ref);
            const number<A>* x = a.y + r * a.y_stride;
            number<A>* dx = a.dx + r * a.dx_stride;
            if (a.stream)
                map_row<true>(weight, numbers, limited, x, dx, a.length);
            else
                map_row<false>(weight, numbers, limited, x, dx, a.length);
        }
        if (a.stream)
            simd::stream_fence<A>();
    }

    TARN_NOINLINE static void run_block(const dispatch::softmax_backward_call<number<A>>& a, std::ptrdiff_t col,
                                        int last) noexcept {
        alignas(64) number<A> exponent[lanes<A>] = {};
        alignas(64) number<A> centre[lanes<A>] = {};
        alignas(64) number<A> limit[lanes<A>] = {};
        alignas(64) number<A> factor[lanes<A>] = {};
        alignas(64) number<A> threshold[lanes<A>] = {};
        for (int c = 0; c < last; ++c) {
            const row_numbers numbers =
                row_numbers::of(a.lse[(col + c) * a.lse_stride], a.dlse[(col + c) * a.dlse_stride], a.scale);
            exponent[c] = numbers.ref.exponent;
            centre[c] = numbers.ref.centre;
            limit[c] = numbers.limit;
            factor[c] = numbers.factor;
            threshold[c] = numbers.threshold;
        }
        const exp_weight_by_lane<A> weight(exp_base<A>::of(a.scale), {simd::load<A>(exponent), simd::load<A>(centre)});
        const limiter limited(a.scale);
        const column_source<A, 1> x{a.y + col, a.y_stride, last};
        map_columns<A, 1>(column_sink<A, 1>::of(a.dx + col, a.dx_stride, last, a.stream), a.length,
                          [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
                              return finish(weight(limited(x.at_ahead(i, w), simd::load<A>(limit))),
                                            simd::load<A>(factor), simd::load<A>(threshold));
                          });
    }
    static void run_columns(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        for (std::ptrdiff_t col = 0; col < a.rows; col += lanes<A>)
            run_block(a, col, a.rows - col < lanes<A> ? static_cast<int>(a.rows - col) : lanes<A>);
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
