// SPDX-License-Identifier: BSD-3-Clause
//
// The greatest elements of rows and what softmax makes of them. The sum of softmax and the selection share one read;
// weights are not kept: those of the few elements that matter are computed again.
#pragma once

#include <tarn/dispatch/top_k_table.hpp>
#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/selection.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Adds weights, and offers elements to a selection.
template <class A, class Weight, class Source> struct selecting_adder {
    const Weight& weight;
    const Source& x;
    selection<A>& top;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { x.prefetch(i); }
    TARN_INLINE void four(simd::sum_pack<A>& sums, std::ptrdiff_t i) const noexcept {
        pack<A> v[4];
        simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = x.at(i + decltype(k)::value * lanes<A>); });
        if (!top.rejects(v))
            top.offer(x, i, 4 * lanes<A>);
        simd::unroll<4>([&](auto k) TARN_LAMBDA { v[decltype(k)::value] = weight(v[decltype(k)::value]); });
        sums.add(v[0] + v[1]);
        sums.add(v[2] + v[3]);
    }
    TARN_INLINE void rest(simd::sum_pack<A>& sums, std::ptrdiff_t i, int n, int m) const noexcept {
        const pack<A> v[1] = {x.first(i, n)};
        const pack<A> first = simd::first_or<A>(weight(v[0]), n, 0.0f);
        if (m <= 0) {
            if (!top.rejects(v))
                top.offer(x, i, n);
            sums.add(first);
            return;
        }
        const pack<A> w[2] = {v[0], x.first(i + lanes<A>, m)};
        if (!top.rejects(w))
            top.offer(x, i, n + m);
        sums.add(first + simd::first_or<A>(weight(w[1]), m, 0.0f));
    }
};

template <class A, class Weight, class Source>
TARN_NOINLINE row_total<A> weigh_and_select(const Weight& given, const Source& given_x, std::ptrdiff_t n,
                                            selection<A>& top) noexcept {
    const Weight weight = given;
    const Source x = given_x;
    const selecting_adder<A, Weight, Source> adder{weight, x, top};
    row_total<A> sum = {};
    for (std::ptrdiff_t i = 0; i < n; i += chunk_size) {
        const std::ptrdiff_t end = n - i < chunk_size ? n : i + chunk_size;
        top.prepare(x, i, end);
        simd::add_total(sum, sum_span<A>(adder, i, end, nothing_beside{}).total());
    }
    return sum;
}

// The selection alone.
template <class A, class Source>
TARN_NOINLINE void select_from(const Source& given_x, std::ptrdiff_t n, selection<A>& top) noexcept {
    const Source x = given_x;
    for (std::ptrdiff_t begin = 0; begin < n; begin += chunk_size) {
        const std::ptrdiff_t end = n - begin < chunk_size ? n : begin + chunk_size;
        top.prepare(x, begin, end);
        std::ptrdiff_t i = begin;
        for (; i + 4 * lanes<A> <= end; i += 4 * lanes<A>) {
            x.prefetch(i);
            pack<A> v[4];
            simd::unroll<4>([&](auto k)
                                TARN_LAMBDA { v[decltype(k)::value] = x.at(i + decltype(k)::value * lanes<A>); });
            if (!top.rejects(v))
                top.offer(x, i, 4 * lanes<A>);
        }
        if (i < end)
            top.offer(x, i, static_cast<int>(end - i));
    }
}

