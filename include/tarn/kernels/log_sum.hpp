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
template <class A> struct log_sum {
    using number = simd::number<A>;
    number greatest; // of the logits in the direction of the scale
    double value;
    bool infinite; // the row has +inf, and no NaN

    // The map of the row: y = scale * (x - greatest) - value.
    struct map {
        number scale, greatest, value;

        TARN_INLINE auto on() const noexcept {
            return [scale_ = simd::broadcast<A>(scale), greatest_ = simd::broadcast<A>(greatest),
                    less_ = simd::broadcast<A>(-value)](const pack<A>& x)
                       TARN_LAMBDA { return simd::fmadd<A>(x - greatest_, scale_, less_); };
        }
    };
    TARN_INLINE bool empty() const noexcept { return greatest == -infinity || greatest == infinity; }
    TARN_INLINE map map_of(number scale, bool empty_rows_lowest) const noexcept {
        if (empty_rows_lowest && value == value && empty())
            return {scale, 0.0f, infinity};
        if (scale == 0.0f)
            return {scale, 0.0f, static_cast<number>(value)}; // differences may be infinite
        return {scale, greatest, static_cast<number>(value)};
    }
    TARN_INLINE number log_of_sum(number scale, double offset) const noexcept {
        if (infinite)
            return infinity;
        const double log = simd::first_lane<A>(log_of(simd::doubles<A>(static_cast<double>(greatest)),
                                                      simd::doubles<A>(value), static_cast<double>(scale), offset));
        return static_cast<number>(log);
    }
    // The same lane by lane, of rows none of which is infinite. The product of floats is exact, so it does not matter
    // whether it is fused.
    TARN_INLINE static simd::doubles<A> log_of(const simd::doubles<A>& greatest, const simd::doubles<A>& value,
                                               double scale, double offset) noexcept {
        return simd::fmadd<A>(simd::doubles<A>(scale), greatest, value) + simd::doubles<A>(offset);
    }
};

template <class A, class Source> TARN_NOINLINE bool has_nan(Source x, std::ptrdiff_t n) noexcept {
    for (std::ptrdiff_t i = 0; i < n; i += lanes<A>) {
        const int count = n - i < lanes<A> ? static_cast<int>(n - i) : lanes<A>;
        if (!simd::all_within<A>(simd::first_or<A>(x.first(i, count), count, 0.0f), -infinity, infinity))
            return true;
    }
    return false;
}

// A row without an acceptable sum: of no weight at all, or with NaN or +inf. has_nan() is asked only if that decides.
template <class A, class HasNan>
TARN_INLINE log_sum<A> log_sum_of_no_row(double sum, number<A> greatest, exp_base<A> base, HasNan has_nan) noexcept {
    if (sum == 0)
        return {greatest, 0.0, false};
    const bool infinite = base.high != 0 && greatest * base.sign() == infinity && !has_nan();
    return {greatest, static_cast<double>(__builtin_nanf("")), infinite};
}

// What one read of a row gives.
template <class A> struct noted_sum {
    double sum;         // of the weights
    double excess;      // sum / weight of the greatest - 1
    number<A> greatest; // in the direction of the scale
};

template <class A, class Weight>
TARN_INLINE double excess_of(const Weight& weight, row_total<A> sum, number<A> greatest) noexcept {
    const double own = static_cast<double>(simd::greatest<A>(weight(simd::broadcast<A>(greatest))));
    return simd::total_less(sum, own) / own;
}

template <class A, class Weight, class Source, class Beside = nothing_beside>
TARN_NOINLINE noted_sum<A> note_row(const Weight& given, Source x, std::ptrdiff_t n, number<A> sign,
                                    const Beside& given_beside = {}) noexcept {
    const Weight weight = given;
    const Beside beside = given_beside;
    pack<A> greatest = simd::broadcast<A>(-infinity);
    const noting_source<A, Source> noting{x, simd::broadcast<A>(sign < 0 ? -0.0f : 0.0f), &greatest};
    const row_total<A> sum = weigh_chunks<A, packs_added::singly>(weight, noting, no_sink{}, n, beside);
    const number<A> g = sign * simd::greatest<A>(greatest);
    return {sum, excess_of<A>(weight, sum, g), g};
}

