// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of merged tokens: every token takes its share of the gradient of its slot.
#pragma once

#include <tarn/kernels/merge_rows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> class merge_gradients {
public:
    using number = simd::number<A>;
    using call = dispatch::merge_backward_call<number>;

    static void run(const call& a) noexcept {
        alignas(64) number buffers[4][channel_block<A>::size];
        if (is_plain_or_absent(a.x) && is_plain_or_absent(a.y) && is_plain<A>(a.dy) && is_plain<A>(a.dx))
            run_rows(a, plain<A>(a.x), plain<A>(a.y), plain<A>(a.dy), plain<A>(a.dx));
        else
            run_rows(a, any_rows<A>{a.x, buffers[0]}, any_rows<A>{a.y, buffers[1]}, any_rows<A>{a.dy, buffers[2]},
                     any_rows<A>{a.dx, buffers[3]});
    }

private:
    TARN_INLINE static bool is_plain_or_absent(const stored_rows& rows) noexcept {
        return !rows.data || is_plain<A>(rows);
    }

    template <class Rows>
    TARN_NOINLINE static void run_rows(const call& a, const Rows& x, const Rows& y, const Rows& dy,
                                       const Rows& dx) noexcept {
        const row_copy<A> copy(a.dy, a.dx, a.channels, false);
        const token_weights<number> weights{a.sizes, a.sizes_stride};
        const bool by_token = a.mode == merge_mode::prune || a.mode == merge_mode::max;
        each_slot(a.plan, a.first, a.last, [&](std::ptrdiff_t s, const slot_members& members) TARN_LAMBDA {
            const double total = weights.total(members);
            const double divisor = a.mode == merge_mode::mean ? total : 1;
            const bool nothing = !by_token && total == 0;
            if (a.mode == merge_mode::max && members.count > 1)
                of_greatest(members, x, dy, dx, s, a.channels);
            for (std::ptrdiff_t i = 0; i < members.count; ++i) {
                const std::int32_t t = members.token[i];
                const bool has_size = !nothing && !by_token && !(a.sizes && a.sizes[t * a.sizes_stride] < 0);
                if (a.size_gradient)
                    a.size_gradient[t * a.size_gradient_stride] =
                        has_size ? of_size(x, t, y, dy, s, a.mode == merge_mode::mean, divisor, a.channels) : 0;
                if (a.mode == merge_mode::max && members.count > 1)
                    continue;
                const double share = a.mode == merge_mode::prune ? (a.plan.rep[s] == t ? 1.0 : 0.0)
                                     : by_token                  ? 1.0
                                     : nothing                   ? 0.0
                                                                 : weights[t] / divisor;
                if (share == 1)
                    copy(s, t);
                else if (share == 0)
                    zero_row<A>(a.dx, t, a.channels);
                else
                    scale(dy, s, dx, t, share, a.channels);
            }
        });
        for (std::ptrdiff_t t = a.first; t < a.last; ++t) {
            if (a.plan.assign[t] >= 0)
                continue;
            zero_row<A>(a.dx, t, a.channels);
            if (a.size_gradient)
                a.size_gradient[t * a.size_gradient_stride] = 0;
        }
    }

    template <class Rows>
    TARN_NOINLINE static void scale(Rows from, std::ptrdiff_t s, Rows to, std::ptrdiff_t t, double share,
                                    std::ptrdiff_t channels) noexcept {
        each_block<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
            channel_block<A> v = from.load(s, c, n);
            for (int h = 0; h < 2; ++h) {
                auto d = double_pack<A>::of(v.part[h]);
                d.multiply(double_pack<A>::broadcast(share));
                v.part[h] = normal_numbers<A>(d);
            }
            to.store(t, c, n, v);
        });
    }

    // To the first of the greatest tokens of every channel; the first NaN, if there is one.
    template <class Rows>
    TARN_NOINLINE static void of_greatest(slot_members members, Rows x, Rows dy, Rows dx, std::ptrdiff_t s,
                                          std::ptrdiff_t channels) noexcept {
        each_block<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
            channel_block<A> greatest = x.load(members.token[0], c, n);
            for (std::ptrdiff_t i = 1; i < members.count; ++i) {
                const channel_block<A> v = x.load(members.token[i], c, n);
                for (int h = 0; h < 2; ++h)
                    greatest.part[h] = simd::max_or_nan<A>(greatest.part[h], v.part[h]);
            }
            channel_block<A> gradient = dy.load(s, c, n);
            const pack<A> zero = simd::broadcast<A>(0);
            for (std::ptrdiff_t i = 0; i < members.count; ++i) {
                const channel_block<A> v = x.load(members.token[i], c, n);
                channel_block<A> r;
                for (int h = 0; h < 2; ++h) {
                    // Equal, or NaN as well.
                    const auto is_it = [](simd::numbers<A> p, simd::numbers<A> q)
                                           TARN_LAMBDA { return (p == q) | (xsimd::isnan(p) & xsimd::isnan(q)); };
                    r.part[h] =
                        simd::each<A>([&](simd::numbers<A> p, simd::numbers<A> q, simd::numbers<A> g,
                                          simd::numbers<A> z) TARN_LAMBDA { return xsimd::select(is_it(p, q), g, z); },
                                      v.part[h], greatest.part[h], gradient.part[h], zero);
                    gradient.part[h] =
                        simd::each<A>([&](simd::numbers<A> p, simd::numbers<A> q, simd::numbers<A> g,
                                          simd::numbers<A> z) TARN_LAMBDA { return xsimd::select(is_it(p, q), z, g); },
                                      v.part[h], greatest.part[h], gradient.part[h], zero);
                }
                dx.store(members.token[i], c, n, r);
            }
        });
    }

    // sum_c (x_c - y_c) dy_c / divisor of a mean, sum_c x_c dy_c of a sum.
    template <class Rows>
    TARN_NOINLINE static number of_size(Rows x, std::ptrdiff_t t, Rows y, Rows dy, std::ptrdiff_t s, bool mean,
                                        double divisor, std::ptrdiff_t channels) noexcept {
        double_pack<A> sums[2] = {double_pack<A>::zero(), double_pack<A>::zero()};
        each_block<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
            const channel_block<A> v = x.load(t, c, n);
            const channel_block<A> g = dy.load(s, c, n);
            const channel_block<A> w = mean ? y.load(s, c, n) : channel_block<A>{};
            for (int h = 0; h < 2; ++h) {
                const auto gradient = double_pack<A>::of(g.part[h]);
                auto difference = double_pack<A>::of(v.part[h]);
                if (mean)
                    difference = difference - double_pack<A>::of(w.part[h]);
                simd::unroll<double_pack<A>::parts>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    sums[h].part[K] = simd::fmadd<A>(difference.part[K], gradient.part[K], sums[h].part[K]);
                });
            }
        });
        sums[0].add(sums[1]);
        const double v = simd::total_of_lanes<A>(sums[0]) / divisor;
        return (v < 0 ? -v : v) < least_normal<A> ? number(0) : static_cast<number>(v);
    }
};

}}}} // namespace tarn::kernels
