// SPDX-License-Identifier: BSD-3-Clause
//
// What windows that are weighed by similarity give to their elements. With s the similarity of x and the mean a of n
// elements, w = exp(s) / sum exp(s) and h = (x^2 - a^2) / (x^2 + a^2), so that ds/dx = -s h / x and ds/da = s h / a:
//
//   dy (w (1 + (x - y) ds/dx) + (1 / n) sum w (x - y) ds/da), or dy w if weights are taken for constants
//
// Where x or a is 0, both derivatives are 0. Infinite elements that make the mean share dy.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/kernels/ada_beta.hpp>
#include <tarn/kernels/ada_window.hpp>
#include <tarn/kernels/pool_backward.hpp>
#include <tarn/kernels/whole_windows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// What is left of an element in the similarity with a mean, in units.
template <class A> struct similarity {
    numbers<A> near;     // w, not divided by their sum
    numbers<A> slope;    // s h
    numbers<A> quotient; // 1 / (x^2 + a^2)
    numbers<A> h;

    TARN_INLINE static similarity of(const window_mean<A>& m, numbers<A> x) noexcept {
        const numbers<A> size = xsimd::abs(x);
        const numbers<A> mean = xsimd::abs(m.mean);
        const numbers<A> q = numbers<A>(number<A>(1)) / simd::fmadd<A>(x, x, m.square);
        const numbers<A> s = (size * m.twice) * q;
        const numbers<A> h = ((size - mean) * q) * (size + mean);
        return {exp_of_part<A>(s), s * h, q, h};
    }
};

// The state of a window: the inverse of its unit, what counts of elements, the mean, one over the sum of weights; and if
// `Exact` y and the sum over all elements, in units.
template <class A, bool Exact> class similarity_states {
public:
    static constexpr int fields = Exact ? 6 : 4;
    static constexpr bool reads_beside = false;

    TARN_INLINE static void begin(const windows_of_row&, std::ptrdiff_t) noexcept {}
    template <class Elements>
    TARN_INLINE void run(const Elements& e, numbers<A>, numbers<A> one_by_n, std::ptrdiff_t,
                         numbers<A>* to) const noexcept {
        const numbers<A> zero(number<A>(0));
        const numbers<A> one(number<A>(1));
        const auto unit = window_unit<A>::of(greatest_magnitude<A>(e));
        const auto m = window_mean<A>::of(e, unit, one_by_n);
        const auto infinite_mean = xsimd::abs(m.mean) == numbers<A>(infinite<A>);
        // Of weights and, times distances from the mean, of them and of the slopes.
        constexpr int sums = Exact ? 4 : 1;
        const auto s = e.template sum<sums>([&](numbers<A> x, auto member, auto& sum, auto first) TARN_LAMBDA {
            const auto add = [&](int f, numbers<A> p, numbers<A> q) TARN_LAMBDA {
                sum.field[f] = decltype(first)::value ? p * q : simd::fmadd<A>(p, q, sum.field[f]);
            };
            const numbers<A> v = unit.scaled(x);
            const auto of = similarity<A>::of(m, v);
            const numbers<A> equal = simd::select<A>(v == m.mean, one, zero);
            const numbers<A> w = where_member<A>(member, simd::select<A>(infinite_mean, equal, of.near), zero);
            add(0, w, one);
            if constexpr (Exact) {
                const numbers<A> d = v - m.mean;
                const numbers<A> slope = w * of.slope;
                add(1, w, d);
                add(2, slope, one);
                add(3, slope, d);
            }
        });
        to[0] = unit.inverse;
        to[1] = unit.least_element;
        to[2] = m.mean;
        to[3] = one / simd::max_of<A>(one, s.field[0]); // NaN passes
        if constexpr (Exact) {
            // No average by similarity is further from the mean, but for what large elements that cancel leave.
            const numbers<A> reach = xsimd::abs(m.mean) * numbers<A>(number<A>(8));
            const numbers<A> found = counted<A>(s.field[1], numbers<A>(window_unit<A>::least)) * to[3];
            const numbers<A> above = simd::max_of<A>(zero - reach, simd::min_of<A>(reach, found)); // NaN passes
            const numbers<A> part(number<A>(simd::is_double<A> ? 0x1p-80 : 0x1p-40));
            const numbers<A> size = xsimd::abs(m.mean);
            const numbers<A> sum = simd::fmadd<A>(zero - above, counted<A>(s.field[2], part), s.field[3]);
            const numbers<A> all = counted<A>(sum, size * part);
            const numbers<A> mean = simd::select<A>(m.mean == zero, one, m.mean);
            const auto ordinary = size < numbers<A>(infinite<A>);
            to[4] = m.mean + above;
            to[5] = simd::select<A>(ordinary, ((all / mean) * to[3]) * one_by_n, zero);
        }
    }
};

template <class A> constexpr std::ptrdiff_t similarity_room = 512 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

// What shares of a register of windows are worked out from.
template <class A, bool Exact> struct similar_windows {
    numbers<A> inverse, least, mean;
    numbers<A> dy; // divided by the sum of weights
};
template <class A> struct similar_windows<A, true> : similar_windows<A, false> { numbers<A> y, all; };

