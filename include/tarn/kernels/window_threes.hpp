// SPDX-License-Identifier: BSD-3-Clause
//
// Windows of three columns side by side, one column apart: the rows of a window are combined in registers, and columns are
// shifted from register to register, so that nothing between elements and results is stored.
#pragma once

#include <tarn/kernels/window_block.hpp>
#include <tarn/kernels/window_combiner.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction> class window_threes {
public:
    using combiner = window_combiner<A, Reduction>;
    using state = typename combiner::state;
    using cells = typename combiner::cells;
    using sum = typename combiner::sum;
    using block = window_block<A, typename combiner::sum>;
    static constexpr int width = combiner::width;
    static constexpr std::ptrdiff_t most_rows = 3; // of windows whose elements have not been lifted

    // Rows of windows, each of at least a register, to results where they belong. The first window begins `before`
    // columns, 0 or 1, before the row.
    template <class Scales>
    TARN_NOINLINE static void of_elements(const combiner& given, const block& b, std::ptrdiff_t before,
                                          Scales& scales) noexcept {
        const combiner self = given;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r) {
            const number<A>* const x = b.x + r->x;
            const std::ptrdiff_t step = b.step.x[1];
            if (r->count[0] == 0)
                combiner::fill_results(b.y + r->y, b.group);
            else if (r->count[1] == 3)
                run(self, b, *r, before, scales, rows_of<3>{self, x, step, r->tap});
            else if (r->count[1] == 2)
                run(self, b, *r, before, scales, rows_of<2>{self, x, step, r->tap});
            else
                run(self, b, *r, before, scales, rows_of<1>{self, x, step, r->tap});
        }
    }
    // The same of rows that have been lifted, `first` of the plane and those behind it.
    template <class Scales>
    TARN_NOINLINE static void of_lifted(const combiner& given, const block& b, std::ptrdiff_t before, Scales& scales,
                                        const sum* lifted, std::ptrdiff_t pitch, std::ptrdiff_t first,
                                        std::ptrdiff_t dilation) noexcept {
        const combiner self = given;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r) {
            const sum* const from = lifted + (r->row - first) * combiner::fields * pitch;
            const std::ptrdiff_t step = dilation * combiner::fields * pitch;
            if (r->count[0] == 0)
                combiner::fill_results(b.y + r->y, b.group);
            else if (r->count[1] == 3)
                run(self, b, *r, before, scales, lifted_rows<3>{self, from, step, pitch, 3});
            else
                run(self, b, *r, before, scales, lifted_rows<0>{self, from, step, pitch, r->count[1]});
        }
    }

private:
    // The rows of windows at column i, combined: of a whole register, or of n elements only.
    template <int Rows> struct rows_of {
        const combiner& of;
        const number<A>* x;
        std::ptrdiff_t step, tap;

        TARN_INLINE state at(std::ptrdiff_t i) const noexcept {
            return of.template few<Rows>(tap, [&](int k)
                                                  TARN_LAMBDA { return numbers<A>::load_unaligned(x + i + k * step); });
        }
        TARN_INLINE state first(std::ptrdiff_t i, int n) const noexcept {
            return of.template few<Rows>(tap, [&](int k) TARN_LAMBDA { return simd::load_n<A>(x + i + k * step, n); });
        }
    };
    template <int Rows> struct lifted_rows {
        const combiner& of;
        const sum* from;
        std::ptrdiff_t step, pitch, rows;

        TARN_INLINE state at(std::ptrdiff_t i) const noexcept {
            return of.template lifted<Rows>(from + i, step, rows, pitch);
        }
        TARN_INLINE state first(std::ptrdiff_t i, int) const noexcept { return at(i); }
    };

    template <int N> TARN_INLINE static state from(const state& a, const state& b) noexcept {
        return combiner::each_field([&](auto f) TARN_LAMBDA {
            return cells::template lanes_from<N>(a.field[decltype(f)::value], b.field[decltype(f)::value]);
        });
    }
    template <class Rows, class Scales>
    TARN_INLINE static void run(const combiner& self, const block& b, const window_row& r, std::ptrdiff_t before,
                                Scales& scales, const Rows& rows) noexcept {
        scales.prepare(r.counted);
        if (before)
            run<1>(self, b, b.y + r.y, scales, rows);
        else
            run<0>(self, b, b.y + r.y, scales, rows);
    }
    template <int Before, class Rows, class Scales>
    TARN_INLINE static void run(const combiner& self, const block& b, number<A>* y, const Scales& scales,
                                const Rows& rows) noexcept {
        const Reduction& of = self.reduction;
        const state none = self.neutral_state();
        const std::ptrdiff_t n = b.piece;
        // Columns of the row, a register at a time: those before, at and behind the results.
        state last = none;
        state here = rows.at(0);
        const auto results = [&](std::ptrdiff_t i, const state& next) TARN_LAMBDA {
            const state t0 = Before ? from<width - 1>(last, here) : here;
            const state t1 = Before ? here : from<1>(here, next);
            const state t2 = from<2 - Before>(here, next);
            last = here;
            here = next;
            return of.finish(
                of.combine(of.combine(of.at_column(t0, 0, 3), of.at_column(t1, 1, 3)), of.at_column(t2, 2, 3)),
                scales.at(i));
        };
        std::ptrdiff_t i = 0;
        for (; i + 2 * width <= n && i + width <= b.group; i += width)
            results(i, rows.at(i + width)).store_unaligned(y + i);
        for (; i < b.group; i += width) {
            const int left = n - i - width < width ? static_cast<int>(n - i - width) : width;
            const numbers<A> v =
                results(i, left <= 0 ? none : self.first_or_neutral(rows.first(i + width, left), left));
            if (i + width <= b.group)
                v.store_unaligned(y + i);
            else
                simd::store_n<A>(y + i, v, static_cast<int>(b.group - i));
        }
    }
};

}}}} // namespace tarn::kernels
