// SPDX-License-Identifier: BSD-3-Clause
//
// Rows whose results leave by non-temporal stores or must not meet their logits: weights in scratch, two rows in
// flight.
#pragma once

#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/softmax_rows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> struct buffered_rows {
    template <bool Stream> TARN_NOINLINE static void run_as(const dispatch::softmax_rows<number<A>>& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        const std::ptrdiff_t n = a.columns;
        number<A>* const rows = first_buffered_row<A>(a.x, a.scratch);
        simd::store<A>(rows - lanes<A>, simd::broadcast<A>(0));
        simd::store<A>(rows - lanes<A> + dispatch::buffered_row_size<number<A>>(n), simd::broadcast<A>(0));
        departing_row<A, results_sink<A, Stream>, mapped_source<A, normaliser<A>>> before(Stream &&
                                                                                          a.y_row_stride == n);
        guess_reference<A>(state, unit_source<A>{a.x}, n);
        auto logs = logs_of<A>(a);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const std::conditional_t<Stream, ahead_source<A>, unit_source<A>> x{a.x + r * a.x_row_stride};
            number<A>* y = a.y + r * a.y_row_stride;
            const unit_sink<A> e{rows + (r % 2) * dispatch::buffered_row_size<number<A>>(n)};
            if (state.may_guess()) {
                const row_total<A> sum = state.with_weight(
                    [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, e, n, before.beside()); });
                before.complete(n);
                if (acceptable<A>(sum)) {
                    before.start({e.p, normaliser<A>::of(sum)}, y, n);
                    logs.note({sum, state.ref}, true);
                    state.guessed_right(sum);
                    continue;
                }
                state.guessed_wrong();
            } else {
                before.complete(0);
            }
            before.flush();
            careful_row<A, true>(state, unit_source<A>{x.p}, unit_sink<A>{y}, n);
            note_last(logs, state);
        }
        logs.flush();
        before.complete(0);
        before.flush();
        if (Stream)
            simd::stream_fence<A>();
    }
    static void run(const dispatch::softmax_rows<number<A>>& a) noexcept {
        if (!a.scratch)
            run_on_stack(a);
        else if (a.stream)
            run_as<true>(a);
        else
            run_as<false>(a);
    }

private:
    TARN_NOINLINE static void run_on_stack(dispatch::softmax_rows<number<A>> a) noexcept {
        alignas(64) number<A>
            scratch[dispatch::buffered_scratch<number<A>>(dispatch::stack_buffered_columns<number<A>>)];
        a.scratch = scratch;
        a.scratch_size = dispatch::buffered_scratch<number<A>>(dispatch::stack_buffered_columns<number<A>>);
        run(a);
    }
};

}}}} // namespace tarn::kernels
