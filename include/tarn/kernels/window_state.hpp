// SPDX-License-Identifier: BSD-3-Clause
//
// What reductions of windows are made of: the numbers of a state, rows of elements, and what sums are divided by.
#pragma once

#include <tarn/kernels/access.hpp>
#include <tarn/kernels/window_geometry.hpp>

#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> constexpr number<A> infinite = static_cast<number<A>>(__builtin_inff());
template <class A> constexpr number<A> least_normal = simd::is_double<A> ? number<A>(0x1p-1022) : number<A>(0x1p-126f);

// (In xsimd 8.1 a NaN is not unequal to itself on AVX2.)
template <class A> TARN_INLINE auto is_nan(numbers<A> v) noexcept { return xsimd::isnan(v); }

template <class A, int Fields> struct window_state { numbers<A> field[Fields]; };

// Reductions with options make them of a call.
template <class Reduction> TARN_INLINE Reduction reduction_of(const dispatch::window_planes& c) noexcept {
    if constexpr (std::is_constructible<Reduction, const dispatch::window_planes&>::value)
        return Reduction(c);
    else
        return {};
}

// A row of windows in a plane: which of its rows, over depth and height, are members, and where they begin.
struct window_row {
    std::ptrdiff_t x, y;     // of the first member and of the result, from the first elements of their planes
    std::ptrdiff_t tap;      // the first member is this row of the window
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
template <class A> struct window_scale {
    numbers<A> inverse, least;

    TARN_INLINE numbers<A> apply(numbers<A> sum) const noexcept {
        return xsimd::select(xsimd::abs(sum) < least, numbers<A>(number<A>(0)), sum) * inverse;
    }
};

// The same for the results of a row side by side: what counts over depth and height times what counts of columns.
template <class A, std::ptrdiff_t Most> class window_scales {
public:
    // Results first .. first + outputs - 1 along the axis, each `lanes` times. `fixed`: in place of counts, if not 0.
    TARN_INLINE void begin(const dispatch::window_axis& columns, std::ptrdiff_t first, std::ptrdiff_t outputs,
                           std::ptrdiff_t lanes, const dispatch::window_divisor& divisor) noexcept {
        size_ = outputs * lanes;
        fixed_ = static_cast<number<A>>(divisor.fixed);
        prepared_ = -1;
        for (std::ptrdiff_t i = 0; i < size_; ++i)
            count_[i] = static_cast<number<A>>(window_taps::counted(columns, first + i / lanes, divisor.count_padding));
    }
    TARN_INLINE void prepare(std::ptrdiff_t counted) noexcept {
        if (counted != prepared_)
            compute(counted);
    }
    TARN_INLINE window_scale<A> at(std::ptrdiff_t i) const noexcept {
        return {numbers<A>::load_unaligned(inverse_ + i), numbers<A>::load_unaligned(least_ + i)};
    }
    // That of result i in all lanes.
    TARN_INLINE window_scale<A> all_of(std::ptrdiff_t i) const noexcept {
        return {numbers<A>(inverse_[i]), numbers<A>(least_[i])};
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);

    TARN_NOINLINE void compute(std::ptrdiff_t counted) noexcept {
        prepared_ = counted;
        const numbers<A> one(number<A>(1));
        for (std::ptrdiff_t i = 0; i < size_; i += width) {
            const numbers<A> count =
                numbers<A>::load_unaligned(count_ + i) * numbers<A>(static_cast<number<A>>(counted));
            // Windows of nothing give 0.
            const auto none = count == numbers<A>(number<A>(0));
            const numbers<A> by = fixed_ != 0 ? numbers<A>(fixed_) : xsimd::select(none, one, count);
            (one / by).store_unaligned(inverse_ + i);
            xsimd::select(none, numbers<A>(infinite<A>), by * numbers<A>(least_normal<A>)).store_unaligned(least_ + i);
        }
    }

    std::ptrdiff_t size_ = 0, prepared_ = -1;
    number<A> fixed_ = 0;
    alignas(64) number<A> count_[Most + width];
    alignas(64) number<A> inverse_[Most + width];
    alignas(64) number<A> least_[Most + width];
};

// For reductions that do not ask.
template <class A> struct no_scales {
    TARN_INLINE void begin(const dispatch::window_axis&, std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t,
                           const dispatch::window_divisor&) noexcept {}
    TARN_INLINE void prepare(std::ptrdiff_t) noexcept {}
    TARN_INLINE window_scale<A> at(std::ptrdiff_t) const noexcept { return {}; }
};

}}}} // namespace tarn::kernels
