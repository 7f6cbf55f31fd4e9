// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of the part of each row that is kept, and zeros around it. Long rows one by one, two in flight; short ones in
// tiles, whose logits are laid out for the kernel of plain softmax.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/masked_source.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// What the results of a row are that keeps nothing, if those of an empty row are `value`.
template <class A> TARN_INLINE number<A> nothing_kept(softmax_sink<A> sink, number<A> value) noexcept {
    if (!sink.present || sink.logit == -infinity)
        return value;
    return sink.logit < infinity ? 0 : __builtin_nanf("");
}

// Copies a row, or what a source makes of it.
template <class A, class Source, class Sink> TARN_INLINE void copy_row(Source x, Sink y, std::ptrdiff_t n) noexcept {
    map_row<A>(x, y, 0, n, [](const pack<A>& v) TARN_LAMBDA { return v; });
}

template <class A, bool Mapped> struct masked_rows {
    using number = simd::number<A>;
    using call = dispatch::masked_softmax_rows<number>;
    using source = masked_source<A, Mapped, unit_source<A>>;

    TARN_INLINE static number scale_of(const dispatch::mask_of_rows<number>& m) noexcept {
        return Mapped ? 1 : m.scale;
    }
    // Row r from element `begin` on.
    TARN_INLINE static source source_of(const call& a, const logit_map<A, Mapped>& map, std::ptrdiff_t r,
                                        std::ptrdiff_t begin) noexcept {
        const dispatch::mask_of_rows<number>& m = a.mask;
        return {&map,
                {a.x + r * a.x_across + begin},
                {a.bias ? a.bias + r * a.bias_across + begin : nullptr},
                a.bias != nullptr,
                m.keep ? m.keep + r * m.keep_across + begin * m.keep_along : nullptr,
                m.keep_along,
                a.slope ? a.slope[r * a.slope_across] : 0,
                m.limits.offset + m.query + r * m.query_across - begin};
    }
    TARN_INLINE static softmax_sink<A> sink_of(const call& a, std::ptrdiff_t r) noexcept {
        return {a.sink != nullptr, a.sink ? a.sink[r * a.sink_across] : 0};
    }
    // The results around a span, beside those in it, which are NaN together or not at all.
    template <class Sink>
    TARN_INLINE static void fill_around(Sink before, Sink after, std::ptrdiff_t columns, row_span s,
                                        number first) noexcept {
        const number value = first == first ? 0 : first;
        if (s.begin > 0)
            fill_row<A>(before, s.begin, value);
        if (s.end < columns)
            fill_row<A>(after, columns - s.end, value);
    }
    TARN_INLINE static void fill_around(number* y, std::ptrdiff_t columns, row_span s, number first) noexcept {
        fill_around(unit_sink<A>{y}, unit_sink<A>{y + s.end}, columns, s, first);
    }

    template <bool Stream> TARN_NOINLINE static void run_long(const call& a) noexcept {
        const logit_map<A, Mapped> map(a.mask);
        softmax_rows_state<A> state(scale_of(a.mask), a.mask.zero_empty_rows);
        number* const scratch = a.scratch ? first_buffered_row<A>(a.x, a.scratch) : nullptr;
        const bool may_guess = scratch || a.x != a.y;
        departing_row<A, Stream, mapped_source<A, normaliser<A>>> before(false);
        std::ptrdiff_t turn = 0;
        bool begun = false;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(a.mask, r, a.columns);
            const std::ptrdiff_t n = s.length();
            const softmax_sink<A> sink = sink_of(a, r);
            number* const y = a.y + r * a.y_across;
            if (n == 0) {
                fill_row<A>(unit_sink<A>{y}, a.columns, nothing_kept<A>(sink, state.empty_value));
                continue;
            }
            const source x = source_of(a, map, r, s.begin);
            if (!begun)
                guess_reference<A>(state, x, n);
            begun = true;
            if (may_guess && state.may_guess()) {
                const unit_sink<A> e{scratch ? scratch + turn % 2 * dispatch::buffered_row_size<number>(a.columns)
                                             : y + s.begin};
                const row_total<A> sum = state.with_weight([&](const auto& weight) TARN_LAMBDA {
                    row_total<A> total = weigh_row<A>(weight, x, e, n, before.beside());
                    sink.add(total, weight);
                    return total;
                });
                before.complete(n);
                if (acceptable<A>(sum)) {
                    const auto result = normaliser<A>::of(sum);
                    fill_around(y, a.columns, s, 0);
                    if (scratch)
                        before.start({e.p, result}, y + s.begin, n);
                    else
                        map_row_backwards<A>(e.source(), e, n, result.on());
                    turn ^= 1;
                    state.guessed_right(sum);
                    continue;
                }
                state.guessed_wrong();
            } else {
                before.complete(0);
            }
            careful_row<A, true>(state, x, unit_sink<A>{y + s.begin}, n, sink);
            fill_around(y, a.columns, s, y[s.begin]);
        }
        before.complete(0);
        if (Stream)
            simd::stream_fence<A>();
    }
    TARN_NOINLINE static void run_on_stack(call a) noexcept {
        alignas(64) number scratch[dispatch::buffered_scratch<number>(dispatch::stack_buffered_columns<number>)];
        a.scratch = scratch;
        run_long_as(a);
    }
    TARN_INLINE static void run_long_as(const call& a) noexcept {
        if (a.stream)
            run_long<true>(a);
        else
            run_long<false>(a);
    }

    // Rows that keep the same columns, or nearly: `span` holds what any of them keeps. It begins where a pair of packs
    // of the row does, so a row's bits do not depend on the others.
    TARN_NOINLINE static void run_tile(const call& a, const logit_map<A, Mapped>& map, std::ptrdiff_t first,
                                       std::ptrdiff_t rows, row_span span) noexcept {
        alignas(64) number logits[tile_size];
        const bool has_sink = a.sink != nullptr;
        if (has_sink)
            span.end = a.columns;
        const std::ptrdiff_t n = span.length() + has_sink;
        const std::ptrdiff_t pitch = pitch_of(n);
        const number masked = map.masked;
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            const row_span s = kept_span(a.mask, first + i, a.columns);
            number* const row = logits + i * pitch - span.begin;
            const row_span within = s.empty() ? row_span{span.end, span.end} : s;
            if (within.begin > span.begin)
                fill_row<A>(unit_sink<A>{row + span.begin}, within.begin - span.begin, masked);
            copy_row<A>(source_of(a, map, first + i, within.begin), unit_sink<A>{row + within.begin}, within.length());
            if (span.end > within.end)
                fill_row<A>(unit_sink<A>{row + within.end}, span.end - within.end, masked);
            if (has_sink)
                row[span.end] = sink_of(a, first + i).logit;
        }
        number* const y = a.y + first * a.y_across;
        const dispatch::softmax_rows<number> plain{logits,
                                                   has_sink ? logits : y + span.begin,
                                                   rows,
                                                   n,
                                                   pitch,
                                                   has_sink ? pitch : a.y_across,
                                                   scale_of(a.mask),
                                                   a.mask.zero_empty_rows,
                                                   a.stream && !has_sink,
                                                   nullptr,
                                                   0};
        a.short_rows(plain);
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            number* const row = y + i * a.y_across;
            if (has_sink)
                copy_row<A>(unit_source<A>{logits + i * pitch}, unit_sink<A>{row + span.begin}, span.length());
            fill_around(row, a.columns, span, row[span.begin]);
        }
    }
    TARN_NOINLINE static void run_short(const call& a) noexcept {
        const logit_map<A, Mapped> map(a.mask);
        constexpr std::ptrdiff_t pair = 2 * lanes<A>;
        const bool varied = a.mask.limits.causal || a.mask.limits.window > 0 || a.mask.keep;
        const std::ptrdiff_t fit = tile_size / pitch_of(a.columns + (a.sink != nullptr)) / lanes<A> * lanes<A>;
        const std::ptrdiff_t most = varied ? lanes<A> : fit;
        for (std::ptrdiff_t r = 0; r < a.rows;) {
            row_span all{a.columns, 0};
            std::ptrdiff_t rows = 0;
            for (; rows < most && r + rows < a.rows; ++rows) {
                const row_span s = kept_span(a.mask, r + rows, a.columns);
                if (s.empty())
                    continue;
                all = {s.begin < all.begin ? s.begin : all.begin, s.end > all.end ? s.end : all.end};
            }
            if (all.end > 0) {
                run_tile(a, map, r, rows, {all.begin / pair * pair, all.end});
            } else {
                for (std::ptrdiff_t i = r; i < r + rows; ++i)
                    fill_row<A>(unit_sink<A>{a.y + i * a.y_across}, a.columns,
                                nothing_kept<A>(sink_of(a, i), a.mask.zero_empty_rows ? 0 : __builtin_nanf("")));
            }
            r += rows;
        }
    }

    TARN_INLINE static void run(const call& a) noexcept {
        if (a.columns + (a.sink != nullptr) <= dispatch::short_masked_columns)
            run_short(a);
        else if (!a.scratch && a.may_use_stack && a.columns <= dispatch::stack_buffered_columns<number>)
            run_on_stack(a);
        else
            run_long_as(a);
    }

