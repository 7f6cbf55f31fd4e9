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

}}}} // namespace tarn::kernels
