// SPDX-License-Identifier: BSD-3-Clause
//
// Rows read twice, with nothing written in between: a sum of weights, then weights again, scaled. Three ways to the sum
// in one read, two of them published algorithms in safe forms: all references are powers of two, by which sums are
// rescaled exactly, so all ways give the same bits, and a row that none can take is taken carefully.
#pragma once

#include <tarn/kernels/softmax_rows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The reference of the row before, which may turn out wrong.
struct guessed_sum {
    static constexpr bool guesses = true;
    template <class A, class Source>
    TARN_INLINE static referred_sum of(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n) noexcept {
        const double sum =
            state.with_weight([&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, no_sink{}, n); });
        return {sum, state.ref};
    }
};

// Online normalizer calculation for softmax: the greatest element so far is the reference, and sums are rescaled when
// it grows. It is looked at every 64 elements.
struct online_sum {
    static constexpr bool guesses = false;
    static constexpr float refused = 1e6f; // the exponent of rows too far from 0

    template <class A, class Source> struct adder {
        const Source& x;
        exp_base base;
        exp_weight<A, false>* weight;
        pack<A> flip;
        float* greatest; // sign * x
        float* exponent;

        TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { x.prefetch(i); }
        TARN_INLINE void four(simd::double_pack<A>& sums, std::ptrdiff_t i) const noexcept {
            pack<A> v[4];
            simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = x.at(i + decltype(k)::value * lanes); });
            const auto most = [&](int k) TARN_LAMBDA { return simd::max_of<A>(v[k] * flip, v[k + 1] * flip); };
            raise(sums, simd::max_of<A>(most(0), most(2)));
            simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = (*weight)(v[decltype(k)::value]); });
            sums.add(v[0] + v[1]);
            sums.add(v[2] + v[3]);
        }
        TARN_INLINE void rest(simd::double_pack<A>& sums, std::ptrdiff_t i, int n, int m) const noexcept {
            const pack<A> least = simd::broadcast<A>(-infinity) * flip;
            const pack<A> v = simd::first_or<A>(x.first(i, n), n, least);
            const pack<A> w = m > 0 ? simd::first_or<A>(x.first(i + lanes, m), m, least) : least;
            raise(sums, simd::max_of<A>(v * flip, w * flip));
            const pack<A> first = simd::first_or<A>((*weight)(v), n, 0.0f);
            sums.add(m > 0 ? first + simd::first_or<A>((*weight)(w), m, 0.0f) : first);
        }

    private:
        TARN_INLINE void raise(simd::double_pack<A>& sums, const pack<A>& candidates) const noexcept {
            // NaN pass: they reach the sum.
            if (!simd::all_within<A>(candidates, -infinity, *greatest))
                raise_to(sums, simd::greatest<A>(candidates));
        }
        TARN_NOINLINE void raise_to(simd::double_pack<A>& sums, float g) const noexcept {
            if (!(g > *greatest) || *exponent == refused)
                return;
            *greatest = g;
            reference ref = reference::of_greatest(g * base.sign(), base, softmax_rows_state<A>::carried_bias);
            if (ref.centre != 0)
                ref = {refused, 0.0f};
            if (ref.exponent == *exponent)
                return;
            // The first element there is may be below the start, where the sums are still 0.
            sums.multiply(simd::power_of_two(static_cast<double>(*exponent - ref.exponent)));
            *exponent = ref.exponent;
            *weight = exp_weight<A, false>(base, ref);
        }
    };

    template <class A, class Source>
    TARN_NOINLINE static referred_sum of(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n) noexcept {
        constexpr float bias = softmax_rows_state<A>::carried_bias;
        float exponent = -reference::carried_limit - bias;
        float greatest = -infinity;
        exp_weight<A, false> weight(state.base, {exponent, 0.0f});
        const adder<A, Source> add{x, state.base, &weight, simd::broadcast<A>(state.base.sign()), &greatest, &exponent};
        double sum = 0;
        for (std::ptrdiff_t i = 0; i < n; i += chunk_size) {
            const float before = exponent;
            const double part = sum_span<A>(add, i, n - i < chunk_size ? n : i + chunk_size, nothing_beside{}).total();
            sum = sum * simd::power_of_two(static_cast<double>(before - exponent)) + part;
        }
        if (!softmax_rows_state<A>::can_carry({exponent, 0.0f}))
            return {0, {0, 0}};
        return {sum, {exponent, 0.0f}};
    }
};

// The Two-Pass Softmax Algorithm: every weight is a number v in 1..4 and a power of two n of its own, and every lane of
// the sum has its own power of two. Logits are kept within +-65000 powers of two, beyond which the row is refused.
struct extended_sum {
    static constexpr bool guesses = false;
    static constexpr float limit = 65000;

