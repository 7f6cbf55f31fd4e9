// SPDX-License-Identifier: BSD-3-Clause
//
// What windows give to their elements in the gradients of generalized means where p is 2, 3 or 4, and where it is
// infinite. gem_shares.hpp has any p.
#pragma once

#include <tarn/kernels/gem_shares.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

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

// p = 2, 3, 4, any elements: powers of quotients. Of windows: dy, the mean, but the greatest number for infinity, the least
// power that counts, and the least element of which it is taken.
template <class A, int Power> class gem_quotient_rule {
public:
    using reduction = gem_powers_of<A, gem_integer_powers<A, Power>>;
    using windows = window_numbers<A, 4>;

    const reduction windows_by;

    TARN_INLINE explicit gem_quotient_rule(const dispatch::window_planes& c) noexcept : windows_by(c) {}

    TARN_INLINE windows of(numbers<A> dy, const typename reduction::state& s, const gem_scale<A>& by) const noexcept {
        return of_means(by.share.apply(dy), windows_by.finish(s, by.mean));
    }
    // dy: divided by the number of members.
    TARN_INLINE windows of_means(numbers<A> dy, numbers<A> y) const noexcept {
        const auto all = [](double v) TARN_LAMBDA { return numbers<A>(static_cast<number<A>>(v)); };
        const numbers<A> size = // NaN passes
            simd::min_of<A>(all(0x1p20), simd::max_of<A>(all(least_normal_number<A>), xsimd::abs(dy)));
        // Of elements so far below the mean powers are nothing, if not denormal.
        const numbers<A> far = simd::max_of<A>(all(least_number / least_quotient), y) * all(least_quotient);
        // For the quotient of infinities.
        const numbers<A> finite = simd::min_of<A>(numbers<A>(greatest_number<A>), y);
        return {{dy, finite, all(least_share<A>) / size, simd::max_of<A>(far, numbers<A>(windows_by.epsilon))}};
    }
    TARN_INLINE static numbers<A> add(numbers<A> sum, const windows& of, numbers<A> x) noexcept {
        const numbers<A> zero(number<A>(0));
        const auto below = x < of.field[3]; // epsilon, or what counts
        const numbers<A> quotient =
            simd::select<A>(below, zero, simd::min_of<A>(numbers<A>(greatest_number<A>), x)) / of.field[1];
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
};

// Sums of powers 2, 3 and 4 as numbers of A, for kernels of few rows and columns, and neither tiny nor great elements.
template <class A, int Power> class gem_near_powers : public window_reduction {
public:
    static constexpr int fields = 1;
    static constexpr bool counts = true;
    static constexpr number<A> empty = 0;
    using state = window_state<A, fields>;

    const bool takes_kernel;
    const number<A> least;

    TARN_INLINE explicit gem_near_powers(const dispatch::window_planes& c) noexcept
        : takes_kernel(c.axis[0].kernel * c.axis[1].kernel + c.axis[2].kernel <= 16 &&
                       c.power.epsilon >= least_element),
          least(static_cast<number<A>>(takes_kernel ? c.power.epsilon : least_element)) {}

    TARN_INLINE static number<A> neutral(int) noexcept { return 0; }
    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t, std::ptrdiff_t) noexcept { return s; }
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        const numbers<A> v = simd::max_of<A>(numbers<A>(least), x); // NaN passes
        return {{product<A>(less_one(v), v)}};
    }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept { return {{a.field[0] + b.field[0]}}; }
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>& by) noexcept {
        return product<A>(s.field[0], by.inverse);
    }

    // x^(p - 1).
    TARN_INLINE static numbers<A> less_one(numbers<A> x) noexcept {
        numbers<A> power = x;
        for (int i = 2; i < Power; ++i)
            power = power * x;
        return power;
    }
    // mean^(-1 / p).
    TARN_INLINE static numbers<A> inverse_root(numbers<A> mean) noexcept {
        if constexpr (Power == 3) {
            return simd::inverse_cube_root<A>(mean);
        } else {
            const numbers<A> root = simd::square_root<A>(mean);
            return numbers<A>(number<A>(1)) / (Power == 4 ? simd::square_root<A>(root) : root);
        }
    }

private:
    // Of their powers, times what is left of a sum of c, none is denormal.
    static constexpr double least_element = Power == 2 ? 0x1p-60 : Power == 3 ? 0x1p-26 : 0x1p-20;
};

