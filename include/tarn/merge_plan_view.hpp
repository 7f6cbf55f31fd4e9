// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/token_merge_table.hpp>
#include <tarn/shape/stores.hpp>

#include <new>

namespace tarn { inline namespace v0 {

inline namespace TARN_BACKEND {

// Which slot every token goes to, for `batch` sequences of `tokens` tokens each: what operators that merge, prune or
// cluster tokens return, and what is applied to anything that has a row for every token. Indices of a caller's memory;
// for sequence b:
//
//   assign   assign[b * tokens + t]: the slot of token t; -1: it is dropped
//   order    order + b * tokens: all tokens, those of slot 0 first, in a slot the first token first; those that are
//            dropped come last
//   offsets  offsets + b * (capacity + 1): slots + 1 numbers, where each slot begins in order, and where the last ends
//   rep      rep + b * capacity: the token that stands for each slot; -1 for a slot without tokens
//
// capacity is the room for slots; slots is how many there are, the same in all sequences. Of the backend: see
// masked_softmax_options.
struct merge_plan_view {
    std::ptrdiff_t batch = 0, tokens = 0, capacity = 0, slots = 0;
    std::int32_t *assign = nullptr, *order = nullptr, *offsets = nullptr, *rep = nullptr;
};

} // namespace TARN_BACKEND

// The indices that a plan takes.
TARN_INLINE constexpr std::ptrdiff_t merge_plan_size(std::ptrdiff_t batch, std::ptrdiff_t tokens,
                                                     std::ptrdiff_t capacity) noexcept {
    return batch * (2 * tokens + 2 * capacity + 1);
}
// A plan in so many indices of the caller's, to be filled.
TARN_INLINE constexpr merge_plan_view make_merge_plan(std::int32_t* indices, std::ptrdiff_t batch,
                                                      std::ptrdiff_t tokens, std::ptrdiff_t capacity) noexcept {
    merge_plan_view p;
    p.batch = batch;
    p.tokens = tokens;
    p.capacity = capacity;
    p.assign = indices;
    p.order = p.assign + batch * tokens;
    p.offsets = p.order + batch * tokens;
    p.rep = p.offsets + batch * (capacity + 1);
    return p;
}

// A plan with memory of its own, which grows to what is asked for. Wherever a plan is read or made, it may stand for a
// merge_plan_view.
class merge_plan {
public:
    TARN_INLINE merge_plan() noexcept {}
    TARN_INLINE merge_plan(const merge_plan& other) { assign(other); }
    TARN_INLINE merge_plan(merge_plan&& other) noexcept { swap(other); }
    TARN_INLINE merge_plan& operator=(const merge_plan& other) {
        if (this != &other)
            assign(other);
        return *this;
    }
    TARN_INLINE merge_plan& operator=(merge_plan&& other) noexcept {
        swap(other);
        return *this;
    }
    TARN_INLINE ~merge_plan() { ::operator delete(indices_); }

    // Room for a plan; what it held is lost. May throw std::bad_alloc.
    TARN_INLINE void resize(std::ptrdiff_t batch, std::ptrdiff_t tokens, std::ptrdiff_t capacity) {
        const std::ptrdiff_t n = merge_plan_size(batch, tokens, capacity);
        if (n > size_) {
            auto* const more = static_cast<std::int32_t*>(::operator new(static_cast<std::size_t>(n) * 4));
            ::operator delete(indices_);
            indices_ = more;
            size_ = n;
        }
        view_ = make_merge_plan(indices_, batch, tokens, capacity);
    }

    TARN_INLINE merge_plan_view& view() noexcept { return view_; }
    TARN_INLINE const merge_plan_view& view() const noexcept { return view_; }
    TARN_INLINE operator const merge_plan_view&() const noexcept { return view_; }

    TARN_INLINE std::ptrdiff_t batch() const noexcept { return view_.batch; }
    TARN_INLINE std::ptrdiff_t tokens() const noexcept { return view_.tokens; }
    TARN_INLINE std::ptrdiff_t slots() const noexcept { return view_.slots; }

private:
    TARN_INLINE void assign(const merge_plan& other) {
        resize(other.batch(), other.tokens(), other.view_.capacity);
        view_.slots = other.view_.slots;
        const std::ptrdiff_t n = merge_plan_size(view_.batch, view_.tokens, view_.capacity);
        for (std::ptrdiff_t i = 0; i < n && other.indices_; ++i)
            indices_[i] = other.indices_[i];
    }
    TARN_INLINE void swap(merge_plan& other) noexcept {
        const merge_plan_view view = view_;
        std::int32_t* const indices = indices_;
        const std::ptrdiff_t size = size_;
        view_ = other.view_;
        indices_ = other.indices_;
        size_ = other.size_;
        other.view_ = view;
        other.indices_ = indices;
        other.size_ = size;
    }

    merge_plan_view view_;
    std::int32_t* indices_ = nullptr;
    std::ptrdiff_t size_ = 0;
};

struct merge_options {
    merge_mode mode = merge_mode::mean;
    v0::stores stores = v0::stores::automatic;
};

}} // namespace tarn
