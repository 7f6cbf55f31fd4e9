// SPDX-License-Identifier: BSD-3-Clause
//
// Bipartite soft matching: every token of even position finds the most similar of odd position, and those with the
// most similar partners join them.
#pragma once

#include <tarn/kernels/best_match.hpp>
#include <tarn/kernels/index_sort.hpp>
#include <tarn/kernels/plan_slots.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

constexpr double no_similarity = -3;

// What is known of even tokens while a plan is made, in the memory of the plan itself: with r of n tokens to merge, r
// at most n / 2, it has room for two numbers of 32 bits for every token and two for every even one.
class match_list {
public:
    TARN_INLINE explicit match_list(const plan_arrays& p) noexcept
        : p_(p), evens_((p.tokens + 1) / 2), odds_(p.tokens / 2) {}

    std::ptrdiff_t evens() const noexcept { return evens_; }
    std::ptrdiff_t odds() const noexcept { return odds_; }

    // The partner of even token i, as its place among the odd ones.
    TARN_INLINE std::int32_t& partner(std::ptrdiff_t i) const noexcept {
        return i < odds_ ? p_.order[evens_ + i] : p_.assign[evens_];
    }
    TARN_INLINE double similarity(std::ptrdiff_t i) const noexcept {
        const std::int32_t words[2] = {p_.order[i], p_.assign[i]};
        double v;
        __builtin_memcpy(&v, words, sizeof v);
        return v;
    }
    TARN_INLINE void set_similarity(std::ptrdiff_t i, double v) const noexcept {
        std::int32_t words[2];
        __builtin_memcpy(words, &v, sizeof v);
        p_.order[i] = words[0];
        p_.assign[i] = words[1];
    }
    TARN_INLINE void set(std::ptrdiff_t i, const best_column& best, std::int32_t otherwise) const noexcept {
        partner(i) = best.column < 0 ? otherwise : static_cast<std::int32_t>(best.column);
        set_similarity(i, best.column < 0 ? no_similarity : best.similarity);
    }
    // Room for a list of even tokens; a second one.
    std::int32_t* list() const noexcept { return p_.rep; }
    std::int32_t* other_list() const noexcept { return p_.offsets; }

private:
    const plan_arrays& p_;
    std::ptrdiff_t evens_, odds_;
};

// The even tokens first..evens-1, the most similar to their partner first, the first of equal ones before the others.
// Returns the list.
template <class A> TARN_NOINLINE std::int32_t* rank_matches(const match_list& of, std::ptrdiff_t first) noexcept {
    std::int32_t* const list = of.list();
    const std::ptrdiff_t n = of.evens() - first;
    for (std::ptrdiff_t i = 0; i < n; ++i)
        list[i] = static_cast<std::int32_t>(first + i);
    return sort_indices(list, of.other_list(), n, [&](std::int32_t i, std::int32_t j) TARN_LAMBDA {
        return of.similarity(i) > of.similarity(j);
    });
}

