// SPDX-License-Identifier: BSD-3-Clause
//
// Windows of three columns over many lanes (channels), in the order of their elements in memory: column behind column, of
// each all lanes. What the rows of the last three columns combine to is kept in L1; nothing else between elements and
// results is stored.
#pragma once

#include <tarn/kernels/window_block.hpp>
#include <tarn/kernels/window_combiner.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Where columns are: those numbered from `begin` to `end` - 1, counted from the first column of the first window, lie in
// the plane.
struct lane_columns {
    std::ptrdiff_t lanes, begin, end, step;
    std::ptrdiff_t stride, outputs, output_step;
};

template <class A, class Reduction> class window_lane_threes {
public:
    using combiner = window_combiner<A, Reduction>;
    using state = typename combiner::state;
    using sum = typename combiner::sum;
    using block = window_block<A, typename combiner::sum>;
    static constexpr int width = combiner::width;
    static constexpr std::ptrdiff_t most_rows = 3; // of windows

    // Numbers of a line that this needs.
    static constexpr std::ptrdiff_t room(std::ptrdiff_t lanes) noexcept { return 3 * combiner::fields * lanes; }

    // Rows of windows of a block, whose line has `room`, to results where they belong. At least a register of lanes.
    template <class Scales>
    TARN_NOINLINE static void run(const combiner& given, const block& b, const lane_columns& c,
                                  Scales& scales) noexcept {
        const combiner self = given;
        for (const window_row* r = b.row; r < b.row + b.rows; ++r) {
            scales.prepare(r->counted);
            if (r->count[0] == 0)
                fill(b.y + r->y, c);
            else if (r->count[1] == 3)
                run_row<3>(self, b, c, *r, scales);
            else if (r->count[1] == 2)
                run_row<2>(self, b, c, *r, scales);
            else
                run_row<1>(self, b, c, *r, scales);
        }
    }

private:
    TARN_INLINE static void fill(number<A>* y, const lane_columns& c) noexcept {
        for (std::ptrdiff_t j = 0; j < c.outputs; ++j)
            combiner::fill_results(y + j * c.output_step, c.lanes);
    }
    template <int Rows, class Scales>
    TARN_INLINE static void run_row(const combiner& self, const block& b, const lane_columns& given,
                                    const window_row& r, const Scales& scales) noexcept {
        const lane_columns c = given;
        const std::ptrdiff_t pitch = c.lanes;
        const std::ptrdiff_t slot = combiner::fields * pitch;
        const std::ptrdiff_t down = b.step.x[1];
        const state none = self.neutral_state();
        const number<A>* x = b.x + r.x;
        number<A>* y = b.y + r.y;
        sum* before = b.line;
        sum* last = before + slot;
        sum* here = last + slot;
        const std::ptrdiff_t columns = (c.outputs - 1) * c.stride + 3;
        for (std::ptrdiff_t t = 0; t < columns; ++t) {
            const bool inside = t >= c.begin && t < c.end;
            const bool ends = t >= 2 && (c.stride == 1 || t % 2 == 0);
            const auto all = [&](auto is_inside, auto is_end) TARN_LAMBDA {
                const auto scale = scales.all_of(decltype(is_end)::value ? (t - 2) / c.stride : 0);
                for (std::ptrdiff_t i = 0; i < c.lanes; i += width) {
                    // The last register repeats what the one before has.
                    const std::ptrdiff_t at = i + width > c.lanes ? c.lanes - width : i;
                    state s = none;
                    if constexpr (decltype(is_inside)::value)
                        s = self.template few<Rows>(
                            r.tap, [&](int k) TARN_LAMBDA { return numbers<A>::load_unaligned(x + at + k * down); });
                    combiner::store_state(s, here + at, pitch);
                    if constexpr (decltype(is_end)::value)
                        result(self.reduction, combiner::load_state(before + at, pitch),
                               combiner::load_state(last + at, pitch), s, scale)
                            .store_unaligned(y + at);
                }
            };
            if (inside && ends)
                all(simd::index<1>{}, simd::index<1>{});
            else if (inside)
                all(simd::index<1>{}, simd::index<0>{});
            else if (ends)
                all(simd::index<0>{}, simd::index<1>{});
            else
                all(simd::index<0>{}, simd::index<0>{});
            if (inside)
                x += c.step;
            if (ends)
                y += c.output_step;
            sum* const next = before;
            before = last;
            last = here;
            here = next;
        }
    }
    template <class Scale>
    TARN_INLINE static numbers<A> result(const Reduction& of, const state& t0, const state& t1, const state& t2,
                                         const Scale& by) noexcept {
        return of.finish(of.combine(of.combine(of.at_column(t0, 0, 3), of.at_column(t1, 1, 3)), of.at_column(t2, 2, 3)),
                         by);
    }
};

}}}} // namespace tarn::kernels
