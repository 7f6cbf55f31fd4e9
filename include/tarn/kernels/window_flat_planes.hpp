// SPDX-License-Identifier: BSD-3-Clause
//
// Windows of three rows and columns around every element, of planes that lie row behind row and one behind the other: they
// are one line of elements. A register of it has neighbours a row or a column before and behind; those of another row or
// plane count as none. Registers are full however short rows are, and elements are lifted once.
#pragma once

#include <tarn/kernels/window_lines.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction> class window_flat_planes {
public:
    TARN_INLINE static bool takes(const dispatch::window_planes& c) noexcept {
        const auto around = [](const dispatch::window_axis& a) TARN_LAMBDA {
            return a.kernel == 3 && a.stride == 1 && a.dilation == 1 && a.before == 1 && a.out == a.in && a.in > 1;
        };
        const auto dense = [&](const dispatch::plane_operand& v) TARN_LAMBDA {
            return v.step[2] == 1 && v.step[1] == c.axis[2].in &&
                   (c.planes == 1 || v.across == c.axis[1].in * c.axis[2].in);
        };
        const dispatch::window_axis& depth = c.axis[0];
        return Reduction::kept == 0 && c.lanes == 1 && depth.in == 1 && depth.kernel == 1 && depth.out == 1 &&
               around(c.axis[1]) && around(c.axis[2]) && c.axis[2].in <= most_columns &&
               c.axis[1].in * c.axis[2].in >= width && c.axis[1].in * c.axis[2].in <= most_places && c.first_row == 0 &&
               c.last_row == c.axis[1].out && c.first_column == 0 && c.last_column == c.axis[2].out && dense(c.x) &&
               dense(c.y);
    }
    TARN_INLINE static std::ptrdiff_t planes_at_once(const dispatch::window_planes& c) noexcept {
        return most / (c.axis[1].in * c.axis[2].in) + 1;
    }
    // Planes from number `first` on, until some have elements that take more fields than there is room for; how many.
    TARN_NOINLINE static std::ptrdiff_t run(const dispatch::window_planes& c, std::ptrdiff_t first) noexcept {
        window_flat_planes planes(c);
        return planes.run_from(first);
    }

