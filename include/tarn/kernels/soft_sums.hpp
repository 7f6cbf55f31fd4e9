// SPDX-License-Identifier: BSD-3-Clause
//
// SoftPool by two sums over a window, of weights exp(t x) and of weights times elements, whose quotient is the result.
// Weights that neither overflow nor vanish are taken as they are; others as v * 2^n, of which sums keep the greatest n of
// theirs. Powers of two change no other bit, so both give the same results. Windows with an element too far from 0 for
// either are those of soft_window.
#pragma once

#include <tarn/kernels/soft_pool.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Elements and scales t of which sums are made. Weights and what products are multiplied by are such that neither products
// nor what is left where they cancel is denormal: where weights are small, elements are not, or the scale is too large.
template <class T> struct soft_range;
template <> struct soft_range<float> {
    static constexpr float greatest = 0x1p20f;
    static constexpr double members = 0x1p22;
    static constexpr double near = 40;             // |t x| of weights as they are: no two are further apart than 2^117,
    static constexpr float powers = 26;            // they are 2^26 too large,
    static constexpr double steepest = 0x1p40;     // and |t| is at most this;
    static constexpr double far = 48000;           // |t x| of others, whose products
    static constexpr float lift = 0x1p80f;         // are so much too large
    static constexpr double least_scale = 0x1p-60; // below it all weights are 1
};
template <> struct soft_range<double> {
    static constexpr double greatest = 0x1p200;
    static constexpr double members = 0x1p24;
    static constexpr double near = 138; // 2^399
    static constexpr double powers = 60;
    static constexpr double steepest = 0x1p700;
    static constexpr double far = 48000;
    static constexpr double lift = 0x1p300;
    static constexpr double least_scale = 0x1p-400;
};

// The greatest magnitude of elements. NaN has none.
template <class A> struct magnitude_look {
    numbers<A> greatest = numbers<A>(number<A>(0));

    TARN_INLINE void add(numbers<A> x) noexcept { greatest = simd::max_of<A>(xsimd::abs(x), greatest); }
    TARN_INLINE void add(numbers<A> x, numbers<A> y) noexcept {
        add(x);
        add(y);
    }
};

// What makes weights of elements, and which of them.
template <class A> class soft_weights {
public:
    using range = soft_range<number<A>>;

    // Of |t x| up to `most` and |t| up to `steepest`.
    TARN_INLINE soft_weights(const dispatch::window_planes& c, double most, double steepest) noexcept
        : base_(base_of(c.scale)), limit_(limit_of(c, most, steepest)) {}

    TARN_INLINE exp_base<A> base() const noexcept { return base_; }
    TARN_INLINE bool takes(const magnitude_look<A>& seen) const noexcept {
        return !xsimd::any(seen.greatest > numbers<A>(limit_));
    }
    TARN_INLINE auto takes(numbers<A> x) const noexcept { return xsimd::abs(x) <= numbers<A>(limit_); }

private:
    TARN_INLINE static exp_base<A> base_of(double t) noexcept {
        const bool counts = t >= range::least_scale || t <= -range::least_scale;
        return counts ? exp_base<A>::of(static_cast<number<A>>(t)) : exp_base<A>{0, 0};
    }
    // Sums of more products might overflow.
    TARN_INLINE static number<A> limit_of(const dispatch::window_planes& c, double most, double steepest) noexcept {
        double members = 1;
        for (const dispatch::window_axis& a : c.axis)
            members *= static_cast<double>(a.kernel);
        const double t = c.scale < 0 ? -c.scale : c.scale;
        const bool bounded = t * static_cast<double>(range::greatest) > most;
        return members > range::members || t > steepest ? -1
               : bounded                                ? static_cast<number<A>>(most / t)
                                                        : range::greatest;
    }

    exp_base<A> base_;
    number<A> limit_;
};

template <class A, int Fields> struct soft_sum_window : window_reduction {
    static constexpr int fields = Fields;
    static constexpr bool lifts_once = true;
    static constexpr number<A> empty = 0;
    using state = window_state<A, fields>;

    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t, std::ptrdiff_t) noexcept { return s; }

protected:
    // sum / size * 1 / lift, size >= least_size.
    TARN_INLINE static numbers<A> quotient(numbers<A> sum, numbers<A> size, double least_size,
                                           number<A> lift) noexcept {
        const numbers<A> by = simd::max_of<A>(numbers<A>(static_cast<number<A>>(least_size)), size); // NaN passes
        return (sum + numbers<A>(number<A>(0))) / by * numbers<A>(1 / lift);
    }
};

// The sum of weights, and of weights times elements.
template <class A> class soft_sums : public soft_sum_window<A, 2> {
public:
    using typename soft_sum_window<A, 2>::state;

    TARN_INLINE explicit soft_sums(const dispatch::window_planes& c) noexcept
        : weights_(c, soft_range<number<A>>::near, soft_range<number<A>>::steepest),
          exponential_(weights_.base(), {-soft_range<number<A>>::powers, 0}) {}

    TARN_INLINE bool takes(const magnitude_look<A>& seen) const noexcept { return weights_.takes(seen); }
    TARN_INLINE static number<A> neutral(int) noexcept { return 0; }
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        const numbers<A> w = near_weight<A>::of(exponential_, x);
        return {{w, product<A>(w, x)}};
    }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        return {{a.field[0] + b.field[0], a.field[1] + b.field[1]}};
    }
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>&) noexcept {
        // No weight is smaller.
        return soft_sums::quotient(s.field[1], s.field[0], simd::is_double<A> ? 0x1p-200 : 0x1p-58, 1);
    }

private:
    soft_weights<A> weights_;
    exp_weight<A, true> exponential_;
};

