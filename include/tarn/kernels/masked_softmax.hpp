// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of the part of each row that is kept, and zeros around it. Long rows one by one, two in flight; short ones in
// tiles, whose logits are laid out for the kernel of plain softmax.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/masked_logits.hpp>
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

template <class A> struct masked_rows {
    using number = simd::number<A>;
    using call = dispatch::masked_softmax_rows<number>;

    TARN_INLINE static logit_map<A> map_of(const call& a) noexcept {
        return {a.mask, a.bias != nullptr, a.slope != nullptr, a.sink != nullptr};
    }
    // Row r from element `begin` on.
    TARN_INLINE static logit_row<A> row_of(const call& a, std::ptrdiff_t r, std::ptrdiff_t begin) noexcept {
        const dispatch::mask_of_rows<number>& m = a.mask;
        const logit_row<A> whole{a.x + r * a.x_across,
                                 a.bias ? a.bias + r * a.bias_across : nullptr,
                                 m.keep ? m.keep + r * m.keep_across : nullptr,
                                 m.keep_along,
                                 a.slope ? a.slope[r * a.slope_across] : 0,
                                 m.limits.offset + m.query + r * m.query_across};
        return whole.from(begin);
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

    // Guesses the reference of the first row from its start, with `buffer` for its logits.
    TARN_INLINE static void guess_from(softmax_rows_state<A>& state, const logit_map<A>& map, const logit_row<A>& row,
                                       number* buffer, std::ptrdiff_t n) noexcept {
        if (!map.copies())
            map.make(row, buffer, n < 4 * lanes<A> ? n : 4 * lanes<A>);
        guess_reference<A>(state, unit_source<A>{map.copies() ? row.x : buffer}, n);
    }
    template <bool Stream> TARN_NOINLINE static void run_long(const call& a) noexcept {
        const logit_map<A> map = map_of(a);
        softmax_rows_state<A> state(map.scale(), a.mask.zero_empty_rows);
        number* const scratch = a.scratch ? first_buffered_row<A>(a.x, a.scratch) : nullptr;
        const bool may_guess = scratch || a.x != a.y;
        departing_row<A, Stream, mapped_source<A, normaliser<A>>> before(false);
        // Doubles, and rows that leave by non-temporal stores, have time to make their logits first.
        const bool fuses = !Stream && !simd::is_double<A> && map.may_be_fused(a.bias, a.mask);
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
            const logit_row<A> row = row_of(a, r, s.begin);
            // The logits, unless they are the elements, come to where their weights will be.
            const auto logits_at = [&](number* z) TARN_LAMBDA {
                if (map.copies())
                    return row.x;
                map.make(row, z, n);
                return static_cast<const number*>(z);
            };
            if (may_guess && state.may_guess()) {
                number* const e =
                    scratch ? scratch + turn % 2 * dispatch::buffered_row_size<number>(a.columns) : y + s.begin;
                if (!begun)
                    guess_from(state, map, row, e, n);
                begun = true;
                const auto add_sink = [&](row_total<A> total, const auto& weight) TARN_LAMBDA {
                    sink.add(total, weight);
                    return total;
                };
                const auto weigh = [&](const auto& weight, const auto& source) TARN_LAMBDA {
                    return add_sink(weigh_row<A>(weight, source, unit_sink<A>{e}, n, before.beside()), weight);
                };
                row_total<A> sum;
                if (!fuses || !state.can_fold())
                    sum = state.with_weight([&, z = unit_source<A>{logits_at(e)}](const auto& weight)
                                                TARN_LAMBDA { return weigh(weight, z); });
                else if (!a.bias)
                    sum = weigh(state.folded(), logit_source<A, false, true>(map, row));
                else if (!a.mask.keep)
                    sum = weigh(state.folded(), logit_source<A, true, false>(map, row));
                else
                    sum = weigh(state.folded(), logit_source<A, true, true>(map, row));
                before.complete(n);
                if (acceptable<A>(sum)) {
                    const auto result = normaliser<A>::of(sum);
                    fill_around(y, a.columns, s, 0);
                    if (scratch)
                        before.start({e, result}, y + s.begin, n);
                    else
                        map_row_backwards<A>(unit_source<A>{e}, unit_sink<A>{e}, n, result.on());
                    turn ^= 1;
                    state.guessed_right(sum);
                    continue;
                }
                state.guessed_wrong();
            } else {
                before.complete(0);
            }
            careful_row<A, true>(state, unit_source<A>{logits_at(y + s.begin)}, unit_sink<A>{y + s.begin}, n, sink);
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

    // Rows first..first+rows-1, of which the limits leave nothing outside `span`. It begins where a pair of packs of the
    // row does, so a row's bits do not depend on the others. Their logits are laid out from `z` on, `pitch` apart, with a
    // column for the sink if there is one, and become results there.
    TARN_NOINLINE static void run_tile(const call& a, const logit_map<A>& map, std::ptrdiff_t first,
                                       std::ptrdiff_t rows, row_span span, number* z, std::ptrdiff_t pitch) noexcept {
        const bool limited = a.mask.limits.causal || a.mask.limits.window > 0;
        // Rows without a gap in any operand are one long row, if their elements know no distance.
        const auto follows = [&](const void* operand, std::ptrdiff_t across)
                                 TARN_LAMBDA { return !operand || across == a.columns; };
        const bool joined = pitch == a.columns && follows(a.x, a.x_across) && follows(a.bias, a.bias_across) &&
                            follows(a.mask.keep, a.mask.keep_across) && (!a.mask.keep || a.mask.keep_along == 1) &&
                            !a.slope;
        if (joined)
            map.make(row_of(a, first, 0), z, rows * pitch);
        for (std::ptrdiff_t i = 0; i < rows && (limited || !joined); ++i) {
            number* const row = z + i * pitch;
            if (!joined)
                map.make(row_of(a, first + i, span.begin), row + span.begin, span.length());
            const row_span s = limited_span(a.mask, first + i, a.columns);
            const std::ptrdiff_t begin = s.empty() ? span.end : s.begin;
            if (begin > span.begin)
                fill_row<A>(unit_sink<A>{row + span.begin}, begin - span.begin, map.masked());
            if (span.end > s.end && !s.empty())
                fill_row<A>(unit_sink<A>{row + s.end}, span.end - s.end, map.masked());
            if (a.sink)
                row[a.columns] = sink_of(a, first + i).logit;
        }
        const std::ptrdiff_t n = a.sink ? a.columns + 1 - span.begin : span.length();
        a.short_rows({z + span.begin, z + span.begin, rows, n, pitch, pitch, map.scale(), a.mask.zero_empty_rows, false,
                      nullptr, 0});
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            const number* const from = z + i * pitch + span.begin;
            number* const y = a.y + (first + i) * a.y_across;
            if (from != y + span.begin)
                copy_row<A>(unit_source<A>{from}, unit_sink<A>{y + span.begin}, span.length());
            fill_around(y, a.columns, span, *from);
        }
    }
    TARN_NOINLINE static void run_tile_with_sink(const call& a, const logit_map<A>& map, std::ptrdiff_t first,
                                                 std::ptrdiff_t rows, row_span span) noexcept {
        alignas(64) number logits[tile_size];
        run_tile(a, map, first, rows, {span.begin, a.columns}, logits, a.columns + 1);
    }
    // Whether anything of a row is kept.
    TARN_INLINE static bool keeps_any(const call& a, std::ptrdiff_t r, row_span s) noexcept {
        const dispatch::mask_of_rows<number>& m = a.mask;
        return !s.empty() && (!m.keep || simd::first_byte(m.keep + r * m.keep_across + s.begin * m.keep_along,
                                                          m.keep_along, s.length()) < s.length());
    }
    TARN_NOINLINE static void run_short(const call& a) noexcept {
        const logit_map<A> map = map_of(a);
        constexpr std::ptrdiff_t pair = 2 * lanes<A>;
        const bool limited = a.mask.limits.causal || a.mask.limits.window > 0;
        if (map.copies() && !limited && !a.sink) {
            a.short_rows({a.x, a.y, a.rows, a.columns, a.x_across, a.y_across, map.scale(), a.mask.zero_empty_rows,
                          a.stream, nullptr, 0});
            return;
        }
        const std::ptrdiff_t fit = tile_size / (a.columns + (a.sink != nullptr)) / lanes<A> * lanes<A>;
        const std::ptrdiff_t most = limited || fit < lanes<A> ? lanes<A> : fit;
        for (std::ptrdiff_t r = 0; r < a.rows; r += most) {
            const std::ptrdiff_t rows = a.rows - r < most ? a.rows - r : most;
            row_span all{a.columns, 0};
            bool any = false;
            for (std::ptrdiff_t i = r; i < r + rows && (limited || !any); ++i) {
                const row_span s = limited_span(a.mask, i, a.columns);
                any = any || keeps_any(a, i, s);
                if (!s.empty())
                    all = {s.begin < all.begin ? s.begin : all.begin, s.end > all.end ? s.end : all.end};
            }
            if (any) {
                const row_span span{all.begin / pair * pair, all.end};
                if (a.sink)
                    run_tile_with_sink(a, map, r, rows, span);
                else
                    run_tile(a, map, r, rows, span, a.y + r * a.y_across, a.y_across);
                continue;
            }
            for (std::ptrdiff_t i = r; i < r + rows; ++i)
                fill_row<A>(unit_sink<A>{a.y + i * a.y_across}, a.columns,
                            nothing_kept<A>(sink_of(a, i), a.mask.zero_empty_rows ? 0 : __builtin_nanf("")));
        }
    }

    TARN_INLINE static void run(const call& a) noexcept {
        if (a.columns <= (a.sink ? dispatch::short_rows_with_sink - 1 : dispatch::short_row_columns))
            run_short(a);
        else if (!a.scratch && a.may_use_stack && a.columns <= dispatch::stack_buffered_columns<number>)
            run_on_stack(a);
        else
            run_long_as(a);
    }

private:
    // A tile of the longest rows with sinks; of others, what stays in L1.
    static constexpr std::ptrdiff_t tile_size = lanes<A> * dispatch::short_rows_with_sink;
};

// Row r of a stored operand from element i on.
TARN_INLINE dispatch::stored_rows stored_from(dispatch::stored_rows v, std::ptrdiff_t r, std::ptrdiff_t i) noexcept {
    if (v.data)
        v.data = static_cast<char*>(v.data) + (r * v.across + i * v.along) * detail::size_of(v.type);
    return v;
}

// Rows of any type and stride that no buffer holds, taken carefully.
template <class A> struct masked_stored_rows {
    using number = simd::number<A>;
    using call = dispatch::masked_softmax_stored<number>;

    // The logits of a row, made four packs at a time in the order of reading of any_source.
    struct source {
        const logit_map<A>* map;
        dispatch::stored_rows x, bias; // of the row
        logit_row<A> row;              // the rest; its numbers are in the buffers below
        number *logits, *added;

        TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept { make(i, 4 * lanes<A>); }
        TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return simd::load<A>(logits + i % (4 * lanes<A>)); }
        TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
            make(i, n);
            return simd::load_first<A>(logits, n);
        }

    private:
        TARN_NOINLINE void make(std::ptrdiff_t i, std::ptrdiff_t n) const noexcept {
            transfer<A, true>(x, i, logits, n);
            logit_row<A> part = row.from(i);
            part.x = logits;
            part.bias = nullptr;
            if (bias.data) {
                transfer<A, true>(bias, i, added, n);
                part.bias = added;
            }
            map->make(part, logits, n);
        }
    };
    TARN_INLINE static number number_of(const dispatch::stored_rows& v, std::ptrdiff_t r) noexcept {
        number value = 0;
        if (v.data)
            transfer<A, true>(v, r, &value, 1);
        return value;
    }
    TARN_NOINLINE static void run(const call& a) noexcept {
        const dispatch::mask_of_rows<number>& m = a.mask;
        const logit_map<A> map(m, a.bias.data != nullptr, a.slope.data != nullptr, a.sink.data != nullptr);
        softmax_rows_state<A> state(map.scale(), m.zero_empty_rows);
        stored_buffer<A> in, added, out;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(m, r, a.columns);
            const softmax_sink<A> sink{a.sink.data != nullptr, number_of(a.sink, r)};
            const auto y = [&](std::ptrdiff_t i)
                               TARN_LAMBDA { return any_sink<A>::of(stored_from(a.y, r, i), 0, out); };
            if (s.empty()) {
                fill_row<A>(y(0), a.columns, nothing_kept<A>(sink, state.empty_value));
                continue;
            }
            const logit_row<A> row{nullptr,
                                   nullptr,
                                   m.keep ? m.keep + r * m.keep_across : nullptr,
                                   m.keep_along,
                                   number_of(a.slope, r),
                                   m.limits.offset + m.query + r * m.query_across};
            const source x{&map,
                           stored_from(a.x, r, s.begin),
                           stored_from(a.bias, r, s.begin),
                           row.from(s.begin),
                           in.numbers,
                           added.numbers};
            const bool ordinary = careful_row<A, false>(state, x, y(s.begin), s.length(), sink);
            const number outside = ordinary || (state.last.sum == 0 && m.zero_empty_rows) ? 0 : __builtin_nanf("");
            masked_rows<A>::fill_around(y(0), y(s.end), a.columns, s, outside);
        }
    }
};

}}}} // namespace tarn::kernels
