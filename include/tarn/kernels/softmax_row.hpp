// SPDX-License-Identifier: BSD-3-Clause
//
// One softmax row: the optimistic scheme (a guessed reference, checked by the sum) and the careful one (greatest logit
// first), which is also the published three-pass algorithm.
#pragma once

#include <tarn/dispatch/softmax_table.hpp>
#include <tarn/kernels/row_logs.hpp>
#include <tarn/kernels/row_maps.hpp>
#include <tarn/kernels/row_sum.hpp>

#include <cstdint>
#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// What turns a weight into a result: weight / sum, or 0 below 2^-126 of the sum (for doubles 2^-1022). The reciprocal
// of the sum is held in two numbers: rounded to one it would cost a unit of the 4 ulp, and a row of one element would
// not always be exactly 1. Products are formed so much too large, and the low part is so little below the high one,
// that those with it are never denormal.
template <class A> struct normaliser {
    number<A> high, low, threshold;

    static constexpr double excess = simd::is_double<A> ? 0x1p200 : 0x1p32;

    TARN_INLINE static normaliser of(const row_total<A>& sum) noexcept {
        if constexpr (simd::is_double<A>) {
            using doubles = simd::doubles<A>;
            doubles high(0.0), low(0.0);
            simd::divide_exactly<A>(doubles(excess), doubles(sum.high), doubles(sum.low), high, low);
            return {simd::first_lane<A>(high), simd::first_lane<A>(low), sum.high * weights_of<A>::least_result};
        } else {
            const double inverse = excess / sum;
            const float high = static_cast<float>(inverse * simd::below_one<A>);
            return {high, static_cast<float>(inverse - static_cast<double>(high)),
                    static_cast<float>(sum) * weights_of<A>::least_result};
        }
    }
    TARN_INLINE auto on() const noexcept {
        return [threshold_ = simd::broadcast<A>(threshold), high_ = simd::broadcast<A>(high),
                low_ = simd::broadcast<A>(low)](const pack<A>& v)
                   TARN_LAMBDA { return normalise(v, threshold_, high_, low_); };
    }
    TARN_INLINE static pack<A> normalise(const pack<A>& weight, const pack<A>& threshold, const pack<A>& high,
                                         const pack<A>& low) noexcept {
        return simd::mul_pair<A>(simd::keep_where_ge<A>(weight, threshold), high, low) *
               simd::broadcast<A>(static_cast<number<A>>(1 / excess));
    }
};

// By bits, which grow with numbers that are not negative; those of NaN are beyond the bounds. Of two comparisons of a
// number clang makes one of a register, in whose other lanes the half of a double may look like a denormal number.
template <class A> TARN_INLINE bool acceptable(double sum) noexcept {
    const auto bits = [](number<A> v) TARN_LAMBDA {
        std::conditional_t<simd::is_double<A>, std::uint64_t, std::uint32_t> u;
        __builtin_memcpy(&u, &v, sizeof u);
        return u;
    };
    const auto least = bits(weights_of<A>::least_sum);
    return bits(static_cast<number<A>>(sum)) - least <= bits(weights_of<A>::greatest_sum) - least;
}

// What a call asks of every row, and the reference carried from row to row. References differ between rows by powers of
// two only, which cancel: what is carried shows in the time and never in the bits.
template <class A> struct softmax_rows_state {
    exp_base<A> base;
    number<A> empty_value;
    reference<A> ref;
    exp_weight<A, true> folded_;
    bool stale = false;                 // folded_ belongs to an earlier reference
    referred_sum<A> last = {0, {0, 0}}; // of the row before
    int careful_rows = 0;
    int next_careful_rows = 0;

    TARN_INLINE softmax_rows_state(number<A> scale, bool zero_empty_rows) noexcept
        : base(exp_base<A>::of(scale)),
          empty_value(zero_empty_rows ? 0.0f : __builtin_nanf("")), ref{-weights_of<A>::bias, 0}, folded_(base, ref) {}

    TARN_INLINE static bool can_carry(reference<A> next) noexcept {
        constexpr number<A> limit = reference<A>::carried_limit;
        const number<A> e = next.exponent;
        return next.centre == 0 && e < limit && e > -limit;
    }
    TARN_INLINE void carry(reference<A> next) noexcept {
        if (!can_carry(next) || next.exponent == ref.exponent)
            return;
        ref = next;
        stale = true;
    }
    // Guesses that fail cost time, so failures are followed by ever longer runs of rows (or tiles) taken carefully.
    TARN_INLINE bool may_guess() noexcept {
        if (careful_rows == 0)
            return true;
        --careful_rows;
        return false;
    }
    TARN_INLINE void guessed_wrong() noexcept {
        careful_rows = next_careful_rows;
        next_careful_rows = next_careful_rows < 16 ? 2 * next_careful_rows + 1 : 32;
    }
    // Keeps the accepted range centred on what rows turn out to be.
    TARN_INLINE void guessed_right(double sum) noexcept {
        next_careful_rows = 0;
        using range = weights_of<A>;
        if (sum > range::lower_middle && sum < range::upper_middle)
            return;
        std::int64_t bits;
        __builtin_memcpy(&bits, &sum, sizeof bits);
        const auto exponent = static_cast<number<A>>(static_cast<int>(bits >> 52) - 1023);
        carry({nearest<number<A>>(ref.exponent + exponent - range::bias, range::to_even), 0});
    }
    // The weight of the carried reference; folded() only if it can express that.
    TARN_INLINE bool can_fold() const noexcept { return exp_weight<A, true>::can_express(ref); }
    TARN_INLINE const exp_weight<A, true>& folded() noexcept {
        if (stale)
            folded_ = exp_weight<A, true>(base, ref);
        stale = false;
        return folded_;
    }
    template <class F> TARN_INLINE auto with_weight(F f) noexcept {
        return can_fold() ? f(folded()) : f(exp_weight<A, false>(base, ref));
    }
};