template <class A> class tome {
public:
    using number = simd::number<A>;
    using call = dispatch::tome_call<number>;

    static void run(const call& a) noexcept {
        const match_list matches(a.plan);
        if (a.scratch)
            match(a, matches, a.scratch);
        else if (dispatch::tome_scratch<number>(a.plan.tokens, a.width) <= dispatch::tome_stack<number>)
            match_on_stack(a, matches);
        else
            match_unbuffered(a, matches);
    }

private:
    static constexpr int L = lanes<A>;
    static constexpr int exact_rows = exact_tile_rows<A>;
    static constexpr std::int32_t not_finite = -2; // in the place of a partner

    // Where a token without any similarity goes: the first odd one that is not protected.
    TARN_INLINE static std::int32_t otherwise(const call& a) noexcept { return a.distillation_token ? 1 : 0; }
    TARN_INLINE static bool may_be_chosen(const call& a, std::ptrdiff_t column) noexcept {
        return column > 0 || !a.distillation_token;
    }

    TARN_NOINLINE static void match_on_stack(const call& a, const match_list& matches) noexcept {
        alignas(64) number scratch[dispatch::tome_stack<number>];
        match(a, matches, scratch);
    }
    // Unit vectors of all tokens in the scratch, then tiles of them.
    TARN_NOINLINE static void match(const call& a, const match_list& matches, number* scratch) noexcept {
        const std::ptrdiff_t width = a.width;
        const std::ptrdiff_t panels = (matches.odds() + L - 1) / L;
        number* const rows = scratch;
        number* const start = rows + (matches.evens() * width + L - 1) / L * L;
        number* const columns = start + panels * L;
        number* const some = columns + panels * width * L;
        const std::ptrdiff_t odds = matches.odds();
        const std::ptrdiff_t evens = matches.evens();
        bool finite[L];
        for (std::ptrdiff_t i = 0; i < evens; i += L) {
            const int count = evens - i < L ? static_cast<int>(evens - i) : L;
            unit_rows(a, 2 * i, count, rows + i * width, finite);
            for (int l = 0; l < count; ++l)
                matches.partner(i + l) = finite[l] ? 0 : not_finite;
        }
        for (std::ptrdiff_t p = 0; p < panels; ++p) {
            const int count = odds - p * L < L ? static_cast<int>(odds - p * L) : L;
            unit_rows(a, 2 * p * L + 1, count, some, finite);
            for (int l = 0; l < L; ++l) {
                const bool chosen = l < count && finite[l] && may_be_chosen(a, p * L + l);
                start[p * L + l] = chosen ? 0 : column_panels<A>::excluded;
                for (std::ptrdiff_t k = 0; k < width && !chosen; ++k)
                    some[l * width + k] = 0;
            }
            simd::transpose_rows<A>(some, width, width, columns + p * width * L);
        }
        const column_panels<A> b{columns, start, matches.odds(), width};
        if constexpr (!simd::is_double<A>)
            match_in_floats(a, matches, rows, b);
        else
            match_exactly(a, matches, rows, b, nullptr, matches.evens());
        if constexpr (simd::is_double<A>)
            merge(a, matches, rank(a, matches));
        else
            merge(a, matches, rank_in_floats(a, matches, rows, b));
    }
    // The unit vectors of every second of the tokens from `first` on, up to a pack's lanes of them; 0 where a token is
    // not finite. Lengths first: they take long, and do not depend on each other.
    TARN_NOINLINE static void unit_rows(const call& a, std::ptrdiff_t first, int count, number* to,
                                        bool (&finite)[L]) noexcept {
        stored_buffer<A> buffer;
        unit_scale scale[L];
        for (int l = 0; l < count; ++l) {
            with_row<A>(a.metric, first + 2 * l, buffer,
                        [&](const auto& x) TARN_LAMBDA { scale[l] = unit_scale::of<A>(x, a.width); });
            finite[l] = scale[l].finite;
        }
        for (int l = 0; l < count; ++l) {
            with_row<A>(a.metric, first + 2 * l, buffer, [&](const auto& x) TARN_LAMBDA {
                unit_elements(x, a.width, scale[l], {0, a.width}, to + l * a.width);
            });
        }
    }

    struct span {
        std::ptrdiff_t begin, end;
    };

    // Elements of unit vectors of a panel's columns.
    TARN_NOINLINE static void fill_panel(const call& a, std::ptrdiff_t p, std::ptrdiff_t odds, span elements,
                                         number* start, number* panel, stored_buffer<A>& buffer) noexcept {
        const std::ptrdiff_t n = elements.end - elements.begin;
        for (int l = 0; l < L; ++l) {
            const std::ptrdiff_t column = p * L + l;
            bool finite = column < odds && may_be_chosen(a, column);
            if (finite) {
                with_row<A>(a.metric, 2 * column + 1, buffer, [&](const auto& x) TARN_LAMBDA {
                    const unit_scale scale = unit_scale::of<A>(x, a.width);
                    finite = scale.finite;
                    if (!finite)
                        return;
                    each_pack<A>(x, a.width, [&](std::ptrdiff_t k, const pack<A>& v, int count) TARN_LAMBDA {
                        if (k < elements.begin || k >= elements.end)
                            return;
                        alignas(64) number unit[L];
                        simd::store<A>(unit, scale.operator()<A>(v));
                        for (int e = 0; e < count; ++e)
                            panel[(k - elements.begin + e) * L + l] = unit[e];
                    });
                });
            }
            start[l] = finite ? 0 : column_panels<A>::excluded;
            for (std::ptrdiff_t k = 0; k < n && !finite; ++k)
                panel[k * L + l] = 0;
        }
    }

    // Most rows by sums in float.
    TARN_NOINLINE static void match_in_floats(const call& a, const match_list& matches, const number* rows,
                                              const column_panels<A>& b) noexcept {
        constexpr int R = product_tile_rows<A>;
        const std::ptrdiff_t evens = matches.evens();
        std::int32_t* const undecided = matches.list();
        std::ptrdiff_t undecided_count = 0;
        for (std::ptrdiff_t i = 0; i < evens; i += R) {
            const number* row[R];
            float_match match[R];
            for (int r = 0; r < R; ++r)
                row[r] = rows + (i + r < evens ? i + r : evens - 1) * b.width;
            float_best<A, R>(row, b, match);
            for (int r = 0; r < R && i + r < evens; ++r) {
                const std::ptrdiff_t t = i + r;
                if (matches.partner(t) == not_finite || match[r].column == float_match::none)
                    matches.set(t, best_column::none(), otherwise(a));
                else if (match[r].column == float_match::undecided)
                    undecided[undecided_count++] = static_cast<std::int32_t>(t);
                else
                    matches.set(t, {match[r].similarity, match[r].column}, otherwise(a));
            }
        }
        match_exactly(a, matches, rows, b, undecided, undecided_count);
    }
    TARN_INLINE static const std::int32_t* rank(const call& a, const match_list& matches) noexcept {
        return rank_matches<A>(matches, a.class_token ? 1 : 0);
    }
    // Similarities close to the one before or after them are made exact, and ranked again.
    TARN_NOINLINE static const std::int32_t* rank_in_floats(const call& a, const match_list& matches,
                                                            const number* rows, const column_panels<A>& b) noexcept {
        const double distance = static_cast<double>(closeness(b.width));
        const std::int32_t* const ranked = rank(a, matches);
        const std::ptrdiff_t count = matches.evens() - (a.class_token ? 1 : 0);
        bool changed = false;
        bool close_before = false;
        double next = matches.similarity(ranked[0]);
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            const std::ptrdiff_t t = ranked[i];
            const double here = next;
            next = i + 1 < count ? matches.similarity(ranked[i + 1]) : -10;
            const bool close_after = here - next <= distance;
            if ((close_before || close_after) && here > no_similarity) {
                matches.set_similarity(t, exact_similarity<A>(rows + t * b.width, b, matches.partner(t)));
                changed = true;
            }
            close_before = close_after;
        }
        return changed ? rank(a, matches) : ranked;
    }
    // `count` even tokens: those of a list, or the first.
    TARN_NOINLINE static void match_exactly(const call& a, const match_list& matches, const number* rows,
                                            const column_panels<A>& b, const std::int32_t* list,
                                            std::ptrdiff_t count) noexcept {
        const auto token = [&](std::ptrdiff_t i) TARN_LAMBDA {
            const std::ptrdiff_t k = i < count ? i : count - 1;
            return list ? std::ptrdiff_t{list[k]} : k;
        };
        for (std::ptrdiff_t i = 0; i < count; i += exact_rows) {
            const number* row[exact_rows];
            best_column best[exact_rows];
            for (int r = 0; r < exact_rows; ++r)
                row[r] = rows + token(i + r) * b.width;
            exact_best<A, exact_rows>(row, b, best);
            for (int r = 0; r < exact_rows && i + r < count; ++r) {
                const std::ptrdiff_t t = token(i + r);
                matches.set(t, matches.partner(t) == not_finite ? best_column::none() : best[r], otherwise(a));
            }
        }
    }

    // The same without scratch: unit vectors are made where they are needed, some elements at a time.
    TARN_NOINLINE static void match_unbuffered(const call& a, const match_list& matches) noexcept {
        constexpr std::ptrdiff_t some = 128;
        alignas(64) number panel[some * L];
        alignas(64) number start[L];
        alignas(64) number rows[exact_rows * some];
        stored_buffer<A> buffer;
        for (std::ptrdiff_t p = 0; p * L < matches.odds(); ++p) {
            for (std::ptrdiff_t i = 0; i < matches.evens(); i += exact_rows) {
                const std::ptrdiff_t count = matches.evens() - i < exact_rows ? matches.evens() - i : exact_rows;
                double_pack<A> sums[exact_rows];
                const number* row[exact_rows];
                unit_scale scale[exact_rows];
                for (std::ptrdiff_t k = 0; k == 0 || k < a.width; k += some) {
                    const span elements{k, a.width - k < some ? a.width : k + some};
                    if (a.width > some || i == 0)
                        fill_panel(a, p, matches.odds(), elements, start, panel, buffer);
                    for (int r = 0; r < exact_rows; ++r) {
                        if (k == 0)
                            sums[r] = double_pack<A>::of(simd::load<A>(start));
                        row[r] = rows + r * some;
                        with_row<A>(a.metric, 2 * (i + (r < count ? r : 0)), buffer, [&](const auto& x) TARN_LAMBDA {
                            if (k == 0)
                                scale[r] = unit_scale::of<A>(x, a.width);
                            unit_elements(x, a.width, scale[r], elements, rows + r * some);
                        });
                    }
                    add_similarities<A, exact_rows>(row, panel, elements.end - elements.begin, sums);
                }
                for (int r = 0; r < count; ++r) {
                    best_column best = best_column::none();
                    if (p > 0 && matches.similarity(i + r) > no_similarity)
                        best = {matches.similarity(i + r), matches.partner(i + r)};
                    if (scale[r].finite)
                        best.take(sums[r], p * L, matches.odds());
                    matches.set(i + r, best, otherwise(a));
                }
            }
        }
        merge(a, matches, rank(a, matches));
    }
    template <class Source>
    TARN_INLINE static void unit_elements(const Source& x, std::ptrdiff_t width, const unit_scale& scale, span elements,
                                          number* to) noexcept {
        each_pack<A>(x, width, [&](std::ptrdiff_t k, const pack<A>& v, int count) TARN_LAMBDA {
            if (k < elements.begin || k >= elements.end)
                return;
            const pack<A> unit = scale.finite ? scale.operator()<A>(v) : simd::broadcast<A>(0);
            if (count == L)
                simd::store<A>(to + (k - elements.begin), unit);
            else
                simd::store_first<A>(to + (k - elements.begin), unit, count);
        });
    }

    // The plan from the matches; `ranked`: all even tokens but a class token.
    TARN_NOINLINE static void merge(const call& a, const match_list& matches, const std::int32_t* ranked) noexcept {
        const plan_arrays& p = a.plan;
        const std::ptrdiff_t evens = matches.evens();
        const std::ptrdiff_t merged = p.tokens - p.slots;
        // Partners of tokens that merge, below 0, to where their slots belong; 0 for those that stay.
        const std::int32_t last = matches.partner(evens - 1);
        for (std::ptrdiff_t i = 0; i < evens; ++i)
            p.assign[2 * i] = 0;
        for (std::ptrdiff_t k = 0; k < merged; ++k) {
            const std::ptrdiff_t i = ranked[k];
            p.assign[2 * i] = -1 - (i == evens - 1 ? last : matches.partner(i));
        }
        list_kept(a, evens, ranked + merged);
        for (std::ptrdiff_t s = 0; s < p.slots; ++s)
            p.assign[p.rep[s]] = static_cast<std::int32_t>(s);
        for (std::ptrdiff_t t = 0; t < p.tokens; t += 2) {
            const std::int32_t slot = p.assign[t];
            p.assign[t] = slot < 0 ? p.assign[2 * (-1 - slot) + 1] : slot;
        }
        sort_by_slot(p);
    }
    // The tokens that stay, in their order, to rep. `ranked`: the even ones by similarity, maybe further on in rep.
    TARN_INLINE static void list_kept(const call& a, std::ptrdiff_t evens, const std::int32_t* ranked) noexcept {
        const plan_arrays& p = a.plan;
        const auto token = [](std::ptrdiff_t t) TARN_LAMBDA { return static_cast<std::int32_t>(t); };
        std::int32_t* to = p.rep;
        if (a.order == token_order::position) {
            for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
                if (t % 2 != 0 || p.assign[t] >= 0)
                    *to++ = token(t);
            }
            return;
        }
        // The distillation token stands second.
        const auto put = [&](std::int32_t t) TARN_LAMBDA {
            *to++ = t;
            if (a.distillation_token && to == p.rep + 1)
                *to++ = 1;
        };
        if (a.class_token) {
            for (std::ptrdiff_t t = 0; t < p.tokens; t += 2) {
                if (p.assign[t] >= 0)
                    put(token(t));
            }
        } else {
            const std::ptrdiff_t kept = evens - (p.tokens - p.slots);
            for (std::ptrdiff_t k = 0; k < kept; ++k)
                put(2 * ranked[k]);
        }
        for (std::ptrdiff_t t = a.distillation_token ? 3 : 1; t < p.tokens; t += 2)
            *to++ = token(t);
    }
};

}}}} // namespace tarn::kernels
