// SPDX-License-Identifier: BSD-3-Clause
//
// What windows of adaPool give to their elements: as windows weighed by similarity with a share beta of dy, and as those
// of SoftPool with the rest.
#pragma once

#include <tarn/kernels/similarity_shares.hpp>
#include <tarn/kernels/soft_pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct rest_of_gradients : shared_gradients<A, similarity_room<A>> {
    static constexpr std::ptrdiff_t room = similarity_room<A>;

    TARN_INLINE explicit rest_of_gradients(const dispatch::ada_gradients& c) noexcept
        : shared_gradients<A, room>(c, false) {}
};

template <class A, bool Exact> class ada_pool_shares : public shares_of_windows {
public:
    static constexpr bool several_planes = false;
    using call = dispatch::ada_gradients;
    using similar_shares = similarity_shares<A, Exact>;
    using rest_shares = soft_shares<A, Exact, rest_of_gradients<A>>;
    static constexpr int elements = 1;
    static constexpr std::ptrdiff_t room = similar_shares::room;
    struct windows {
        typename similar_shares::windows similar;
        typename rest_shares::windows rest;
    };

    TARN_INLINE explicit ada_pool_shares(const call& c) noexcept : similar_(c), rest_(c) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        similar_.load(b);
        rest_.load(b);
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept { return {similar_.at(i), rest_.at(i)}; }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept { return {similar_.at(i, n), rest_.at(i, n)}; }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return {similar_.all_of(i), rest_.all_of(i)}; }
    TARN_INLINE static element_numbers<A, 1> lift(numbers<A> x) noexcept { return {{x}}; }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A> tap,
                               const element_numbers<A, 1>& e) const noexcept {
        return rest_.add(similar_.add(sum, of.similar, tap, e), of.rest, tap, e);
    }

private:
    similar_shares similar_;
    rest_shares rest_;
};

}}}} // namespace tarn::kernels
