// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of windows: every element gathers what the windows give it that it is a member of, so that it is written
// once, and in a fixed order: windows in the order of their numbers. Columns that are the same tap's share of a window
// lie `stride` apart; sums of each of these phases lie side by side until a row is done.
#pragma once

#include <tarn/kernels/convert.hpp>
#include <tarn/kernels/window_large_tiles.hpp>
#include <tarn/kernels/window_overlaps.hpp>
#include <tarn/kernels/window_tiles.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Shares> class window_adjoint {
public:
    TARN_NOINLINE static void run(const typename Shares::call& c) noexcept {
        if constexpr (takes_whole<typename Shares::rule>::value) {
            if (window_tiles<A, Shares>::takes(c)) {
                window_tiles<A, Shares>::run(c);
                return;
            }
        } else if constexpr (!std::is_void<typename Shares::rule>::value) {
            // Rows of few windows leave most lanes of a register unused.
            const bool narrow = c.windows.lanes == 1 && c.windows.axis[2].out <= 4;
            if (window_tiles<A, Shares>::takes(c) && !(narrow && window_overlaps<A, Shares>::takes(c))) {
                window_tiles<A, Shares>::run(c);
                return;
            }
            if (window_overlaps<A, Shares>::takes(c)) {
                window_overlaps<A, Shares>::run(c);
                return;
            }
        }
        if (window_large_tiles<A, Shares>::takes(c))
            window_large_tiles<A, Shares>::run(c);
        else
            run_any(c);
    }

