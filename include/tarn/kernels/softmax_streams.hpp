// SPDX-License-Identifier: BSD-3-Clause
//
// Rows whose results leave by non-temporal stores: buffered (weights in scratch) and two-read (weights computed twice).
#pragma once

#include <tarn/kernels/softmax_rows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// f of each pack of a row to y: a partial store up to the first cache line of y, then whole lines.
template <class A, bool Stream, class Source, class F>
TARN_INLINE void map_row_to_lines(Source e, float* y, std::ptrdiff_t n, F f) noexcept {
    const std::ptrdiff_t past = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(y) / sizeof(float)) % lanes;
    std::ptrdiff_t head = past ? lanes - past : 0;
    head = head < n ? head : n;
    if (head > 0)
        unit_sink<A>{y}.put_first(0, f(e.first(0, static_cast<int>(head))), static_cast<int>(head));
    if constexpr (Stream)
        map_row<A>(e, stream_sink<A>{y}, head, n, f);
    else
        map_row<A>(e, unit_sink<A>{y}, head, n, f);
}

template <class A> struct buffered_rows {
    template <bool Stream> TARN_NOINLINE static void run_as(const dispatch::softmax_rows& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        const std::ptrdiff_t n = a.columns;
        const unit_sink<A> e{a.scratch};
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const unit_source<A> x{a.x + r * a.x_row_stride};
            float* y = a.y + r * a.y_row_stride;
            if (r == 0)
                guess_reference<A>(state, x, n);
            optimistic_row<A>(
                state, [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, e, n); },
                [&](normaliser result) TARN_LAMBDA {
                    map_row_to_lines<A, Stream>(e.source(), y, n, result.on<A>());
                },
                [&]() TARN_LAMBDA { careful_row<A, true>(state, x, unit_sink<A>{y}, n); });
        }
        if (Stream)
            simd::stream_fence<A>();
    }
    static void run(const dispatch::softmax_rows& a) noexcept {
        if (a.stream)
            run_as<true>(a);
        else
            run_as<false>(a);
    }
};

template <class A> struct two_read_rows {
    template <bool Stream> TARN_NOINLINE static void run_as(const dispatch::softmax_rows& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        const std::ptrdiff_t n = a.columns;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const unit_source<A> x{a.x + r * a.x_row_stride};
            float* y = a.y + r * a.y_row_stride;
            if (r == 0)
                guess_reference<A>(state, x, n);
            optimistic_row<A>(
                state, [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, no_sink{}, n); },
                [&](normaliser result) TARN_LAMBDA {
                    const auto scaled = result.on<A>();
                    state.with_weight([&](const auto& given) TARN_LAMBDA {
                        const auto weight = given;
                        map_row_to_lines<A, Stream>(
                            x, y, n, [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); });
                        return 0.0;
                    });
                },
                [&]() TARN_LAMBDA { careful_row<A, false>(state, x, unit_sink<A>{y}, n); });
        }
        if (Stream)
            simd::stream_fence<A>();
    }
    static void run(const dispatch::softmax_rows& a) noexcept {
        if (a.stream)
            run_as<true>(a);
        else
            run_as<false>(a);
    }
};

}}}} // namespace tarn::kernels
