// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax along a strided axis: columns side by side, one lane each. A column's weights are added in the order of
// row_sum.hpp, so it has the bits of the same row in any other layout: rows are visited lane by lane of that order, 16 apart,
// which keeps the accumulators in registers.
#pragma once

#include <tarn/kernels/softmax_row.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The columns col .. col + 16 W - 1, of which `count` exist (all but in the last pack).
template <class A, int W> struct column_block {
    const dispatch::softmax_columns& a;
    std::ptrdiff_t col;
    int last;    // columns of the last pack
    float* weights;
    std::ptrdiff_t weights_stride;

    static constexpr int width = W * lanes;

    TARN_INLINE pack<A> load(std::ptrdiff_t i, int w) const noexcept {
        const float* p = a.x + i * a.x_stride + col + w * lanes;
        return w + 1 < W || last == lanes ? simd::load<A>(p) : simd::load_first<A>(p, last);
    }
    TARN_INLINE void store(float* row, int w, const pack<A>& v) const noexcept {
        if (w + 1 < W || last == lanes)
            simd::store<A>(row + w * lanes, v);
        else
            simd::store_first<A>(row + w * lanes, v, last);
    }

    // The rows `first`, first + 16, ... below `end`: one lane of the order. Their weights, and their sums in double, added
    // in pairs. Asks for the next lane's rows meanwhile.
    template <class Weight>
    TARN_NOINLINE void weigh_lane(const Weight& given, std::ptrdiff_t first, std::ptrdiff_t end, double* sums) const noexcept {
        const Weight weight = given;
        simd::double_pack<A> sum[W];
        simd::unroll<W>([&](auto w) TARN_LAMBDA { sum[decltype(w)::value] = simd::double_pack<A>::zero(); });
        const auto row = [&](std::ptrdiff_t i, auto w) TARN_LAMBDA {
            constexpr int I = decltype(w)::value;
            simd::prefetch<A>(a.x + (i + 1) * a.x_stride + col + I * lanes);
            const pack<A> v = weight(load(i, I));
            store(weights + i * weights_stride, I, v);
            return v;
        };
        std::ptrdiff_t i = first;
        for (; i + lanes < end; i += 2 * lanes) {
            pack<A> v[W];
            simd::unroll<W>([&](auto w) TARN_LAMBDA { v[decltype(w)::value] = row(i, w); });
            simd::unroll<W>([&](auto w) TARN_LAMBDA { sum[decltype(w)::value].add(v[decltype(w)::value] + row(i + lanes, w)); });
        }
        if (i < end)
            simd::unroll<W>([&](auto w) TARN_LAMBDA { sum[decltype(w)::value].add(row(i, w)); });
        simd::unroll<W>([&](auto w) TARN_LAMBDA { sum[decltype(w)::value].store(sums + decltype(w)::value * lanes); });
    }

    // Weights and their sums, column by column.
    template <class Weight> TARN_INLINE void weigh(const Weight& weight, double* total) const noexcept {
        alignas(64) double sums[lanes * width];
        for (int c = 0; c < width; ++c)
            total[c] = 0;
        for (std::ptrdiff_t chunk = 0; chunk < a.rows; chunk += chunk_size) {
            const std::ptrdiff_t chunk_end = a.rows - chunk < chunk_size ? a.rows : chunk + chunk_size;
            for (int l = 0; l < lanes; ++l)
                weigh_lane(weight, chunk + l, chunk_end, sums + l * width);
            for (int half = lanes / 2; half > 0; half /= 2) {
                for (int i = 0; i < half * width; ++i)
                    sums[i] += sums[i + half * width];
            }
            for (int c = 0; c < width; ++c)
                total[c] += sums[c];
        }
    }

    // Results from the weights; columns whose sum is not acceptable are filled.
    template <bool Stream> TARN_INLINE void finish(const double* total, float empty_value) const noexcept {
        alignas(64) float factors[width];
        alignas(64) float thresholds[width];
        bool ordinary = true;
        for (int c = 0; c < width; ++c) {
            const bool accepted = acceptable(total[c]);
            const normaliser result = accepted ? normaliser::of(total[c]) : normaliser{0.0f, 0.0f};
            factors[c] = result.factor;
            thresholds[c] = result.threshold;
            ordinary = ordinary && (accepted || c >= (W - 1) * lanes + last);
        }
        for (std::ptrdiff_t i = 0; i < a.rows; ++i) {
            const float* e = weights + i * weights_stride;
            float* y = a.y + i * a.y_stride + col;
            simd::unroll<W>([&](auto w) TARN_LAMBDA {
                constexpr int I = decltype(w)::value;
                const bool whole = I + 1 < W || last == lanes;
                const pack<A> v = whole ? simd::load<A>(e + I * lanes) : simd::load_first<A>(e + I * lanes, last);
                const pack<A> result = simd::mul_where_ge<A>(v, simd::load<A>(thresholds + I * lanes),
                                                             simd::load<A>(factors + I * lanes));
                if (Stream)
                    simd::stream<A>(y + I * lanes, result);
                else
                    store(y, I, result);
            });
        }
        if (ordinary)
            return;
        const int columns = (W - 1) * lanes + last;
        for (int c = 0; c < columns; ++c) {
            if (acceptable(total[c]))
                continue;
            const float value = total[c] == 0 ? empty_value : __builtin_nanf("");
            for (std::ptrdiff_t i = 0; i < a.rows; ++i)
                a.y[i * a.y_stride + col + c] = value;
        }
    }

    // Whether all columns that exist have an acceptable sum.
    TARN_INLINE bool acceptable_block(const double* total) const noexcept {
        bool r = true;
        for (int c = 0; c < (W - 1) * lanes + last; ++c)
            r = acceptable(total[c]) && r;
        return r;
    }
};

