// SPDX-License-Identifier: BSD-3-Clause
//
// The greatest elements of a row in order: NaN first, then downwards, equal ones by index. Four packs are compared with
// a threshold that enough elements are known to reach, and nearly all are rejected by that. It comes from the greatest
// elements of groups, one of each of as many groups as are wanted, so that rows in ascending order cost no more than
// others; what passes is collected, and sorted when there is much of it.
#pragma once

#include <tarn/dispatch/top_k_table.hpp>
#include <tarn/kernels/exp_weight.hpp>
#include <tarn/kernels/row_sum.hpp>
#include <tarn/simd/bits.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A> using candidate = dispatch::candidate<number<A>>;

// Whether a comes before b, whatever their indices.
template <class T> TARN_INLINE bool ranks_above(T a, T b) noexcept { return !(a <= b) && b == b; }

// A little below v; v itself if it is -inf.
template <class T> TARN_INLINE T a_little_below(T v) noexcept {
    constexpr T tiny = static_cast<T>(0x1p-80);
    constexpr auto huge = static_cast<T>(sizeof(T) == 4 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023);
    if (v > huge)
        return huge;
    if (v < tiny && v > -tiny)
        return -tiny;
    return v * static_cast<T>(v > 0 ? 1 - 0x1p-20 : 1 + 0x1p-20);
}

// Numbers as integers in the same order, and back; without NaN.
TARN_INLINE std::int64_t order_of(float v) noexcept {
    std::int32_t bits;
    __builtin_memcpy(&bits, &v, sizeof bits);
    return bits < 0 ? -static_cast<std::int64_t>(bits & 0x7fffffff) : bits;
}
TARN_INLINE std::int64_t order_of(double v) noexcept {
    std::int64_t bits;
    __builtin_memcpy(&bits, &v, sizeof bits);
    return bits < 0 ? -(bits & 0x7fffffffffffffff) : bits;
}
TARN_INLINE void assign_order(float& v, std::int64_t order) noexcept {
    const auto bits = static_cast<std::uint32_t>(order < 0 ? 0x80000000 - order : order);
    __builtin_memcpy(&v, &bits, sizeof v);
}
TARN_INLINE void assign_order(double& v, std::int64_t order) noexcept {
    const auto magnitude = static_cast<std::uint64_t>(order < 0 ? -order : order);
    const std::uint64_t bits = order < 0 ? magnitude | 0x8000000000000000u : magnitude;
    __builtin_memcpy(&v, &bits, sizeof v);
}

// A number that at least k of the numbers reach, and few more than k; no NaN among them, and `n` is a multiple of a
// pack's lanes.
template <class A> TARN_NOINLINE number<A> about_kth_greatest(const number<A>* v, std::ptrdiff_t n, std::ptrdiff_t k) {
    const auto reach = [&](number<A> t) TARN_LAMBDA {
        const numbers<A> bound(t);
        pack<A> counts = simd::broadcast<A>(0);
        for (std::ptrdiff_t i = 0; i < n; i += lanes<A>) {
            counts = simd::each<A>(
                [&](numbers<A> p, numbers<A> c)
                    TARN_LAMBDA { return c + simd::select<A>(p >= bound, numbers<A>(1.0f), numbers<A>(0.0f)); },
                simd::load<A>(v + i), counts);
        }
        alignas(64) number<A> lane[lanes<A>];
        simd::store<A>(lane, counts);
        number<A> sum = 0;
        for (int i = 0; i < lanes<A>; ++i)
            sum += lane[i];
        return static_cast<std::ptrdiff_t>(sum);
    };
    pack<A> most = simd::load<A>(v);
    for (std::ptrdiff_t i = lanes<A>; i < n; i += lanes<A>)
        most = simd::max_of<A>(simd::load<A>(v + i), most);
    number<A> best = -infinity;
    std::int64_t low = order_of(best);
    std::int64_t high = order_of(simd::greatest<A>(most)) + 1;
    // Of doubles they may be further apart than such an integer goes.
    const auto distance = [&]() TARN_LAMBDA {
        return static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    };
    while (distance() > 1) {
        const auto middle = static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + distance() / 2);
        number<A> t;
        assign_order(t, middle);
        // Denormal numbers are left alone.
        constexpr auto least = static_cast<number<A>>(simd::is_double<A> ? 0x1p-1022 : 0x1p-126);
        if (t < least && t > -least)
            t = 0;
        const std::ptrdiff_t count = reach(t);
        if (count < k) {
            high = middle;
            continue;
        }
        best = t;
        if (count <= k + k / 16)
            break;
        low = middle;
    }
    return best;
}