private:
    using combiner = window_combiner<A, Reduction>;
    using cells = typename combiner::cells;
    using sum = typename combiner::sum;
    using S = simd::target<typename A::arch, sum>;
    static constexpr std::ptrdiff_t width = combiner::width;
    static constexpr std::ptrdiff_t most_fields = 4;
    static constexpr int fields = Reduction::fields > most_fields ? 3 : Reduction::fields;
    static constexpr bool looks = !std::is_void<typename Reduction::looks_for>::value;
    // Elements at once: what is made of them stays in L1.
    static constexpr std::ptrdiff_t most = 8192 / static_cast<std::ptrdiff_t>(sizeof(sum));
    // Of longer rows most registers are full anyway, more so where elements need not be lifted once.
    static constexpr std::ptrdiff_t most_columns =
        Reduction::lifts_once ? 128 / static_cast<std::ptrdiff_t>(sizeof(number<A>)) : width;
    static constexpr std::ptrdiff_t most_places = 3328 / static_cast<std::ptrdiff_t>(sizeof(sum));
    static constexpr std::ptrdiff_t most_halo = most_columns + width;
    // The register behind the last result, and what the last register of a field has beyond it.
    static constexpr std::ptrdiff_t pitch = most + 2 * most_halo + 3 * width;

    TARN_INLINE explicit window_flat_planes(const dispatch::window_planes& c) noexcept
        : c_(c), reduction_(kernels::reduction_of<Reduction>(c)), columns_(c.axis[2].in), rows_(c.axis[1].in),
          size_(rows_ * columns_), halo_(columns_ + width), all_(c.planes * size_) {
        scales_.begin(c.axis[2], 0, columns_, c.divisor);
        note_places();
    }
    TARN_INLINE void note_places() noexcept {
        std::ptrdiff_t row = 0;
        std::ptrdiff_t column = 0;
        for (std::ptrdiff_t i = 0; i < size_ + width; ++i) {
            row_[i] = static_cast<sum>(row);
            column_[i] = static_cast<sum>(column);
            if constexpr (Reduction::counts) {
                scales_.prepare(window_taps::counted(c_.axis[1], row, c_.divisor.count_padding));
                const window_scale<A, sum> s = scales_.all_of(column);
                cells::store(s.inverse, inverse_ + i);
                cells::store(s.least, least_ + i);
            }
            if (++column == columns_) {
                column = 0;
                row = row + 1 == rows_ ? 0 : row + 1;
            }
        }
    }
    TARN_INLINE std::ptrdiff_t run_from(std::ptrdiff_t first) noexcept {
        const bool same_x = c_.x.type == element_traits<number<A>>::value;
        const bool same_y = c_.y.type == element_traits<number<A>>::value;
        const auto at = [](const dispatch::plane_operand& v, std::ptrdiff_t i)
                            TARN_LAMBDA { return static_cast<char*>(v.data) + i * detail::size_of(v.type); };
        for (begin_ = first * size_; begin_ < all_; begin_ += n_) {
            n_ = all_ - begin_ < most ? all_ - begin_ : most;
            const std::ptrdiff_t low = begin_ < halo_ ? 0 : begin_ - halo_;
            const std::ptrdiff_t end = begin_ + n_ + halo_ < all_ ? begin_ + n_ + halo_ : all_;
            if (!same_x)
                convert<A>::widen({{at(c_.x, low), c_.x.type, 1, 0}, stage_, 0, 1, end - low});
            if (!run_line(same_x ? reinterpret_cast<const number<A>*>(at(c_.x, low)) : stage_, low, end,
                          same_y ? reinterpret_cast<number<A>*>(at(c_.y, begin_)) : stage_))
                return begin_ / size_;
            if (!same_y)
                convert<A>::narrow({{at(c_.y, begin_), c_.y.type, 1, 0}, stage_, 0, 1, n_});
        }
        return c_.planes;
    }

    // Elements `low` to `end` - 1, of which x is the first, to n_ results.
    TARN_INLINE bool run_line(const number<A>* x, std::ptrdiff_t low, std::ptrdiff_t end, number<A>* y) noexcept {
        if constexpr (looks) {
            bool done = false;
            typename Reduction::looks_for seen;
            kernels::look_through<A>(x, end - low, seen);
            reduction_.pick(seen, [&](const auto& picked) TARN_LAMBDA {
                if constexpr (std::decay_t<decltype(picked)>::fields <= most_fields) {
                    run_with(picked, x, low, end, y);
                    done = true;
                }
            });
            return done;
        } else {
            run_with(reduction_, x, low, end, y);
            return true;
        }
    }
    template <class R>
    TARN_NOINLINE void run_with(const R& reduction, const number<A>* x, std::ptrdiff_t low, std::ptrdiff_t end,
                                number<A>* y) noexcept {
        using state = typename R::state;
        using of_states = window_combiner<A, R>;
        const of_states of(reduction);
        const state none = of.neutral_state();
        const std::ptrdiff_t n = n_;
        const std::ptrdiff_t columns = columns_;
        const std::ptrdiff_t size = size_;
        const std::ptrdiff_t halo = halo_;
        lift(of, x, low, end);

        // The state at p, none in lanes that are not inside.
        const auto where = [&](const auto& inside, const typename cells::type& place, const state& given) TARN_LAMBDA {
            state s = given;
            simd::unroll<cells::parts>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                const auto is_inside = inside(cells::part(place, K));
                simd::unroll<R::fields>([&](auto f) TARN_LAMBDA {
                    constexpr int F = decltype(f)::value;
                    cells::part(s.field[F], K) =
                        simd::select<S>(is_inside, cells::part(s.field[F], K), cells::part(none.field[F], K));
                });
            });
            return s;
        };
        const auto three = [&](const state& a, const state& b, const state& c)
                               TARN_LAMBDA { return of.reduction.combine(of.reduction.combine(a, b), c); };
        const auto from_first = [](numbers<S> v) TARN_LAMBDA { return v > numbers<S>(sum(0)); };
        const auto to_last = [](std::ptrdiff_t of_all) TARN_LAMBDA {
            const numbers<S> behind(static_cast<sum>(of_all - 1));
            return [behind](numbers<S> v) TARN_LAMBDA { return v < behind; };
        };
        const auto not_last_row = to_last(rows_);
        const auto not_last_column = to_last(columns);
        // Register k of the columns, three rows of them each.
        const auto rows = [&](std::ptrdiff_t k, std::ptrdiff_t place) TARN_LAMBDA {
            const sum* const p = lifted_ + halo + k;
            const typename cells::type row = cells::load(row_ + place);
            return three(where(from_first, row, of_states::load_state(p - columns, pitch)),
                         of_states::load_state(p, pitch),
                         where(not_last_row, row, of_states::load_state(p + columns, pitch)));
        };
        const auto next = [size](std::ptrdiff_t place)
                              TARN_LAMBDA { return place + width < size ? place + width : place + width - size; };
        std::ptrdiff_t place = begin_ % size;
        state last = rows(-width, place < width ? place - width + size : place - width);
        state here = rows(0, place);
        for (std::ptrdiff_t k = 0; k < n; k += width) {
            const state behind = rows(k + width, next(place));
            const typename cells::type column = cells::load(column_ + place);
            const state s = three(where(from_first, column, shifted<R, width - 1>(last, here)), here,
                                  where(not_last_column, column, shifted<R, 1>(here, behind)));
            const numbers<A> v = of.reduction.finish(s, scale_at(place));
            if (k + width <= n)
                v.store_unaligned(y + k);
            else
                simd::store_n<A>(y + k, v, static_cast<int>(n - k));
            place = next(place);
            last = here;
            here = behind;
        }
    }
    // Elements to states, and none where there are no elements.
    template <class R>
    TARN_INLINE void lift(const window_combiner<A, R>& of, const number<A>* x, std::ptrdiff_t low,
                          std::ptrdiff_t end) noexcept {
        const typename R::state none = of.neutral_state();
        const std::ptrdiff_t first = low - (begin_ - halo_);
        for (std::ptrdiff_t i = 0; i < first; i += width)
            of.store_state(none, lifted_ + i, pitch);
        sum* const to = lifted_ + first;
        const std::ptrdiff_t n = end - low;
        std::ptrdiff_t i = of.lift_registers(x, n, to, pitch);
        if (i < n) {
            const int some = static_cast<int>(n - i);
            of.store_state(of.first_or_neutral(of.reduction.lift(simd::load_n<A>(x + i, some), 0), some), to + i,
                           pitch);
            i += width;
        }
        // As far as the register behind the last looks.
        for (; first + i < n_ + 2 * halo_ + 2 * width; i += width)
            of.store_state(none, to + i, pitch);
    }
    template <class R, int N>
    TARN_INLINE static typename R::state shifted(const typename R::state& a, const typename R::state& b) noexcept {
        return window_combiner<A, R>::each_field([&](auto f) TARN_LAMBDA {
            return cells::template lanes_from<N>(a.field[decltype(f)::value], b.field[decltype(f)::value]);
        });
    }

    TARN_INLINE window_scale<A, sum> scale_at([[maybe_unused]] std::ptrdiff_t place) const noexcept {
        if constexpr (Reduction::counts)
            return {cells::load(inverse_ + place), cells::load(least_ + place)};
        else
            return {};
    }

    const dispatch::window_planes& c_;
    const Reduction reduction_;
    const std::ptrdiff_t columns_, rows_, size_, halo_, all_; // size: of a plane
    std::ptrdiff_t begin_ = 0, n_ = 0;                        // elements that are at work
    std::conditional_t<Reduction::counts, window_scales<A, most_columns, sum>, no_scales<A>> scales_;
    alignas(64) sum row_[most_places + 2 * width];
    alignas(64) sum column_[most_places + 2 * width];
    alignas(64) sum inverse_[Reduction::counts ? most_places + 2 * width : 1];
    alignas(64) sum least_[Reduction::counts ? most_places + 2 * width : 1];
    alignas(64) sum lifted_[fields * pitch];
    alignas(64) number<A> stage_[most + 2 * most_halo + width];
};

}}}} // namespace tarn::kernels
