// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of the part of each row that is kept, and zeros around it. Long rows one by one, two in flight; short ones in
// tiles by the kernel of plain softmax, which makes their logits on the way or finds them laid out.
#pragma once

#include <tarn/kernels/kept_rows.hpp>
#include <tarn/kernels/softmax_short_rows.hpp>
#include <tarn/kernels/stored_logits.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// What the results of a row are that keeps nothing, if those of an empty row are `value`.
template <class A> TARN_INLINE number<A> nothing_kept(softmax_sink<A> sink, number<A> value) noexcept {
    if (!sink.present || sink.logit == -infinity)
        return value;
    return sink.logit < infinity ? 0 : __builtin_nanf("");
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
    struct long_rows {
        const call& a;
        const logit_map<A> map;
        softmax_rows_state<A> state;
        bool begun = false;

        TARN_INLINE explicit long_rows(const call& call_) noexcept
            : a(call_), map(map_of(call_)), state(map.scale(), call_.mask.zero_empty_rows) {}

        // A span that is kept whole, as masks of padding leave it, needs no mask.
        TARN_INLINE logit_row<A> row_in(std::ptrdiff_t r, row_span s) const noexcept {
            logit_row<A> row = row_of(a, r, s.begin);
            if (row.keep && row.keep_along == 1 && simd::all_bytes_set<A>(row.keep, s.length()))
                row.keep = nullptr;
            return row;
        }

        TARN_INLINE number nothing(std::ptrdiff_t r) const noexcept {
            return nothing_kept<A>(sink_of(a, r), state.empty_value);
        }
        // The logits, unless they are the elements, come to where their weights will be.
        TARN_INLINE const number* logits_at(const logit_row<A>& row, number* z, std::ptrdiff_t n) const noexcept {
            if (map.copies(row))
                return row.x;
            map.make(row, z, n);
            return z;
        }
        template <class Beside>
        TARN_INLINE guessed_row<A> guess(std::ptrdiff_t r, row_span s, number* e, const Beside& beside) noexcept {
            const logit_row<A> row = row_in(r, s);
            const std::ptrdiff_t n = s.length();
            const softmax_sink<A> sink = sink_of(a, r);
            if (!begun)
                guess_reference<A>(state, unit_source<A>{logits_at(row, e, n < 4 * lanes<A> ? n : 4 * lanes<A>)}, n);
            begun = true;
            const auto weigh = [&](const auto& weight, const auto& source) TARN_LAMBDA {
                row_total<A> total = weigh_row<A>(weight, source, unit_sink<A>{e}, n, beside);
                sink.add(total, weight);
                return total;
            };
            row_total<A> sum;
            // Doubles have time to make their logits first.
            if (simd::is_double<A> || !map.may_be_fused(row) || !state.can_fold())
                sum = state.with_weight([&, z = unit_source<A>{logits_at(row, e, n)}](const auto& weight)
                                            TARN_LAMBDA { return weigh(weight, z); });
            else if (!row.bias)
                sum = weigh(state.folded(), logit_source<A, false, true>(map, row, a.stream));
            else if (!row.keep)
                sum = weigh(state.folded(), logit_source<A, true, false>(map, row, a.stream));
            else
                sum = weigh(state.folded(), logit_source<A, true, true>(map, row, a.stream));
            if (!acceptable<A>(sum))
                return {false, {}};
            state.guessed_right(sum);
            return {true, normaliser<A>::of(sum)};
        }
        TARN_INLINE void careful(std::ptrdiff_t r, row_span s, number* y) noexcept {
            const std::ptrdiff_t n = s.length();
            careful_row<A, true>(state, unit_source<A>{logits_at(row_in(r, s), y, n)}, unit_sink<A>{y}, n,
                                 sink_of(a, r));
        }
    };
    TARN_NOINLINE static void run_long(const call& a) noexcept {
        long_rows rows(a);
        run_kept_rows<A>(a, rows);
    }

    // Rows first..first+rows-1, of which the limits leave nothing outside `span`. It begins where a pair of packs of
    // the row does, so a row's bits do not depend on the others. Their logits are laid out from `z` on, `pitch` apart,
    // with a column for the sink if there is one, and become results there.
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
            fill_around<A>(y, a.columns, span, *from, false);
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
    // Short rows whose logits are made on the way to the kernel of plain softmax.
    template <class Rows> struct rows_in_turn {
        Rows rows;
        std::ptrdiff_t r;
        TARN_INLINE auto next() noexcept { return rows.source(r++); }
    };
    template <bool HasBias, bool HasKeep> struct rows_of_logits {
        const call& a;
        const logit_map<A>& map;
        std::ptrdiff_t first;

        TARN_INLINE tile_part part(std::ptrdiff_t) const noexcept { return {0, a.columns}; }
        TARN_INLINE logit_source<A, HasBias, HasKeep> source(std::ptrdiff_t r) const noexcept {
            return {map, row_of(a, first + r, 0), false};
        }
        TARN_INLINE rows_in_turn<rows_of_logits> from(std::ptrdiff_t r) const noexcept { return {*this, r}; }
    };
    // The same of rows with limits: a tile has the columns that are left of any of its rows. It begins where a pair of packs
    // of the row does, so a row's bits do not depend on the others.
    struct limited_rows {
        const call& a;
        const logit_map<A>& map;
        std::ptrdiff_t first, rows;

        TARN_INLINE row_span span(std::ptrdiff_t r) const noexcept {
            const std::ptrdiff_t some = rows - r < lanes<A> ? rows - r : lanes<A>;
            const row_span s = limited_span(a.mask, first + r, some, a.columns);
            constexpr std::ptrdiff_t pair = 2 * lanes<A>;
            return {s.begin / pair * pair, s.end};
        }
        TARN_INLINE tile_part part(std::ptrdiff_t r) const noexcept {
            const row_span s = span(r);
            return {s.begin, s.length()};
        }
        TARN_INLINE limited_source<A> source(std::ptrdiff_t r, std::ptrdiff_t begin) const noexcept {
            const row_span s = limited_span(a.mask, first + r, a.columns);
            return {a.x + (first + r) * a.x_across + begin, s.begin - begin, s.end - begin, map.masked()};
        }
        TARN_INLINE limited_source<A> source(std::ptrdiff_t r) const noexcept {
            return source(r, span(r / lanes<A> * lanes<A>).begin);
        }
        struct walk {
            const limited_rows& rows;
            std::ptrdiff_t r, begin;
            TARN_INLINE limited_source<A> next() noexcept { return rows.source(r++, begin); }
        };
        TARN_INLINE walk from(std::ptrdiff_t r) const noexcept { return {*this, r, span(r).begin}; }
    };
    // Doubles and SSE2 have time to make their logits first.
    static constexpr bool fuses_short_rows = !simd::is_double<A> && simd::exp2_traits<A>::is_compact;

    template <class Rows>
    TARN_INLINE static void run_fused(const call& a, const logit_map<A>& map, std::ptrdiff_t rows,
                                      const Rows& from) noexcept {
        run_short_rows<A, 0>({nullptr, a.y + from.first * a.y_across, rows, a.columns, 0, a.y_across, map.scale(),
                              a.mask.zero_empty_rows, false, nullptr, 0},
                             from);
    }
    TARN_INLINE static bool may_be_fused(const call& a) noexcept {
        return fuses_short_rows && !a.sink && a.columns > lanes<A>;
    }
    // Rows that keep something.
    TARN_INLINE static void run_fused([[maybe_unused]] const call& a, [[maybe_unused]] const logit_map<A>& map,
                                      [[maybe_unused]] std::ptrdiff_t first, std::ptrdiff_t rows) noexcept {
        if (rows == 0)
            return;
        if constexpr (fuses_short_rows) {
            if (!a.bias)
                run_fused(a, map, rows, rows_of_logits<false, true>{a, map, first});
            else if (!a.mask.keep)
                run_fused(a, map, rows, rows_of_logits<true, false>{a, map, first});
            else
                run_fused(a, map, rows, rows_of_logits<true, true>{a, map, first});
        }
    }
    TARN_INLINE static void fill_rows(const call& a, std::ptrdiff_t first, std::ptrdiff_t rows) noexcept {
        for (std::ptrdiff_t i = first; i < first + rows; ++i)
            fill_row<A>(unit_sink<A>{a.y + i * a.y_across}, a.columns,
                        nothing_kept<A>(sink_of(a, i), a.mask.zero_empty_rows ? 0 : __builtin_nanf("")));
    }
    // Rows with limits that keep something, and zeros around what is kept.
    TARN_INLINE static void run_limited([[maybe_unused]] const call& a, [[maybe_unused]] const logit_map<A>& map,
                                        [[maybe_unused]] std::ptrdiff_t first, std::ptrdiff_t rows) noexcept {
        if (rows == 0)
            return;
        if constexpr (fuses_short_rows) {
            const limited_rows from{a, map, first, rows};
            run_fused(a, map, rows, from);
            for (std::ptrdiff_t t = 0; t < rows; t += lanes<A>) {
                const row_span s = from.span(t);
                for (std::ptrdiff_t i = t; i < t + lanes<A> && i < rows; ++i) {
                    number* const y = a.y + (first + i) * a.y_across;
                    fill_around<A>(unit_sink<A>{y}, unit_sink<A>{y + s.end}, a.columns, s, y[s.begin]);
                }
            }
        }
    }
    // What limits leave of the rows of a tile.
    enum class kept { nothing, some, all };
    TARN_INLINE static kept kept_of(const call& a, std::ptrdiff_t first, std::ptrdiff_t rows) noexcept {
        const row_span most = limited_span(a.mask, first, rows, a.columns);
        const row_span s = limited_span(a.mask, first, a.columns);
        const row_span t = limited_span(a.mask, first + rows - 1, a.columns);
        const std::ptrdiff_t least = s.length() < t.length() ? s.length() : t.length();
        return most.empty() ? kept::nothing : least < a.columns ? kept::some : kept::all;
    }
    // Tiles of one kind are taken together.
    TARN_INLINE static void run_limited(const call& a, const logit_map<A>& map) noexcept {
        for (std::ptrdiff_t begin = 0, end = 0; begin < a.rows; begin = end) {
            const auto kind_from = [&](std::ptrdiff_t r) TARN_LAMBDA {
                return kept_of(a, r, a.rows - r < lanes<A> ? a.rows - r : lanes<A>);
            };
            const kept kind = kind_from(begin);
            do
                end = a.rows - end < lanes<A> ? a.rows : end + lanes<A>;
            while (end < a.rows && kind_from(end) == kind);
            if (kind == kept::nothing)
                fill_rows(a, begin, end - begin);
            else if (kind == kept::some && may_be_fused(a))
                run_limited(a, map, begin, end - begin);
            else if (kind == kept::some)
                run_tiles(a, map, begin, end);
            else
                a.short_rows({a.x + begin * a.x_across, a.y + begin * a.y_across, end - begin, a.columns, a.x_across,
                              a.y_across, map.scale(), a.mask.zero_empty_rows, a.stream, nullptr, 0});
        }
    }
    // Rows first .. last - 1 of any masks, a tile at a time; where their logits can be made on the way, together.
    TARN_NOINLINE static void run_tiles(const call& a, const logit_map<A>& map, std::ptrdiff_t first,
                                        std::ptrdiff_t last) noexcept {
        constexpr std::ptrdiff_t pair = 2 * lanes<A>;
        const bool limited = a.mask.limits.causal || a.mask.limits.window > 0;
        const bool fused = may_be_fused(a) && !limited && map.may_be_fused(row_of(a, 0, 0));
        const std::ptrdiff_t fit = tile_size / (a.columns + (a.sink != nullptr)) / lanes<A> * lanes<A>;
        const std::ptrdiff_t most = limited || fused || fit < lanes<A> ? lanes<A> : fit;
        std::ptrdiff_t waiting = 0; // rows before row r that are taken together
        for (std::ptrdiff_t r = first; r < last; r += most) {
            const std::ptrdiff_t rows = last - r < most ? last - r : most;
            row_span all{a.columns, 0};
            bool any = false;
            for (std::ptrdiff_t i = r; i < r + rows && (limited || !any); ++i) {
                const row_span s = limited_span(a.mask, i, a.columns);
                any = any || keeps_any(a, i, s);
                if (!s.empty())
                    all = {s.begin < all.begin ? s.begin : all.begin, s.end > all.end ? s.end : all.end};
            }
            const row_span span{all.begin / pair * pair, all.end};
            if (!any) {
                run_fused(a, map, r - waiting, waiting);
                waiting = 0;
            }
            if (any && fused) {
                waiting += rows;
            } else if (any && a.sink) {
                run_tile_with_sink(a, map, r, rows, span);
            } else if (any) {
                run_tile(a, map, r, rows, span, a.y + r * a.y_across, a.y_across);
            } else {
                fill_rows(a, r, rows);
            }
        }
        run_fused(a, map, last - waiting, waiting);
    }
    TARN_NOINLINE static void run_short(const call& a) noexcept {
        const logit_map<A> map = map_of(a);
        const bool limited = a.mask.limits.causal || a.mask.limits.window > 0;
        if (!map.copies() || a.sink)
            run_tiles(a, map, 0, a.rows);
        else if (limited)
            run_limited(a, map);
        else
            a.short_rows({a.x, a.y, a.rows, a.columns, a.x_across, a.y_across, map.scale(), a.mask.zero_empty_rows,
                          a.stream, nullptr, 0});
    }

    TARN_INLINE static void run(const call& a) noexcept {
        if (a.columns <= (a.sink ? dispatch::short_rows_with_sink - 1 : dispatch::short_row_columns))
            run_short(a);
        else
            kept_rows_on_stack<A, masked_rows, call>::run(a);
    }

private:
    // A tile of the longest rows with sinks; of others, what stays in L1.
    static constexpr std::ptrdiff_t tile_size = lanes<A> * dispatch::short_rows_with_sink;
};

// Rows of any type and stride that no buffer holds, taken carefully.
template <class A> struct masked_stored_rows {
    using number = simd::number<A>;
    using call = dispatch::masked_softmax_stored<number>;

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
            const stored_logits<A> x{&map,
                                     stored_from(a.x, r, s.begin),
                                     stored_from(a.bias, r, s.begin),
                                     row.from(s.begin),
                                     in.numbers,
                                     added.numbers};
            const bool ordinary = careful_row<A, false>(state, x, y(s.begin), s.length(), sink);
            const number outside = ordinary || (state.last.sum == 0 && m.zero_empty_rows) ? 0 : __builtin_nanf("");
            fill_around<A>(y(0), y(s.end), a.columns, s, outside);
        }
    }
};

}}}} // namespace tarn::kernels