// Sorts so that equal ones keep their order; `spare` has room for as many.
template <class A> TARN_NOINLINE void sort_candidates(candidate<A>* list, candidate<A>* spare, std::ptrdiff_t n) {
    constexpr std::ptrdiff_t run = 8;
    for (std::ptrdiff_t begin = 0; begin < n; begin += run) {
        const std::ptrdiff_t end = n - begin < run ? n : begin + run;
        for (std::ptrdiff_t i = begin + 1; i < end; ++i) {
            const candidate<A> c = list[i];
            std::ptrdiff_t at = i;
            for (; at > begin && ranks_above(c.value, list[at - 1].value); --at)
                list[at] = list[at - 1];
            list[at] = c;
        }
    }
    candidate<A>* from = list;
    candidate<A>* to = spare;
    for (std::ptrdiff_t width = run; width < n; width *= 2) {
        for (std::ptrdiff_t begin = 0; begin < n; begin += 2 * width) {
            const std::ptrdiff_t middle = n - begin < width ? n : begin + width;
            const std::ptrdiff_t end = n - middle < width ? n : middle + width;
            std::ptrdiff_t a = begin;
            std::ptrdiff_t b = middle;
            candidate<A>* out = to + begin;
            while (a < middle && b < end) {
                const bool second = ranks_above(from[b].value, from[a].value);
                *out++ = from[second ? b : a];
                a += !second;
                b += second;
            }
            while (a < middle)
                *out++ = from[a++];
            while (b < end)
                *out++ = from[b++];
        }
        candidate<A>* const swapped = from;
        from = to;
        to = swapped;
    }
    for (std::ptrdiff_t i = 0; from != list && i < n; ++i)
        list[i] = from[i];
}

// Memory for selecting up to `most` elements at once.
template <class A> struct selection_memory {
    candidate<A>* list;
    candidate<A>* spare;
    number<A>* groups;
    std::ptrdiff_t most;

    TARN_INLINE static selection_memory in(number<A>* scratch, std::ptrdiff_t most) noexcept {
        auto* const list = reinterpret_cast<candidate<A>*>(scratch);
        candidate<A>* const spare = list + dispatch::most_candidates<number<A>>(most);
        return {list, spare, reinterpret_cast<number<A>*>(spare + dispatch::most_candidates<number<A>>(most)), most};
    }
};

