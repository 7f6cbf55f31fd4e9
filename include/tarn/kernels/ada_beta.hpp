// SPDX-License-Identifier: BSD-3-Clause
//
// How much of the results of windows is eDSCW's, and gradients of these with their shares.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/kernels/pool_backward.hpp>
#include <tarn/kernels/soft_pool.hpp>
#include <tarn/kernels/whole_windows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The beta of windows as numbers from 0 to 1. Smaller ones than `least` are 0: what they add is nothing beside the
// window's elements, and their products would be denormal.
template <class A> struct ada_beta {
    static constexpr double least = simd::is_double<A> ? 0x1p-480 : 0x1p-60;

    dispatch::ada_shares of;

    TARN_INLINE bool is_regional() const noexcept { return of.step[0] != 0 || of.step[1] != 0 || of.step[2] != 0; }
    TARN_INLINE number<A> at(std::ptrdiff_t offset) const noexcept {
        const double v = of.at(offset);
        return static_cast<number<A>>(simd::settled(v < least ? 0 : v > 1 ? 1 : v)); // NaN stays
    }
    // Of windows of a row, lane by lane.
    TARN_INLINE void load(const windows_of_row& r, number<A>* to) const noexcept {
        std::ptrdiff_t offset = r.depth * of.step[0] + r.height * of.step[1] + r.column * of.step[2];
        for (std::ptrdiff_t j = 0; j < r.columns; ++j, offset += of.step[2]) {
            const number<A> v = at(offset);
            for (std::ptrdiff_t l = 0; l < r.lanes; ++l)
                *to++ = v;
        }
    }
};

// The beta of a batch of windows.
template <class A> class batch_of_betas {
public:
    TARN_INLINE explicit batch_of_betas(const dispatch::ada_shares& of) noexcept
        : beta_{of}, regional_(beta_.is_regional()) {
        // Lanes without a window load what is behind the last beta.
        for (std::ptrdiff_t i = 0; i < most_windows + 2 * width; ++i)
            beta_of_[i] = regional_ ? number<A>(0) : beta_.at(0);
    }

    // Windows number `at` and those after it are these.
    TARN_INLINE void begin(const windows_of_row& row, std::ptrdiff_t at) noexcept {
        if (regional_)
            beta_.load(row, beta_of_ + at);
    }
    TARN_INLINE numbers<A> at(std::ptrdiff_t i) const noexcept { return numbers<A>::load_unaligned(beta_of_ + i); }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t most_windows = 2048 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    ada_beta<A> beta_;
    bool regional_;
    alignas(64) number<A> beta_of_[most_windows + 2 * width];
};
// Of eDSCW's alone.
template <class A> struct betas_of_one {
    TARN_INLINE explicit betas_of_one(const dispatch::ada_shares&) noexcept {}
    TARN_INLINE static void begin(const windows_of_row&, std::ptrdiff_t) noexcept {}
    TARN_INLINE static numbers<A> at(std::ptrdiff_t) noexcept { return numbers<A>(number<A>(1)); }
};

// dy times a factor. Products of smaller magnitudes count as 0: shares of them would be denormal.
template <class A> constexpr double least_shared = distance_weight<A>::step;
template <class A> TARN_INLINE number<A> shared_gradient(number<A> dy, double factor) noexcept {
    const auto v = static_cast<double>(dy);
    const bool nothing = factor == 0 || (v < least_shared<A> / factor && -v < least_shared<A> / factor);
    return static_cast<number<A>>(simd::settled(nothing ? 0 : v) * factor);
}
// The same of a register, with shares times a number of members.
template <class A> TARN_INLINE numbers<A> shared_gradient(numbers<A> dy, numbers<A> share, double members) noexcept {
    using cells = window_cells<A, double>;
    using D = doubles_of<A>;
    const typename cells::type wide = cells::of(dy);
    const typename cells::type shares = cells::of(share);
    typename cells::type products;
    simd::unroll<cells::parts>([&](auto part) TARN_LAMBDA {
        constexpr int K = decltype(part)::value;
        const numbers<D> v = cells::part(wide, K);
        const numbers<D> factor = cells::part(shares, K) * numbers<D>(members);
        const numbers<D> zero(0.0);
        const auto nothing = (factor == zero) | (xsimd::abs(v) < numbers<D>(least_shared<A>) / factor);
        cells::part(products, K) = simd::settled<D>(simd::select<D>(nothing, zero, v)) * factor;
    });
    return cells::to_elements(products);
}

// The gradients of a group of windows times beta, or times 1 - beta; and if a call says so, times the number of members.
template <class A, std::ptrdiff_t Room> class shared_gradients : public gradient_block<A, Room> {
public:
    TARN_INLINE shared_gradients(const dispatch::ada_gradients& c, bool of_similar) noexcept
        : gradient_block<A, Room>(c.dy), c_(c), beta_{c.beta}, of_similar_(of_similar) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        gradient_block<A, Room>::load(b);
        const dispatch::window_axis* const axis = c_.windows.axis;
        const std::ptrdiff_t deep = window_taps::of(axis[0], b.depth).count;
        number<A>* p = this->begin();
        for (std::ptrdiff_t r = 0; r < b.rows; ++r) {
            const std::ptrdiff_t high = deep * window_taps::of(axis[1], b.row + r).count;
            for (std::ptrdiff_t j = 0; j < b.columns; ++j) {
                const std::ptrdiff_t members = high * window_taps::of(axis[2], b.column + j).count;
                const double factor = share(b, r, j) * (c_.times_members ? static_cast<double>(members) : 1);
                for (std::ptrdiff_t l = 0; l < b.lanes; ++l, ++p)
                    *p = shared_gradient<A>(*p, factor);
            }
        }
    }

private:
    TARN_INLINE double share(const window_group& b, std::ptrdiff_t row, std::ptrdiff_t column) const noexcept {
        if (!beta_.of.data)
            return of_similar_ ? 1 : 0;
        const dispatch::ada_shares& of = beta_.of;
        const number<A> beta =
            beta_.at(b.depth * of.step[0] + (b.row + row) * of.step[1] + (b.column + column) * of.step[2]);
        return static_cast<double>(of_similar_ ? beta : number<A>(1) - beta);
    }

    const dispatch::ada_gradients& c_;
    ada_beta<A> beta_;
    bool of_similar_;
};

}}}} // namespace tarn::kernels
