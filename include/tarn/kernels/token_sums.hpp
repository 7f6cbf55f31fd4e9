// SPDX-License-Identifier: BSD-3-Clause
//
// Sums and extremes over tokens, one lane for each channel. Tokens are added one after the other in their order, so
// what a channel comes to depends on nothing but its tokens. What is kept of the channels lies in L1.
#pragma once

#include <tarn/kernels/token_rows.hpp>
#include <tarn/simd/columns.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> using token_sum = simd::sum_pack<A>;
template <class A> using place_type = std::conditional_t<simd::is_double<A>, std::int64_t, std::int32_t>;

// step(c, w) for the n channels from 0 on, two packs at a time: the number of packs and of lanes in the last.
template <class A, class Step> TARN_INLINE void for_channels(std::ptrdiff_t n, const Step& step) noexcept {
    std::ptrdiff_t c = 0;
    for (; c + 2 * lanes<A> <= n; c += 2 * lanes<A>)
        step(simd::index<2>{}, c, lanes<A>);
    for (; c < n; c += lanes<A>)
        step(simd::index<1>{}, c, n - c < lanes<A> ? static_cast<int>(n - c) : lanes<A>);
}

// A pack of which only some lanes may exist.
template <class A> TARN_INLINE pack<A> load_lanes(const number<A>* p, int n) noexcept {
    return n == lanes<A> ? simd::load<A>(p) : simd::load_first<A>(p, n);
}
template <class A> TARN_INLINE simd::double_pack<A> load_lanes_widened(const number<A>* p, int n) noexcept {
    return n == lanes<A> ? simd::load_widened<A>(p) : simd::double_pack<A>::of(simd::load_first<A>(p, n));
}

// sum + v * weight. Products of floats are exact; what those of doubles lose is kept.
template <class A, bool Weighted>
TARN_INLINE void add_token(token_sum<A>& sum, const simd::double_pack<A>& v, double weight) noexcept {
    using simd::doubles;
    simd::unroll<simd::double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        if constexpr (simd::is_double<A>) {
            doubles<A> term = v.part[I];
            if constexpr (Weighted) {
                const doubles<A> w(weight);
                term = v.part[I] * w;
                sum.low.part[I] = sum.low.part[I] + simd::product_error<A>(v.part[I], w, term);
            }
            simd::add_exactly<A>(sum.high.part[I], sum.low.part[I], term);
        } else if constexpr (Weighted) {
            sum.lane.part[I] = simd::fmadd<A>(v.part[I], doubles<A>(weight), sum.lane.part[I]);
        } else {
            sum.lane.part[I] = sum.lane.part[I] + v.part[I];
        }
    });
}

// Adds the rows, each times its weight, to sums of n channels.
template <class A, bool Weighted>
TARN_NOINLINE void add_tokens(double* sums, const token_numbers<A>& given, const double* given_weights,
                              std::ptrdiff_t n) noexcept {
    const token_numbers<A> rows = given;
    double weight[tokens_of_group];
    for (int r = 0; Weighted && r < rows.count; ++r)
        weight[r] = given_weights[r];
    constexpr std::ptrdiff_t stored = token_sum<A>::stored;
    for_channels<A>(n, [&](auto packs, std::ptrdiff_t c, int last) TARN_LAMBDA {
        constexpr int W = decltype(packs)::value;
        double* const at = sums + c / lanes<A> * stored;
        token_sum<A> sum[W];
        simd::unroll<W>([&](auto i) TARN_LAMBDA {
            constexpr int w = decltype(i)::value;
            sum[w] = token_sum<A>::load(at + w * stored);
        });
        for (int r = 0; r < rows.count; ++r) {
            simd::unroll<W>([&](auto i) TARN_LAMBDA {
                constexpr int w = decltype(i)::value;
                add_token<A, Weighted>(sum[w], load_lanes_widened<A>(rows.row[r] + c + w * lanes<A>, last),
                                       Weighted ? weight[r] : 1);
            });
        }
        simd::unroll<W>([&](auto i) TARN_LAMBDA {
            constexpr int w = decltype(i)::value;
            sum[w].store(at + w * stored);
        });
    });
}