template <class A> class selection {
public:
    static constexpr int four_packs = 4 * lanes<A>;

    // Of sign * x. All values below have that sign.
    TARN_INLINE selection(const selection_memory<A>& memory, number<A> sign) noexcept
        : memory_(memory), turns_(sign < 0) {}

    // Begins with a row, of which `wanted` elements are to be found, not more than the memory is for.
    TARN_INLINE void begin(std::ptrdiff_t wanted) noexcept {
        wanted_ = wanted;
        count_ = sorted_ = 0;
        threshold_ = -infinity;
        complete_ = false;
        follows_ = false;
    }
    // Begins with the elements of the row that come after those found.
    TARN_INLINE void begin_after(std::ptrdiff_t wanted) noexcept {
        const candidate<A> last = memory_.list[count_ - 1];
        begin(wanted);
        after_ = last;
        follows_ = true;
    }

    // What is known from elements begin..end-1 before they are offered: begin is a multiple of four packs.
    template <class Source>
    TARN_INLINE void prepare(const Source& x, std::ptrdiff_t begin, std::ptrdiff_t end) noexcept {
        if (wanted_ > lanes<A>)
            prepare_many(x, begin, end);
        else if (begin == 0 && end >= 2 * four_packs)
            prepare_few(x, end < most_of_start ? end / four_packs * four_packs : most_of_start);
    }

    // Whether none of the elements can be among those wanted.
    template <int N> TARN_INLINE bool rejects(const pack<A> (&v)[N]) const noexcept {
        return __builtin_expect(turns_ ? simd::all_at_least<A>(v, -threshold_) : simd::all_at_most<A>(v, threshold_),
                                1);
    }
    // Elements i..i+n-1, up to four packs: any, but in order.
    template <class Source>
    TARN_NOINLINE __attribute__((cold)) void offer(const Source& x, std::ptrdiff_t i, int n) noexcept {
        if (complete_)
            return;
        pack<A> v[4];
        simd::unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            v[K] = turned_first(x, i + K * lanes<A>, n - K * lanes<A>, n == four_packs);
        });
        std::uint64_t bits = bits_above(v, threshold_);
        if (wanted_ <= lanes<A> && (bits & (bits - 1)) != 0 && has_more(bits, static_cast<int>(wanted_) + 2)) {
            pack<A> most = simd::broadcast<A>(-infinity);
            simd::unroll<4>([&](auto k) TARN_LAMBDA {
                most = simd::max_of<A>(simd::select_at_most<A>(v[decltype(k)::value], limit(), -infinity), most);
            });
            raise_to(a_little_below(simd::kth_greatest<A>(most, static_cast<int>(wanted_))));
            bits = bits_above(v, threshold_);
        }
        if (follows_ && after_.value == after_.value)
            bits &= ~bits_above(v, after_.value);
        if (bits == 0)
            return;
        alignas(64) number<A> value[four_packs];
        simd::unroll<4>(
            [&](auto k) TARN_LAMBDA { simd::store<A>(value + decltype(k)::value * lanes<A>, v[decltype(k)::value]); });
        for (; bits != 0; bits &= bits - 1) {
            const int k = __builtin_ctzll(bits);
            if (!follows_ || comes_after(value[k], i + k))
                memory_.list[count_++] = {value[k], i + k};
        }
        if (count_ >= wanted_ && (wanted_ <= 2 * lanes<A> || count_ + four_packs > capacity()))
            settle();
    }

    // After all elements of a row of n: puts what was found in order.
    template <class Source> TARN_INLINE void finish(const Source& x, std::ptrdiff_t n) noexcept {
        if (sorted_ < count_)
            settle();
        if (count_ < wanted_)
            add_infinite(x, n);
    }

    // As many as wanted, or all there are.
    TARN_INLINE std::ptrdiff_t count() const noexcept { return count_; }
    TARN_INLINE std::ptrdiff_t most() const noexcept { return memory_.most; }
    TARN_INLINE const candidate<A>& operator[](std::ptrdiff_t i) const noexcept { return memory_.list[i]; }
    // Back to the sign of x.
    TARN_INLINE pack<A> turned(const pack<A>& v) const noexcept { return v ^ sign(); }
    TARN_INLINE number<A> turned(number<A> v) const noexcept { return turns_ ? -v : v; }

