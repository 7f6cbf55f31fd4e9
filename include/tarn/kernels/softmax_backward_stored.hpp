// SPDX-License-Identifier: BSD-3-Clause
//
// The gradients of softmax and log-softmax for rows of any type and stride that no buffer holds.
#pragma once

#include <tarn/kernels/softmax_backward.hpp>
#include <tarn/kernels/stored_blocks.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Gradient> struct backward_stored_rows {
    static void run(const dispatch::softmax_backward_stored<number<A>>& a) noexcept {
        const Gradient gradient(a.scale);
        block_buffer<A> y, dy, dx;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r)
            backward_row<A>(gradient, block_source<A>::of(a.y, r, a.length, y),
                            block_source<A>::of(a.dy, r, a.length, dy), block_sink<A>::of(a.dx, r, a.length, dx),
                            a.length);
    }
};

}}}} // namespace tarn::kernels
