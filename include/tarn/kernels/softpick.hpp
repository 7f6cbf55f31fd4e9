// SPDX-License-Identifier: BSD-3-Clause
//
// Softpick: the weights of softmax less that of 0, their distances from 0 summed, and the positive ones divided. The
// weight of 0 belongs to the row whatever its logits are, so a row's greatest logit is at least 0.
#pragma once

#include <tarn/dispatch/softpick_table.hpp>
#include <tarn/kernels/kept_rows.hpp>
#include <tarn/kernels/softmax_tile.hpp>
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

    // Of a row's distances, its greatest weight above 0 or 0, and what its weights are differences from.
    TARN_INLINE static pick_sum of(row_total<A> distances, number<A> greatest, const unit_weight<A>& unit,
                                   number<A> epsilon) noexcept {
        pick_sum s{distances, static_cast<double>(greatest) + static_cast<double>(unit.one)};
        const double more = static_cast<double>(epsilon) * s.level;
        if constexpr (simd::is_double<A>)
            simd::add_total(s.total, {more, 0.0});
        else
            s.total += more;
        return s;
    }
};
template <class A, class Weight, class Source, class Sink, class Beside>
TARN_NOINLINE pick_sum<A> pick_row(const Weight& given, Source x, Sink e, std::ptrdiff_t n, number<A> epsilon,
                                   const Beside& given_beside) noexcept {
    const Weight weight = given;
    const Beside beside = given_beside;
    pack<A> greatest = simd::broadcast<A>(0);
    const row_total<A> distances =
        sum_chunks<A>(distance_adder<A, Weight, Source, Sink>{weight, x, e, &greatest}, n, beside);
    return pick_sum<A>::of(distances, simd::greatest<A>(greatest), weight.unit, epsilon);
}

