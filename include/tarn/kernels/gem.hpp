// SPDX-License-Identifier: BSD-3-Clause
//
// Generalized means as reductions of windows: see pool.hpp for what a reduction is. All are sums of doubles, also for
// floats, of which powers up to 7 are doubles that neither overflow nor vanish. With more, and for doubles, every power
// is v * 2^n. Where p is small powers are all close to 1: then sums are of (x^p - 1) / p, which becomes log x.
#pragma once

#include <tarn/kernels/pool.hpp>
#include <tarn/simd/float_powers.hpp>
#include <tarn/simd/roots.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// 2^(p log), of logarithms in two parts: an integer and a rest.
template <class D> struct gem_exponent {
    number<D> all;
    number<D> high, low; // products of the first with integers are exact

    // all: high + low, rounded.
    TARN_INLINE static gem_exponent of(double all, double low_part) noexcept {
        double high = all;
        std::uint64_t bits;
        __builtin_memcpy(&bits, &high, sizeof bits);
        bits &= ~std::uint64_t{simd::is_double<D> ? 0xfff : 0x1ffffffffff};
        __builtin_memcpy(&high, &bits, sizeof bits);
        return {static_cast<number<D>>(all), static_cast<number<D>>(high),
                static_cast<number<D>>((all - high) + low_part)};
    }
    // As v * 2^n, n = position - to_integer: v from sqrt(1/2) to sqrt(2).
    TARN_INLINE numbers<D> power(numbers<D> k, numbers<D> log, numbers<D>& position) const noexcept {
        const numbers<D> r = rest(k, log, position);
        return simd::fmadd<D>(simd::exp2_slope<D>(r), r, numbers<D>(number<D>(1)));
    }
    // The same less 1.
    TARN_INLINE numbers<D> power_less_one(numbers<D> k, numbers<D> log, numbers<D>& position) const noexcept {
        const numbers<D> r = rest(k, log, position);
        return simd::exp2_slope<D>(r) * r;
    }

    static constexpr number<D> rounding = simd::is_double<D> ? number<D>(1.5 * 0x1p52) : number<D>(1.5 * 0x1p23);

private:
    TARN_INLINE numbers<D> rest(numbers<D> k, numbers<D> log, numbers<D>& position) const noexcept {
        const numbers<D> to_integer(rounding);
        const numbers<D> p(all);
        position = simd::fmadd<D>(p, k + log, to_integer);
        const numbers<D> coarse = simd::fmadd<D>(numbers<D>(high), k, to_integer - position);
        return coarse + simd::fmadd<D>(numbers<D>(low), k, p * log);
    }
};

// What depends on p and epsilon alone.
template <class A> struct gem_parameters {
    using D = doubles_of<A>;
    // Where x are floats, five terms of the logarithm leave 2^-35.
    static constexpr int log_terms = simd::is_double<A> ? 10 : 5;

    number<A> epsilon;
    double p, inverse; // 1 / p, or 0
    gem_exponent<D> of_p;
    double at_infinity; // the power of infinity

    TARN_INLINE explicit gem_parameters(const dispatch::window_planes& c) noexcept
        : epsilon(static_cast<number<A>>(c.power.epsilon)), p(c.power.p), inverse(p == 0 ? 0 : 1 / p),
          of_p(gem_exponent<D>::of(p, 0)), at_infinity(p < 0 ? 0 : infinite<D>) {}

    TARN_INLINE numbers<A> clamped(numbers<A> x) const noexcept { return simd::max_of<A>(numbers<A>(epsilon), x); }
    // v, but for infinity `at`, and NaN for NaN.
    TARN_INLINE static numbers<D> unless_special(numbers<D> x, numbers<D> v, double at) noexcept {
        const numbers<D> inf(infinite<D>);
        return simd::select<D>(x < inf, v, simd::min_of<D>(numbers<D>(at), x));
    }
    // x^p as v * 2^n, n = position - to_integer: v from sqrt(1/2) to sqrt(2).
    TARN_INLINE numbers<D> power(numbers<D> x, numbers<D>& position) const noexcept {
        numbers<D> k;
        const numbers<D> log = simd::log2_of<D, log_terms>(x, k);
        return of_p.power(k, log, position);
    }
    // 2^(r + n), n = position - to_integer: infinity beyond doubles, but where a rounding alone exceeds the greatest.
    TARN_INLINE static numbers<D> two_to(numbers<D> r, numbers<D> position) noexcept {
        const numbers<D> v = simd::fmadd<D>(simd::exp2_slope<D>(r), r, numbers<D>(1.0));
        const numbers<D> greatest(0x1.fffffffffffffp-1);
        const numbers<D> top(rounding + 1024);
        const numbers<D> y =
            simd::exp2_apply<D>(simd::select<D>(position >= top, simd::min_of<D>(greatest, v), v), position);
        const auto beyond = (position > top) | ((position >= top) & (r > numbers<D>(0x1p-20)));
        return simd::select<D>(beyond, numbers<D>(infinite<D>), y);
    }
    // (mean * 2^n)^(1/p) of the mean of powers.
    TARN_INLINE numbers<D> root(numbers<D> mean, numbers<D> n) const noexcept {
        numbers<D> k;
        const numbers<D> log = simd::log2_of<D, log_terms>(mean, k);
        const numbers<D> to_integer(rounding);
        const numbers<D> exponent = n + k;
        const numbers<D> position = simd::fmadd<D>(exponent + log, numbers<D>(inverse), to_integer);
        const numbers<D> less = to_integer - position;
        const numbers<D> coarse = simd::fmadd<D>(less, numbers<D>(of_p.high), exponent);
        const numbers<D> r = (coarse + simd::fmadd<D>(less, numbers<D>(of_p.low), log)) * numbers<D>(inverse);
        return two_to(r, position);
    }
    // y for means that are numbers, else NaN or the infinity that a mean of 0 or infinity stands for.
    TARN_INLINE static numbers<D> unless_no_number(numbers<D> mean, numbers<D> y) noexcept {
        const numbers<D> inf(infinite<D>);
        return simd::select<D>((mean > numbers<D>(0.0)) & (mean < inf), y, simd::max_of<D>(inf, mean));
    }
    // y, but 0 for windows without members.
    TARN_INLINE static numbers<D> unless_empty(numbers<D> least, numbers<D> y) noexcept {
        return simd::select<D>(least < numbers<D>(infinite<D>), y, numbers<D>(0.0));
    }

    static constexpr double rounding = gem_exponent<D>::rounding;
};

