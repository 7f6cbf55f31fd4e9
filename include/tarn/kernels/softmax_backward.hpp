// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of softmax and log-softmax: a sum over each row, and a map of the row that needs it. A row is read for
// its sum and again for its results, the second time out of a cache and beside the first reading of the next row. In
// place over any operand.
#pragma once

#include <tarn/dispatch/softmax_backward_table.hpp>
#include <tarn/kernels/columns.hpp>
#include <tarn/kernels/departing_row.hpp>
#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// dx = scale * y * (dy - sum y dy). Products that are 2^64 too large, or infinite, tell which are below 2^-126, and are
// 0, without a denormal number. A scale above 1 goes to y first, one below 1 to the product: what is between is normal.
//
// In the sum, the products of a pair of packs are fused with a number that no product is denormal beside, and go to the
// accumulators together: two roundings of 2^-24, where a conversion of every factor would take twice the time. What
// these numbers add is taken from the sum. Without a fused operation products are exact instead.
template <class A> struct softmax_gradient {
    static constexpr number<A> excess = 0x1p64f;
    static constexpr double least_partial = simd::is_double<A> ? 0x1p-900 : 0x1p-100;
    pack<A> enlarge, threshold, scale_of_y, scale_of_product;

    TARN_INLINE explicit softmax_gradient(number<A> scale) noexcept
        : enlarge(simd::broadcast<A>(excess)),
          threshold(simd::broadcast<A>(weights_of<A>::least_result * excess / (scale < 0 ? -scale : scale))),
          scale_of_y(simd::broadcast<A>(scale > 1 || scale < -1 ? scale : 1)),
          scale_of_product(simd::broadcast<A>(scale > 1 || scale < -1 ? 1 : scale)) {}

    TARN_INLINE void add(simd::sum_pack<A>& sums, const pack<A>& y, const pack<A>& dy) const noexcept {
        if constexpr (simd::has_fused_fmadd<A>)
            sums.add(simd::fmadd<A>(y, dy, start()));
        else
            sums.add_product(y, dy);
    }
    // The first n lanes; those beyond them hold 0.
    TARN_INLINE void add_first(simd::sum_pack<A>& sums, const pack<A>& y, const pack<A>& dy, int n) const noexcept {
        if constexpr (simd::has_fused_fmadd<A>)
            sums.add(simd::first_or<A>(simd::fmadd<A>(y, dy, start()), n, 0.0f));
        else
            sums.add_product(y, dy);
    }
    TARN_INLINE void add_pair(simd::sum_pack<A>& sums, const pack<A>& y0, const pack<A>& dy0, const pack<A>& y1,
                              const pack<A>& dy1) const noexcept {
        if constexpr (simd::has_fused_fmadd<A>) {
            sums.add(simd::fmadd<A>(y1, dy1, simd::fmadd<A>(y0, dy0, start())));
        } else {
            sums.add_product(y0, dy0);
            sums.add_product(y1, dy1);
        }
    }
    // From what was added for a row of n elements.
    TARN_INLINE static number<A> number_of(row_total<A> sum, std::ptrdiff_t n) noexcept {
        if constexpr (simd::has_fused_fmadd<A>) {
            const std::ptrdiff_t rest = n % (2 * lanes<A>);
            const std::ptrdiff_t partials = n / (2 * lanes<A>)*lanes<A> + (rest < lanes<A> ? rest : lanes<A>);
            const double less = -least_partial * static_cast<double>(partials);
            if constexpr (simd::is_double<A>)
                simd::add_total(sum, {less, 0.0});
            else
                sum += less;
        }
        const double rounded = sum;
        const bool denormal = rounded < weights_of<A>::least_result && rounded > -weights_of<A>::least_result;
        return denormal ? 0 : static_cast<number<A>>(rounded);
    }
    TARN_INLINE pack<A> map(const pack<A>& y, const pack<A>& dy, const pack<A>& sum) const noexcept {
        const pack<A> rest = dy - sum;
        const pack<A> kept = simd::zero_where_le<A>(rest, simd::magnitude<A>(y * enlarge * rest), threshold);
        return y * scale_of_y * kept * scale_of_product;
    }

private:
    TARN_INLINE static pack<A> start() noexcept { return simd::broadcast<A>(static_cast<number<A>>(least_partial)); }
};

