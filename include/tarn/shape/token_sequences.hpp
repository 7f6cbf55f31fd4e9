// SPDX-License-Identifier: BSD-3-Clause
//
// Tokens of sequences: a batch of them of one length, or one after the other with offsets that tell where each begins.
#pragma once

#include <tarn/dispatch/token_pool_table.hpp>
#include <tarn/shape/broadcast.hpp>
#include <tarn/shape/indices.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/where.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// Where a sequence lies.
struct token_range {
    std::ptrdiff_t batch, first, tokens;
};

class token_sequences {
public:
    // x: tokens and channels, and a batch before them if there are no offsets; offsets: null if there are none.
    token_sequences(const char* op, const operand& x, const operand* offsets)
        : offsets_(offsets), tokens_(x.extent[x.rank - 2]), channels_(x.extent[x.rank - 1]),
          count_(x.rank == 3 ? x.extent[0] : 1), has_batch_(x.rank == 3) {
        if (offsets)
            check_offsets(op);
    }

    std::ptrdiff_t count() const noexcept { return count_; }
    std::ptrdiff_t channels() const noexcept { return channels_; }
    // Whether results have an axis of sequences.
    bool has_axis() const noexcept { return offsets_ || has_batch_; }
    // Tokens in all.
    std::ptrdiff_t tokens() const noexcept { return offsets_ ? tokens_ : tokens_ * count_; }
    // Along the axis of x: no sequence has more.
    std::ptrdiff_t tokens_of_x() const noexcept { return tokens_; }

    // Tokens before the first sequence, or after the last.
    token_range outside(bool after) const noexcept {
        if (!offsets_)
            return {0, 0, 0};
        const std::ptrdiff_t end = offset(count_);
        return after ? token_range{0, end, tokens_ - end} : token_range{0, 0, offset(0)};
    }

    token_range operator[](std::ptrdiff_t i) const noexcept {
        if (!offsets_)
            return {i, 0, tokens_};
        const std::ptrdiff_t first = offset(i);
        return {0, first, offset(i + 1) - first};
    }

    // Cuts the sequences into `count()` parts of about as many tokens each: the first sequence of part i.
    std::ptrdiff_t part(std::ptrdiff_t i) const noexcept {
        if (!offsets_ || i == 0 || i >= count_)
            return i;
        const std::ptrdiff_t begin = offset(0);
        const auto all = static_cast<double>(offset(count_) - begin);
        const double target = static_cast<double>(i) / static_cast<double>(count_) * all;
        std::ptrdiff_t low = 0;
        std::ptrdiff_t high = count_;
        while (low < high) {
            const std::ptrdiff_t middle = low + (high - low) / 2;
            if (static_cast<double>(offset(middle) - begin) < target)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    // v with one element for every token, in the axes of x without channels.
    operand of_tokens(const char* op, const char* argument, const operand& v) const {
        operand grid = {};
        grid.rank = has_batch_ ? 2 : 1;
        grid.extent[0] = has_batch_ ? count_ : tokens_;
        grid.extent[1] = tokens_;
        return broadcast(op, argument, v, grid);
    }

    // y as [sequences, poolings, channels]; poolings and channels may be one axis.
    operand of_results(const char* op, const char* argument, const operand& y, std::ptrdiff_t poolings) const {
        check_operand(op, argument, y);
        const int axes = has_axis() ? 1 : 0;
        const bool apart = y.rank == axes + 2;
        operand r = {y.data, y.type, 3, {count_, poolings, channels_}, {}};
        std::ptrdiff_t expected[3] = {count_, poolings, channels_};
        std::ptrdiff_t* const list_of = expected + (axes ? 0 : 1);
        if (!apart)
            list_of[axes] = poolings * channels_;
        bool fits = apart || y.rank == axes + 1;
        for (int i = 0; i < y.rank && fits; ++i)
            fits = y.extent[i] == list_of[i];
        if (!fits)
            fail(op, argument, "extents " + list(y.extent, y.rank), list(list_of, axes + (apart ? 2 : 1)));
        r.stride[0] = axes ? y.stride[0] : 0;
        r.stride[2] = y.stride[y.rank - 1];
        r.stride[1] = apart ? y.stride[axes] : channels_ * r.stride[2];
        return r;
    }

private:
    std::ptrdiff_t offset(std::ptrdiff_t i) const noexcept {
        return static_cast<std::ptrdiff_t>(index_at(*offsets_, i * offsets_->stride[0]));
    }
    void check_offsets(const char* op) {
        check_operand(op, "offsets", *offsets_);
        if (offsets_->extent[0] < 1)
            fail(op, "offsets", "extents {0}", "one for every sequence and one more");
        count_ = offsets_->extent[0] - 1;
        std::ptrdiff_t least = 0;
        for (std::ptrdiff_t i = 0; i <= count_; ++i) {
            const std::ptrdiff_t v = offset(i);
            if (v < least || v > tokens_)
                fail(op, "offsets", std::to_string(v) + " at " + std::to_string(i),
                     std::to_string(least) + " to " + std::to_string(tokens_));
            least = v;
        }
    }

    const operand* offsets_;
    std::ptrdiff_t tokens_, channels_, count_;
    bool has_batch_;
};

// Channels that are worked on together: as many as kernels have room for, and fewer where that gives threads no work.
template <class N, class Executor>
std::ptrdiff_t channels_together(const token_sequences& sequences, std::ptrdiff_t bytes_of_channel) noexcept {
    constexpr std::ptrdiff_t unit = 128;
    const std::ptrdiff_t room = dispatch::token_pool_bytes / (bytes_of_channel > 0 ? bytes_of_channel : 1);
    std::ptrdiff_t most = room / unit * unit;
    if (!std::is_same<std::remove_cv_t<Executor>, serial_executor>::value) {
        constexpr std::ptrdiff_t items = 32;
        const std::ptrdiff_t share = sequences.channels() * sequences.count() / items / unit * unit;
        if (sequences.count() < items)
            most = share < unit ? unit : share < most ? share : most;
    }
    return most;
}

// f(sequence, first channel, channels) for all sequences and all blocks of channels. A block costs so many bytes for
// every token and channel.
template <class Executor, class F>
void for_sequences(const place<Executor>& where, const token_sequences& sequences, std::ptrdiff_t block, double read,
                   double written, const F& f) {
    const std::ptrdiff_t blocks = (sequences.channels() + block - 1) / block;
    const std::ptrdiff_t items = sequences.count() * blocks;
    if (items == 0)
        return;
    const double numbers = static_cast<double>(sequences.tokens()) * static_cast<double>(sequences.channels()) /
                           static_cast<double>(items);
    where.parallel_for(items, {read * numbers, written * numbers, numbers},
                       [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                           while (begin < end) {
                               const std::ptrdiff_t part = begin / blocks;
                               const std::ptrdiff_t column = begin % blocks;
                               // Whole parts one after the other.
                               const std::ptrdiff_t parts = blocks == 1 ? end - begin : 1;
                               const std::ptrdiff_t channel = column * block;
                               const std::ptrdiff_t rest = sequences.channels() - channel;
                               const std::ptrdiff_t last = sequences.part(part + parts);
                               for (std::ptrdiff_t s = sequences.part(part); s < last; ++s)
                                   f(s, channel, rest < block ? rest : block);
                               begin += parts;
                           }
                       });
}

}}}} // namespace tarn::shape
