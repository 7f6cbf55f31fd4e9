// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of one long row in pieces that threads share.
#pragma once

#include <tarn/kernels/logsumexp_backward.hpp>
#include <tarn/kernels/pieces.hpp>
#include <tarn/kernels/softmax_backward.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A sum over the row, then its map. Gradient: softmax_gradient or log_softmax_gradient.
template <class A, class Gradient> struct backward_row_pieces {
    using row = dispatch::softmax_backward_long_row<number<A>>;
    using numbers = dispatch::softmax_backward_row_numbers<number<A>>;

    static numbers begin(const row&) noexcept { return {}; }
    static piece_reading<A> read(const row& p, const numbers&) noexcept {
        const Gradient gradient(p.scale);
        const auto sum = [&](auto y, auto dy) TARN_LAMBDA { return add_row(gradient, y, dy, p.length); };
        return reading_of<A>(with_sources<A>(p.length, sum, p.y, p.dy));
    }
    static void add(numbers& n, const piece_reading<A>& piece) noexcept { add_reading<A>(n.reading, piece); }
    static void next(numbers& n, const row& r) noexcept {
        n.number = number_of_row<A>(Gradient(r.scale), total_of<A>(n.reading));
        n.settled = true;
    }
    static void finish(const row& p, const numbers& n) noexcept {
        const Gradient gradient(p.scale);
        const auto map = [&](auto dx, auto y, auto dy)
                             TARN_LAMBDA { map_row(gradient, n.number, y, dy, dx, p.length); };
        with_results<A>(p.dx, p.stream, p.length, map, p.y, p.dy);
    }
    static constexpr dispatch::row_pieces<number<A>, row, numbers> functions = {&begin, &read, &add, &next, &finish};

private:
    template <class Source>
    TARN_NOINLINE static row_total<A> add_row(const Gradient& given, Source y, Source dy, std::ptrdiff_t n) noexcept {
        const Gradient gradient = given;
        return add_products<A>(gradient, y, dy, n, nothing_beside{});
    }
    template <class Source, class Sink>
    TARN_NOINLINE static void map_row(const Gradient& given, number<A> number, Source y, Source dy, Sink dx,
                                      std::ptrdiff_t n) noexcept {
        const Gradient gradient = given;
        const gradient_results<A, Gradient, Source> results{&gradient, y, dy, number};
        map_whole_row<A>(results, dx, n, [](const pack<A>& v) TARN_LAMBDA { return v; });
    }
};

// Nothing to be read: elements are by themselves.
template <class A> struct logsumexp_backward_pieces {
    using row = dispatch::softmax_backward_long_row<number<A>>;
    using numbers = dispatch::softmax_backward_row_numbers<number<A>>;

    static numbers begin(const row&) noexcept { return {true, {}, 0}; }
    static void finish(const row& p, const numbers&) noexcept {
        const auto map = [&](auto dx, auto x)
                             TARN_LAMBDA { logsumexp_backward<A>::run_row(p.lse, p.dlse, p.scale, x, dx, p.length); };
        with_results<A>(p.dx, p.stream, p.length, map, p.y);
    }
    static constexpr dispatch::row_pieces<number<A>, row, numbers> functions = {&begin, nullptr, nullptr, nullptr,
                                                                                &finish};
};

}}}} // namespace tarn::kernels