// The greatest n, and both sums over 2^n.
template <class A> class soft_scaled_sums : public soft_sum_window<A, 3> {
public:
    using typename soft_sum_window<A, 3>::state;

    TARN_INLINE explicit soft_scaled_sums(const dispatch::window_planes& c) noexcept
        : weights_(c, soft_range<number<A>>::far, static_cast<double>(infinity)), table_(simd::exp2_table<A>(1)) {}

    TARN_INLINE bool takes(const magnitude_look<A>& seen) const noexcept { return weights_.takes(seen); }
    TARN_INLINE auto takes(numbers<A> x) const noexcept { return weights_.takes(x); }
    // Below all n.
    TARN_INLINE static number<A> neutral(int f) noexcept { return f == 0 ? number<A>(-0x1p20) : number<A>(0); }
    TARN_INLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        if constexpr (simd::exp2_traits<A>::is_compact)
            return lifted(x);
        else
            return out_of_line(x);
    }
    TARN_INLINE static state combine(const state& a, const state& b) noexcept {
        const states_by_height<A, state> by(a, b);
        const numbers<A> n = simd::max_of<A>(b.field[0], a.field[0]);
        const numbers<A> down = simd::exp2_of_integer<A>(simd::min_of<A>(b.field[0], a.field[0]) - n);
        return {{n, simd::fmadd<A>(by.low(1), down, by.high(1)), simd::fmadd<A>(by.low(2), down, by.high(2))}};
    }
    TARN_INLINE static numbers<A> finish(const state& s, const window_scale<A>&) noexcept {
        return soft_scaled_sums::quotient(s.field[2], s.field[1], 0.5, range::lift);
    }

private:
    using range = soft_range<number<A>>;

    TARN_INLINE state lifted(numbers<A> x) const noexcept {
        const exp_base<A> base = weights_.base();
        numbers<A> v;
        numbers<A> n;
        exp_weight<A, false>::extended(table_, numbers<A>(base.high), numbers<A>(base.low), x, v, n);
        return {{n, v, product<A>(v, x * numbers<A>(range::lift))}};
    }
    // Where it takes hundreds of instructions, one copy of them serves all loops.
    TARN_NOINLINE state out_of_line(numbers<A> x) const noexcept { return lifted(x); }

    soft_weights<A> weights_;
    typename simd::exp2_traits<A>::table table_;
};

// Any elements: sums where they take all of a window, otherwise the state of soft_window.
template <class A> class soft_pool_window : public window_reduction {
    using scaled = soft_scaled_sums<A>;
    using general = soft_window<A>;

public:
    static constexpr int fields = scaled::fields + general::fields + 1;
    static constexpr bool lifts_once = true;
    static constexpr number<A> empty = 0;
    using looks_for = magnitude_look<A>;
    using guess = soft_sums<A>;
    static constexpr bool looks_at_stored = true;
    using state = window_state<A, fields>;

    TARN_INLINE explicit soft_pool_window(const dispatch::window_planes& c) noexcept
        : sums_(c), scaled_(c), general_(c) {}

    TARN_INLINE const guess& first_guess() const noexcept { return sums_; }
    // f(the shortest reduction that gives the same results where no other elements are).
    template <class F> TARN_INLINE void pick(const magnitude_look<A>& seen, F f) const noexcept {
        if (sums_.takes(seen))
            f(sums_);
        else if (scaled_.takes(seen))
            f(scaled_);
        else
            f(*this);
    }

    TARN_INLINE static number<A> neutral(int f) noexcept {
        return f < first ? scaled::neutral(f) : f < last ? general::neutral(f - first) : number<A>(0);
    }
    TARN_NOINLINE state lift(numbers<A> x, std::ptrdiff_t) const noexcept {
        const numbers<A> zero(number<A>(0));
        const auto inside = scaled_.takes(x);
        return joined(scaled_.lift(simd::select<A>(inside, x, zero), 0), general_.lift(x, 0),
                      simd::select<A>(inside, zero, numbers<A>(number<A>(1))));
    }
    TARN_INLINE static state at_column(const state& s, std::ptrdiff_t, std::ptrdiff_t) noexcept { return s; }
    TARN_NOINLINE state combine(const state& a, const state& b) const noexcept {
        return joined(scaled::combine(scaled_of(a), scaled_of(b)), general_.combine(general_of(a), general_of(b)),
                      simd::max_of<A>(a.field[last], b.field[last]));
    }
    TARN_NOINLINE numbers<A> finish(const state& s, const window_scale<A>& by) const noexcept {
        return simd::select<A>(s.field[last] == numbers<A>(number<A>(0)), scaled::finish(scaled_of(s), by),
                               general_.finish(general_of(s), by));
    }

private:
    static constexpr int first = scaled::fields;
    static constexpr int last = fields - 1; // 1 if the window has an element that sums do not take

    TARN_INLINE static state joined(const typename scaled::state& s, const typename general::state& g,
                                    numbers<A> outside) noexcept {
        state r;
        simd::unroll<first>([&](auto f) TARN_LAMBDA { r.field[decltype(f)::value] = s.field[decltype(f)::value]; });
        simd::unroll<last - first>(
            [&](auto f) TARN_LAMBDA { r.field[first + decltype(f)::value] = g.field[decltype(f)::value]; });
        r.field[last] = outside;
        return r;
    }
    TARN_INLINE static typename scaled::state scaled_of(const state& s) noexcept {
        return {{s.field[0], s.field[1], s.field[2]}};
    }
    TARN_INLINE static typename general::state general_of(const state& s) noexcept {
        return {{s.field[first], s.field[first + 1], s.field[first + 2]}};
    }

    soft_sums<A> sums_;
    scaled scaled_;
    general general_;
};

}}}} // namespace tarn::kernels
