// SPDX-License-Identifier: BSD-3-Clause
//
// Rows that fit a cache, of any length: weights into y, scaled in place. And the published three-pass algorithms.
#pragma once

#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Calls f(source, sink) for every row, which leaves its sum in the state.
template <class A, class F>
TARN_INLINE void for_each_row(const dispatch::softmax_rows<number<A>>& a, const softmax_rows_state<A>& state,
                              F f) noexcept {
    auto logs = logs_of<A>(a);
    for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
        f(unit_source<A>{a.x + r * a.x_row_stride}, unit_sink<A>{a.y + r * a.y_row_stride});
        note_last(logs, state);
    }
    logs.flush();
}

// One row by the optimistic scheme, its weights in y. In place the weights would overwrite logits that a wrong guess
// needs again, so there the row is taken carefully.
template <class A>
TARN_INLINE void cached_row(softmax_rows_state<A>& state, unit_source<A> x, unit_sink<A> y, std::ptrdiff_t n) noexcept {
    if (x.p == y.p) {
        careful_row<A, true>(state, x, y, n);
        return;
    }
    optimistic_row<A>(
        state, [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, y, n); },
        [&](normaliser<A> result) TARN_LAMBDA { map_row_backwards<A>(y.source(), y, n, result.on()); },
        [&]() TARN_LAMBDA { careful_row<A, true>(state, x, y, n); });
}

template <class A> struct cached_rows {
    static void run(const dispatch::softmax_rows<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        guess_reference<A>(state, unit_source<A>{a.x}, a.columns);
        for_each_row<A>(a, state, [&](auto x, auto y) TARN_LAMBDA { cached_row<A>(state, x, y, a.columns); });
    }
};

// What is reloaded was written to be read again, and does not stream.
template <class A, bool Reload> struct three_pass_rows {
    static void run(const dispatch::softmax_rows<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        for_each_row<A>(a, state, [&](auto x, auto y) TARN_LAMBDA {
            if constexpr (Reload)
                careful_row<A, true>(state, x, y, a.columns);
            else
                careful_row<A, false>(state, ahead_source<A>(x.p), either_sink<A>{y.p, a.stream}, a.columns);
        });
        if (!Reload && a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