// Where the results of a row go.
template <class A> struct selected_row {
    dispatch::stored_rows values, indices;

    TARN_INLINE selected_row(const dispatch::top_k_rows<number<A>>& a, std::ptrdiff_t r) noexcept
        : values(stored_row(a.values, r)), indices(stored_row(a.indices, r)) {}

    // Cells from i on.
    TARN_INLINE void put_values(std::ptrdiff_t i, const pack<A>& v, int n) const noexcept {
        if (!values.data)
            return;
        constexpr element own = simd::is_double<A> ? element::float64 : element::float32;
        if (values.type == own && values.along == 1) {
            simd::store_first<A>(static_cast<number<A>*>(values.data) + i, v, n);
            return;
        }
        alignas(64) number<A> numbers[lanes<A>];
        simd::store<A>(numbers, v);
        transfer<A, false>(values, i, numbers, n);
    }
    TARN_INLINE void put_index(std::ptrdiff_t i, std::ptrdiff_t index) const noexcept {
        if (indices.type == element::int32)
            static_cast<std::int32_t*>(indices.data)[i * indices.along] = static_cast<std::int32_t>(index);
        else
            static_cast<std::int64_t*>(indices.data)[i * indices.along] = index;
    }
    // What was found, from cell `at` on: map(elements) are the values.
    template <class Map>
    TARN_INLINE void put(std::ptrdiff_t at, const selection<A>& top, const Map& map) const noexcept {
        for (std::ptrdiff_t i = 0; values.data && i < top.count(); i += lanes<A>) {
            const int n = top.count() - i < lanes<A> ? static_cast<int>(top.count() - i) : lanes<A>;
            alignas(64) number<A> numbers[lanes<A>];
            for (int k = 0; k < lanes<A>; ++k)
                numbers[k] = top[i + (k < n ? k : 0)].value;
            put_values(at + i, map(top.turned(simd::load<A>(numbers))), n);
        }
        for (std::ptrdiff_t i = 0; indices.data && i < top.count(); ++i)
            put_index(at + i, top[i].index);
    }
    // Cells that there are no elements for.
    TARN_NOINLINE void pad(std::ptrdiff_t begin, std::ptrdiff_t end, number<A> value) const noexcept {
        for (std::ptrdiff_t i = begin; i < end; i += lanes<A>)
            put_values(i, simd::broadcast<A>(value), end - i < lanes<A> ? static_cast<int>(end - i) : lanes<A>);
        for (std::ptrdiff_t i = begin; indices.data && i < end; ++i)
            put_index(i, -1);
    }
};

// How many elements to select next, `done` being found.
template <class A>
TARN_INLINE std::ptrdiff_t at_once(const dispatch::top_k_rows<number<A>>& a, const selection<A>& top,
                                   std::ptrdiff_t done) noexcept {
    return a.k - done < top.most() ? a.k - done : top.most();
}
// The first elements of a row.
template <class A, class Source>
TARN_INLINE void select_first(const dispatch::top_k_rows<number<A>>& a, const Source& x, selection<A>& top) noexcept {
    top.begin(at_once<A>(a, top, 0));
    select_from<A>(x, a.columns, top);
    top.finish(x, a.columns);
}
template <class A, class Source>
TARN_INLINE void select_next(const dispatch::top_k_rows<number<A>>& a, const Source& x, selection<A>& top,
                             std::ptrdiff_t done) noexcept {
    top.begin_after(at_once<A>(a, top, done));
    select_from<A>(x, a.columns, top);
    top.finish(x, a.columns);
}
// All results of row r, of which the first are found.
template <class A, class Source, class Map>
TARN_NOINLINE void put_all(const dispatch::top_k_rows<number<A>>& a, std::ptrdiff_t r, const Source& x,
                           selection<A>& top, number<A> nothing, const Map& map) noexcept {
    const selected_row<A> to(a, r);
    for (std::ptrdiff_t done = 0;;) {
        to.put(done, top, map);
        done += top.count();
        // Nothing is found where the compiler was allowed to forget about NaN.
        if (done >= a.k || done >= a.columns || top.count() == 0) {
            to.pad(done, a.k, nothing);
            return;
        }
        select_next<A>(a, x, top, done);
    }
}