template <class A> struct columns_engine {
    const dispatch::softmax_columns& a;
    softmax_rows_state<A> state;

    // Whether the weights of a block of 16 packs fit the scratch; if not they go to y.
    TARN_INLINE bool has_scratch(int width) const noexcept { return a.scratch && a.rows <= a.scratch_size / width; }

    // Sixteen columns, the greatest logit of each found first. Works in place.
    TARN_NOINLINE void careful(std::ptrdiff_t col, int last) noexcept {
        const column_block<A, 1> block{a, col, last, a.y + col, a.y_stride};
        pack<A> m = simd::broadcast<A>(-infinity);
        const pack<A> flip = simd::broadcast<A>(state.base.sign());
        for (std::ptrdiff_t i = 0; i < a.rows; ++i)
            m = simd::max_of<A>(block.load(i, 0) * flip, m);
        const auto refs = pack_references<A>::of_greatest(m * flip, state.base, state.carried_bias);
        alignas(64) double total[lanes];
        block.weigh(exp_weight_by_lane<A>(state.base, refs), total);
        block.template finish<false>(total, state.empty_value);
        alignas(64) float fields[2][lanes];
        simd::store<A>(fields[0], refs.exponent);
        simd::store<A>(fields[1], refs.centre);
        state.carry({fields[0][0], fields[1][0]});
    }

    template <int W> TARN_NOINLINE void block(std::ptrdiff_t col, int last) noexcept {
        constexpr int width = W * lanes;
        const bool in_place = a.x == a.y;
        const bool apart = (a.stream || in_place) && has_scratch(width);
        alignas(64) double total[width];
        bool done = false;
        if (state.may_guess() && (!in_place || apart)) {
            const column_block<A, W> b{a, col, last, apart ? a.scratch : a.y + col, apart ? width : a.y_stride};
            state.with_weight([&](const auto& weight) TARN_LAMBDA {
                b.weigh(weight, total);
                return 0.0;
            });
            done = b.acceptable_block(total);
            const bool whole_lines = reinterpret_cast<std::uintptr_t>(a.y + col) % 64 == 0 && a.y_stride % lanes == 0;
            if (done && a.stream && apart && whole_lines && last == lanes)
                b.template finish<true>(total, state.empty_value);
            else if (done)
                b.template finish<false>(total, state.empty_value);
            if (done)
                state.guessed_right(total[0]);
            else
                state.guessed_wrong();
        }
        for (int w = 0; w < W && !done; ++w)
            careful(col + w * lanes, w + 1 < W ? lanes : last);
    }

    TARN_INLINE void run() noexcept {
        constexpr int wide = 8 / pack<A>::parts;
        std::ptrdiff_t col = 0;
        for (; col + wide * lanes <= a.columns; col += wide * lanes)
            block<wide>(col, lanes);
        for (; col + 2 * lanes <= a.columns; col += 2 * lanes)
            block<2>(col, lanes);
        for (; col < a.columns; col += lanes)
            block<1>(col, a.columns - col < lanes ? static_cast<int>(a.columns - col) : lanes);
        if (a.stream)
            simd::stream_fence<A>();
    }
};

template <class A> struct softmax_columns {
    static void run(const dispatch::softmax_columns& a) noexcept {
        columns_engine<A> engine{a, softmax_rows_state<A>(a.scale, a.zero_empty_rows)};
        engine.run();
    }
};

}}}} // namespace tarn::kernels
