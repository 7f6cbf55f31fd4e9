// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/conversions.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/dispatch/softmax_state_table.hpp>
#include <tarn/shape/checks.hpp>
#include <tarn/shape/denormals.hpp>
#include <tarn/shape/tiers.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/softmax_state_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(softmax_state)

namespace tarn { inline namespace v0 {

inline namespace TARN_BACKEND { namespace shape {

// All elements of a view in runs of numbers side by side, as long as one stride runs through them, converted in blocks
// where they are not: f(numbers, count).
template <class T, int Rank, class F>
void for_number_runs(const dispatch::convert_table<detail::number_of<std::remove_const_t<T>>>& convert,
                     const tensor_view<T, Rank>& x, const F& f) {
    if constexpr (Rank > 1) {
        tensor_view<T, Rank - 1> part{x.data, {}, {}};
        if (x.stride[Rank - 2] == x.stride[Rank - 1] * x.extent[Rank - 1]) {
            for (int k = 0; k < Rank - 1; ++k) {
                part.extent[k] = x.extent[k];
                part.stride[k] = x.stride[k];
            }
            part.extent[Rank - 2] *= x.extent[Rank - 1];
            part.stride[Rank - 2] = x.stride[Rank - 1];
            for_number_runs(convert, part, f);
            return;
        }
        for (int k = 1; k < Rank; ++k) {
            part.extent[k - 1] = x.extent[k];
            part.stride[k - 1] = x.stride[k];
        }
        for (std::ptrdiff_t i = 0; i < x.extent[0]; ++i) {
            part.data = x.data + i * x.stride[0];
            for_number_runs(convert, part, f);
        }
    } else {
        using number = detail::number_of<std::remove_const_t<T>>;
        const std::ptrdiff_t n = Rank == 0 ? 1 : x.extent[0];
        const std::ptrdiff_t stride = Rank == 0 ? 1 : x.stride[0];
        if constexpr (std::is_same<std::remove_const_t<T>, number>::value) {
            if (stride == 1) {
                f(x.data, n);
                return;
            }
        }
        constexpr std::ptrdiff_t block = 8192 / static_cast<std::ptrdiff_t>(sizeof(number));
        alignas(64) number numbers[block];
        for (std::ptrdiff_t i = 0; i < n; i += block) {
            const std::ptrdiff_t count = n - i < block ? n - i : block;
            convert.widen({{const_cast<void*>(static_cast<const void*>(x.data + i * stride)),
                            element_traits<std::remove_const_t<T>>::value, stride, 0},
                           numbers,
                           0,
                           1,
                           count});
            f(static_cast<const number*>(numbers), count);
        }
    }
}

// Adds the elements of a view to what a state knows.
template <class X> void push_logits(dispatch::softmax_sums& sums, const X& logits, float scale) {
    const auto x = detail::input_view(logits);
    constexpr bool known = element_traits<typename decltype(x)::value_type>::known;
    static_assert(!detail::accepts_input<X>::value || known,
                  "tarn: softmax_state takes logits of float, double, float16 or bfloat16");
    if constexpr (known) {
        const operand all = erase(x);
        check_operand("softmax_state", "logits", all);
        if (size(all) == 0)
            return;
        const tier t = best_tier();
        using number = detail::number_of<typename decltype(x)::value_type>;
        const dispatch::softmax_state_table<number>& kernels = softmax_state_kernels_of<number>(t);
        [[maybe_unused]] const zero_denormals scope;
        for_number_runs(convert_kernels_of<number>(t), x,
                        [&](const number* p, std::ptrdiff_t n) { kernels.push(sums, p, n, scale); });
    }
}
inline void merge_sums(dispatch::softmax_sums& sums, float& scale, const dispatch::softmax_sums& other,
                       float other_scale) {
    if (!other.has_logits)
        return;
    if (!sums.has_logits)
        scale = other_scale;
    if (scale != other_scale)
        fail("softmax_state", "scale", std::to_string(other_scale), std::to_string(scale));
    softmax_state_kernels_of<float>(best_tier()).merge(sums, other);
}

}} // namespace TARN_BACKEND::shape

// What a softmax knows of the logits it has seen: their greatest, the sum of exponentials, and two sums more. Logits
// come one by one, in spans, or from states of other parts of the row; no part need be in memory when another is.
//
// Online normalizer calculation for softmax (arXiv 1805.02867), its state (m, d) extended by the sums for entropy and
// collision probability, and with a reference that is a power of two, so that merging needs no exponential.
//
//   softmax_state s(scale);      the identity: no logits. The scale, a float, multiplies logits: 1 / temperature
//   s.push(x)                    a number, or all elements of a view of float, double, float16 or bfloat16, rank 0 to 5
//   s.merge(other)               logits that another state of the same scale has seen; a + b makes a new state
//   s.logsumexp()                log sum_j exp(scale * x_j)
//   s.confidence()               the greatest probability, 1 / sum_j exp(scale * (x_j - max))
//   s.entropy()                  -sum_j p_j log p_j, in nats
//   s.sum_of_squares()           sum_j p_j^2, the probability that two draws are the same
//
// Logits of doubles are weighed and added as doubles; all that is read is a float. Everything runs in the calling thread,
// on the best tier.
//
// States form a commutative monoid up to rounding: std::reduce, threads and tree reductions may merge them in any
// order. Sums of pieces in a fixed order have the same bits however they were computed.
//
// Special values   NaN among the logits: all readings are NaN. +inf: logsumexp is +inf, the others NaN. -inf: no
//                  weight. No logits, or only -inf: logsumexp is -inf, the others NaN. Denormal elements count as 0.
// Accuracy         logsumexp within 4 ulp of the largest of 1, |result| and |scale * max x|; confidence and
//                  sum_of_squares within 8 ulp; entropy within 1e-6 * max(1, result).
// Time             a span in one read, at 1.4 times the time of logsumexp; a merge about ten nanoseconds, a single
//                  number more: collect numbers.
// Errors           std::invalid_argument (message and abort without exceptions): a scale that is NaN or too large,
//                  states of different scales merged (one that has seen nothing takes the other's scale).
class softmax_state {
public:
    TARN_INLINE explicit softmax_state(float scale = 1.0f) : scale_(scale) {
        shape::check_scale("softmax_state", scale);
    }

    template <class X> TARN_INLINE void push(const X& logits) { shape::push_logits(sums_, logits, scale_); }
    TARN_INLINE void merge(const softmax_state& other) { shape::merge_sums(sums_, scale_, other.sums_, other.scale_); }
    friend TARN_INLINE softmax_state operator+(softmax_state a, const softmax_state& b) {
        a.merge(b);
        return a;
    }

    TARN_INLINE float scale() const noexcept { return scale_; }
    TARN_INLINE float logsumexp() const noexcept { return read().logsumexp; }
    TARN_INLINE float confidence() const noexcept { return read().confidence; }
    TARN_INLINE float entropy() const noexcept { return read().entropy; }
    TARN_INLINE float sum_of_squares() const noexcept { return read().sum_of_squares; }

private:
    TARN_INLINE dispatch::softmax_readings read() const noexcept {
        return shape::softmax_state_kernels_of<float>(best_tier()).read(sums_);
    }

    float scale_;
    dispatch::softmax_sums sums_ = {};
};

}} // namespace tarn::v0