// Elements are given x^(p - 1) times the sum of c = dy / n y^(1 - p), where no power is far from 1. Of windows: c, the mean
// of powers, and dy / n. What others give is a second sum.
template <class A, int Power> class gem_integer_rule {
public:
    using others = gem_quotient_rule<A, Power>;
    using reduction = gem_near_powers<A, Power>;
    template <std::ptrdiff_t Most> using scales = gem_scales<A, Most>;
    using windows = window_numbers<A, 3>;

    const reduction windows_by;
    const others far;

    TARN_INLINE explicit gem_integer_rule(const dispatch::window_gradients& c) noexcept
        : windows_by(c.windows), far(c.windows) {}

    TARN_INLINE static windows of(numbers<A> dy, const typename reduction::state& s, const gem_scale<A>& by) noexcept {
        return of_scaled(by.share.apply(dy), reduction::finish(s, by.share));
    }
    TARN_INLINE static windows of_scaled(numbers<A> dy, numbers<A> mean) noexcept {
        const numbers<A> root = reduction::inverse_root(mean);
        numbers<A> c = simd::select<A>(is_near(dy), dy, numbers<A>(number<A>(0)));
        for (int i = 1; i < Power; ++i)
            c = product<A>(c, root);
        return {{c, mean, dy}};
    }
    TARN_INLINE auto are_far(numbers<A>, const windows& w) const noexcept {
        const number<A> most = windows_by.takes_kernel ? greatest_mean : number<A>(-1);
        return ~(is_near(w.field[2]) & (w.field[1] <= numbers<A>(most)));
    }
    template <class Mask> TARN_INLINE static windows near(const windows& w, const Mask& are_far) noexcept {
        return {{simd::select<A>(are_far, numbers<A>(number<A>(0)), w.field[0]), w.field[1], w.field[2]}};
    }
    TARN_INLINE static numbers<A> add(numbers<A> sum, const windows& w, numbers<A>,
                                      const element_numbers<A, 1>&) noexcept {
        return sum + w.field[0];
    }
    TARN_INLINE numbers<A> finish(numbers<A> sum, const element_numbers<A, 1>& e) const noexcept {
        const numbers<A> given = e.number[0];
        // Greater ones are in other windows.
        const auto counts = (given >= numbers<A>(windows_by.least)) & (given <= numbers<A>(number<A>(0x1p30)));
        const numbers<A> x = simd::select<A>(counts, given, numbers<A>(number<A>(0)));
        return product<A>(reduction::less_one(x), sum);
    }

private:
    TARN_INLINE static auto is_near(numbers<A> dy) noexcept {
        return are_within<A>(dy, number<A>(0x1p-30), number<A>(0x1p40));
    }

    static constexpr number<A> greatest_mean = number<A>(Power == 2 ? 0x1p20 : Power == 3 ? 0x1p30 : 0x1p16);
};
template <class A, int Power> class gem_integer_shares : public shares_of_windows {
public:
    using call = dispatch::gem_gradients;
    static constexpr int elements = 1;
    static constexpr int sums = 2;
    static constexpr bool finishes = true;
    static constexpr std::ptrdiff_t room = 768 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    using rule = gem_integer_rule<A, Power>;
    struct windows {
        window_numbers<A, 1> near;
        typename rule::others::windows far;
    };

    TARN_INLINE explicit gem_integer_shares(const call& c) noexcept : c_(c), results_(c), rule_(c) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        results_.load_gradients(b);
        const bool near = rule_.windows_by.takes_kernel;
        if (near)
            window_lines<A, typename rule::reduction, own_loops::none>::run(
                results_of(c_.windows, b, results_.room_for_means()));
        has_far_ = !near;
        results_.each(b, [&](std::ptrdiff_t i, int n) TARN_LAMBDA {
            const numbers<A> dy = results_.gradients(i, n);
            typename rule::windows w{{dy, numbers<A>(number<A>(0)), dy}};
            if (near)
                w = rule::of_scaled(dy, simd::first_or<A>(results_.means(i, n), n, numbers<A>(number<A>(1))));
            const auto far = rule_.are_far(dy, w);
            has_far_ = has_far_ || xsimd::any(far);
            near_.put(i, n, {{rule::near(w, far).field[0]}});
            far_.put(i, n, {{simd::select<A>(far, dy, numbers<A>(number<A>(0)))}});
        });
        if (!has_far_)
            return;
        results_.load_means(b);
        results_.each(b, [&](std::ptrdiff_t i, int n) TARN_LAMBDA {
            far_.put(i, n, rule_.far.of_means(far_.at(i, n).field[0], results_.means(i, n)));
        });
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept { return {near_.at(i), far_.at(i)}; }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept { return {near_.at(i, n), far_.at(i, n)}; }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return {near_.all_of(i), far_.all_of(i)}; }
    TARN_INLINE element_numbers<A, 2> add(const element_numbers<A, 2>& sum, const windows& of, numbers<A>,
                                          const element_numbers<A, 1>& e) const noexcept {
        return {{sum.number[0] + of.near.field[0],
                 has_far_ ? rule::others::add(sum.number[1], of.far, e.number[0]) : sum.number[1]}};
    }
    TARN_INLINE numbers<A> finish(const element_numbers<A, 2>& sum, const element_numbers<A, 1>& e) const noexcept {
        return rule_.finish(sum.number[0], e) + sum.number[1];
    }

private:
    const call& c_;
    gem_results<A, room> results_;
    rule rule_;
    bool has_far_ = false;
    window_fields<A, 1, room> near_;
    window_fields<A, rule::others::windows::count, room> far_;
};

// p = +inf or -inf: the first element that is the greatest or the least, unless it is below epsilon.
template <class A, bool Quick = false> struct gem_extreme_index : max_index_window<A, Quick> {
    using state = typename max_index_window<A, Quick>::state;
    static constexpr bool seldom = true;

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
