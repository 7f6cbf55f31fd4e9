// SPDX-License-Identifier: BSD-3-Clause
//
// Windows over planes, a register of them at a time, for reductions that have to see all elements of a window before
// they can weigh the first. Elements are brought into lines: those of one row and column of many windows side by side,
// whatever their type, strides and layout. Many windows: of a row, of the rows after it, and of the same rows of other
// planes, as long as their rows have as many members.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/window_elements.hpp>
#include <tarn/simd/transpose.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// `columns` windows of a row, lanes side by side.
struct windows_of_row {
    std::ptrdiff_t depth, height, column, columns, lanes;
};

// Operation: what becomes of windows.
//
//   fields                 numbers that it gives for each: one is a result, more are the window's state
//   begin(row, at)         windows number `at` and those after it are these
//   run(e, n, by, at, to)  of a register of windows from number `at` on, with these elements, each with n members: the
//                          fields to to[0], ... of each register; by is 1 / n
template <class A, class Operation> class whole_windows {
public:
    TARN_NOINLINE static void run(const dispatch::window_planes& c, Operation& operation) noexcept {
        whole_windows windows(c, operation);
        windows.run_lanes();
    }

    // Elements of a row of windows into the first lines.
    TARN_NOINLINE void load(std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t columns) noexcept {
        load_row(row, column, columns, line_);
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr int fields = Operation::fields;
    template <int Bytes>
    static constexpr std::ptrdiff_t numbers_in = Bytes / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    static constexpr std::ptrdiff_t line_numbers = numbers_in<16384>;
    static constexpr std::ptrdiff_t converted_numbers = numbers_in<4096>;
    static constexpr std::ptrdiff_t most_windows = numbers_in<(fields > 1 ? 512 : 2048)>;
    static constexpr std::ptrdiff_t result_pitch = most_windows + width;
    static constexpr std::ptrdiff_t most_rows = 64;
    static constexpr std::ptrdiff_t most_planes = 64;
    // Columns of a window that are numbers.
    static constexpr std::ptrdiff_t most_columns = std::ptrdiff_t{1} << 20;

    TARN_INLINE whole_windows(const dispatch::window_planes& c, Operation& operation) noexcept
        : c_(c), operation_(operation), columns_(c.axis[2]), same_type_(c.x.type == element_traits<number<A>>::value) {}

    TARN_INLINE static std::ptrdiff_t lesser(std::ptrdiff_t a, std::ptrdiff_t b) noexcept { return a < b ? a : b; }

    TARN_INLINE void run_lanes() noexcept {
        const auto members = [&](int axis) TARN_LAMBDA { return lesser(c_.axis[axis].kernel, c_.axis[axis].in); };
        // What is at work at once stays in L1. Windows that have no room are taken piece by piece.
        most_member_rows_ = members(0) * members(1);
        const bool few = most_member_rows_ <= line_numbers && members(2) <= line_numbers;
        const std::ptrdiff_t room = few ? line_numbers / (most_member_rows_ * members(2)) : 0;
        const std::ptrdiff_t fitting = (room - width) / width * width;
        piecewise_ = fitting < width;
        const std::ptrdiff_t windows = piecewise_ ? width : lesser(fitting, most_windows);
        for (first_lane_ = 0; first_lane_ < c_.lanes; first_lane_ += lanes_) {
            lanes_ = lesser(c_.lanes - first_lane_, windows);
            for (first_ = c_.first_column; first_ < c_.last_column; first_ += outputs_) {
                outputs_ = lesser(c_.last_column - first_, windows / lanes_);
                while (!begin_tile(windows))
                    outputs_ = (outputs_ + 1) / 2;
                run_rows();
            }
        }
    }

    // The first column of a window with a member, and the one behind the last.
    TARN_INLINE std::ptrdiff_t first_member(std::ptrdiff_t window) const noexcept {
        const std::ptrdiff_t start = window * columns_.stride - columns_.before;
        return start < 0 ? in_steps(-start) : 0;
    }
    TARN_INLINE std::ptrdiff_t end_member(std::ptrdiff_t window) const noexcept {
        const std::ptrdiff_t start = window * columns_.stride - columns_.before;
        return start < columns_.in ? lesser(columns_.kernel, in_steps(columns_.in - start)) : 0;
    }
    // So many columns in steps of a window's, rounded up.
    TARN_INLINE std::ptrdiff_t in_steps(std::ptrdiff_t n) const noexcept {
        return columns_.dilation == 1 ? n : (n + columns_.dilation - 1) / columns_.dilation;
    }

    // What all rows of a tile of output columns have in common; false if it has too many of them.
    TARN_INLINE bool begin_tile(std::ptrdiff_t windows) noexcept {
        const std::ptrdiff_t last = first_ + outputs_ - 1;
        first_tap_ = first_member(last);
        const std::ptrdiff_t end_tap = end_member(first_);
        taps_ = end_tap > first_tap_ ? end_tap - first_tap_ : 0;
        row_windows_ = outputs_ * lanes_;
        rows_at_once_ = lesser(windows / row_windows_, most_rows);
        pitch_ = (rows_at_once_ * row_windows_ + width - 1) / width * width + width;
        if (outputs_ > 1) {
            const bool fits =
                piecewise_ || (taps_ <= line_numbers && most_member_rows_ * taps_ * pitch_ <= line_numbers);
            if (!fits || taps_ > most_columns)
                return false;
        }
        const std::ptrdiff_t start = first_ * columns_.stride - columns_.before;
        begin_ = start > 0 ? start : 0;
        const std::ptrdiff_t end =
            last * columns_.stride - columns_.before + (columns_.kernel - 1) * columns_.dilation + 1;
        inside_ = (end < columns_.in ? end : columns_.in) - begin_;
        unit_ = same_type_ && c_.x.step[2] == 1;
        converted_first_ = lanes_ == 1 && !unit_ && inside_ > 0 && inside_ <= converted_numbers;
        clipped_ = first_member(first_) > first_tap_ || end_member(last) < end_tap;
        single_ = row_windows_ == 1 && unit_ && !clipped_ && columns_.dilation == 1 && taps_ > 1;
        unit_results_ = c_.y.type == element_traits<number<A>>::value && c_.y.step[2] == 1;
        pairs_ = lanes_ == 1 && unit_ && unit_results_ && !clipped_ && taps_ == 2 && columns_.stride == 2 &&
                 columns_.dilation == 1 && outputs_ >= width && start == begin_;
        if (clipped_)
            note_members();
        return true;
    }
    TARN_NOINLINE void note_members() noexcept {
        for (std::ptrdiff_t i = 0; i < pitch_; i += width)
            register_clipped_[i / width] = false;
        std::ptrdiff_t i = 0;
        for (std::ptrdiff_t k = 0; k < rows_at_once_; ++k) {
            for (std::ptrdiff_t j = 0; j < outputs_; ++j) {
                const std::ptrdiff_t first = first_member(first_ + j) - first_tap_;
                const std::ptrdiff_t end = end_member(first_ + j) - first_tap_;
                for (std::ptrdiff_t l = 0; l < lanes_; ++l, ++i)
                    note(i, first, end);
            }
        }
        for (; i < pitch_; ++i)
            note(i, 0, taps_);
    }
    TARN_INLINE void note(std::ptrdiff_t i, std::ptrdiff_t first, std::ptrdiff_t end) noexcept {
        first_member_[i] = static_cast<number<A>>(first);
        end_member_[i] = static_cast<number<A>>(end);
        members_[i] = end > first ? static_cast<number<A>>(end - first) : number<A>(0);
        if (first > 0 || end < taps_)
            register_clipped_[i / width] = true;
    }

    TARN_INLINE void run_rows() noexcept {
        for (std::ptrdiff_t r = c_.first_row; r < c_.last_row; r += most_rows) {
            const std::ptrdiff_t rows = lesser(c_.last_row - r, most_rows);
            first_row_ = r;
            plan(rows);
            // So few planes at once that they are still in a cache when their other rows are due.
            for (std::ptrdiff_t p = 0; p < c_.planes; p += most_planes) {
                const std::ptrdiff_t planes = lesser(c_.planes - p, most_planes);
                for (std::ptrdiff_t k = 0; k < rows;) {
                    std::ptrdiff_t alike = 1;
                    while (k + alike < rows && row_[k + alike].count[0] == row_[k].count[0] &&
                           row_[k + alike].count[1] == row_[k].count[1])
                        ++alike;
                    run_alike(k, alike, p, planes);
                    k += alike;
                }
            }
        }
    }
    TARN_NOINLINE void plan(std::ptrdiff_t rows) noexcept {
        const dispatch::window_axis& depth = c_.axis[0];
        const dispatch::window_axis& height = c_.axis[1];
        for (std::ptrdiff_t k = 0; k < rows; ++k) {
            const std::ptrdiff_t i = (first_row_ + k) / height.out;
            const std::ptrdiff_t j = first_row_ + k - i * height.out;
            const window_taps d = window_taps::of(depth, i);
            const window_taps h = window_taps::of(height, j);
            planned_row& r = row_[k];
            r.depth = i;
            r.height = j;
            r.x = (d.start + d.first * depth.dilation) * c_.x.step[0] +
                  (h.start + h.first * height.dilation) * c_.x.step[1];
            // None of one is none at all.
            r.count[0] = h.count == 0 ? 0 : d.count;
            r.count[1] = d.count == 0 ? 0 : h.count;
        }
    }
    // Rows that have as many members, of some planes.
    TARN_INLINE void run_alike(std::ptrdiff_t row, std::ptrdiff_t rows, std::ptrdiff_t plane,
                               std::ptrdiff_t planes) noexcept {
        height_members_ = row_[row].count[1];
        member_rows_ = row_[row].count[0] * height_members_;
        const auto taps = static_cast<number<A>>(member_rows_ * taps_);
        all_members_ = taps;
        one_by_all_ = taps > 0 ? number<A>(1) / taps : number<A>(0);
        if constexpr (fields == 1) {
            if (pairs_ && member_rows_ == 2) {
                run_pairs(row, rows, plane, planes);
                return;
            }
        }
        for (std::ptrdiff_t done = 0; done < rows * planes; done += batch_) {
            batch_ = lesser(rows * planes - done, rows_at_once_);
            for (std::ptrdiff_t k = 0; k < batch_; ++k) {
                const std::ptrdiff_t p = (done + k) / rows;
                const std::ptrdiff_t r = done + k - p * rows;
                row_of_[k] = row + r;
                plane_of_[k] = plane + p;
                operation_.begin(windows_of_row{row_[row + r].depth, row_[row + r].height, first_, outputs_, lanes_},
                                 k * row_windows_);
            }
            if (member_rows_ * taps_ > 0) {
                for (std::ptrdiff_t r = 0; r < member_rows_ && !piecewise_; ++r)
                    load_row(r, 0, taps_, line_ + r * taps_ * pitch_);
                reduce();
            } else {
                for (std::ptrdiff_t i = 0; i < fields * result_pitch; ++i)
                    result_[i] = 0;
            }
            for (std::ptrdiff_t k = 0; k < batch_; ++k)
                put_row(row_[row_of_[k]], plane_of_[k], result_ + k * row_windows_);
        }
    }

    // Windows of two rows and columns side by side, from where they are to where their results belong.
    TARN_NOINLINE void run_pairs(std::ptrdiff_t row, std::ptrdiff_t rows, std::ptrdiff_t plane,
                                 std::ptrdiff_t planes) noexcept {
        const numbers<A> n(all_members_);
        const numbers<A> by(one_by_all_);
        const std::ptrdiff_t down =
            height_members_ == 2 ? c_.axis[1].dilation * c_.x.step[1] : c_.axis[0].dilation * c_.x.step[0];
        for (std::ptrdiff_t p = plane; p < plane + planes; ++p) {
            for (std::ptrdiff_t k = row; k < row + rows; ++k) {
                const planned_row& r = row_[k];
                operation_.begin(windows_of_row{r.depth, r.height, first_, outputs_, 1}, 0);
                const auto* const x = reinterpret_cast<const number<A>*>(element_at(p * c_.x.across + r.x + begin_));
                auto* const y = reinterpret_cast<number<A>*>(result_at(r, p));
                const auto pair = [&](const number<A>* q, numbers<A>& even, numbers<A>& odd) TARN_LAMBDA {
                    const numbers<A> a = numbers<A>::load_unaligned(q);
                    const numbers<A> b = numbers<A>::load_unaligned(q + width);
                    even = simd::unfolded<A>(simd::even_lanes<A>(a, b));
                    odd = simd::unfolded<A>(simd::odd_lanes<A>(a, b));
                };
                for (std::ptrdiff_t i = 0; i < outputs_; i += width) {
                    // The last register repeats results of the one before.
                    const std::ptrdiff_t at = i + width > outputs_ ? outputs_ - width : i;
                    few_elements<A, 2, 2> e;
                    pair(x + 2 * at, e.x[0][0], e.x[0][1]);
                    pair(x + 2 * at + down, e.x[1][0], e.x[1][1]);
                    numbers<A> to[fields];
                    operation_.run(e, n, by, at, to);
                    to[0].store_unaligned(y + at);
                }
            }
        }
    }

    // Columns of a row of members of all windows of the batch to as many lines from `to` on.
    TARN_INLINE void load_row(std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t columns,
                              number<A>* to) noexcept {
        const std::ptrdiff_t d = row / height_members_;
        const std::ptrdiff_t offset = d * c_.axis[0].dilation * c_.x.step[0] +
                                      (row - d * height_members_) * c_.axis[1].dilation * c_.x.step[1] + first_lane_;
        if (single_) {
            load_single(offset, column, columns, to);
            return;
        }
        for (std::ptrdiff_t k = 0; k < batch_; ++k) {
            const std::ptrdiff_t first = plane_of_[k] * c_.x.across + row_[row_of_[k]].x + offset;
            if (converted_first_)
                convert<A>::widen({{element_at(first + begin_ * c_.x.step[2]), c_.x.type, c_.x.step[2], 0},
                                   converted_,
                                   0,
                                   1,
                                   inside_});
            for (std::ptrdiff_t t = 0; t < columns; ++t)
                load_columns(first, column + t, to + t * pitch_ + k * row_windows_);
        }
        // Lanes behind the last window are windows of nothing but 0.
        const std::ptrdiff_t used = batch_ * row_windows_;
        if (used % width != 0) {
            for (std::ptrdiff_t t = 0; t < columns; ++t)
                numbers<A>(number<A>(0)).store_unaligned(to + t * pitch_ + used);
        }
    }
    // The same of rows of one window each: rows of elements become lines in registers. Behind the last window are others.
    TARN_NOINLINE void load_single(std::ptrdiff_t offset, std::ptrdiff_t column, std::ptrdiff_t columns,
                                   number<A>* to) const noexcept {
        const std::ptrdiff_t start = first_ * columns_.stride - columns_.before + first_tap_ + column;
        for (std::ptrdiff_t k = 0; k < batch_; k += width) {
            const number<A>* row[width];
            for (std::ptrdiff_t j = 0; j < width; ++j) {
                const std::ptrdiff_t window = k + j < batch_ ? k + j : k;
                row[j] = reinterpret_cast<const number<A>*>(
                    element_at(plane_of_[window] * c_.x.across + row_[row_of_[window]].x + offset + start));
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
                        lines[J].store_unaligned(to + (i + J) * pitch_ + k);
                });
            }
        }
    }
    TARN_INLINE char* element_at(std::ptrdiff_t offset) const noexcept {
        return static_cast<char*>(c_.x.data) + offset * detail::size_of(c_.x.type);
    }
    // Column t of the windows of a row whose first element is number `first`; 0 for those that have no member there.
    TARN_INLINE void load_columns(std::ptrdiff_t first, std::ptrdiff_t t, number<A>* to) noexcept {
        const std::ptrdiff_t start = first_ * columns_.stride - columns_.before + (first_tap_ + t) * columns_.dilation;
        std::ptrdiff_t low = 0;
        std::ptrdiff_t high = outputs_;
        if (clipped_) {
            low = start < 0 ? lesser((columns_.stride - 1 - start) / columns_.stride, outputs_) : 0;
            high = start < columns_.in ? lesser((columns_.in - 1 - start) / columns_.stride + 1, outputs_) : 0;
            for (std::ptrdiff_t i = 0; i < (high > low ? low : outputs_) * lanes_; ++i)
                to[i] = 0;
        }
        if (high <= low)
            return;
        load_elements(first, start + low * columns_.stride, high - low, to + low * lanes_);
        for (std::ptrdiff_t i = high * lanes_; i < row_windows_; ++i)
            to[i] = 0;
    }
    // n columns of a row, a stride from one to the next. What lies behind them in a line may change.
    TARN_INLINE void load_elements(std::ptrdiff_t first, std::ptrdiff_t column, std::ptrdiff_t n,
                                   number<A>* to) noexcept {
        if (converted_first_) {
            copy(converted_ + column - begin_, columns_.stride, n, to);
            return;
        }
        const std::ptrdiff_t step = c_.x.step[2] * columns_.stride;
        char* const from = element_at(first + column * c_.x.step[2]);
        const bool single = n == 1;
        if (lanes_ == 1 && (unit_ || (same_type_ && single))) {
            copy(reinterpret_cast<const number<A>*>(from), columns_.stride, n, to);
        } else if (lanes_ > 1 && same_type_) {
            const std::ptrdiff_t pieces = step == lanes_ ? 1 : n;
            for (std::ptrdiff_t j = 0; j < pieces; ++j)
                copy(reinterpret_cast<const number<A>*>(from) + j * step, 1, n / pieces * lanes_, to + j * lanes_);
        } else if (lanes_ > 1) {
            convert<A>::widen({{from, c_.x.type, 1, step}, to, lanes_, n, lanes_});
        } else {
            convert<A>::widen({{from, c_.x.type, step, 0}, to, 0, 1, n});
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
            const auto pairs = [&](numbers<A> a, numbers<A> b) TARN_LAMBDA {
                simd::unfolded<A>(simd::even_lanes<A>(a, b)).store_unaligned(to + i);
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

    TARN_NOINLINE void reduce() noexcept {
        const std::ptrdiff_t used = batch_ * row_windows_;
        const numbers<A> all(all_members_);
        const numbers<A> by(one_by_all_);
        const auto run = [&](const auto& e, numbers<A> n, numbers<A> inverse, std::ptrdiff_t i) TARN_LAMBDA {
            numbers<A> to[fields];
            operation_.run(e, n, inverse, i, to);
            simd::unroll<fields>([&](auto f) TARN_LAMBDA {
                to[decltype(f)::value].store_unaligned(result_ + decltype(f)::value * result_pitch + i);
            });
        };
        const bool square = member_rows_ == 2 && taps_ == 2 && !piecewise_;
        for (std::ptrdiff_t i = 0; i < used; i += width) {
            const number<A>* const p = line_ + i;
            if (piecewise_ || (clipped_ && register_clipped_[i / width])) {
                clipped_lines<A, whole_windows> lines{p,
                                                      member_rows_,
                                                      taps_,
                                                      pitch_,
                                                      taps_,
                                                      numbers<A>(number<A>(-1)),
                                                      numbers<A>(infinite<A>),
                                                      piecewise_ ? this : nullptr};
                numbers<A> n = all;
                numbers<A> inverse = by;
                if (piecewise_)
                    lines.columns_at_once = line_numbers / pitch_;
                if (clipped_) {
                    lines.first_member = numbers<A>::load_unaligned(first_member_ + i);
                    lines.end_member = numbers<A>::load_unaligned(end_member_ + i);
                    n = numbers<A>::load_unaligned(members_ + i) * numbers<A>(static_cast<number<A>>(member_rows_));
                    inverse = numbers<A>(number<A>(1)) / n;
                }
                run(listed_elements<A, clipped_lines<A, whole_windows>>{lines}, n, inverse, i);
            } else if (square) {
                const auto at = [&](int tap) TARN_LAMBDA { return numbers<A>::load_unaligned(p + tap * pitch_); };
                run(few_elements<A, 2, 2>{{{at(0), at(1)}, {at(2), at(3)}}}, all, by, i);
            } else {
                run(listed_elements<A, whole_lines<A>>{whole_lines<A>{p, member_rows_, taps_, pitch_, taps_}}, all, by,
                    i);
            }
        }
    }

    struct planned_row {
        std::ptrdiff_t depth, height;
        std::ptrdiff_t x;        // of the first member, from the first element of its plane
        std::ptrdiff_t count[2]; // members over depth and height
    };

    TARN_INLINE char* result_at(const planned_row& r, std::ptrdiff_t plane) const noexcept {
        const dispatch::plane_operand& y = c_.y;
        return static_cast<char*>(y.data) +
               (plane * y.across + r.depth * y.step[0] + r.height * y.step[1] + first_ * y.step[2] + first_lane_) *
                   detail::size_of(y.type);
    }
    // The results of a row, or its states.
    TARN_INLINE void put_row(const planned_row& r, std::ptrdiff_t plane, number<A>* from) const noexcept {
        if constexpr (fields == 1) {
            const dispatch::plane_operand& y = c_.y;
            char* const to = result_at(r, plane);
            if (lanes_ == 1 && unit_results_)
                store(from, outputs_, reinterpret_cast<number<A>*>(to));
            else if (lanes_ == 1)
                convert<A>::narrow({{to, y.type, y.step[2], 0}, from, 0, 1, outputs_});
            else
                convert<A>::narrow({{to, y.type, 1, y.step[2]}, from, lanes_, outputs_, lanes_});
        } else {
            const dispatch::index_operand& state = c_.index;
            number<A>* const to = static_cast<number<A>*>(state.data) + state.first + plane * state.across +
                                  r.depth * state.step[0] + r.height * state.step[1] + first_ * state.step[2] +
                                  first_lane_;
            const std::ptrdiff_t pieces = state.step[2] == lanes_ ? 1 : outputs_;
            for (int f = 0; f < fields; ++f) {
                for (std::ptrdiff_t j = 0; j < pieces; ++j)
                    store(from + f * result_pitch + j * lanes_, row_windows_ / pieces,
                          to + f * state.field + j * state.step[2]);
            }
        }
    }
    TARN_INLINE static void store(const number<A>* from, std::ptrdiff_t n, number<A>* to) noexcept {
        std::ptrdiff_t i = 0;
        for (; i + width <= n; i += width)
            numbers<A>::load_unaligned(from + i).store_unaligned(to + i);
        if (i < n)
            simd::store_n<A>(to + i, numbers<A>::load_unaligned(from + i), static_cast<int>(n - i));
    }

    const dispatch::window_planes& c_;
    Operation& operation_;
    const dispatch::window_axis& columns_;
    const bool same_type_;
    std::ptrdiff_t most_member_rows_ = 1;
    bool piecewise_ = false; // windows have more elements than the lines have room for
    std::ptrdiff_t first_lane_ = 0, lanes_ = 1;

    // The tile: output columns first_ .. first_ + outputs_ - 1, taps first_tap_ .. first_tap_ + taps_ - 1 of theirs, and
    // the columns of the plane from begin_ on.
    std::ptrdiff_t first_ = 0, outputs_ = 0, first_tap_ = 0, taps_ = 0, begin_ = 0, inside_ = 0;
    std::ptrdiff_t row_windows_ = 0, rows_at_once_ = 0, pitch_ = 0;
    bool unit_ = false, unit_results_ = false, converted_first_ = false;
    bool pairs_ = false;   // two columns, in pairs of elements
    bool single_ = false;  // a window in each row, of many columns
    bool clipped_ = false; // not all of the taps are members of all windows

    // The batch: rows of windows, of which each has so many members over depth and height.
    std::ptrdiff_t first_row_ = 0, batch_ = 0, member_rows_ = 0, height_members_ = 1;
    number<A> all_members_ = 0, one_by_all_ = 0;
    planned_row row_[most_rows];
    std::ptrdiff_t row_of_[most_rows], plane_of_[most_rows];

    bool register_clipped_[most_windows / width + 2];
    alignas(64) number<A> first_member_[result_pitch + width];
    alignas(64) number<A> end_member_[result_pitch + width];
    alignas(64) number<A> members_[result_pitch + width];
    alignas(64) number<A> line_[line_numbers + 2 * width];
    alignas(64) number<A> converted_[converted_numbers + width];
    alignas(64) number<A> result_[fields * result_pitch];
};

}}}} // namespace tarn::kernels
