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
    using source = unit_source<A>;

    static numbers begin(const row&) noexcept { return {}; }
    static piece_reading<A> read(const row& p, const numbers&) noexcept {
        return reading_of<A>(
            backward_rows<A, Gradient>::add_row(Gradient(p.scale), {p.y}, {p.dy}, p.length, nothing_beside{}));
    }
    static void add(numbers& n, const piece_reading<A>& piece) noexcept { add_reading<A>(n.reading, piece); }
    static void next(numbers& n, const row& r) noexcept {
        n.number = number_of_row<A>(Gradient(r.scale), total_of<A>(n.reading));
        n.settled = true;
    }
    static void finish(const row& p, const numbers& n) noexcept {
        const Gradient gradient(p.scale);
        const gradient_results<A, Gradient, source> results{&gradient, {p.y}, {p.dy}, n.number};
        map_piece<A>(results, p.dx, p.length, p.stream, [](const pack<A>& v) TARN_LAMBDA { return v; });
    }
    static constexpr dispatch::row_pieces<number<A>, row, numbers> functions = {&begin, &read, &add, &next, &finish};
};

// Nothing to be read: elements are by themselves.
template <class A> struct logsumexp_backward_pieces {
    using row = dispatch::softmax_backward_long_row<number<A>>;
    using numbers = dispatch::softmax_backward_row_numbers<number<A>>;

    static numbers begin(const row&) noexcept { return {true, {}, 0}; }
    static void finish(const row& p, const numbers&) noexcept {
        logsumexp_backward<A>::run_rows(
            {p.y, nullptr, p.lse, p.dlse, p.dx, 1, p.length, 0, 0, 0, 0, 0, p.scale, p.stream});
    }
    static constexpr dispatch::row_pieces<number<A>, row, numbers> functions = {&begin, nullptr, nullptr, nullptr,
                                                                                &finish};
};

}}}} // namespace tarn::kernels
