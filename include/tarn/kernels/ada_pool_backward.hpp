// SPDX-License-Identifier: BSD-3-Clause
//
// What windows of adaPool give to their elements: as windows weighed by similarity with a share beta of dy, and as those
// of SoftPool with the rest.
#pragma once

#include <tarn/kernels/similarity_shares.hpp>
#include <tarn/kernels/soft_pool_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The rest, from states of windows.
template <class A, bool Exact> class rest_shares {
public:
    static constexpr std::ptrdiff_t room = similarity_room<A>;
    using rule = far_rule<A>;
    using windows = typename rule::windows;

    TARN_INLINE explicit rest_shares(const dispatch::ada_gradients& c) noexcept
        : c_(c), dy_(c, false), rule_(c.windows, Exact) {}

    TARN_INLINE void load(const window_group& b) noexcept {
        dy_.load(b);
        window_lines<A, soft_state_window<A>, own_loops::none>::run(states_of(c_.windows, b, state_[0], pitch));
        const std::ptrdiff_t n = b.count();
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const int some = n - i < width ? static_cast<int>(n - i) : width;
            const auto load = [&](int f) TARN_LAMBDA { return simd::load_n<A>(state_[f] + i, some); };
            fields_.put(i, some, rule_.of(dy_.at(i, some), {{load(0), load(1), load(2)}}));
        }
    }
    TARN_INLINE windows at(std::ptrdiff_t i) const noexcept { return fields_.at(i); }
    TARN_INLINE windows at(std::ptrdiff_t i, int n) const noexcept { return fields_.at(i, n); }
    TARN_INLINE windows all_of(std::ptrdiff_t i) const noexcept { return fields_.all_of(i); }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A> x) const noexcept {
        return rule_.add(sum, of, x);
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t pitch = room + width;

    const dispatch::window_gradients& c_;
    shared_gradients<A, room> dy_;
    rule rule_;
    window_fields<A, windows::count, room> fields_;
    alignas(64) number<A> state_[soft_window<A>::fields][pitch];
};

// Both in registers, of windows of two rows and columns. Soft: also the rest; else beta is 1.
template <class A, bool Exact, bool Soft> class ada_rule {
    using similar_shares = similarity_shares<A, Exact>;
    using rest_rule = far_rule<A>;

public:
    static constexpr bool takes_whole = true;
    using reduction = soft_window<A>;
    template <std::ptrdiff_t Most> using scales = no_scales<A>;
    struct windows {
        typename similar_shares::windows similar;
        typename rest_rule::windows rest;
    };

    TARN_INLINE explicit ada_rule(const dispatch::ada_gradients& c) noexcept
        : beta_{c.beta}, regional_(beta_.is_regional()), all_(Soft && !regional_ ? beta_.at(0) : number<A>(1)),
          members_(c.times_members ? 4 : 1), rest_(c.windows, Exact) {}

    TARN_INLINE numbers<A> shares_of(std::ptrdiff_t depth, std::ptrdiff_t height, std::ptrdiff_t column,
                                     int n) const noexcept {
        if (!Soft || !regional_)
            return numbers<A>(all_);
        const dispatch::ada_shares& of = beta_.of;
        const std::ptrdiff_t first = depth * of.step[0] + height * of.step[1] + column * of.step[2];
        if (n == 1)
            return numbers<A>(beta_.at(first));
        alignas(64) number<A> share[numbers<A>::size] = {};
        for (int i = 0; i < n; ++i)
            share[i] = beta_.at(first + i * of.step[2]);
        return numbers<A>::load_aligned(share);
    }
    TARN_INLINE windows of(numbers<A> dy, const few_elements<A, 2, 2>& e, numbers<A> beta) const noexcept {
        numbers<A> field[similarity_states<A, Exact>::fields];
        similarity_states<A, Exact>().run(e, numbers<A>(number<A>(4)), numbers<A>(number<A>(0.25)), 0, field);
        windows w{};
        w.similar = similar_shares::of_state(field, shared_gradient<A>(dy, beta, members_));
        if constexpr (Soft) {
            const reduction& by = rest_.windows_by;
            const auto state = by.combine(by.pair(e.x[0][0], e.x[1][0], 0), by.pair(e.x[0][1], e.x[1][1], 0));
            w.rest = rest_.of(shared_gradient<A>(dy, numbers<A>(number<A>(1)) - beta, members_), state);
        }
        return w;
    }
    TARN_INLINE numbers<A> add(numbers<A> sum, const windows& of, numbers<A> tap,
                               const element_numbers<A, 1>& e) const noexcept {
        const numbers<A> similar = similar_shares::add(sum, of.similar, tap, e);
        if constexpr (Soft)
            return rest_.add(similar, of.rest, e.number[0]);
        else
            return similar;
    }

private:
    ada_beta<A> beta_;
    bool regional_;
    number<A> all_;
    double members_;
    rest_rule rest_;
};

// Those by similarity alone.
template <class A> class edscw_shares : public similarity_shares<A, true> {
public:
    using similarity_shares<A, true>::similarity_shares;
    using rule = ada_rule<A, true, false>;
};

template <class A, bool Exact> class ada_pool_shares : public shares_of_windows {
public:
    static constexpr bool several_planes = false;
    using call = dispatch::ada_gradients;
    using rule = ada_rule<A, Exact, true>;
    using similar_shares = similarity_shares<A, Exact>;
    static constexpr int elements = 1;
    static constexpr std::ptrdiff_t room = similar_shares::room;
    struct windows {
        typename similar_shares::windows similar;
        typename rest_shares<A, Exact>::windows rest;
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
        return rest_.add(similar_.add(sum, of.similar, tap, e), of.rest, e.number[0]);
    }

private:
    similar_shares similar_;
    rest_shares<A, Exact> rest_;
};

}}}} // namespace tarn::kernels
