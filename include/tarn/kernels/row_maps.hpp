// SPDX-License-Identifier: BSD-3-Clause
//
// Loops that turn a row into results, pack by pack.
#pragma once

#include <tarn/kernels/access.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Elements from p to the next cache line.
template <class A> TARN_INLINE std::ptrdiff_t elements_to_line(const number<A>* p) noexcept {
    const auto past = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(p) / sizeof(*p)) % lanes<A>;
    return past ? lanes<A> - past : 0;
}

// Whether rows of n elements, so far apart, begin and end with cache lines.
template <class A>
TARN_INLINE bool are_whole_lines(const number<A>* rows, std::ptrdiff_t across, std::ptrdiff_t n) noexcept {
    return n % lanes<A> == 0 && across % lanes<A> == 0 && elements_to_line<A>(rows) == 0;
}

// f of each pack of a row to y, from the end towards the start: what was written last is still in the cache.
template <class A, class Source, class Sink, class F>
TARN_INLINE void map_row_backwards(Source e, Sink y, std::ptrdiff_t n, F f) noexcept {
    std::ptrdiff_t i = n / (4 * lanes<A>)*(4 * lanes<A>);
    for (std::ptrdiff_t at = i; at < n; at += lanes<A>) {
        const int count = n - at < lanes<A> ? static_cast<int>(n - at) : lanes<A>;
        y.put_first(at, f(e.first(at, count)), count);
    }
    while (i > 0) {
        i -= 4 * lanes<A>;
        simd::unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr std::ptrdiff_t at = (3 - decltype(k)::value) * lanes<A>;
            y.put(i + at, f(e.at(i + at)));
        });
    }
}

// The same forwards, from element i on.
template <class A, class Source, class Sink, class F>
TARN_INLINE void map_row(Source e, Sink y, std::ptrdiff_t i, std::ptrdiff_t n, F f) noexcept {
    for (; i + 4 * lanes<A> <= n; i += 4 * lanes<A>) {
        e.prefetch(i);
        simd::unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr std::ptrdiff_t at = decltype(k)::value * lanes<A>;
            y.put(i + at, f(e.at(i + at)));
        });
    }
    for (; i < n; i += lanes<A>) {
        const int count = n - i < lanes<A> ? static_cast<int>(n - i) : lanes<A>;
        y.put_first(i, f(e.first(i, count)), count);
    }
}

// f of each pack of a row to y: a partial store up to the first cache line of y, then whole lines.
template <class A, class Source, class F>
TARN_INLINE void map_row_to_lines(Source e, number<A>* y, std::ptrdiff_t n, bool stream, F f) noexcept {
    std::ptrdiff_t head = elements_to_line<A>(y);
    head = head < n ? head : n;
    if (head > 0)
        unit_sink<A>{y}.put_first(0, f(e.first(0, static_cast<int>(head))), static_cast<int>(head));
    either_sink<A>{y, stream}.with([&](auto sink) TARN_LAMBDA { map_row<A>(e, sink, head, n, f); });
}

// The same to any sink: whole lines where it may stream.
template <class A, class Source, class Sink, class F>
TARN_INLINE void map_whole_row(Source e, Sink y, std::ptrdiff_t n, F f) noexcept {
    map_row<A>(e, y, 0, n, f);
}
template <class A, class Source, class B, class F>
TARN_INLINE void map_whole_row(Source e, either_sink<B> y, std::ptrdiff_t n, F f) noexcept {
    map_row_to_lines<A>(e, y.p, n, y.stream, f);
}

template <class A, class Sink> TARN_INLINE void fill_row(Sink y, std::ptrdiff_t n, number<A> value) noexcept {
    const pack<A> v = simd::broadcast<A>(value);
    std::ptrdiff_t i = 0;
    for (; i + 4 * lanes<A> <= n; i += 4 * lanes<A>)
        simd::unroll<4>([&](auto k) TARN_LAMBDA { y.put(i + decltype(k)::value * lanes<A>, v); });
    for (; i < n; i += lanes<A>)
        y.put_first(i, v, n - i < lanes<A> ? static_cast<int>(n - i) : lanes<A>);
}

}}}} // namespace tarn::kernels
