// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of masked softmax: that of softmax for the part of each row that is kept, and zeros elsewhere. One row
// after the other, its sum and then its results.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/masked_softmax.hpp>
#include <tarn/kernels/softmax_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A gradient where it is kept, elsewhere 0: what is not kept may be anything.
template <class A, class Base> struct kept_source {
    Base dy;
    kept_bytes<A> kept;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        dy.prefetch(i);
        kept.prefetch(i);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return kept.at(i, dy.at(i)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept { return kept.first(i, n, dy.first(i, n)); }
};

// A row's results: with a soft cap, times the derivative of the capped logit.
template <class A, class Base> struct masked_gradient_results {
    const softmax_gradient<A>* gradient;
    Base y, dy;
    kept_bytes<A> kept;
    number<A> number_of_row;
    const hyperbolic_tangent<A>* tangent; // null: no cap
    Base x;
    number<A> factor;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        y.prefetch(i);
        dy.prefetch(i);
        kept.prefetch(i);
        if (tangent)
            x.prefetch(i);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept {
        const pack<A> r = map(y.at(i), dy.at(i));
        return kept.at(i, tangent ? capped(r, x.at(i)) : r);
    }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        const pack<A> r = map(y.first(i, n), dy.first(i, n));
        return kept.first(i, n, tangent ? capped(r, x.first(i, n)) : r);
    }

private:
    TARN_INLINE pack<A> map(const pack<A>& v, const pack<A>& dv) const noexcept {
        return gradient->map(v, dv, simd::broadcast<A>(number_of_row));
    }
    TARN_NOINLINE pack<A> capped(const pack<A>& r, const pack<A>& logit) const noexcept {
        return r * tangent->slope(logit * simd::broadcast<A>(factor));
    }
};

template <class A> class masked_backward {
public:
    TARN_INLINE explicit masked_backward(const dispatch::mask_of_rows<number<A>>& m) noexcept
        : mask_(m), gradient_(m.scale), factor_(m.soft_cap > 0 ? m.scale / m.soft_cap : 0) {}

    // Row r, of which `span` holds all that is kept; sources and dx begin there. Returns the gradient of its sink.
    template <class Base, class Sink>
    TARN_NOINLINE number<A> run_row(std::ptrdiff_t r, row_span span, Base y, Base dy, Base x, Sink dx,
                                    bool wants_sink) noexcept {
        const std::ptrdiff_t n = span.length();
        const kept_bytes<A> kept = kept_bytes<A>::of(mask_, r, span.begin, bytes_);
        const softmax_gradient<A> gradient = gradient_;
        const row_total<A> sum = add_products<A>(gradient, y, kept_source<A, Base>{dy, kept}, n, nothing_beside{});
        number<A> of_sink = 0;
        if (wants_sink) {
            const row_total<A> kept_weight =
                weigh_chunks<A>([](const pack<A>& v) TARN_LAMBDA { return v; }, y, no_sink{}, n, nothing_beside{});
            of_sink = static_cast<number<A>>(simd::total_less(kept_weight, 1.0) * static_cast<double>(sum));
        }
        copy_row<A>(masked_gradient_results<A, Base>{&gradient, y, dy, kept, number_of_row<A>(gradient, sum),
                                                     factor_ != 0 ? &tangent_ : nullptr, x, factor_},
                    dx, n);
        return of_sink;
    }

private:
    const dispatch::mask_of_rows<number<A>>& mask_;
    softmax_gradient<A> gradient_;
    hyperbolic_tangent<A> tangent_;
    number<A> factor_;
    typename kept_bytes<A>::buffer bytes_;
};

template <class A> struct masked_backward_rows {
    static void run(const dispatch::masked_softmax_backward_rows<number<A>>& a) noexcept {
        using source = unit_source<A>;
        masked_backward<A> backward(a.mask);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(a.mask, r, a.columns);
            number<A>* const dx = a.dx + r * a.dx_across;
            number<A> of_sink = 0;
            if (!s.empty())
                of_sink = backward.run_row(r, s, source{a.y + r * a.y_across + s.begin},
                                           source{a.dy + r * a.dy_across + s.begin},
                                           source{a.x ? a.x + r * a.x_across + s.begin : nullptr},
                                           unit_sink<A>{dx + s.begin}, a.sink_gradient != nullptr);
            fill_around<A>(dx, a.columns, s, 0, false);
            if (a.sink_gradient)
                a.sink_gradient[r * a.sink_across] = of_sink;
        }
    }
};

template <class A> struct masked_backward_stored_rows {
    static void run(const dispatch::masked_softmax_backward_stored<number<A>>& a) noexcept {
        masked_backward<A> backward(a.mask);
        stored_buffer<A> y, dy, x, dx;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(a.mask, r, a.columns);
            const auto source = [&](const dispatch::stored_rows& v, stored_buffer<A>& b)
                                    TARN_LAMBDA { return any_source<A>::of(stored_from(v, r, s.begin), 0, b); };
            const auto sink = [&](std::ptrdiff_t i)
                                  TARN_LAMBDA { return any_sink<A>::of(stored_from(a.dx, r, i), 0, dx); };
            number<A> of_sink = 0;
            if (!s.empty())
                of_sink = backward.run_row(r, s, source(a.y, y), source(a.dy, dy), source(a.x, x), sink(s.begin),
                                           a.sink_gradient.data != nullptr);
            fill_around<A>(sink(0), sink(s.end), a.columns, s, 0);
            if (a.sink_gradient.data)
                transfer<A, false>(a.sink_gradient, r, &of_sink, 1);
        }
    }
};

}}}} // namespace tarn::kernels
