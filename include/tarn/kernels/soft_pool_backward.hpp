// SPDX-License-Identifier: BSD-3-Clause
//
// What windows give to their elements in the gradient of SoftPool: dy w (1 + t (x - y)), or dy w if weights are taken for
// constants.
#pragma once

#include <tarn/dispatch/soft_pool_table.hpp>
#include <tarn/kernels/pool_backward.hpp>
#include <tarn/kernels/soft_near.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Windows of any elements, from gradients and states of soft_window. Of windows: dy / s, m, the least weight that counts,
// and 1 - t (y - m).
template <class A> class far_rule {
public:
    using windows = window_numbers<A, 4>;

    using reduction = soft_window<A>;

    const reduction windows_by;

    TARN_INLINE far_rule(const dispatch::window_planes& c, bool exact) noexcept
        : windows_by(c), weight_(c.scale, exact ? c.scale : 0), sign_(number<A>(c.scale < 0 ? -0.0 : 0.0)) {}

    TARN_INLINE windows of(numbers<A> dy, const typename soft_window<A>::state& state,
                           const window_scale<A>& = {}) const noexcept {
        const numbers<A> one(number<A>(1));
        const numbers<A> two(number<A>(2));
        const numbers<A> zero(number<A>(0));
        const numbers<A> s = simd::max_of<A>(one, state.field[1]); // NaN passes
        const numbers<A> c = simd::select<A>(xsimd::abs(dy) < s * numbers<A>(least_normal_number<A>), zero, dy) / s;
        // Between bounds that keep the quotient a normal number.
        const numbers<A> size = simd::min_of<A>(numbers<A>(number<A>(0x1p20)),
                                                simd::max_of<A>(xsimd::abs(c), numbers<A>(least_normal_number<A>)));
        // Sums of distances may be infinite.
        const numbers<A> q = simd::max_of<A>(numbers<A>(-greatest_number<A>), soft_window<A>::below_greatest(state));
        return {{c, state.field[0], numbers<A>(number<A>(least_product)) / size, two - weight_.plus_logit(q, one)}};
    }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A> x) const noexcept {
        const numbers<A> d = weight_.distance(x ^ sign_, of.field[1]);
        const numbers<A> counted = weight_.counted(d);
        const numbers<A> w = simd::keep_where_ge<A>(weight_(d, counted), of.field[2]);
        const numbers<A> f = weight_.plus_logit(counted, of.field[3]);
        const auto flat = xsimd::abs(f) < numbers<A>(number<A>(least_slope));
        return simd::fmadd<A>(w * of.field[0], simd::select<A>(flat, numbers<A>(number<A>(0)), f), sum);
    }

private:
    // Products of a gradient and a weight below it count as 0, and so do slopes below the last bit of 1: what is left of
    // both is not denormal.
    static constexpr double least_product = distance_weight<A>::step;
    static constexpr double least_slope = simd::is_double<A> ? 0x1p-54 : 0x1p-25;

    distance_weight<A> weight_;
    numbers<A> sign_;
};

// Windows of elements near 0 give e (t x C + Q), where C sums c = dy / s of windows, and Q c (1 - t y). What others give,
// those with other elements or with gradients far from 1, is a third sum.
template <class A> class soft_rule {
public:
    using reduction = near_window<A>;
    using others = far_rule<A>;
    template <std::ptrdiff_t Most> using scales = no_scales<A>;
    using windows = window_numbers<A, 2>;
    using element = element_numbers<A, 3>;

    const reduction windows_by;
    const others far;

    TARN_INLINE explicit soft_rule(const dispatch::soft_gradients& c) noexcept
        : windows_by(c.windows), far(c.windows, c.exact), exact_(number<A>(c.exact ? 1 : 0)),
          least_(least_of(taps_of(c.windows))), greatest_(greatest_of(taps_of(c.windows))) {}

    TARN_INLINE element lift(numbers<A> x) const noexcept { return windows_by.numbers_of(x); }
    TARN_INLINE windows of(numbers<A> dy, const typename reduction::state& s,
                           const window_scale<A>& = {}) const noexcept {
        const numbers<A> one(number<A>(1));
        const numbers<A> inverse = one / s.field[0];
        const numbers<A> c = product<A>(simd::select<A>(is_near(dy), dy, numbers<A>(number<A>(0))), inverse);
        const numbers<A> slope = one - product<A>(product<A>(s.field[1], inverse), exact_);
        return {{product<A>(c, exact_), product<A>(c, slope)}};
    }
    // Products with gradients that are not near 1 would be denormal or too large.
    TARN_INLINE auto are_far(numbers<A> dy, const windows& w) const noexcept {
        return ~is_near(dy) | is_nan<A>(w.field[1]);
    }
    template <class Mask> TARN_INLINE static windows near(const windows& w, const Mask& are_far) noexcept {
        const numbers<A> zero(number<A>(0));
        return {{simd::select<A>(are_far, zero, w.field[0]), simd::select<A>(are_far, zero, w.field[1])}};
    }
    TARN_INLINE static element_numbers<A, 2> add(const element_numbers<A, 2>& sum, const windows& w, numbers<A>,
                                                 const element&) noexcept {
        return {{sum.number[0] + w.field[0], sum.number[1] + w.field[1]}};
    }
    TARN_INLINE static numbers<A> finish(const element_numbers<A, 2>& sum, const element& e) noexcept {
        const numbers<A> weight = simd::max_of<A>(e.number[0], numbers<A>(number<A>(0))); // NaN is 0
        return simd::fmadd<A>(e.number[1], sum.number[0], product<A>(weight, sum.number[1]));
    }

private:
    TARN_INLINE auto is_near(numbers<A> dy) const noexcept { return are_within<A>(dy, least_, greatest_); }
    TARN_INLINE static double taps_of(const dispatch::window_planes& w) noexcept {
        double taps = 1;
        for (const dispatch::window_axis& a : w.axis)
            taps *= static_cast<double>(a.kernel);
        return taps;
    }
    // c is at least dy over the number of taps; what is left of sums of them is 2^-23 of it, and e 2^-47. Of more taps than
    // 2^24 no window is near.
    TARN_INLINE static number<A> least_of(double taps) noexcept {
        return static_cast<number<A>>((simd::is_double<A> ? 0x1p-500 : 0x1p-54) * (taps < 0x1p24 ? taps : 0x1p24));
    }
    // An element is in at most as many windows as these have taps; c is below 2^48 dy, and 1 - t y below 2^6.
    TARN_INLINE static number<A> greatest_of(double taps) noexcept {
        return taps > 0x1p24 ? -1 : static_cast<number<A>>((simd::is_double<A> ? 0x1p900 : 0x1p72) / taps);
    }

    numbers<A> exact_;
    number<A> least_, greatest_;
};

