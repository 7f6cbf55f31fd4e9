// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of small windows that may share elements. Columns are the same element of many lanes, or of many planes, side
// by side, so that no window lies across a register's end. Row by row windows are reduced, and add at once to the sums of
// their elements. The bits are those of window_adjoint.
#pragma once

#include <tarn/kernels/plane_columns.hpp>
#include <tarn/kernels/window_row_shares.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Shares> class window_overlaps {
public:
    using call = typename Shares::call;

    // Fewer planes leave so many lanes unused that window_adjoint is faster.
    TARN_INLINE static bool takes(const call& c) noexcept {
        const dispatch::window_planes& w = c.windows;
        const auto adjoining = [](const dispatch::window_axis& a) TARN_LAMBDA { return a.stride <= extent_of(a); };
        return w.axis[0].kernel == 1 && w.axis[1].kernel <= row_shares::most_rows && adjoining(w.axis[1]) &&
               adjoining(w.axis[2]) && (w.lanes > 1 || 3 * w.planes >= width) && tile::of(w).columns > 0;
    }
    TARN_NOINLINE static void run(const call& c) noexcept {
        window_overlaps overlaps(c);
        overlaps.run_planes();
    }

private:
    static constexpr auto width = static_cast<std::ptrdiff_t>(numbers<A>::size);
    // Registers of a buffer: of each of the numbers and sums of elements.
    static constexpr int buffers = (Shares::lifts ? Shares::elements : 1) + Shares::sums;
    static constexpr std::ptrdiff_t room = (buffers > 3   ? 36864 / buffers
                                            : buffers > 2 ? 10240
                                                          : 11776) /
                                           static_cast<std::ptrdiff_t>(sizeof(numbers<A>));
    static constexpr std::ptrdiff_t most_columns = room / 3;
    // Numbers of a strip, elements and sums.
    static constexpr std::ptrdiff_t cached_numbers = 262144 / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    using row_shares = window_row_shares<A, Shares, most_columns, room * width>;
    static constexpr bool reads = row_shares::reads;
    static constexpr int held_numbers = row_shares::held_numbers > 0 ? row_shares::held_numbers : 1;

    TARN_INLINE static std::ptrdiff_t extent_of(const dispatch::window_axis& a) noexcept {
        return (a.kernel - 1) * a.dilation + 1;
    }

    // Columns that give a tile, and registers of a column: as many as leave room for what lies beside the tile.
    struct tile {
        std::ptrdiff_t columns, registers;

        TARN_INLINE static tile of(const dispatch::window_planes& w) noexcept {
            const dispatch::window_axis& a = w.axis[2];
            const std::ptrdiff_t beside = 2 * (extent_of(a) - 1);
            const std::ptrdiff_t extent = extent_of(w.axis[1]);
            const std::ptrdiff_t rows = extent < w.axis[1].in ? extent : w.axis[1].in;
            for (std::ptrdiff_t registers = w.lanes > 3 * width ? 4
                                            : w.lanes > width   ? 2
                                                                : 1;
                 registers > 0; registers /= 2) {
                const std::ptrdiff_t fitting = room / (registers * rows);
                const std::ptrdiff_t most = most_columns / registers;
                const std::ptrdiff_t held = fitting < most ? fitting : most;
                if (a.in <= held && a.out <= held)
                    return {a.in, registers};
                const std::ptrdiff_t columns = held - beside;
                if (columns >= (registers > 1 ? 3 * beside : beside) && columns > 0)
                    return {w.lanes == 1 && held > width && columns > held % width ? columns - held % width : columns,
                            registers};
            }
            return {0, 1};
        }
    };

    TARN_INLINE explicit window_overlaps(const call& c) noexcept
        : c_(c), shares_(c), depth_(c.windows.axis[0]), height_(c.windows.axis[1]), columns_(c.windows.axis[2]),
          tile_(tile::of(c.windows)), pitch_(tile_.registers * width), by_lanes_(c.windows.lanes > 1),
          strip_(rows_of_strip(c)) {}

    TARN_INLINE void run_planes() noexcept {
        const dispatch::window_planes& w = c_.windows;
        for (plane_ = 0; plane_ < w.planes; plane_ += by_lanes_ ? 1 : width) {
            for (std::ptrdiff_t r = w.first_row; r < w.last_row;) {
                const std::ptrdiff_t d = quotient(r, height_.in);
                const std::ptrdiff_t h = r - d * height_.in;
                const std::ptrdiff_t some = w.last_row - r < height_.in - h ? w.last_row - r : height_.in - h;
                run_depth(d, h, h + some);
                r += some;
            }
        }
    }
    // Rows of windows that all lanes go through before the next: as many as leave their elements in a cache, if sums can
    // wait where they belong.
    TARN_INLINE static std::ptrdiff_t rows_of_strip(const call& c) noexcept {
        const dispatch::window_planes& w = c.windows;
        const auto direct = [](const dispatch::plane_operand& v)
                                TARN_LAMBDA { return v.type == element_traits<number<A>>::value; };
        if (w.lanes == 1 || !direct(c.dx) || Shares::finishes)
            return w.axis[1].out;
        const std::ptrdiff_t row = w.axis[2].in * w.lanes * 2;
        const std::ptrdiff_t rows = cached_numbers / row - extent_of(w.axis[1]);
        return rows > w.axis[1].stride ? rows / w.axis[1].stride : 1;
    }

    // Rows begin .. end - 1 at depth d.
    TARN_INLINE void run_depth(std::ptrdiff_t d, std::ptrdiff_t begin, std::ptrdiff_t end) noexcept {
        window_range rows = window_range::of(height_, begin, end - begin);
        const window_range depths = window_range::of(depth_, d, 1);
        depth_of_windows_ = depths.first;
        while (depth_of_windows_ < depths.end && tap_of(depth_, depth_of_windows_, d) < 0)
            ++depth_of_windows_;
        if (depth_of_windows_ == depths.end)
            rows.end = rows.first;
        depth_of_rows_ = d;
        begin_ = begun_ = begin;
        std::ptrdiff_t o = rows.first;
        do {
            row_ = o;
            row_end_ = rows.end - o < strip_ ? rows.end : o + strip_;
            needed_ = row_ < row_end_ ? end_of_row(row_end_ - 1) : begin;
            end_ = row_end_ == rows.end || needed_ > end ? end : needed_;
            next_row_end_ = rows.end - row_end_ < strip_ ? rows.end : row_end_ + strip_;
            run_strip();
            begun_ = end_;
            o = row_end_;
        } while (o < rows.end);
    }
    // Behind the elements that are members of a row of windows.
    TARN_INLINE std::ptrdiff_t end_of_row(std::ptrdiff_t o) const noexcept {
        const std::ptrdiff_t end = o * height_.stride - height_.before + extent_of(height_);
        return end < height_.in ? end : height_.in;
    }
    TARN_INLINE void run_strip() noexcept {
        const std::ptrdiff_t tiles = quotient(columns_.in + tile_.columns - 1, tile_.columns);
        const std::ptrdiff_t blocks = quotient(c_.windows.lanes + pitch_ - 1, pitch_);
        for (std::ptrdiff_t t = 0; t < tiles; ++t) {
            begin_tile(t * tile_.columns);
            for (std::ptrdiff_t b = 0; b < blocks; ++b) {
                const std::ptrdiff_t left = by_lanes_ ? c_.windows.lanes - b * pitch_ : c_.windows.planes - plane_;
                side_ = left < pitch_ ? left : pitch_;
                lane_ = 0;
                if (row_end_ < next_row_end_)
                    ask_for_next(t * blocks + b, tiles * blocks);
                lane_ = b * pitch_;
                run_rows();
            }
        }
    }
    TARN_INLINE void begin_tile(std::ptrdiff_t first) noexcept {
        first_ = first;
        outputs_ = columns_.in - first < tile_.columns ? columns_.in - first : tile_.columns;
        windows_ = window_range::of(columns_, first, outputs_);
        const std::ptrdiff_t begin = windows_.first * columns_.stride - columns_.before;
        const std::ptrdiff_t end = (windows_.end - 1) * columns_.stride - columns_.before + extent_of(columns_);
        held_ = begin < first && windows_.first < windows_.end ? (begin > 0 ? begin : 0) : first;
        const std::ptrdiff_t held_end = end > first + outputs_ ? end : first + outputs_;
        held_columns_ = (held_end < columns_.in ? held_end : columns_.in) - held_;
        slots_ = quotient(room, held_columns_ * tile_.registers);
        if (slots_ > height_.in)
            slots_ = height_.in;
        shares_.begin(windows_.first, windows_.end, held_, held_columns_);
    }
    // A part of what the next strip reads on its way into a cache.
    TARN_INLINE void ask_for_next(std::ptrdiff_t part, std::ptrdiff_t parts) const noexcept {
        const auto ask = [&](const dispatch::plane_operand& v, std::ptrdiff_t d, std::ptrdiff_t row, std::ptrdiff_t end,
                             std::ptrdiff_t columns) TARN_LAMBDA {
            const std::ptrdiff_t n = (end - row) * columns;
            const std::ptrdiff_t last = n * (part + 1) / parts;
            const std::ptrdiff_t bytes = c_.windows.lanes * detail::size_of(v.type);
            for (std::ptrdiff_t i = n * part / parts; i < last; ++i) {
                const char* const p = place(v, d, row + i / columns, i % columns);
                for (std::ptrdiff_t k = 0; k < bytes; k += 64)
                    simd::prefetch_far<A>(reinterpret_cast<const number<A>*>(p + k));
            }
        };
        const std::ptrdiff_t needed = end_of_row(next_row_end_ - 1);
        if constexpr (reads)
            ask(c_.windows.x, depth_of_rows_, needed_, needed, columns_.in);
        ask(c_.dx, depth_of_rows_, needed_, needed, columns_.in);
        ask(c_.dy, depth_of_windows_, row_end_, next_row_end_, columns_.out);
    }

    // The rows of a strip. Those that windows have as members are held, in a ring of slots, until no window follows.
    TARN_INLINE void run_rows() noexcept {
        const std::ptrdiff_t above = row_ * height_.stride - height_.before;
        const std::ptrdiff_t first = row_ < row_end_ ? (above > 0 ? above : 0) : begin_;
        loaded_ = ring_ = first < begun_ ? first : begun_;
        put_ = loaded_ > begin_ ? loaded_ : begin_;
        for (std::ptrdiff_t o = row_; o < row_end_; ++o)
            run_windows(o);
        while (put_ < end_) {
            hold(put_, put_ + 1);
            put(loaded_);
        }
    }
    TARN_INLINE void run_windows(std::ptrdiff_t o) noexcept {
        const window_taps taps = window_taps::of(height_, o);
        if (taps.count == 0)
            return;
        const std::ptrdiff_t first = taps.start + taps.first * height_.dilation;
        hold(taps.start > 0 ? taps.start : 0, first + (taps.count - 1) * height_.dilation + 1);
        load(c_.dy, depth_of_windows_, o, 1, windows_.first, windows_.end - windows_.first, dy_);
        shares_.prepare(depth_of_windows_, o);
        const dispatch::plane_operand& x = c_.windows.x;
        const bool in_place = reads_in_place();
        for (std::ptrdiff_t lane = 0; lane < side_; lane += width) {
            typename row_shares::places at;
            for (std::ptrdiff_t k = 0; k < taps.count; ++k) {
                const std::ptrdiff_t row = first + k * height_.dilation;
                const std::ptrdiff_t slot = slot_of(row) + lane;
                if constexpr (reads)
                    at.x[k] = in_place ? reinterpret_cast<const number<A>*>(place(x, depth_of_rows_, row, held_)) + lane
                                       : x_[0] + slot;
                at.sum[k] = sum_[0] + slot;
            }
            at.dy = dy_ + lane;
            at.pitch = pitch_;
            at.x_pitch = in_place ? x.step[2] : pitch_;
            shares_.run(taps, at);
        }
    }
    // Whether elements are read where they are, whole registers of lanes.
    TARN_INLINE bool reads_in_place() const noexcept {
        return !Shares::lifts && !Shares::finishes && by_lanes_ && side_ % width == 0 &&
               c_.windows.x.type == element_traits<number<A>>::value;
    }
    TARN_INLINE std::ptrdiff_t slot_number(std::ptrdiff_t row) const noexcept {
        const std::ptrdiff_t i = row - ring_;
        return i < slots_ ? i : i - slots_;
    }
    TARN_INLINE std::ptrdiff_t slot_of(std::ptrdiff_t row) const noexcept {
        return slot_number(row) * held_columns_ * pitch_;
    }
    // Rows up to `end` are held; those before `first` may leave.
    TARN_INLINE void hold(std::ptrdiff_t first, std::ptrdiff_t end) noexcept {
        if (end <= loaded_)
            return;
        put(first);
        while (first >= ring_ + slots_)
            ring_ += slots_;
        const std::ptrdiff_t fitting = first + slots_ < height_.in ? first + slots_ : height_.in;
        const std::ptrdiff_t wanted = needed_ > end ? needed_ : end;
        const std::ptrdiff_t last = fitting < wanted ? fitting : wanted;
        while (loaded_ < last) {
            const std::ptrdiff_t slot = slot_number(loaded_);
            const std::ptrdiff_t some = last - loaded_ < slots_ - slot ? last - loaded_ : slots_ - slot;
            const std::ptrdiff_t at = slot_of(loaded_);
            // Of the rows that are wanted, the first may have sums from other strips.
            const bool begun = loaded_ >= begin_ && loaded_ < begun_;
            const std::ptrdiff_t change = loaded_ < begin_ ? begin_ : begun ? begun_ : last;
            const std::ptrdiff_t few = change - loaded_ < some ? change - loaded_ : some;
            const std::ptrdiff_t n = few * held_columns_ * pitch_;
            if (begun) {
                load(c_.dx, depth_of_rows_, loaded_, few, held_, held_columns_, sum_[0] + at);
            } else {
                for (std::ptrdiff_t i = 0; i < n; i += width) {
                    for (auto& sum : sum_)
                        numbers<A>(number<A>(0)).store_aligned(sum + at + i);
                }
            }
            if (reads && !reads_in_place())
                load(c_.windows.x, depth_of_rows_, loaded_, few, held_, held_columns_, x_[held_numbers - 1] + at);
            if constexpr (Shares::lifts)
                shares_.lift(x_[0] + at, n);
            loaded_ += few;
        }
    }
    // The sums of rows before `end` to where they belong.
    TARN_INLINE void put(std::ptrdiff_t end) noexcept {
        const std::ptrdiff_t last = end < end_ ? end : end_;
        while (put_ < last) {
            const std::ptrdiff_t slot = slot_number(put_);
            const std::ptrdiff_t some = last - put_ < slots_ - slot ? last - put_ : slots_ - slot;
            const std::ptrdiff_t at = slot_of(put_);
            if constexpr (Shares::finishes)
                shares_.finish(x_[0] + at, sum_[0] + at, some * held_columns_ * pitch_);
            store(some, sum_[0] + at + (first_ - held_) * pitch_);
            put_ += some;
        }
    }

    // Rows of an operand, `columns` from `first` on, to registers one behind the other.
    TARN_INLINE void load(const dispatch::plane_operand& v, std::ptrdiff_t d, std::ptrdiff_t row, std::ptrdiff_t rows,
                          std::ptrdiff_t first, std::ptrdiff_t columns, number<A>* to) noexcept {
        if (by_lanes_) {
            for (std::ptrdiff_t k = 0; k < rows; ++k, to += columns * pitch_) {
                // The last lanes of a column may belong to nothing.
                for (std::ptrdiff_t i = 0; side_ < pitch_ && i < columns * pitch_; i += width)
                    numbers<A>(number<A>(0)).store_aligned(to + i);
                convert<A>::widen({{place(v, d, row + k, first), v.type, 1, v.step[2]}, to, pitch_, columns, side_});
            }
            return;
        }
        const bool joined = v.step[1] == columns * v.step[2];
        const std::ptrdiff_t runs = joined ? 1 : rows;
        const std::ptrdiff_t length = joined ? rows * columns : columns;
        for (std::ptrdiff_t k = 0; k < runs; ++k, to += columns * width)
            planes_.load(place(v, d, row + k, first), v, side_, length, to);
    }
    // The sums of rows from put_ on to where they belong.
    TARN_INLINE void store(std::ptrdiff_t rows, number<A>* sums) noexcept {
        const dispatch::plane_operand& dx = c_.dx;
        const auto to = [&](std::ptrdiff_t k) TARN_LAMBDA { return place(dx, depth_of_rows_, put_ + k, first_); };
        if (by_lanes_) {
            for (std::ptrdiff_t k = 0; k < rows; ++k, sums += held_columns_ * pitch_)
                convert<A>::narrow({{to(k), dx.type, 1, dx.step[2]}, sums, pitch_, outputs_, side_});
            return;
        }
        const bool joined = outputs_ == held_columns_ && dx.step[1] == outputs_ * dx.step[2];
        const std::ptrdiff_t runs = joined ? 1 : rows;
        const std::ptrdiff_t length = joined ? rows * outputs_ : outputs_;
        for (std::ptrdiff_t k = 0; k < runs; ++k, sums += held_columns_ * width)
            planes_.store(to(k), dx, side_, length, sums);
    }
    TARN_INLINE char* place(const dispatch::plane_operand& v, std::ptrdiff_t d, std::ptrdiff_t row,
                            std::ptrdiff_t column) const noexcept {
        return static_cast<char*>(v.data) +
               (plane_ * v.across + lane_ + d * v.step[0] + row * v.step[1] + column * v.step[2]) *
                   detail::size_of(v.type);
    }

    const call& c_;
    row_shares shares_;
    const dispatch::window_axis &depth_, &height_, &columns_;
    const tile tile_;
    const std::ptrdiff_t pitch_; // from column to column
    const bool by_lanes_;        // else by planes
    const std::ptrdiff_t strip_;
    std::ptrdiff_t plane_ = 0, lane_ = 0, side_ = 0; // the first of side_ planes, or lanes
    // The tile: columns first_ .. first_ + outputs_ - 1, and those held, which windows_ have as members.
    std::ptrdiff_t first_ = 0, outputs_ = 0, held_ = 0, held_columns_ = 0;
    window_range windows_ = {0, 0};
    // The strip: rows row_ .. row_end_ - 1 of windows, whose members end before needed_; next_row_end_ of the next.
    std::ptrdiff_t depth_of_windows_ = 0, row_ = 0, row_end_ = 0, next_row_end_ = 0, needed_ = 0;
    // Rows begin_ .. end_ - 1 are wanted, those before begun_ have sums from other strips. Rows before put_ have left,
    // those before loaded_ have come.
    std::ptrdiff_t depth_of_rows_ = 0, begin_ = 0, end_ = 0, begun_ = 0, put_ = 0, loaded_ = 0;
    std::ptrdiff_t slots_ = 1, ring_ = 0; // rows from ring_ on are in slots 0, 1, ...
    plane_columns<A> planes_;
    alignas(64) number<A> x_[held_numbers][reads ? room * width : 1];
    alignas(64) number<A> sum_[Shares::sums][room * width];
    alignas(64) number<A> dy_[most_columns * width];
};

}}}} // namespace tarn::kernels
