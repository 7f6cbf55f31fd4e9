// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of token pooling. What all tokens get alike is put together once; a token adds what its weight and its
// place give it, and what the extremes send to it.
#pragma once

#include <tarn/kernels/token_pool.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Counts and adds what takes part, without a look at the numbers.
template <class A> TARN_INLINE token_totals totals_of(const dispatch::token_span& span, bool weighted) noexcept {
    token_totals totals;
    kept_tokens kept(span);
    token_group group;
    while (kept.next(group)) {
        for (int r = 0; weighted && r < group.count; ++r)
            totals.weights.add(static_cast<double>(load_number<A>(span.weights, group.token[r])));
        totals.count += group.count;
    }
    return totals;
}

TARN_INLINE bool is_kept(const dispatch::token_span& span, std::ptrdiff_t token) noexcept {
    return !span.keep || span.keep[token * span.keep_along] != 0;
}

template <class A> struct token_pool_backward {
    using call_type = dispatch::token_pool_backward_call<number<A>>;
    static void run(const call_type& c) noexcept {
        gradients g(c);
        g.write_rows();
    }

private:
    // One of the extremes: what it sends, and the tokens that get it, as integers and as numbers.
    struct extreme {
        number<A>*gradient = nullptr, *place = nullptr, *near = nullptr;
        bool used = false;
    };
    // A sum of gradients.
    struct total {
        double* of = nullptr;
        bool used = false;
    };
    // Numbers that differ as integers do.
    static constexpr std::ptrdiff_t countable = std::ptrdiff_t{1} << 24;

    class gradients {
    public:
        TARN_INLINE explicit gradients(const call_type& c) noexcept
            : c_(c), parts_(dispatch::token_pool_parts::of(*c.poolings)), first_(first_kept(c.span)),
              last_(last_kept(c.span)) {
            if (first_ < 0)
                return;
            share_memory();
            totals_ = totals_of<A>(c.span, parts_.weighted);
            const double weights = totals_.weights.rounded();
            weighted_ = parts_.weighted && weights != 0;
            per_weight_ = weighted_ ? 1 / weights : 0;
            for (int k = 0; k < c.poolings->count; ++k)
                add_pooling(k, c.poolings->pooling[k]);
            if (parts_.greatest || parts_.least)
                find_places();
            if (plain())
                make_row(alike_row_, nothing(), 0);
        }
        gradients(const gradients&) = delete;
        gradients& operator=(const gradients&) = delete;

        TARN_INLINE void write_rows() noexcept {
            double rank = 0;
            for (std::ptrdiff_t token = 0; token < c_.span.tokens; ++token) {
                if (first_ < 0 || !is_kept(c_.span, token)) {
                    put_zeros(token);
                    continue;
                }
                rank += 1;
                if (plain() && !gets_more(token))
                    put(token, alike_row_);
                else
                    put_own(token, rank);
            }
        }

    private:
        TARN_INLINE void share_memory() noexcept {
            double* memory = memory_;
            // Whole cache lines.
            const std::ptrdiff_t channels = (c_.span.channels + 15) / 16 * 16;
            const std::ptrdiff_t numbers = channels * static_cast<std::ptrdiff_t>(sizeof(number<A>)) / 8;
            const auto take_total = [&](bool wanted, total& t) TARN_LAMBDA {
                t.of = memory;
                memory += wanted ? channels : 0;
            };
            const auto take = [&]() TARN_LAMBDA {
                number<A>* const here = reinterpret_cast<number<A>*>(memory);
                memory += numbers;
                return here;
            };
            const auto take_extreme = [&](bool wanted, extreme& e) TARN_LAMBDA {
                if (wanted)
                    e = {take(), take(), take(), false};
            };
            take_total(parts_.sums, alike_);
            take_total(parts_.weighted, by_weight_);
            take_total(parts_.positions, by_position_);
            take_total(parts_.cls, to_first_);
            take_total(parts_.last, to_last_);
            take_extreme(parts_.greatest, greatest_);
            take_extreme(parts_.least, least_);
            alike_row_ = take();
            own_row_ = take();
        }

        // What a token gets of each vector.
        struct share {
            double weight, position;
            bool first, last;
        };
        TARN_INLINE static share nothing() noexcept { return {0, 0, false, false}; }
        // Whether tokens get all the same, but for the first and the last.
        TARN_INLINE bool plain() const noexcept {
            return !weighted_ && !parts_.positions && !greatest_.used && !least_.used;
        }
        TARN_INLINE bool gets_more(std::ptrdiff_t token) const noexcept {
            return (to_first_.used && token == first_) || (to_last_.used && token == last_);
        }
        // Whether tokens get nothing but what one extreme sends.
        TARN_INLINE bool sends_alone(const extreme& e, const extreme& other) const noexcept {
            return e.used && !other.used && !weighted_ && !parts_.positions && !alike_.used;
        }

        TARN_INLINE void add_pooling(int k, token_pooling p) noexcept {
            const dispatch::stored_rows dy = stored_row(c_.dy, k);
            if (p == token_pooling::max)
                add_extreme(greatest_, dy);
            else if (p == token_pooling::min)
                add_extreme(least_, dy);
            else if (p == token_pooling::weighted_mean)
                add(by_weight_, dy, 1);
            else if (p == token_pooling::position_weighted_mean)
                add(by_position_, dy, 1);
            else if (p == token_pooling::cls)
                add(to_first_, dy, 1);
            else if (p == token_pooling::last)
                add(to_last_, dy, 1);
            else
                add(alike_, dy, totals_.divisor(p));
        }
        template <class F> TARN_INLINE void each_pack(const dispatch::stored_rows& row, const F& f) const noexcept {
            for (std::ptrdiff_t at = 0; at < c_.span.channels; at += lanes<A>) {
                const std::ptrdiff_t rest = c_.span.channels - at;
                alignas(64) number<A> few[lanes<A>] = {};
                transfer<A, true>(row, at, few, rest < lanes<A> ? rest : lanes<A>);
                f(at, simd::load<A>(few));
            }
        }
        TARN_NOINLINE void add(total& to, const dispatch::stored_rows& dy, double divisor) const noexcept {
            const auto by = simd::double_pack<A>::broadcast(divisor);
            each_pack(dy, [&](std::ptrdiff_t at, const pack<A>& v) TARN_LAMBDA {
                auto term = simd::double_pack<A>::of(v) / by;
                if (to.used)
                    term.add(simd::double_pack<A>::load(to.of + at));
                term.store(to.of + at);
            });
            to.used = true;
        }
        TARN_NOINLINE void add_extreme(extreme& e, const dispatch::stored_rows& dy) const noexcept {
            each_pack(dy, [&](std::ptrdiff_t at, const pack<A>& v) TARN_LAMBDA {
                simd::store<A>(e.gradient + at, e.used ? simd::load<A>(e.gradient + at) + v : v);
            });
            e.used = true;
        }

        // The tokens of the extremes: those that the call tells, or found in x.
        TARN_NOINLINE void find_places() noexcept {
            if (c_.arg.data) {
                int row = 0;
                for (int k = 0; k < c_.poolings->count; ++k) {
                    const token_pooling p = c_.poolings->pooling[k];
                    if (dispatch::pooling_list::has_index(p))
                        load_places(p == token_pooling::max ? greatest_ : least_, row++);
                }
                return;
            }
            dispatch::token_pool_parts extremes = {};
            extremes.greatest = parts_.greatest;
            extremes.least = parts_.least;
            // Half of what memory_ holds beside two extremes, which is three numbers for each and two rows.
            alignas(64) double memory[dispatch::token_pool_bytes / sizeof(double) / 2];
            token_buffer<A> buffer;
            token_accumulators<A> found(extremes, true, c_.span.channels, memory);
            accumulate_tokens<A>(c_.x, c_.span, extremes, c_.ahead, found, buffer);
            const auto copy = [&](extreme& e, token_pooling p) TARN_LAMBDA {
                if (e.used)
                    __builtin_memcpy(e.place, found.places_of(p),
                                     static_cast<std::size_t>(c_.span.channels) * sizeof(number<A>));
            };
            copy(greatest_, token_pooling::max);
            copy(least_, token_pooling::min);
        }
        TARN_INLINE void load_places(extreme& e, int row) const noexcept {
            for (std::ptrdiff_t i = 0; i < c_.span.channels; ++i) {
                const std::int64_t index = load_index(c_.arg, row * c_.arg.across + i * c_.arg.along);
                const auto place = static_cast<place_type<A>>(index < 0 ? -1 : index - c_.first_index);
                __builtin_memcpy(e.place + i, &place, sizeof place);
            }
        }
        // The places from a token on as numbers.
        TARN_NOINLINE void count_from(extreme& e, std::ptrdiff_t token) const noexcept {
            const std::ptrdiff_t channels = (c_.span.channels + lanes<A> - 1) / lanes<A> * lanes<A>;
            for (std::ptrdiff_t i = 0; i < channels; ++i) {
                place_type<A> place = -1;
                if (i < c_.span.channels)
                    __builtin_memcpy(&place, e.place + i, sizeof place);
                const std::ptrdiff_t away = place - token;
                e.near[i] = away >= 0 && away < countable ? static_cast<number<A>>(away) : number<A>(-1);
            }
        }

        TARN_NOINLINE void put_own(std::ptrdiff_t token, double rank) noexcept {
            share s = {0, 0, token == first_, token == last_};
            if (weighted_)
                s.weight = static_cast<double>(load_number<A>(c_.span.weights, token)) * per_weight_;
            if (parts_.positions)
                s.position = rank / totals_.positions();
            const std::ptrdiff_t from = token / countable * countable;
            if ((greatest_.used || least_.used) && from != counted_from_) {
                if (greatest_.used)
                    count_from(greatest_, from);
                if (least_.used)
                    count_from(least_, from);
                counted_from_ = from;
            }
            if (!gets_more(token) && sends_alone(greatest_, least_))
                return put_sent(token, greatest_, token - from);
            if (!gets_more(token) && sends_alone(least_, greatest_))
                return put_sent(token, least_, token - from);
            make_row(own_row_, s, token - from);
            put(token, own_row_);
        }
        TARN_INLINE void put_sent(std::ptrdiff_t token, const extreme& given, std::ptrdiff_t away) const noexcept {
            const extreme e = given;
            const auto here = static_cast<number<A>>(away);
            const auto zero = simd::broadcast<A>(0.0f);
            put_row(token, [&](std::ptrdiff_t at, int) TARN_LAMBDA { return sent(e, at, here, zero); });
        }
        TARN_NOINLINE void make_row(number<A>* row, const share& s, std::ptrdiff_t away) const noexcept {
            const auto here = static_cast<number<A>>(away);
            const auto zero = simd::broadcast<A>(0.0f);
            for (std::ptrdiff_t at = 0; at < c_.span.channels; at += lanes<A>) {
                auto v = alike_.used ? simd::double_pack<A>::load(alike_.of + at) : simd::double_pack<A>::zero();
                if (weighted_)
                    v = plus_product(v, by_weight_.of + at, s.weight);
                if (parts_.positions)
                    v = plus_product(v, by_position_.of + at, s.position);
                if (to_first_.used && s.first)
                    v.add(simd::double_pack<A>::load(to_first_.of + at));
                if (to_last_.used && s.last)
                    v.add(simd::double_pack<A>::load(to_last_.of + at));
                pack<A> r = simd::normal_or_zero<A>(v).to_numbers();
                if (greatest_.used)
                    r = r + sent(greatest_, at, here, zero);
                if (least_.used)
                    r = r + sent(least_, at, here, zero);
                simd::store<A>(row + at, r);
            }
        }
        TARN_INLINE static simd::double_pack<A> plus_product(const simd::double_pack<A>& v, const double* p,
                                                             double factor) noexcept {
            const auto term = simd::double_pack<A>::load(p);
            simd::double_pack<A> r;
            simd::unroll<simd::double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
                constexpr int I = decltype(i)::value;
                r.part[I] = simd::fmadd<A>(term.part[I], simd::doubles<A>(factor), v.part[I]);
            });
            return r;
        }
        TARN_INLINE static pack<A> sent(const extreme& e, std::ptrdiff_t at, number<A> here,
                                        const pack<A>& zero) noexcept {
            return simd::select_equal<A>(simd::load<A>(e.near + at), here, simd::load<A>(e.gradient + at), zero);
        }

        TARN_INLINE void put(std::ptrdiff_t token, const number<A>* row) const noexcept {
            put_row(token, [&](std::ptrdiff_t at, int) TARN_LAMBDA { return simd::load<A>(row + at); });
        }
        TARN_NOINLINE void put_zeros(std::ptrdiff_t token) const noexcept {
            put_row(token, [&](std::ptrdiff_t, int) TARN_LAMBDA { return simd::broadcast<A>(0.0f); });
        }
        template <class F> TARN_INLINE void put_row(std::ptrdiff_t token, const F& f) const noexcept {
            token_results<A>(c_.dx, token).put_all(c_.span.channels, f);
        }

        const call_type& c_;
        dispatch::token_pool_parts parts_;
        std::ptrdiff_t first_, last_;
        token_totals totals_;
        bool weighted_ = false;
        double per_weight_ = 0;
        std::ptrdiff_t counted_from_ = -1;
        total alike_, by_weight_, by_position_, to_first_, to_last_;
        extreme greatest_, least_;
        number<A>*alike_row_ = nullptr, *own_row_ = nullptr;
        alignas(64) double memory_[dispatch::token_pool_bytes / sizeof(double)];
    };
};

