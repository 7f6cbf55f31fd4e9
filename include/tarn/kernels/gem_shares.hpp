// SPDX-License-Identifier: BSD-3-Clause
//
// What windows give to their elements in the gradients of generalized means, dy (1 / n) (x / y)^(p - 1) with y computed
// again, and what elements give to that in p,
//
//   dy (y / n) (e^t (t - 1) + 1) / p^2,   t = p ln(x / y)
//
// The sum of these over a window is dy (y / p) (sum W ln x - ln y). None is negative, and next to t = 0, so also for
// small p, they are dy (y / n) ln(x / y)^2 / 2: nothing cancels, and errors of y count as little as their squares.
#pragma once

#include <tarn/dispatch/gem_table.hpp>
#include <tarn/kernels/gem.hpp>
#include <tarn/kernels/pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Smaller shares count as 0: sums of them could be denormal.
template <class A> constexpr double least_share = simd::is_double<A> ? 0x1p-960 : 0x1p-100;

// The gradients of a group of windows divided by their number of members, and their means.
template <class A, std::ptrdiff_t Room> class gem_results {
public:
    TARN_INLINE explicit gem_results(const dispatch::gem_gradients& c) noexcept : c_(c), dy_(c) {}

    TARN_INLINE void load_gradients(const window_group& b) noexcept { dy_.load(b); }
    TARN_INLINE number<A>* room_for_means() noexcept { return mean_; }
    TARN_INLINE void load_means(const window_group& b) noexcept { c_.mean(results_of(c_.windows, b, mean_)); }
    TARN_INLINE numbers<A> gradients(std::ptrdiff_t i, int n) const noexcept { return dy_.at(i, n); }
    TARN_INLINE numbers<A> means(std::ptrdiff_t i, int n) const noexcept { return simd::load_n<A>(mean_ + i, n); }
    // f(first, how many) for each register.
    template <class F> TARN_INLINE static void each(const window_group& b, F f) noexcept {
        const std::ptrdiff_t n = b.count();
        for (std::ptrdiff_t i = 0; i < n; i += width)
            f(i, n - i < width ? static_cast<int>(n - i) : width);
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);

    const dispatch::gem_gradients& c_;
    divided_gradients<A, Room> dy_;
    alignas(64) number<A> mean_[Room + width];
};

// The gradient in p: a sum of what registers of elements give, or of nothing if it is not wanted.
template <class A> class gem_power_gradient {
public:
    using D = doubles_of<A>;
    using cells = window_cells<A, double>;

    TARN_INLINE explicit gem_power_gradient(double* to) noexcept : to_(to) {
        for (int k = 0; k < cells::parts; ++k)
            cells::part(total_, k) = numbers<D>(0.0);
    }

    TARN_INLINE bool is_wanted() const noexcept { return to_ != nullptr; }
    // f(register of doubles) for each of those of elements that there are.
    template <class F> TARN_INLINE void add(numbers<A> element, F f) noexcept {
        const typename cells::type wide = cells::of(element);
        simd::unroll<cells::parts>([&](auto part) TARN_LAMBDA {
            constexpr int K = decltype(part)::value;
            const auto none = cells::part(wide, K) == numbers<D>(0.0);
            const numbers<D> added = f(part);
            numbers<D>& total = cells::part(total_, K);
            total = total + simd::select<D>(none, numbers<D>(0.0), added);
        });
    }
    TARN_INLINE void end() const noexcept {
        if (!to_)
            return;
        alignas(64) double lane[cells::parts * numbers<D>::size];
        double sum = 0;
        for (int k = 0; k < cells::parts; ++k)
            cells::part(total_, k).store_aligned(lane + k * static_cast<int>(numbers<D>::size));
        for (const double v : lane)
            sum += v;
        *to_ += sum;
    }

private:
    double* to_;
    typename cells::type total_;
};