    template <class A> struct extended { pack<A> v, n; };
    template <class A> struct accumulator {
        simd::double_pack<A> v = simd::double_pack<A>::zero();
        pack<A> n = simd::broadcast<A>(-2 * limit);

        TARN_INLINE void add(const extended<A>& e) noexcept {
            const pack<A> most = simd::max_of<A>(e.n, n);
            v.multiply(simd::exp2_of_integer<A>(n - most));
            v.add(e.v * simd::exp2_of_integer<A>(e.n - most));
            n = most;
        }
    };
    template <class A> struct weight {
        simd::floats<A> high, low;
        pack<A> least, most;
        typename simd::exp2_traits<A>::table table;

        TARN_INLINE explicit weight(exp_base base) noexcept
            : high(base.high), low(base.low), table(simd::exp2_table<A>(1.0f)) {
            const float bound = limit / (base.high < 0 ? -base.high : base.high);
            least = simd::broadcast<A>(-bound);
            most = simd::broadcast<A>(bound);
        }
        TARN_INLINE extended<A> operator()(const pack<A>& given) const noexcept {
            // NaN passes.
            const pack<A> x = simd::min_of<A>(most, simd::max_of<A>(least, given));
            extended<A> r;
            r.v = x;
            r.n = x;
            simd::unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
                constexpr int I = decltype(i)::value;
                exp_weight<A, false>::extended(table, high, low, x.part[I], r.v.part[I], r.n.part[I]);
            });
            return r;
        }
    };
    // The sum of two, in the order of row_sum.hpp: as floats with the power of the greater.
    template <class A> TARN_INLINE static extended<A> pair(const extended<A>& a, const extended<A>& b) noexcept {
        const pack<A> most = simd::max_of<A>(a.n, b.n);
        return {a.v * simd::exp2_of_integer<A>(a.n - most) + b.v * simd::exp2_of_integer<A>(b.n - most), most};
    }

    template <class A, class Source>
    TARN_NOINLINE static referred_sum of(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n) noexcept {
        constexpr float bias = softmax_rows_state<A>::carried_bias;
        const weight<A> extend(state.base);
        double sum = 0;
        float exponent = -2 * limit;
        for (std::ptrdiff_t begin = 0; begin < n; begin += chunk_size) {
            const std::ptrdiff_t end = n - begin < chunk_size ? n : begin + chunk_size;
            accumulator<A> lanes_sum;
            std::ptrdiff_t i = begin;
            for (; i + 4 * lanes <= end; i += 4 * lanes) {
                x.prefetch(i);
                extended<A> e[4];
                simd::unroll<4>(
                    [&](auto k) TARN_LAMBDA { e[decltype(k)::value] = extend(x.at(i + decltype(k)::value * lanes)); });
                lanes_sum.add(pair(e[0], e[1]));
                lanes_sum.add(pair(e[2], e[3]));
            }
            for (; i < end; i += 2 * lanes) {
                const auto first = [&](std::ptrdiff_t at, int count) TARN_LAMBDA {
                    extended<A> e = extend(x.first(at, count));
                    e.v = simd::first_or<A>(e.v, count, 0.0f);
                    e.n = simd::first_or<A>(e.n, count, -2 * limit);
                    return e;
                };
                const std::ptrdiff_t rest = end - i;
                if (rest <= lanes)
                    lanes_sum.add(first(i, static_cast<int>(rest)));
                else
                    lanes_sum.add(pair(first(i, lanes),
                                       first(i + lanes, rest < 2 * lanes ? static_cast<int>(rest) - lanes : lanes)));
            }
            const float most = simd::greatest<A>(lanes_sum.n);
            lanes_sum.v.multiply(simd::exp2_of_integer<A>(lanes_sum.n - simd::broadcast<A>(most)));
            const double part = lanes_sum.v.total();
            const float next = most > exponent ? most : exponent;
            const auto down = [&](float e) TARN_LAMBDA { return simd::power_of_two(static_cast<double>(e - next)); };
            sum = sum * down(exponent) + part * down(most);
            exponent = next;
        }
        const reference ref{exponent - bias, 0.0f};
        if (!softmax_rows_state<A>::can_carry(ref))
            return {0, {0, 0}};
        return {sum * 0x1p60, ref};
    }
};

template <class A, class FirstRead> struct two_read_rows {
    template <bool Stream> TARN_NOINLINE static void run_as(const dispatch::softmax_rows& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        const std::ptrdiff_t n = a.columns;
        if (FirstRead::guesses)
            guess_reference<A>(state, unit_source<A>{a.x}, n);
        for_each_row<A>(a, state, [&](auto row, auto y) TARN_LAMBDA {
            const ahead_source<A> x(row.p);
            if (FirstRead::guesses && !state.may_guess()) {
                careful_row<A, false>(state, row, y, n);
                return;
            }
            const referred_sum s = FirstRead::template of<A>(state, x, n);
            if (!acceptable(s.sum)) {
                careful_row<A, false>(state, row, y, n);
                state.guessed_wrong();
                return;
            }
            if (!FirstRead::guesses)
                state.carry(s.ref);
            const auto scaled = normaliser::of(s.sum).on<A>();
            state.with_weight([&](const auto& given) TARN_LAMBDA {
                const auto weight = given;
                map_row_to_lines<A, Stream>(x, y.p, n, [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); });
                return 0.0;
            });
            state.last = s;
            if (FirstRead::guesses)
                state.guessed_right(s.sum);
        });
        if (Stream)
            simd::stream_fence<A>();
    }
    static void run(const dispatch::softmax_rows& a) noexcept {
        if (a.stream)
            run_as<true>(a);
        else
            run_as<false>(a);
    }
};

}}}} // namespace tarn::kernels