// The sums rounded to double. What is infinite has no rest.
template <class A> TARN_INLINE simd::double_pack<A> rounded(const token_sum<A>& sum) noexcept {
    if constexpr (simd::is_double<A>) {
        simd::double_pack<A> r;
        simd::unroll<simd::double_pack<A>::parts>([&](auto i) TARN_LAMBDA {
            constexpr int I = decltype(i)::value;
            const simd::doubles<A> high = sum.high.part[I];
            const simd::doubles<A> unbounded(__builtin_huge_val());
            r.part[I] = simd::select<A>(xsimd::abs(high) < unbounded, high + sum.low.part[I], high);
        });
        return r;
    } else {
        return sum.lane;
    }
}

// Takes the rows into the extremes of n channels, which have met a row before. NaN stays where it is met.
template <class A, bool Greatest>
TARN_NOINLINE void take_extremes(number<A>* extremes, const token_numbers<A>& given, std::ptrdiff_t n) noexcept {
    token_numbers<A> rows = given;
    // A row twice does no harm, and rows go in pairs.
    rows.row[rows.count % 2 ? rows.count : 0] = rows.row[rows.count % 2 ? rows.count - 1 : 0];
    const auto better = [](const pack<A>& v, const pack<A>& best) TARN_LAMBDA {
        if constexpr (Greatest)
            return simd::max_of<A>(v, best);
        else
            return simd::min_of<A>(v, best);
    };
    for_channels<A>(n, [&](auto packs, std::ptrdiff_t c, int last) TARN_LAMBDA {
        constexpr int W = decltype(packs)::value;
        pack<A> best[W];
        simd::pack_mask<A> nan[W];
        simd::unroll<W>([&](auto i) TARN_LAMBDA {
            constexpr int w = decltype(i)::value;
            best[w] = simd::load<A>(extremes + c + w * lanes<A>);
            nan[w] = simd::no_lanes<A>();
        });
        for (int r = 0; r < rows.count; r += 2) {
            simd::unroll<W>([&](auto i) TARN_LAMBDA {
                constexpr int w = decltype(i)::value;
                const pack<A> a = load_lanes<A>(rows.row[r] + c + w * lanes<A>, last);
                const pack<A> b = load_lanes<A>(rows.row[r + 1] + c + w * lanes<A>, last);
                simd::add_nan<A>(nan[w], a, b);
                best[w] = better(b, better(a, best[w]));
            });
        }
        simd::unroll<W>([&](auto i) TARN_LAMBDA {
            constexpr int w = decltype(i)::value;
            simd::store<A>(extremes + c + w * lanes<A>,
                           simd::select<A>(nan[w], simd::broadcast<A>(__builtin_nanf("")), best[w]));
        });
    });
}

// The same, and the tokens they belong to, as integers in the lanes of numbers.
template <class A, bool Greatest>
TARN_NOINLINE void take_extremes_with_places(number<A>* extremes, number<A>* places, const token_numbers<A>& given,
                                             const token_group& group, std::ptrdiff_t n) noexcept {
    const token_numbers<A> rows = given;
    number<A> place[tokens_of_group];
    for (int r = 0; r < rows.count; ++r) {
        const auto token = static_cast<place_type<A>>(group.token[r]);
        __builtin_memcpy(place + r, &token, sizeof token);
    }
    for (std::ptrdiff_t c = 0; c < n; c += lanes<A>) {
        const int last = n - c < lanes<A> ? static_cast<int>(n - c) : lanes<A>;
        pack<A> best = simd::load<A>(extremes + c);
        pack<A> at = simd::load<A>(places + c);
        for (int r = 0; r < rows.count; ++r) {
            const pack<A> v = load_lanes<A>(rows.row[r] + c, last);
            const simd::pack_mask<A> taken = simd::beats<A, Greatest>(v, best);
            best = simd::select<A>(taken, v, best);
            at = simd::select<A>(taken, simd::broadcast<A>(place[r]), at);
        }
        simd::store<A>(extremes + c, best);
        simd::store<A>(places + c, at);
    }
}

}}}} // namespace tarn::kernels
