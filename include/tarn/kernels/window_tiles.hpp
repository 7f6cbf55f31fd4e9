// SPDX-License-Identifier: BSD-3-Clause
//
// Gradients of windows that cover their planes like tiles, few elements each: no two have an element in common. Windows
// are reduced and give to their elements register by register, so that nothing is read or written twice. The bits are
// those of window_adjoint.
#pragma once

#include <tarn/kernels/square_ahead.hpp>
#include <tarn/kernels/tile_geometry.hpp>
#include <tarn/kernels/window_combiner.hpp>
#include <tarn/kernels/window_elements.hpp>
#include <tarn/kernels/window_shares.hpp>
#include <tarn/simd/strided.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Shares::rule: what windows give, in registers. One that reads them is made of a call.
//
//   reduction              what windows are reduced by, or void; windows_by is one
//   scales<Most>           what sums over windows are divided by, of up to so many columns: window_scales, or alike
//   windows                what it knows of windows
//   lift, finish           as of shares that have them, but for a last sum of others. Then reductions have of(e), states of
//                          lifted elements
//   others                 see has_others
//   takes_whole            see there
//   of(dy, state, scale)   these, from their gradients; without a reduction of(dy, scale)
//   add(sum, w, tap, e)    the sum and what windows w give to their elements `tap`
template <class A, class Shares> class window_tiles {
public:
    using call = typename Shares::call;

    TARN_INLINE static bool takes(const call& c) noexcept {
        const dispatch::window_axis* const a = c.windows.axis;
        return a[0].kernel <= most_rows && a[1].kernel <= most_rows && a[0].kernel * a[1].kernel <= most_rows &&
               (c.windows.lanes == 1 ? a[2].kernel == 2 : c.windows.lanes >= width && a[2].kernel <= most_columns) &&
               (!whole || (a[0].kernel * a[1].kernel == 2 && a[2].kernel == 2)) && are_tiles<A, reads>(c);
    }
    TARN_NOINLINE static void run(const call& c) noexcept {
        const window_tiles tiles(c);
        if constexpr (whole) {
            tiles.template run_planes<2>();
        } else {
            if (tiles.rows_ == 2 && c.windows.axis[2].kernel == 2)
                tiles.template run_planes<2>();
            else
                tiles.template run_planes<0>();
        }
    }

private:
    using rule = typename Shares::rule;
    using reduction = typename rule::reduction;
    static constexpr bool others = has_others<rule>::value;
    static constexpr bool whole = takes_whole<rule>::value;
    using element_sum = element_sums<A, Shares::sums - (others ? 1 : 0)>;
    static constexpr bool reads = !std::is_void<reduction>::value;
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr std::ptrdiff_t most_rows = 4;
    static constexpr std::ptrdiff_t most_columns = 4;
    template <int Rows> static constexpr bool may_be_columns = !whole && !Shares::lifts && (Rows > 0 || !reads);
    template <int Bytes> static constexpr auto numbers_in = static_cast<std::ptrdiff_t>(Bytes / sizeof(number<A>));
    static constexpr std::ptrdiff_t most_lanes = reads ? numbers_in<2048> : numbers_in<4096> - 1;

    // A row of windows.
    struct place {
        std::ptrdiff_t depth, height;
    };

    TARN_INLINE explicit window_tiles(const call& c) noexcept
        : c_(c), rule_(c), scale_(scale_of_whole(c.windows)), depth_(c.windows.axis[0]), height_(c.windows.axis[1]),
          columns_(c.windows.axis[2]), rows_(depth_.kernel * height_.kernel) {
        for (std::ptrdiff_t k = 0; k < rows_; ++k) {
            const std::ptrdiff_t d = k / height_.kernel;
            const std::ptrdiff_t h = k - d * height_.kernel;
            x_row_[k] = d * c.windows.x.step[0] + h * c.windows.x.step[1];
            dx_row_[k] = d * c.dx.step[0] + h * c.dx.step[1];
        }
    }

    // Of windows all taps of which are members.
    TARN_INLINE static auto scale_of_whole(const dispatch::window_planes& w) noexcept {
        typename rule::template scales<1> scales{};
        scales.begin(w.axis[2], 0, 1, w.divisor);
        scales.prepare(w.axis[0].kernel * w.axis[1].kernel);
        return scales.all_of(0);
    }

    // Rows: of a window, which has two columns; or 0 for any.
    template <int Rows> TARN_INLINE void run_planes() const noexcept {
        const dispatch::window_planes& w = c_.windows;
        for (std::ptrdiff_t p = 0; p < w.planes; ++p) {
            const auto row = [&](const dispatch::plane_operand& v, std::ptrdiff_t d, std::ptrdiff_t h)
                                 TARN_LAMBDA { return at(v, p * v.across + d * v.step[0] + h * v.step[1]); };
            each_row_of_tiles(
                w,
                [&](std::ptrdiff_t, std::ptrdiff_t d, std::ptrdiff_t h) TARN_LAMBDA {
                    const number<A>* const dy = row(c_.dy, d, h);
                    number<A>* const dx = row(c_.dx, d * depth_.kernel, h * height_.kernel);
                    const number<A>* const x = reads ? row(w.x, d * depth_.kernel, h * height_.kernel) : nullptr;
                    if (w.lanes == 1)
                        run_pairs<Rows>({d, h}, x, dy, dx);
                    else
                        run_lanes<Rows>({d, h}, x, dy, dx);
                    for (std::ptrdiff_t k = 0; k < rows_; ++k)
                        clear(dx + dx_row_[k], columns_.out * columns_.kernel);
                },
                [&](std::ptrdiff_t r) TARN_LAMBDA {
                    const std::ptrdiff_t d = quotient(r, height_.in);
                    clear(row(c_.dx, d, r - d * height_.in), 0);
                });
        }
    }
    TARN_INLINE static number<A>* at(const dispatch::plane_operand& v, std::ptrdiff_t offset) noexcept {
        return static_cast<number<A>*>(v.data) + offset;
    }
    // Columns from `first` on belong to no window.
    TARN_INLINE void clear(number<A>* dx, std::ptrdiff_t first) const noexcept {
        for (std::ptrdiff_t j = first; j < columns_.in; ++j) {
            for (std::ptrdiff_t i = 0; i < c_.windows.lanes; ++i)
                dx[j * c_.dx.step[2] + i] = 0;
        }
    }

    // What gradients of windows are divided by, or their shares: of `columns` side by side, or of one in all lanes.
    TARN_INLINE auto scale_at([[maybe_unused]] const place& row, [[maybe_unused]] std::ptrdiff_t column,
                              [[maybe_unused]] std::ptrdiff_t columns) const noexcept {
        if constexpr (whole)
            return rule_.shares_of(row.depth, row.height, column, static_cast<int>(columns));
        else
            return scale_;
    }

    // Windows of two columns side by side.
    template <int Rows>
    TARN_INLINE void run_pairs(const place& row, const number<A>* x, const number<A>* dy,
                               number<A>* dx) const noexcept {
        const std::ptrdiff_t n = columns_.out;
        const auto one = [&](std::ptrdiff_t i, numbers<A> gradient, auto load, auto store) TARN_LAMBDA {
            const auto element = [&](std::ptrdiff_t k, int t) TARN_LAMBDA {
                const number<A>* const p = x + x_row_[k] + 2 * i;
                const numbers<A> a = load(p, 0);
                const numbers<A> b = load(p + width, 1);
                return simd::unfolded<A>(t == 0 ? simd::even_lanes<A>(a, b) : simd::odd_lanes<A>(a, b));
            };
            give<Rows, 2>(gradient, scale_at(row, i, n < width ? n : width), 2, element,
                          [&](std::ptrdiff_t k, auto value) TARN_LAMBDA {
                              numbers<A> a = value(0);
                              numbers<A> b = value(1);
                              simd::interleave<A>(a, b);
                              number<A>* const p = dx + dx_row_[k] + 2 * i;
                              store(p, a, 0);
                              store(p + width, b, 1);
                          });
        };
        const auto load = [](const number<A>* p, int) TARN_LAMBDA { return numbers<A>::load_unaligned(p); };
        const auto store = [](number<A>* p, numbers<A> v, int) TARN_LAMBDA { v.store_unaligned(p); };
        if (n < width) {
            const int few = static_cast<int>(2 * n);
            one(
                0, simd::load_n<A>(dy, static_cast<int>(n)),
                [&](const number<A>* p, int k) TARN_LAMBDA { return simd::load_n<A>(p, few - k * width); },
                [&](number<A>* p, numbers<A> v, int k) TARN_LAMBDA { simd::store_n<A>(p, v, few - k * width); });
            return;
        }
        std::ptrdiff_t i = 0;
        for (; i + width <= n; i += width)
            one(i, numbers<A>::load_unaligned(dy + i), load, store);
        // The last register repeats what the one before has.
        if (i < n)
            one(n - width, numbers<A>::load_unaligned(dy + n - width), load, store);
    }
    // Window by window, lanes side by side.
    template <int Rows>
    TARN_INLINE void run_lanes(const place& row, const number<A>* x, const number<A>* dy,
                               number<A>* dx) const noexcept {
        if constexpr (may_be_columns<Rows>) {
            if (c_.windows.lanes <= most_lanes && c_.dx.step[2] <= most_lanes && shares_pages()) {
                run_columns<Rows>(x, dy, dx);
                return;
            }
        }
        run_in_turn<Rows>(row, x, dy, dx, 0, columns_.out);
    }
    // Whether cache lines of places of a page would come in turn: processors neither see ahead nor gather what they write
    // then.
    TARN_INLINE bool shares_pages() const noexcept {
        return c_.windows.lanes >= numbers_in<512> && c_.dx.step[2] < numbers_in<4096>;
    }
    // Windows first .. end - 1, places in turn.
    template <int Rows>
    TARN_INLINE void run_in_turn(const place& row, const number<A>* x, const number<A>* dy, number<A>* dx,
                                 std::ptrdiff_t first, std::ptrdiff_t end) const noexcept {
        const std::ptrdiff_t n = c_.windows.lanes;
        const std::ptrdiff_t x_step = c_.windows.x.step[2];
        const std::ptrdiff_t dx_step = c_.dx.step[2];
        const int kernel = Rows > 0 ? 2 : static_cast<int>(columns_.kernel);
        const bool asks = reads && !whole && Rows > 0 && shares_pages();
        for (std::ptrdiff_t j = first; j < end; ++j) {
            const auto scale = scale_at(row, j, 1);
            square_ahead<A> ahead(reads ? x + (j + 1) * kernel * x_step : nullptr, x_step, Rows > 0 ? x_row_[1] : 0, n);
            for (std::ptrdiff_t lane = 0; lane < n; lane += width) {
                if (asks)
                    ahead.ask();
                const std::ptrdiff_t i = register_at(lane);
                const auto element = [&](std::ptrdiff_t k, int t) TARN_LAMBDA {
                    return numbers<A>::load_unaligned(x + x_row_[k] + (j * kernel + t) * x_step + i);
                };
                give<Rows, Rows>(numbers<A>::load_unaligned(dy + j * c_.dy.step[2] + i), scale, kernel, element,
                                 [&](std::ptrdiff_t k, auto value) TARN_LAMBDA {
                                     number<A>* const p = dx + dx_row_[k] + j * kernel * dx_step + i;
                                     for (int t = 0; t < kernel; ++t)
                                         value(t).store_unaligned(p + t * dx_step);
                                 });
            }
        }
    }
    // The last register repeats what the one before has.
    TARN_INLINE std::ptrdiff_t register_at(std::ptrdiff_t lane) const noexcept {
        return lane + width > c_.windows.lanes ? c_.windows.lanes - width : lane;
    }
    // The same, column by column; what is known of a window waits in L1.
    template <int Rows>
    TARN_NOINLINE void run_columns(const number<A>* x, const number<A>* dy, number<A>* dx) const noexcept {
        const rule by = rule_;
        const auto scale = scale_;
        const std::ptrdiff_t n = c_.windows.lanes;
        const std::ptrdiff_t dx_step = c_.dx.step[2];
        const int kernel = Rows > 0 ? 2 : static_cast<int>(columns_.kernel);
        [[maybe_unused]] typename rule::windows windows[reads ? most_lanes / width : 1];
        for (std::ptrdiff_t j = 0; j < columns_.out; ++j, dy += c_.dy.step[2], dx += kernel * dx_step) {
            const auto each = [&](auto f) TARN_LAMBDA {
                std::ptrdiff_t lane = 0, m = 0;
                for (; lane + 2 * width <= n; lane += 2 * width, m += 2) {
                    f(lane, m);
                    f(lane + width, m + 1);
                }
                for (; lane < n; lane += width, ++m)
                    f(register_at(lane), m);
            };
            const auto element = [&](std::ptrdiff_t k, int t, std::ptrdiff_t i) TARN_LAMBDA {
                return numbers<A>::load_unaligned(x + x_row_[k] + (j * kernel + t) * c_.windows.x.step[2] + i);
            };
            if constexpr (reads) {
                typename reduction::state states[most_lanes / width];
                bool far = false;
                for (int t = 0; t < kernel; ++t) {
                    each([&](std::ptrdiff_t i, std::ptrdiff_t m) TARN_LAMBDA {
                        auto s = column_of<Rows>(by.windows_by, t, kernel,
                                                 [&](std::ptrdiff_t k, int) TARN_LAMBDA { return element(k, t, i); });
                        if (t > 0)
                            s = by.windows_by.combine(states[m], s);
                        states[m] = s;
                        if (t + 1 < kernel)
                            return;
                        const numbers<A> gradients = numbers<A>::load_unaligned(dy + i);
                        windows[m] = by.of(gradients, s, scale);
                        if constexpr (others)
                            far = far || xsimd::any(by.are_far(gradients, windows[m]));
                    });
                }
                if (far) {
                    run_in_turn<Rows>({}, x, dy - j * c_.dy.step[2], dx - j * kernel * dx_step, j, j + 1);
                    continue;
                }
            }
            for (int t = 0; t < kernel; ++t) {
                each([&](std::ptrdiff_t i, std::ptrdiff_t m) TARN_LAMBDA {
                    typename rule::windows w;
                    if constexpr (reads)
                        w = windows[m];
                    else
                        w = by.of(numbers<A>::load_unaligned(dy + i), scale);
                    each_row<Rows>([&](std::ptrdiff_t k) TARN_LAMBDA {
                        element_numbers<A, Shares::elements> e;
                        if constexpr (Shares::elements == 1)
                            e.number[0] = element(k, t, i);
                        value_of(by, w, k * kernel + t, e).store_unaligned(dx + dx_row_[k] + t * dx_step + i);
                    });
                });
            }
        }
    }

    // put(row, what it gives to the elements of its columns) for a register of windows. Rows, Columns: of a window, or 0
    // for any.
    template <int Rows, int Columns, class Scale, class Element, class Put>
    TARN_INLINE void give(numbers<A> dy, const Scale& scale, int columns, Element element, Put put) const noexcept {
        constexpr bool held = reads && Rows > 0;
        const int kernel = Columns > 0 ? Columns : columns;
        const auto lifted = [&](std::ptrdiff_t k, int t) TARN_LAMBDA { return lifted_by(rule_, element(k, t)); };
        decltype(lifted(0, 0)) x[held ? Rows : 1][held ? 2 : 1];
        if constexpr (held) {
            each_row<Rows>([&](std::ptrdiff_t k) TARN_LAMBDA {
                x[k][0] = lifted(k, 0);
                x[k][1] = lifted(k, 1);
            });
        }
        const auto element_at = [&](std::ptrdiff_t k, int t) TARN_LAMBDA {
            if constexpr (held)
                return x[k][t];
            else
                return lifted(k, t);
        };
        typename rule::windows w;
        if constexpr (!reads) {
            w = rule_.of(dy, scale);
        } else if constexpr (whole) {
            w = rule_.of(dy, few_elements<A, 2, 2>{{{x[0][0], x[0][1]}, {x[1][0], x[1][1]}}}, scale);
        } else {
            w = rule_.of(dy, state_of<Rows>(rule_.windows_by, kernel, element_at), scale);
            if constexpr (others) {
                const auto far = rule_.are_far(dy, w);
                if (xsimd::any(far)) {
                    give_far<Rows>(dy, kernel, rule_.near(w, far), far, element, put);
                    return;
                }
            }
        }
        const auto value = [&](std::ptrdiff_t k, int t) TARN_LAMBDA {
            element_numbers<A, Shares::elements> e;
            if constexpr (Shares::lifts)
                e = element_at(k, t);
            else if constexpr (Shares::elements == 1)
                e.number[0] = element_at(k, t);
            return value_of(rule_, w, k * kernel + t, e);
        };
        each_row<Rows>([&](std::ptrdiff_t k) TARN_LAMBDA { put(k, [&](int t) TARN_LAMBDA { return value(k, t); }); });
    }
    TARN_INLINE static auto lifted_by([[maybe_unused]] const rule& by, numbers<A> x) noexcept {
        if constexpr (Shares::lifts)
            return by.lift(x);
        else
            return x;
    }
    template <class Windows>
    TARN_INLINE static numbers<A> value_of(const rule& by, const Windows& w, std::ptrdiff_t tap,
                                           const element_numbers<A, Shares::elements>& e) noexcept {
        const numbers<A> zero(number<A>(0));
        const auto sum = by.add(element_sum::of([&](int) TARN_LAMBDA { return zero; }), w,
                                numbers<A>(static_cast<number<A>>(tap)), e);
        if constexpr (Shares::finishes)
            return by.finish(sum, e);
        else
            return sum;
    }
    // The same where windows are others'.
    template <int Rows, class Windows, class Mask, class Element, class Put>
    TARN_NOINLINE void give_far(numbers<A> dy, int kernel, const Windows& near, const Mask& are_far, Element element,
                                Put put) const noexcept {
        const auto s = state_of<Rows>(rule_.far.windows_by, kernel, element);
        const numbers<A> zero(number<A>(0));
        const auto far = rule_.far.of(simd::select<A>(are_far, dy, zero), s, scale_);
        each_row<Rows>([&](std::ptrdiff_t k) TARN_LAMBDA {
            put(k, [&](int t) TARN_LAMBDA {
                element_numbers<A, Shares::elements> e;
                if constexpr (Shares::lifts)
                    e = rule_.lift(element(k, t));
                else
                    e.number[0] = element(k, t);
                return value_of(rule_, near, k * kernel + t, e) + rule_.far.add(zero, far, element(k, t));
            });
        });
    }
    template <int Rows, class F> TARN_INLINE void each_row(F f) const noexcept {
        if constexpr (Rows > 0) {
            simd::unroll<Rows>([&](auto k) TARN_LAMBDA { f(decltype(k)::value); });
        } else {
            for (std::ptrdiff_t k = 0; k < rows_; ++k)
                f(k);
        }
    }
    // Of elements, or of lifted ones.
    template <int Rows, class Reduction, class Element>
    TARN_INLINE auto state_of(const Reduction& by, int kernel, Element element) const noexcept {
        auto s = column_of<Rows>(by, 0, kernel, element);
        for (int t = 1; t < kernel; ++t)
            s = by.combine(s, column_of<Rows>(by, t, kernel, element));
        return s;
    }
    template <int Rows, class Reduction, class Element>
    TARN_INLINE auto column_of(const Reduction& by, int t, int kernel, Element element) const noexcept {
        typename Reduction::state s;
        if constexpr (!std::is_same<decltype(element(0, t)), numbers<A>>::value) {
            const std::ptrdiff_t rows = Rows > 0 ? Rows : rows_;
            s = by.of(element(0, t));
            for (std::ptrdiff_t k = 1; k < rows; ++k)
                s = by.combine(s, by.of(element(k, t)));
        } else if constexpr (Rows > 0) {
            s = window_combiner<A, Reduction>(by).template few<Rows>(0,
                                                                     [&](int k) TARN_LAMBDA { return element(k, t); });
        } else {
            s = by.lift(element(0, t), 0);
            for (std::ptrdiff_t k = 1; k < rows_; ++k)
                s = by.combine(s, by.lift(element(k, t), k));
        }
        return by.at_column(s, t, kernel);
    }

    const call& c_;
    const rule rule_;
    const decltype(scale_of_whole(dispatch::window_planes{})) scale_;
    const dispatch::window_axis &depth_, &height_, &columns_;
    std::ptrdiff_t rows_; // of a window
    std::ptrdiff_t x_row_[most_rows], dx_row_[most_rows];
};

}}}} // namespace tarn::kernels