// What is summed of row r: short rows whole if anything of them is kept, so in a tile they are what they are alone.
template <class T>
TARN_INLINE row_span pick_span(const dispatch::mask_of_rows<T>& m, std::ptrdiff_t r, std::ptrdiff_t columns) noexcept {
    const row_span s = kept_span(m, r, columns);
    return s.empty() || columns > dispatch::short_row_columns ? s : row_span{0, columns};
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

    // What the rows of a call have in common, and the weights for the carried reference.
    struct all_rows {
        const call& a;
        const dispatch::mask_of_rows<number> mask;
        const logit_map<A> map;
        softmax_rows_state<A> state;
        pick_weight<A, true> folded; // for the exponent `folded_for`
        number folded_for;

        TARN_INLINE explicit all_rows(const call& call_) noexcept
            : a(call_), mask(exact_mask(call_.mask)), map(mask, false, false, false), state(call_.mask.scale, true),
              folded(state.folded(), state.ref, map.masked()), folded_for(state.ref.exponent) {}

        TARN_INLINE const number* logits_at(std::ptrdiff_t r, row_span s, number* z) const noexcept {
            const number* const x = a.x + r * a.x_across;
            if (map.copies())
                return x + s.begin;
            const logit_row<A> row{x, nullptr, mask.keep + r * mask.keep_across, mask.keep_along, 0, 0};
            map.make(row.from(s.begin), z, s.length());
            return z;
        }
        template <class F> TARN_INLINE auto with_weight(F f) noexcept {
            if (!state.can_fold())
                return f(pick_weight<A, false>(exp_weight<A, false>(state.base, state.ref), state.ref, map.masked()));
            if (state.ref.exponent != folded_for)
                folded = pick_weight<A, true>(state.folded(), state.ref, map.masked());
            folded_for = state.ref.exponent;
            return f(folded);
        }
        template <class Beside>
        TARN_INLINE pick_sum<A> weigh(const number* z, std::ptrdiff_t n, number* e, const Beside& beside) noexcept {
            return with_weight([&](const auto& weight) TARN_LAMBDA {
                return pick_row<A>(weight, unit_source<A>{z}, unit_sink<A>{e}, n, a.epsilon, beside);
            });
        }
        TARN_INLINE void careful(std::ptrdiff_t r, row_span s, number* y) noexcept {
            careful_pick<A, true>(state, unit_source<A>{logits_at(r, s, y)}, unit_sink<A>{y}, s.length(), a.epsilon,
                                  map.masked());
        }
    };

    struct long_rows : all_rows {
        using all_rows::all_rows;

        TARN_INLINE number nothing(std::ptrdiff_t) const noexcept { return 0; }
        template <class Beside>
        TARN_INLINE guessed_row<A> guess(std::ptrdiff_t r, row_span s, number* e, const Beside& beside) noexcept {
            const pick_sum<A> sum = this->weigh(this->logits_at(r, s, e), s.length(), e, beside);
            if (!sum.fits())
                return {false, {}};
            this->state.guessed_right(sum.level);
            return {true, normaliser<A>::of(sum.total)};
        }
    };
    TARN_NOINLINE static void run_long(const call& a) noexcept {
        long_rows rows(a);
        run_kept_rows<A>(a, rows);
    }

    // Short rows, a tile at a time; those that do not fit the guess are taken by themselves.
    struct short_rows : all_rows {
        softmax_tile<A> tile;
        alignas(64) number noted[tile_rows<A> * lanes<A>];
        alignas(64) number greatest[tile_rows<A>];
        bool fits[tile_rows<A>];
        double level = 0; // of the last that does
        const bool stream;

        TARN_INLINE explicit short_rows(const call& c) noexcept
            : all_rows(c), stream(c.stream && are_whole_lines<A>(c.y, c.y_across, c.columns)) {}

        TARN_INLINE std::ptrdiff_t columns() const noexcept { return this->a.columns; }
        TARN_INLINE number* weights_of_row(int i) noexcept {
            return tile.weights + i * softmax_tile<A>::template row_size<0>(columns());
        }
        TARN_INLINE number* results_of_row(std::ptrdiff_t r) const noexcept { return this->a.y + r * this->a.y_across; }

        // The weights of a tile's rows from `first` on, and their sums. Returns how many fit.
        template <class Weight> TARN_NOINLINE int weigh_tile(const Weight& given, std::ptrdiff_t first) noexcept {
            const Weight weight = given;
            for (int i = 0; i < tile_rows<A>; ++i) {
                pack<A> most = simd::broadcast<A>(0);
                const unit_source<A> x{this->logits_at(first + i, {0, columns()}, weights_of_row(i))};
                const unit_sink<A> e{weights_of_row(i)};
                const distance_adder<A, Weight, unit_source<A>, unit_sink<A>> adder{weight, x, e, &most};
                tile.keep_sums(i, sum_span<A>(adder, 0, columns(), nothing_beside{}));
                simd::store<A>(noted + i * lanes<A>, most);
            }
            tile.sums.assign_folded(tile.lane_sums);
            simd::store<A>(greatest, simd::greatests<A>(noted));
            int count = 0;
            for (int i = 0; i < tile_rows<A>; ++i) {
                const auto sum = pick_sum<A>::of(tile.sums[i], greatest[i], weight.unit, this->a.epsilon);
                fits[i] = sum.fits();
                count += fits[i];
                level = fits[i] ? sum.level : level;
                tile.sums.set(i, sum.total);
            }
            return count;
        }
        TARN_NOINLINE void run_tile(std::ptrdiff_t first) noexcept {
            int count = 0;
            const bool guessed = this->state.may_guess();
            if (guessed) {
                count = this->with_weight([&](const auto& weight) TARN_LAMBDA { return weigh_tile(weight, first); });
                tile.normalise();
            }
            const reference<A> ref = this->state.ref;
            for (int i = 0; i < tile_rows<A>; ++i) {
                if (count > 0 && fits[i])
                    either_sink<A>{results_of_row(first + i), stream}.with(
                        [&](auto y) TARN_LAMBDA { tile.template finish<0>(i, y, columns()); });
                else
                    run_carefully(first + i);
            }
            // Rows that are not like the others leave no reference behind.
            if (2 * count >= tile_rows<A>) {
                this->state.carry(ref);
                this->state.guessed_right(level);
            } else if (guessed) {
                this->state.guessed_wrong();
            }
        }
        TARN_NOINLINE void run_carefully(std::ptrdiff_t r) noexcept {
            number* const y = results_of_row(r);
            const row_span s = pick_span(this->mask, r, columns());
            if (s.empty())
                fill_row<A>(unit_sink<A>{y}, columns(), 0);
            else
                this->careful(r, s, y);
        }
        TARN_NOINLINE void run_row(std::ptrdiff_t r) noexcept {
            if (this->state.may_guess()) {
                number* const e = weights_of_row(0);
                const number* const z = this->logits_at(r, {0, columns()}, e);
                const pick_sum<A> sum = this->weigh(z, columns(), e, nothing_beside{});
                if (sum.fits()) {
                    map_row<A>(unit_source<A>{e}, unit_sink<A>{results_of_row(r)}, 0, columns(),
                               normaliser<A>::of(sum.total).on());
                    this->state.guessed_right(sum.level);
                    return;
                }
                this->state.guessed_wrong();
            }
            run_carefully(r);
        }
        TARN_INLINE void run() noexcept {
            std::ptrdiff_t r = 0;
            for (; r + tile_rows<A> <= this->a.rows; r += tile_rows<A>)
                run_tile(r);
            for (; r < this->a.rows; ++r)
                run_row(r);
            if (stream)
                simd::stream_fence<A>();
        }
    };
    TARN_NOINLINE static void run_short(const call& a) noexcept { short_rows(a).run(); }
    static void run(const call& a) noexcept {
        if (a.columns <= dispatch::short_row_columns)
            run_short(a);
        else
            kept_rows_on_stack<A, softpick_rows, call>::run(a);
    }

    // Rows of any type and stride that no buffer holds.
    static void run_stored(const dispatch::softpick_stored<number>& a) noexcept {
        const dispatch::mask_of_rows<number> mask = exact_mask(a.mask);
        const logit_map<A> map(mask, false, false, false);
        softmax_rows_state<A> state(a.mask.scale, true);
        stored_buffer<A> in, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = pick_span(mask, r, a.columns);
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
