// SPDX-License-Identifier: BSD-3-Clause
//
// Rows whose results leave by non-temporal stores or must not meet their logits: buffered (weights in scratch, two rows
// in flight) and two-read (weights computed twice).
#pragma once

#include <tarn/kernels/softmax_rows.hpp>

#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Elements from p to the next cache line.
TARN_INLINE std::ptrdiff_t elements_to_line(const float* p) noexcept {
    const auto past = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(p) / sizeof(float)) % lanes;
    return past ? lanes - past : 0;
}

// A row whose weights are known, on its way to y: first the part up to a line of y, then whole lines 64 elements at a
// time, then the rest. Where the next row follows without a gap, the last part of a line waits for the first part of
// that row, so that the line is written whole.
template <class A, bool Stream> class departing_row {
public:
    using sink = std::conditional_t<Stream, stream_sink<A>, unit_sink<A>>;

    // `joined`: rows follow each other without gaps.
    TARN_INLINE explicit departing_row(bool joined) noexcept : joined_(joined && Stream) {}

    // e has a line of readable padding before it.
    TARN_INLINE void start(const float* e, float* y, std::ptrdiff_t n, normaliser result) noexcept {
        e_ = e;
        y_ = y;
        n_ = n;
        result_ = result;
        const std::ptrdiff_t head = elements_to_line(y);
        at_ = head < n ? head : n;
        if (at_ == 0)
            return;
        const auto f = result.on<A>();
        if (waiting_ > 0 && waiting_ + at_ == lanes) {
            const pack<A> v = f(simd::load<A>(e - waiting_));
            simd::stream<A>(y - waiting_, simd::first_or<A>(part_of_line_, waiting_, v));
            waiting_ = 0;
        } else {
            unit_sink<A>{y}.put_first(0, f(simd::load_first<A>(e, static_cast<int>(at_))), static_cast<int>(at_));
        }
    }

    // The 64 elements that follow, for as long as there are any: what runs beside the weights of the next row.
    struct stride {
        const float* e;
        float* y;
        std::ptrdiff_t last;
        normaliser result;
        TARN_INLINE void operator()(std::ptrdiff_t i) const noexcept {
            if (i > last)
                return;
            const auto f = result.on<A>();
            simd::unroll<4>([&](auto k) TARN_LAMBDA {
                constexpr std::ptrdiff_t at = decltype(k)::value * lanes;
                sink{y}.put(i + at, f(simd::load<A>(e + i + at)));
            });
        }
    };
    TARN_INLINE stride beside() const noexcept { return {e_ + at_, y_ + at_, n_ - at_ - 4 * lanes, result_}; }

    // What `beside` has left after a row of n elements, or all lines if it never ran.
    TARN_INLINE void complete(bool has_run) noexcept {
        if (!y_)
            return;
        if (has_run)
            at_ += (n_ - at_) / (4 * lanes) * (4 * lanes);
        const auto f = result_.on<A>();
        for (; at_ + lanes <= n_; at_ += lanes)
            sink{y_}.put(at_, f(simd::load<A>(e_ + at_)));
        const int rest = static_cast<int>(n_ - at_);
        if (rest > 0) {
            const pack<A> v = f(simd::load_first<A>(e_ + at_, rest));
            if (joined_) {
                part_of_line_ = v;
                waiting_ = rest;
                waiting_at_ = y_ + at_;
            } else {
                unit_sink<A>{y_}.put_first(at_, v, rest);
            }
        }
        y_ = nullptr;
        n_ = at_ = 0;
    }
    // The part of a line that no row will complete.
    TARN_INLINE void flush() noexcept {
        if (waiting_ > 0)
            unit_sink<A>{waiting_at_}.put_first(0, part_of_line_, waiting_);
        waiting_ = 0;
    }

private:
    const float* e_ = nullptr;
    float* y_ = nullptr;
    std::ptrdiff_t n_ = 0;
    std::ptrdiff_t at_ = 0;
    normaliser result_ = {0, 0, 0};
    bool joined_;
    int waiting_ = 0;
    float* waiting_at_ = nullptr;
    pack<A> part_of_line_ = simd::broadcast<A>(0.0f);
};

