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
        alignas(64) number buffers[4][lanes<A>];
        with_rows_kind<A>(
            [&](auto kind) TARN_LAMBDA {
                using rows = typename decltype(kind)::type;
                run_rows(a, rows::of(a.x, buffers[0]), rows::of(a.y, buffers[1]), rows::of(a.dy, buffers[2]),
                         rows::of(a.dx, buffers[3]));
            },
            a.dx, a.dy, a.x, a.y);
        if (a.stream)
            simd::stream_fence<A>();
    }

private:
    template <class Rows>
    TARN_NOINLINE static void run_rows(const call& a, const Rows& x, const Rows& y, const Rows& dy,
                                       const Rows& dx) noexcept {
        const row_copy<A> copy(a.dy, a.dx, a.channels, a.stream);
        const auto put = [&](std::ptrdiff_t s, std::ptrdiff_t t, double share) TARN_LAMBDA {
            if (share == 1)
                copy(s, t, t);
            else if (share == 0)
                zero_row<A>(a.dx, t, a.channels);
            else
                scale(dy, s, dx, t, share, a.channels);
        };
        if (!a.sizes && a.mode != merge_mode::max)
            return run_tokens(a, put);
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
                put(s, t, share);
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

    // Where shares do not depend on other tokens: token by token, as they lie in memory.
    template <class Put> TARN_INLINE static void run_tokens(const call& a, const Put& put) noexcept {
        for (std::ptrdiff_t t = a.first; t < a.last; ++t) {
            const std::int32_t s = a.plan.assign[t];
            if (s < 0)
                zero_row<A>(a.dx, t, a.channels);
            else if (a.mode == merge_mode::prune)
                put(s, t, a.plan.rep[s] == t ? 1.0 : 0.0);
            else
                put(s, t, a.mode == merge_mode::sum ? 1.0 : 1.0 / (a.plan.offsets[s + 1] - a.plan.offsets[s]));
        }
    }

    template <class Rows>
    TARN_NOINLINE static void scale(Rows from, std::ptrdiff_t s, Rows to, std::ptrdiff_t t, double share,
                                    std::ptrdiff_t channels) noexcept {
        each_channel_pack<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
            auto d = double_pack<A>::of(from.load(s, c, n));
            d.multiply(double_pack<A>::broadcast(share));
            to.store(t, c, n, normal_numbers<A>(d));
        });
    }

    // To the first of the greatest tokens of every channel; the first NaN, if there is one.
    template <class Rows>
    TARN_NOINLINE static void of_greatest(slot_members members, Rows x, Rows dy, Rows dx, std::ptrdiff_t s,
                                          std::ptrdiff_t channels) noexcept {
        each_channel_pack<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
            pack<A> greatest = x.load(members.token[0], c, n);
            for (std::ptrdiff_t i = 1; i < members.count; ++i)
                greatest = simd::max_or_nan<A>(greatest, x.load(members.token[i], c, n));
            // What the first has taken is gone.
            pack<A> gradient = dy.load(s, c, n);
            const pack<A> zero = simd::broadcast<A>(0);
            for (std::ptrdiff_t i = 0; i < members.count; ++i) {
                const pack<A> v = x.load(members.token[i], c, n);
                dx.store(members.token[i], c, n, simd::select_same<A>(v, greatest, gradient, zero));
                gradient = simd::select_same<A>(v, greatest, zero, gradient);
            }
        });
    }

    // sum_c (x_c - y_c) dy_c / divisor of a mean, sum_c x_c dy_c of a sum.
    template <class Rows>
    TARN_NOINLINE static number of_size(Rows x, std::ptrdiff_t t, Rows y, Rows dy, std::ptrdiff_t s, bool mean,
                                        double divisor, std::ptrdiff_t channels) noexcept {
        auto sums = double_pack<A>::zero();
        each_channel_pack<A>(channels, [&](std::ptrdiff_t c, int n) TARN_LAMBDA {
            const auto gradient = double_pack<A>::of(dy.load(s, c, n));
            auto difference = double_pack<A>::of(x.load(t, c, n));
            if (mean)
                difference = difference - double_pack<A>::of(y.load(s, c, n));
            simd::unroll<double_pack<A>::parts>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                sums.part[K] = simd::fmadd<A>(difference.part[K], gradient.part[K], sums.part[K]);
            });
        });
        const double v = simd::total_of_lanes<A>(sums) / divisor;
        return static_cast<number>(simd::settled((v < 0 ? -v : v) < least_normal<A> ? 0.0 : v));
    }
};

}}}} // namespace tarn::kernels
