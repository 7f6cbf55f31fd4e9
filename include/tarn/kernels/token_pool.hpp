// SPDX-License-Identifier: BSD-3-Clause
//
// Token pooling: the kept tokens of a sequence, read once a group at a time, go into what all poolings need; then every
// pooling writes its row.
#pragma once

#include <tarn/kernels/token_sums.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A sum of numbers that keeps what its additions lose.
struct scalar_sum {
    double high = 0, low = 0;

    TARN_INLINE void add(double v) noexcept {
        const double sum = high + v;
        const double v_rounded = sum - high;
        low += (high - (sum - v_rounded)) + (v - v_rounded);
        high = sum;
    }
    TARN_INLINE double rounded() const noexcept { return high - high == 0 ? high + low : high; }
};

// What is known of the tokens that take part once all have been seen.
struct token_totals {
    std::ptrdiff_t count = 0;
    scalar_sum weights;

    TARN_INLINE double positions() const noexcept {
        const auto n = static_cast<double>(count);
        return n * (n + 1) * 0.5;
    }
    // What a pooling divides its sum by.
    TARN_INLINE double divisor(token_pooling p) const noexcept {
        const auto n = static_cast<double>(count);
        switch (p) {
        case token_pooling::mean:
            return n;
        case token_pooling::mean_sqrt: {
            const __m128d v = _mm_set_sd(n);
            return _mm_cvtsd_f64(_mm_sqrt_sd(v, v));
        }
        case token_pooling::weighted_mean:
            return weights.rounded();
        case token_pooling::position_weighted_mean:
            return positions();
        default:
            return 1;
        }
    }
};

// What a kernel keeps of the channels: up to three sums and two extremes, with places or without.
template <class A> class token_accumulators {
public:
    TARN_INLINE token_accumulators(const dispatch::token_pool_parts& parts, bool with_places, std::ptrdiff_t channels,
                                   double* memory) noexcept
        : parts_(parts), with_places_(with_places) {
        const std::ptrdiff_t packs = (channels + lanes<A> - 1) / lanes<A>;
        const std::ptrdiff_t numbers = packs * (64 / static_cast<std::ptrdiff_t>(sizeof(double)));
        const auto take = [&](bool wanted, std::ptrdiff_t doubles) TARN_LAMBDA {
            double* const here = memory;
            memory += wanted ? doubles : 0;
            return here;
        };
        sums_ = take(parts.sums, packs * token_sum<A>::stored);
        weighted_ = take(parts.weighted, packs * token_sum<A>::stored);
        positions_ = take(parts.positions, packs * token_sum<A>::stored);
        greatest_ = reinterpret_cast<number<A>*>(take(parts.greatest, numbers));
        least_ = reinterpret_cast<number<A>*>(take(parts.least, numbers));
        greatest_at_ = reinterpret_cast<number<A>*>(take(parts.greatest && with_places, numbers));
        least_at_ = reinterpret_cast<number<A>*>(take(parts.least && with_places, numbers));
        const auto clear = [&](bool wanted, double* sums) TARN_LAMBDA {
            for (std::ptrdiff_t i = 0; wanted && i < packs * token_sum<A>::stored; i += lanes<A>)
                simd::double_pack<A>::zero().store(sums + i);
        };
        clear(parts.sums, sums_);
        clear(parts.weighted, weighted_);
        clear(parts.positions, positions_);
    }

    // Channels first..first+n-1 of a group of rows, which begins with token number `seen` of those that take part.
    TARN_INLINE void add(const token_numbers<A>& rows, const token_group& group, const double* weights,
                         std::ptrdiff_t seen, std::ptrdiff_t first, std::ptrdiff_t n) noexcept {
        const std::ptrdiff_t at = first / lanes<A> * token_sum<A>::stored;
        if (parts_.sums)
            add_tokens<A, false>(sums_ + at, rows, nullptr, n);
        if (parts_.weighted)
            add_tokens<A, true>(weighted_ + at, rows, weights, n);
        if (parts_.positions) {
            double position[tokens_of_group];
            for (int r = 0; r < rows.count; ++r)
                position[r] = static_cast<double>(seen + r + 1);
            add_tokens<A, true>(positions_ + at, rows, position, n);
        }
        if (parts_.greatest)
            take<true>(greatest_ + first, greatest_at_ + first, rows, group, seen, n);
        if (parts_.least)
            take<false>(least_ + first, least_at_ + first, rows, group, seen, n);
    }

    TARN_INLINE const double* sums_of(token_pooling p) const noexcept {
        return p == token_pooling::weighted_mean            ? weighted_
               : p == token_pooling::position_weighted_mean ? positions_
                                                            : sums_;
    }
    TARN_INLINE const number<A>* extremes_of(token_pooling p) const noexcept {
        return p == token_pooling::max ? greatest_ : least_;
    }
    TARN_INLINE const number<A>* places_of(token_pooling p) const noexcept {
        return p == token_pooling::max ? greatest_at_ : least_at_;
    }

private:
    template <bool Greatest>
    TARN_INLINE void take(number<A>* extremes, number<A>* places, const token_numbers<A>& rows,
                          const token_group& group, std::ptrdiff_t seen, std::ptrdiff_t n) noexcept {
        if (seen == 0)
            begin(extremes, places, rows.row[0], group.token[0], n);
        if (with_places_)
            take_extremes_with_places<A, Greatest>(extremes, places, rows, group, n);
        else
            take_extremes<A, Greatest>(extremes, rows, n);
    }
    TARN_NOINLINE void begin(number<A>* extremes, number<A>* places, const number<A>* row, std::ptrdiff_t token,
                             std::ptrdiff_t n) const noexcept {
        number<A> place;
        const auto index = static_cast<place_type<A>>(token);
        __builtin_memcpy(&place, &index, sizeof place);
        for (std::ptrdiff_t c = 0; c < n; c += lanes<A>) {
            simd::store<A>(extremes + c, load_lanes<A>(row + c, n - c < lanes<A> ? static_cast<int>(n - c) : lanes<A>));
            if (with_places_)
                simd::store<A>(places + c, simd::broadcast<A>(place));
        }
    }

    dispatch::token_pool_parts parts_;
    bool with_places_;
    double *sums_, *weighted_, *positions_;
    number<A>*greatest_, *least_, *greatest_at_, *least_at_;
};

