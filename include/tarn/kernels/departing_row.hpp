// SPDX-License-Identifier: BSD-3-Clause
//
// The second half of a row operator, which runs beside the first half of the next row: two streams of work that do not
// wait for each other.
#pragma once

#include <tarn/kernels/access.hpp>

#include <type_traits>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// Elements from p to the next cache line.
TARN_INLINE std::ptrdiff_t elements_to_line(const float* p) noexcept {
    const auto past = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(p) / sizeof(float)) % lanes;
    return past ? lanes - past : 0;
}

// A row on its way to y through a map, which is known once the row has been read whole: first the part up to a line of
// y, then whole lines 64 elements at a time, then the rest. Where the next row follows without a gap, the last part of
// a line waits for the first part of that row, so that the line is written whole.
//
// Map: what turns an element into a result, by on<A>()(pack).
template <class A, bool Stream, class Map> class departing_row {
public:
    using sink = std::conditional_t<Stream, stream_sink<A>, unit_sink<A>>;

    // `joined`: rows of y follow each other without gaps.
    TARN_INLINE explicit departing_row(bool joined) noexcept : joined_(joined && Stream) {}

    // What lies within a line before e is readable: the end of the row before, or padding.
    TARN_INLINE void start(const float* e, float* y, std::ptrdiff_t n, Map result) noexcept {
        e_ = e;
        y_ = y;
        n_ = n;
        result_ = result;
        const std::ptrdiff_t head = elements_to_line(y);
        at_ = head < n ? head : n;
        if (at_ == 0)
            return;
        const auto f = result.template on<A>();
        if (waiting_ > 0 && waiting_ + at_ == lanes) {
            const pack<A> v = f(simd::load<A>(e - waiting_));
            simd::stream<A>(y - waiting_, simd::first_or<A>(part_of_line_, waiting_, v));
            waiting_ = 0;
        } else {
            unit_sink<A>{y}.put_first(0, f(simd::load_first<A>(e, static_cast<int>(at_))), static_cast<int>(at_));
        }
    }

    // The 64 elements that follow, for as long as there are any: what runs beside the weights of the next row.
    struct stride {
        const float* e;
        float* y;
        std::ptrdiff_t last;
        Map result;
        TARN_INLINE void operator()(std::ptrdiff_t i) const noexcept {
            if (i > last)
                return;
            const auto f = result.template on<A>();
            simd::unroll<4>([&](auto k) TARN_LAMBDA {
                constexpr std::ptrdiff_t at = decltype(k)::value * lanes;
                sink{y}.put(i + at, f(simd::load<A>(e + i + at)));
            });
        }
    };
    TARN_INLINE stride beside() const noexcept { return {e_ + at_, y_ + at_, n_ - at_ - 4 * lanes, result_}; }

    // What `beside` has left after a row of n elements, or all lines if it never ran.
    TARN_INLINE void complete(bool has_run) noexcept {
        if (!y_)
            return;
        if (has_run)
            at_ += (n_ - at_) / (4 * lanes) * (4 * lanes);
        const auto f = result_.template on<A>();
        for (; at_ + lanes <= n_; at_ += lanes)
            sink{y_}.put(at_, f(simd::load<A>(e_ + at_)));
        const int rest = static_cast<int>(n_ - at_);
        if (rest > 0) {
            const pack<A> v = f(simd::load_first<A>(e_ + at_, rest));
            if (joined_) {
                part_of_line_ = v;
                waiting_ = rest;
                waiting_at_ = y_ + at_;
            } else {
                unit_sink<A>{y_}.put_first(at_, v, rest);
            }
        }
        y_ = nullptr;
        n_ = at_ = 0;
    }
    // The part of a line that no row will complete.
    TARN_INLINE void flush() noexcept {
        if (waiting_ > 0)
            unit_sink<A>{waiting_at_}.put_first(0, part_of_line_, waiting_);
        waiting_ = 0;
    }

private:
    const float* e_ = nullptr;
    float* y_ = nullptr;
    std::ptrdiff_t n_ = 0;
    std::ptrdiff_t at_ = 0;
    Map result_ = {};
    bool joined_;
    int waiting_ = 0;
    float* waiting_at_ = nullptr;
    pack<A> part_of_line_ = simd::broadcast<A>(0.0f);
};

}}}} // namespace tarn::kernels
