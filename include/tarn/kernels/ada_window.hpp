// SPDX-License-Identifier: BSD-3-Clause
//
// Windows weighed by how similar their elements are to the window's mean a, exp(s), s = 2 |x a| / (x^2 + a^2), and by
// the exponentials of their elements.
//
// Numbers of a window are multiples of its unit, a power of two next to its greatest magnitude, or 1 if that is near it
// anyway, so that no sum overflows and no product is denormal. Elements and means far below the unit count as 0. Weights
// depend on them, but where the mean is so small, so is what is weighed differently.
#pragma once

#include <tarn/kernels/soft_pool.hpp>
#include <tarn/kernels/window_elements.hpp>
#include <tarn/simd/settled.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// v, but 0 where its magnitude is not above `least`. Nothing is computed of it before it was chosen, which could be
// denormal.
template <class A> TARN_INLINE numbers<A> counted(numbers<A> v, numbers<A> least) noexcept {
    return simd::settled<A>(simd::zero_where_le<A>(v, xsimd::abs(v), least));
}

template <class A> struct window_unit {
    static constexpr bool is_one = false;
    static constexpr bool doubles = simd::is_double<A>;
    // Windows whose greatest magnitude lies between these have the unit 1.
    static constexpr number<A> least_near = doubles ? number<A>(0x1p-300) : number<A>(0x1p-20f);
    static constexpr number<A> greatest_near = doubles ? number<A>(0x1p480) : number<A>(0x1p40f);
    // Of the unit 1; multiples of the others count down to least_part.
    static constexpr number<A> least = doubles ? number<A>(0x1p-480) : number<A>(0x1p-60f);
    static constexpr number<A> least_part = doubles ? number<A>(0x1p-200) : number<A>(0x1p-50f);

    numbers<A> unit, inverse, least_element;

    // Whether the greatest magnitude is below what is near, and not 0, or above `most`.
    TARN_INLINE static simd::mask<A> is_far(numbers<A> greatest, number<A> most) noexcept {
        return (greatest > numbers<A>(most)) |
               ((greatest < numbers<A>(least_near)) & (greatest != numbers<A>(number<A>(0))));
    }
    TARN_INLINE static window_unit of(numbers<A> greatest) noexcept {
        // Units whose inverse is a normal number, and whose least part is one or 0.
        constexpr number<A> lowest = least_normal_number<A>;
        constexpr number<A> highest = doubles ? number<A>(0x1p1022) : number<A>(0x1p126f);
        const numbers<A> exponent(infinite<A>);
        const numbers<A> power =
            simd::min_of<A>(numbers<A>(highest), simd::max_of<A>(numbers<A>(lowest), greatest & exponent));
        const numbers<A> low(lowest / least_part);
        const numbers<A> part = simd::max_of<A>(low, power) * numbers<A>(least_part);
        const numbers<A> least_of_far = simd::select<A>(power > low, part, numbers<A>(number<A>(0)));
        const numbers<A> one(number<A>(1));
        const auto far = is_far(greatest, greatest_near);
        return {simd::select<A>(far, power, one),
                simd::select<A>(far, (power ^ exponent) * numbers<A>(number<A>(0.5)), one),
                simd::select<A>(far, least_of_far, numbers<A>(least))};
    }
    TARN_INLINE numbers<A> scaled(numbers<A> x) const noexcept { return counted<A>(x, least_element) * inverse; }
    // 0 where the number would be denormal.
    TARN_INLINE numbers<A> original(numbers<A> v) const noexcept {
        constexpr number<A> below_two = doubles ? number<A>(2 - 0x1p-52) : number<A>(2 - 0x1p-23);
        // Multiples of units above 1/2 are no denormal numbers themselves.
        const numbers<A> half = simd::max_of<A>(numbers<A>(number<A>(2)), inverse) * numbers<A>(number<A>(0.5));
        const numbers<A> low = half * numbers<A>(below_two * least_normal_number<A>);
        return counted<A>(v, low) * unit;
    }
};

// The same for windows with the unit 1.
template <class A> struct unit_of_one {
    static constexpr bool is_one = true;

    TARN_INLINE static numbers<A> scaled(numbers<A> x) noexcept {
        return counted<A>(x, numbers<A>(window_unit<A>::least));
    }
    TARN_INLINE static numbers<A> original(numbers<A> v) noexcept { return v + numbers<A>(number<A>(0)); }
};

// exp(d) for d from 0 to 1, to 2^-25 of it, for doubles 2^-57. exp(0) is 1.
template <class A> TARN_INLINE numbers<A> exp_of_part(numbers<A> d) noexcept {
    const auto horner = [&](number<A> first, auto... c) TARN_LAMBDA {
        numbers<A> v(first);
        ((v = simd::fmadd<A>(v, d, numbers<A>(c))), ...);
        return v;
    };
    if constexpr (simd::is_double<A>)
        return horner(3.4207201270773099e-9, 2.0994055597847082e-8, 2.8245659474072335e-7, 2.7483462325151050e-6,
                      2.4806872024769641e-5, 1.9841012780588906e-4, 1.3888897365999844e-3, 8.3333331480260743e-3,
                      4.1666666692302126e-2, 1.6666666666460173e-1, 5.0000000000008282e-1, 0.99999999999999885, 1.0);
    else
        return horner(2.2589492830e-3f, 7.1055438048e-3f, 4.2477350285e-2f, 1.6640327305e-1f, 5.0003846607e-1f,
                      9.9999817528e-1f, 1.0f);
}