private:
    TARN_NOINLINE static void run_any(const typename Shares::call& c) noexcept {
        window_adjoint adjoint(c);
        for (std::ptrdiff_t p = 0; p < c.windows.planes; ++p)
            adjoint.run_plane(p);
        adjoint.shares_.end();
    }

    static constexpr int width = static_cast<int>(numbers<A>::size);
    template <int Bytes>
    static constexpr std::ptrdiff_t numbers_in = Bytes / static_cast<std::ptrdiff_t>(sizeof(number<A>));
    static constexpr int elements = Shares::elements;
    static constexpr int sum_count = Shares::sums;
    using element_sum = element_sums<A, sum_count>;
    static constexpr int most_numbers = elements > sum_count ? elements : sum_count;
    static constexpr std::ptrdiff_t sum_numbers = numbers_in<(elements > 0 ? 2752 / most_numbers : 5888)>;
    static constexpr std::ptrdiff_t sum_pitch = sum_numbers + width;
    static constexpr std::ptrdiff_t most_lanes = numbers_in<512>;

    TARN_INLINE explicit window_adjoint(const typename Shares::call& c) noexcept
        : c_(c), depth_(c.windows.axis[0]), height_(c.windows.axis[1]), columns_(c.windows.axis[2]), shares_(c) {
        for (int i = 0; i < width; ++i)
            lane_[i] = static_cast<number<A>>(i);
    }

    TARN_INLINE void run_plane(std::ptrdiff_t plane) noexcept {
        const std::ptrdiff_t all_lanes = c_.windows.lanes;
        for (std::ptrdiff_t lane = 0; lane < all_lanes; lane += lanes_) {
            lanes_ = all_lanes - lane < most_lanes ? all_lanes - lane : most_lanes;
            spans_ = lanes_ == 1 && columns_.dilation == 1 && by_spans();
            const bool in_order = lanes_ > 1 || spans_;
            const std::ptrdiff_t most_columns = (sum_numbers - width) / lanes_ - (in_order ? 0 : 2 * columns_.stride);
            // Strides that leave no room for a column are taken one element at a time.
            const std::ptrdiff_t tile = most_columns > 0 ? most_columns : 1;
            for (first_ = 0; first_ < columns_.in; first_ += outputs_) {
                outputs_ = columns_.in - first_ < tile ? columns_.in - first_ : tile;
                phases_ = in_order || most_columns <= 0 ? 1 : columns_.stride;
                begin_ = quotient(first_ + columns_.before, columns_.stride);
                end_ = quotient(first_ + outputs_ - 1 + columns_.before, columns_.stride) + 1;
                row_sums_ = by_phases() ? phases_ * (end_ - begin_) : outputs_ * lanes_;
                const std::ptrdiff_t rows = (sum_numbers - width) / row_sums_;
                std::ptrdiff_t some;
                for (std::ptrdiff_t r = c_.windows.first_row; r < c_.windows.last_row; r += some) {
                    const std::ptrdiff_t d = quotient(r, height_.in);
                    const std::ptrdiff_t h = r - d * height_.in;
                    const std::ptrdiff_t left =
                        c_.windows.last_row - r < height_.in - h ? c_.windows.last_row - r : height_.in - h;
                    some = left < rows ? left : rows;
                    run_rows(plane, lane, d, h, some);
                }
            }
        }
    }

    // Whether windows are taken one by one, which give to elements side by side: few of them, or long ones with long
    // strides, whose phases would be short.
    TARN_INLINE bool by_spans() const noexcept {
        const auto registers = [](std::ptrdiff_t n) TARN_LAMBDA { return (n + width - 1) / width; };
        return columns_.out * registers(columns_.kernel) < columns_.kernel * registers(columns_.out) ||
               (columns_.stride > 2 && columns_.kernel >= width);
    }
    // Whether sums lie phase by phase: a single lane, and a phase for every column of a stride.
    TARN_INLINE bool by_phases() const noexcept { return lanes_ == 1 && !spans_ && phases_ == columns_.stride; }

    TARN_INLINE void run_rows(std::ptrdiff_t plane, std::ptrdiff_t lane, std::ptrdiff_t d, std::ptrdiff_t h,
                              std::ptrdiff_t rows) noexcept {
        // Registers of sums reach behind the last one.
        for (int f = 0; f < sum_count; ++f) {
            for (std::ptrdiff_t i = 0; i < rows * row_sums_ + width; ++i)
                sum_[f][i] = 0;
        }
        if constexpr (elements > 0) {
            load_rows(plane, lane, d, h, rows);
        }
        const window_range depths = window_range::of(depth_, d, 1);
        const window_range heights = window_range::of(height_, h, rows);
        const window_range columns = window_range::of(columns_, first_, outputs_);
        const std::ptrdiff_t wanted = columns.end - columns.first;
        const std::ptrdiff_t most_columns = quotient(Shares::room, lanes_);
        for (std::ptrdiff_t o = depths.first; o < depths.end; ++o) {
            const std::ptrdiff_t d_tap = tap_of(depth_, o, d);
            if (d_tap < 0)
                continue;
            const std::ptrdiff_t some_columns = wanted < most_columns ? wanted : most_columns;
            const std::ptrdiff_t some_rows = some_columns > 0 ? quotient(Shares::room, some_columns * lanes_) : 1;
            for (std::ptrdiff_t r = heights.first; r < heights.end; r += some_rows) {
                const std::ptrdiff_t r_end = heights.end - r < some_rows ? heights.end : r + some_rows;
                for (std::ptrdiff_t j = columns.first; j < columns.end; j += some_columns) {
                    const std::ptrdiff_t j_end = columns.end - j < some_columns ? columns.end : j + some_columns;
                    load_windows({plane, lane, lanes_, o, r, r_end - r, j, j_end - j});
                    add(d_tap, h, rows, r, r_end, j, j_end);
                }
            }
        }
        put_rows(plane, lane, d, h, rows);
    }

    // Those of large windows are for many elements.
    TARN_INLINE void load_windows(const window_group& b) noexcept {
        const window_group& a = loaded_;
        if (a.plane == b.plane && a.lane == b.lane && a.lanes == b.lanes && a.depth == b.depth && a.row == b.row &&
            a.rows == b.rows && a.column == b.column && a.columns == b.columns)
            return;
        shares_.load(b);
        loaded_ = b;
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
                    add_phases(tap, line, j, j_end, sum_[0] + k * row_sums_);
                else if (spans_)
                    add_spans(tap, line, j, j_end, sum_[0] + k * row_sums_);
                else
                    add_lanes(tap, line, j, j_end, sum_[0] + k * row_sums_);
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
            const std::ptrdiff_t q = phases_ == 1 ? distance : quotient(distance, columns_.stride);
            const std::ptrdiff_t phase = phases_ == 1 ? 0 : distance - q * columns_.stride;
            const std::ptrdiff_t from = j + q > begin_ ? j + q : begin_;
            const std::ptrdiff_t to = j_end + q < end_ ? j_end + q : end_;
            if (from < to)
                add_line(tap + t, line + from - q - j, to - from, sums + phase * size + from - begin_);
        }
    }
    // Window by window, elements side by side.
    TARN_INLINE void add_spans(std::ptrdiff_t tap, std::ptrdiff_t line, std::ptrdiff_t j, std::ptrdiff_t j_end,
                               number<A>* sums) noexcept {
        for (std::ptrdiff_t o = j; o < j_end; ++o, ++line) {
            const std::ptrdiff_t start = o * columns_.stride - columns_.before - first_;
            const std::ptrdiff_t end = start + columns_.kernel < outputs_ ? start + columns_.kernel : outputs_;
            const std::ptrdiff_t from = start > 0 ? start : 0;
            const auto window = shares_.all_of(line);
            const numbers<A> first_tap =
                numbers<A>(static_cast<number<A>>(tap + from - start)) + numbers<A>::load_unaligned(lane_);
            each_register<A>(end - from, [&](std::ptrdiff_t k, auto... some) TARN_LAMBDA {
                add_shares(sums + from + k, window, first_tap + numbers<A>(static_cast<number<A>>(k)), some...);
            });
        }
    }
    TARN_INLINE void add_line(std::ptrdiff_t tap, std::ptrdiff_t i, std::ptrdiff_t n, number<A>* sums) noexcept {
        const numbers<A> taps(static_cast<number<A>>(tap));
        each_register<A>(n, [&](std::ptrdiff_t k, auto... some)
                                TARN_LAMBDA { add_shares(sums + k, shares_.at(i + k, some...), taps, some...); });
    }
    template <class Windows, class... Some>
    TARN_INLINE void add_shares(number<A>* at, const Windows& windows, numbers<A> taps, Some... some) noexcept {
        auto sum = sums_at(at);
        auto v = shares_.add(sum, windows, taps, elements_at(at - sum_[0], some...));
        simd::unroll<sum_count>([&](auto f) TARN_LAMBDA {
            constexpr int F = decltype(f)::value;
            const numbers<A> part = element_sum::part(v, F);
            if constexpr (sizeof...(some) == 0)
                part.store_unaligned(at + F * sum_pitch);
            else
                simd::first_or<A>(part, some..., element_sum::part(sum, F)).store_unaligned(at + F * sum_pitch);
        });
    }
    TARN_INLINE static typename element_sum::type sums_at(const number<A>* p) noexcept {
        return element_sum::of([&](int f) TARN_LAMBDA { return numbers<A>::load_unaligned(p + f * sum_pitch); });
    }
    template <class... Some>
    TARN_INLINE element_numbers<A, elements> elements_at([[maybe_unused]] std::ptrdiff_t i,
                                                         [[maybe_unused]] Some... some) const noexcept {
        element_numbers<A, elements> e;
        if constexpr (elements > 0) {
            simd::unroll<elements>([&](auto f) TARN_LAMBDA {
                constexpr int F = decltype(f)::value;
                if constexpr (sizeof...(some) == 0)
                    e.number[F] = numbers<A>::load_unaligned(element_[F] + i);
                else
                    e.number[F] = simd::load_n<A>(element_[F] + i, some...);
            });
        }
        return e;
    }

    // An operand's element at which a row of the tile begins.
    TARN_INLINE char* row_of(const dispatch::plane_operand& v, std::ptrdiff_t plane, std::ptrdiff_t lane,
                             std::ptrdiff_t d, std::ptrdiff_t h) const noexcept {
        return static_cast<char*>(v.data) +
               (plane * v.across + lane + d * v.step[0] + h * v.step[1] + first_ * v.step[2]) * detail::size_of(v.type);
    }
    // The elements of rows, where their sums are.
    TARN_INLINE void load_rows(std::ptrdiff_t plane, std::ptrdiff_t lane, std::ptrdiff_t d, std::ptrdiff_t h,
                               std::ptrdiff_t rows) noexcept {
        const dispatch::plane_operand& x = c_.windows.x;
        if (lanes_ == 1 && phases_ == 1)
            convert<A>::widen(
                {{row_of(x, plane, lane, d, h), x.type, x.step[2], x.step[1]}, element_[0], row_sums_, rows, outputs_});
        for (std::ptrdiff_t k = 0; k < rows; ++k)
            load_row(row_of(x, plane, lane, d, h + k), k * row_sums_);
    }
    TARN_INLINE void load_row(char* from, std::ptrdiff_t at) noexcept {
        const dispatch::plane_operand& x = c_.windows.x;
        number<A>* const to = element_[0] + at;
        if (lanes_ > 1)
            convert<A>::widen({{from, x.type, 1, x.step[2]}, to, lanes_, outputs_, lanes_});
        if (phases_ > 1) {
            convert<A>::widen({{from, x.type, x.step[2], 0}, row_, outputs_, 1, outputs_});
            if (columns_.stride == 2)
                split_pairs(to);
            else
                each_in_phases([&](std::ptrdiff_t i, std::ptrdiff_t k) TARN_LAMBDA { to[k] = row_[i]; });
            each_outside([&](std::ptrdiff_t i) TARN_LAMBDA { to[i] = 0; });
        }
        if constexpr (Shares::lifts) {
            each_register<A>(row_sums_, [&](std::ptrdiff_t i, auto... some) TARN_LAMBDA {
                element_numbers<A, elements> e;
                if constexpr (sizeof...(some) == 0)
                    e = shares_.lift(numbers<A>::load_unaligned(to + i));
                else
                    e = shares_.lift(simd::load_n<A>(to + i, some...));
                simd::unroll<elements>([&](auto f) TARN_LAMBDA {
                    constexpr int F = decltype(f)::value;
                    number<A>* const p = element_[F] + at + i;
                    if constexpr (sizeof...(some) == 0)
                        e.number[F].store_unaligned(p);
                    else
                        simd::store_n<A>(p, e.number[F], some...);
                });
            });
            if (phases_ > 1) {
                each_outside([&](std::ptrdiff_t i) TARN_LAMBDA {
                    for (int f = 0; f < elements; ++f)
                        element_[f][at + i] = 0;
                });
            }
        }
    }

    // The sums of rows to where they belong.
    TARN_INLINE void put_rows(std::ptrdiff_t plane, std::ptrdiff_t lane, std::ptrdiff_t d, std::ptrdiff_t h,
                              std::ptrdiff_t rows) noexcept {
        if constexpr (Shares::finishes) {
            each_register<A>(rows * row_sums_, [&](std::ptrdiff_t i, auto... some) TARN_LAMBDA {
                shares_.finish(sums_at(sum_[0] + i), elements_at(i, some...)).store_unaligned(sum_[0] + i);
            });
        }
        const dispatch::plane_operand& dx = c_.dx;
        if (lanes_ == 1 && phases_ == 1) {
            convert<A>::narrow(
                {{row_of(dx, plane, lane, d, h), dx.type, dx.step[2], dx.step[1]}, sum_[0], row_sums_, rows, outputs_});
            return;
        }
        for (std::ptrdiff_t k = 0; k < rows; ++k)
            put_row(row_of(dx, plane, lane, d, h + k), sum_[0] + k * row_sums_);
    }
    TARN_INLINE void put_row(char* to, number<A>* sums) noexcept {
        const dispatch::plane_operand& dx = c_.dx;
        if (lanes_ > 1) {
            convert<A>::narrow({{to, dx.type, 1, dx.step[2]}, sums, lanes_, outputs_, lanes_});
            return;
        }
        if (columns_.stride == 2)
            join_pairs(sums);
        else
            join_phases(sums);
        convert<A>::narrow({{to, dx.type, dx.step[2], 0}, row_, 0, 1, outputs_});
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
    // The other way round. The last register of a phase may reach beyond it: the first phase comes first, and
    // each_outside mends what lies between.
    TARN_INLINE void split_pairs(number<A>* to) noexcept {
        const std::ptrdiff_t size = end_ - begin_;
        const std::ptrdiff_t at = first_ + columns_.before - 2 * begin_;
        for (std::ptrdiff_t phase = 0; phase < 2; ++phase) {
            const bool odd = (phase + at) % 2 != 0;
            number<A>* const p = to + phase * size + (at + (odd ? 1 : 0)) / 2;
            for (std::ptrdiff_t i = 0; 2 * i < outputs_; i += width) {
                const numbers<A> a = numbers<A>::load_unaligned(row_ + 2 * i);
                const numbers<A> b = numbers<A>::load_unaligned(row_ + 2 * i + width);
                const numbers<A> v = odd ? simd::odd_lanes<A>(a, b) : simd::even_lanes<A>(a, b);
                simd::unfolded<A>(v).store_unaligned(p + i);
            }
        }
    }
    TARN_INLINE void join_phases(const number<A>* sums) noexcept {
        each_in_phases([&](std::ptrdiff_t i, std::ptrdiff_t at) TARN_LAMBDA { row_[i] = sums[at]; });
    }
    // f(where there is a sum of no column of the tile): phases begin before the tile, or end behind it.
    template <class F> TARN_INLINE void each_outside(F f) const noexcept {
        const std::ptrdiff_t size = end_ - begin_;
        const std::ptrdiff_t first = first_ + columns_.before - begin_ * columns_.stride;
        const std::ptrdiff_t last = first_ + outputs_ - 1 + columns_.before - (end_ - 1) * columns_.stride;
        for (std::ptrdiff_t phase = 0; phase < first; ++phase)
            f(phase * size);
        for (std::ptrdiff_t phase = last + 1; phase < columns_.stride; ++phase)
            f(phase * size + size - 1);
    }
    // f(column of the tile, where its sum is).
    template <class F> TARN_INLINE void each_in_phases(F f) const noexcept {
        const std::ptrdiff_t size = end_ - begin_;
        std::ptrdiff_t phase = first_ + columns_.before - begin_ * columns_.stride;
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
    window_group loaded_ = {};
    std::ptrdiff_t lanes_ = 1;
    bool spans_ = false;
    // The tile: columns first_ .. first_ + outputs_ - 1, which belong to windows begin_ .. end_ - 1 and before.
    std::ptrdiff_t first_ = 0, outputs_ = 0, begin_ = 0, end_ = 0;
    std::ptrdiff_t phases_ = 1, row_sums_ = 0;
    alignas(64) number<A> sum_[sum_count][sum_pitch];
    alignas(64) number<A> row_[sum_numbers + 2 * width];
    alignas(64) number<A> element_[elements > 0 ? elements : 1][elements > 0 ? sum_pitch : 1];
    alignas(64) number<A> lane_[width];
};

}}}} // namespace tarn::kernels
