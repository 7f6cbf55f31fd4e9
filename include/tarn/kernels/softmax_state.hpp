// SPDX-License-Identifier: BSD-3-Clause
//
// The online softmax state: sums of weights with a reference that is a power of two, so that states are brought to a
// common one exactly.
#pragma once

#include <tarn/dispatch/softmax_state_table.hpp>
#include <tarn/kernels/log_sum.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// a * b, rounded before anything is added to it.
TARN_INLINE double product(double a, double b) noexcept {
    double p = a * b;
    __asm__("" : "+x"(p));
    return p;
}

// Sums of w, w * d and w * w for weights w of differences d = x - centre, lane by lane. Squares of doubles would leave
// the range: they are those of w / unit, and of weights near the greatest alone.
template <class A> struct state_sums {
    static constexpr double unit = simd::is_double<A> ? 0x1p540 : 1;
    static constexpr double least_near = 0x1p100;

    simd::sum_pack<A> weights = simd::sum_pack<A>::zero();
    simd::sum_pack<A> moments = simd::sum_pack<A>::zero();
    simd::sum_pack<A> squares = simd::sum_pack<A>::zero();

    TARN_INLINE void add(const pack<A>& w, const pack<A>& d) noexcept {
        weights.add(w);
        moments.add_product(w, d);
        if constexpr (simd::is_double<A>) {
            const pack<A> near =
                simd::keep_where_ge<A>(w, simd::broadcast<A>(least_near)) * simd::broadcast<A>(1 / unit);
            squares.add_product(near, near);
        } else {
            squares.add_product(w, w);
        }
    }
    // Whether what is summed is right: for doubles the greatest weight must be well above least_near.
    TARN_INLINE static bool usable(double weights) noexcept {
        using range = weights_of<A>;
        return simd::is_double<A> ? weights > range::lower_middle && weights < range::upper_middle
                                  : acceptable<A>(weights);
    }
};

