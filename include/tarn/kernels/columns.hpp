// SPDX-License-Identifier: BSD-3-Clause
//
// Loops over columns side by side, one lane each: where they come from and go to, and their sums. A column has the bits
// of the same row in any other layout: rows a pack's lanes apart belong to one lane of the order of row_sum.hpp.
#pragma once

#include <tarn/kernels/row_sum.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// No hardware follows pieces of rows that lie far apart.
constexpr std::ptrdiff_t column_rows_ahead = 8;

// W packs of columns; a single one may have only `last` columns.
template <class A, int W> struct column_source {
    const number<A>* p;
    std::ptrdiff_t stride;
    int last;

    TARN_INLINE pack<A> at(std::ptrdiff_t i, int w) const noexcept {
        const number<A>* const from = p + i * stride + w * lanes<A>;
        return W > 1 || last == lanes<A> ? simd::load<A>(from) : simd::load_first<A>(from, last);
    }
    // The same, asking for what lies some rows on.
    TARN_INLINE pack<A> at_ahead(std::ptrdiff_t i, int w) const noexcept {
        simd::prefetch<A>(p + (i + column_rows_ahead) * stride + w * lanes<A>);
        return at(i, w);
    }
};

template <class A, int W> struct column_sink {
    number<A>* p;
    std::ptrdiff_t stride;
    int last;
    bool stream; // whole lines, by non-temporal stores

    // Streams if that is wanted and possible.
    TARN_INLINE static column_sink of(number<A>* p, std::ptrdiff_t stride, int last, bool stream) noexcept {
        const bool whole_lines =
            last == lanes<A> && stride % lanes<A> == 0 && reinterpret_cast<std::uintptr_t>(p) % 64 == 0;
        return {p, stride, last, stream && whole_lines};
    }
    TARN_INLINE void put(std::ptrdiff_t i, int w, const pack<A>& v) const noexcept {
        number<A>* const to = p + i * stride + w * lanes<A>;
        if (stream) {
            simd::stream<A>(to, v);
            return;
        }
        // Lines that are written are read first.
        simd::prefetch<A>(to + column_rows_ahead * stride);
        if (W > 1 || last == lanes<A>)
            simd::store<A>(to, v);
        else
            simd::store_first<A>(to, v, last);
    }
};

// f(i, w) of every pack to y.
template <class A, int W, class F>
TARN_INLINE void map_columns(const column_sink<A, W>& y, std::ptrdiff_t rows, const F& f) noexcept {
    for (std::ptrdiff_t i = 0; i < rows; ++i) {
        for (int w = 0; w < W; ++w)
            y.put(i, w, f(i, w));
    }
}

// How many packs side by side are added together: their chains of instructions fill each other's gaps.
template <int W> constexpr int columns_together = W > 1 ? 2 : 1;

// The sums of W packs of columns in the order of row_sum.hpp, to total. add(sums, i, w, rows) adds to sums[k] pack w + k
// of row i, and of row i + lanes if `rows`, a constant, is 2; beside(i) is called once for every row, before it is added.
// The accumulators, all lanes of the order for each column, lie in L1.
template <class A, int W, class Add, class Beside>
TARN_INLINE void sum_columns(std::ptrdiff_t rows, simd::row_totals<A, W * lanes<A>>& total, const Add& add_to,
                             const Beside& beside) noexcept {
    using sums = simd::sum_pack<A>;
    alignas(64) double stored[lanes<A> * W * sums::stored];
    const auto at = [&](std::ptrdiff_t lane, int w) TARN_LAMBDA { return stored + (lane * W + w) * sums::stored; };
    constexpr int together = columns_together<W>;
    const auto add = [&](std::ptrdiff_t i, std::ptrdiff_t lane, auto of_lane) TARN_LAMBDA {
        for (int w = 0; w < W; w += together) {
            sums s[together];
            simd::unroll<together>(
                [&](auto k) TARN_LAMBDA { s[decltype(k)::value] = sums::load(at(lane, w + decltype(k)::value)); });
            add_to(s, i, w, of_lane);
            simd::unroll<together>([&](auto k)
                                       TARN_LAMBDA { s[decltype(k)::value].store(at(lane, w + decltype(k)::value)); });
        }
    };
    total.clear();
    for (std::ptrdiff_t chunk = 0; chunk < rows; chunk += chunk_size) {
        const std::ptrdiff_t end = rows - chunk < chunk_size ? rows : chunk + chunk_size;
        for (int k = 0; k < lanes<A> * W; ++k)
            sums::zero().store(stored + k * sums::stored);
        std::ptrdiff_t base = chunk;
        for (; base + 2 * lanes<A> <= end; base += 2 * lanes<A>) {
            for (std::ptrdiff_t i = base; i < base + lanes<A>; ++i) {
                beside(i);
                beside(i + lanes<A>);
                add(i, i - base, simd::index<2>{});
            }
        }
        for (std::ptrdiff_t i = base; i < end && i < base + lanes<A>; ++i) {
            beside(i);
            if (i + lanes<A> < end) {
                beside(i + lanes<A>);
                add(i, i - base, simd::index<2>{});
            } else {
                add(i, i - base, simd::index<1>{});
            }
        }
        for (int half = lanes<A> / 2; half > 0; half /= 2) {
            for (int lane = 0; lane < half; ++lane) {
                for (int w = 0; w < W; ++w) {
                    auto s = sums::load(at(lane, w));
                    s.add(sums::load(at(lane + half, w)));
                    s.store(at(lane, w));
                }
            }
        }
        for (int w = 0; w < W; ++w)
            total.add(w * lanes<A>, sums::load(at(0, w)));
    }
}

