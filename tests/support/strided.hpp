// SPDX-License-Identifier: BSD-3-Clause
//
// Tensors with axes in any order in memory.
#pragma once

#include "support/inputs.hpp"

#include <tarn/tensor_view.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

namespace support {

// A tensor in memory of its own: axes in any order of strides, with padding, backwards, or repeated.
struct strided {
    std::vector<float> memory;
    std::ptrdiff_t first = 0;
    std::ptrdiff_t stride[tarn::max_rank] = {};

    strided(random_bits& random, int rank, const std::ptrdiff_t* extent, int repeated_axis) {
        int order[tarn::max_rank];
        std::iota(order, order + rank, 0);
        for (int i = rank - 1; i > 0; --i)
            std::swap(order[i], order[random.below(i + 1)]);
        std::ptrdiff_t step = random.below(4) ? 1 : 2;
        for (int i = 0; i < rank; ++i) {
            const int axis = order[i];
            if (axis == repeated_axis)
                continue;
            const std::ptrdiff_t size = extent[axis] * step;
            const bool backwards = random.below(4) == 0;
            stride[axis] = backwards ? -step : step;
            first += backwards ? (extent[axis] - 1) * step : 0;
            step = size + (random.below(3) ? 0 : random.below(5));
        }
        memory.assign(static_cast<std::size_t>(step), 0.0f);
    }
    template <int Rank> tarn::tensor_view<float, Rank> view(const std::ptrdiff_t* extent) {
        tarn::tensor_view<float, Rank> v{memory.data() + first, {}, {}};
        std::copy(extent, extent + Rank, v.extent);
        std::copy(stride, stride + Rank, v.stride);
        return v;
    }
    float& at(const std::ptrdiff_t* index, int rank) {
        return memory[static_cast<std::size_t>(std::inner_product(index, index + rank, stride, first))];
    }
};

// A dense tensor, the last axis fastest.
template <int Rank, class T> tarn::tensor_view<T, Rank> dense_view(T* data, const std::ptrdiff_t* extent) {
    tarn::tensor_view<T, Rank> v{data, {}, {}};
    std::ptrdiff_t size = 1;
    for (int i = Rank - 1; i >= 0; --i) {
        v.extent[i] = extent[i];
        v.stride[i] = size;
        size *= extent[i];
    }
    return v;
}

// Calls f(index) for every element of a box; the last axis runs fastest.
template <class F> void each_index(int rank, const std::ptrdiff_t* extent, F f) {
    std::ptrdiff_t index[tarn::max_rank] = {};
    const std::ptrdiff_t size = std::accumulate(extent, extent + rank, std::ptrdiff_t{1}, std::multiplies<>{});
    for (std::ptrdiff_t k = 0; k < size; ++k) {
        f(static_cast<const std::ptrdiff_t*>(index));
        for (int i = rank - 1; i >= 0 && ++index[i] == extent[i]; --i)
            index[i] = 0;
    }
}

} // namespace support
