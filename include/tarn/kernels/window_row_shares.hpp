// SPDX-License-Identifier: BSD-3-Clause
//
// What a row of windows gives to its elements, a register of lanes at a time.
#pragma once

#include <tarn/kernels/window_combiner.hpp>
#include <tarn/kernels/window_shares.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// The states of columns of a row of windows, or none.
template <class A, class Reduction, std::ptrdiff_t Columns> class column_states {
public:
    using state = typename Reduction::state;
    using combiner = window_combiner<A, Reduction>;

    TARN_INLINE void put(std::ptrdiff_t i, const state& s) noexcept {
        combiner::store_state(s, line_ + i * width, pitch);
    }
    TARN_INLINE state at(std::ptrdiff_t i) const noexcept { return combiner::load_state(line_ + i * width, pitch); }

private:
    static constexpr auto width = static_cast<std::ptrdiff_t>(numbers<A>::size);
    static constexpr std::ptrdiff_t pitch = Columns * width;

    alignas(64) typename state::number line_[Reduction::fields * pitch];
};
template <class A, std::ptrdiff_t Columns> class column_states<A, void, Columns> {};

// Columns: how many may be held, at most so many windows among them. Field: see places.
template <class A, class Shares, std::ptrdiff_t Columns, std::ptrdiff_t Field> class window_row_shares {
public:
    using call = typename Shares::call;
    using rule = typename Shares::rule;
    using reduction = typename rule::reduction;
    static constexpr bool reads = !std::is_void<reduction>::value;
    static constexpr std::ptrdiff_t most_rows = 16;

    // Numbers that are held of an element, for reductions and for shares.
    static constexpr int held_numbers = Shares::lifts ? Shares::elements : reads ? 1 : 0;
    static constexpr bool others = has_others<rule>::value;
    static constexpr int rule_sums = Shares::sums - (others ? 1 : 0);
    using element_sum = element_sums<A, rule_sums>;

    // The members' rows and their sums from the first held column on, gradients from the first window on; and from column
    // to column. Further numbers and sums of an element are `Field` numbers behind the one before.
    struct places {
        const number<A>* x[most_rows];
        number<A>* sum[most_rows];
        const number<A>* dy;
        std::ptrdiff_t x_pitch, pitch;
    };

    TARN_INLINE explicit window_row_shares(const call& c) noexcept : c_(c), rule_(c) {}

    // Windows first .. end - 1, whose members lie in `held` columns from `column` on.
    TARN_INLINE void begin(std::ptrdiff_t first, std::ptrdiff_t end, std::ptrdiff_t column,
                           std::ptrdiff_t held) noexcept {
        if (first == first_ && end == end_ && column == column_ && held == held_)
            return;
        first_ = first;
        end_ = end;
        column_ = column;
        held_ = held;
        const dispatch::window_axis& a = c_.windows.axis[2];
        scales_.begin(a, first, end - first, c_.windows.divisor);
        const auto is_whole = [&](std::ptrdiff_t j) TARN_LAMBDA { return window_taps::of(a, j).count == a.kernel; };
        whole_ = first;
        while (whole_ < end && !is_whole(whole_))
            ++whole_;
        whole_end_ = end;
        while (whole_end_ > whole_ && !is_whole(whole_end_ - 1))
            --whole_end_;
    }
    // Of n elements, which are the last of the numbers that are held of them, the others. n: whole registers.
    TARN_INLINE void lift(number<A>* x, std::ptrdiff_t n) const noexcept {
        const rule by = rule_;
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const auto e = by.lift(numbers<A>::load_aligned(x + (held_numbers - 1) * Field + i));
            simd::unroll<held_numbers - 1>([&](auto f) TARN_LAMBDA {
                e.number[decltype(f)::value].store_aligned(x + decltype(f)::value * Field + i);
            });
        }
    }
    // In place of the first sums, gradients.
    TARN_INLINE void finish(const number<A>* x, number<A>* sum, std::ptrdiff_t n) const noexcept {
        const rule by = rule_;
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            numbers<A> v = by.finish(sums_at(sum + i), elements_at(x + i));
            if constexpr (others)
                v = v + numbers<A>::load_aligned(sum + (Shares::sums - 1) * Field + i);
            v.store_aligned(sum + i);
        }
    }
    // Those of depth d and row o are next.
    TARN_INLINE void prepare(std::ptrdiff_t d, std::ptrdiff_t o) noexcept {
        const dispatch::window_planes& w = c_.windows;
        const bool padding = w.divisor.count_padding;
        scales_.prepare(window_taps::counted(w.axis[0], d, padding) * window_taps::counted(w.axis[1], o, padding));
    }
    // What those give whose rows are these taps.
    TARN_INLINE void run(const window_taps& taps, const places& at) noexcept {
        if constexpr (!simd::is_double<A>) {
            const dispatch::window_axis& a = c_.windows.axis[2];
            // Rows, columns and stride as digits.
            const std::ptrdiff_t shape =
                a.dilation == 1 && a.kernel <= 3 ? 100 * taps.count + 10 * a.kernel + a.stride : 0;
            switch (shape) {
            case 331:
                return run_few<3, 3, 1>(taps, at);
            case 231:
                return run_few<2, 3, 1>(taps, at);
            case 332:
                return run_few<3, 3, 2>(taps, at);
            case 232:
                return run_few<2, 3, 2>(taps, at);
            case 222:
                return run_few<2, 2, 2>(taps, at);
            default:
                break;
            }
        }
        run_any(taps, at);
    }