// Any p, by logarithms of elements and means in doubles; also the gradient in p, if it is wanted.
template <class A> class gem_any_rule {
public:
    using D = doubles_of<A>;
    using cells = window_cells<A, double>;
    using windows = window_numbers<A, 6>;

    // Exponents are counted from here, so that all are positive; that of infinity is beyond all others.
    static constexpr double origin = 4096;
    static constexpr double beyond = 0x1p60;

    TARN_INLINE explicit gem_any_rule(const dispatch::gem_gradients& c) noexcept
        : parameters_(c.windows),
          less_one_(gem_exponent<D>::of(parameters_.p - 1, parameters_.p - ((parameters_.p - 1) + 1))) {}

    // The gradient as v * 2^n, and the logarithm of the mean; for the gradient in p both themselves.
    TARN_INLINE static windows of(numbers<A> dy, numbers<A> y) noexcept {
        typename cells::type v, exponent;
        const typename cells::type wide = cells::of(dy);
        simd::unroll<cells::parts>([&](auto part) TARN_LAMBDA {
            constexpr int K = decltype(part)::value;
            split_gradient(cells::part(wide, K), cells::part(v, K), cells::part(exponent, K));
        });
        const element_numbers<A, 2> log = logarithm(y);
        return {{cells::to_elements(v), cells::to_elements(exponent), log.number[0], log.number[1], dy, y}};
    }
    // The logarithm; its first part negative where the element is below epsilon.
    TARN_INLINE element_numbers<A, 2> lift(numbers<A> x) const noexcept {
        return unless_below(x, logarithm(parameters_.clamped(x)));
    }
    TARN_INLINE element_numbers<A, 2> unless_below(numbers<A> x, element_numbers<A, 2> log) const noexcept {
        const numbers<A> zero(number<A>(0));
        log.number[0] = simd::select<A>(x < numbers<A>(parameters_.epsilon), zero - log.number[0], log.number[0]);
        return log;
    }
    TARN_NOINLINE numbers<A> add(numbers<A> sum, const windows& of, const element_numbers<A, 2>& e,
                                 gem_power_gradient<A>& dp) const noexcept {
        const numbers<A> zero(number<A>(0));
        const typename cells::type whole = cells::of(xsimd::abs(e.number[0]) - of.field[2]);
        const typename cells::type rest = cells::of(e.number[1] - of.field[3]);
        const typename cells::type v = cells::of(of.field[0]);
        const typename cells::type exponent = cells::of(of.field[1]);
        typename cells::type share;
        simd::unroll<cells::parts>([&](auto part) TARN_LAMBDA {
            constexpr int K = decltype(part)::value;
            numbers<D> position;
            const numbers<D> power = less_one_.power(cells::part(whole, K), cells::part(rest, K), position);
            cells::part(share, K) =
                scaled(cells::part(v, K), power, position - numbers<D>(rounding) + cells::part(exponent, K));
        });
        if (dp.is_wanted()) {
            const typename cells::type dy = cells::of(of.field[4]);
            const typename cells::type y = cells::of(of.field[5]);
            dp.add(e.number[0], [&](auto part) TARN_LAMBDA {
                constexpr int K = decltype(part)::value;
                return factor(cells::part(dy, K), cells::part(y, K)) *
                       slope(cells::part(whole, K), cells::part(rest, K));
            });
        }
        return sum + simd::select<A>(e.number[0] <= zero, zero, cells::to_elements(share));
    }

private:
    static constexpr double rounding = gem_exponent<D>::rounding;

    // log2 as an integer and a rest.
    TARN_NOINLINE static element_numbers<A, 2> logarithm(numbers<A> x) noexcept {
        typename cells::type whole, rest;
        const typename cells::type wide = cells::of(x);
        simd::unroll<cells::parts>([&](auto part) TARN_LAMBDA {
            constexpr int K = decltype(part)::value;
            const numbers<D> v = cells::part(wide, K);
            numbers<D> k;
            cells::part(rest, K) = simd::log2_of<D, gem_parameters<A>::log_terms>(v, k);
            cells::part(whole, K) = gem_parameters<A>::unless_special(v, k + numbers<D>(origin), beyond);
        });
        return {{cells::to_elements(whole), cells::to_elements(rest)}};
    }
    // v is infinite or NaN where the gradient is.
    TARN_INLINE static void split_gradient(numbers<D> dy, numbers<D>& v, numbers<D>& exponent) noexcept {
        const numbers<D> sign(-0.0);
        const numbers<D> size = xsimd::abs(dy);
        const numbers<D> zero(0.0);
        simd::kernel::split<D>(size, v, exponent, D{});
        v = simd::select<D>(size < numbers<D>(infinite<D>), v | (dy & sign), dy);
        // Nothing makes more of 0.
        exponent = simd::select<D>(size > zero, exponent, numbers<D>(-0x1p120));
    }
    TARN_INLINE static numbers<D> between(numbers<D> v, double low, double high) noexcept {
        return simd::min_of<D>(numbers<D>(high), simd::max_of<D>(numbers<D>(low), v)); // NaN passes
    }
    // v * power * 2^n: less than what counts is 0, more than the greatest number infinite.
    TARN_INLINE static numbers<D> scaled(numbers<D> v, numbers<D> power, numbers<D> n) noexcept {
        constexpr double least = simd::is_double<A> ? -960 : -100;
        const numbers<D> position = between(n - numbers<D>(1.0), least - 2, 1023) + numbers<D>(rounding);
        const numbers<D> product = xsimd::abs(v) * power;
        // From 1 on there is no 2^1024 of it.
        const numbers<D> limited = simd::min_of<D>(numbers<D>(1.5), product);
        const numbers<D> half =
            simd::exp2_apply<D>(simd::select<D>(n > numbers<D>(1023.0), limited, product), position);
        const numbers<D> inf(infinite<D>);
        const numbers<D> size = simd::select<D>(n > numbers<D>(1024.0), inf, half + half);
        const numbers<D> counted = simd::select<D>(n < numbers<D>(least), numbers<D>(0.0), size);
        return simd::select<D>((n == n) & (xsimd::abs(v) < inf), counted | (v & numbers<D>(-0.0)), n + v);
    }
    // The part of an element in the gradient in p, less the factor dy y / n.
    TARN_INLINE numbers<D> slope(numbers<D> whole, numbers<D> rest) const noexcept {
        const auto number = [](double v) TARN_LAMBDA { return numbers<D>(v); };
        constexpr double log_2 = 0.693147180559945309417;
        const numbers<D> d = (whole + rest) * number(log_2);
        const numbers<D> t = between(d * number(parameters_.p), -600, 600);
        // (e^t (t - 1) + 1) / t^2 = sum t^k / (k! (k + 2)).
        const numbers<D> near = between(t, -0.5, 0.5);
        constexpr double series[] = {1.0 / 93405312000, 1.0 / 6706022400,
                                     1.0 / 518918400,   1.0 / 43545600,
                                     1.0 / 3991680,     1.0 / 403200,
                                     1.0 / 45360,       1.0 / 5760,
                                     1.0 / 840,         1.0 / 144,
                                     1.0 / 30,          0.125,
                                     1.0 / 3,           0.5};
        numbers<D> q(series[0]);
        simd::unroll<13>([&](auto i)
                             TARN_LAMBDA { q = simd::fmadd<D>(q, near, number(series[decltype(i)::value + 1])); });
        numbers<D> position;
        const numbers<D> v = parameters_.of_p.power(whole, rest, position);
        const numbers<D> n = position - number(rounding);
        const numbers<D> counted = simd::exp2_apply<D>(v, between(n, -900, 900) + number(rounding));
        const numbers<D> power = simd::select<D>(n < number(-900), number(0.0), counted);
        const numbers<D> far =
            simd::fmadd<D>(power, t - number(1.0), number(1.0)) * number(parameters_.inverse * parameters_.inverse);
        return simd::select<D>(xsimd::abs(t) <= number(0.5), d * d * q, far);
    }
    // dy y / n. NaN where the mean is infinite.
    TARN_INLINE static numbers<D> factor(numbers<D> dy, numbers<D> y) noexcept {
        const numbers<D> inf(infinite<D>);
        const auto finite = y < inf;
        if constexpr (simd::is_double<A>) {
            // Smaller ones count as 0, or what becomes of them would be denormal.
            const numbers<D> least = numbers<D>(0x1p-800) / simd::min_of<D>(numbers<D>(1.0), y);
            const numbers<D> large = simd::select<D>(xsimd::abs(dy) < least, numbers<D>(0.0), dy);
            return simd::select<D>(finite, large * y, y - y);
        } else {
            return simd::select<D>(finite, dy * y, y - y);
        }
    }

    gem_parameters<A> parameters_;
    gem_exponent<D> less_one_;
};

