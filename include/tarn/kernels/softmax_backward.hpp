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

// dx = scale * y * (dy - sum y dy). A scale above 1 goes to y and one below 1 to the difference, so that nothing between
// overflows where the result does not. In the sum, the products of a pair of packs go to the accumulators together: two
// roundings of 2^-24 (SSE2: three), where a conversion of every factor would take twice the time. Products are rounded by
// themselves, or with another product: no compiler fuses one with an accumulator.
template <class A> struct softmax_gradient {
    pack<A> scale_of_y, scale_of_difference;
    double factor_of_sum;

    TARN_INLINE explicit softmax_gradient(number<A> scale) noexcept
        : scale_of_y(simd::broadcast<A>(is_large(scale) ? scale : 1)),
          scale_of_difference(simd::broadcast<A>(is_large(scale) ? 1 : scale)),
          factor_of_sum(is_large(scale) ? -1.0 : -static_cast<double>(scale)) {}

    TARN_INLINE void add(simd::sum_pack<A>& sums, const pack<A>& y, const pack<A>& dy) const noexcept {
        sums.add(simd::fmadd<A>(y, dy, simd::broadcast<A>(0)));
    }
    TARN_INLINE void add_pair(simd::sum_pack<A>& sums, const pack<A>& y0, const pack<A>& dy0, const pack<A>& y1,
                              const pack<A>& dy1) const noexcept {
        sums.add(simd::fmadd<A>(y1, dy1, y0 * dy0));
    }
    TARN_INLINE pack<A> map(const pack<A>& y, const pack<A>& dy, const pack<A>& less) const noexcept {
        return y * scale_of_y * simd::fmadd<A>(dy, scale_of_difference, less);
    }

private:
    TARN_INLINE static bool is_large(number<A> scale) noexcept { return scale > 1 || scale < -1; }
};

// dx = scale * (dy - e^y sum dy)
template <class A> struct log_softmax_gradient {
    static constexpr double factor_of_sum = -1.0 / static_cast<double>(weights_of<A>::common_factor);
    dropping_weight<A> weight;
    pack<A> factor;

    TARN_INLINE explicit log_softmax_gradient(number<A> scale) noexcept
        : weight(exp_base<A>::of(1), reference<A>{0, 0}), factor(simd::broadcast<A>(scale)) {}

    TARN_INLINE void add(simd::sum_pack<A>& sums, const pack<A>&, const pack<A>& dy) const noexcept { sums.add(dy); }
    TARN_INLINE void add_pair(simd::sum_pack<A>& sums, const pack<A>&, const pack<A>& dy0, const pack<A>&,
                              const pack<A>& dy1) const noexcept {
        sums.add(dy0);
        sums.add(dy1);
    }
    TARN_INLINE pack<A> map(const pack<A>& y, const pack<A>& dy, const pack<A>& less) const noexcept {
        return simd::fmadd<A>(weight(y), less, dy) * factor;
    }
};

// What a row's map needs of the sum over the row.
template <class A, class Gradient>
TARN_INLINE number<A> number_of_row(const Gradient& gradient, const row_total<A>& sum) noexcept {
    return static_cast<number<A>>(static_cast<double>(sum) * gradient.factor_of_sum);
}

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
            gradient.add(sums, y.first(i, n), dy.first(i, n));
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

// What number_of_row wants of a row, or of whole chunks of it.
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
    map_row<A>(gradient_results<A, Gradient, Source>{&gradient, y, dy, number_of_row<A>(gradient, added)}, dx, 0, n,
               [](const pack<A>& v) TARN_LAMBDA { return v; });
}

