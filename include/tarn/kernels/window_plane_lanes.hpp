// SPDX-License-Identifier: BSD-3-Clause
//
// Small planes of one window each: some of them at once as lanes, so that no register is filled in part and what ends a
// window is done for a register of them.
#pragma once

#include <tarn/kernels/window_lines.hpp>
#include <tarn/simd/transpose.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, class Reduction> class window_plane_lanes {
public:
    TARN_INLINE static bool takes(const dispatch::window_planes& c) noexcept {
        const dispatch::window_axis* const a = c.axis;
        constexpr auto own = element_traits<number<A>>::value;
        const bool dense = c.x.step[2] == 1 && (a[1].in == 1 || c.x.step[1] == a[2].in) &&
                           (a[0].in == 1 || c.x.step[0] == a[1].in * a[2].in);
        return Reduction::kept == 0 && c.lanes == 1 && c.planes >= width && a[0].out * a[1].out * a[2].out == 1 &&
               c.last_row - c.first_row == 1 && c.x.type == own && c.y.type == own && c.y.across == 1 && dense &&
               size_of(c) > 0 && size_of(c) * width <= room && are_small(c);
    }
    // As many planes as fill registers; how many.
    TARN_NOINLINE static std::ptrdiff_t run(const dispatch::window_planes& c) noexcept {
        alignas(64) number<A> lanes[room];
        const std::ptrdiff_t n = size_of(c);
        const std::ptrdiff_t all = c.planes / width * width;
        const std::ptrdiff_t most = room / n / width * width;
        dispatch::window_planes some = c;
        some.planes = 1;
        some.x.data = lanes;
        for (std::ptrdiff_t p = 0; p < all; p += some.lanes) {
            some.lanes = most < all - p ? most : all - p;
            some.x.step[0] = c.axis[1].in * c.axis[2].in * some.lanes;
            some.x.step[1] = c.axis[2].in * some.lanes;
            some.x.step[2] = some.lanes;
            some.y.data = static_cast<number<A>*>(c.y.data) + p;
            const auto* const x = static_cast<const number<A>*>(c.x.data) + p * c.x.across;
            // The next planes are loaded when these are done. They are asked for one cache line after the other.
            const number<A>* ahead = x + some.lanes * c.x.across;
            for (std::ptrdiff_t k = 0; k < some.lanes; k += width)
                load(x + k * c.x.across, c.x.across, n, some.lanes, lanes + k, ahead);
            window_lines<A, Reduction>::run(some);
        }
        return all;
    }

private:
    // Whether registers would be filled in part, or what ends a window takes longer than a row of it.
    TARN_INLINE static bool are_small(const dispatch::window_planes& c) noexcept {
        constexpr bool wide = sizeof(typename Reduction::state::number) > sizeof(number<A>);
        return Reduction::fields > 1 ? 2 * c.axis[2].in <= width : wide || size_of(c) <= 64;
    }

    static constexpr int width = static_cast<int>(numbers<A>::size);
    // Lines of several fields leave less of the stack.
    static constexpr std::ptrdiff_t room =
        (Reduction::fields > 1 ? 6272 : 12288) / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    TARN_INLINE static std::ptrdiff_t size_of(const dispatch::window_planes& c) noexcept {
        return c.axis[0].in * c.axis[1].in * c.axis[2].in;
    }
    // A register of planes of n numbers to lanes, from number to number `pitch` apart.
    TARN_INLINE static void load(const number<A>* x, std::ptrdiff_t across, std::ptrdiff_t n, std::ptrdiff_t pitch,
                                 number<A>* to, const number<A>*& ahead) noexcept {
        const auto square = [&](std::ptrdiff_t i, int count, auto get) TARN_LAMBDA {
            numbers<A> rows[width];
            simd::unroll<width>([&](auto j) TARN_LAMBDA {
                constexpr int J = decltype(j)::value;
                const number<A>* const p = x + J * across + i;
                simd::prefetch<A>(ahead);
                ahead += width;
                rows[J] = get(p);
            });
            simd::transpose<A>(rows);
            simd::unroll<width>([&](auto j) TARN_LAMBDA {
                constexpr int J = decltype(j)::value;
                if (J < count)
                    rows[J].store_unaligned(to + (i + J) * pitch);
            });
        };
        if (n < width) {
            const int few = static_cast<int>(n);
            square(0, few, [&](const number<A>* p) TARN_LAMBDA { return simd::load_n<A>(p, few); });
            return;
        }
        // The last square repeats what the one before has.
        for (std::ptrdiff_t i = 0; i < n; i += width)
            square(i + width > n ? n - width : i, width,
                   [](const number<A>* p) TARN_LAMBDA { return numbers<A>::load_unaligned(p); });
    }
};

}}}} // namespace tarn::kernels