template <class A> class gem_shares : public shares_of_windows {
public:
    using call = dispatch::gem_gradients;
    static constexpr int elements = 2;
    static constexpr bool lifts = true;
    static constexpr std::ptrdiff_t room = 512 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    using windows = typename gem_any_rule<A>::windows;

    TARN_INLINE explicit gem_shares(const call& c) noexcept : results_(c), rule_(c), dp_(c.dp) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        results_.load_gradients(b);
        results_.load_means(b);
        results_.each(b, [&](std::ptrdiff_t i, int n) TARN_LAMBDA {
            fields_.put(i, n, rule_.of(results_.gradients(i, n), results_.means(i, n)));
        });
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept { return fields_.at(i); }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept { return fields_.at(i, n); }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return fields_.all_of(i); }
    TARN_INLINE element_numbers<A, 2> lift(numbers<A> x) const noexcept { return rule_.lift(x); }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A>, const element_numbers<A, 2>& e) noexcept {
        return rule_.add(sum, of, e, dp_);
    }
    TARN_INLINE void end() const noexcept { dp_.end(); }

private:
    gem_results<A, room> results_;
    gem_any_rule<A> rule_;
    gem_power_gradient<A> dp_;
    window_fields<A, windows::count, room> fields_;
};

// 1 < |p| <= 7 of floats: the same made of floats. Of windows: the logarithm of the mean, the gradient, the least power of
// x / y that counts, and dy y / n. Those with a mean or a gradient far from 1 are left to gem_any_rule, and are 0 here.
template <class A> class gem_quick_rule {
public:
    using any = gem_any_rule<A>;
    using cells = typename any::cells;
    using windows = window_numbers<A, 5>;

    TARN_INLINE explicit gem_quick_rule(const dispatch::gem_gradients& c) noexcept
        : far(c), p_(static_cast<number<A>>(c.windows.power.p)),
          inverse_square_(static_cast<number<A>>(1 / (c.windows.power.p * c.windows.power.p))),
          epsilon_(static_cast<number<A>>(c.windows.power.epsilon)), of_p_(gem_exponent<A>::of(c.windows.power.p, 0)),
          less_one_(gem_exponent<A>::of(c.windows.power.p - 1, 0)) {}

    const any far;

    TARN_INLINE static auto are_far(numbers<A> dy, numbers<A> y) noexcept {
        return ~(are_within<A>(dy, number<A>(0x1p-80), number<A>(0x1p18)) & (y >= all(0x1p-40)) & (y <= all(0x1p60)));
    }
    template <class Mask>
    TARN_INLINE static windows of(numbers<A> given, numbers<A> mean, const Mask& are_far) noexcept {
        const numbers<A> dy = simd::select<A>(are_far, all(0), given);
        const numbers<A> y = simd::select<A>(are_far, all(1), mean);
        numbers<A> k;
        const numbers<A> log = simd::log2_of<A>(y, k);
        // Shares from 2^-101.5 on count: what is left of sums of them is not denormal.
        const numbers<A> least = all(0x1p-101) / simd::max_of<A>(all(0x1p-80), xsimd::abs(dy));
        return {{k + all(any::origin), log, dy, least, dy * y}};
    }
    TARN_INLINE element_numbers<A, 2> lift(numbers<A> x) const noexcept {
        const numbers<A> v = simd::max_of<A>(all(epsilon_), x); // NaN passes
        numbers<A> k;
        const numbers<A> log = simd::log2_of<A>(v, k);
        const numbers<A> beyond = simd::min_of<A>(all(any::beyond), v);
        return far.unless_below(x, {{simd::select<A>(v < all(infinite<A>), k + all(any::origin), beyond), log}});
    }
    TARN_NOINLINE numbers<A> add(numbers<A> sum, const windows& of, const element_numbers<A, 2>& e,
                                 gem_power_gradient<A>& dp) const noexcept {
        // Nothing is left of powers of infinite elements, and no lane without one makes more than zeros.
        const numbers<A> whole = simd::min_of<A>(all(1000), xsimd::abs(e.number[0]) - of.field[0]);
        const numbers<A> rest = e.number[1] - of.field[1];
        numbers<A> position;
        const numbers<A> v = less_one_.power(whole, rest, position);
        const numbers<A> power = v * simd::keep_where_ge<A>(two_to(position), of.field[3]);
        if (dp.is_wanted()) {
            const typename cells::type h = cells::of(slope(whole, rest));
            const typename cells::type factor = cells::of(of.field[4]);
            dp.add(e.number[0], [&](auto part) TARN_LAMBDA {
                constexpr int K = decltype(part)::value;
                return cells::part(factor, K) * cells::part(h, K);
            });
        }
        return simd::fmadd<A>(of.field[2], simd::select<A>(e.number[0] > all(0), power, all(0)), sum);
    }

private:
    TARN_INLINE static numbers<A> all(double v) noexcept { return numbers<A>(static_cast<number<A>>(v)); }
    // Powers of quotients are less than the square of the number of members, but of windows that are far.
    TARN_INLINE static numbers<A> two_to(numbers<A> position) noexcept {
        return simd::exp2_of_integer<A>(simd::min_of<A>(all(100), position - all(gem_exponent<A>::rounding)));
    }
    // (e^t (t - 1) + 1) / p^2. Next to 0 by t^2 sum t^k / (k! (k + 2)).
    TARN_INLINE numbers<A> slope(numbers<A> whole, numbers<A> rest) const noexcept {
        constexpr double log_2 = 0.693147180559945309417;
        const numbers<A> d = (whole + rest) * all(log_2);
        const numbers<A> t = d * all(p_);
        constexpr double series[] = {1.0 / 45360, 1.0 / 5760, 1.0 / 840, 1.0 / 144, 1.0 / 30, 0.125, 1.0 / 3, 0.5};
        numbers<A> q = all(series[0]);
        simd::unroll<7>([&](auto i) TARN_LAMBDA { q = simd::fmadd<A>(q, t, all(series[decltype(i)::value + 1])); });
        numbers<A> position;
        const numbers<A> v = of_p_.power(whole, rest, position);
        const numbers<A> weight = v * two_to(simd::max_of<A>(all(gem_exponent<A>::rounding - 100), position));
        const numbers<A> far_slope = simd::fmadd<A>(weight, t - all(1), all(1)) * all(inverse_square_);
        return simd::select<A>(xsimd::abs(t) <= all(0.5), d * d * q, far_slope);
    }

    number<A> p_, inverse_square_, epsilon_;
    gem_exponent<A> of_p_, less_one_;
};

