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

    // f(first, how many, gradients, means) for each register.
    template <class F> TARN_INLINE void load(const window_group& b, F f) noexcept {
        dy_.load(b);
        c_.mean(results_of(c_.windows, b, mean_));
        const std::ptrdiff_t n = b.count();
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const int some = n - i < width ? static_cast<int>(n - i) : width;
            f(i, some, dy_.at(i, some), simd::load_n<A>(mean_ + i, some));
        }
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);

    const dispatch::gem_gradients& c_;
    divided_gradients<A, Room> dy_;
    alignas(64) number<A> mean_[Room + width];
};

// Numbers of windows side by side, from field to field of a block.
template <class A, int Fields, std::ptrdiff_t Room> class window_fields {
public:
    struct windows {
        numbers<A> field[Fields];
    };

    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept {
        return each([&](int f) TARN_LAMBDA { return numbers<A>::load_unaligned(number_[f] + i); });
    }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept {
        return each([&](int f) TARN_LAMBDA { return simd::load_n<A>(number_[f] + i, n); });
    }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept {
        return each([&](int f) TARN_LAMBDA { return numbers<A>(number_[f][i]); });
    }
    TARN_INLINE void put(std::ptrdiff_t i, int n, const windows& w) noexcept {
        simd::unroll<Fields>([&](auto f) TARN_LAMBDA {
            simd::store_n<A>(number_[decltype(f)::value] + i, w.field[decltype(f)::value], n);
        });
    }

private:
    template <class F> TARN_INLINE static windows each(F f) noexcept {
        windows w;
        simd::unroll<Fields>([&](auto k) TARN_LAMBDA { w.field[decltype(k)::value] = f(decltype(k)::value); });
        return w;
    }

    alignas(64) number<A> number_[Fields][Room + static_cast<std::ptrdiff_t>(numbers<A>::size)];
};

// What shares and means are divided by.
template <class A> struct gem_scale {
    window_scale<A> share;
    window_scale<A, double> mean;
};
template <class A, std::ptrdiff_t Most> class gem_scales {
public:
    TARN_INLINE void begin(const dispatch::window_axis& columns, std::ptrdiff_t first, std::ptrdiff_t outputs,
                           const dispatch::window_divisor& divisor) noexcept {
        share_.begin(columns, first, outputs, divisor);
        mean_.begin(columns, first, outputs, divisor);
    }
    TARN_INLINE void prepare(std::ptrdiff_t counted) noexcept {
        share_.prepare(counted);
        mean_.prepare(counted);
    }
    TARN_INLINE gem_scale<A> all_of(std::ptrdiff_t i) const noexcept { return {share_.all_of(i), mean_.all_of(i)}; }

private:
    window_scales<A, Most> share_;
    window_scales<A, Most, double> mean_;
};

