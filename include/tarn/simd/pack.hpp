// SPDX-License-Identifier: BSD-3-Clause
//
// A cache line of numbers, 16 floats or 8 doubles, as one value on every tier: one AVX-512 register, two AVX2
// registers, four SSE2 registers. Kernels are written in packs only, so the order of their additions, and with it every
// bit, is the same on AVX2 and AVX-512.
#pragma once

#include <tarn/simd/exp2.hpp>
#include <tarn/simd/memory.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace simd {

template <class A> struct pack {
    static constexpr int width = static_cast<int>(numbers<A>::size);
    static constexpr int parts = lanes<A> / width;
    numbers<A> part[parts];
};

// f applied to every register of the packs.
template <class A, class F, class... Packs> TARN_INLINE pack<A> each(F f, const Packs&... packs) {
    pack<A> r;
    unroll<pack<A>::parts>([&](auto i)
                               TARN_LAMBDA { r.part[decltype(i)::value] = f(packs.part[decltype(i)::value]...); });
    return r;
}

// The registers of N packs, four at a time, to what f makes of them in their place.
template <class A, int N, class F> TARN_INLINE void four_at_a_time(pack<A> (&x)[N], F f) {
    constexpr int parts = pack<A>::parts;
    static_assert(N * parts % 4 == 0, "whole groups");
    unroll<N * parts / 4>([&](auto group) TARN_LAMBDA {
        constexpr int first = 4 * decltype(group)::value;
        numbers<A> v[4];
        unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr int I = first + decltype(k)::value;
            v[decltype(k)::value] = x[I / parts].part[I % parts];
        });
        f(v);
        unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr int I = first + decltype(k)::value;
            x[I / parts].part[I % parts] = v[decltype(k)::value];
        });
    });
}

template <class A> TARN_INLINE pack<A> broadcast(number<A> v) {
    pack<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA { r.part[decltype(i)::value] = numbers<A>(v); });
    return r;
}

template <class A> TARN_INLINE pack<A> load(const number<A>* p) {
    pack<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r.part[I] = numbers<A>::load_unaligned(p + I * pack<A>::width);
    });
    return r;
}

template <class A> TARN_INLINE void store(number<A>* p, const pack<A>& v) {
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        v.part[I].store_unaligned(p + I * pack<A>::width);
    });
}

// The first n lanes of p, zero in the others. Nothing else is read.
template <class A> TARN_INLINE pack<A> load_first(const number<A>* p, int n) {
    pack<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r.part[I] = load_n<A>(p + I * pack<A>::width, n - I * pack<A>::width);
    });
    return r;
}

// The first n lanes of v to p. Nothing else is written.
template <class A> TARN_INLINE void store_first(number<A>* p, const pack<A>& v, int n) {
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        store_n<A>(p + I * pack<A>::width, v.part[I], n - I * pack<A>::width);
    });
}

// v in the first n lanes, `rest` in the others.
template <class A> TARN_INLINE pack<A> first_or(const pack<A>& v, int n, const pack<A>& rest) {
    pack<A> r;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        r.part[I] = simd::first_or<A>(v.part[I], n - I * pack<A>::width, rest.part[I]);
    });
    return r;
}

template <class A> TARN_INLINE pack<A> first_or(const pack<A>& v, int n, number<A> rest) {
    return simd::first_or<A>(v, n, broadcast<A>(rest));
}

// Non-temporal store of a pack; p is aligned to 64 bytes.
template <class A> TARN_INLINE void stream(number<A>* p, const pack<A>& v) {
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        constexpr int I = decltype(i)::value;
        simd::stream<A>(p + I * pack<A>::width, v.part[I]);
    });
}