// For sum_columns: adds weights of what load(i, w) gives for pack w of row i; put(i, w, weights) is called with them.
// weigh(v, w, rows) makes weights of packs, `rows` of them of pack w of the columns, then as many of the next.
template <class A, packs_added How, class Load, class Weigh, class Put>
TARN_INLINE auto adding_weights(const Load& load, const Weigh& weigh, const Put& put) noexcept {
    return [&](auto& sums, std::ptrdiff_t i, int w, auto of_lane) TARN_LAMBDA {
        constexpr int rows = decltype(of_lane)::value;
        constexpr int packs = rows * static_cast<int>(sizeof sums / sizeof sums[0]);
        pack<A> v[packs];
        const auto each = [&](const auto& f) TARN_LAMBDA {
            simd::unroll<packs>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                f(v[K], i + K % rows * lanes<A>, w + K / rows);
            });
        };
        each([&](pack<A>& p, std::ptrdiff_t row, int column) TARN_LAMBDA { p = load(row, column); });
        weigh(v, w, of_lane);
        each([&](const pack<A>& p, std::ptrdiff_t row, int column) TARN_LAMBDA { put(row, column, p); });
        simd::unroll<packs / rows>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            if constexpr (rows == 2)
                add_packs<How>(sums[K], v[2 * K], v[2 * K + 1]);
            else
                sums[K].add(v[K]);
        });
    };
}

struct nowhere {
    template <class Pack> TARN_INLINE void operator()(std::ptrdiff_t, int, const Pack&) const noexcept {}
};

// One weight for all columns.
template <class Weight> struct common_weight {
    Weight weight;
    template <class Packs, class Rows> TARN_INLINE void operator()(Packs& v, int, Rows) const noexcept {
        weigh_each(weight, v);
    }
};

// sign * the greatest sign * x of every column, to m; -sign * inf if there is none. NaN are passed over.
template <class A, int W>
TARN_NOINLINE void greatest_of_columns(const column_source<A, W>& x, std::ptrdiff_t rows, number<A> sign,
                                       number<A>* m) noexcept {
    const pack<A> flip = simd::broadcast<A>(sign);
    for (int w = 0; w < W; ++w)
        simd::store<A>(m + w * lanes<A>, simd::broadcast<A>(-infinity));
    for (std::ptrdiff_t i = 0; i < rows; ++i) {
        for (int w = 0; w < W; ++w) {
            number<A>* const at = m + w * lanes<A>;
            simd::store<A>(at, simd::max_of<A>(x.at_ahead(i, w) * flip, simd::load<A>(at)));
        }
    }
    for (int w = 0; w < W; ++w)
        simd::store<A>(m + w * lanes<A>, simd::load<A>(m + w * lanes<A>) * flip);
}

// The weights of W packs of columns, each column with a reference of its own.
template <class A, int W> class weights_by_column {
public:
    TARN_NOINLINE weights_by_column(exp_base<A> base, const number<A>* greatest) noexcept
        : common_(base, reference<A>{0, 0}) {
        for (int w = 0; w < W; ++w) {
            const auto refs =
                pack_references<A>::of_greatest(simd::load<A>(greatest + w * lanes<A>), base, weights_of<A>::bias);
            bounds_[w] = bounds_by_lane(base, refs);
            simd::store<A>(exponents_ + w * lanes<A>, refs.exponent);
            simd::store<A>(centres_ + w * lanes<A>, refs.centre);
        }
    }
    TARN_INLINE reference<A> operator[](int c) const noexcept { return {exponents_[c], centres_[c]}; }
    TARN_INLINE pack<A> operator()(int w, const pack<A>& x) const noexcept {
        return weigh_by_lane(common_, bounds_[w], x);
    }

    // For adding_weights.
    struct own {
        const weights_by_column* of;
        template <int N, class Rows> TARN_INLINE void operator()(pack<A> (&v)[N], int w, Rows) const noexcept {
            simd::unroll<N>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                v[K] = (*of)(w + K / Rows::value, v[K]);
            });
        }
    };

private:
    alignas(64) number<A> exponents_[W * lanes<A>];
    alignas(64) number<A> centres_[W * lanes<A>];
    exp_bounds<A, pack<A>> bounds_[W];
    exp_weight<A, false> common_;
};

// Calls block(packs, column, last) for all columns: blocks of eight packs, of four, and of one, the last of which may
// have fewer.
template <class A, class Block>
TARN_INLINE void for_column_blocks(std::ptrdiff_t columns, const Block& block) noexcept {
    std::ptrdiff_t col = 0;
    for (; col + 8 * lanes<A> <= columns; col += 8 * lanes<A>)
        block(simd::index<8>{}, col, lanes<A>);
    for (; col + 4 * lanes<A> <= columns; col += 4 * lanes<A>)
        block(simd::index<4>{}, col, lanes<A>);
    for (; col < columns; col += lanes<A>)
        block(simd::index<1>{}, col, columns - col < lanes<A> ? static_cast<int>(columns - col) : lanes<A>);
}

}}}} // namespace tarn::kernels
