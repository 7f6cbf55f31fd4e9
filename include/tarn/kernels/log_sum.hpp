// SPDX-License-Identifier: BSD-3-Clause
//
// The logarithm of a row's sum of exponentials, from one read of the row: the greatest logit is noted beside weights of
// a guessed reference. Only a wrong guess, or an element beside which the others vanish, reads the row again.
//
// With the weight w of the greatest logit g, log sum_j exp(s x_j) = s g + log(sum / w), and sum / w = 1 + r with r >=
// 0. So a row that one element dominates keeps all digits: its log-probability is -log(1 + r), never positive, and
// exactly 0 where the element is alone.
#pragma once

#include <tarn/kernels/softmax_row.hpp>
#include <tarn/simd/log.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A source that notes the greatest sign * x of all it gives. NaN are passed over.
template <class A, class Source> struct noting_source {
    Source source;
    pack<A> signs; // 0 or -0 in every lane
    pack<A>* greatest;

    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept {
        const pack<A> v = source.at(i);
        *greatest = simd::max_of<A>(v ^ signs, *greatest);
        return v;
    }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        const pack<A> v = source.first(i, n);
        *greatest = simd::max_of<A>(simd::first_or<A>(v ^ signs, n, -infinity), *greatest);
        return v;
    }
    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { source.prefetch(i); }
};

// log sum_j exp(scale * x_j) = scale * greatest + value. Rows with NaN, and with +inf, have a value of NaN.
struct log_sum {
    float greatest; // of the logits in the direction of the scale
    double value;
    bool infinite; // the row has +inf, and no NaN

    // The map of the row: y = scale * (x - greatest) - value.
    struct map {
        float scale, greatest, value;

        template <class A> TARN_INLINE auto on() const noexcept {
            return [scale_ = simd::broadcast<A>(scale), greatest_ = simd::broadcast<A>(greatest),
                    less_ = simd::broadcast<A>(-value)](const pack<A>& x)
                       TARN_LAMBDA { return simd::fmadd<A>(x - greatest_, scale_, less_); };
        }
    };
    TARN_INLINE bool empty() const noexcept { return greatest == -infinity || greatest == infinity; }
    TARN_INLINE map map_of(float scale, bool empty_rows_lowest) const noexcept {
        if (empty_rows_lowest && value == value && empty())
            return {scale, 0.0f, infinity};
        if (scale == 0.0f)
            return {scale, 0.0f, static_cast<float>(value)}; // differences may be infinite
        return {scale, greatest, static_cast<float>(value)};
    }
    TARN_INLINE float log_of_sum(float scale, double offset) const noexcept {
        if (infinite)
            return infinity;
        return static_cast<float>(static_cast<double>(scale) * static_cast<double>(greatest) + value + offset);
    }
};

template <class A, class Source> TARN_NOINLINE bool has_nan(Source x, std::ptrdiff_t n) noexcept {
    for (std::ptrdiff_t i = 0; i < n; i += lanes) {
        const int count = n - i < lanes ? static_cast<int>(n - i) : lanes;
        if (!simd::all_within<A>(simd::first_or<A>(x.first(i, count), count, 0.0f), -infinity, infinity))
            return true;
    }
    return false;
}

// A row without an acceptable sum: of no weight at all, or with NaN or +inf. has_nan() is asked only if that decides.
template <class HasNan>
TARN_INLINE log_sum log_sum_of_no_row(double sum, float greatest, exp_base base, HasNan has_nan) noexcept {
    if (sum == 0)
        return {greatest, 0.0, false};
    const bool infinite = base.high != 0 && greatest * base.sign() == infinity && !has_nan();
    return {greatest, static_cast<double>(__builtin_nanf("")), infinite};
}

// What one read of a row gives.
struct noted_sum {
    double sum;     // of the weights
    double excess;  // sum / weight of the greatest - 1
    float greatest; // in the direction of the scale
};

template <class A, class Weight>
TARN_INLINE double excess_of(const Weight& weight, double sum, float greatest) noexcept {
    const double own = static_cast<double>(simd::greatest<A>(weight(simd::broadcast<A>(greatest))));
    return (sum - own) / own;
}