template <class A> struct buffered_rows {
    template <bool Stream> TARN_NOINLINE static void run_as(const dispatch::softmax_rows& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        const std::ptrdiff_t n = a.columns;
        float* const rows = first_row(a);
        simd::store<A>(rows - lanes, simd::broadcast<A>(0.0f));
        simd::store<A>(rows - lanes + dispatch::buffered_row_size(n), simd::broadcast<A>(0.0f));
        departing_row<A, Stream> before(a.y_row_stride == n);
        guess_reference<A>(state, unit_source<A>{a.x}, n);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const std::conditional_t<Stream, ahead_source<A>, unit_source<A>> x{a.x + r * a.x_row_stride};
            float* y = a.y + r * a.y_row_stride;
            const unit_sink<A> e{rows + (r % 2) * dispatch::buffered_row_size(n)};
            if (state.may_guess()) {
                const double sum = state.with_weight(
                    [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, e, n, before.beside()); });
                before.complete(true);
                if (acceptable(sum)) {
                    before.start(e.p, y, n, normaliser::of(sum));
                    state.guessed_right(sum);
                    continue;
                }
                state.guessed_wrong();
            } else {
                before.complete(false);
            }
            before.flush();
            careful_row<A, true>(state, unit_source<A>{x.p}, unit_sink<A>{y}, n);
        }
        before.complete(false);
        before.flush();
        if (Stream)
            simd::stream_fence<A>();
    }
    static void run(const dispatch::softmax_rows& a) noexcept {
        if (!a.scratch)
            run_on_stack(a);
        else if (a.stream)
            run_as<true>(a);
        else
            run_as<false>(a);
    }

private:
    TARN_NOINLINE static void run_on_stack(dispatch::softmax_rows a) noexcept {
        alignas(64) float scratch[dispatch::buffered_scratch(dispatch::stack_buffered_columns)];
        a.scratch = scratch;
        a.scratch_size = dispatch::buffered_scratch(dispatch::stack_buffered_columns);
        run(a);
    }
    // Half a page from x modulo pages.
    TARN_INLINE static float* first_row(const dispatch::softmax_rows& a) noexcept {
        const auto x = reinterpret_cast<std::uintptr_t>(a.x) / 64;
        const auto scratch = reinterpret_cast<std::uintptr_t>(a.scratch) / 64 + 1;
        return a.scratch + lanes + (x - scratch + 32) % 64 * lanes;
    }
};

// f of each pack of a row to y: a partial store up to the first cache line of y, then whole lines.
template <class A, bool Stream, class Source, class F>
TARN_INLINE void map_row_to_lines(Source e, float* y, std::ptrdiff_t n, F f) noexcept {
    std::ptrdiff_t head = elements_to_line(y);
    head = head < n ? head : n;
    if (head > 0)
        unit_sink<A>{y}.put_first(0, f(e.first(0, static_cast<int>(head))), static_cast<int>(head));
    if constexpr (Stream)
        map_row<A>(e, stream_sink<A>{y}, head, n, f);
    else
        map_row<A>(e, unit_sink<A>{y}, head, n, f);
}

template <class A> struct two_read_rows {
    template <bool Stream> TARN_NOINLINE static void run_as(const dispatch::softmax_rows& a) noexcept {
        softmax_rows_state<A> state(a.scale, a.zero_empty_rows);
        const std::ptrdiff_t n = a.columns;
        guess_reference<A>(state, unit_source<A>{a.x}, n);
        for_each_row<A>(a, [&](auto row, auto y) TARN_LAMBDA {
            const ahead_source<A> x(row.p);
            optimistic_row<A>(
                state, [&](const auto& weight) TARN_LAMBDA { return weigh_row<A>(weight, x, no_sink{}, n); },
                [&](normaliser result) TARN_LAMBDA {
                    const auto scaled = result.on<A>();
                    state.with_weight([&](const auto& given) TARN_LAMBDA {
                        const auto weight = given;
                        map_row_to_lines<A, Stream>(x, y.p, n,
                                                    [&](const pack<A>& v) TARN_LAMBDA { return scaled(weight(v)); });
                        return 0.0;
                    });
                },
                [&]() TARN_LAMBDA { careful_row<A, false>(state, row, y, n); });
        });
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