// Reads the kept tokens into the accumulators.
template <class A>
TARN_INLINE token_totals accumulate_tokens(const dispatch::stored_rows& x, const dispatch::token_span& span,
                                           const dispatch::token_pool_parts& parts, bool ahead,
                                           token_accumulators<A>& accumulators, token_buffer<A>& buffer) noexcept {
    const bool direct = is_direct<A>(x);
    // Several poolings find in L1 what the first has read, and what comes next is asked for a part at a time.
    const std::ptrdiff_t width =
        direct && !ahead && parts.accumulators() < 2 ? span.channels : token_buffer<A>::columns;
    token_totals totals;
    kept_tokens kept(span);
    token_group group, next;
    token_lines lines;
    double weight[tokens_of_group] = {};
    for (bool more = kept.next(group); more; group = next) {
        more = kept.next(next);
        if (ahead && x.along == 1)
            lines.begin(x, more ? next : kept.behind(), span.channels);
        for (int r = 0; parts.weighted && r < group.count; ++r) {
            weight[r] = static_cast<double>(load_number<A>(span.weights, group.token[r]));
            totals.weights.add(weight[r]);
        }
        for (std::ptrdiff_t c = 0; c < span.channels; c += width) {
            const std::ptrdiff_t rest = span.channels - c;
            const std::ptrdiff_t n = rest < width ? rest : width;
            lines.ask<A>(tokens_of_group * n * detail::size_of(x.type));
            accumulators.add(direct ? rows_in_place<A>(x, group, c) : rows_converted<A>(x, group, c, n, buffer), group,
                             weight, totals.count, c, n);
        }
        totals.count += group.count;
    }
    return totals;
}

