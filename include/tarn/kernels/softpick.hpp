// SPDX-License-Identifier: BSD-3-Clause
//
// Softpick: the weights of softmax less that of 0, their distances from 0 summed, and the positive ones divided. The
// weight of 0 belongs to the row whatever its logits are, so a row's greatest logit is at least 0.
#pragma once

#include <tarn/dispatch/softpick_table.hpp>
#include <tarn/kernels/kept_rows.hpp>
#include <tarn/kernels/stored_logits.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// exp(x) - 1 in units of a reference; 0 where nothing is kept.
template <class A, bool Folded> struct pick_weight {
    exp_weight<A, Folded> weight;
    unit_weight<A> unit;
    number<A> masked;

    TARN_INLINE pick_weight(const exp_weight<A, Folded>& w, reference<A> ref, number<A> masked_) noexcept
        : weight(w), unit(ref), masked(masked_) {}

    TARN_INLINE pack<A> operator()(const pack<A>& x) const noexcept {
        return simd::select_equal<A>(x, masked, simd::broadcast<A>(0), weight.less(x, unit));
    }
    template <int N> TARN_INLINE void together(pack<A> (&x)[N]) const noexcept {
        pack<A> v[N];
        simd::unroll<N>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = x[decltype(k)::value]; });
        weight.less_together(v, unit);
        simd::unroll<N>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            x[K] = simd::select_equal<A>(x[K], masked, simd::broadcast<A>(0), v[K]);
        });
    }
    // The weight itself.
    TARN_INLINE pack<A> whole(const pack<A>& x) const noexcept {
        return simd::select_equal<A>(x, masked, simd::broadcast<A>(0), weight(x));
    }
};

// Adds distances from 0, notes the greatest weight, and puts weights to e.
template <class A, class Weight, class Source, class Sink> struct distance_adder {
    const Weight& weight;
    const Source& x;
    const Sink& e;
    pack<A>* greatest;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { x.prefetch(i); }
    TARN_INLINE void four(simd::sum_pack<A>& sums, std::ptrdiff_t i) const noexcept {
        pack<A> v[4];
        simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = x.at(i + decltype(k)::value * lanes<A>); });
        weight.together(v);
        simd::unroll<4>([&](auto k) TARN_LAMBDA { e.put(i + decltype(k)::value * lanes<A>, v[decltype(k)::value]); });
        note(simd::max_of<A>(simd::max_of<A>(v[0], v[1]), simd::max_of<A>(v[2], v[3])));
        sums.add(simd::magnitude<A>(v[0]) + simd::magnitude<A>(v[1]));
        sums.add(simd::magnitude<A>(v[2]) + simd::magnitude<A>(v[3]));
    }
    TARN_INLINE void rest(simd::sum_pack<A>& sums, std::ptrdiff_t i, int n, int m) const noexcept {
        const pack<A> v = weigh_first<A>(weight, x, i, n);
        e.put_first(i, v, n);
        note(v);
        if (m > 0) {
            const pack<A> w = weigh_first<A>(weight, x, i + lanes<A>, m);
            e.put_first(i + lanes<A>, w, m);
            note(w);
            sums.add(simd::magnitude<A>(v) + simd::magnitude<A>(w));
        } else {
            sums.add(simd::magnitude<A>(v));
        }
    }

private:
    TARN_INLINE void note(const pack<A>& v) const noexcept { *greatest = simd::max_of<A>(v, *greatest); }
};

// What a row is divided by: the sum of distances, and epsilon times the weight of the greatest of its logits and 0.
template <class A> struct pick_sum {
    row_total<A> total;
    double level; // the weight of the greatest

    // Whether a reference serves the row.
    TARN_INLINE bool fits() const noexcept { return level > unit_weight<A>::least_level && acceptable<A>(total); }
};
template <class A, class Weight, class Source, class Sink, class Beside>
TARN_NOINLINE pick_sum<A> pick_row(const Weight& given, Source x, Sink e, std::ptrdiff_t n, number<A> epsilon,
                                   const Beside& given_beside) noexcept {
    const Weight weight = given;
    const Beside beside = given_beside;
    pack<A> greatest = simd::broadcast<A>(0);
    pick_sum<A> s{sum_chunks<A>(distance_adder<A, Weight, Source, Sink>{weight, x, e, &greatest}, n, beside), 0};
    s.level = static_cast<double>(simd::greatest<A>(greatest)) + static_cast<double>(weight.unit.one);
    const double more = static_cast<double>(epsilon) * s.level;
    if constexpr (simd::is_double<A>)
        simd::add_total(s.total, {more, 0.0});
    else
        s.total += more;
    return s;
}

// The mask of a call as the logits of kept rows: a scale of 0 belongs to the exponential as any other.
template <class T> TARN_INLINE dispatch::mask_of_rows<T> exact_mask(dispatch::mask_of_rows<T> m) noexcept {
    m.scale = m.scale < 0 ? -1.0f : 1.0f;
    return m;
}

// The reference of a row of which the greatest logit is found first.
template <class A, class Source>
TARN_INLINE reference<A> pick_reference(exp_base<A> base, Source x, std::ptrdiff_t n) noexcept {
    const number<A> m = greatest_of_row<A>(x, n, base.sign());
    return reference<A>::of_greatest(m * base.sign() > 0 ? m : 0, base, weights_of<A>::bias);
}