// p = 2, 3, 4: powers of quotients by multiplication. Of windows: dy, the mean, but the greatest number for infinity, the
// least power that counts, and the least element of which it is taken.
template <class A, int Power> class gem_integer_rule {
public:
    using reduction = gem_powers_of<A, gem_integer_powers<A, Power>>;
    template <std::ptrdiff_t Most> using scales = gem_scales<A, Most>;
    struct windows {
        numbers<A> field[4];
    };

    const reduction windows_by;

    TARN_INLINE explicit gem_integer_rule(const dispatch::window_gradients& c) noexcept : windows_by(c.windows) {}

    TARN_INLINE windows of(numbers<A> dy, const typename reduction::state& s, const gem_scale<A>& by) const noexcept {
        return of_means(by.share.apply(dy), windows_by.finish(s, by.mean), windows_by.epsilon);
    }
    // dy: divided by the number of members.
    TARN_INLINE static windows of_means(numbers<A> dy, numbers<A> y, number<A> epsilon) noexcept {
        const auto all = [](double v) TARN_LAMBDA { return numbers<A>(static_cast<number<A>>(v)); };
        const numbers<A> size = // NaN passes
            simd::min_of<A>(all(0x1p20), simd::max_of<A>(all(least_normal_number<A>), xsimd::abs(dy)));
        // Of elements so far below the mean powers are nothing, if not denormal.
        const numbers<A> far = simd::max_of<A>(all(least_number / least_quotient), y) * all(least_quotient);
        // For the quotient of infinities.
        const numbers<A> finite = simd::min_of<A>(numbers<A>(greatest), y);
        return {{dy, finite, all(least_share<A>) / size, simd::max_of<A>(far, numbers<A>(epsilon))}};
    }
    template <class Windows>
    TARN_INLINE static numbers<A> add(numbers<A> sum, const Windows& of, numbers<A>,
                                      const element_numbers<A, 1>& e) noexcept {
        const numbers<A> zero(number<A>(0));
        const numbers<A> x = e.number[0];
        const auto below = x < of.field[3]; // epsilon, or what counts
        const numbers<A> quotient =
            simd::select<A>(below, zero, simd::min_of<A>(numbers<A>(greatest), x)) / of.field[1];
        numbers<A> power = quotient;
        for (int i = 2; i < Power; ++i)
            power = power * quotient;
        // A mask, no choice: compilers move products in front of a choice, and these could underflow.
        const numbers<A> share = simd::zero_where_le<A>(power, power, of.field[2]) * of.field[0];
        return sum + simd::select<A>(below, zero, share);
    }

private:
    static constexpr double least_number = simd::is_double<A> ? 0x1p-1000 : 0x1p-126;
    static constexpr double least_quotient = simd::is_double<A> ? (Power == 2   ? 0x1p-960
                                                                   : Power == 3 ? 0x1p-480
                                                                                : 0x1p-320)
                                                                : (Power == 2   ? 0x1p-120
                                                                   : Power == 3 ? 0x1p-60
                                                                                : 0x1p-40);
    static constexpr number<A> greatest =
        simd::is_double<A> ? number<A>(0x1.fffffffffffffp1023) : number<A>(0x1.fffffep127f);
};
template <class A, int Power> class gem_integer_shares : public shares_of_windows {
public:
    using call = dispatch::gem_gradients;
    static constexpr int elements = 1;
    static constexpr std::ptrdiff_t room = 768 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    using rule = gem_integer_rule<A, Power>;
    using fields = window_fields<A, 4, room>;
    using windows = typename fields::windows;

    TARN_INLINE explicit gem_integer_shares(const call& c) noexcept
        : results_(c), epsilon_(static_cast<number<A>>(c.windows.power.epsilon)) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        results_.load(b, [&](std::ptrdiff_t i, int n, numbers<A> dy, numbers<A> y) TARN_LAMBDA {
            const typename rule::windows w = rule::of_means(dy, y, epsilon_);
            fields_.put(i, n, {{w.field[0], w.field[1], w.field[2], w.field[3]}});
        });
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept { return fields_.at(i); }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept { return fields_.at(i, n); }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return fields_.all_of(i); }
    TARN_INLINE static numbers<A> add(numbers<A> sum, const windows& of, numbers<A> tap,
                                      const element_numbers<A, 1>& e) noexcept {
        return rule::add(sum, of, tap, e);
    }

private:
    gem_results<A, room> results_;
    number<A> epsilon_;
    fields fields_;
};

