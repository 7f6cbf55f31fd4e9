// SPDX-License-Identifier: BSD-3-Clause
//
// Where a row's packs come from and where they go. A source may change what it loads (the per-element map: a mask, a
// bias): kernels know only at() and first().
#pragma once

#include <tarn/simd/pack.hpp>

#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

using simd::lanes;
using simd::number;
using simd::numbers;
using simd::pack;

// Element i of a row lies at p + i.
template <class A> struct unit_source {
    const number<A>* p;
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return simd::load<A>(p + i); }
    // The first n lanes, at least one; the others hold any finite number.
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept { return simd::load_first<A>(p + i, n); }
    // What to ask for before the four packs from i on. The hardware follows a single stream by itself.
    TARN_INLINE void prefetch(std::ptrdiff_t) const noexcept {}
};

// The same, asking for the lines 2 KB ahead: for loops with more streams than the hardware follows.
template <class A> struct ahead_source : unit_source<A> {
    TARN_INLINE explicit ahead_source(const number<A>* row) noexcept : unit_source<A>{row} {}
    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        constexpr std::ptrdiff_t ahead = 32 * lanes<A>;
        simd::unroll<4>([&](auto k)
                            TARN_LAMBDA { simd::prefetch<A>(this->p + i + ahead + decltype(k)::value * lanes<A>); });
    }
};

template <class A> struct unit_sink {
    number<A>* p;
    TARN_INLINE void put(std::ptrdiff_t i, const pack<A>& v) const noexcept { simd::store<A>(p + i, v); }
    TARN_INLINE void put_first(std::ptrdiff_t i, const pack<A>& v, int n) const noexcept {
        simd::store_first<A>(p + i, v, n);
    }
    TARN_INLINE unit_source<A> source() const noexcept { return {p}; }
    template <class F> TARN_INLINE void with(F f) const noexcept { f(*this); }
};

// Non-temporal stores of whole packs; p + i is aligned to 64 bytes for each of them.
template <class A> struct stream_sink {
    number<A>* p;
    TARN_INLINE void put(std::ptrdiff_t i, const pack<A>& v) const noexcept { simd::stream<A>(p + i, v); }
    TARN_INLINE void put_first(std::ptrdiff_t i, const pack<A>& v, int n) const noexcept {
        simd::store_first<A>(p + i, v, n);
    }
    template <class F> TARN_INLINE void with(F f) const noexcept { f(*this); }
};

template <class A, bool Stream> using results_sink = std::conditional_t<Stream, stream_sink<A>, unit_sink<A>>;

// Either of the two, as the call wants, for kernels too long to be compiled for both: with(f) is f of one of them. What
// is put to it directly does not stream.
template <class A> struct either_sink {
    number<A>* p;
    bool stream;
    TARN_INLINE void put(std::ptrdiff_t i, const pack<A>& v) const noexcept { unit_sink<A>{p}.put(i, v); }
    TARN_INLINE void put_first(std::ptrdiff_t i, const pack<A>& v, int n) const noexcept {
        unit_sink<A>{p}.put_first(i, v, n);
    }
    template <class F> TARN_INLINE void with(F f) const noexcept {
        if (stream)
            f(stream_sink<A>{p});
        else
            f(unit_sink<A>{p});
    }
};

struct no_sink {
    template <class A> TARN_INLINE void put(std::ptrdiff_t, const pack<A>&) const noexcept {}
    template <class A> TARN_INLINE void put_first(std::ptrdiff_t, const pack<A>&, int) const noexcept {}
};

// Calls step(k, at, n) for the up to four packs from i to end: k is the pack's index at compile time, n its lanes.
template <class A, class Step> TARN_INLINE void for_tail(std::ptrdiff_t i, std::ptrdiff_t end, Step step) noexcept {
    simd::unroll<4>([&](auto k) TARN_LAMBDA {
        const std::ptrdiff_t at = i + decltype(k)::value * lanes<A>;
        if (at < end)
            step(k, at, end - at < lanes<A> ? static_cast<int>(end - at) : lanes<A>);
    });
}

}}}} // namespace tarn::kernels
