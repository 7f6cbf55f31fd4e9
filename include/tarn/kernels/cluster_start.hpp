// SPDX-License-Identifier: BSD-3-Clause
//
// What clusters begin with: the tokens that take part, and those that are the first centres.
#pragma once

#include <tarn/dispatch/token_cluster_table.hpp>
#include <tarn/kernels/index_sort.hpp>
#include <tarn/kernels/merge_rows.hpp>
#include <tarn/kernels/token_distance.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// How much a token counts; 0 if that is not finite.
template <class T> struct cluster_weights {
    token_weights<T> all;

    TARN_INLINE static cluster_weights of(const dispatch::cluster_call<T>& a) noexcept {
        return {{a.weights, a.weights_stride}};
    }
    TARN_INLINE double operator[](std::ptrdiff_t token) const noexcept {
        const double weight = all[token];
        return is_ordinary(weight) ? weight : 0;
    }
    TARN_INLINE double total(const slot_members& m) const noexcept {
        double sum = 0;
        for (std::ptrdiff_t i = 0; i < m.count; ++i)
            sum += (*this)[m.token[i]];
        return sum;
    }
};

// While clusters are made, the plan's assign holds this for tokens that are not finite.
constexpr std::int32_t takes_no_part = -1;

template <class A> class cluster_start {
public:
    using number = simd::number<A>;
    using call = dispatch::cluster_call<number>;

    product_range<A> range; // of the tokens that take part
    std::int32_t lost;      // the cluster of tokens that are not finite

    // Leaves the first centres in rep, and 0 or `takes_no_part` in assign.
    TARN_NOINLINE static cluster_start of(const call& a) noexcept {
        const plan_arrays& p = a.plan;
        stored_buffer<A> buffer;
        number greatest = 0;
        for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
            with_row<A>(a.x, t, buffer, [&](const auto& x) TARN_LAMBDA {
                const auto of_row = row_range<A>::of(x, a.channels);
                p.assign[t] = of_row.finite ? 0 : takes_no_part;
                greatest = of_row.greatest > greatest ? of_row.greatest : greatest;
            });
        }
        if (!a.start_given)
            choose(a);
        cluster_start r{product_range<A>::of(greatest), 0};
        for (std::ptrdiff_t s = p.slots - 1; s >= 0; --s)
            r.lost = p.assign[p.rep[s]] == takes_no_part ? static_cast<std::int32_t>(s) : r.lost;
        return r;
    }

    // The plan of tokens that all stay.
    TARN_INLINE static void keep_all(const plan_arrays& p) noexcept {
        for (std::ptrdiff_t t = 0; t < p.tokens; ++t)
            p.assign[t] = static_cast<std::int32_t>(t);
        plan_slots<A>::run(p);
    }
    // Tokens that take no part join their cluster.
    TARN_INLINE void add_lost(const plan_arrays& p) const noexcept {
        for (std::ptrdiff_t t = 0; t < p.tokens; ++t)
            p.assign[t] = p.assign[t] == takes_no_part ? lost : p.assign[t];
    }

private:
    // The tokens of greatest weight, the first of equal ones; those that are not finite last.
    TARN_INLINE static void choose(const call& a) noexcept {
        const plan_arrays& p = a.plan;
        std::ptrdiff_t finite = 0;
        for (const bool last : {false, true}) {
            std::ptrdiff_t n = last ? finite : 0;
            for (std::ptrdiff_t t = 0; t < p.tokens; ++t) {
                if ((p.assign[t] == takes_no_part) == last)
                    p.order[n++] = static_cast<std::int32_t>(t);
            }
            finite = last ? finite : n;
        }
        const std::int32_t* ranked = p.order;
        if (a.weights) {
            const auto weights = cluster_weights<number>::of(a);
            ranked = sort_indices(p.order, p.assign, finite,
                                  [&](std::int32_t i, std::int32_t j) TARN_LAMBDA { return weights[i] > weights[j]; });
        }
        for (std::ptrdiff_t s = 0; s < p.slots; ++s)
            p.rep[s] = s < finite ? ranked[s] : p.order[s];
        for (std::ptrdiff_t t = 0; t < p.tokens; ++t)
            p.assign[t] = 0;
        for (std::ptrdiff_t i = finite; i < p.tokens; ++i)
            p.assign[p.order[i]] = takes_no_part;
    }
};

}}}} // namespace tarn::kernels