// What the reductions share: a state of doubles, made and finished register by register. Logarithms and powers take a
// hundred instructions: one copy of them serves all loops.
template <class A, int Fields> struct gem_window : gem_parameters<A>, window_reduction {
    using gem_parameters<A>::gem_parameters;
    using D = doubles_of<A>;
    static constexpr int fields = Fields;
    static constexpr bool counts = true;
    static constexpr number<A> empty = 0;
    using state = window_state<A, fields, double>;
    using cells = typename state::cells;
    using scale = window_scale<A, double>;

    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t, std::ptrdiff_t) noexcept { return s; }

protected:
    // f(element) for every register of a state.
    template <class F> TARN_INLINE state lifted(numbers<A> x, F f) const noexcept {
        const typename cells::type wide = cells::of(this->clamped(x));
        state s;
        simd::unroll<cells::parts>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            put_part<K>(f(cells::part(wide, K)), s);
        });
        return s;
    }
    // f(state, reciprocal of the number of members) for every register of results.
    template <class F> TARN_INLINE static numbers<A> finished(const state& s, const scale& by, F f) noexcept {
        typename cells::type y;
        simd::unroll<cells::parts>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            cells::part(y, K) =
                gem_parameters<A>::unless_empty(cells::part(by.least, K), f(part_of<K>(s), cells::part(by.inverse, K)));
        });
        return cells::to_elements(y);
    }
    template <class F> TARN_INLINE static state each_part(const state& a, const state& b, F f) noexcept {
        state s;
        simd::unroll<cells::parts>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            put_part<K>(f(part_of<K>(a), part_of<K>(b)), s);
        });
        return s;
    }

private:
    // Register K of a state. (g++ keeps in registers what is never taken apart by a loop.)
    template <int K> TARN_INLINE static window_state<D, fields> part_of(const state& s) noexcept {
        window_state<D, fields> v;
        simd::unroll<fields>([&](auto f) TARN_LAMBDA {
            constexpr int F = decltype(f)::value;
            v.field[F] = cells::part(s.field[F], K);
        });
        return v;
    }
    template <int K> TARN_INLINE static void put_part(const window_state<D, fields>& v, state& s) noexcept {
        simd::unroll<fields>([&](auto f) TARN_LAMBDA {
            constexpr int F = decltype(f)::value;
            cells::part(s.field[F], K) = v.field[F];
        });
    }
};

template <class A> struct gem_sum : gem_window<A, 1> {
    using gem_window<A, 1>::gem_window;
    using base = gem_window<A, 1>;
    using D = typename base::D;
    using state = typename base::state;

    TARN_INLINE static double neutral(int) noexcept { return 0; }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        return base::each_part(a, b, [](const auto& p, const auto& q) TARN_LAMBDA {
            return window_state<D, 1>{{p.field[0] + q.field[0]}};
        });
    }
};

