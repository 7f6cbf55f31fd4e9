// SPDX-License-Identifier: BSD-3-Clause
//
// What is kept of windows beside their results: which element each took, or the fields of its state.
#pragma once

#include <tarn/kernels/window_state.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Windows first .. first + outputs - 1 of rows of a plane, `begin` the column that the first begins at, and lanes
// first_lane .. first_lane + lanes - 1 of them. Fields: of each.
template <class A, int Fields> struct kept_windows {
    const dispatch::window_planes& c;
    std::ptrdiff_t plane, first, outputs, begin, first_lane, lanes;

    // Of a row, taps of windows as elements of the plane, or fields, `pitch` apart, as they are.
    TARN_INLINE void put(std::ptrdiff_t row, const number<A>* kept,
                         [[maybe_unused]] std::ptrdiff_t pitch) const noexcept {
        const dispatch::index_operand& index = c.index;
        const std::ptrdiff_t depth = quotient(row, c.axis[1].out);
        const std::ptrdiff_t height = row - depth * c.axis[1].out;
        for (std::ptrdiff_t j = 0; j < outputs; ++j) {
            for (std::ptrdiff_t l = 0; l < lanes; ++l) {
                const number<A>* const from = kept + j * lanes + l;
                const std::ptrdiff_t at = index.first + plane * index.across + depth * index.step[0] +
                                          height * index.step[1] + (first + j) * index.step[2] +
                                          (first_lane + l) * index.along;
                if (index.kind == dispatch::index_kind::state) {
                    for (int f = 0; f < Fields; ++f)
                        static_cast<number<A>*>(index.data)[at + f * index.field] = from[f * pitch];
                    continue;
                }
                const std::ptrdiff_t v = *from < infinite<A> ? element_of(*from, depth, height, j) : -1;
                if (index.kind == dispatch::index_kind::int64)
                    static_cast<std::int64_t*>(index.data)[at] = v;
                else
                    static_cast<std::int32_t*>(index.data)[at] = static_cast<std::int32_t>(v);
            }
        }
    }

private:
    // The element of the plane that a tap of window j of a row of depth and height is.
    TARN_INLINE std::ptrdiff_t element_of(number<A> tap, std::ptrdiff_t depth, std::ptrdiff_t height,
                                          std::ptrdiff_t j) const noexcept {
        const dispatch::window_axis& z = c.axis[0];
        const dispatch::window_axis& y = c.axis[1];
        const dispatch::window_axis& x = c.axis[2];
        const auto whole = static_cast<std::ptrdiff_t>(tap);
        const std::ptrdiff_t rows = quotient(whole, x.kernel);
        const std::ptrdiff_t w = whole - rows * x.kernel;
        const std::ptrdiff_t d = quotient(rows, y.kernel);
        const std::ptrdiff_t h = rows - d * y.kernel;
        const std::ptrdiff_t in_depth = depth * z.stride - z.before + d * z.dilation;
        const std::ptrdiff_t in_height = height * y.stride - y.before + h * y.dilation;
        return (in_depth * y.in + in_height) * x.in + begin + j * x.stride + w * x.dilation;
    }
};

}}}} // namespace tarn::kernels