// Results of a row whose weights are computed once, or twice; x may be y.
template <class A, bool Reload, class Source, class Sink>
TARN_NOINLINE bool careful_pick(softmax_rows_state<A>& state, Source x, Sink y, std::ptrdiff_t n, number<A> epsilon,
                                number<A> masked) noexcept {
    const reference<A> ref = pick_reference<A>(state.base, x, n);
    const pick_weight<A, false> weight(exp_weight<A, false>(state.base, ref), ref, masked);
    pick_sum<A> sum;
    if constexpr (Reload)
        sum = pick_row<A>(weight, x, y, n, epsilon, nothing_beside{});
    else
        sum = pick_row<A>(weight, x, no_sink{}, n, epsilon, nothing_beside{});
    if (!sum.fits()) {
        fill_row<A>(y, n, __builtin_nanf(""));
        return false;
    }
    const auto result = normaliser<A>::of(sum.total).on();
    if constexpr (Reload)
        map_row_backwards<A>(y.source(), y, n, result);
    else
        map_row<A>(x, y, 0, n, [&](const pack<A>& v) TARN_LAMBDA { return result(weight(v)); });
    state.carry(ref);
    return true;
}

template <class A> struct softpick_rows {
    using number = simd::number<A>;
    using call = dispatch::softpick_rows<number>;

    struct long_rows {
        const call& a;
        const dispatch::mask_of_rows<number> mask;
        const logit_map<A> map;
        softmax_rows_state<A> state;
        pick_weight<A, true> folded; // for the exponent `folded_for`
        number folded_for;

        TARN_INLINE explicit long_rows(const call& call_) noexcept
            : a(call_), mask(exact_mask(call_.mask)), map(mask, false, false, false), state(call_.mask.scale, true),
              folded(state.folded(), state.ref, map.masked()), folded_for(state.ref.exponent) {}

        TARN_INLINE number nothing(std::ptrdiff_t) const noexcept { return 0; }
        TARN_INLINE const number* logits_at(std::ptrdiff_t r, row_span s, number* z) const noexcept {
            const number* const x = a.x + r * a.x_across;
            if (map.copies())
                return x + s.begin;
            const logit_row<A> row{x, nullptr, mask.keep + r * mask.keep_across, mask.keep_along, 0, 0};
            map.make(row.from(s.begin), z, s.length());
            return z;
        }
        template <class Beside>
        TARN_INLINE guessed_row<A> guess(std::ptrdiff_t r, row_span s, number* e, const Beside& beside) noexcept {
            const unit_source<A> z{logits_at(r, s, e)};
            const auto weigh = [&](const auto& weight) TARN_LAMBDA {
                return pick_row<A>(weight, z, unit_sink<A>{e}, s.length(), a.epsilon, beside);
            };
            pick_sum<A> sum;
            if (state.can_fold()) {
                if (state.ref.exponent != folded_for)
                    folded = pick_weight<A, true>(state.folded(), state.ref, map.masked());
                folded_for = state.ref.exponent;
                sum = weigh(folded);
            } else {
                sum =
                    weigh(pick_weight<A, false>(exp_weight<A, false>(state.base, state.ref), state.ref, map.masked()));
            }
            if (!sum.fits())
                return {false, {}};
            state.guessed_right(sum.level);
            return {true, normaliser<A>::of(sum.total)};
        }
        TARN_INLINE void careful(std::ptrdiff_t r, row_span s, number* y) noexcept {
            careful_pick<A, true>(state, unit_source<A>{logits_at(r, s, y)}, unit_sink<A>{y}, s.length(), a.epsilon,
                                  map.masked());
        }
    };
    template <bool Stream> TARN_NOINLINE static void run_long(const call& a) noexcept {
        long_rows rows(a);
        run_kept_rows<A, Stream>(a, rows);
    }
    static void run(const call& a) noexcept { kept_rows_on_stack<A, softpick_rows, call>::run(a); }

    // Rows of any type and stride that no buffer holds.
    static void run_stored(const dispatch::softpick_stored<number>& a) noexcept {
        const dispatch::mask_of_rows<number> mask = exact_mask(a.mask);
        const logit_map<A> map(mask, false, false, false);
        softmax_rows_state<A> state(a.mask.scale, true);
        stored_buffer<A> in, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(mask, r, a.columns);
            const auto y = [&](std::ptrdiff_t i)
                               TARN_LAMBDA { return any_sink<A>::of(stored_from(a.y, r, i), 0, out); };
            bool ordinary = true;
            if (!s.empty()) {
                const logit_row<A> row{nullptr,         nullptr, mask.keep ? mask.keep + r * mask.keep_across : nullptr,
                                       mask.keep_along, 0,       0};
                const stored_logits<A> x{&map,   stored_from(a.x, r, s.begin), {}, row.from(s.begin), in.numbers,
                                         nullptr};
                ordinary = careful_pick<A, false>(state, x, y(s.begin), s.length(), a.epsilon, map.masked());
            }
            fill_around<A>(y(0), y(s.end), a.columns, s, ordinary ? 0 : __builtin_nanf(""));
        }
    }
};

}}}} // namespace tarn::kernels