template <class A> struct top_k_rows {
    using number = simd::number<A>;
    using call = dispatch::top_k_rows<number>;

    static void run(const call& a) noexcept {
        run_where_memory_is(a, [&](std::ptrdiff_t r) TARN_LAMBDA {
            return unit_source<A>{static_cast<const number*>(a.x.data) + r * a.x.across};
        });
    }
    static void run_stored(const call& a) noexcept {
        stored_buffer<A> in;
        run_where_memory_is(a, [&](std::ptrdiff_t r) TARN_LAMBDA { return any_source<A>::of(a.x, r, in); });
    }

private:
    template <class SourceOf>
    TARN_INLINE static void run_where_memory_is(const call& a, const SourceOf& x_of) noexcept {
        if (a.scratch)
            run_in(a, x_of, selection_memory<A>::in(a.scratch, a.scratch_most));
        else
            run_on_stack(a, x_of);
    }
    template <class SourceOf> TARN_NOINLINE static void run_on_stack(const call& a, const SourceOf& x_of) noexcept {
        constexpr std::ptrdiff_t most = dispatch::selected_on_stack;
        alignas(64) candidate<A> list[dispatch::most_candidates<number>(most)];
        alignas(64) candidate<A> spare[dispatch::most_candidates<number>(most)];
        alignas(64) number groups[dispatch::most_groups<number>(most)];
        run_in(a, x_of, {list, spare, groups, most});
    }
    template <class SourceOf>
    TARN_INLINE static void run_in(const call& a, const SourceOf& x_of, const selection_memory<A>& memory) noexcept {
        if (a.softmax) {
            softmax_rows(a, x_of, memory);
        } else {
            selection<A> top(memory, 1);
            for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
                const auto x = x_of(r);
                select_first<A>(a, x, top);
                put_all<A>(a, r, x, top, -infinity, [](const pack<A>& v) TARN_LAMBDA { return v; });
            }
        }
    }

    template <class SourceOf>
    TARN_INLINE static void softmax_rows(const call& a, const SourceOf& x_of,
                                         const selection_memory<A>& memory) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        selection<A> top(memory, state.base.sign());
        const std::ptrdiff_t n = a.columns;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const auto x = x_of(r);
            bool selected = false;
            top.begin(at_once<A>(a, top, 0));
            const auto put = [&](normaliser<A> result) TARN_LAMBDA {
                const auto scaled = result.on();
                state.with_weight([&](const auto& weight) TARN_LAMBDA {
                    put_all<A>(a, r, x, top, 0, [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); });
                    return 0.0;
                });
            };
            optimistic_row<A>(
                state,
                [&](const auto& weight) TARN_LAMBDA {
                    const row_total<A> sum = weigh_and_select<A>(weight, x, n, top);
                    top.finish(x, n);
                    selected = true;
                    return sum;
                },
                put,
                [&]() TARN_LAMBDA {
                    if (!selected) {
                        select_from<A>(x, n, top);
                        top.finish(x, n);
                    }
                    careful(a, r, x, state, top);
                });
        }
    }
    // A row whose greatest element is known by selection.
    template <class Source>
    TARN_NOINLINE static void careful(const call& a, std::ptrdiff_t r, const Source& x, softmax_rows_state<A>& state,
                                      selection<A>& top) noexcept {
        const number greatest = top.turned(top[0].value);
        const reference<A> ref = reference<A>::of_greatest(greatest, state.base, weights_of<A>::bias);
        const exp_weight<A, false> weight(state.base, ref);
        const row_total<A> sum = weigh_row<A>(weight, x, no_sink{}, a.columns);
        if (!acceptable<A>(sum)) {
            const pack<A> value = simd::broadcast<A>(sum == 0 ? state.empty_value : __builtin_nanf(""));
            put_all<A>(a, r, x, top, 0, [&](const pack<A>&) TARN_LAMBDA { return value; });
            return;
        }
        const auto scaled = normaliser<A>::of(sum).on();
        put_all<A>(a, r, x, top, 0, [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); });
        state.carry(ref);
    }
};

}}}} // namespace tarn::kernels
