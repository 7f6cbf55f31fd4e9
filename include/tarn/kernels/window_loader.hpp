// SPDX-License-Identifier: BSD-3-Clause
//
// The elements of rows of windows as lines: those of one row and column of many windows side by side, whatever their
// type, strides and layout. Many windows: of a row, of the rows after it, and of the same rows of other planes, as long
// as their rows have as many members.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/window_geometry.hpp>
#include <tarn/simd/strided.hpp>
#include <tarn/simd/transpose.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A row of windows: where it is, its first member over depth and height, and how many there are.
struct planned_row {
    std::ptrdiff_t depth, height;
    std::ptrdiff_t first[2];
    std::ptrdiff_t count[2];
};

// The windows that are in lines.
struct window_batch {
    static constexpr std::ptrdiff_t most_rows = 64;

    TARN_INLINE explicit window_batch(const dispatch::window_axis* a) noexcept : axis(a) {}

    const dispatch::window_axis* const axis;
    std::ptrdiff_t first_lane = 0, lanes = 1;

    // The tile: output columns first .. first + outputs - 1, taps first_tap .. first_tap + taps - 1 of theirs, and the
    // columns of the plane from `begin` on.
    std::ptrdiff_t first = 0, outputs = 0, first_tap = 0, taps = 0, begin = 0, inside = 0;
    std::ptrdiff_t row_windows = 0, pitch = 0;
    bool clipped = false; // not all of the taps are members of all windows

    // Rows of windows, of which each has so many members over depth and height.
    std::ptrdiff_t size = 0, member_rows = 0, height_members = 1;
    planned_row row[most_rows];
    std::ptrdiff_t row_of[most_rows], plane_of[most_rows];
};