template <class A> class soft_shares : public shares_of_windows {
public:
    using call = dispatch::soft_gradients;
    using rule = soft_rule<A>;
    using element = typename rule::element;
    static constexpr int elements = 3;
    static constexpr bool lifts = true;
    static constexpr int sums = 3;
    static constexpr bool finishes = true;
    static constexpr std::ptrdiff_t room = 1024 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    struct windows {
        typename rule::windows near;
        typename rule::others::windows far;
    };

    TARN_INLINE explicit soft_shares(const call& c) noexcept : c_(c), dy_(c.dy), rule_(c) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        dy_.load(b);
        load_near(b);
        if (has_far_)
            load_far(b);
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept {
        return {near_.at(i), has_far_ ? far_.at(i) : typename rule::others::windows{}};
    }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept {
        return {near_.at(i, n), has_far_ ? far_.at(i, n) : typename rule::others::windows{}};
    }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept {
        return {near_.all_of(i), has_far_ ? far_.all_of(i) : typename rule::others::windows{}};
    }
    TARN_INLINE element lift(numbers<A> x) const noexcept { return rule_.lift(x); }
    TARN_INLINE element_numbers<A, 3> add(const element_numbers<A, 3>& sum, const windows& of, numbers<A> tap,
                                          const element& e) const noexcept {
        const auto near = rule::add({{sum.number[0], sum.number[1]}}, of.near, tap, e);
        return {{near.number[0], near.number[1],
                 has_far_ ? rule_.far.add(sum.number[2], of.far, e.number[2]) : sum.number[2]}};
    }
    TARN_INLINE static numbers<A> finish(const element_numbers<A, 3>& sum, const element& e) noexcept {
        return rule::finish({{sum.number[0], sum.number[1]}}, e) + sum.number[2];
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t pitch = room + width;

    // f(first, how many, states) for each register of windows.
    template <class Reduction, class F> TARN_INLINE void each_state(const window_group& b, F f) noexcept {
        window_lines<A, Reduction, own_loops::none>::run(states_of(c_.windows, b, state_[0], pitch));
        const std::ptrdiff_t n = b.count();
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const int some = n - i < width ? static_cast<int>(n - i) : width;
            typename Reduction::state s;
            simd::unroll<Reduction::fields>([&](auto k) TARN_LAMBDA {
                s.field[decltype(k)::value] = simd::load_n<A>(state_[decltype(k)::value] + i, some);
            });
            f(i, some, s);
        }
    }
    TARN_NOINLINE void load_near(const window_group& b) noexcept {
        has_far_ = false;
        each_state<near_window<A>>(b, [&](std::ptrdiff_t i, int n, typename near_window<A>::state s) TARN_LAMBDA {
            s.field[0] = simd::first_or<A>(s.field[0], n, numbers<A>(number<A>(1)));
            const numbers<A> dy = dy_.at(i, n);
            const auto w = rule_.of(dy, s);
            const auto far = rule_.are_far(dy, w);
            has_far_ = has_far_ || xsimd::any(far);
            near_.put(i, n, rule_.near(w, far));
            far_.put(i, n, {{simd::select<A>(far, dy, numbers<A>(number<A>(0)))}});
        });
    }
    TARN_NOINLINE void load_far(const window_group& b) noexcept {
        each_state<soft_state_window<A>>(b,
                                         [&](std::ptrdiff_t i, int n, const typename soft_window<A>::state& s)
                                             TARN_LAMBDA { far_.put(i, n, rule_.far.of(far_.at(i, n).field[0], s)); });
    }

    const call& c_;
    gradient_block<A, room> dy_;
    rule rule_;
    bool has_far_ = false;
    window_fields<A, rule::windows::count, room> near_;
    window_fields<A, rule::others::windows::count, room> far_;
    alignas(64) number<A> state_[soft_window<A>::fields][pitch];
};

}}}} // namespace tarn::kernels
