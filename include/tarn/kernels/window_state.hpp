// SPDX-License-Identifier: BSD-3-Clause
//
// What reductions of windows are made of: the numbers of a state, rows of elements, and what sums are divided by.
#pragma once

#include <tarn/kernels/access.hpp>
#include <tarn/kernels/window_geometry.hpp>
#include <tarn/simd/reduce.hpp>
#include <tarn/simd/strided.hpp>

#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> constexpr number<A> infinite = static_cast<number<A>>(__builtin_inff());
template <class A>
constexpr number<A> least_normal_number = simd::is_double<A> ? number<A>(0x1p-1022) : number<A>(0x1p-126f);

// (In xsimd 8.1 a NaN is not unequal to itself on AVX2.)
template <class A> TARN_INLINE auto is_nan(numbers<A> v) noexcept { return xsimd::isnan(v); }

// The numbers that a field of a state has for a register of elements: as many, of their type or of doubles.
template <class A, class Number> struct window_cells {
    using type = numbers<A>;
    static constexpr int parts = 1; // registers

    TARN_INLINE static type of(numbers<A> x) noexcept { return x; }
    TARN_INLINE static numbers<A> to_elements(const type& v) noexcept { return v; }
    template <class Cells> TARN_INLINE static auto& part(Cells& v, int) noexcept { return v; }
    TARN_INLINE static type all(Number v) noexcept { return type(v); }
    TARN_INLINE static type load(const Number* p) noexcept { return type::load_unaligned(p); }
    TARN_INLINE static type load_strided(const Number* p, std::ptrdiff_t s) noexcept {
        return simd::load_strided<A>(p, s);
    }
    TARN_INLINE static void store(const type& v, Number* p) noexcept { v.store_unaligned(p); }
    TARN_INLINE static type first_or(const type& v, int n, Number rest) noexcept {
        return simd::first_or<A>(v, n, type(rest));
    }
    TARN_INLINE static type even_lanes(const type& a, const type& b) noexcept { return simd::even_lanes<A>(a, b); }
    TARN_INLINE static type odd_lanes(const type& a, const type& b) noexcept { return simd::odd_lanes<A>(a, b); }
    TARN_INLINE static type unfolded(const type& v) noexcept { return simd::unfolded<A>(v); }
    template <int N> TARN_INLINE static type lanes_from(const type& a, const type& b) noexcept {
        return simd::lanes_from<A, N>(a, b);
    }
};

// Doubles for floats: two registers.
template <class A> using doubles_of = simd::target<typename A::arch, double>;
template <class A> struct wide_cells { simd::doubles<A> part[2]; };

template <class A> struct window_cells<A, std::enable_if_t<!simd::is_double<A>, double>> {
    using D = doubles_of<A>;
    using type = wide_cells<A>;
    static constexpr int width = static_cast<int>(numbers<D>::size);
    static constexpr int parts = 2;

    TARN_INLINE static type of(numbers<A> x) noexcept {
        return {{simd::kernel::widen_low<A>(x, A{}), simd::kernel::widen_high<A>(x, A{})}};
    }
    TARN_INLINE static numbers<A> to_elements(const type& v) noexcept {
        return simd::kernel::narrow<A>(v.part[0], v.part[1], A{});
    }
    template <class Cells> TARN_INLINE static auto& part(Cells& v, int k) noexcept { return v.part[k]; }
    // f(part) for both.
    template <class F> TARN_INLINE static type each(F f) noexcept {
        type v;
        simd::unroll<2>([&](auto k) TARN_LAMBDA { v.part[decltype(k)::value] = f(decltype(k)::value); });
        return v;
    }
    TARN_INLINE static type all(double v) noexcept {
        return each([&](int) TARN_LAMBDA { return numbers<D>(v); });
    }
    TARN_INLINE static type load(const double* p) noexcept {
        return each([&](int k) TARN_LAMBDA { return numbers<D>::load_unaligned(p + k * width); });
    }
    TARN_INLINE static type load_strided(const double* p, std::ptrdiff_t s) noexcept {
        return each([&](int k) TARN_LAMBDA { return simd::load_strided<D>(p + k * width * s, s); });
    }
    TARN_INLINE static void store(const type& v, double* p) noexcept {
        v.part[0].store_unaligned(p);
        v.part[1].store_unaligned(p + width);
    }
    TARN_INLINE static type first_or(const type& v, int n, double rest) noexcept {
        return each([&](int k) TARN_LAMBDA { return simd::first_or<D>(v.part[k], n - k * width, numbers<D>(rest)); });
    }
    TARN_INLINE static type even_lanes(const type& a, const type& b) noexcept {
        return {{simd::even_lanes<D>(a.part[0], a.part[1]), simd::even_lanes<D>(b.part[0], b.part[1])}};
    }
    TARN_INLINE static type odd_lanes(const type& a, const type& b) noexcept {
        return {{simd::odd_lanes<D>(a.part[0], a.part[1]), simd::odd_lanes<D>(b.part[0], b.part[1])}};
    }
    TARN_INLINE static type unfolded(const type& v) noexcept {
        return each([&](int k) TARN_LAMBDA { return simd::unfolded<D>(v.part[k]); });
    }
    template <int N> TARN_INLINE static type lanes_from(const type& a, const type& b) noexcept {
        constexpr int first = N / width;
        constexpr int rest = N % width;
        const numbers<D> part[] = {a.part[0], a.part[1], b.part[0], b.part[1]};
        return {{simd::lanes_from<D, rest>(part[first], part[first + 1]),
                 simd::lanes_from<D, rest>(part[first + 1], part[first + 2])}};
    }
};