// Sums of powers that are doubles.
template <class A> struct gem_power_sum : gem_sum<A> {
    using gem_sum<A>::gem_sum;
    using base = gem_window<A, 1>;
    using D = typename base::D;

    TARN_NOINLINE numbers<A> finish(const typename base::state& s, const typename base::scale& by) const noexcept {
        return base::finished(s, by, [&](const auto& v, numbers<D> share) TARN_LAMBDA {
            const numbers<D> mean = v.field[0] * share;
            return this->unless_no_number(mean, this->root(mean, numbers<D>(0.0)));
        });
    }
};

// Powers 2 to 4 of floats by multiplication, and roots.
template <class A, int Power> struct gem_integer_powers : gem_sum<A> {
    using gem_sum<A>::gem_sum;
    using base = gem_window<A, 1>;
    using D = typename base::D;
    using state = typename base::state;

    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        return this->lifted(x, [](numbers<D> v) TARN_LAMBDA {
            // Squares of floats are exact. Products of them must be rounded before they are added, whatever the compiler
            // contracts.
            const numbers<D> square = v * v;
            if constexpr (Power == 2)
                return window_state<D, 1>{{square}};
            else
                return window_state<D, 1>{{product<D>(square, Power == 3 ? v : square)}};
        });
    }
    TARN_NOINLINE numbers<A> finish(const state& s, const typename base::scale& by) const noexcept {
        return base::finished(s, by, [](const auto& v, numbers<D> share) TARN_LAMBDA {
            const numbers<D> mean = v.field[0] * share;
            const numbers<D> root = Power == 3 ? simd::cube_root<D>(mean) : simd::square_root<D>(mean);
            return base::unless_no_number(mean, Power == 4 ? simd::square_root<D>(root) : root);
        });
    }
};

// Powers of floats, 1 < |p| <= 7, made of floats. Sums of them are doubles, and roots make their errors smaller.
template <class A> struct gem_quick_powers : gem_power_sum<A> {
    using base = gem_window<A, 1>;
    using D = typename base::D;
    using state = typename base::state;
    static constexpr bool lifts_once = true;
    static constexpr bool lifts_together = true;

    gem_exponent<A> exponent;

    TARN_INLINE explicit gem_quick_powers(const dispatch::window_planes& c) noexcept
        : gem_power_sum<A>(c), exponent(gem_exponent<A>::of(this->p, 0)) {}
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        numbers<A> given[] = {x};
        state s[1];
        lift_each(given, s);
        return s[0];
    }
    // Step by step for all registers: a power is a chain of forty operations, of which CPUs look no further ahead than two
    // or three.
    template <int N> TARN_INLINE void lift_each(numbers<A> (&x)[N], state (&s)[N]) const noexcept {
        numbers<A> k[N];
        numbers<A> log[N];
        simd::unroll<N>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            x[I] = this->clamped(x[I]);
            log[I] = simd::log2_of<A>(x[I], k[I]);
        });
        numbers<A> less_one[N];
        numbers<A> position[N];
        simd::unroll<N>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            less_one[I] = exponent.power_less_one(k[I], log[I], position[I]);
        });
        // 2^n times one more is infinite or 0 for infinity, and NaN for NaN.
        const numbers<A> of_infinite(this->p < 0 ? number<A>(-1) : infinite<A>);
        simd::unroll<N>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            const auto v = base::cells::of(
                simd::select<A>(x[I] < numbers<A>(infinite<A>), less_one[I], simd::min_of<A>(of_infinite, x[I])));
            numbers<D> two_to_n[2];
            simd::powers_of_two<A>(position[I], two_to_n[0], two_to_n[1]);
            simd::unroll<2>([&](auto part) TARN_LAMBDA {
                constexpr int K = decltype(part)::value;
                base::cells::part(s[I].field[0], K) = simd::fmadd<D>(base::cells::part(v, K), two_to_n[K], two_to_n[K]);
            });
        });
    }
};

// Any powers up to 7 of floats.
template <class A> struct gem_powers : gem_power_sum<A> {
    using gem_power_sum<A>::gem_power_sum;
    using base = gem_window<A, 1>;
    using D = typename base::D;
    using state = typename base::state;
    static constexpr bool lifts_once = true;
    static constexpr bool seldom = true;

    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept { return powers_of(x); }
    TARN_NOINLINE state powers_of(numbers<A> x) const noexcept {
        return this->lifted(x, [&](numbers<D> v) TARN_LAMBDA {
            numbers<D> position;
            const numbers<D> power = this->power(v, position);
            return window_state<D, 1>{
                {this->unless_special(v, simd::exp2_apply<D>(power, position), this->at_infinity)}};
        });
    }
};