// dx = scale * (dy - e^y sum dy)
template <class A> struct log_softmax_gradient {
    exp_weight<A, true> weight;
    pack<A> factor;

    TARN_INLINE explicit log_softmax_gradient(number<A> scale) noexcept
        : weight(exp_base<A>::of(1), reference<A>{0, 0}), factor(simd::broadcast<A>(scale)) {}

    TARN_INLINE void add(simd::sum_pack<A>& sums, const pack<A>&, const pack<A>& dy) const noexcept { sums.add(dy); }
    TARN_INLINE void add_first(simd::sum_pack<A>& sums, const pack<A>&, const pack<A>& dy, int) const noexcept {
        sums.add(dy);
    }
    TARN_INLINE void add_pair(simd::sum_pack<A>& sums, const pack<A>&, const pack<A>& dy0, const pack<A>&,
                              const pack<A>& dy1) const noexcept {
        sums.add(dy0);
        sums.add(dy1);
    }
    TARN_INLINE static number<A> number_of(const row_total<A>& sum, std::ptrdiff_t) noexcept {
        return static_cast<number<A>>(-sum / weights_of<A>::common_factor);
    }
    TARN_INLINE pack<A> map(const pack<A>& y, const pack<A>& dy, const pack<A>& less) const noexcept {
        return simd::fmadd<A>(weight(y), less, dy) * factor;
    }
};

// Adds a row's products to its sum. Source, Other: where packs of y and dy come from.
template <class A, class Gradient, class Source, class Other> struct gradient_adder {
    const Gradient& gradient;
    Source y;
    Other dy;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        y.prefetch(i);
        dy.prefetch(i);
    }
    TARN_INLINE void four(simd::sum_pack<A>& sums, std::ptrdiff_t i) const noexcept {
        simd::unroll<2>([&](auto k) TARN_LAMBDA {
            const std::ptrdiff_t at = i + 2 * decltype(k)::value * lanes<A>;
            gradient.add_pair(sums, y.at(at), dy.at(at), y.at(at + lanes<A>), dy.at(at + lanes<A>));
        });
    }
    TARN_INLINE void rest(simd::sum_pack<A>& sums, std::ptrdiff_t i, int n, int m) const noexcept {
        if (m > 0)
            gradient.add_pair(sums, y.first(i, n), dy.first(i, n), y.first(i + lanes<A>, m), dy.first(i + lanes<A>, m));
        else
            gradient.add_first(sums, y.first(i, n), dy.first(i, n), n);
    }
};