template <class A> class gem_quick_shares : public shares_of_windows {
public:
    using call = dispatch::gem_gradients;
    static constexpr int elements = 2;
    static constexpr bool lifts = true;
    static constexpr std::ptrdiff_t room = 512 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    using near = gem_quick_rule<A>;
    using far = gem_any_rule<A>;
    // Where those that are far are is enough: there are few of them.
    struct windows {
        typename near::windows of_near;
        std::ptrdiff_t first;
        int count; // side by side, or 0: the first in all lanes
    };

    TARN_INLINE explicit gem_quick_shares(const call& c) noexcept : results_(c), rule_(c), dp_(c.dp) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        results_.load_gradients(b);
        results_.load_means(b);
        has_far_ = false;
        results_.each(b, [&](std::ptrdiff_t i, int n) TARN_LAMBDA {
            const numbers<A> dy = results_.gradients(i, n);
            const numbers<A> y = simd::first_or<A>(results_.means(i, n), n, numbers<A>(number<A>(1)));
            const auto apart = near::are_far(dy, y);
            has_far_ = has_far_ || xsimd::any(apart);
            near_.put(i, n, near::of(dy, y, apart));
        });
        if (has_far_)
            load_far(b);
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept { return {near_.at(i), i, width}; }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept { return {near_.at(i, n), i, n}; }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return {near_.all_of(i), i, 0}; }
    TARN_INLINE element_numbers<A, 2> lift(numbers<A> x) const noexcept { return rule_.lift(x); }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A>, const element_numbers<A, 2>& e) noexcept {
        const numbers<A> v = rule_.add(sum, of.of_near, e, dp_);
        return has_far_ ? add_far(v, of, e) : v;
    }
    TARN_INLINE void end() const noexcept { dp_.end(); }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);

    TARN_NOINLINE numbers<A> add_far(numbers<A> sum, const windows& of, const element_numbers<A, 2>& e) noexcept {
        return rule_.far.add(sum, of.count > 0 ? far_.at(of.first, of.count) : far_.all_of(of.first), e, dp_);
    }
    TARN_NOINLINE void load_far(const window_group& b) noexcept {
        results_.each(b, [&](std::ptrdiff_t i, int n) TARN_LAMBDA {
            const numbers<A> dy = results_.gradients(i, n);
            const numbers<A> y = results_.means(i, n);
            const auto apart = near::are_far(dy, y);
            far_.put(i, n,
                     far::of(simd::select<A>(apart, dy, numbers<A>(number<A>(0))),
                             simd::select<A>(apart, y, numbers<A>(number<A>(1)))));
        });
    }

    gem_results<A, room> results_;
    near rule_;
    gem_power_gradient<A> dp_;
    bool has_far_ = false;
    window_fields<A, near::windows::count, room> near_;
    window_fields<A, far::windows::count, room> far_;
};

}}}} // namespace tarn::kernels
