// SPDX-License-Identifier: BSD-3-Clause
//
// What gem_shares.hpp describes, made of floats: gradients of generalized means of floats for 1 < |p| <= 7. Windows whose
// mean or gradient is far from 1 are left to its doubles.
#pragma once

#include <tarn/kernels/gem_shares.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Of windows: the logarithm of the mean, the gradient, the least power of x / y that counts, and dy y / n. Those that are
// far are 0 here.
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