// A row's results.
template <class A, class Gradient, class Source> struct gradient_results {
    const Gradient* gradient;
    Source y, dy;
    simd::number<A> number;

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        y.prefetch(i);
        dy.prefetch(i);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return map(y.at(i), dy.at(i)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept { return map(y.first(i, n), dy.first(i, n)); }

private:
    TARN_INLINE pack<A> map(const pack<A>& v, const pack<A>& dv) const noexcept {
        return gradient->map(v, dv, simd::broadcast<A>(number));
    }
};

// What Gradient::number_of wants of a row, or of whole chunks of it.
template <class A, class Gradient, class Source, class Other, class Beside>
TARN_INLINE row_total<A> add_products(const Gradient& gradient, Source y, Other dy, std::ptrdiff_t n,
                                      const Beside& beside) noexcept {
    return sum_chunks<A>(gradient_adder<A, Gradient, Source, Other>{gradient, y, dy}, n, beside);
}

// One row after the other: its sum, then its results.
template <class A, class Gradient, class Source, class Sink>
TARN_NOINLINE void backward_row(const Gradient& given, Source y, Source dy, Sink dx, std::ptrdiff_t n) noexcept {
    const Gradient gradient = given;
    const row_total<A> added = add_products<A>(gradient, y, dy, n, nothing_beside{});
    map_row<A>(gradient_results<A, Gradient, Source>{&gradient, y, dy, Gradient::number_of(added, n)}, dx, 0, n,
               [](const pack<A>& v) TARN_LAMBDA { return v; });
}

template <class A, class Gradient> struct backward_rows {
    using source = unit_source<A>;
    using results = gradient_results<A, Gradient, source>;

    template <class Beside>
    TARN_NOINLINE static row_total<A> add_row(const Gradient& given, source y, source dy, std::ptrdiff_t n,
                                              const Beside& given_beside) noexcept {
        const Gradient gradient = given;
        const Beside beside = given_beside;
        return add_products<A>(gradient, y, dy, n, beside);
    }

    template <bool Stream>
    TARN_NOINLINE static void run_as(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        const Gradient gradient(a.scale);
        const std::ptrdiff_t n = a.length;
        departing_row<A, Stream, results> before(a.y_stride == n && a.dy_stride == n && a.dx_stride == n);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const source y{a.y + r * a.y_stride};
            const source dy{a.dy + r * a.dy_stride};
            const row_total<A> added = add_row(gradient, y, dy, n, before.beside());
            before.complete(n);
            before.start({&gradient, y, dy, Gradient::number_of(added, n)}, a.dx + r * a.dx_stride, n);
        }
        before.complete(0);
        before.flush();
        if (Stream)
            simd::stream_fence<A>();
    }
    // Rows too short to run beside each other.
    TARN_NOINLINE static void run_short(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        const Gradient gradient(a.scale);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r)
            backward_row<A>(gradient, source{a.y + r * a.y_stride}, source{a.dy + r * a.dy_stride},
                            unit_sink<A>{a.dx + r * a.dx_stride}, a.length);
    }
    static void run(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        if (a.length <= short_row)
            run_short(a);
        else if (a.stream)
            run_as<true>(a);
        else
            run_as<false>(a);
    }

private:
    static constexpr std::ptrdiff_t short_row = 128;
};

template <class A, class Gradient> struct backward_columns {
    template <int W>
    TARN_NOINLINE static void run_block(const dispatch::softmax_backward_call<number<A>>& a, const Gradient& given,
                                        std::ptrdiff_t col, int last) noexcept {
        constexpr int width = W * lanes<A>;
        const Gradient gradient = given;
        const column_source<A, W> y{a.y + col, a.y_stride, last};
        const column_source<A, W> dy{a.dy + col, a.dy_stride, last};
        simd::row_totals<A, width> total;
        alignas(64) number<A> numbers[width];
        sum_columns<A, W>(
            a.length, total,
            [&](simd::sum_pack<A>& sums, std::ptrdiff_t i, int w, bool pair) TARN_LAMBDA {
                if (pair)
                    gradient.add_pair(sums, y.at_ahead(i, w), dy.at_ahead(i, w), y.at_ahead(i + lanes<A>, w),
                                      dy.at_ahead(i + lanes<A>, w));
                else
                    gradient.add(sums, y.at_ahead(i, w), dy.at_ahead(i, w));
            },
            [](std::ptrdiff_t) TARN_LAMBDA {});
        for (int c = 0; c < width; ++c)
            numbers[c] = Gradient::number_of(total[c], a.length);
        map_columns<A, W>(column_sink<A, W>::of(a.dx + col, a.dx_stride, last, a.stream), a.length,
                          [&](std::ptrdiff_t i, int w) TARN_LAMBDA {
                              return gradient.map(y.at(i, w), dy.at(i, w), simd::load<A>(numbers + w * lanes<A>));
                          });
    }
    static void run(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        const Gradient gradient(a.scale);
        for_column_blocks<A>(a.rows, [&](auto packs, std::ptrdiff_t col, int last)
                                         TARN_LAMBDA { run_block<decltype(packs)::value>(a, gradient, col, last); });
        if (a.stream)
            simd::stream_fence<A>();
    }
};

}}}} // namespace tarn::kernels