template <class A> TARN_INLINE pack<A> operator+(const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q) TARN_LAMBDA { return p + q; }, a, b);
}
template <class A> TARN_INLINE pack<A> operator-(const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q) TARN_LAMBDA { return p - q; }, a, b);
}
template <class A> TARN_INLINE pack<A> operator*(const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q) TARN_LAMBDA { return p * q; }, a, b);
}
template <class A> TARN_INLINE pack<A> operator/(const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q) TARN_LAMBDA { return p / q; }, a, b);
}
template <class A> TARN_INLINE pack<A> min_of(const pack<A>& x, const pack<A>& otherwise) {
    return each<A>([](numbers<A> p, numbers<A> q) TARN_LAMBDA { return simd::min_of<A>(p, q); }, x, otherwise);
}
template <class A> TARN_INLINE pack<A> max_of(const pack<A>& x, const pack<A>& otherwise) {
    return each<A>([](numbers<A> p, numbers<A> q) TARN_LAMBDA { return simd::max_of<A>(p, q); }, x, otherwise);
}
// The bits of a and b, lane by lane: with 0 or -0 for b, a with its sign kept or turned.
template <class A> TARN_INLINE pack<A> operator^(const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q) TARN_LAMBDA { return p ^ q; }, a, b);
}
template <class A> TARN_INLINE pack<A> fmadd(const pack<A>& a, const pack<A>& b, const pack<A>& c) {
    return each<A>([](numbers<A> p, numbers<A> q, numbers<A> r) TARN_LAMBDA { return simd::fmadd<A>(p, q, r); }, a, b,
                   c);
}
template <class A> TARN_INLINE pack<A> magnitude(const pack<A>& a) {
    return each<A>([](numbers<A> p) TARN_LAMBDA { return xsimd::abs(p); }, a);
}
template <class A> TARN_INLINE pack<A> zero_where_le(const pack<A>& v, const pack<A>& x, const pack<A>& low) {
    return each<A>([](numbers<A> p, numbers<A> q, numbers<A> r) TARN_LAMBDA { return simd::zero_where_le<A>(p, q, r); },
                   v, x, low);
}
template <class A> TARN_INLINE pack<A> keep_where_ge(const pack<A>& v, const pack<A>& threshold) {
    return each<A>([](numbers<A> p, numbers<A> t) TARN_LAMBDA { return simd::keep_where_ge<A>(p, t); }, v, threshold);
}
template <class A> TARN_INLINE pack<A> mul_pair(const pack<A>& v, const pack<A>& high, const pack<A>& low) {
    return each<A>([](numbers<A> p, numbers<A> h, numbers<A> l) TARN_LAMBDA { return simd::mul_pair<A>(p, h, l); }, v,
                   high, low);
}

template <class A> TARN_INLINE pack<A> exp2_of_integer(const pack<A>& n) {
    return each<A>([](numbers<A> p) TARN_LAMBDA { return simd::exp2_of_integer<A>(p); }, n);
}

// a where low < v < high, else b; b where v is NaN.
template <class A>
TARN_INLINE pack<A> select_between(const pack<A>& v, number<A> low, number<A> high, const pack<A>& a,
                                   const pack<A>& b) {
    return each<A>([&](numbers<A> p, numbers<A> q, numbers<A> r)
                       TARN_LAMBDA { return simd::select<A>((p > numbers<A>(low)) & (p < numbers<A>(high)), q, r); },
                   v, a, b);
}

// a where v equals `value`, else b.
template <class A>
TARN_INLINE pack<A> select_equal(const pack<A>& v, number<A> value, const pack<A>& a, const pack<A>& b) {
    return each<A>([&](numbers<A> p, numbers<A> q, numbers<A> r)
                       TARN_LAMBDA { return simd::select<A>(p == numbers<A>(value), q, r); },
                   v, a, b);
}

template <class A>
TARN_INLINE pack<A> select_equal(const pack<A>& v, const pack<A>& w, const pack<A>& a, const pack<A>& b) {
    return each<A>([](numbers<A> p, numbers<A> q, numbers<A> r, numbers<A> s)
                       TARN_LAMBDA { return simd::select<A>(p == q, r, s); },
                   v, w, a, b);
}

// Whether every lane lies in low..high; false if any is NaN.
template <class A> TARN_INLINE bool all_within(const pack<A>& v, number<A> low, number<A> high) {
    bool r = true;
    unroll<pack<A>::parts>([&](auto i) TARN_LAMBDA {
        const numbers<A> p = v.part[decltype(i)::value];
        r = xsimd::all((p >= numbers<A>(low)) & (p <= numbers<A>(high))) && r;
    });
    return r;
}

}}}} // namespace tarn::simd