private:
    static constexpr std::ptrdiff_t most_of_start = 16 * four_packs;

    TARN_INLINE std::ptrdiff_t capacity() const noexcept { return dispatch::most_candidates<number<A>>(memory_.most); }
    TARN_INLINE void raise_to(number<A> t) noexcept { threshold_ = t > threshold_ ? t : threshold_; }
    TARN_INLINE static std::uint64_t bits_above(const pack<A> (&v)[4], number<A> t) noexcept {
        std::uint64_t bits = 0;
        simd::unroll<4>([&](auto k) TARN_LAMBDA {
            constexpr int K = decltype(k)::value;
            bits |= static_cast<std::uint64_t>(simd::bits_above<A>(v[K], t)) << (K * lanes<A>);
        });
        return bits;
    }
    TARN_INLINE static bool has_more(std::uint64_t bits, int n) noexcept {
        for (; n > 0 && bits != 0; --n)
            bits &= bits - 1;
        return bits != 0;
    }
    // The pack at i, of which n elements are there; -inf in the other lanes.
    template <class Source>
    TARN_INLINE pack<A> turned_first(const Source& x, std::ptrdiff_t i, int n, bool whole) const noexcept {
        if (n <= 0)
            return simd::broadcast<A>(-infinity);
        if (whole)
            return turned(x.at(i));
        const int count = n < lanes<A> ? n : lanes<A>;
        return simd::first_or<A>(turned(x.first(i, count)), count, -infinity);
    }
    // What is still to come, of either sign; -inf in place of what came before and of NaN.
    struct coming {
        pack<A> sign;
        number<A> limit;

        TARN_INLINE pack<A> operator()(const pack<A>& v) const noexcept {
            return simd::select_at_most<A>(v ^ sign, limit, -infinity);
        }
    };
    TARN_INLINE number<A> limit() const noexcept {
        return follows_ && after_.value == after_.value ? a_little_below(after_.value) : infinity;
    }
    TARN_INLINE coming still_coming() const noexcept { return {sign(), limit()}; }
    TARN_INLINE pack<A> sign() const noexcept { return simd::broadcast<A>(turns_ ? number<A>(-0.0) : number<A>(0.0)); }
    TARN_INLINE bool comes_after(number<A> v, std::ptrdiff_t i) const noexcept {
        return ranks_above(after_.value, v) || i > after_.index;
    }

    // A group for every lane, from the start of the row.
    template <class Source> TARN_NOINLINE void prepare_few(const Source& given, std::ptrdiff_t end) noexcept {
        const Source x = given;
        const coming to_come = still_coming();
        pack<A> most[4];
        simd::unroll<4>([&](auto k) TARN_LAMBDA { most[decltype(k)::value] = simd::broadcast<A>(-infinity); });
        for (std::ptrdiff_t i = 0; i < end; i += four_packs) {
            x.prefetch(i);
            simd::unroll<4>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                most[K] = simd::max_of<A>(to_come(x.at(i + K * lanes<A>)), most[K]);
            });
        }
        const pack<A> all = simd::max_of<A>(simd::max_of<A>(most[0], most[1]), simd::max_of<A>(most[2], most[3]));
        raise_to(a_little_below(simd::kth_greatest<A>(all, static_cast<int>(wanted_))));
    }
    // Twice as many groups as are wanted, of elements as far apart as there are groups.
    template <class Source>
    TARN_NOINLINE void prepare_many(const Source& given, std::ptrdiff_t begin, std::ptrdiff_t end) noexcept {
        const Source x = given;
        const coming to_come = still_coming();
        const std::ptrdiff_t groups = dispatch::most_groups<number<A>>(wanted_);
        if (end - begin < 2 * groups)
            return;
        number<A>* const most = memory_.groups;
        for (std::ptrdiff_t g = 0; g < groups; g += lanes<A>)
            simd::store<A>(most + g, simd::broadcast<A>(-infinity));
        std::ptrdiff_t g = 0;
        for (std::ptrdiff_t i = begin; i + four_packs <= end; i += four_packs) {
            x.prefetch(i);
            simd::unroll<4>([&](auto k) TARN_LAMBDA {
                constexpr int K = decltype(k)::value;
                number<A>* const p = most + g + K * lanes<A>;
                simd::store<A>(p, simd::max_of<A>(to_come(x.at(i + K * lanes<A>)), simd::load<A>(p)));
            });
            g = g + four_packs < groups ? g + four_packs : 0;
        }
        raise_to(a_little_below(about_kth_greatest<A>(most, groups, wanted_)));
    }

    // Sorts, and drops what has become too much.
    TARN_NOINLINE void settle() noexcept {
        candidate<A>* const list = memory_.list;
        if (count_ - sorted_ > 2 * lanes<A>) {
            sort_candidates<A>(list, memory_.spare, count_);
        } else {
            for (std::ptrdiff_t i = sorted_; i < count_; ++i) {
                const candidate<A> c = list[i];
                std::ptrdiff_t at = i;
                for (; at > 0 && ranks_above(c.value, list[at - 1].value); --at)
                    list[at] = list[at - 1];
                list[at] = c;
            }
        }
        count_ = count_ < wanted_ ? count_ : wanted_;
        sorted_ = count_;
        if (count_ < wanted_)
            return;
        const number<A> last = list[wanted_ - 1].value;
        complete_ = !(last == last);
        raise_to(last);
    }

    // Elements of -inf, which no threshold lets pass, until there are enough.
    template <class Source> TARN_NOINLINE void add_infinite(const Source& x, std::ptrdiff_t n) noexcept {
        for (std::ptrdiff_t i = 0; i < n && count_ < wanted_; i += lanes<A>) {
            const int there = n - i < lanes<A> ? static_cast<int>(n - i) : lanes<A>;
            alignas(64) number<A> value[lanes<A>];
            simd::store<A>(value, turned(x.first(i, there)));
            for (int k = 0; k < there && count_ < wanted_; ++k) {
                if (value[k] == -infinity && (!follows_ || comes_after(value[k], i + k)))
                    memory_.list[count_++] = {value[k], i + k};
            }
        }
    }

    selection_memory<A> memory_;
    bool turns_;
    bool complete_ = false; // as many NaN as are wanted
    bool follows_ = false;
    number<A> threshold_ = 0; // what is wanted is above
    std::ptrdiff_t wanted_ = 0, count_ = 0, sorted_ = 0;
    candidate<A> after_ = {};
};

}}}} // namespace tarn::kernels