// Rows too short to run beside each other, as many at a time as a pack has lanes: their sums are reduced together, while
// the rows of the tile before are mapped. add(r) returns the sums of a row, map(r, number) puts its results. Returns the
// first row that is not done, for want of a whole tile.
constexpr std::ptrdiff_t short_gradient_row = 128;
template <class A, class Gradient, class Add, class Map>
TARN_INLINE std::ptrdiff_t backward_tiles(std::ptrdiff_t rows, const Gradient& gradient, const Add& add,
                                          const Map& map) noexcept {
    alignas(64) double lane_sums[lanes<A> * 8];
    alignas(64) number<A> numbers[lanes<A>];
    std::ptrdiff_t r = 0;
    for (; r + lanes<A> <= rows; r += lanes<A>) {
        for (int i = 0; i < lanes<A>; ++i) {
            add(r + i).store_folded(lane_sums + i * 8);
            if (r > 0)
                map(r + i - lanes<A>, numbers[i]);
        }
        simd::row_totals<A, lanes<A>> totals;
        totals.assign_folded(lane_sums);
        auto of_rows = totals.rounded(0);
        of_rows.multiply(simd::double_pack<A>::broadcast(gradient.factor_of_sum));
        simd::store<A>(numbers, of_rows.to_numbers());
    }
    for (int i = 0; r > 0 && i < lanes<A>; ++i)
        map(r + i - lanes<A>, numbers[i]);
    return r;
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
    TARN_NOINLINE static void run_long(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        const Gradient gradient(a.scale);
        const std::ptrdiff_t n = a.length;
        departing_row<A, results_sink<A, Stream>, results> before(Stream && a.y_stride == n && a.dy_stride == n &&
                                                                  a.dx_stride == n);
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const source y{a.y + r * a.y_stride};
            const source dy{a.dy + r * a.dy_stride};
            const row_total<A> added = add_row(gradient, y, dy, n, before.beside());
            before.complete(n);
            before.start({&gradient, y, dy, number_of_row<A>(gradient, added)}, a.dx + r * a.dx_stride, n);
        }
        before.complete(0);
        before.flush();
    }
    template <class Sink>
    TARN_NOINLINE static void run_tiles(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        const Gradient gradient(a.scale);
        const std::ptrdiff_t n = a.length;
        const auto add = [&](std::ptrdiff_t r) TARN_LAMBDA {
            const gradient_adder<A, Gradient, source, source> adder{
                gradient, {a.y + r * a.y_stride}, {a.dy + r * a.dy_stride}};
            return sum_span<A>(adder, 0, n, nothing_beside{});
        };
        const auto map = [&](std::ptrdiff_t r, number<A> of_row) TARN_LAMBDA {
            const results row{&gradient, {a.y + r * a.y_stride}, {a.dy + r * a.dy_stride}, of_row};
            map_row<A>(row, Sink{a.dx + r * a.dx_stride}, 0, n, [](const pack<A>& v) TARN_LAMBDA { return v; });
        };
        for (std::ptrdiff_t r = backward_tiles<A>(a.rows, gradient, add, map); r < a.rows; ++r)
            backward_row<A>(gradient, source{a.y + r * a.y_stride}, source{a.dy + r * a.dy_stride},
                            Sink{a.dx + r * a.dx_stride}, n);
    }
    static void run(const dispatch::softmax_backward_call<number<A>>& a) noexcept {
        if (a.length > short_gradient_row)
            a.stream ? run_long<true>(a) : run_long<false>(a);
        else if (a.stream && are_whole_lines<A>(a.dx, a.dx_stride, a.length))
            run_tiles<stream_sink<A>>(a);
        else
            run_tiles<unit_sink<A>>(a);
        if (a.stream)
            simd::stream_fence<A>();
    }
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
            [&](auto& sums, std::ptrdiff_t i, int first, auto of_lane) TARN_LAMBDA {
                simd::unroll<columns_together<W>>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    const int w = first + K;
                    if constexpr (decltype(of_lane)::value == 2)
                        gradient.add_pair(sums[K], y.at_ahead(i, w), dy.at_ahead(i, w), y.at_ahead(i + lanes<A>, w),
                                          dy.at_ahead(i + lanes<A>, w));
                    else
                        gradient.add(sums[K], y.at_ahead(i, w), dy.at_ahead(i, w));
                });
            },
            [](std::ptrdiff_t) TARN_LAMBDA {});
        for (int c = 0; c < width; ++c)
            numbers[c] = number_of_row<A>(gradient, total[c]);
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