private:
    // A tile of the longest short rows.
    static constexpr std::ptrdiff_t tile_size = lanes<A> * dispatch::short_masked_columns;
    TARN_INLINE static std::ptrdiff_t pitch_of(std::ptrdiff_t n) noexcept {
        return (n + lanes<A> - 1) / lanes<A> * lanes<A>;
    }
};

// Rows of any type and stride that no buffer holds, taken carefully.
template <class A, bool Mapped> struct masked_stored_rows {
    using number = simd::number<A>;
    using rows = masked_rows<A, Mapped>;
    using call = dispatch::masked_softmax_stored<number>;

    TARN_INLINE static dispatch::stored_rows from(dispatch::stored_rows v, std::ptrdiff_t i) noexcept {
        v.data = v.data ? static_cast<char*>(v.data) + i * v.along * detail::size_of(v.type) : nullptr;
        return v;
    }
    TARN_INLINE static number number_of(const dispatch::stored_rows& v, std::ptrdiff_t r) noexcept {
        number value = 0;
        if (v.data)
            transfer<A, true>(v, r, &value, 1);
        return value;
    }
    TARN_NOINLINE static void run(const call& a) noexcept {
        const dispatch::mask_of_rows<number>& m = a.mask;
        const logit_map<A, Mapped> map(m);
        softmax_rows_state<A> state(rows::scale_of(m), m.zero_empty_rows);
        stored_buffer<A> in, added, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(m, r, a.columns);
            const softmax_sink<A> sink{a.sink.data != nullptr, number_of(a.sink, r)};
            const auto y = [&](std::ptrdiff_t i) TARN_LAMBDA { return any_sink<A>::of(from(a.y, i), r, out); };
            if (s.empty()) {
                fill_row<A>(y(0), a.columns, nothing_kept<A>(sink, state.empty_value));
                continue;
            }
            const masked_source<A, Mapped, any_source<A>> x{&map,
                                                            any_source<A>::of(from(a.x, s.begin), r, in),
                                                            any_source<A>::of(from(a.bias, s.begin), r, added),
                                                            a.bias.data != nullptr,
                                                            m.keep ? m.keep + r * m.keep_across + s.begin * m.keep_along
                                                                   : nullptr,
                                                            m.keep_along,
                                                            number_of(a.slope, r),
                                                            m.limits.offset + m.query + r * m.query_across - s.begin};
            const bool ordinary = careful_row<A, false>(state, x, y(s.begin), s.length(), sink);
            const number outside = ordinary || (state.last.sum == 0 && m.zero_empty_rows) ? 0 : __builtin_nanf("");
            rows::fill_around(y(0), y(s.end), a.columns, s, outside);
        }
    }
};

template <class A> struct masked_softmax {
    static void run(const dispatch::masked_softmax_rows<number<A>>& a) noexcept {
        if (is_mapped(a.mask, a.bias || a.slope || a.sink))
            masked_rows<A, true>::run(a);
        else
            masked_rows<A, false>::run(a);
    }
    static void run_stored(const dispatch::masked_softmax_stored<number<A>>& a) noexcept {
        if (is_mapped(a.mask, a.bias.data || a.slope.data || a.sink.data))
            masked_stored_rows<A, true>::run(a);
        else
            masked_stored_rows<A, false>::run(a);
    }

private:
    // The exponential of an element times 0 is not that of a masked one.
    TARN_INLINE static bool is_mapped(const dispatch::mask_of_rows<number<A>>& m, bool has_operands) noexcept {
        return has_operands || m.soft_cap > 0 || m.scale == 0;
    }
};

}}}} // namespace tarn::kernels
