// SPDX-License-Identifier: BSD-3-Clause
//
// Rows read twice, with nothing written in between: a sum of weights, then weights again, scaled. Three ways to the sum
// in one read, two of them published algorithms in safe forms: all references are powers of two, by which sums are
// rescaled exactly, so all ways give the same bits, and a row that none can take is taken carefully.
#pragma once

#include <tarn/kernels/softmax_rows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// What a first read gives: the sum of weights for a reference.
template <class A> struct two_read_sum {
    row_total<A> sum;
    reference<A> ref;
};

// The reference of the row before, which may turn out wrong.
struct guessed_sum {
    static constexpr bool guesses = true;
    template <class A, class Source>
    TARN_INLINE static two_read_sum<A> of(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n) noexcept {
        const row_total<A> sum =
            state.with_weight([&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, no_sink{}, n); });
        return {sum, state.ref};
    }
};

// Online normalizer calculation for softmax: the greatest element so far is the reference, and sums are rescaled when
// it grows. It is looked at every four packs.
struct online_sum {
    static constexpr bool guesses = false;
    static constexpr float refused = 1e6f; // the exponent of rows too far from 0

    template <class A, class Source> struct adder {
        const Source& x;
        exp_base<A> base;
        exp_weight<A, false>* weight;
        pack<A> flip;
        number<A>* greatest; // sign * x
        number<A>* exponent;

        TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { x.prefetch(i); }
        TARN_INLINE void four(simd::sum_pack<A>& sums, std::ptrdiff_t i) const noexcept {
            pack<A> v[4];
            simd::unroll<4>([&](auto k)
                                TARN_LAMBDA { v[decltype(k)::value] = x.at(i + decltype(k)::value * lanes<A>); });
            const auto most = [&](int k) TARN_LAMBDA { return simd::max_of<A>(v[k] * flip, v[k + 1] * flip); };
            raise(sums, simd::max_of<A>(most(0), most(2)));
            simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = (*weight)(v[decltype(k)::value]); });
            sums.add(v[0] + v[1]);
            sums.add(v[2] + v[3]);
        }
        TARN_INLINE void rest(simd::sum_pack<A>& sums, std::ptrdiff_t i, int n, int m) const noexcept {
            const pack<A> least = simd::broadcast<A>(-infinity) * flip;
            const pack<A> v = simd::first_or<A>(x.first(i, n), n, least);
            const pack<A> w = m > 0 ? simd::first_or<A>(x.first(i + lanes<A>, m), m, least) : least;
            raise(sums, simd::max_of<A>(v * flip, w * flip));
            const pack<A> first = simd::first_or<A>((*weight)(v), n, 0.0f);
            sums.add(m > 0 ? first + simd::first_or<A>((*weight)(w), m, 0.0f) : first);
        }

    private:
        TARN_INLINE void raise(simd::sum_pack<A>& sums, const pack<A>& candidates) const noexcept {
            // NaN pass: they reach the sum.
            if (!simd::all_within<A>(candidates, -infinity, *greatest))
                raise_to(sums, simd::greatest<A>(candidates));
        }
        TARN_NOINLINE void raise_to(simd::sum_pack<A>& sums, number<A> g) const noexcept {
            if (!(g > *greatest) || *exponent == refused)
                return;
            *greatest = g;
            reference<A> ref = reference<A>::of_greatest(g * base.sign(), base, weights_of<A>::bias);
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
    TARN_NOINLINE static two_read_sum<A> of(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n) noexcept {
        constexpr number<A> bias = weights_of<A>::bias;
        number<A> exponent = -reference<A>::carried_limit - bias;
        number<A> greatest = -infinity;
        exp_weight<A, false> weight(state.base, {exponent, 0.0f});
        const adder<A, Source> add{x, state.base, &weight, simd::broadcast<A>(state.base.sign()), &greatest, &exponent};
        row_total<A> sum = {};
        for (std::ptrdiff_t i = 0; i < n; i += chunk_size) {
            const number<A> before = exponent;
            const row_total<A> part =
                sum_span<A>(add, i, n - i < chunk_size ? n : i + chunk_size, nothing_beside{}).total();
            simd::scale_total(sum, simd::power_of_two(static_cast<double>(before - exponent)));
            simd::add_total(sum, part);
        }
        if (!softmax_rows_state<A>::can_carry({exponent, 0.0f}))
            return {{}, {0, 0}};
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
        simd::sum_pack<A> v = simd::sum_pack<A>::zero();
        pack<A> n = simd::broadcast<A>(-2 * limit);

        TARN_INLINE void add(const extended<A>& e) noexcept {
            const pack<A> most = simd::max_of<A>(e.n, n);
            v.multiply(simd::exp2_of_integer<A>(n - most));
            v.add(e.v * simd::exp2_of_integer<A>(e.n - most));
            n = most;
        }
    };
    template <class A> struct weight {
        numbers<A> high, low;
        pack<A> least, most;
        typename simd::exp2_traits<A>::table table;

        TARN_INLINE explicit weight(exp_base<A> base) noexcept
            : high(base.high), low(base.low), table(simd::exp2_table<A>(1.0f)) {
            const number<A> bound = limit / (base.high < 0 ? -base.high : base.high);
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
    TARN_NOINLINE static two_read_sum<A> of(softmax_rows_state<A>& state, Source x, std::ptrdiff_t n) noexcept {
        constexpr number<A> bias = weights_of<A>::bias;
        const weight<A> extend(state.base);
        row_total<A> sum = {};
        number<A> exponent = -2 * limit;
        for (std::ptrdiff_t begin = 0; begin < n; begin += chunk_size) {
            const std::ptrdiff_t end = n - begin < chunk_size ? n : begin + chunk_size;
            accumulator<A> lanes_sum;
            std::ptrdiff_t i = begin;
            for (; i + 4 * lanes<A> <= end; i += 4 * lanes<A>) {
                x.prefetch(i);
                extended<A> e[4];
                simd::unroll<4>([&](auto k) TARN_LAMBDA {
                    e[decltype(k)::value] = extend(x.at(i + decltype(k)::value * lanes<A>));
                });
                lanes_sum.add(pair(e[0], e[1]));
                lanes_sum.add(pair(e[2], e[3]));
            }
            for (; i < end; i += 2 * lanes<A>) {
                const auto first = [&](std::ptrdiff_t at, int count) TARN_LAMBDA {
                    extended<A> e = extend(x.first(at, count));
                    e.v = simd::first_or<A>(e.v, count, 0.0f);
                    e.n = simd::first_or<A>(e.n, count, -2 * limit);
                    return e;
                };
                const std::ptrdiff_t rest = end - i;
                if (rest <= lanes<A>)
                    lanes_sum.add(first(i, static_cast<int>(rest)));
                else
                    lanes_sum.add(
                        pair(first(i, lanes<A>),
                             first(i + lanes<A>, rest < 2 * lanes<A> ? static_cast<int>(rest) - lanes<A> : lanes<A>)));
            }
            const number<A> most = simd::greatest<A>(lanes_sum.n);
            lanes_sum.v.multiply(simd::exp2_of_integer<A>(lanes_sum.n - simd::broadcast<A>(most)));
            row_total<A> part = lanes_sum.v.total();
            const number<A> next = most > exponent ? most : exponent;
            const auto down = [&](number<A> e)
                                  TARN_LAMBDA { return simd::power_of_two(static_cast<double>(e - next)); };
            simd::scale_total(sum, down(exponent));
            simd::scale_total(part, down(most));
            simd::add_total(sum, part);
            exponent = next;
        }
        const reference<A> ref{exponent - bias, 0.0f};
        if (!softmax_rows_state<A>::can_carry(ref))
            return {{}, {0, 0}};
        simd::scale_total(sum, simd::power_of_two(bias));
        return {sum, ref};
    }
};

template <class A, class FirstRead> struct two_read_rows {
    TARN_NOINLINE static void run(const dispatch::softmax_rows<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        const std::ptrdiff_t n = a.columns;
        if (FirstRead::guesses)
            guess_reference<A>(state, unit_source<A>{a.x}, n);
        for_each_row<A>(a, state, [&](auto row, auto to) TARN_LAMBDA {
            const ahead_source<A> x(row.p);
            const either_sink<A> y{to.p, a.stream};
            if (FirstRead::guesses && !state.may_guess()) {
                careful_row<A, false>(state, x, y, n);
                return;
            }
            const two_read_sum<A> s = FirstRead::template of<A>(state, x, n);
            if (!acceptable<A>(s.sum)) {
                careful_row<A, false>(state, x, y, n);
                state.guessed_wrong();
                return;
            }
            if (!FirstRead::guesses)
                state.carry(s.ref);
            const auto scaled = normaliser<A>::of(s.sum).on();
            state.with_weight([&](const auto& given) TARN_LAMBDA {
                const auto weight = given;
                map_whole_row<A>(x, y, n, [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); });
                return 0.0;
            });
            state.last = {s.sum, s.ref};
            if (FirstRead::guesses)
                state.guessed_right(s.sum);
        });
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
