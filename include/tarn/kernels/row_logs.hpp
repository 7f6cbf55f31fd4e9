// SPDX-License-Identifier: BSD-3-Clause
//
// The log-sum-exp of rows beside their softmax, from the sums of weights that it needs anyway. Logarithms are taken
// a pack of rows at a time, so they cost little beside the rows.
#pragma once

#include <tarn/kernels/exp_weight.hpp>
#include <tarn/simd/log.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Where a row's sum of weights comes from: sum = g * 2^-exponent * sum_j exp(scale * (x_j - centre)).
template <class A> struct referred_sum {
    double sum;
    reference<A> ref;
};

// Takes rows in order and writes one number for each. An unacceptable sum is 0, for a row of -inf, or NaN.
template <class A> class row_logs {
public:
    // lse null: nothing is wanted.
    TARN_INLINE row_logs(number<A>* lse, std::ptrdiff_t stride, number<A> scale) noexcept
        : next_(lse), stride_(stride), scale_(static_cast<double>(scale)) {}

    TARN_INLINE bool wanted() const noexcept { return next_ != nullptr; }
    TARN_INLINE void note(const referred_sum<A>& s, bool acceptable) noexcept {
        if (!wanted())
            return;
        put(count_, s.sum, s.ref.exponent, s.ref.centre, acceptable);
        if (++count_ == simd::lanes<A>)
            flush();
    }
    // Rows side by side, up to the lanes of a pack.
    template <class Reference, class Acceptable>
    TARN_INLINE void note_tile(const double* sums, int rows, Reference ref, Acceptable acceptable) noexcept {
        if (!wanted())
            return;
        flush();
        for (int i = 0; i < rows; ++i) {
            const reference<A> r = ref(i);
            put(i, sums[i], r.exponent, r.centre, acceptable(sums[i]));
        }
        count_ = rows;
        flush();
    }
    // Writes what has been noted. To be called after the last row.
    TARN_NOINLINE void flush() noexcept {
        if (count_ == 0)
            return;
        alignas(64) number<A> results[simd::lanes<A>];
        simd::store<A>(results, logs());
        for (int i = 0; i < count_; ++i)
            next_[i * stride_] = results[i];
        next_ += count_ * stride_;
        count_ = 0;
    }

private:
    TARN_INLINE void put(int i, double sum, number<A> exponent, number<A> centre, bool acceptable) noexcept {
        sums_[i] = acceptable ? sum : 1.0;
        exponents_[i] = static_cast<double>(exponent);
        // Exact for floats. Rows without a sum have no logarithm, or that of 0.
        offsets_[i] = acceptable ? scale_ * static_cast<double>(centre)
                      : sum == 0 ? -__builtin_huge_val()
                                 : __builtin_nan("");
    }
    // log(sum / g) + exponent * log 2 + scale * centre, of which the sum's own power of two is taken with the exponent:
    // so the bits do not depend on a reference that was guessed.
    TARN_INLINE simd::pack<A> logs() const noexcept {
        using doubles = simd::double_pack<A>;
        const doubles sums = doubles::load(sums_);
        const doubles exponents = doubles::load(exponents_);
        const doubles offsets = doubles::load(offsets_);
        doubles r;
        simd::unroll<doubles::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            simd::doubles<A> m, k;
            simd::kernel::split<A>(sums.part[I], m, k, A{});
            // m / g is at least 0.45.
            const simd::doubles<A> excess =
                simd::fmadd<A>(m, simd::doubles<A>(4.0 / weights_of<A>::common_factor), simd::doubles<A>(-1.0));
            const simd::doubles<A> powers = k + exponents.part[I] - simd::doubles<A>(2.0);
            const simd::doubles<A> log = simd::log_of_one_plus<A>(excess);
            r.part[I] = simd::fmadd<A>(powers, simd::doubles<A>(0.693147180559945309417), log) + offsets.part[I];
        });
        return r.to_numbers();
    }

    number<A>* next_;
    std::ptrdiff_t stride_;
    double scale_;
    int count_ = 0;
    alignas(64) double sums_[simd::lanes<A>] = {};
    alignas(64) double exponents_[simd::lanes<A>] = {};
    alignas(64) double offsets_[simd::lanes<A>] = {};
};

}}}} // namespace tarn::kernels
