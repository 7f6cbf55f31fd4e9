// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of windows: every element gathers what the windows give it that it is a member of, so that it is written
// once, and in a fixed order: windows in the order of their numbers. Columns that are the same tap's share of a window
// lie `stride` apart; sums of each of these phases lie side by side until a row is done.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/window_geometry.hpp>
#include <tarn/simd/strided.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Windows at one depth of a plane: `rows` from `row` on, of each `columns` from `column` on, `lanes` from `lane` on.
// They are numbered row by row, column by column, lanes side by side.
struct window_group {
    std::ptrdiff_t plane, lane, lanes, depth, row, rows, column, columns;
};

// Shares: what the windows of a group give.
//
//   shares(c)              of a call
//   room                   windows of a group, lanes among them, that it can hold
//   load(group)            takes these windows
//   of_elements            whether shares depend on the elements that get them
//   share(i, tap)          what window number i of the group gives to its element `tap`, one register of windows; n: of
//                          the first n only, nothing of the others. Of elements x:
//   add(sum, i, x)         sum and the share together; n: of the first n only, the others stay as they are
template <class A, class Shares> class window_adjoint {
public:
    TARN_NOINLINE static void run(const dispatch::window_gradients& c) noexcept {
        window_adjoint adjoint(c);
        for (std::ptrdiff_t p = 0; p < c.windows.planes; ++p)
            adjoint.run_plane(p);
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    template <int Bytes>
    static constexpr std::ptrdiff_t numbers_in = Bytes / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    static constexpr bool of_elements = Shares::of_elements;
    static constexpr std::ptrdiff_t sum_numbers = numbers_in<(of_elements ? 3072 : 6144)>;
    static constexpr std::ptrdiff_t most_lanes = numbers_in<512>;

    TARN_INLINE explicit window_adjoint(const dispatch::window_gradients& c) noexcept
        : c_(c), depth_(c.windows.axis[0]), height_(c.windows.axis[1]), columns_(c.windows.axis[2]), shares_(c) {}

    TARN_INLINE void run_plane(std::ptrdiff_t plane) noexcept {
        const std::ptrdiff_t all_lanes = c_.windows.lanes;
        for (std::ptrdiff_t lane = 0; lane < all_lanes; lane += lanes_) {
            lanes_ = all_lanes - lane < most_lanes ? all_lanes - lane : most_lanes;
            const std::ptrdiff_t most_columns = (sum_numbers - width) / lanes_ - 2 * columns_.stride;
            // Strides that leave no room for a column are taken one element at a time.
            const std::ptrdiff_t tile = most_columns > 0 ? most_columns : 1;
            for (first_ = 0; first_ < columns_.in; first_ += outputs_) {
                outputs_ = columns_.in - first_ < tile ? columns_.in - first_ : tile;
                phases_ = lanes_ > 1 || most_columns <= 0 ? 1 : columns_.stride;
                begin_ = (first_ + columns_.before) / columns_.stride;
                end_ = (first_ + outputs_ - 1 + columns_.before) / columns_.stride + 1;
                row_sums_ = by_phases() ? phases_ * (end_ - begin_) : outputs_ * lanes_;
                const std::ptrdiff_t rows = (sum_numbers - width) / row_sums_;
                std::ptrdiff_t some;
                for (std::ptrdiff_t r = c_.windows.first_row; r < c_.windows.last_row; r += some) {
                    const std::ptrdiff_t d = r / height_.in;
                    const std::ptrdiff_t h = r - d * height_.in;
                    const std::ptrdiff_t left =
                        c_.windows.last_row - r < height_.in - h ? c_.windows.last_row - r : height_.in - h;
                    some = left < rows ? left : rows;
                    run_rows(plane, lane, d, h, some);
                }
            }
        }
    }

    // Whether sums lie phase by phase: a single lane, and a phase for every column of a stride.
    TARN_INLINE bool by_phases() const noexcept { return lanes_ == 1 && phases_ == columns_.stride; }

    // Windows first .. end - 1 along an axis may have elements from .. from + count - 1 as members.
    struct window_range {
        std::ptrdiff_t first, end;

        TARN_INLINE static window_range of(const dispatch::window_axis& a, std::ptrdiff_t from,
                                           std::ptrdiff_t count) noexcept {
            const std::ptrdiff_t low = from + a.before - (a.kernel - 1) * a.dilation;
            const std::ptrdiff_t first = low > 0 ? (low + a.stride - 1) / a.stride : 0;
            const std::ptrdiff_t end = (from + count - 1 + a.before) / a.stride + 1;
            return {first, end < a.out ? end : a.out};
        }
    };
    // Which tap of a window an element is; -1: no member.
    TARN_INLINE static std::ptrdiff_t tap_of(const dispatch::window_axis& a, std::ptrdiff_t window,
                                             std::ptrdiff_t element) noexcept {
        const std::ptrdiff_t distance = element + a.before - window * a.stride;
        if (distance < 0)
            return -1;
        const std::ptrdiff_t tap = a.dilation == 1 ? distance : distance / a.dilation;
        return tap < a.kernel && tap * a.dilation == distance ? tap : -1;
    }

    TARN_INLINE void run_rows(std::ptrdiff_t plane, std::ptrdiff_t lane, std::ptrdiff_t d, std::ptrdiff_t h,
                              std::ptrdiff_t rows) noexcept {
        for (std::ptrdiff_t i = 0; i < rows * row_sums_; ++i)
            sum_[i] = 0;
        if constexpr (of_elements) {
            for (std::ptrdiff_t k = 0; k < rows; ++k)
                load_row(plane, lane, d, h + k, element_ + k * row_sums_);
        }
        const window_range depths = window_range::of(depth_, d, 1);
        const window_range heights = window_range::of(height_, h, rows);
        const window_range columns = window_range::of(columns_, first_, outputs_);
        const std::ptrdiff_t wanted = columns.end - columns.first;
        const std::ptrdiff_t most_columns = Shares::room / lanes_;
        for (std::ptrdiff_t o = depths.first; o < depths.end; ++o) {
            const std::ptrdiff_t d_tap = tap_of(depth_, o, d);
            if (d_tap < 0)
                continue;
            const std::ptrdiff_t some_columns = wanted < most_columns ? wanted : most_columns;
            const std::ptrdiff_t some_rows = some_columns > 0 ? Shares::room / (some_columns * lanes_) : 1;
            for (std::ptrdiff_t r = heights.first; r < heights.end; r += some_rows) {
                const std::ptrdiff_t r_end = heights.end - r < some_rows ? heights.end : r + some_rows;
                for (std::ptrdiff_t j = columns.first; j < columns.end; j += some_columns) {
                    const std::ptrdiff_t j_end = columns.end - j < some_columns ? columns.end : j + some_columns;
                    shares_.load({plane, lane, lanes_, o, r, r_end - r, j, j_end - j});
                    add(d_tap, h, rows, r, r_end, j, j_end);
                }
            }
        }
        for (std::ptrdiff_t k = 0; k < rows; ++k)
            put_row(plane, lane, d, h + k, sum_ + k * row_sums_);
    }

    // What windows r .. r_end - 1, j .. j_end - 1 give to rows from h on.
    TARN_INLINE void add(std::ptrdiff_t d_tap, std::ptrdiff_t h, std::ptrdiff_t rows, std::ptrdiff_t r,
                         std::ptrdiff_t r_end, std::ptrdiff_t j, std::ptrdiff_t j_end) noexcept {
        for (std::ptrdiff_t k = 0; k < rows; ++k) {
            const window_range range = window_range::of(height_, h + k, 1);
            const std::ptrdiff_t last = range.end < r_end ? range.end : r_end;
            for (std::ptrdiff_t o = range.first > r ? range.first : r; o < last; ++o) {
                const std::ptrdiff_t h_tap = tap_of(height_, o, h + k);
                if (h_tap < 0)
                    continue;
                const std::ptrdiff_t tap = (d_tap * height_.kernel + h_tap) * columns_.kernel;
                const std::ptrdiff_t line = (o - r) * (j_end - j) * lanes_;
                if (by_phases())
                    add_phases(tap, line, j, j_end, sum_ + k * row_sums_);
                else
                    add_lanes(tap, line, j, j_end, sum_ + k * row_sums_);
            }
        }
    }
    // Window by window, lanes side by side.
    TARN_INLINE void add_lanes(std::ptrdiff_t tap, std::ptrdiff_t line, std::ptrdiff_t j, std::ptrdiff_t j_end,
                               number<A>* sums) noexcept {
        for (std::ptrdiff_t o = j; o < j_end; ++o, line += lanes_) {
            const std::ptrdiff_t start = o * columns_.stride - columns_.before - first_;
            for (std::ptrdiff_t t = 0; t < columns_.kernel; ++t) {
                const std::ptrdiff_t at = start + t * columns_.dilation;
                if (at >= 0 && at < outputs_)
                    add_line(tap + t, line, lanes_, sums + at * lanes_);
            }
        }
    }
    // Tap by tap, the last first: its windows are the first.
    TARN_INLINE void add_phases(std::ptrdiff_t tap, std::ptrdiff_t line, std::ptrdiff_t j, std::ptrdiff_t j_end,
                                number<A>* sums) noexcept {
        const std::ptrdiff_t size = end_ - begin_;
        for (std::ptrdiff_t t = columns_.kernel - 1; t >= 0; --t) {
            const std::ptrdiff_t distance = t * columns_.dilation;
            const std::ptrdiff_t q = phases_ == 1 ? distance : distance / columns_.stride;
            const std::ptrdiff_t phase = phases_ == 1 ? 0 : distance - q * columns_.stride;
            const std::ptrdiff_t from = j + q > begin_ ? j + q : begin_;
            const std::ptrdiff_t to = j_end + q < end_ ? j_end + q : end_;
            if (from < to)
                add_line(tap + t, line + from - q - j, to - from, sums + phase * size + from - begin_);
        }
    }
    TARN_INLINE void add_line(std::ptrdiff_t tap, std::ptrdiff_t i, std::ptrdiff_t n, number<A>* sums) noexcept {
        const auto code = static_cast<number<A>>(tap);
        const auto add_share = [&](std::ptrdiff_t k, auto... some) TARN_LAMBDA {
            const numbers<A> sum = numbers<A>::load_unaligned(sums + k);
            if constexpr (!of_elements) {
                (sum + shares_.share(i + k, code, some...)).store_unaligned(sums + k);
            } else {
                const number<A>* const x = element_ + (sums - sum_) + k;
                if constexpr (sizeof...(some) == 0)
                    shares_.add(sum, i + k, numbers<A>::load_unaligned(x)).store_unaligned(sums + k);
                else
                    shares_.add(sum, i + k, simd::load_n<A>(x, some...), some...).store_unaligned(sums + k);
            }
        };
        std::ptrdiff_t k = 0;
        for (; k + width <= n; k += width)
            add_share(k);
        if (k < n)
            add_share(k, static_cast<int>(n - k));
    }

    // The elements of a row, where their sums are.
    TARN_INLINE void load_row(std::ptrdiff_t plane, std::ptrdiff_t lane, std::ptrdiff_t d, std::ptrdiff_t h,
                              number<A>* to) noexcept {
        const dispatch::plane_operand& x = c_.windows.x;
        char* const from =
            static_cast<char*>(x.data) +
            (plane * x.across + lane + d * x.step[0] + h * x.step[1] + first_ * x.step[2]) * detail::size_of(x.type);
        number<A>* const row = phases_ > 1 ? row_ : to;
        if (lanes_ == 1)
            convert<A>::widen({{from, x.type, x.step[2], 0}, row, outputs_, 1, outputs_});
        else
            convert<A>::widen({{from, x.type, 1, x.step[2]}, row, lanes_, outputs_, lanes_});
        if (phases_ > 1) {
            for (std::ptrdiff_t i = 0; i < row_sums_; ++i)
                to[i] = 0;
            each_in_phases([&](std::ptrdiff_t i, std::ptrdiff_t at) TARN_LAMBDA { to[at] = row[i]; });
        }
    }

    // The sums of a row to where they belong.
    TARN_INLINE void put_row(std::ptrdiff_t plane, std::ptrdiff_t lane, std::ptrdiff_t d, std::ptrdiff_t h,
                             const number<A>* sums) noexcept {
        const dispatch::plane_operand& dx = c_.dx;
        char* const to = static_cast<char*>(dx.data) +
                         (plane * dx.across + lane + d * dx.step[0] + h * dx.step[1] + first_ * dx.step[2]) *
                             detail::size_of(dx.type);
        const number<A>* row = sums;
        if (phases_ > 1) {
            if (columns_.stride == 2)
                join_pairs(sums);
            else
                join_phases(sums);
            row = row_;
        }
        if (lanes_ == 1)
            convert<A>::narrow({{to, dx.type, dx.step[2], 0}, const_cast<number<A>*>(row), 0, 1, outputs_});
        else
            convert<A>::narrow({{to, dx.type, 1, dx.step[2]}, const_cast<number<A>*>(row), lanes_, outputs_, lanes_});
    }
    TARN_INLINE void join_pairs(const number<A>* sums) noexcept {
        const std::ptrdiff_t size = end_ - begin_;
        const std::ptrdiff_t at = first_ + columns_.before - 2 * begin_;
        // Even columns of the row have the phase of the first, 0 or 1.
        const number<A>* const even = sums + (at % 2) * size + at / 2;
        const number<A>* const odd = sums + ((at + 1) % 2) * size + (at + 1) / 2;
        for (std::ptrdiff_t i = 0; i < (outputs_ + 1) / 2; i += width) {
            numbers<A> a = numbers<A>::load_unaligned(even + i);
            numbers<A> b = numbers<A>::load_unaligned(odd + i);
            simd::interleave<A>(a, b);
            a.store_unaligned(row_ + 2 * i);
            b.store_unaligned(row_ + 2 * i + width);
        }
    }
    TARN_INLINE void join_phases(const number<A>* sums) noexcept {
        each_in_phases([&](std::ptrdiff_t i, std::ptrdiff_t at) TARN_LAMBDA { row_[i] = sums[at]; });
    }
    // f(column of the tile, where its sum is).
    template <class F> TARN_INLINE void each_in_phases(F f) const noexcept {
        const std::ptrdiff_t size = end_ - begin_;
        std::ptrdiff_t phase = (first_ + columns_.before) % columns_.stride;
        std::ptrdiff_t at = 0;
        for (std::ptrdiff_t i = 0; i < outputs_; ++i) {
            f(i, phase * size + at);
            if (++phase == columns_.stride) {
                phase = 0;
                ++at;
            }
        }
    }

    const dispatch::window_gradients& c_;
    const dispatch::window_axis &depth_, &height_, &columns_;
    Shares shares_;
    std::ptrdiff_t lanes_ = 1;
    // The tile: columns first_ .. first_ + outputs_ - 1, which belong to windows begin_ .. end_ - 1 and before.
    std::ptrdiff_t first_ = 0, outputs_ = 0, begin_ = 0, end_ = 0;
    std::ptrdiff_t phases_ = 1, row_sums_ = 0;
    alignas(64) number<A> sum_[sum_numbers + width];
    alignas(64) number<A> row_[sum_numbers + 2 * width];
    alignas(64) number<A> element_[of_elements ? sum_numbers + width : 1];
};

}}}} // namespace tarn::kernels
