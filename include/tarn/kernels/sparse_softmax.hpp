// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of the k greatest elements of rows. Few of them are summed in their order of size, from a list; many, or all
// there are, in their order in the row, in which all others count as -inf. Dense results are cleared while the row is
// read.
#pragma once

#include <tarn/dispatch/sparse_softmax_table.hpp>
#include <tarn/kernels/log_sum.hpp>
#include <tarn/kernels/top_k.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The elements of a selection in their order.
template <class A> struct list_source {
    const selection<A>& top;

    TARN_INLINE void prefetch(std::ptrdiff_t) const noexcept {}
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return first(i, lanes<A>); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        alignas(64) number<A> v[lanes<A>];
        for (int k = 0; k < lanes<A>; ++k)
            v[k] = k < n ? top[i + k].value : 0;
        return simd::load<A>(v);
    }
};

// A row with -inf in place of the elements that come after `last`. Rows in which that is NaN have results of NaN.
template <class A, class Source> struct selected_source {
    Source x;
    candidate<A> last;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { x.prefetch(i); }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return of(x.at(i), i); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept { return of(x.first(i, n), i); }

private:
    TARN_INLINE pack<A> of(const pack<A>& v, std::ptrdiff_t i) const noexcept {
        const std::ptrdiff_t rest = last.index - i + 1;
        const int ties = rest < 0 ? 0 : rest < lanes<A> ? static_cast<int>(rest) : lanes<A>;
        const pack<A> none = simd::broadcast<A>(-infinity);
        const pack<A> equal = simd::first_or<A>(simd::select_equal<A>(v, last.value, v, none), ties, none);
        const pack<A> value = simd::broadcast<A>(last.value);
        const pack<A> above = simd::each<A>([](numbers<A> p, numbers<A> t, numbers<A> q)
                                                TARN_LAMBDA { return simd::select<A>(p <= t, q, p); },
                                            v, value, equal);
        return above;
    }
};

// The selection of a row, and zeros to y, apart from it.
template <class A, class Source>
TARN_NOINLINE void select_and_clear(const Source& given, either_sink<A> y, std::ptrdiff_t n,
                                    selection<A>& top) noexcept {
    const Source x = given;
    const pack<A> zero = simd::broadcast<A>(0);
    std::ptrdiff_t cleared = elements_to_line<A>(y.p);
    cleared = cleared < n ? cleared : n;
    simd::store_first<A>(y.p, zero, static_cast<int>(cleared));
    top.prepare(x, 0, n < chunk_size ? n : chunk_size);
    std::ptrdiff_t i = 0;
    for (; i + 4 * lanes<A> <= n; i += 4 * lanes<A>) {
        if (i > 0 && i % chunk_size == 0)
            top.prepare(x, i, n - i < chunk_size ? n : i + chunk_size);
        pack<A> v[4];
        simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = x.at(i + decltype(k)::value * lanes<A>); });
        if (!top.rejects(v))
            top.offer(x, i, 4 * lanes<A>);
        if (n < cleared + 4 * lanes<A>)
            continue;
        y.with([&](auto to) TARN_LAMBDA {
            simd::unroll<4>([&](auto k) TARN_LAMBDA { to.put(cleared + decltype(k)::value * lanes<A>, zero); });
        });
        cleared += 4 * lanes<A>;
    }
    if (i < n)
        top.offer(x, i, static_cast<int>(n - i));
    fill_row<A>(unit_sink<A>{y.p + cleared}, n - cleared, 0);
}