template <class A, int Fields, class Number = number<A>> struct window_state {
    using number = Number;
    using cells = window_cells<A, Number>;

    typename cells::type field[Fields];
};

// What reductions of windows have, if they do not say otherwise: see pool.hpp.
struct window_reduction {
    static constexpr int kept = 0;
    static constexpr bool counts = false;
    static constexpr bool has_pair = false;
    static constexpr bool has_append = false;
    static constexpr bool lifts_once = false;
    static constexpr bool lifts_together = false;
    static constexpr bool seldom = false;
    static constexpr bool looks_at_lines = false;
    using looks_for = void;
    using guess = void;
};

// Looks for nothing.
struct no_look {
    template <class Numbers> TARN_INLINE void add(const Numbers&) const noexcept {}
};

// x y, rounded before it is added to anything, whatever the compiler contracts; never -0, unless it vanishes.
template <class A> TARN_INLINE numbers<A> product(numbers<A> x, numbers<A> y) noexcept {
    return simd::fmadd<A>(x, y, numbers<A>(number<A>(0)));
}

// Reductions with options make them of a call.
template <class Reduction> TARN_INLINE Reduction reduction_of(const dispatch::window_planes& c) noexcept {
    if constexpr (std::is_constructible<Reduction, const dispatch::window_planes&>::value)
        return Reduction(c);
    else
        return {};
}

// What n elements are looked through for.
template <class A, class Look>
TARN_NOINLINE void look_through(const number<A>* p, std::ptrdiff_t n, Look& seen) noexcept {
    constexpr int width = static_cast<int>(numbers<A>::size);
    Look look = seen;
    std::ptrdiff_t i = 0;
    for (; i + 4 * width <= n; i += 4 * width) {
        simd::unroll<2>([&](auto k) TARN_LAMBDA {
            const number<A>* const q = p + i + 2 * decltype(k)::value * width;
            look.add(numbers<A>::load_unaligned(q), numbers<A>::load_unaligned(q + width));
        });
    }
    for (; i < n; i += width)
        look.add(simd::load_n<A>(p + i, n - i < width ? static_cast<int>(n - i) : width));
    seen = look;
}

// A row of windows in a plane: which of its rows, over depth and height, are members, and where they begin.
struct window_row {
    std::ptrdiff_t x, y;     // of the first member and of the result, from the first elements of their planes
    std::ptrdiff_t tap;      // the first member is this row of the window
    std::ptrdiff_t row;      // and of the plane
    std::ptrdiff_t count[2]; // members; count[0] is 0 if there are none
    std::ptrdiff_t counted;
};