// One row of results, a pack at a time.
template <class A> class token_results {
public:
    TARN_INLINE token_results(const dispatch::stored_rows& y, std::ptrdiff_t row) noexcept
        : row_(stored_row(y, row)), direct_(is_direct<A>(y)) {}

    TARN_INLINE void put(std::ptrdiff_t c, const pack<A>& v, int n) const noexcept {
        if (direct_) {
            number<A>* const to = static_cast<number<A>*>(row_.data) + c;
            if (n == lanes<A>)
                simd::store<A>(to, v);
            else
                simd::store_first<A>(to, v, n);
        } else {
            alignas(64) number<A> few[lanes<A>];
            simd::store<A>(few, v);
            transfer<A, false>(row_, c, few, n);
        }
    }
    template <class F> TARN_INLINE void put_all(std::ptrdiff_t channels, const F& f) const noexcept {
        std::ptrdiff_t c = 0;
        for (number<A>* to = static_cast<number<A>*>(row_.data); direct_ && c + lanes<A> <= channels; c += lanes<A>)
            simd::store<A>(to + c, f(c, lanes<A>));
        for (; c < channels; c += lanes<A>) {
            const int n = channels - c < lanes<A> ? static_cast<int>(channels - c) : lanes<A>;
            put(c, f(c, n), n);
        }
    }

private:
    dispatch::stored_rows row_;
    bool direct_;
};

template <class A> struct token_pool {
    using call_type = dispatch::token_pool_call<number<A>>;

    static void run(const call_type& c) noexcept {
        const auto parts = dispatch::token_pool_parts::of(*c.poolings);
        alignas(64) double memory[dispatch::token_pool_bytes / sizeof(double)];
        token_buffer<A> buffer;
        token_accumulators<A> accumulators(parts, c.arg.data != nullptr, c.span.channels, memory);
        token_totals totals;
        if (parts.accumulators() > 0)
            totals = accumulate_tokens<A>(c.x, c.span, parts, c.ahead, accumulators, buffer);
        const std::ptrdiff_t first = first_kept(c.span);
        int indexed = 0;
        for (int k = 0; k < c.poolings->count; ++k) {
            const token_pooling p = c.poolings->pooling[k];
            const token_results<A> y(c.y, k);
            if (first < 0)
                fill(y, c);
            else if (p == token_pooling::cls || p == token_pooling::last)
                copy(y, c, p == token_pooling::cls ? first : last_kept(c.span));
            else if (dispatch::pooling_list::has_index(p))
                put_extremes(y, c, accumulators.extremes_of(p));
            else
                put_sums(y, c, accumulators.sums_of(p), totals.divisor(p));
            if (c.arg.data && dispatch::pooling_list::has_index(p))
                put_indices(c, indexed++, first < 0 ? nullptr : accumulators.places_of(p));
        }
    }

private:
    TARN_NOINLINE static void fill(const token_results<A>& y, const call_type& c) noexcept {
        y.put_all(c.span.channels, [&](std::ptrdiff_t, int) TARN_LAMBDA { return simd::broadcast<A>(c.empty_value); });
    }
    TARN_NOINLINE static void copy(const token_results<A>& y, const call_type& c, std::ptrdiff_t token) noexcept {
        const dispatch::stored_rows row = stored_row(c.x, token);
        y.put_all(c.span.channels, [&](std::ptrdiff_t at, int n) TARN_LAMBDA {
            alignas(64) number<A> few[lanes<A>] = {};
            transfer<A, true>(row, at, few, n);
            return simd::load<A>(few);
        });
    }
    TARN_NOINLINE static void put_extremes(const token_results<A>& y, const call_type& c,
                                           const number<A>* extremes) noexcept {
        y.put_all(c.span.channels, [&](std::ptrdiff_t at, int) TARN_LAMBDA { return simd::load<A>(extremes + at); });
    }
    TARN_NOINLINE static void put_sums(const token_results<A>& y, const call_type& c, const double* sums,
                                       double divisor) noexcept {
        if (divisor == 0)
            return fill(y, c);
        const auto by = simd::double_pack<A>::broadcast(divisor);
        y.put_all(c.span.channels, [&](std::ptrdiff_t at, int) TARN_LAMBDA {
            const auto sum = token_sum<A>::load(sums + at / lanes<A> * token_sum<A>::stored);
            return simd::normal_or_zero<A>(rounded<A>(sum) / by).to_numbers();
        });
    }
    // places: null for none.
    TARN_NOINLINE static void put_indices(const call_type& c, int row, const number<A>* places) noexcept {
        for (std::ptrdiff_t i = 0; i < c.span.channels; ++i) {
            std::int64_t index = -1;
            if (places) {
                place_type<A> place;
                __builtin_memcpy(&place, places + i, sizeof place);
                index = c.first_index + place;
            }
            const std::ptrdiff_t at = row * c.arg.across + i * c.arg.along;
            store_index(c.arg, at, index);
        }
    }
};

}}}} // namespace tarn::kernels