// Any powers as v * 2^n: sums keep the greatest n of theirs.
template <class A> struct gem_scaled_powers : gem_window<A, 2> {
    using gem_window<A, 2>::gem_window;
    using base = gem_window<A, 2>;
    using D = typename base::D;
    using state = typename base::state;
    static constexpr bool lifts_once = true;
    static constexpr bool seldom = true;

    // Below all exponents of powers, |p| <= 2^40.
    TARN_INLINE static double neutral(int f) noexcept { return f == 0 ? 0 : -0x1p51; }
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept { return powers_of(x); }
    TARN_NOINLINE state powers_of(numbers<A> x) const noexcept {
        return this->lifted(x, [&](numbers<D> v) TARN_LAMBDA {
            numbers<D> position;
            const numbers<D> power = this->power(v, position);
            return window_state<D, 2>{
                {this->unless_special(v, power, this->at_infinity), position - numbers<D>(base::rounding)}};
        });
    }
    TARN_NOINLINE static state combine(const state& a, const state& b) noexcept {
        return base::each_part(a, b, [](const auto& p, const auto& q) TARN_LAMBDA {
            const auto greater = p.field[1] >= q.field[1];
            const numbers<D> v = simd::select<D>(greater, p.field[0], q.field[0]);
            const numbers<D> small = simd::select<D>(greater, q.field[0], p.field[0]);
            const numbers<D> n = simd::max_of<D>(p.field[1], q.field[1]);
            const numbers<D> down = simd::min_of<D>(p.field[1], q.field[1]) - n;
            return window_state<D, 2>{{simd::fmadd<D>(small, simd::exp2_of_integer<D>(down), v), n}};
        });
    }
    TARN_NOINLINE numbers<A> finish(const state& s, const typename base::scale& by) const noexcept {
        return base::finished(s, by, [&](const auto& v, numbers<D> share) TARN_LAMBDA {
            const numbers<D> mean = v.field[0] * share;
            return this->unless_no_number(mean, this->root(mean, v.field[1]));
        });
    }
};

// What powers of floats are made by; those of doubles are no doubles.
template <class A, class OfFloats>
using gem_powers_of = std::conditional_t<simd::is_double<A>, gem_scaled_powers<A>, OfFloats>;

// |p| <= 2^-11, or 0: sums of (2^(p log2 x) - 1) / p, of which log2 x is left at 0.
template <class A> struct gem_logs : gem_sum<A> {
    using gem_sum<A>::gem_sum;
    using base = gem_window<A, 1>;
    using D = typename base::D;
    using state = typename base::state;
    static constexpr bool lifts_once = true;
    static constexpr bool seldom = true;

    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept { return logs_of(x); }
    TARN_NOINLINE state logs_of(numbers<A> x) const noexcept {
        const double greatest = this->p < 0 ? -this->inverse : infinite<D>;
        return this->lifted(x, [&](numbers<D> v) TARN_LAMBDA {
            numbers<D> k;
            const numbers<D> log = simd::log2_of<D>(v, k) + k;
            const numbers<D> w = log * simd::exp2_slope<D>(numbers<D>(this->p) * log);
            return window_state<D, 1>{{this->unless_special(v, w, greatest)}};
        });
    }
    TARN_NOINLINE numbers<A> finish(const state& s, const typename base::scale& by) const noexcept {
        return base::finished(s, by, [&](const auto& v, numbers<D> share) TARN_LAMBDA {
            const numbers<D> mean = v.field[0] * share;
            // Only infinite elements, where p is negative, make q less than the slope is exact for: then the exponent is
            // beyond doubles whatever the slope.
            const numbers<D> q = numbers<D>(this->p) * mean;
            const numbers<D> exponent = mean * simd::log2_slope<D>(q);
            const numbers<D> inf(infinite<D>);
            const auto beyond = mean >= inf;
            const numbers<D> position = exponent + numbers<D>(base::rounding);
            const numbers<D> r = exponent - (position - numbers<D>(base::rounding));
            return simd::select<D>(is_nan<D>(mean), mean, simd::select<D>(beyond, inf, this->two_to(r, position)));
        });
    }
};

// p = +inf or -inf: the greatest, or the least.
template <class A> struct gem_extreme : max_window<A> {
    using looks_for = void;
    static constexpr bool counts = true;
    static constexpr number<A> empty = 0;
    using state = typename max_window<A>::state;

    number<A> epsilon, sign; // -0 for the least

    TARN_INLINE explicit gem_extreme(const dispatch::window_planes& c) noexcept
        : epsilon(static_cast<number<A>>(c.power.epsilon)), sign(c.power.p < 0 ? number<A>(-0.0) : number<A>(0.0)) {}
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        return {{simd::max_of<A>(numbers<A>(epsilon), x) ^ numbers<A>(sign)}};
    }
    TARN_INLINE numbers<A> finish(const state& s, const window_scale<A>& by) const noexcept {
        const numbers<A> zero(number<A>(0));
        return simd::select<A>(by.least < numbers<A>(infinite<A>), s.field[0] ^ numbers<A>(sign), zero);
    }
};

}}}} // namespace tarn::kernels