template <class A, bool Exact> class similarity_shares : public shares_of_windows {
public:
    static constexpr bool several_planes = false;
    using call = dispatch::ada_gradients;
    static constexpr int elements = 1;
    static constexpr std::ptrdiff_t room = similarity_room<A>;
    using windows = similar_windows<A, Exact>;

    TARN_INLINE explicit similarity_shares(const call& c) noexcept : c_(c), dy_(c, true) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        dy_.load(b);
        similarity_states<A, Exact> states;
        whole_windows<A, similarity_states<A, Exact>>::run(states_of(c_.windows, b, field_[0], pitch), states);
        const std::ptrdiff_t n = b.rows * b.columns * b.lanes;
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const int some = n - i < width ? static_cast<int>(n - i) : width;
            const numbers<A> dy = dy_.at(i, some);
            const auto scale = [&](number<A>* p)
                                   TARN_LAMBDA { simd::store_n<A>(p, scaled(simd::load_n<A>(p, some), dy), some); };
            scale(field_[3] + i);
            if constexpr (Exact)
                scale(field_[5] + i);
        }
    }
    // From a state and the gradient.
    TARN_INLINE static windows of_state(const numbers<A> (&field)[similarity_states<A, Exact>::fields],
                                        numbers<A> dy) noexcept {
        windows w;
        w.inverse = field[0];
        w.least = field[1];
        w.mean = field[2];
        w.dy = scaled(field[3], dy);
        if constexpr (Exact) {
            w.y = field[4];
            w.all = scaled(field[5], dy);
        }
        return w;
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept {
        return of([&](const number<A>* p) TARN_LAMBDA { return numbers<A>::load_unaligned(p + i); });
    }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept {
        return of([&](const number<A>* p) TARN_LAMBDA { return simd::load_n<A>(p + i, n); });
    }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept {
        return of([&](const number<A>* p) TARN_LAMBDA { return numbers<A>(p[i]); });
    }
    TARN_INLINE static numbers<A> add(numbers<A> sum, const windows& of, numbers<A>,
                                      const element_numbers<A, 1>& e) noexcept {
        const numbers<A> zero(number<A>(0));
        const numbers<A> one(number<A>(1));
        const window_unit<A> unit{one, of.inverse, of.least};
        const numbers<A> x = unit.scaled(e.number[0]);
        const auto m = window_mean<A>::of_mean(of.mean);
        const auto s = similarity<A>::of(m, x);
        const auto infinite_mean = xsimd::abs(of.mean) == numbers<A>(infinite<A>);
        const numbers<A> equal = simd::select<A>(x == of.mean, one, zero);
        const numbers<A> w = simd::select<A>(infinite_mean, equal, s.near);
        if constexpr (!Exact) {
            return simd::fmadd<A>(w, of.dy, sum);
        } else {
            // Distances far below the element and the mean change nothing.
            const numbers<A> d = x - of.y;
            const numbers<A> reach =
                (xsimd::abs(x) + xsimd::abs(of.mean)) * numbers<A>(number<A>(simd::is_double<A> ? 0x1p-60 : 0x1p-30));
            const numbers<A> far = counted<A>(d, reach);
            const numbers<A> steep = ((far * s.quotient) * m.twice) * s.h;
            const numbers<A> signed_steep = simd::select<A>(e.number[0] < zero, zero - steep, steep);
            const auto flat = infinite_mean | (e.number[0] == zero);
            const numbers<A> f = simd::select<A>(flat, one, one - signed_steep);
            constexpr number<A> least_slope = number<A>(simd::is_double<A> ? 0x1p-54 : 0x1p-25);
            const numbers<A> slope = counted<A>(f, numbers<A>(least_slope));
            return simd::fmadd<A>(w * of.dy, slope, sum + of.all);
        }
    }

private:
    // A number of windows times their gradients, 0 where products are below what counts.
    TARN_INLINE static numbers<A> scaled(numbers<A> v, numbers<A> dy) noexcept {
        constexpr number<A> least = static_cast<number<A>>(least_shared<A>);
        const numbers<A> size = simd::max_of<A>(xsimd::abs(v), numbers<A>(least * number<A>(0x1p-10)));
        return v * counted<A>(dy, numbers<A>(least) / size);
    }

    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr int fields = similarity_states<A, Exact>::fields;
    static constexpr std::ptrdiff_t pitch = room + width;

    template <class F> TARN_INLINE windows of(F load) const noexcept {
        windows w;
        w.inverse = load(field_[0]);
        w.least = load(field_[1]);
        w.mean = load(field_[2]);
        w.dy = load(field_[3]);
        if constexpr (Exact) {
            w.y = load(field_[4]);
            w.all = load(field_[5]);
        }
        return w;
    }

    const dispatch::window_gradients& c_;
    shared_gradients<A, room> dy_;
    alignas(64) number<A> field_[fields][pitch];
};

}}}} // namespace tarn::kernels
