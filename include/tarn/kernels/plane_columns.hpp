// SPDX-License-Identifier: BSD-3-Clause
//
// Elements of planes as columns, the same element of all planes side by side, and back.
#pragma once

#include <tarn/dispatch/pool_table.hpp>
#include <tarn/kernels/convert.hpp>
#include <tarn/simd/transpose.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> class plane_columns {
public:
    static constexpr auto width = static_cast<std::ptrdiff_t>(numbers<A>::size);

    // n elements of up to `width` planes, from `from` on as v has them, to a register each. The first plane also stands
    // for those that are not.
    TARN_NOINLINE void load(const char* from, const dispatch::plane_operand& v, std::ptrdiff_t planes, std::ptrdiff_t n,
                            number<A>* to) noexcept {
        const bool staged = !direct(v);
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const int some = n - i < width ? static_cast<int>(n - i) : static_cast<int>(width);
            const number<A>* p = reinterpret_cast<const number<A>*>(from) + i;
            std::ptrdiff_t across = v.across;
            if (staged) {
                char* const first = const_cast<char*>(from) + i * v.step[2] * detail::size_of(v.type);
                convert<A>::widen({{first, v.type, v.step[2], v.across}, stage_, width, planes, some});
                p = stage_;
                across = width;
            }
            numbers<A> r[width];
            each_of_width([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                r[K] = simd::load_n<A>(K < planes ? p + K * across : p, some);
                if (K < planes && !staged)
                    simd::prefetch<A>(p + K * across + ahead);
            });
            simd::transpose<A>(r);
            each_of_width([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                if (K < some)
                    r[K].store_aligned(to + (i + K) * width);
            });
        }
    }
    TARN_NOINLINE void store(char* to, const dispatch::plane_operand& v, std::ptrdiff_t planes, std::ptrdiff_t n,
                             const number<A>* from) noexcept {
        const bool staged = !direct(v);
        const std::ptrdiff_t across = staged ? width : v.across;
        for (std::ptrdiff_t i = 0; i < n; i += width) {
            const int some = n - i < width ? static_cast<int>(n - i) : static_cast<int>(width);
            number<A>* const p = staged ? stage_ : reinterpret_cast<number<A>*>(to) + i;
            numbers<A> r[width];
            each_of_width([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                r[K] = numbers<A>::load_aligned(from + (K < some ? i + K : i) * width);
            });
            simd::transpose<A>(r);
            each_of_width([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                if (K < planes)
                    simd::store_n<A>(p + K * across, r[K], some);
                if (K < planes && !staged)
                    simd::prefetch<A>(p + K * across + ahead);
            });
            if (staged) {
                char* const first = to + i * v.step[2] * detail::size_of(v.type);
                convert<A>::narrow({{first, v.type, v.step[2], v.across}, stage_, width, planes, some});
            }
        }
    }

private:
    // Lines of as many planes are more than what hardware follows: they are asked for so many numbers before.
    static constexpr std::ptrdiff_t ahead = 512 / static_cast<std::ptrdiff_t>(sizeof(number<A>));

    template <class F> TARN_INLINE static void each_of_width(F f) noexcept { simd::unroll<static_cast<int>(width)>(f); }
    TARN_INLINE static bool direct(const dispatch::plane_operand& v) noexcept {
        return v.type == element_traits<number<A>>::value && v.step[2] == 1;
    }

    alignas(64) number<A> stage_[width * width];
};

}}}} // namespace tarn::kernels