// Lines of an operand.
template <class A> class window_loader {
public:
    TARN_INLINE explicit window_loader(const dispatch::plane_operand& x) noexcept
        : x_(x), same_type_(x.type == element_traits<number<A>>::value) {}

    // What all rows of a tile have in common.
    TARN_INLINE void begin_tile(const window_batch& b) noexcept {
        unit_ = same_type_ && x_.step[2] == 1;
        converted_first_ = b.lanes == 1 && !unit_ && b.inside > 0 && b.inside <= converted_numbers;
        single_ = b.row_windows == 1 && unit_ && !b.clipped && b.axis[2].dilation == 1 && b.taps > 1;
    }
    // Whether columns are numbers of this type side by side.
    TARN_INLINE bool is_unit() const noexcept { return unit_; }
    // Of a plane, the first element of the first member of a row.
    TARN_INLINE std::ptrdiff_t begin_of(const planned_row& r) const noexcept {
        return r.first[0] * x_.step[0] + r.first[1] * x_.step[1];
    }
    TARN_INLINE char* element_at(std::ptrdiff_t offset) const noexcept {
        return static_cast<char*>(x_.data) + offset * detail::size_of(x_.type);
    }

    // Columns of a row of members of all windows of the batch to as many lines from `to` on.
    TARN_INLINE void load_row(const window_batch& b, std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t columns,
                              number<A>* to) noexcept {
        const std::ptrdiff_t d = quotient(row, b.height_members);
        const std::ptrdiff_t offset = d * b.axis[0].dilation * x_.step[0] +
                                      (row - d * b.height_members) * b.axis[1].dilation * x_.step[1] + b.first_lane;
        if (single_) {
            load_single(b, offset, column, columns, to);
            return;
        }
        for (std::ptrdiff_t k = 0; k < b.size; ++k) {
            const std::ptrdiff_t first = b.plane_of[k] * x_.across + begin_of(b.row[b.row_of[k]]) + offset;
            if (converted_first_)
                convert<A>::widen(
                    {{element_at(first + b.begin * x_.step[2]), x_.type, x_.step[2], 0}, converted_, 0, 1, b.inside});
            for (std::ptrdiff_t t = 0; t < columns; ++t)
                load_columns(b, first, column + t, to + t * b.pitch + k * b.row_windows);
        }
        // Lanes behind the last window are windows of nothing but 0.
        const std::ptrdiff_t used = b.size * b.row_windows;
        if (used % width != 0) {
            for (std::ptrdiff_t t = 0; t < columns; ++t)
                numbers<A>(number<A>(0)).store_unaligned(to + t * b.pitch + used);
        }
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t converted_numbers = 4096 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    // The same of rows of one window each: rows of elements become lines in registers. Behind the last window are others.
    TARN_NOINLINE void load_single(const window_batch& b, std::ptrdiff_t offset, std::ptrdiff_t column,
                                   std::ptrdiff_t columns, number<A>* to) const noexcept {
        const std::ptrdiff_t start = b.first * b.axis[2].stride - b.axis[2].before + b.first_tap + column;
        for (std::ptrdiff_t k = 0; k < b.size; k += width) {
            const number<A>* row[width];
            for (std::ptrdiff_t j = 0; j < width; ++j) {
                const std::ptrdiff_t window = k + j < b.size ? k + j : k;
                row[j] = reinterpret_cast<const number<A>*>(
                    element_at(b.plane_of[window] * x_.across + begin_of(b.row[b.row_of[window]]) + offset + start));
            }
            for (std::ptrdiff_t i = 0; i < columns; i += width) {
                const int some = columns - i < width ? static_cast<int>(columns - i) : width;
                numbers<A> lines[width];
                simd::unroll<width>([&](auto j) TARN_LAMBDA {
                    constexpr int J = decltype(j)::value;
                    lines[J] = simd::load_n<A>(row[J] + i, some);
                });
                simd::transpose<A>(lines);
                simd::unroll<width>([&](auto j) TARN_LAMBDA {
                    constexpr int J = decltype(j)::value;
                    if (J < some)
                        lines[J].store_unaligned(to + (i + J) * b.pitch + k);
                });
            }
        }
    }
    // Column t of the windows of a row whose first element is number `first`; 0 for those that have no member there.
    TARN_INLINE void load_columns(const window_batch& b, std::ptrdiff_t first, std::ptrdiff_t t,
                                  number<A>* to) noexcept {
        const std::ptrdiff_t start =
            b.first * b.axis[2].stride - b.axis[2].before + (b.first_tap + t) * b.axis[2].dilation;
        std::ptrdiff_t low = 0;
        std::ptrdiff_t high = b.outputs;
        if (b.clipped) {
            low = start < 0 ? least_of(quotient(b.axis[2].stride - 1 - start, b.axis[2].stride), b.outputs) : 0;
            high = start < b.axis[2].in ? least_of(quotient(b.axis[2].in - 1 - start, b.axis[2].stride) + 1, b.outputs)
                                        : 0;
            for (std::ptrdiff_t i = 0; i < (high > low ? low : b.outputs) * b.lanes; ++i)
                to[i] = 0;
        }
        if (high <= low)
            return;
        load_elements(b, first, start + low * b.axis[2].stride, high - low, to + low * b.lanes);
        for (std::ptrdiff_t i = high * b.lanes; i < b.row_windows; ++i)
            to[i] = 0;
    }
    // n columns of a row, a stride from one to the next. What lies behind them in a line may change.
    TARN_INLINE void load_elements(const window_batch& b, std::ptrdiff_t first, std::ptrdiff_t column, std::ptrdiff_t n,
                                   number<A>* to) noexcept {
        if (converted_first_) {
            copy(converted_ + column - b.begin, b.axis[2].stride, n, to);
            return;
        }
        const std::ptrdiff_t step = x_.step[2] * b.axis[2].stride;
        char* const from = element_at(first + column * x_.step[2]);
        const bool single = n == 1;
        if (b.lanes == 1 && (unit_ || (same_type_ && single))) {
            copy(reinterpret_cast<const number<A>*>(from), b.axis[2].stride, n, to);
        } else if (b.lanes > 1 && same_type_) {
            const std::ptrdiff_t pieces = step == b.lanes ? 1 : n;
            for (std::ptrdiff_t j = 0; j < pieces; ++j)
                copy(reinterpret_cast<const number<A>*>(from) + j * step, 1, n / pieces * b.lanes, to + j * b.lanes);
        } else if (b.lanes > 1) {
            convert<A>::widen({{from, x_.type, 1, step}, to, b.lanes, n, b.lanes});
        } else {
            convert<A>::widen({{from, x_.type, step, 0}, to, 0, 1, n});
        }
    }
    // n numbers from p on, s apart; the last register of them is stored whole.
    TARN_INLINE static void copy(const number<A>* p, std::ptrdiff_t s, std::ptrdiff_t n, number<A>* to) noexcept {
        std::ptrdiff_t i = 0;
        if (s == 1) {
            for (; i + width <= n; i += width)
                numbers<A>::load_unaligned(p + i).store_unaligned(to + i);
            if (i < n)
                simd::load_n<A>(p + i, static_cast<int>(n - i)).store_unaligned(to + i);
        } else if (s == 2) {
            const auto pairs = [&](numbers<A> even, numbers<A> odd) TARN_LAMBDA {
                simd::unfolded<A>(simd::even_lanes<A>(even, odd)).store_unaligned(to + i);
            };
            for (; i + width < n; i += width)
                pairs(numbers<A>::load_unaligned(p + 2 * i), numbers<A>::load_unaligned(p + 2 * i + width));
            const int left = static_cast<int>(2 * (n - i) - 1);
            pairs(simd::load_n<A>(p + 2 * i, left), simd::load_n<A>(p + 2 * i + width, left - width));
        } else if (n >= width && s < (std::ptrdiff_t{1} << 24)) {
            for (; i + width <= n; i += width)
                simd::load_strided<A>(p + i * s, s).store_unaligned(to + i);
            if (i < n)
                simd::load_strided<A>(p + (n - width) * s, s).store_unaligned(to + n - width);
        } else {
            for (; i < n; ++i)
                to[i] = p[i * s];
        }
    }

    const dispatch::plane_operand& x_;
    const bool same_type_;
    bool unit_ = false, converted_first_ = false;
    bool single_ = false; // a window in each row, of many columns
    alignas(64) number<A> converted_[converted_numbers + width];
};

struct no_loader {
    TARN_INLINE explicit no_loader(const dispatch::plane_operand&) noexcept {}
};

}}}} // namespace tarn::kernels