// From member to member of a row of windows: elements, and rows of the window.
struct window_steps {
    std::ptrdiff_t x[2];
    std::ptrdiff_t tap;
};

// Windows that begin at equal distances along a line.
struct line_windows {
    std::ptrdiff_t kernel, step; // numbers from tap to tap
    std::ptrdiff_t stride;       // from window to window
};

// One over what sums are divided by. Results below the least normal number are 0; of those no product is made.
template <class A, class Number = number<A>> struct window_scale {
    typename window_cells<A, Number>::type inverse, least;

    TARN_INLINE numbers<A> apply(numbers<A> sum) const noexcept {
        return simd::select<A>(xsimd::abs(sum) < least, numbers<A>(number<A>(0)), sum) * inverse;
    }
};

// The same for results first .. first + outputs - 1 along a row: what counts over depth and height times what counts of
// columns.
template <class A, std::ptrdiff_t Most, class Number = number<A>> class window_scales {
public:
    TARN_INLINE void begin(const dispatch::window_axis& columns, std::ptrdiff_t first, std::ptrdiff_t outputs,
                           const dispatch::window_divisor& divisor) noexcept {
        // In place of counts, if not 0.
        fixed_ = static_cast<Number>(divisor.fixed);
        prepared_ = -1;
        for (std::ptrdiff_t i = 0; i < outputs; ++i)
            count_[i] = static_cast<Number>(window_taps::counted(columns, first + i, divisor.count_padding));
        // What else a register computes with is no denormal number that lay there before.
        for (; outputs % lanes_of_results != 0; ++outputs)
            count_[outputs] = 1;
        padded_ = outputs;
    }
    TARN_INLINE void prepare(std::ptrdiff_t counted) noexcept {
        if (counted != prepared_)
            compute(counted);
    }
    TARN_INLINE window_scale<A, Number> at(std::ptrdiff_t i) const noexcept {
        return {cells::load(inverse_ + i), cells::load(least_ + i)};
    }
    // That of result i in all lanes.
    TARN_INLINE window_scale<A, Number> all_of(std::ptrdiff_t i) const noexcept {
        return {cells::all(inverse_[i]), cells::all(least_[i])};
    }

private:
    using cells = window_cells<A, Number>;
    using S = simd::target<typename A::arch, Number>; // what counts are computed in
    static constexpr int width = static_cast<int>(numbers<S>::size);
    static constexpr auto lanes_of_results = static_cast<std::ptrdiff_t>(numbers<A>::size);
    static constexpr std::ptrdiff_t room = Most + lanes_of_results;

    TARN_NOINLINE void compute(std::ptrdiff_t counted) noexcept {
        prepared_ = counted;
        const numbers<S> one(Number(1));
        for (std::ptrdiff_t i = 0; i < padded_; i += width) {
            const numbers<S> count = numbers<S>::load_unaligned(count_ + i) * numbers<S>(static_cast<Number>(counted));
            // Windows of nothing give 0.
            const auto none = count == numbers<S>(Number(0));
            const numbers<S> by = fixed_ != 0 ? numbers<S>(fixed_) : simd::select<S>(none, one, count);
            (one / by).store_unaligned(inverse_ + i);
            simd::select<S>(none, numbers<S>(infinite<S>), by * numbers<S>(least_normal_number<S>))
                .store_unaligned(least_ + i);
        }
    }

    std::ptrdiff_t padded_ = 0, prepared_ = -1;
    Number fixed_ = 0;
    alignas(64) Number count_[room];
    alignas(64) Number inverse_[room];
    alignas(64) Number least_[room];
};

// For reductions that do not ask.
template <class A> struct no_scales {
    TARN_INLINE void begin(const dispatch::window_axis&, std::ptrdiff_t, std::ptrdiff_t,
                           const dispatch::window_divisor&) noexcept {}
    TARN_INLINE void prepare(std::ptrdiff_t) noexcept {}
    TARN_INLINE window_scale<A> at(std::ptrdiff_t) const noexcept { return {}; }
    TARN_INLINE window_scale<A> all_of(std::ptrdiff_t) const noexcept { return {}; }
};

}}}} // namespace tarn::kernels