// Any p, by logarithms of elements and means. WithP: also the gradient in p.
template <class A, bool WithP> class gem_shares : public shares_of_windows {
public:
    using call = dispatch::gem_gradients;
    static constexpr int elements = 2;
    static constexpr bool lifts = true;
    static constexpr std::ptrdiff_t room = 512 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    using fields = window_fields<A, WithP ? 6 : 4, room>;
    using windows = typename fields::windows;
    using D = doubles_of<A>;
    using cells = window_cells<A, double>;

    TARN_INLINE explicit gem_shares(const call& c) noexcept
        : results_(c), parameters_(c.windows),
          less_one_(gem_exponent<D>::of(parameters_.p - 1, parameters_.p - ((parameters_.p - 1) + 1))), dp_(c.dp) {
        for (int k = 0; k < cells::parts; ++k)
            cells::part(total_, k) = numbers<D>(0.0);
    }

    // The gradient as v * 2^n, and the logarithm of the mean; for the gradient in p both themselves.
    TARN_INLINE void load(const window_group& b) noexcept {
        results_.load(b, [&](std::ptrdiff_t i, int n, numbers<A> dy, numbers<A> y) TARN_LAMBDA {
            typename cells::type v, exponent;
            const typename cells::type wide = cells::of(dy);
            simd::unroll<cells::parts>([&](auto part) TARN_LAMBDA {
                constexpr int K = decltype(part)::value;
                split_gradient(cells::part(wide, K), cells::part(v, K), cells::part(exponent, K));
            });
            const element_numbers<A, 2> log = logarithm(y);
            windows w;
            w.field[0] = cells::to_elements(v);
            w.field[1] = cells::to_elements(exponent);
            w.field[2] = log.number[0];
            w.field[3] = log.number[1];
            if constexpr (WithP) {
                w.field[4] = dy;
                w.field[5] = y;
            }
            fields_.put(i, n, w);
        });
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept { return fields_.at(i); }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept { return fields_.at(i, n); }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return fields_.all_of(i); }
    // The logarithm; its first part negative where the element is below epsilon.
    TARN_INLINE element_numbers<A, 2> lift(numbers<A> x) const noexcept {
        element_numbers<A, 2> log = logarithm(parameters_.clamped(x));
        const numbers<A> zero(number<A>(0));
        log.number[0] = simd::select<A>(x < numbers<A>(parameters_.epsilon), zero - log.number[0], log.number[0]);
        return log;
    }
    TARN_NOINLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A>,
                                 const element_numbers<A, 2>& e) noexcept {
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
        if constexpr (WithP) {
            const typename cells::type wide = cells::of(e.number[0]);
            const typename cells::type dy = cells::of(of.field[4]);
            const typename cells::type y = cells::of(of.field[5]);
            simd::unroll<cells::parts>([&](auto part) TARN_LAMBDA {
                constexpr int K = decltype(part)::value;
                const auto none = cells::part(wide, K) == numbers<D>(0.0);
                const numbers<D> h = slope(cells::part(whole, K), cells::part(rest, K));
                const numbers<D> added = factor(cells::part(dy, K), cells::part(y, K)) * h;
                numbers<D>& total = cells::part(total_, K);
                total = total + simd::select<D>(none, numbers<D>(0.0), added);
            });
        }
        return sum + simd::select<A>(e.number[0] <= zero, zero, cells::to_elements(share));
    }
    TARN_INLINE void end() const noexcept {
        if constexpr (WithP) {
            alignas(64) double lane[cells::parts * numbers<D>::size];
            double sum = 0;
            for (int k = 0; k < cells::parts; ++k)
                cells::part(total_, k).store_aligned(lane + k * static_cast<int>(numbers<D>::size));
            for (const double v : lane)
                sum += v;
            *dp_ += sum;
        }
    }

private:
    // Exponents are counted from here, so that all are positive; that of infinity is beyond all others.
    static constexpr double origin = 4096;
    static constexpr double beyond = 0x1p60;
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

    gem_results<A, room> results_;
    gem_parameters<A> parameters_;
    gem_exponent<D> less_one_;
    double* dp_;
    typename cells::type total_;
    fields fields_;
};

// p = +inf or -inf: the first element that is the greatest or the least, unless it is below epsilon.
template <class A, bool Quick = false> struct gem_extreme_index : max_index_window<A, Quick> {
    using state = typename max_index_window<A, Quick>::state;

    number<A> epsilon, sign; // -0 for the least

    TARN_INLINE explicit gem_extreme_index(const dispatch::window_planes& c) noexcept
        : gem_extreme_index(static_cast<number<A>>(c.power.epsilon), c.power.p < 0 ? number<A>(-0.0) : number<A>(0.0)) {
    }
    TARN_INLINE gem_extreme_index(number<A> e, number<A> s) noexcept : epsilon(e), sign(s) {}

    template <class F> TARN_INLINE void pick(const nan_look<A>& seen, F f) const noexcept {
        if (xsimd::any(seen.found))
            f(*this);
        else
            f(gem_extreme_index<A, true>(epsilon, sign));
    }
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t row) const noexcept {
        return {{simd::max_of<A>(numbers<A>(epsilon), x) ^ numbers<A>(sign),
                 simd::select<A>(x < numbers<A>(epsilon), numbers<A>(infinite<A>),
                                 numbers<A>(static_cast<number<A>>(row)))}};
    }
};

}}}} // namespace tarn::kernels