// The mean of a window, in units, and what similarities are made of.
template <class A> struct window_mean {
    numbers<A> total; // infinite, or NaN, if the window has such elements
    numbers<A> mean, twice, square;

    template <class Elements, class Unit>
    TARN_INLINE static window_mean of(const Elements& e, const Unit& unit, numbers<A> one_by_members) noexcept {
        const numbers<A> total = e.template sum<1>([&](numbers<A> x, auto, auto& sum, auto first) TARN_LAMBDA {
                                      const numbers<A> v = unit.scaled(x);
                                      sum.field[0] = decltype(first)::value ? v : sum.field[0] + v;
                                  }).field[0];
        const numbers<A> mean = total * one_by_members;
        const window_mean r = of_mean(counted<A>(mean, numbers<A>(window_unit<A>::least)));
        return {total, r.mean, r.twice, r.square};
    }
    TARN_INLINE static window_mean of_mean(numbers<A> mean) noexcept {
        // Where an element and the mean are 0, this makes their similarity 0.
        constexpr number<A> floor = simd::is_double<A> ? number<A>(0x1p-1000) : number<A>(0x1p-124f);
        return {mean, mean, xsimd::abs(mean + mean), simd::fmadd<A>(mean, mean, numbers<A>(floor))};
    }
    // exp(s) of an element in units.
    TARN_INLINE numbers<A> weight(numbers<A> x) const noexcept {
        return exp_of_part<A>((xsimd::abs(x) * twice) / simd::fmadd<A>(x, x, square));
    }
};

template <class A, class Elements> TARN_INLINE numbers<A> greatest_magnitude(const Elements& e) noexcept {
    numbers<A> greatest(number<A>(0));
    e.each([&](numbers<A> x, auto) TARN_LAMBDA { greatest = simd::max_of<A>(xsimd::abs(x), greatest); });
    return greatest;
}

// Averages of windows by similarity and, if they are `Soft`, by exponentials.
template <class A, bool Soft> class ada_window {
public:
    // Exponentials of distances from the mean neither overflow nor vanish in windows of magnitudes up to this.
    static constexpr number<A> greatest_plain = Soft ? number<A>(24) : window_unit<A>::greatest_near;

    TARN_INLINE explicit ada_window(const dispatch::window_planes& c) noexcept : shifted_(c), weight_(1) {}

    struct averages {
        numbers<A> similar; // in units
        numbers<A> soft;
    };
    // Windows of the unit 1, none of them far.
    template <class Elements> TARN_INLINE averages plain(const Elements& e, const window_mean<A>& m) const noexcept {
        return averages_of(e, unit_of_one<A>(), m, [](numbers<A> d) TARN_LAMBDA { return d; });
    }
    // Windows of any magnitudes, with the bits of those above where these are not far.
    template <class Elements>
    TARN_INLINE averages any(const Elements& e, const window_unit<A>& unit, const window_mean<A>& m,
                             numbers<A> greatest) const noexcept {
        const auto far = window_unit<A>::is_far(greatest, greatest_plain);
        averages r = averages_of(
            e, unit, m, [&](numbers<A> d) TARN_LAMBDA { return simd::select<A>(far, numbers<A>(number<A>(0)), d); });
        if constexpr (Soft)
            r.soft = simd::select<A>(far, soft_window<A>::value_of(e.reduce(shifted_)), r.soft);
        return r;
    }

private:
    template <class Elements, class Unit, class Distance>
    TARN_INLINE averages averages_of(const Elements& e, const Unit& unit, const window_mean<A>& m,
                                     Distance distance) const noexcept {
        const numbers<A> zero(number<A>(0));
        // Of weights, of weights times distances from the mean; the same of exponentials.
        constexpr int sums = Soft ? 4 : 2;
        const auto s = e.template sum<sums>([&](numbers<A> x, auto member, auto& sum, auto first) TARN_LAMBDA {
            const numbers<A> v = unit.scaled(x);
            const numbers<A> d = v - m.mean;
            const auto add = [&](int f, numbers<A> weight, numbers<A> by) TARN_LAMBDA {
                const numbers<A> w = where_member<A>(member, weight, zero);
                sum.field[f] = decltype(first)::value ? w : sum.field[f] + w;
                sum.field[f + 1] = decltype(first)::value ? w * by : simd::fmadd<A>(w, by, sum.field[f + 1]);
            };
            add(0, m.weight(v), d);
            if constexpr (Soft) {
                const numbers<A> near = distance(d);
                add(2, weight_.proportional(near), near);
            }
        });
        const auto quotient = [&](int f) TARN_LAMBDA {
            constexpr number<A> least = simd::is_double<A> ? number<A>(0x1p-900) : number<A>(0x1p-90f);
            const numbers<A> a = s.field[f + 1];
            return counted<A>(a, numbers<A>(least)) / s.field[f];
        };
        averages r{m.mean + quotient(0), zero};
        if constexpr (Soft)
            r.soft = m.mean + quotient(2);
        return r;
    }

    soft_window<A> shifted_;
    distance_weight<A> weight_;
};

}}}} // namespace tarn::kernels