private:
    static constexpr auto width = static_cast<std::ptrdiff_t>(numbers<A>::size);
    struct nothing {};

    // f(by, states of columns are done) with what windows are reduced by.
    template <int Rows, class F>
    TARN_INLINE void with_columns(const window_taps& taps, const places& at, F f) noexcept {
        if constexpr (!reads) {
            f(nothing{});
        } else if constexpr (std::is_void<typename reduction::looks_for>::value) {
            reduce_columns<Rows>(rule_.windows_by, taps, at);
            f(rule_.windows_by);
        } else {
            // As if nothing was there to be seen, and once more if there was.
            typename reduction::looks_for seen;
            rule_.windows_by.pick(seen,
                                  [&](const auto& quick) TARN_LAMBDA { reduce_columns<Rows>(quick, taps, at, seen); });
            rule_.windows_by.pick(seen, [&](const auto& by) TARN_LAMBDA {
                if constexpr (std::is_same<decltype(by), const reduction&>::value)
                    reduce_columns<Rows>(by, taps, at);
                f(by);
            });
        }
    }
    // The states of the held columns. Rows: how many, or 0 for any. Seen: what elements are looked through for.
    template <int Rows, class By, class... Look>
    TARN_INLINE void reduce_columns(const By& by, const window_taps& taps, const places& at, Look&... seen) noexcept {
        const window_combiner<A, By> of(by);
        const std::ptrdiff_t n = held_;
        const std::ptrdiff_t rows = taps.count;
        const std::ptrdiff_t pitch = at.x_pitch;
        constexpr int most = Rows > 0 ? Rows : static_cast<int>(most_rows);
        const number<A>* row[most];
        for (int k = 0; k < most; ++k)
            row[k] = k < rows ? at.x[k] : nullptr;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const auto load = [&](std::ptrdiff_t k)
                                  TARN_LAMBDA { return numbers<A>::load_unaligned(row[k] + i * pitch); };
            if constexpr (Shares::lifts) {
                const auto lifted = [&](std::ptrdiff_t k)
                                        TARN_LAMBDA { return by.of(elements_at(row[k] + i * pitch)); };
                auto s = lifted(0);
                if constexpr (Rows > 0) {
                    simd::unroll<Rows - 1>([&](auto k)
                                               TARN_LAMBDA { s = by.combine(s, lifted(decltype(k)::value + 1)); });
                } else {
                    for (std::ptrdiff_t k = 1; k < rows; ++k)
                        s = by.combine(s, lifted(k));
                }
                states_.put(i, s);
            } else if constexpr (Rows > 0) {
                numbers<A> x[Rows];
                simd::unroll<Rows>([&](auto k) TARN_LAMBDA { x[decltype(k)::value] = load(decltype(k)::value); });
                (seen.add(x[0], x[1]), ...);
                if constexpr (Rows > 2)
                    (seen.add(x[2]), ...);
                states_.put(i, of.template few<Rows>(taps.first, [&](int k) TARN_LAMBDA { return x[k]; }));
            } else {
                numbers<A> x = load(0);
                (seen.add(x), ...);
                auto s = by.lift(x, taps.first);
                for (std::ptrdiff_t k = 1; k < rows; ++k) {
                    x = load(k);
                    (seen.add(x), ...);
                    s = of.append(s, by.lift(x, taps.first + k));
                }
                states_.put(i, s);
            }
        }
    }
    // What window j gives to its elements, from its gradients: `count` columns of taps `first` and behind, that lie `step`
    // apart from the one held in place i on. Count: the same, or 0 for any. What others give is given at once.
    template <int Count, class By>
    TARN_INLINE auto windows_of([[maybe_unused]] const By& by, [[maybe_unused]] const window_taps& taps,
                                [[maybe_unused]] const places& at, numbers<A> dy, std::ptrdiff_t j,
                                [[maybe_unused]] std::ptrdiff_t i, [[maybe_unused]] std::ptrdiff_t step,
                                [[maybe_unused]] std::ptrdiff_t first, [[maybe_unused]] std::ptrdiff_t count,
                                [[maybe_unused]] std::ptrdiff_t kernel) const noexcept {
        const auto scale = scales_.all_of(j - first_);
        if constexpr (!reads) {
            return rule_.of(dy, scale);
        } else {
            const auto column = [&](std::ptrdiff_t t)
                                    TARN_LAMBDA { return by.at_column(states_.at(i + t * step), first + t, kernel); };
            typename reduction::state s = column(0);
            if constexpr (Count > 0) {
                simd::unroll<Count - 1>([&](auto t) TARN_LAMBDA { s = by.combine(s, column(decltype(t)::value + 1)); });
            } else {
                for (std::ptrdiff_t t = 1; t < count; ++t)
                    s = by.combine(s, column(t));
            }
            auto w = rule_.of(dy, s, scale);
            if constexpr (others) {
                const auto far = rule_.are_far(dy, w);
                if (xsimd::any(far)) {
                    give_far(taps, at, simd::select<A>(far, dy, numbers<A>(number<A>(0))), scale, i, step, count);
                    w = rule_.near(w, far);
                }
            }
            return w;
        }
    }
    // What windows give that are others', to the last sums. The gradients of the rest are 0.
    template <class Scale>
    TARN_NOINLINE void give_far(const window_taps& taps, const places& at, numbers<A> dy, const Scale& scale,
                                std::ptrdiff_t i, std::ptrdiff_t step, std::ptrdiff_t count) const noexcept {
        if constexpr (others) {
            const auto& by = rule_.far.windows_by;
            const auto x = [&](std::ptrdiff_t k, std::ptrdiff_t t) TARN_LAMBDA {
                return numbers<A>::load_unaligned(at.x[k] + (held_numbers - 1) * Field + (i + t * step) * at.x_pitch);
            };
            const auto column = [&](std::ptrdiff_t t) TARN_LAMBDA {
                auto s = by.lift(x(0, t), taps.first);
                for (std::ptrdiff_t k = 1; k < taps.count; ++k)
                    s = by.combine(s, by.lift(x(k, t), taps.first + k));
                return s;
            };
            auto s = column(0);
            for (std::ptrdiff_t t = 1; t < count; ++t)
                s = by.combine(s, column(t));
            const auto far = rule_.far.of(dy, s, scale);
            for (std::ptrdiff_t k = 0; k < taps.count; ++k) {
                for (std::ptrdiff_t t = 0; t < count; ++t) {
                    number<A>* const sum = at.sum[k] + (Shares::sums - 1) * Field + (i + t * step) * at.pitch;
                    rule_.far.add(numbers<A>::load_unaligned(sum), far, x(k, t)).store_unaligned(sum);
                }
            }
        }
    }
    TARN_INLINE static element_numbers<A, Shares::elements> elements_at([[maybe_unused]] const number<A>* x) noexcept {
        element_numbers<A, Shares::elements> e;
        if constexpr (Shares::elements > 0) {
            simd::unroll<Shares::elements>([&](auto f) TARN_LAMBDA {
                e.number[decltype(f)::value] = numbers<A>::load_unaligned(x + decltype(f)::value * Field);
            });
        }
        return e;
    }
    TARN_INLINE static typename element_sum::type sums_at(const number<A>* p) noexcept {
        return element_sum::of([&](int f) TARN_LAMBDA { return numbers<A>::load_unaligned(p + f * Field); });
    }
    template <class Sums> TARN_INLINE static void put(Sums sum, number<A>* p) noexcept {
        simd::unroll<rule_sums>([&](auto f) TARN_LAMBDA {
            constexpr int F = decltype(f)::value;
            element_sum::part(sum, F).store_unaligned(p + F * Field);
        });
    }

    TARN_NOINLINE void run_any(const window_taps& taps, const places& at) noexcept {
        with_columns<0>(taps, at, [&](const auto& by) TARN_LAMBDA { give_any(by, taps, at); });
    }
    template <class By> TARN_INLINE void give_any(const By& by, const window_taps& taps, const places& at) noexcept {
        const dispatch::window_axis a = c_.windows.axis[2];
        for (std::ptrdiff_t j = first_; j < end_; ++j) {
            const window_taps across = window_taps::of(a, j);
            if (across.count == 0)
                continue;
            const std::ptrdiff_t first = across.start + across.first * a.dilation - column_;
            const numbers<A> dy = numbers<A>::load_unaligned(at.dy + (j - first_) * at.pitch);
            const auto w = windows_of<0>(by, taps, at, dy, j, first, a.dilation, across.first, across.count, a.kernel);
            for (std::ptrdiff_t k = 0; k < taps.count; ++k) {
                const std::ptrdiff_t tap = (taps.first + k) * a.kernel + across.first;
                const number<A>* x = reads ? at.x[k] + first * at.x_pitch : nullptr;
                number<A>* sum = at.sum[k] + first * at.pitch;
                const std::ptrdiff_t step = a.dilation * at.pitch;
                const std::ptrdiff_t x_step = reads ? a.dilation * at.x_pitch : 0;
                for (std::ptrdiff_t t = 0; t < across.count; ++t, x += x_step, sum += step)
                    put(rule_.add(sums_at(sum), w, numbers<A>(static_cast<number<A>>(tap + t)), elements_at(x)), sum);
            }
        }
    }
    // Windows of a few columns, and rows. Where all columns are members sums stay in registers as long as windows add to
    // them.
    template <int Rows, int Kernel, int Stride>
    TARN_NOINLINE void run_few(const window_taps& taps, const places& at) noexcept {
        with_columns<Rows>(taps, at, [&](const auto& given) TARN_LAMBDA {
            const auto by = given;
            give_beside<Rows, Kernel>(by, taps, at, first_, whole_);
            if (whole_ < whole_end_)
                give_whole<Rows, Kernel, Stride>(by, taps, at);
            give_beside<Rows, Kernel>(by, taps, at, whole_end_, end_);
        });
    }
    // Windows begin .. end - 1, not all columns of which are members.
    template <int Rows, int Kernel, class By>
    TARN_INLINE void give_beside(const By& by, const window_taps& taps, const places& at, std::ptrdiff_t begin,
                                 std::ptrdiff_t end) noexcept {
        const dispatch::window_axis& a = c_.windows.axis[2];
        for (std::ptrdiff_t j = begin; j < end; ++j) {
            const std::ptrdiff_t start = j * a.stride - a.before;
            const std::ptrdiff_t first = start < 0 ? -start : 0;
            const std::ptrdiff_t last = a.in - start < Kernel ? a.in - start : Kernel;
            const std::ptrdiff_t i = start - column_;
            const numbers<A> dy = numbers<A>::load_unaligned(at.dy + (j - first_) * at.pitch);
            const auto w = windows_of<0>(by, taps, at, dy, j, i + first, 1, first, last - first, Kernel);
            for (std::ptrdiff_t t = first; t < last; ++t) {
                simd::unroll<Rows>([&](auto k) TARN_LAMBDA {
                    constexpr int K = decltype(k)::value;
                    number<A>* const sum = at.sum[K] + (i + t) * at.pitch;
                    const numbers<A> tap(static_cast<number<A>>((taps.first + K) * Kernel + t));
                    const auto e = elements_at(reads ? at.x[K] + (i + t) * at.x_pitch : nullptr);
                    put(rule_.add(sums_at(sum), w, tap, e), sum);
                });
            }
        }
    }
    template <int Rows, int Kernel, int Stride, class By>
    TARN_INLINE void give_whole(const By& by, const window_taps& taps, const places& at) noexcept {
        const rule rules = rule_;
        const std::ptrdiff_t begin = whole_;
        const std::ptrdiff_t n = whole_end_ - begin;
        const std::ptrdiff_t first = begin * Stride - c_.windows.axis[2].before - column_;
        const std::ptrdiff_t pitch = at.pitch;
        const std::ptrdiff_t x_pitch = at.x_pitch;
        const number<A>* dy = at.dy + (begin - first_) * pitch;
        const number<A>* x[Rows];
        number<A>* place[Rows];
        typename element_sum::type sum[Rows][Kernel];
        numbers<A> tap[Rows];
        simd::unroll<Rows>([&](auto row) TARN_LAMBDA {
            constexpr int K = decltype(row)::value;
            x[K] = reads ? at.x[K] + first * x_pitch : nullptr;
            place[K] = at.sum[K] + first * pitch;
            tap[K] = numbers<A>(static_cast<number<A>>((taps.first + K) * Kernel));
            simd::unroll<Kernel>([&](auto t) TARN_LAMBDA {
                constexpr int T = decltype(t)::value;
                sum[K][T] = sums_at(place[K] + T * pitch);
            });
        });
        for (std::ptrdiff_t j = 0;; ++j, dy += pitch) {
            const auto w = windows_of<Kernel>(by, taps, at, numbers<A>::load_unaligned(dy), begin + j,
                                              first + j * Stride, 1, 0, Kernel, Kernel);
            simd::unroll<Rows>([&](auto row) TARN_LAMBDA {
                constexpr int K = decltype(row)::value;
                simd::unroll<Kernel>([&](auto t) TARN_LAMBDA {
                    constexpr int T = decltype(t)::value;
                    const auto e = elements_at(reads ? x[K] + T * x_pitch : nullptr);
                    sum[K][T] = rules.add(sum[K][T], w, tap[K] + numbers<A>(number<A>(T)), e);
                });
            });
            if (j + 1 == n)
                break;
            simd::unroll<Rows>([&](auto row) TARN_LAMBDA {
                constexpr int K = decltype(row)::value;
                simd::unroll<Stride>([&](auto t) TARN_LAMBDA {
                    constexpr int T = decltype(t)::value;
                    put(sum[K][T], place[K] + T * pitch);
                });
                x[K] += reads ? Stride * x_pitch : 0;
                place[K] += Stride * pitch;
                simd::unroll<Kernel>([&](auto t) TARN_LAMBDA {
                    constexpr int T = decltype(t)::value;
                    if constexpr (T + Stride < Kernel)
                        sum[K][T] = sum[K][T + Stride];
                    else
                        sum[K][T] = sums_at(place[K] + T * pitch);
                });
            });
        }
        simd::unroll<Rows>([&](auto row) TARN_LAMBDA {
            constexpr int K = decltype(row)::value;
            simd::unroll<Kernel>([&](auto t) TARN_LAMBDA {
                constexpr int T = decltype(t)::value;
                put(sum[K][T], place[K] + T * pitch);
            });
        });
    }

    const call& c_;
    const rule rule_;
    std::ptrdiff_t first_ = 0, end_ = 0, column_ = 0, held_ = 0;
    std::ptrdiff_t whole_ = 0, whole_end_ = 0; // windows all of whose columns are members
    typename rule::template scales<Columns> scales_;
    column_states<A, reduction, Columns> states_;
};

}}}} // namespace tarn::kernels