template <class A, class Weight, class Source, class Beside = nothing_beside>
TARN_NOINLINE noted_sum note_row(const Weight& given, Source x, std::ptrdiff_t n, float sign,
                                 const Beside& given_beside = {}) noexcept {
    const Weight weight = given;
    const Beside beside = given_beside;
    pack<A> greatest = simd::broadcast<A>(-infinity);
    const noting_source<A, Source> noting{x, simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f), &greatest};
    const double sum = weigh_chunks<A, packs_added::singly>(weight, noting, no_sink{}, n, beside);
    const float g = sign * simd::greatest<A>(greatest);
    return {sum, excess_of<A>(weight, sum, g), g};
}

// Where one element dominates, every addition to its lane of the accumulators may cost 2^-53 of the sum, and what is
// left beside that element is a difference. Below this excess that may be more than half a unit of the result in float:
// the others are then added without the element. A single element has no others.
TARN_INLINE double least_excess(std::ptrdiff_t n) noexcept {
    const std::ptrdiff_t in_a_lane = (n < chunk_size ? n : chunk_size) / lanes + 5;
    return n == 1 ? 0.0 : static_cast<double>(in_a_lane + n / chunk_size) * 0x1p-28;
}
// What `own`, the weight of the greatest, leaves of a weight. No other is as large, or the excess would be.
template <class A> TARN_INLINE pack<A> weight_of_other(const pack<A>& v, const pack<A>& own) noexcept {
    return v - simd::keep_where_ge<A>(v, own);
}
TARN_INLINE double excess_of_others(double others, float own) noexcept {
    const double excess = others / static_cast<double>(own);
    return excess < static_cast<double>(least_result) ? 0.0 : excess;
}
// The reference follows from the row alone, and with it which weights are dropped.
template <class A, class Source>
TARN_NOINLINE double add_others(const softmax_rows_state<A>& state, Source x, std::ptrdiff_t n,
                                float greatest) noexcept {
    const exp_weight<A, false> weight(state.base, reference::of_greatest(greatest, state.base, state.carried_bias));
    const pack<A> own = weight(simd::broadcast<A>(greatest));
    const auto other = [weight, own](const pack<A>& v) TARN_LAMBDA { return weight_of_other<A>(weight(v), own); };
    return excess_of_others(weigh_row<A, packs_added::singly>(other, x, no_sink{}, n), simd::greatest<A>(own));
}

// A row with an acceptable sum.
template <class A, class Source>
TARN_INLINE log_sum log_sum_of_ordinary_row(const softmax_rows_state<A>& state, Source x, std::ptrdiff_t n,
                                            float greatest, double excess) noexcept {
    if (excess < least_excess(n))
        excess = add_others<A>(state, x, n, greatest);
    return {greatest, simd::log_of_one_plus<A>(excess), false};
}

// A row whose guess was wrong, its greatest logit known.
template <class A, class Source>
TARN_NOINLINE log_sum log_sum_again(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n, float greatest) noexcept {
    const reference ref = reference::of_greatest(greatest, state.base, state.carried_bias);
    const exp_weight<A, false> weight(state.base, ref);
    const double sum = weigh_row<A, packs_added::singly>(weight, x, no_sink{}, n);
    if (!acceptable(sum))
        return log_sum_of_no_row(sum, greatest, state.base, [&]() TARN_LAMBDA { return has_nan<A>(x, n); });
    state.carry(ref);
    return log_sum_of_ordinary_row<A>(state, x, n, greatest, excess_of<A>(weight, sum, greatest));
}

template <class A, class Source, class Beside>
TARN_INLINE log_sum log_sum_of_row(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n,
                                   const Beside& beside) noexcept {
    const noted_sum noted = state.with_weight(
        [&](const auto& weight) TARN_LAMBDA { return note_row<A>(weight, x, n, state.base.sign(), beside); });
    if (!acceptable(noted.sum))
        return log_sum_again<A>(state, x, n, noted.greatest);
    state.guessed_right(noted.sum);
    return log_sum_of_ordinary_row<A>(state, x, n, noted.greatest, noted.excess);
}

}}}} // namespace tarn::kernels