// One more logit in a row's sum, which has no result. It is scaled already: kernels that take one have a scale of 1.
template <class A> struct softmax_sink {
    bool present = false;
    number<A> logit = 0;

    TARN_INLINE number<A> raised(number<A> greatest) const noexcept {
        return present && logit > greatest ? logit : greatest;
    }
    template <class Weight> TARN_INLINE void add(row_total<A>& sum, const Weight& weight) const noexcept {
        if (!present)
            return;
        const pack<A> w = weight(simd::broadcast<A>(logit));
        simd::add_total(sum, simd::sum_pack<A>::of(simd::first_or<A>(w, 1, 0.0f)).total());
    }
};

// A row whose greatest logit is found first. `Reload`: the weights go to y and are scaled there; otherwise they are
// computed again. Never fails. x may be y. Returns whether the row was an ordinary one.
template <class A, bool Reload, class Source, class Sink>
TARN_NOINLINE bool careful_row(softmax_rows_state<A>& state, Source x, Sink y, std::ptrdiff_t n,
                               softmax_sink<A> extra = {}) noexcept {
    const number<A> m = extra.raised(greatest_of_row<A>(x, n, state.base.sign()));
    const reference<A> ref = reference<A>::of_greatest(m, state.base, weights_of<A>::bias);
    const exp_weight<A, false> weight(state.base, ref);
    row_total<A> sum;
    if constexpr (Reload)
        sum = weigh_row<A>(weight, x, y, n);
    else
        sum = weigh_row<A>(weight, x, no_sink{}, n);
    extra.add(sum, weight);
    state.last = {sum, ref};
    if (!acceptable<A>(sum)) {
        fill_row<A>(y, n, sum == 0 ? state.empty_value : __builtin_nanf(""));
        return false;
    }
    const auto result = normaliser<A>::of(sum).on();
    if constexpr (Reload)
        map_row_backwards<A>(y.source(), y, n, result);
    else
        map_whole_row<A>(x, y, n, [&](const pack<A>& v) TARN_LAMBDA { return result(weight(v)); });
    state.carry(ref);
    return true;
}

// The log-sum-exp of rows, if the call wants them.
template <class A, class Call> TARN_INLINE row_logs<A> logs_of(const Call& a) noexcept {
    return {a.lse, a.lse_stride, a.scale};
}
template <class A> TARN_INLINE void note_last(row_logs<A>& logs, const softmax_rows_state<A>& state) noexcept {
    logs.note(state.last, acceptable<A>(state.last.sum));
}

// Guesses the reference of the first row from its start. Costs little beside a row that is long enough.
template <class A, class Source>
TARN_INLINE void guess_reference(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n) noexcept {
    if (n > static_cast<std::ptrdiff_t>(dispatch::short_row_columns))
        state.carry(reference<A>::of_greatest(greatest_of_row<A>(x, 4 * lanes<A>, state.base.sign()), state.base,
                                              weights_of<A>::bias_of_part));
}

// The optimistic scheme for one row: weigh with the carried reference, check the sum, finish or take the row carefully.
// `weigh(weight)` writes weights and returns their sum; `finish(normaliser)` makes results of them; `careful()` redoes
// all.
template <class A, class Weigh, class Finish, class Careful>
TARN_INLINE void optimistic_row(softmax_rows_state<A>& state, Weigh weigh, Finish finish, Careful careful) noexcept {
    if (!state.may_guess()) {
        careful();
        return;
    }
    const row_total<A> sum = state.with_weight(weigh);
    if (acceptable<A>(sum)) {
        finish(normaliser<A>::of(sum));
        state.last = {sum, state.ref};
        state.guessed_right(sum);
    } else {
        careful();
        state.guessed_wrong();
    }
}

}}}} // namespace tarn::kernels
