// SPDX-License-Identifier: BSD-3-Clause
//
// Windows over planes, reduced in two steps: the rows of an output row, element by element, into a line; then the
// columns of each window along the line. A column is one element, or several lanes side by side (channels). Whatever
// the layout, a window is reduced over its rows first, then over its columns, so its bits are the same.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/window_columns.hpp>
#include <tarn/kernels/window_gathered.hpp>
#include <tarn/kernels/window_kept.hpp>
#include <tarn/kernels/window_lane_threes.hpp>
#include <tarn/kernels/window_rows.hpp>
#include <tarn/kernels/window_threes.hpp>
#include <tarn/kernels/windows_apart.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction, own_loops Own = usual_loops<A, Reduction>> class window_lines {
public:
    TARN_NOINLINE static void run(const dispatch::window_planes& c) noexcept {
        window_lines windows(c);
        windows.run_lanes();
    }

private:
    template <class R> static constexpr own_loops own_of = R::seldom ? own_loops::none : Own;
    template <class R> using rows_of = window_rows<A, R, own_of<R>>;
    template <class R> using columns_of = window_columns<A, R, own_of<R>>;
    template <class R> using apart_of = windows_apart<A, R, own_of<R>>;
    using combiner = window_combiner<A, Reduction>;
    using lane_threes = window_lane_threes<A, Reduction>;
    using state = typename combiner::state;
    using cells = typename state::cells;
    using sum = typename state::number;
    static constexpr int fields = Reduction::fields;
    static constexpr int width = combiner::width;
    template <int Bytes>
    static constexpr std::ptrdiff_t numbers_in = Bytes / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    static constexpr bool looks = !std::is_void<typename Reduction::looks_for>::value;
    static constexpr bool guesses = !std::is_void<typename Reduction::guess>::value;
    // What is at work at once stays in L1. Of many fields most are for elements that are rarely seen. Gradients, which have
    // buffers of their own, have no loops of their own here.
    static constexpr bool is_wide = sizeof(sum) > sizeof(number<A>);
    static constexpr std::ptrdiff_t line_bytes = (fields > 4 ? 23552
                                                  : is_wide  ? 12288
                                                             : 16384) -
                                                 (Own == own_loops::none ? 4096 : 0);
    static constexpr std::ptrdiff_t line_numbers = line_bytes / static_cast<std::ptrdiff_t>(sizeof(sum));
    static constexpr std::ptrdiff_t converted_numbers = numbers_in<6144>;
    static constexpr std::ptrdiff_t lifted_numbers =
        (fields > 4 ? 9216 : 8192) / static_cast<std::ptrdiff_t>(sizeof(sum));
    static constexpr std::ptrdiff_t result_numbers = numbers_in<(Reduction::kept > 1 || is_wide ? 1024 : 2048)>;
    static constexpr std::ptrdiff_t kept_pitch = result_numbers + width;
    static constexpr std::ptrdiff_t most_lanes = numbers_in<1024>;
    // For fewer lanes of windows of few members lines cost less than loops.
    static constexpr std::ptrdiff_t least_lanes_apart = fields > 1 ? numbers_in<64> + 1 : (is_wide ? 2 : 8) * width;
    static constexpr bool has_all = own_of<Reduction> == own_loops::all;
    static constexpr bool has_pairs = Own != own_loops::none;
    static constexpr bool may_be_lane_threes = has_all && Reduction::kept == 0;
    // Registers that are not full cost less than to gather full ones, if at least half is used; but AVX2 loads parts of
    // registers slowly from where nothing has looked before.
    static constexpr std::ptrdiff_t least_outputs =
        (looks && !Reduction::looks_at_lines) || sizeof(numbers<A>) == 64 ? width / 2 + 1 : width;
    static constexpr std::ptrdiff_t most_rows = Reduction::counts || Reduction::kept > 1 ? 64 : 128;

    TARN_INLINE explicit window_lines(const dispatch::window_planes& c) noexcept
        : c_(c), reduction_(kernels::reduction_of<Reduction>(c)), columns_(c.axis[2]),
          reach_((columns_.kernel - 1) * columns_.dilation + 1) {
        step_ = {{c.axis[0].dilation * c.x.step[0], c.axis[1].dilation * c.x.step[1]}, c.axis[1].kernel};
    }

    TARN_INLINE void run_lanes() noexcept {
        const bool share_nothing = (columns_.kernel <= columns_.stride || columns_.out == 1) && Reduction::kept == 0 &&
                                   same_type(c_.x) && same_type(c_.y);
        for (first_lane_ = 0; first_lane_ < c_.lanes; first_lane_ += lanes_) {
            const std::ptrdiff_t left = c_.lanes - first_lane_;
            apart_ = share_nothing && left >= (few_members() ? least_lanes_apart : width);
            lanes_ = apart_ || left < most_lanes ? left : most_lanes;
            lane_threes_ = lanes_ >= width && are_lane_threes() && lane_threes::room(lanes_) <= line_numbers;
            wide_ = !apart_ && !lane_threes_ && reach_ > line_room(1);
            choose_lanes();
            const std::ptrdiff_t tile = outputs_at_once();
            for (first_ = c_.first_column; first_ < c_.last_column; first_ += outputs_) {
                outputs_ = c_.last_column - first_ < tile ? c_.last_column - first_ : tile;
                begin_tile();
                run_planes();
            }
        }
    }
    // Windows of three columns that share some, in few rows, of planes without depth.
    TARN_INLINE bool are_lane_threes() const noexcept {
        const dispatch::window_axis& depth = c_.axis[0];
        return may_be_lane_threes && columns_.kernel == 3 && columns_.stride <= 2 && columns_.dilation == 1 &&
               depth.kernel == 1 && depth.in == 1 && depth.out == 1 && c_.axis[1].kernel <= lane_threes::most_rows &&
               same_type(c_.x) && same_type(c_.y);
    }
    TARN_INLINE static bool same_type(const dispatch::plane_operand& v) noexcept {
        return v.type == element_traits<number<A>>::value;
    }
    TARN_INLINE void choose_lanes() noexcept {
        if (apart_ || lane_threes_)
            return;
        if (wide_) {
            lanes_ = 1;
            return;
        }
        while (reach_ * lanes_ > line_room(lanes_))
            lanes_ = (lanes_ + 1) / 2;
        // Columns that tiles share are lifted for each of them.
        const std::ptrdiff_t wanted = Reduction::lifts_once && columns_.kernel > columns_.stride ? 8 : 0;
        while (wanted > 0 && lanes_ >= 4 * width && (reach_ + wanted * columns_.stride) * lanes_ > line_room(lanes_))
            lanes_ = (lanes_ + 1) / 2;
    }
    // Numbers behind a line that the last register of its outputs loads as well.
    std::ptrdiff_t slack(std::ptrdiff_t lanes) const noexcept {
        return (lanes == 1 ? columns_.stride : 1) * width + width;
    }
    // Numbers of a field that a line may have; what is converted has to find room as well.
    std::ptrdiff_t line_room(std::ptrdiff_t lanes) const noexcept {
        const std::ptrdiff_t room = line_numbers / fields - slack(lanes);
        const bool converted = !same_type(c_.x) || (c_.lanes == 1 && c_.x.step[2] != 1);
        return converted && room > converted_numbers ? converted_numbers : room;
    }
    std::ptrdiff_t outputs_at_once() const noexcept {
        if (wide_)
            return 1;
        if (apart_ || lane_threes_)
            return result_numbers;
        const std::ptrdiff_t columns = line_room(lanes_) / lanes_;
        const std::ptrdiff_t by_lines = (columns - reach_) / columns_.stride + 1;
        const bool direct = Reduction::kept == 0 && same_type(c_.y) && lanes_ >= width;
        const std::ptrdiff_t by_results = direct ? result_numbers : result_numbers / lanes_;
        return by_lines < by_results ? by_lines : by_results;
    }

    // Whether the elements of a block are looked through before it is reduced.
    TARN_INLINE bool looks_now() const noexcept {
        if constexpr (looks)
            return (unit_ || Reduction::looks_at_stored) &&
                   (!Reduction::looks_at_lines || (lanes_ == 1 && !few_ && columns_.kernel > columns_.stride));
        else
            return false;
    }
    // Rows of windows whose elements are still in a cache when they have been looked through.
    std::ptrdiff_t rows_in_cache() const noexcept {
        const std::ptrdiff_t rows = numbers_in<262144> / ((inside_end_ - inside_begin_ + 1) * lanes_ * columns_.stride);
        return !looks_now() ? most_rows : rows > 0 ? rows : 1;
    }
    TARN_INLINE bool few_taps() const noexcept {
        constexpr std::ptrdiff_t most = window_gathered<A, Reduction>::most_taps;
        return has_all && taps_.depth <= most && taps_.height <= most && taps_.width <= most && taps_.count() <= most;
    }

    // What all rows of a tile of output columns have in common.
    TARN_INLINE void begin_tile() noexcept {
        const std::ptrdiff_t results = outputs_ * lanes_;
        begin_ = first_ * columns_.stride - columns_.before;
        const std::ptrdiff_t end = begin_ + (outputs_ - 1) * columns_.stride + reach_;
        inside_begin_ = begin_ > 0 ? begin_ : 0;
        inside_end_ = end < columns_.in ? end : columns_.in;
        const bool single = inside_end_ - inside_begin_ == 1;
        unit_ = same_type(c_.x) && (single || (c_.lanes > 1 ? lanes_ > 1 : c_.x.step[2] == 1));
        packed_ = lanes_ == 1 || c_.x.step[2] == lanes_;
        // One loop runs through all results of a row, or one through the lanes of each.
        const bool flat = lanes_ == 1 || (!Reduction::counts && c_.y.step[2] == lanes_ && columns_.stride == 1);
        const bool y_unit = lanes_ > 1 || columns_.out == 1 || c_.y.step[2] == 1;
        const std::ptrdiff_t row = outputs_ == columns_.out ? results : 0;
        const bool dense = flat && y_unit && (c_.axis[1].out == 1 || c_.y.step[1] == row) &&
                           (c_.axis[0].out == 1 || c_.y.step[0] == row * c_.axis[1].out);
        direct_ =
            Reduction::kept == 0 && same_type(c_.y) && y_unit && (flat ? results >= width || dense : lanes_ >= width);
        scales_.begin(columns_, first_, outputs_, c_.divisor);
        if (wide_)
            return;
        // Rows of a register or less: lines one behind the other, so that one loop runs through all of them.
        short_ = has_all && lanes_ == 1 && unit_ && inside_end_ > inside_begin_ &&
                 inside_end_ - inside_begin_ <= width && outputs_ <= width && columns_.stride <= 2 && direct_ &&
                 fields == 1 && std::is_same<sum, number<A>>::value;
        pairs_ = has_pairs && lanes_ == 1 && unit_ && direct_ && begin_ == inside_begin_ && end == inside_end_ &&
                 columns_.kernel == 2 && columns_.stride == 2 && columns_.dilation == 1;
        threes_ = has_all && lanes_ == 1 && unit_ && direct_ && columns_.kernel == 3 && columns_.stride == 1 &&
                  columns_.dilation == 1 && inside_end_ - inside_begin_ >= width && inside_begin_ - begin_ <= 1;

        const std::ptrdiff_t plane_rows = c_.last_row - c_.first_row;
        taps_ = {c_.axis[0].kernel, c_.axis[1].kernel, columns_.kernel, {step_.x[0], step_.x[1], columns_.dilation}};
        // No window of a plane is cut off, and all results are one row. Taps are gathered one by one, which takes longer
        // than lines of whole rows.
        few_ = lanes_ == 1 && unit_ && direct_ && outputs_ < least_outputs && few_taps() && !short_ &&
               are_whole(c_.axis[0]) && are_whole(c_.axis[1]) && are_whole(columns_) && dense &&
               (c_.planes == 1 || c_.y.across == plane_rows * row);

        const std::ptrdiff_t pitch = (end - begin_) * lanes_ + (short_ ? 0 : slack(lanes_));
        rows_at_once_ = apart_ || lane_threes_ ? rows_in_cache()
                        : few_                 ? (converted_numbers / taps_.count() - width) / outputs_
                                               : line_numbers / (fields * pitch);
        if (short_ && rows_at_once_ > converted_numbers / pitch)
            rows_at_once_ = converted_numbers / pitch;
        if (!direct_ && rows_at_once_ > result_numbers / results)
            rows_at_once_ = result_numbers / results;
        if (rows_at_once_ > most_rows)
            rows_at_once_ = most_rows;
        const std::ptrdiff_t inside = inside_end_ - inside_begin_;
        block_.step = step_;
        block_.pieces = packed_ ? 1 : inside;
        block_.piece = packed_ ? inside * lanes_ : lanes_;
        block_.piece_step = c_.x.step[2];
        block_.line = line_;
        block_.begin = (inside_begin_ - begin_) * lanes_;
        block_.pitch = pitch;
        block_.line_pitch = fields * pitch;
        // A single window has no other beside it.
        block_.windows = {columns_.kernel, columns_.dilation * lanes_,
                          lanes_ == 1 && outputs_ > 1 ? columns_.stride : 1};
        block_.groups = flat ? 1 : outputs_;
        block_.group = flat ? results : lanes_;
        block_.one_scale = lanes_ > 1;
        block_.group_step = direct_ ? c_.y.step[2] : lanes_;
        block_.group_windows = columns_.stride * lanes_;
        block_.in_place = direct_;
        block_.kept = kept_;
        block_.kept_pitch = kept_pitch;
        block_.adjoining = short_;
        block_.between = converted_;
        dense_ = dense;
        planes_at_once_ = direct_ && plane_rows < rows_at_once_ ? rows_at_once_ / plane_rows : 1;
        if (planes_at_once_ > c_.planes)
            planes_at_once_ = c_.planes;
        if (c_.y.across != plane_rows * row && planes_at_once_ > 1)
            dense_ = false;
        margins_ = 0;
    }
    // Rows write what lies inside; the rest, and what is behind it, has no members. Reductions of as many fields have the
    // same there.
    template <class R> TARN_INLINE void fill_margins(const rows_of<R>& of) noexcept {
        if (margins_ == R::fields)
            return;
        margins_ = R::fields;
        const std::ptrdiff_t pitch = block_.pitch;
        const std::ptrdiff_t wanted = (c_.last_row - c_.first_row) * planes_at_once_;
        const std::ptrdiff_t lines = wanted < rows_at_once_ ? wanted : rows_at_once_;
        const std::ptrdiff_t behind = (inside_end_ - begin_) * lanes_;
        for (std::ptrdiff_t r = 0; r < lines; ++r) {
            sum* const line = line_ + r * block_.line_pitch;
            of.fill(line, block_.begin, pitch);
            of.fill(line + behind, pitch - behind, pitch);
        }
        if (short_)
            of.fill(line_ + lines * pitch, slack(1), pitch);
    }

    TARN_INLINE void run_planes() noexcept {
        const std::ptrdiff_t rows = c_.last_row - c_.first_row;
        const bool planned = rows <= most_rows;
        if (planned)
            plan(c_.first_row, rows);
        if (!wide_ && planes_at_once_ > 1) {
            run_several_planes(rows);
            return;
        }
        for (std::ptrdiff_t p = 0; p < c_.planes; ++p) {
            plane_ = p;
            x_ = static_cast<char*>(c_.x.data) + (p * c_.x.across + first_lane_) * detail::size_of(c_.x.type);
            y_ = static_cast<char*>(c_.y.data) + (p * c_.y.across + first_lane_) * detail::size_of(c_.y.type);
            const std::ptrdiff_t step = wide_ ? 1 : rows_at_once_;
            for (std::ptrdiff_t r = 0; r < rows; r += step) {
                const std::ptrdiff_t some = rows - r < step ? rows - r : step;
                first_row_ = c_.first_row + r;
                if (!planned)
                    plan(first_row_, some);
                if (wide_)
                    run_wide(row_[planned ? r : 0]);
                else
                    run_block(row_ + (planned ? r : 0), some, 1);
            }
        }
    }
    // Small planes: rows of one behind those of the other.
    TARN_INLINE void run_several_planes(std::ptrdiff_t rows) noexcept {
        for (std::ptrdiff_t k = rows; k < rows * planes_at_once_; ++k) {
            row_[k] = row_[k - rows];
            row_[k].x += c_.x.across;
            row_[k].y += c_.y.across;
        }
        first_row_ = c_.first_row;
        for (std::ptrdiff_t p = 0; p < c_.planes; p += planes_at_once_) {
            const std::ptrdiff_t planes = c_.planes - p < planes_at_once_ ? c_.planes - p : planes_at_once_;
            x_ = static_cast<char*>(c_.x.data) + (p * c_.x.across + first_lane_) * detail::size_of(c_.x.type);
            y_ = static_cast<char*>(c_.y.data) + (p * c_.y.across + first_lane_) * detail::size_of(c_.y.type);
            run_block(row_, rows, planes);
        }
    }
    TARN_NOINLINE void plan(std::ptrdiff_t first, std::ptrdiff_t rows) noexcept {
        const dispatch::window_axis& depth = c_.axis[0];
        const dispatch::window_axis& height = c_.axis[1];
        for (std::ptrdiff_t k = 0; k < rows; ++k) {
            const std::ptrdiff_t i = quotient(first + k, height.out);
            const std::ptrdiff_t j = first + k - i * height.out;
            const window_taps d = window_taps::of(depth, i);
            const window_taps h = window_taps::of(height, j);
            window_row& r = row_[k];
            r.x = (d.start + d.first * depth.dilation) * c_.x.step[0] +
                  (h.start + h.first * height.dilation) * c_.x.step[1];
            r.y = i * c_.y.step[0] + j * c_.y.step[1] + first_ * c_.y.step[2];
            r.tap = d.first * height.kernel + h.first;
            r.row = h.start + h.first * height.dilation;
            // None of one is none at all.
            r.count[0] = h.count == 0 ? 0 : d.count;
            r.count[1] = h.count;
            r.counted = Reduction::counts ? window_taps::counted(depth, i, c_.divisor.count_padding) *
                                                window_taps::counted(height, j, c_.divisor.count_padding)
                                          : 0;
        }
    }

    // The same rows of some planes.
    TARN_INLINE void run_block(const window_row* row, std::ptrdiff_t rows, std::ptrdiff_t planes) noexcept {
        block_.row = row;
        block_.rows = rows * planes;
        block_.x = reinterpret_cast<const number<A>*>(x_) + inside_begin_ * c_.x.step[2];
        block_.end = dense_planes() ? static_cast<const number<A>*>(c_.x.data) + c_.planes * c_.x.across : nullptr;
        block_.y = direct_ ? reinterpret_cast<number<A>*>(y_) : result_;
        block_.room = direct_ ? (dense_ ? block_.rows * block_.group : 0) : result_numbers + width;
        if constexpr (guesses) {
            if (!guess_block())
                run_looking(rows, planes);
        } else if constexpr (looks) {
            if (looks_now())
                run_looking(rows, planes);
            else
                run_loops(reduction_);
        } else {
            run_loops(reduction_);
        }
        if (!direct_)
            put_results(row, rows);
    }
    TARN_INLINE void run_looking(std::ptrdiff_t rows, std::ptrdiff_t planes) noexcept {
        typename Reduction::looks_for seen;
        look(rows, planes, seen);
        reduction_.pick(seen, [&](const auto& picked) TARN_LAMBDA {
            guess_ = std::is_same<std::decay_t<decltype(picked)>, typename Reduction::guess>::value;
            run_loops(picked);
        });
    }
    // Windows apart by the first guess, which looks at their elements on the way; whether it was right. It is not taken
    // again before others that were looked through were for it.
    TARN_INLINE bool guess_block() noexcept {
        const auto& guess = reduction_.first_guess();
        typename Reduction::looks_for seen;
        if (!guess_ || few_ || !few_members() || !run_apart(guess, seen))
            return false;
        guess_ = guess.takes(seen);
        return guess_;
    }
    TARN_INLINE bool few_members() const noexcept {
        constexpr std::ptrdiff_t few = apart_of<Reduction>::few_rows;
        return c_.axis[0].kernel * c_.axis[1].kernel <= few && columns_.kernel <= few;
    }
    // Windows that share no column; whether they are such.
    template <class R, class Look> TARN_INLINE bool run_apart(const R& reduction, Look& seen) noexcept {
        if constexpr (has_pairs) {
            if (pairs_) {
                apart_of<R>(reduction).reduce_pairs(block_, scales_, seen);
                return true;
            }
        }
        if (apart_) {
            const windows_of_lanes<A, sum> windows{reinterpret_cast<const number<A>*>(x_),
                                                   block_.y,
                                                   columns_,
                                                   first_,
                                                   outputs_,
                                                   lanes_,
                                                   c_.x.step[2],
                                                   c_.y.step[2],
                                                   step_,
                                                   c_.ahead,
                                                   line_,
                                                   line_numbers / fields};
            for (std::ptrdiff_t k = 0; k < block_.rows; ++k)
                apart_of<R>(reduction).reduce_row(windows, block_.row[k], scales_, seen);
        }
        return apart_;
    }
    template <class R> TARN_INLINE void run_loops(const R& reduction) noexcept {
        const rows_of<R> of(reduction);
        // What was picked is not for elements that were not looked at.
        constexpr bool any_shape = std::is_same<R, Reduction>::value || !Reduction::looks_at_lines;
        if constexpr (has_all && any_shape && R::kept == 0) {
            using gathered = window_gathered<A, R>;
            if (few_) {
                gathered::run(of.states, block_, taps_, converted_, scales_);
                return;
            }
        }
        if constexpr (any_shape) {
            // One copy of the loops of what is guessed.
            std::conditional_t<std::is_same<R, typename Reduction::guess>::value, typename Reduction::looks_for,
                               no_look>
                seen;
            if (run_apart(reduction, seen))
                return;
        }
        if constexpr (may_be_lane_threes && any_shape) {
            if (lane_threes_) {
                window_lane_threes<A, R>::run(of.states, block_,
                                              {lanes_, inside_begin_ - begin_, inside_end_ - begin_, c_.x.step[2],
                                               columns_.stride, outputs_, c_.y.step[2]},
                                              scales_);
                return;
            }
        }
        if constexpr (rows_of<R>::has_all && R::kept == 0) {
            if (threes_ && run_threes(of))
                return;
        }
        fill_margins(of);
        if (unit_ && inside_end_ > inside_begin_) {
            bool lifted = false;
            if constexpr (R::lifts_once)
                lifted = run_lifted(of);
            if (!lifted)
                of.reduce_rows(block_);
        } else {
            for (std::ptrdiff_t k = 0; k < block_.rows; ++k)
                reduce_stored(of, block_.row[k], inside_begin_, inside_end_ - inside_begin_,
                              line_ + k * block_.line_pitch + block_.begin, block_.pitch);
        }
        columns_of<R>(reduction).reduce_columns(block_, scales_);
    }
    // Rows of overlapping windows are lifted once, if there is room: f(where, from row to row, the first row of them).
    template <class R, class F> TARN_INLINE bool with_lifted(const rows_of<R>& of, F f) noexcept {
        const dispatch::window_axis& height = c_.axis[1];
        const std::ptrdiff_t n = block_.piece;
        const std::ptrdiff_t last = first_row_ + block_.rows - 1;
        if (block_.pieces > 1 || n < width || planes_at_once_ > 1 || c_.axis[0].kernel > 1 ||
            height.kernel <= height.stride || quotient(first_row_, height.out) != quotient(last, height.out))
            return false;
        const std::ptrdiff_t pitch = (n / width + 1) * width;
        // With dilation the first window need not have the first row, nor the last one the last.
        std::ptrdiff_t first = height.in;
        std::ptrdiff_t end = 0;
        for (const window_row* r = block_.row; r < block_.row + block_.rows; ++r) {
            const std::ptrdiff_t behind = r->row + (r->count[1] - 1) * height.dilation + 1;
            if (r->count[0] > 0) {
                first = r->row < first ? r->row : first;
                end = behind > end ? behind : end;
            }
        }
        if ((end - first) * R::fields * pitch > lifted_numbers)
            return false;
        const number<A>* const plane = block_.x + quotient(first_row_, height.out) * c_.axis[0].stride * c_.x.step[0];
        of.lift_rows(plane + first * c_.x.step[1], c_.x.step[1], end - first, n, lifted_, pitch);
        f(pitch, first);
        return true;
    }
    template <class R> TARN_INLINE bool run_lifted(const rows_of<R>& of) noexcept {
        return with_lifted(of, [&](std::ptrdiff_t pitch, std::ptrdiff_t first) TARN_LAMBDA {
            of.combine_rows(block_, lifted_, pitch, first, c_.axis[1].dilation);
        });
    }
    template <class R> TARN_INLINE bool run_threes(const rows_of<R>& of) noexcept {
        using threes = window_threes<A, R>;
        const std::ptrdiff_t before = inside_begin_ - begin_;
        if constexpr (R::lifts_once) {
            return with_lifted(of, [&](std::ptrdiff_t pitch, std::ptrdiff_t first) TARN_LAMBDA {
                threes::of_lifted(of.states, block_, before, scales_, lifted_, pitch, first, c_.axis[1].dilation);
            });
        } else {
            if (c_.axis[0].kernel > 1 || c_.axis[1].kernel > threes::most_rows)
                return false;
            threes::of_elements(of.states, block_, before, scales_);
            return true;
        }
    }
    // Whether rows that are read where they are lie one behind the other, with nothing but elements between them.
    TARN_INLINE bool dense_rows() const noexcept { return unit_ && packed_ && c_.x.step[1] == columns_.in * lanes_; }
    // And so do planes.
    TARN_INLINE bool dense_planes() const noexcept {
        return dense_rows() && c_.axis[0].in == 1 && c_.x.across == c_.axis[1].in * c_.x.step[1];
    }
    // Looks through the elements of a block: all rows between the first and the last.
    template <class Look> TARN_INLINE void look(std::ptrdiff_t rows, std::ptrdiff_t planes, Look& seen) noexcept {
        // Whole planes one behind the other are one row. What lies between the windows is looked at as well.
        if (planes > 1 && dense_planes()) {
            kernels::look_through<A>(block_.x,
                                     (planes * c_.axis[1].in - 1) * c_.x.step[1] + block_.pieces * block_.piece, seen);
            return;
        }
        for (std::ptrdiff_t p = 0; p < planes; ++p)
            look_through_plane(rows, p * c_.x.across, seen);
    }
    template <class Look>
    TARN_INLINE void look_through_plane(std::ptrdiff_t rows, std::ptrdiff_t plane, Look& seen) noexcept {
        const dispatch::window_axis& depth = c_.axis[0];
        const dispatch::window_axis& height = c_.axis[1];
        const std::ptrdiff_t last = first_row_ + rows - 1;
        const std::ptrdiff_t d0 = quotient(first_row_, height.out);
        const std::ptrdiff_t d1 = quotient(last, height.out);
        const bool one = d0 == d1;
        const auto begin_of = [](const dispatch::window_axis& a, std::ptrdiff_t i) TARN_LAMBDA {
            const std::ptrdiff_t start = i * a.stride - a.before;
            return start > 0 ? start : 0;
        };
        const auto end_of = [](const dispatch::window_axis& a, std::ptrdiff_t i) TARN_LAMBDA {
            const std::ptrdiff_t end = i * a.stride - a.before + (a.kernel - 1) * a.dilation + 1;
            return end < a.in ? end : a.in;
        };
        const std::ptrdiff_t h0 = one ? begin_of(height, first_row_ - d0 * height.out) : 0;
        const std::ptrdiff_t h1 = one ? end_of(height, last - d0 * height.out) : height.in;
        const std::ptrdiff_t columns = inside_end_ - inside_begin_;
        const std::ptrdiff_t n = block_.pieces * block_.piece;
        for (std::ptrdiff_t d = begin_of(depth, d0); d < end_of(depth, d1) && n > 0; ++d) {
            const std::ptrdiff_t at = plane + d * c_.x.step[0] + h0 * c_.x.step[1];
            if (!unit_) {
                for (std::ptrdiff_t h = 0; h < h1 - h0; ++h) {
                    widen(at + h * c_.x.step[1] + inside_begin_ * c_.x.step[2], 1, columns);
                    kernels::look_through<A>(converted_, columns * lanes_, seen);
                }
                continue;
            }
            const number<A>* p = block_.x + at;
            if (dense_rows()) {
                if (h1 > h0)
                    kernels::look_through<A>(p, (h1 - h0 - 1) * c_.x.step[1] + n, seen);
                continue;
            }
            for (std::ptrdiff_t h = h0; h < h1; ++h, p += c_.x.step[1]) {
                for (std::ptrdiff_t j = 0; j < block_.pieces; ++j)
                    kernels::look_through<A>(p + j * block_.piece_step, block_.piece, seen);
            }
        }
    }

    // Columns from .. from + columns - 1 of a row of windows into a line: elements of any type and stride, converted as
    // many rows at once as there is room for.
    template <class R>
    TARN_NOINLINE void reduce_stored(const rows_of<R>& of, const window_row& all, std::ptrdiff_t from,
                                     std::ptrdiff_t columns, sum* line, std::ptrdiff_t pitch) noexcept {
        if (columns <= 0)
            return;
        const std::ptrdiff_t n = columns * lanes_;
        const std::ptrdiff_t room = converted_numbers / n;
        const window_steps step = {{0, n}, 0};
        of.fill(line, n, pitch);
        window_row r = all;
        r.count[0] = 1;
        for (std::ptrdiff_t a = 0; a < all.count[0]; ++a) {
            for (std::ptrdiff_t b = 0; b < all.count[1]; b += r.count[1]) {
                r.count[1] = all.count[1] - b < room ? all.count[1] - b : room;
                r.tap = all.tap + a * step_.tap + b;
                widen(all.x + a * step_.x[0] + b * step_.x[1] + from * c_.x.step[2], r.count[1], columns);
                of.add_rows(converted_, r, step, n, line, pitch);
            }
        }
    }
    TARN_INLINE void widen(std::ptrdiff_t offset, std::ptrdiff_t rows, std::ptrdiff_t columns) noexcept {
        const auto at = [&](std::ptrdiff_t r) TARN_LAMBDA {
            return const_cast<char*>(x_) + (offset + r * step_.x[1]) * detail::size_of(c_.x.type);
        };
        if (lanes_ == 1) {
            convert<A>::widen({{at(0), c_.x.type, c_.x.step[2], step_.x[1]}, converted_, columns, rows, columns});
            return;
        }
        for (std::ptrdiff_t r = 0; r < rows; ++r)
            convert<A>::widen(
                {{at(r), c_.x.type, 1, c_.x.step[2]}, converted_ + r * columns * lanes_, lanes_, columns, lanes_});
    }

    // A window of more columns than a line has.
    TARN_NOINLINE void run_wide(const window_row& r) noexcept {
        const std::ptrdiff_t pitch = line_numbers / fields;
        const std::ptrdiff_t most = pitch - 2 * width < converted_numbers ? pitch - 2 * width : converted_numbers;
        const std::ptrdiff_t taps_at_once = columns_.dilation < most ? (most - 1) / columns_.dilation + 1 : 1;
        const window_taps w = window_taps::of(columns_, first_);
        state s;
        simd::unroll<fields>([&](auto f) TARN_LAMBDA {
            s.field[decltype(f)::value] = cells::all(reduction_.neutral(decltype(f)::value));
        });
        for (std::ptrdiff_t done = 0; done < w.count;) {
            const std::ptrdiff_t taps = w.count - done < taps_at_once ? w.count - done : taps_at_once;
            const std::ptrdiff_t first = w.first + done;
            const rows_of<Reduction> of(reduction_);
            const std::ptrdiff_t n = (taps - 1) * columns_.dilation + 1;
            reduce_stored(of, r, w.start + first * columns_.dilation, n, line_, pitch);
            // A register from the last column on has nothing else.
            of.fill(line_ + n, width, pitch);
            for (std::ptrdiff_t t = 0; t < taps; ++t) {
                state x;
                simd::unroll<fields>([&](auto f) TARN_LAMBDA {
                    constexpr int F = decltype(f)::value;
                    x.field[F] = cells::load(line_ + F * pitch + t * columns_.dilation);
                });
                s = reduction_.combine(s, reduction_.at_column(x, first + t, columns_.kernel));
            }
            done += taps;
        }
        scales_.prepare(r.counted);
        reduction_.finish(s, scales_.at(0)).store_unaligned(result_);
        combiner::keep(s, kept_, kept_pitch);
        put_results(&r, 1);
    }

    // The results of a block of rows to y.
    TARN_NOINLINE void put_results(const window_row* row, std::ptrdiff_t rows) noexcept {
        const std::ptrdiff_t results = outputs_ * lanes_;
        const std::ptrdiff_t height = c_.axis[1].out;
        for (std::ptrdiff_t k = 0; k < rows;) {
            // Rows of one depth are at equal distances.
            const std::ptrdiff_t row_of_depth = first_row_ + k - quotient(first_row_ + k, height) * height;
            const std::ptrdiff_t left = height - row_of_depth;
            const std::ptrdiff_t some = lanes_ > 1 ? 1 : left < rows - k ? left : rows - k;
            if (c_.y.data)
                put_numbers(row[k], result_ + k * results, some);
            for (std::ptrdiff_t i = 0; Reduction::kept > 0 && i < some; ++i)
                kept_windows<A, Reduction::kept>{c_, plane_, first_, outputs_, begin_, first_lane_, lanes_}.put(
                    first_row_ + k + i, kept_ + (k + i) * results, kept_pitch);
            k += some;
        }
    }
    // Results of some rows of one depth.
    TARN_INLINE void put_numbers(const window_row& row, number<A>* numbers, std::ptrdiff_t rows) const noexcept {
        const dispatch::plane_operand& y = c_.y;
        void* const to = y_ + row.y * detail::size_of(y.type);
        if (lanes_ == 1)
            convert<A>::narrow({{to, y.type, y.step[2], y.step[1]}, numbers, outputs_, rows, outputs_});
        else
            convert<A>::narrow({{to, y.type, 1, y.step[2]}, numbers, lanes_, outputs_, lanes_});
    }

    const dispatch::window_planes& c_;
    const Reduction reduction_;
    const dispatch::window_axis& columns_;
    const std::ptrdiff_t reach_; // columns of a window
    window_steps step_;
    bool wide_ = false;
    std::ptrdiff_t first_lane_ = 0, lanes_ = 1;
    const char* x_ = nullptr;
    char* y_ = nullptr;
    std::ptrdiff_t plane_ = 0, first_row_ = 0;

    // The tile: output columns, the columns of its lines, and those of them that lie inside.
    std::ptrdiff_t first_ = 0, outputs_ = 0;
    std::ptrdiff_t begin_ = 0, inside_begin_ = 0, inside_end_ = 0;
    std::ptrdiff_t rows_at_once_ = 0;
    bool unit_ = false;   // rows are read where they are
    bool packed_ = false; // and columns lie side by side
    bool direct_ = false; // results go where they belong at once
    bool dense_ = false;  // and lie side by side, row behind row
    bool guess_ = true;
    bool pairs_ = false, threes_ = false, few_ = false, apart_ = false, short_ = false, lane_threes_ = false;
    gathered_taps taps_ = {}; // of few windows
    int margins_ = 0;         // fields of what they were filled for
    std::ptrdiff_t planes_at_once_ = 1;
    window_block<A, sum> block_ = {};

    std::conditional_t<Reduction::counts, window_scales<A, result_numbers, sum>, no_scales<A>> scales_;
    window_row row_[most_rows];
    alignas(64) sum line_[line_numbers + 4 * width];
    union {
        alignas(64) number<A> converted_[converted_numbers + width];
        alignas(
            64) sum lifted_[Reduction::lifts_once ? lifted_numbers + width : 1]; // of elements that were not converted
    };
    alignas(64) number<A> result_[result_numbers + width];
    alignas(64) number<A> kept_[Reduction::kept > 0 ? Reduction::kept* kept_pitch : 1];
};

}}}} // namespace tarn::kernels