template <class A> struct softmax_state {
    using sums = dispatch::softmax_sums;

    static constexpr double log_2 = 0.693147180559945309417;

    // To a; the exponent is the greater of both.
    static void merge(sums& a, const sums& b) noexcept {
        const bool infinite = a.infinite || b.infinite;
        const bool has_logits = a.has_logits || b.has_logits;
        if (a.sum == 0) {
            a = b;
        } else if (b.sum != 0) {
            // A state that has seen much rarely meets a greater exponent: a branch waits for nothing.
            if (a.exponent < b.exponent) {
                refer(a, b.exponent);
                add(a, b);
            } else {
                sums lesser = b;
                refer(lesser, a.exponent);
                add(a, lesser);
            }
        }
        a.infinite = infinite;
        a.has_logits = has_logits;
    }

    TARN_NOINLINE static void push(sums& s, const number<A>* x, std::ptrdiff_t n, number<A> scale) noexcept {
        if (n <= 0)
            return;
        s.has_logits = true;
        const exp_base<A> base = exp_base<A>::of(scale);
        softmax_rows_state<A> state(scale, false);
        state.carry(
            {nearest<number<A>>(static_cast<number<A>>(s.exponent), weights_of<A>::to_even) - weights_of<A>::bias, 0});
        const span_sums guessed = state.with_weight(
            [&](const auto& weight) TARN_LAMBDA { return sums_of(weight, base, x, n, state.ref.centre); });
        const number<A> greatest = guessed.greatest;
        if (base.high != 0 && greatest * base.sign() == infinity) {
            push_others(s, x, n, scale, greatest);
            return;
        }
        reference<A> ref = state.ref;
        span_sums span = guessed;
        if (!state_sums<A>::usable(span.weights)) {
            ref = reference<A>::of_greatest(greatest, base, weights_of<A>::bias);
            span = sums_of(exp_weight<A, false>(base, ref), base, x, n, ref.centre);
        }
        if (state_sums<A>::usable(span.weights))
            merge(s, span.referred(base, ref));
        else if (span.weights != span.weights)
            s.sum = span.weights;
    }

    static dispatch::softmax_readings read(const sums& s) noexcept {
        const float nan = __builtin_nanf("");
        if (s.sum != s.sum)
            return {nan, nan, nan, nan};
        if (s.infinite)
            return {infinity, nan, nan, nan};
        if (s.sum == 0)
            return {-infinity, nan, nan, nan};
        // sum is at least sqrt(1/2).
        const double log = simd::log_of_one_plus<A>(2 * s.sum - 1) - log_2;
        const double entropy = log - product(log_2, s.moment) / s.sum;
        return {static_cast<float>(product(s.exponent, log_2) + log),
                static_cast<float>(simd::exp_of_small<A>(product(s.greatest, log_2)) / s.sum),
                static_cast<float>(entropy > 0 ? entropy : 0.0), static_cast<float>(s.squares / (s.sum * s.sum))};
    }

private:
    // The same exponent.
    TARN_INLINE static void add(sums& a, const sums& b) noexcept {
        a.sum += b.sum;
        a.moment += b.moment;
        a.squares += b.squares;
        a.greatest = a.greatest > b.greatest ? a.greatest : b.greatest;
    }
    // s with another exponent, not below its own.
    TARN_INLINE static void refer(sums& s, double exponent) noexcept {
        const double down = s.exponent - exponent;
        // What is that far below the sum is nothing beside it, and its squares would not be normal numbers.
        const bool far = down < -500;
        const double steps = far ? 0 : down;
        const double factor = far ? 0 : simd::power_of_two(steps);
        s.moment = (s.moment + product(steps, s.sum)) * factor;
        s.sum *= factor;
        s.squares *= factor * factor;
        s.greatest += down;
        s.exponent = exponent;
    }
    // Of one span, by weights of a reference.
    struct span_sums {
        double weights, moments, squares;
        number<A> greatest;

        // w = g * 2^(base * (x - centre) - ref.exponent), d = x - centre, as w = 2^v with an exponent of the span's
        // own.
        TARN_INLINE sums referred(exp_base<A> base, reference<A> ref) const noexcept {
            const double exact = static_cast<double>(base.high) + static_cast<double>(base.low);
            const double power = product(exact, static_cast<double>(greatest));
            constexpr double integral = 0x1p51;
            const double whole = power < integral && power > -integral ? nearest(power, 1.5 * 0x1p52) : power;
            const double at = product(exact, static_cast<double>(ref.centre)) - whole;
            const double shift = at + static_cast<double>(ref.exponent);
            const double steps = nearest(shift, 1.5 * 0x1p52);
            const double factor = simd::power_of_two(steps) * simd::exp_of_small<A>((shift - steps) * log_2) /
                                  weights_of<A>::common_factor;
            sums r = {};
            r.exponent = whole;
            r.sum = weights * factor;
            r.moment = (product(exact, moments) + product(at, weights)) * factor;
            const double factor_of_near = factor * state_sums<A>::unit;
            r.squares = squares * factor_of_near * factor_of_near;
            r.greatest = power - whole;
            return r;
        }
    };
    template <class Weight>
    TARN_NOINLINE static span_sums sums_of(const Weight& given, exp_base<A> base, const number<A>* p, std::ptrdiff_t n,
                                           number<A> given_centre) noexcept {
        const Weight weight = given;
        const unit_source<A> x{p};
        const pack<A> signs = simd::broadcast<A>(base.high < 0 ? -0.0f : 0.0f);
        const pack<A> centre = simd::broadcast<A>(given_centre);
        const pack<A> least =
            simd::broadcast<A>(simd::is_double<A> ? static_cast<number<A>>(-0x1.fffffffffffffp1023) : -0x1.fffffep127f);
        pack<A> most = simd::broadcast<A>(-infinity);
        span_sums r = {};
        for (std::ptrdiff_t begin = 0; begin < n; begin += chunk_size) {
            const std::ptrdiff_t end = n - begin < chunk_size ? n : begin + chunk_size;
            state_sums<A> lane;
            // -inf has no weight, and a finite difference.
            const auto difference = [&](const pack<A>& v)
                                        TARN_LAMBDA { return simd::max_of<A>(least, (v - centre) ^ signs) ^ signs; };
            std::ptrdiff_t i = begin;
            for (; i + 2 * lanes<A> <= end; i += 2 * lanes<A>) {
                const pack<A> v[2] = {x.at(i), x.at(i + lanes<A>)};
                most = simd::max_of<A>(simd::max_of<A>(v[0] ^ signs, v[1] ^ signs), most);
                pack<A> w[2] = {v[0], v[1]};
                weigh_each(weight, w);
                lane.add(w[0], difference(v[0]));
                lane.add(w[1], difference(v[1]));
            }
            for (; i + lanes<A> <= end; i += lanes<A>) {
                const pack<A> v = x.at(i);
                most = simd::max_of<A>(v ^ signs, most);
                lane.add(weight(v), difference(v));
            }
            if (i < end) {
                const int count = static_cast<int>(end - i);
                const pack<A> v = x.first(i, count);
                most = simd::max_of<A>(simd::first_or<A>(v ^ signs, count, -infinity), most);
                lane.add(simd::first_or<A>(weight(v), count, 0.0f), difference(v));
            }
            r.weights += lane.weights.total();
            r.moments += lane.moments.total();
            r.squares += lane.squares.total();
        }
        r.greatest = base.sign() * simd::greatest<A>(most);
        return r;
    }
    // A span with +inf: piece by piece without it.
    TARN_NOINLINE static void push_others(sums& s, const number<A>* x, std::ptrdiff_t n, number<A> scale,
                                          number<A> infinite) noexcept {
        s.infinite = true;
        std::ptrdiff_t first = 0;
        for (std::ptrdiff_t i = 0; i <= n; ++i) {
            if (i < n && x[i] != infinite)
                continue;
            push(s, x + first, i - first, scale);
            first = i + 1;
        }
    }
};

}}}} // namespace tarn::kernels
