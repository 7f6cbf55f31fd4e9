// SPDX-License-Identifier: BSD-3-Clause
//
// The elements of a window of two rows and columns, lanes side by side, are asked for while the one before is worked on: in
// the order in which they lie in memory, for processors do not see ahead where cache lines of four places come in turn.
#pragma once

#include <tarn/kernels/access.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> class square_ahead {
public:
    // Lanes 0 .. n - 1 from x on; `right`, `down`: from a column and a row to the next.
    TARN_INLINE square_ahead(const number<A>* x, std::ptrdiff_t right, std::ptrdiff_t down, std::ptrdiff_t n) noexcept
        : place_(x), to_other_{right, down - right}, n_(n) {}

    // As much as a register of windows has.
    TARN_INLINE void ask() noexcept {
        for (int k = 0; k < 4; ++k) {
            simd::prefetch<A>(place_ + lane_);
            lane_ += static_cast<std::ptrdiff_t>(numbers<A>::size);
            if (lane_ >= n_) {
                lane_ = 0;
                place_ += to_other_[second_];
                second_ = !second_;
            }
        }
    }

private:
    const number<A>* place_;
    const std::ptrdiff_t to_other_[2];
    const std::ptrdiff_t n_;
    std::ptrdiff_t lane_ = 0;
    bool second_ = false;
};

}}}} // namespace tarn::kernels