// Where one element dominates, every addition to its lane of the accumulators may cost 2^-53 of the sum (for doubles
// 2^-106), and what is left beside that element is a difference. Below this excess that may be more than half a unit of
// the result: the others are then added without the element. A single element has no others.
template <class A> TARN_INLINE double least_excess(std::ptrdiff_t n) noexcept {
    const std::ptrdiff_t in_a_lane = (n < chunk_size ? n : chunk_size) / lanes<A> + 5;
    const double lost = simd::is_double<A> ? 0x1p-50 : 0x1p-28;
    return n == 1 ? 0.0 : static_cast<double>(in_a_lane + n / chunk_size) * lost;
}
// What `own`, the weight of the greatest, leaves of a weight. No other is as large, or the excess would be.
template <class A> TARN_INLINE pack<A> weight_of_other(const pack<A>& v, const pack<A>& own) noexcept {
    return v - simd::keep_where_ge<A>(v, own);
}
template <class A> TARN_INLINE double excess_of_others(double others, number<A> own) noexcept {
    constexpr double least = weights_of<A>::least_result;
    // The quotient of doubles may be denormal, that of floats is a double. What is dropped is so before the division,
    // which a compiler may make whatever is asked.
    const bool dropped = simd::is_double<A> && others < static_cast<double>(own) * least;
    const double excess = (dropped ? 0.0 : others) / static_cast<double>(own);
    return excess < least ? 0.0 : excess;
}
// The sum of weights without the greatest element. Weights are those of its own reference, which follows from the row
// alone, and with it which weights are dropped.
template <class A, class Source>
TARN_NOINLINE row_total<A> sum_of_others(const exp_weight<A, false>& given, Source x, std::ptrdiff_t n,
                                         number<A> greatest) noexcept {
    const exp_weight<A, false> weight = given;
    const pack<A> own = weight(simd::broadcast<A>(greatest));
    const auto other = [weight, own](const pack<A>& v) TARN_LAMBDA { return weight_of_other<A>(weight(v), own); };
    return weigh_chunks<A, packs_added::singly>(other, x, no_sink{}, n, nothing_beside{});
}
template <class A, class Source>
TARN_NOINLINE double add_others(const softmax_rows_state<A>& state, Source x, std::ptrdiff_t n,
                                number<A> greatest) noexcept {
    const exp_weight<A, false> weight(state.base, reference<A>::of_greatest(greatest, state.base, weights_of<A>::bias));
    const pack<A> own = weight(simd::broadcast<A>(greatest));
    return excess_of_others<A>(sum_of_others<A>(weight, x, n, greatest), simd::greatest<A>(own));
}

// A row with an acceptable sum.
template <class A, class Source>
TARN_INLINE log_sum<A> log_sum_of_ordinary_row(const softmax_rows_state<A>& state, Source x, std::ptrdiff_t n,
                                               number<A> greatest, double excess) noexcept {
    if (excess < least_excess<A>(n))
        excess = add_others<A>(state, x, n, greatest);
    return {greatest, simd::log_of_one_plus<A>(excess), false};
}

// A row whose guess was wrong, its greatest logit known.
template <class A, class Source>
TARN_NOINLINE log_sum<A> log_sum_again(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n,
                                       number<A> greatest) noexcept {
    const reference<A> ref = reference<A>::of_greatest(greatest, state.base, weights_of<A>::bias);
    const exp_weight<A, false> weight(state.base, ref);
    const row_total<A> sum = weigh_row<A, packs_added::singly>(weight, x, no_sink{}, n);
    if (!acceptable<A>(sum))
        return log_sum_of_no_row<A>(sum, greatest, state.base, [&]() TARN_LAMBDA { return has_nan<A>(x, n); });
    state.carry(ref);
    return log_sum_of_ordinary_row<A>(state, x, n, greatest, excess_of<A>(weight, sum, greatest));
}

template <class A, class Source, class Beside>
TARN_INLINE log_sum<A> log_sum_of_row(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n,
                                      const Beside& beside) noexcept {
    const noted_sum<A> noted = state.with_weight(
        [&](const auto& weight) TARN_LAMBDA { return note_row<A>(weight, x, n, state.base.sign(), beside); });
    if (!acceptable<A>(noted.sum))
        return log_sum_again<A>(state, x, n, noted.greatest);
    state.guessed_right(noted.sum);
    return log_sum_of_ordinary_row<A>(state, x, n, noted.greatest, noted.excess);
}

}}}} // namespace tarn::kernels
