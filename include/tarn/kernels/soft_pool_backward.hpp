// SPDX-License-Identifier: BSD-3-Clause
//
// What windows give to their elements in the gradient of SoftPool: dy w (1 + t (x - y)), or dy w if weights are taken for
// constants.
#pragma once

#include <tarn/kernels/pool_backward.hpp>
#include <tarn/kernels/soft_pool.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct soft_gradients : gradient_block<A, 1024 / static_cast<std::ptrdiff_t>(sizeof(number<A>))> {
    static constexpr std::ptrdiff_t room = 1024 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    TARN_INLINE explicit soft_gradients(const dispatch::window_gradients& c) noexcept : gradient_block<A, room>(c.dy) {}
};

// In registers, from gradients and states of windows.
template <class A, bool Exact> class soft_rule {
public:
    using reduction = soft_state_window<A>;
    template <std::ptrdiff_t Most> using scales = no_scales<A>;
    // dy / s, m, the least weight that counts, and 1 - t (y - m).
    struct windows {
        numbers<A> c, greatest, least, slope;
    };

    const reduction windows_by;

    TARN_INLINE explicit soft_rule(const dispatch::window_gradients& c) noexcept
        : windows_by(c.windows), weight_(c.windows.scale), sign_(number<A>(c.windows.scale < 0 ? -0.0 : 0.0)) {}

    TARN_INLINE windows of(numbers<A> dy, const typename reduction::state& state,
                           const window_scale<A>& = {}) const noexcept {
        const numbers<A> one(number<A>(1));
        const numbers<A> two(number<A>(2));
        const numbers<A> zero(number<A>(0));
        const numbers<A> s = simd::max_of<A>(one, state.field[1]); // NaN passes
        const numbers<A> c = simd::select<A>(xsimd::abs(dy) < s * numbers<A>(least_normal_number<A>), zero, dy) / s;
        // Between bounds that keep the quotient a normal number.
        const numbers<A> size = simd::min_of<A>(numbers<A>(number<A>(0x1p20)),
                                                simd::max_of<A>(xsimd::abs(c), numbers<A>(least_normal_number<A>)));
        const numbers<A> q = soft_window<A>::below_greatest(state);
        return {c, state.field[0], numbers<A>(number<A>(least_product)) / size, two - weight_.plus_logit(q, one)};
    }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A>,
                               const element_numbers<A, 1>& e) const noexcept {
        const numbers<A> d = weight_.distance(e.number[0] ^ sign_, of.greatest);
        const numbers<A> near = weight_.counted(d);
        const numbers<A> w = simd::keep_where_ge<A>(weight_(d, near), of.least);
        if constexpr (!Exact) {
            return simd::fmadd<A>(w, of.c, sum);
        } else {
            const numbers<A> f = weight_.plus_logit(near, of.slope);
            const auto flat = xsimd::abs(f) < numbers<A>(number<A>(least_slope));
            return simd::fmadd<A>(w * of.c, simd::select<A>(flat, numbers<A>(number<A>(0)), f), sum);
        }
    }

private:
    // Products of a gradient and a weight below it count as 0, and so do slopes below the last bit of 1: what is left of
    // both is not denormal.
    static constexpr double least_product = distance_weight<A>::step;
    static constexpr double least_slope = simd::is_double<A> ? 0x1p-54 : 0x1p-25;

    distance_weight<A> weight_;
    numbers<A> sign_;
};

// Gradients: a block of those of the results, made of a call, that has `room` for so many.
template <class A, bool Exact, class Gradients = soft_gradients<A>> class soft_shares : public shares_of_windows {
public:
    static constexpr int elements = 1;
    static constexpr std::ptrdiff_t room = Gradients::room;
    using rule = soft_rule<A, Exact>;
    using windows = typename rule::windows;

    template <class Call> TARN_INLINE explicit soft_shares(const Call& c) noexcept : c_(c), dy_(c), rule_(c) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        dy_.load(b);
        window_lines<A, soft_state_window<A>>::run(states_of(c_.windows, b, field_[0], pitch));
        const std::ptrdiff_t n = b.count();
        for (std::ptrdiff_t i = 0; i < n; i += width)
            prepare(i, n - i < width ? static_cast<int>(n - i) : width);
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept {
        return {dy_.at(i), numbers<A>::load_unaligned(field_[0] + i), numbers<A>::load_unaligned(field_[1] + i),
                numbers<A>::load_unaligned(field_[2] + i)};
    }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept {
        return {dy_.at(i, n), simd::load_n<A>(field_[0] + i, n), simd::load_n<A>(field_[1] + i, n),
                simd::load_n<A>(field_[2] + i, n)};
    }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept {
        return {dy_.all_of(i), numbers<A>(field_[0][i]), numbers<A>(field_[1][i]), numbers<A>(field_[2][i])};
    }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A> tap,
                               const element_numbers<A, 1>& e) const noexcept {
        return rule_.add(sum, of, tap, e);
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t pitch = room + width;

    // From states to what is known of windows.
    TARN_INLINE void prepare(std::ptrdiff_t i, int n) noexcept {
        const auto load = [&](int f) TARN_LAMBDA { return simd::load_n<A>(field_[f] + i, n); };
        const windows w = rule_.of(dy_.at(i, n), {{load(0), load(1), load(2)}});
        simd::store_n<A>(dy_.begin() + i, w.c, n);
        simd::store_n<A>(field_[1] + i, w.least, n);
        simd::store_n<A>(field_[2] + i, w.slope, n);
    }

    const dispatch::window_gradients& c_;
    Gradients dy_;
    rule rule_;
    alignas(64) number<A> field_[3][pitch];
};

}}}} // namespace tarn::kernels