template <class A> struct sparse_softmax_rows {
    using number = simd::number<A>;
    using call = dispatch::sparse_softmax_rows<number>;

    static void run(const call& a) noexcept {
        const auto x_of = [&](std::ptrdiff_t r) TARN_LAMBDA {
            return unit_source<A>{static_cast<const number*>(a.selection.x.data) + r * a.selection.x.across};
        };
        run_on_stack(a, x_of, [&](std::ptrdiff_t r) TARN_LAMBDA {
            return unit_sink<A>{static_cast<number*>(a.y.data) + r * a.y.across};
        });
        if (a.stream)
            simd::stream_fence<A>();
    }
    static void run_stored(const call& a) noexcept {
        stored_buffer<A> in, out;
        run_on_stack(
            a, [&](std::ptrdiff_t r) TARN_LAMBDA { return any_source<A>::of(a.selection.x, r, in); },
            [&](std::ptrdiff_t r) TARN_LAMBDA { return any_sink<A>::of(a.y, r, out); });
    }

private:
    template <class SourceOf, class SinkOf>
    TARN_NOINLINE static void run_on_stack(const call& a, const SourceOf& x_of, const SinkOf& y_of) noexcept {
        constexpr std::ptrdiff_t most = dispatch::selected_on_stack;
        alignas(64) candidate<A> list[dispatch::most_candidates<number>(most)];
        alignas(64) candidate<A> spare[dispatch::most_candidates<number>(most)];
        alignas(64) number groups[dispatch::most_groups<number>(most)];
        selection<A> top({list, spare, groups, most}, 1);
        softmax_rows_state<A> state(1, a.selection.zero_empty_rows);
        const std::ptrdiff_t n = a.selection.columns;
        const std::ptrdiff_t k = a.selection.k;
        for (std::ptrdiff_t r = 0; r < a.selection.rows; ++r) {
            const auto x = x_of(r);
            const auto y = y_of(r);
            bool cleared = false;
            if (k < n && k <= most && clear_beside(a, r, x, y, top)) {
                cleared = true;
                top.finish(x, n);
            } else {
                select_first<A>(a.selection, x, top);
            }
            if (k < n && k <= most)
                finish(a, r, x, list_source<A>{top}, top.count(), y, state, top, cleared);
            else
                finish(a, r, x, selected_source<A, std::decay_t<decltype(x)>>{x, last_of(a, x, top)}, n, y, state, top,
                       false);
        }
    }
    // Of more elements than a list holds. The selection is then at the first of them again.
    template <class Source>
    TARN_NOINLINE static candidate<A> last_of(const call& a, const Source& x, selection<A>& top) noexcept {
        if (a.selection.k >= a.selection.columns)
            return {-infinity, a.selection.columns};
        for (std::ptrdiff_t done = top.count(); done < a.selection.k && top.count() > 0; done += top.count())
            select_next<A>(a.selection, x, top, done);
        const candidate<A> last = top.count() > 0 ? top[top.count() - 1] : candidate<A>{-infinity, a.selection.columns};
        select_first<A>(a.selection, x, top);
        return last;
    }

    TARN_INLINE static bool clear_beside(const call& a, std::ptrdiff_t, const unit_source<A>& x, const unit_sink<A>& y,
                                         selection<A>& top) noexcept {
        if (!a.y.data || x.p == y.p)
            return false;
        top.begin(a.selection.k);
        select_and_clear<A>(x, {y.p, a.stream}, a.selection.columns, top);
        return true;
    }
    TARN_INLINE static bool clear_beside(const call&, std::ptrdiff_t, const any_source<A>&, const any_sink<A>&,
                                         selection<A>&) noexcept {
        return false;
    }
    TARN_INLINE static void put_one(const unit_sink<A>& y, std::ptrdiff_t i, number v) noexcept { y.p[i] = v; }
    TARN_INLINE static void put_one(const any_sink<A>& y, std::ptrdiff_t i, number v) noexcept {
        transfer<A, false>(y.row, i, &v, 1);
    }

    TARN_INLINE static std::ptrdiff_t target_of(const call& a, std::ptrdiff_t r) noexcept {
        const dispatch::stored_rows& t = a.targets;
        return t.type == element::int32
                   ? static_cast<const std::int32_t*>(t.data)[r * t.across]
                   : static_cast<std::ptrdiff_t>(static_cast<const std::int64_t*>(t.data)[r * t.across]);
    }
    template <class Source> TARN_INLINE static number element_of(const Source& x, std::ptrdiff_t i) noexcept {
        alignas(64) number v[lanes<A>];
        simd::store<A>(v, x.first(i, 1));
        return v[0];
    }

    // Results of a row. `part`: its selected elements, of which there are `length`.
    template <class Source, class Part, class Sink>
    TARN_NOINLINE static void finish(const call& a, std::ptrdiff_t r, const Source& x, const Part& part,
                                     std::ptrdiff_t length, const Sink& y, softmax_rows_state<A>& state,
                                     selection<A>& top, bool cleared) noexcept {
        if (a.loss.data) {
            const log_sum<A> s = log_sum_again<A>(state, part, length, top[0].value);
            number loss = s.empty() ? s.greatest : static_cast<number>(s.value);
            if (!s.empty() && s.value == s.value)
                loss = (s.greatest - element_of(x, target_of(a, r))) + loss;
            if (s.empty())
                loss = __builtin_nanf("");
            transfer<A, false>(stored_row(a.loss, r), 0, &loss, 1);
            return;
        }
        const reference<A> ref = reference<A>::of_greatest(top[0].value, state.base, weights_of<A>::bias);
        const exp_weight<A, false> weight(state.base, ref);
        const row_total<A> sum = weigh_row<A>(weight, part, no_sink{}, length);
        if (!acceptable<A>(sum)) {
            const number value = sum == 0 && !a.loss_gradient.data ? state.empty_value : __builtin_nanf("");
            if (a.y.data)
                fill_row<A>(y, a.selection.columns, value);
            else
                put_all<A>(a.selection, r, x, top, 0,
                           [&](const pack<A>&) TARN_LAMBDA { return simd::broadcast<A>(value); });
            return;
        }
        const auto scaled = normaliser<A>::of(sum).on();
        const auto softmax = [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); };
        if (a.loss_gradient.data) {
            number d;
            transfer<A, true>(stored_row(a.loss_gradient, r), 0, &d, 1);
            const std::ptrdiff_t target = target_of(a, r);
            const number logit = element_of(x, target); // before it may be overwritten
            const number magnitude = d < 0 ? -d : d;
            // No product is denormal.
            const pack<A> least = simd::broadcast<A>(magnitude < 1 ? weights_of<A>::least_result / magnitude : 0);
            const pack<A> factor = simd::broadcast<A>(d);
            put_dense(a, part, length, y, top, cleared,
                      [&](const pack<A>& v) TARN_LAMBDA { return simd::keep_where_ge<A>(softmax(v), least) * factor; });
            const candidate<A> t{logit, target};
            const number own = is_selected(part, top, t) ? first_of(softmax(simd::broadcast<A>(logit))) : 0;
            put_one(y, target, d * (own - 1));
        } else if (a.y.data) {
            put_dense(a, part, length, y, top, cleared, softmax);
        } else {
            put_all<A>(a.selection, r, x, top, 0, softmax);
        }
    }
    TARN_INLINE static number first_of(const pack<A>& v) noexcept {
        alignas(64) number lane[lanes<A>];
        simd::store<A>(lane, v);
        return lane[0];
    }
    TARN_INLINE static bool is_selected(const list_source<A>&, const selection<A>& top, candidate<A> c) noexcept {
        return !comes_after(top[top.count() - 1], c);
    }
    template <class Source>
    TARN_INLINE static bool is_selected(const selected_source<A, Source>& s, const selection<A>&,
                                        candidate<A> c) noexcept {
        return !comes_after(s.last, c);
    }
    TARN_INLINE static bool comes_after(candidate<A> last, candidate<A> c) noexcept {
        return ranks_above(last.value, c.value) || (!ranks_above(c.value, last.value) && c.index > last.index);
    }

    template <class Sink, class Map>
    TARN_INLINE static void put_dense(const call& a, const list_source<A>& list, std::ptrdiff_t count, const Sink& y,
                                      const selection<A>& top, bool cleared, const Map& map) noexcept {
        if (!cleared)
            fill_row<A>(y, a.selection.columns, 0);
        for (std::ptrdiff_t i = 0; i < count; i += lanes<A>) {
            const int n = count - i < lanes<A> ? static_cast<int>(count - i) : lanes<A>;
            alignas(64) number v[lanes<A>];
            simd::store<A>(v, map(list.first(i, n)));
            for (int k = 0; k < n; ++k)
                put_one(y, top[i + k].index, v[k]);
        }
    }
    template <class Source, class Sink, class Map>
    TARN_INLINE static void put_dense(const call&, const selected_source<A, Source>& x, std::ptrdiff_t n, const Sink& y,
                                      const selection<A>&, bool, const Map& map) noexcept {
        map_row<A>(x, y, 0, n, map);
    }
};

}}}} // namespace tarn::kernels
