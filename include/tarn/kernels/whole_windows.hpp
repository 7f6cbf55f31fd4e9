// SPDX-License-Identifier: BSD-3-Clause
//
// Windows over planes, a register of them at a time, for reductions that have to see all elements of a window before
// they can weigh the first.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/window_elements.hpp>
#include <tarn/kernels/window_loader.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// `columns` windows of a row, lanes side by side.
struct windows_of_row {
    std::ptrdiff_t depth, height, column, columns, lanes;
};

// Operation: what becomes of windows.
//
//   fields                 numbers that it gives for each: one is a result, more are the window's state
//   reads_beside           whether elements come with those of another operand of the same extents, beside()
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
        load_lines(row, column, columns, line_);
    }

private:
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr int fields = Operation::fields;
    template <int Bytes>
    static constexpr std::ptrdiff_t numbers_in = Bytes / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    static constexpr bool reads_beside = Operation::reads_beside;
    static constexpr std::ptrdiff_t line_numbers = numbers_in<(reads_beside ? 8192 : 16384)>;
    static constexpr std::ptrdiff_t beside = line_numbers + 2 * width; // from a line to that of the other operand
    static constexpr std::ptrdiff_t most_windows = numbers_in<(fields > 1 ? 512 : 2048)>;
    static constexpr std::ptrdiff_t result_pitch = most_windows + width;
    static constexpr std::ptrdiff_t most_rows = window_batch::most_rows;
    static constexpr std::ptrdiff_t most_planes = 64;
    // Columns of a window that are numbers.
    static constexpr std::ptrdiff_t most_columns = std::ptrdiff_t{1} << 20;

    TARN_INLINE whole_windows(const dispatch::window_planes& c, Operation& operation) noexcept
        : c_(c), operation_(operation), columns_(c.axis[2]), batch_(c.axis), x_(c.x), other_(other_of(c, operation)) {}
    TARN_INLINE static const dispatch::plane_operand& other_of(const dispatch::window_planes& c,
                                                               const Operation& operation) noexcept {
        if constexpr (reads_beside)
            return operation.beside();
        else
            return c.x;
    }

    TARN_INLINE void run_lanes() noexcept {
        const auto members = [&](int axis) TARN_LAMBDA { return least_of(c_.axis[axis].kernel, c_.axis[axis].in); };
        // What is at work at once stays in L1. Windows that have no room are taken piece by piece.
        most_member_rows_ = members(0) * members(1);
        const bool few = most_member_rows_ <= line_numbers && members(2) <= line_numbers;
        const std::ptrdiff_t room = few ? line_numbers / (most_member_rows_ * members(2)) : 0;
        const std::ptrdiff_t fitting = (room - width) / width * width;
        piecewise_ = fitting < width;
        const std::ptrdiff_t windows = piecewise_ ? width : least_of(fitting, most_windows);
        for (batch_.first_lane = 0; batch_.first_lane < c_.lanes; batch_.first_lane += batch_.lanes) {
            batch_.lanes = least_of(c_.lanes - batch_.first_lane, windows);
            for (batch_.first = c_.first_column; batch_.first < c_.last_column; batch_.first += batch_.outputs) {
                batch_.outputs = least_of(c_.last_column - batch_.first, windows / batch_.lanes);
                while (!begin_tile(windows))
                    batch_.outputs = (batch_.outputs + 1) / 2;
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
        return start < columns_.in ? least_of(columns_.kernel, in_steps(columns_.in - start)) : 0;
    }
    // So many columns in steps of a window's, rounded up.
    TARN_INLINE std::ptrdiff_t in_steps(std::ptrdiff_t n) const noexcept {
        return quotient(n + columns_.dilation - 1, columns_.dilation);
    }

    // What all rows of a tile of output columns have in common; false if it has too many of them.
    TARN_INLINE bool begin_tile(std::ptrdiff_t windows) noexcept {
        const std::ptrdiff_t last = batch_.first + batch_.outputs - 1;
        batch_.first_tap = first_member(last);
        const std::ptrdiff_t end_tap = end_member(batch_.first);
        batch_.taps = end_tap > batch_.first_tap ? end_tap - batch_.first_tap : 0;
        batch_.row_windows = batch_.outputs * batch_.lanes;
        rows_at_once_ = least_of(windows / batch_.row_windows, most_rows);
        batch_.pitch = (rows_at_once_ * batch_.row_windows + width - 1) / width * width + width;
        if (batch_.outputs > 1) {
            const bool fits = piecewise_ || (batch_.taps <= line_numbers &&
                                             most_member_rows_ * batch_.taps * batch_.pitch <= line_numbers);
            if (!fits || batch_.taps > most_columns)
                return false;
        }
        const std::ptrdiff_t start = batch_.first * columns_.stride - columns_.before;
        batch_.begin = start > 0 ? start : 0;
        const std::ptrdiff_t end =
            last * columns_.stride - columns_.before + (columns_.kernel - 1) * columns_.dilation + 1;
        batch_.inside = (end < columns_.in ? end : columns_.in) - batch_.begin;
        batch_.clipped = first_member(batch_.first) > batch_.first_tap || end_member(last) < end_tap;
        x_.begin_tile(batch_);
        if constexpr (reads_beside)
            other_.begin_tile(batch_);
        unit_results_ = c_.y.type == element_traits<number<A>>::value && c_.y.step[2] == 1;
        pairs_ = !reads_beside && batch_.lanes == 1 && x_.is_unit() && unit_results_ && !batch_.clipped &&
                 batch_.taps == 2 && columns_.stride == 2 && columns_.dilation == 1 && batch_.outputs >= width &&
                 start == batch_.begin;
        if (batch_.clipped)
            note_members();
        return true;
    }
    TARN_NOINLINE void note_members() noexcept {
        for (std::ptrdiff_t i = 0; i < batch_.pitch; i += width)
            register_clipped_[i / width] = false;
        std::ptrdiff_t i = 0;
        for (std::ptrdiff_t k = 0; k < rows_at_once_; ++k) {
            for (std::ptrdiff_t j = 0; j < batch_.outputs; ++j) {
                const std::ptrdiff_t first = first_member(batch_.first + j) - batch_.first_tap;
                const std::ptrdiff_t end = end_member(batch_.first + j) - batch_.first_tap;
                for (std::ptrdiff_t l = 0; l < batch_.lanes; ++l, ++i)
                    note(i, first, end);
            }
        }
        for (; i < batch_.pitch; ++i)
            note(i, 0, batch_.taps);
    }
    TARN_INLINE void note(std::ptrdiff_t i, std::ptrdiff_t first, std::ptrdiff_t end) noexcept {
        first_member_[i] = static_cast<number<A>>(first);
        end_member_[i] = static_cast<number<A>>(end);
        members_[i] = end > first ? static_cast<number<A>>(end - first) : number<A>(0);
        if (first > 0 || end < batch_.taps)
            register_clipped_[i / width] = true;
    }

    TARN_INLINE void run_rows() noexcept {
        for (std::ptrdiff_t r = c_.first_row; r < c_.last_row; r += most_rows) {
            const std::ptrdiff_t rows = least_of(c_.last_row - r, most_rows);
            first_row_ = r;
            plan(rows);
            // So few planes at once that they are still in a cache when their other rows are due.
            for (std::ptrdiff_t p = 0; p < c_.planes; p += most_planes) {
                const std::ptrdiff_t planes = least_of(c_.planes - p, most_planes);
                for (std::ptrdiff_t k = 0; k < rows;) {
                    std::ptrdiff_t alike = 1;
                    while (k + alike < rows && batch_.row[k + alike].count[0] == batch_.row[k].count[0] &&
                           batch_.row[k + alike].count[1] == batch_.row[k].count[1])
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
            const std::ptrdiff_t i = quotient(first_row_ + k, height.out);
            const std::ptrdiff_t j = first_row_ + k - i * height.out;
            const window_taps d = window_taps::of(depth, i);
            const window_taps h = window_taps::of(height, j);
            planned_row& r = batch_.row[k];
            r.depth = i;
            r.height = j;
            r.first[0] = d.start + d.first * depth.dilation;
            r.first[1] = h.start + h.first * height.dilation;
            // None of one is none at all.
            r.count[0] = h.count == 0 ? 0 : d.count;
            r.count[1] = d.count == 0 ? 0 : h.count;
        }
    }
    // Rows that have as many members, of some planes.
    TARN_INLINE void run_alike(std::ptrdiff_t row, std::ptrdiff_t rows, std::ptrdiff_t plane,
                               std::ptrdiff_t planes) noexcept {
        batch_.height_members = batch_.row[row].count[1];
        batch_.member_rows = batch_.row[row].count[0] * batch_.height_members;
        const auto taps = static_cast<number<A>>(batch_.member_rows * batch_.taps);
        all_members_ = taps;
        one_by_all_ = taps > 0 ? number<A>(1) / taps : number<A>(0);
        if constexpr (fields == 1 && !reads_beside) {
            if (pairs_ && batch_.member_rows == 2) {
                run_pairs(row, rows, plane, planes);
                return;
            }
        }
        for (std::ptrdiff_t done = 0; done < rows * planes; done += batch_.size) {
            batch_.size = least_of(rows * planes - done, rows_at_once_);
            for (std::ptrdiff_t k = 0; k < batch_.size; ++k) {
                const std::ptrdiff_t p = quotient(done + k, rows);
                const std::ptrdiff_t r = done + k - p * rows;
                batch_.row_of[k] = row + r;
                batch_.plane_of[k] = plane + p;
                operation_.begin(windows_of_row{batch_.row[row + r].depth, batch_.row[row + r].height, batch_.first,
                                                batch_.outputs, batch_.lanes},
                                 k * batch_.row_windows);
            }
            if (batch_.member_rows * batch_.taps > 0) {
                for (std::ptrdiff_t r = 0; r < batch_.member_rows && !piecewise_; ++r)
                    load_lines(r, 0, batch_.taps, line_ + r * batch_.taps * batch_.pitch);
                reduce();
            } else {
                for (std::ptrdiff_t i = 0; i < fields * result_pitch; ++i)
                    result_[i] = 0;
            }
            for (std::ptrdiff_t k = 0; k < batch_.size; ++k)
                put_row(batch_.row[batch_.row_of[k]], batch_.plane_of[k], result_ + k * batch_.row_windows);
        }
    }

    // Windows of two rows and columns side by side, from where they are to where their results belong.
    TARN_NOINLINE void run_pairs(std::ptrdiff_t row, std::ptrdiff_t rows, std::ptrdiff_t plane,
                                 std::ptrdiff_t planes) noexcept {
        const numbers<A> n(all_members_);
        const numbers<A> by(one_by_all_);
        const std::ptrdiff_t down =
            batch_.height_members == 2 ? c_.axis[1].dilation * c_.x.step[1] : c_.axis[0].dilation * c_.x.step[0];
        for (std::ptrdiff_t p = plane; p < plane + planes; ++p) {
            for (std::ptrdiff_t k = row; k < row + rows; ++k) {
                const planned_row& r = batch_.row[k];
                operation_.begin(windows_of_row{r.depth, r.height, batch_.first, batch_.outputs, 1}, 0);
                const auto* const x =
                    reinterpret_cast<const number<A>*>(x_.element_at(p * c_.x.across + x_.begin_of(r) + batch_.begin));
                auto* const y = reinterpret_cast<number<A>*>(result_at(r, p));
                const auto pair = [&](const number<A>* q, numbers<A>& even, numbers<A>& odd) TARN_LAMBDA {
                    const numbers<A> a = numbers<A>::load_unaligned(q);
                    const numbers<A> b = numbers<A>::load_unaligned(q + width);
                    even = simd::unfolded<A>(simd::even_lanes<A>(a, b));
                    odd = simd::unfolded<A>(simd::odd_lanes<A>(a, b));
                };
                for (std::ptrdiff_t i = 0; i < batch_.outputs; i += width) {
                    // The last register repeats results of the one before.
                    const std::ptrdiff_t at = i + width > batch_.outputs ? batch_.outputs - width : i;
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
    TARN_INLINE void load_lines(std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t columns,
                                number<A>* to) noexcept {
        x_.load_row(batch_, row, column, columns, to);
        if constexpr (reads_beside)
            other_.load_row(batch_, row, column, columns, to + beside);
    }

    TARN_NOINLINE void reduce() noexcept {
        const std::ptrdiff_t used = batch_.size * batch_.row_windows;
        const numbers<A> all(all_members_);
        const numbers<A> by(one_by_all_);
        const auto run = [&](const auto& e, numbers<A> n, numbers<A> inverse, std::ptrdiff_t i) TARN_LAMBDA {
            numbers<A> to[fields];
            operation_.run(e, n, inverse, i, to);
            simd::unroll<fields>([&](auto f) TARN_LAMBDA {
                to[decltype(f)::value].store_unaligned(result_ + decltype(f)::value * result_pitch + i);
            });
        };
        const bool square = batch_.member_rows == 2 && batch_.taps == 2 && !piecewise_;
        for (std::ptrdiff_t i = 0; i < used; i += width) {
            const number<A>* const p = line_ + i;
            if (piecewise_ || (batch_.clipped && register_clipped_[i / width])) {
                clipped_lines<A, whole_windows> lines{p,
                                                      batch_.member_rows,
                                                      batch_.taps,
                                                      batch_.pitch,
                                                      batch_.taps,
                                                      beside,
                                                      numbers<A>(number<A>(-1)),
                                                      numbers<A>(infinite<A>),
                                                      piecewise_ ? this : nullptr};
                numbers<A> n = all;
                numbers<A> inverse = by;
                if (piecewise_)
                    lines.columns_at_once = line_numbers / batch_.pitch;
                if (batch_.clipped) {
                    lines.first_member = numbers<A>::load_unaligned(first_member_ + i);
                    lines.end_member = numbers<A>::load_unaligned(end_member_ + i);
                    n = numbers<A>::load_unaligned(members_ + i) *
                        numbers<A>(static_cast<number<A>>(batch_.member_rows));
                    inverse = numbers<A>(number<A>(1)) / n;
                }
                run(listed_elements<A, clipped_lines<A, whole_windows>>{lines}, n, inverse, i);
            } else if (square) {
                const auto at = [&](int tap) TARN_LAMBDA { return numbers<A>::load_unaligned(p + tap * batch_.pitch); };
                const few_elements<A, 2, 2> e{{{at(0), at(1)}, {at(2), at(3)}}};
                if constexpr (reads_beside) {
                    const auto z = [&](int tap) TARN_LAMBDA {
                        return numbers<A>::load_unaligned(p + tap * batch_.pitch + beside);
                    };
                    run(few_pairs_of_elements<A, 2, 2>{e, {{z(0), z(1)}, {z(2), z(3)}}}, all, by, i);
                } else {
                    run(e, all, by, i);
                }
            } else {
                run(listed_elements<A, whole_lines<A>>{whole_lines<A>{p, batch_.member_rows, batch_.taps, batch_.pitch,
                                                                      batch_.taps, beside}},
                    all, by, i);
            }
        }
    }

    TARN_INLINE char* result_at(const planned_row& r, std::ptrdiff_t plane) const noexcept {
        const dispatch::plane_operand& y = c_.y;
        return static_cast<char*>(y.data) + (plane * y.across + r.depth * y.step[0] + r.height * y.step[1] +
                                             batch_.first * y.step[2] + batch_.first_lane) *
                                                detail::size_of(y.type);
    }
    // The results of a row, or its states.
    TARN_INLINE void put_row(const planned_row& r, std::ptrdiff_t plane, number<A>* from) const noexcept {
        if constexpr (fields == 1) {
            const dispatch::plane_operand& y = c_.y;
            char* const to = result_at(r, plane);
            if (batch_.lanes == 1 && unit_results_)
                store(from, batch_.outputs, reinterpret_cast<number<A>*>(to));
            else if (batch_.lanes == 1)
                convert<A>::narrow({{to, y.type, y.step[2], 0}, from, 0, 1, batch_.outputs});
            else
                convert<A>::narrow({{to, y.type, 1, y.step[2]}, from, batch_.lanes, batch_.outputs, batch_.lanes});
        } else {
            const dispatch::index_operand& state = c_.index;
            number<A>* const to = static_cast<number<A>*>(state.data) + state.first + plane * state.across +
                                  r.depth * state.step[0] + r.height * state.step[1] + batch_.first * state.step[2] +
                                  batch_.first_lane;
            const std::ptrdiff_t pieces = state.step[2] == batch_.lanes ? 1 : batch_.outputs;
            for (int f = 0; f < fields; ++f) {
                for (std::ptrdiff_t j = 0; j < pieces; ++j)
                    store(from + f * result_pitch + j * batch_.lanes, batch_.row_windows / pieces,
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
    window_batch batch_;
    window_loader<A> x_;
    std::conditional_t<reads_beside, window_loader<A>, no_loader> other_;
    std::ptrdiff_t most_member_rows_ = 1;
    std::ptrdiff_t rows_at_once_ = 0;
    std::ptrdiff_t first_row_ = 0;
    bool piecewise_ = false; // windows have more elements than the lines have room for
    bool unit_results_ = false;
    bool pairs_ = false;                         // two columns, in pairs of elements
    number<A> all_members_ = 0, one_by_all_ = 0; // of windows of the batch, but for those that are clipped

    bool register_clipped_[most_windows / width + 2];
    alignas(64) number<A> first_member_[result_pitch + width];
    alignas(64) number<A> end_member_[result_pitch + width];
    alignas(64) number<A> members_[result_pitch + width];
    alignas(64) number<A> line_[(reads_beside ? 2 : 1) * beside];
    alignas(64) number<A> result_[fields * result_pitch];
};

}}}} // namespace tarn::kernels
