// SPDX-License-Identifier: BSD-3-Clause
//
// The second half of a row operator, which runs beside the first half of the next row: two streams of work that do not
// wait for each other.
#pragma once

#include <tarn/kernels/row_maps.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// A map of packs over the elements from p on: a source of results. Map turns an element into a result by on()(pack).
template <class A, class Map> struct mapped_source {
    const number<A>* p;
    Map map;

    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return map.on()(simd::load<A>(p + i)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept {
        return map.on()(simd::load_first<A>(p + i, n));
    }
};

// A row of results on its way to y, made when it leaves: first the part up to a line of y, then whole lines four at
// a time, then the rest. Where the next row follows without a gap, the last part of a line waits for the first part
// of that row, so that the line is written whole.
template <class A, class Sink, class Results> class departing_row {
public:
    // `joined`: results are streamed, and rows follow each other without gaps, in y and in whatever results are made of.
    TARN_INLINE explicit departing_row(bool joined, Sink y = {}) noexcept : y_(y), joined_(joined) {}

    // Results within a line before the row can be asked for, whatever they are.
    TARN_INLINE void start(const Results& results, number<A>* y, std::ptrdiff_t n) noexcept {
        results_ = results;
        y_.p = y;
        n_ = n;
        const std::ptrdiff_t head = elements_to_line<A>(y);
        at_ = head < n ? head : n;
        if (at_ == 0)
            return;
        if (waiting_ > 0 && waiting_ + at_ == lanes<A>) {
            simd::stream<A>(y - waiting_, simd::first_or<A>(part_of_line_, waiting_, results.at(-waiting_)));
            waiting_ = 0;
        } else {
            unit_sink<A>{y}.put_first(0, results.first(0, static_cast<int>(at_)), static_cast<int>(at_));
        }
    }

    // The four lines that follow, for as long as there are any: what runs beside the first half of the next row.
    struct stride {
        Results results;
        Sink y;
        std::ptrdiff_t from, last;
        TARN_INLINE void operator()(std::ptrdiff_t i) const noexcept {
            if (i > last)
                return;
            y.with([&](auto sink) TARN_LAMBDA {
                simd::unroll<4>([&](auto k) TARN_LAMBDA {
                    constexpr std::ptrdiff_t at = decltype(k)::value * lanes<A>;
                    sink.put(from + i + at, results.at(from + i + at));
                });
            });
        }
    };
    TARN_INLINE stride beside() const noexcept { return {results_, y_, at_, n_ - at_ - 4 * lanes<A>}; }

    // What `beside` has left after it ran along a row of so many elements; 0: it never ran.
    TARN_INLINE void complete(std::ptrdiff_t ran) noexcept {
        if (!y_.p)
            return;
        at_ += (n_ - at_ < ran ? n_ - at_ : ran) / (4 * lanes<A>)*(4 * lanes<A>);
        y_.with([&](auto sink) TARN_LAMBDA {
            for (; at_ + lanes<A> <= n_; at_ += lanes<A>)
                sink.put(at_, results_.at(at_));
        });
        const int rest = static_cast<int>(n_ - at_);
        if (rest > 0) {
            const pack<A> v = results_.first(at_, rest);
            if (joined_) {
                part_of_line_ = v;
                waiting_ = rest;
                waiting_at_ = y_.p + at_;
            } else {
                unit_sink<A>{y_.p}.put_first(at_, v, rest);
            }
        }
        y_.p = nullptr;
        n_ = at_ = 0;
    }
    // The part of a line that no row will complete.
    TARN_INLINE void flush() noexcept {
        if (waiting_ > 0)
            unit_sink<A>{waiting_at_}.put_first(0, part_of_line_, waiting_);
        waiting_ = 0;
    }

private:
    Results results_ = {};
    Sink y_;
    std::ptrdiff_t n_ = 0;
    std::ptrdiff_t at_ = 0;
    bool joined_;
    int waiting_ = 0;
    number<A>* waiting_at_ = nullptr;
    pack<A> part_of_line_ = simd::broadcast<A>(0);
};

// The first of two rows of weights in scratch of dispatch::buffered_scratch(): half a page from x modulo pages.
template <class A> TARN_INLINE number<A>* first_buffered_row(const number<A>* x, number<A>* scratch) noexcept {
    const auto at_x = reinterpret_cast<std::uintptr_t>(x) / 64;
    const auto at_scratch = reinterpret_cast<std::uintptr_t>(scratch) / 64 + 1;
    return scratch + lanes<A> + (at_x - at_scratch + 32) % 64 * lanes<A>;
}

}}}} // namespace tarn::kernels