// The gradient in the weights of a weighted mean: (x_i . dy - y . dy) / sum w, where y . dy is the mean of x_i . dy.
template <class A> struct token_weights_backward {
    using call_type = dispatch::token_weights_call<number<A>>;

    static void run(const call_type& c) noexcept {
        // Products of the first tokens are kept, those of others are made twice.
        constexpr std::ptrdiff_t most = 1024;
        double product[most];
        const token_totals totals = totals_of<A>(c.span, true);
        const double weights = totals.weights.rounded();
        buffers b;
        scalar_sum sum;
        std::ptrdiff_t rank = 0;
        for (std::ptrdiff_t i = 0; i < c.span.tokens; ++i) {
            if (!is_kept(c.span, i))
                continue;
            const double p = product_of(c, i, b);
            if (rank < most)
                product[rank] = p;
            ++rank;
            sum.add(p * static_cast<double>(load_number<A>(c.span.weights, i)));
        }
        const double mean = sum.rounded() / weights;
        rank = 0;
        for (std::ptrdiff_t i = 0; i < c.span.tokens; ++i) {
            double r = 0;
            if (is_kept(c.span, i)) {
                const double p = rank < most ? product[rank] : product_of(c, i, b);
                ++rank;
                r = weights == 0 ? 0 : (p - mean) / weights;
            }
            constexpr double least = simd::is_double<A> ? 0x1p-1022 : 0x1p-126;
            number<A> narrow = static_cast<number<A>>(r < least && r > -least ? 0 : r);
            dispatch::stored_rows at = c.dw;
            at.data = static_cast<char*>(at.data) + i * at.along * detail::size_of(at.type);
            transfer<A, false>(at, 0, &narrow, 1);
        }
    }

private:
    static constexpr std::ptrdiff_t columns = token_buffer<A>::columns;
    struct buffers {
        alignas(64) number<A> x[columns];
        alignas(64) number<A> dy[columns];
    };
    TARN_INLINE static const number<A>* numbers_of(const dispatch::stored_rows& row, std::ptrdiff_t first,
                                                   std::ptrdiff_t n, number<A>* buffer) noexcept {
        if (is_direct<A>(row))
            return static_cast<const number<A>*>(row.data) + first;
        transfer<A, true>(row, first, buffer, n);
        return buffer;
    }
    TARN_NOINLINE static double product_of(const call_type& c, std::ptrdiff_t token, buffers& b) noexcept {
        const dispatch::stored_rows row = stored_row(c.x, token);
        auto sum = simd::sum_pack<A>::zero();
        for (std::ptrdiff_t first = 0; first < c.span.channels; first += columns) {
            const std::ptrdiff_t rest = c.span.channels - first;
            const std::ptrdiff_t n = rest < columns ? rest : columns;
            const number<A>* const x = numbers_of(row, first, n, b.x);
            for (int k = 0; k < c.poolings->count; ++k) {
                if (c.poolings->pooling[k] != token_pooling::weighted_mean)
                    continue;
                const number<A>* const dy = numbers_of(stored_row(c.dy, k), first, n, b.dy);
                std::ptrdiff_t i = 0;
                for (; i + lanes<A> <= n; i += lanes<A>)
                    sum.add_product(simd::load<A>(x + i), simd::load<A>(dy + i));
                if (i < n)
                    sum.add_product(simd::load_first<A>(x + i, static_cast<int>(n - i)),
                                    simd::load_first<A>(dy + i, static_cast<int>(n - i)));
            }
        }
        return sum.total();
    }
};

}}}} // namespace tarn::kernels
