// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of masked softmax: that of softmax for the part of each row that is kept, and zeros elsewhere. One row
// after the other, its sum and then its results.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/masked_softmax.hpp>
#include <tarn/kernels/softmax_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// All of a row, or what bytes side by side say; see also kept_bytes.
template <class A> struct all_kept {
    TARN_INLINE void prefetch(std::ptrdiff_t) const noexcept {}
    TARN_INLINE pack<A> at(std::ptrdiff_t, const pack<A>& v) const noexcept { return v; }
    TARN_INLINE pack<A> first(std::ptrdiff_t, int, const pack<A>& v) const noexcept { return v; }
};
template <class A> struct adjacent_bytes {
    const unsigned char* bytes;

    TARN_INLINE void prefetch(std::ptrdiff_t) const noexcept {}
    TARN_INLINE pack<A> at(std::ptrdiff_t i, const pack<A>& v) const noexcept {
        return simd::where_bytes<A>(bytes + i, v, simd::broadcast<A>(0));
    }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n, const pack<A>& v) const noexcept {
        return simd::where_first_bytes<A>(bytes + i, n, v, simd::broadcast<A>(0));
    }
};

// What a source has where it is kept, elsewhere 0: what is not kept may be anything.
template <class A, class Source, class Kept> struct kept_source {
    Source source;
    Kept kept;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        source.prefetch(i);
        kept.prefetch(i);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return kept.at(i, source.at(i)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept { return kept.first(i, n, source.first(i, n)); }
};

// Results times the derivative of the capped logits.
template <class A, class Results, class Source> struct capped_results {
    Results results;
    const hyperbolic_tangent<A>* tangent;
    Source x;
    number<A> factor;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        results.prefetch(i);
        x.prefetch(i);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return capped(results.at(i), x.at(i)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        return capped(results.first(i, n), x.first(i, n));
    }

private:
    TARN_NOINLINE pack<A> capped(const pack<A>& r, const pack<A>& logit) const noexcept {
        return r * tangent->slope(logit * simd::broadcast<A>(factor));
    }
};

// The part of a row that is looked at. To search the bytes of a short row takes longer than to look at all of them.
template <class T>
TARN_INLINE row_span gradient_span(const dispatch::mask_of_rows<T>& m, std::ptrdiff_t r,
                                   std::ptrdiff_t columns) noexcept {
    return columns <= short_gradient_row ? limited_span(m, r, columns) : kept_span(m, r, columns);
}

template <class A> class masked_backward {
public:
    TARN_INLINE explicit masked_backward(const dispatch::mask_of_rows<number<A>>& m) noexcept
        : mask_(m), gradient_(m.scale), factor_(m.soft_cap > 0 ? m.scale / m.soft_cap : 0) {}

    // Row r, of which `span` holds all that is kept; sources and dx begin there. Returns the gradient of its sink.
    template <class Base, class Sink>
    TARN_INLINE number<A> run_row(std::ptrdiff_t r, row_span span, Base y, Base dy, Base x, Sink dx,
                                  bool wants_sink) noexcept {
        const std::ptrdiff_t n = span.length();
        if (!mask_.keep)
            return run(all_kept<A>{}, y, dy, x, dx, n, wants_sink);
        if (mask_.keep_along == 1)
            return run(adjacent_bytes<A>{mask_.keep + r * mask_.keep_across + span.begin}, y, dy, x, dx, n, wants_sink);
        return run(kept_bytes<A>::of(mask_, r, span.begin, bytes_), y, dy, x, dx, n, wants_sink);
    }

private:
    using gradient = softmax_gradient<A>;

    template <class Kept, class Base, class Sink>
    TARN_NOINLINE number<A> run(Kept kept, Base y, Base dy, Base x, Sink dx, std::ptrdiff_t n,
                                bool wants_sink) const noexcept {
        const gradient g = gradient_;
        const row_total<A> sum = add_products<A>(g, y, kept_source<A, Base, Kept>{dy, kept}, n, nothing_beside{});
        number<A> of_sink = 0;
        if (wants_sink) {
            const row_total<A> kept_weight =
                weigh_chunks<A>([](const pack<A>& v) TARN_LAMBDA { return v; }, y, no_sink{}, n, nothing_beside{});
            of_sink = static_cast<number<A>>(simd::total_less(kept_weight, 1.0) * static_cast<double>(sum));
        }
        using results = gradient_results<A, gradient, Base>;
        using capped = capped_results<A, results, Base>;
        const results r{&g, y, dy, number_of_row<A>(g, sum)};
        if (factor_ == 0)
            copy_row<A>(kept_source<A, results, Kept>{r, kept}, dx, n);
        else
            copy_row<A>(kept_source<A, capped, Kept>{{r, &tangent_, x, factor_}, kept}, dx, n);
        return of_sink;
    }

    const dispatch::mask_of_rows<number<A>>& mask_;
    gradient gradient_;
    hyperbolic_tangent<A> tangent_;
    number<A> factor_;
    typename kept_bytes<A>::buffer bytes_;
};

template <class A> struct masked_backward_rows {
    using call = dispatch::masked_softmax_backward_rows<number<A>>;
    using source = unit_source<A>;

    static void run(const call& a) noexcept {
        masked_backward<A> backward(a.mask);
        const bool plain = a.columns <= short_gradient_row && a.mask.soft_cap == 0 && !a.sink_gradient;
        std::ptrdiff_t r = 0;
        if (plain && !a.mask.keep)
            r = run_tiles(a, [](std::ptrdiff_t, row_span) TARN_LAMBDA { return all_kept<A>{}; });
        else if (plain && a.mask.keep_along == 1)
            r = run_tiles(a, [&](std::ptrdiff_t row, row_span s) TARN_LAMBDA {
                return adjacent_bytes<A>{a.mask.keep + row * a.mask.keep_across + s.begin};
            });
        for (; r < a.rows; ++r) {
            const row_span s = gradient_span(a.mask, r, a.columns);
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

private:
    // kept_of(r, span): what of the span of row r is kept.
    template <class KeptOf> TARN_NOINLINE static std::ptrdiff_t run_tiles(const call& a, KeptOf kept_of) noexcept {
        using gradient = softmax_gradient<A>;
        using kept = decltype(kept_of(0, row_span{}));
        using results = gradient_results<A, gradient, source>;
        const gradient g(a.mask.scale);
        const auto add = [&](std::ptrdiff_t r) TARN_LAMBDA {
            const row_span s = gradient_span(a.mask, r, a.columns);
            const source y{a.y + r * a.y_across + s.begin}, dy{a.dy + r * a.dy_across + s.begin};
            const gradient_adder<A, gradient, source, kept_source<A, source, kept>> adder{g, y, {dy, kept_of(r, s)}};
            return sum_span<A>(adder, 0, s.length(), nothing_beside{});
        };
        const auto map = [&](std::ptrdiff_t r, number<A> of_row) TARN_LAMBDA {
            const row_span s = gradient_span(a.mask, r, a.columns);
            const source y{a.y + r * a.y_across + s.begin}, dy{a.dy + r * a.dy_across + s.begin};
            number<A>* const dx = a.dx + r * a.dx_across;
            copy_row<A>(kept_source<A, results, kept>{{&g, y, dy, of_row}, kept_of(r, s)}, unit_sink<A>{dx + s.begin},
                        s.length());
            fill_around<A>(dx, a.columns, s, 0, false);
        };
        return backward_tiles<A>(a.rows, g, add, map);
    }
};

template <class A> struct masked_backward_stored_rows {
    static void run(const dispatch::masked_softmax_backward_stored<number<A>>& a) noexcept {
        masked_backward<A> backward(a.mask);
        stored_buffer<A> y, dy, x, dx;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = gradient_span(a.mask, r, a.columns);
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
