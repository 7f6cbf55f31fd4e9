// SPDX-License-Identifier: BSD-3-Clause
//
// Plans and rows of tokens at the boundary: checks, and what kernels know of them.
#pragma once

#include <tarn/dispatch/token_merge_table.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/tiers.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// Tokens, or slots, of sequences: [rows, channels] or [batch, rows, channels].
struct sequences {
    operand all;
    std::ptrdiff_t batch, rows, channels;

    sequences(const char* op, const char* argument, const operand& v) : all(v) {
        check_operand(op, argument, v);
        const int first = v.rank - 2;
        batch = first == 1 ? v.extent[0] : 1;
        rows = v.extent[first];
        channels = v.extent[first + 1];
    }
    // Of one sequence.
    dispatch::stored_rows of(std::ptrdiff_t sequence) const noexcept {
        const int first = all.rank - 2;
        const std::ptrdiff_t skipped = first == 1 ? sequence * all.stride[0] : 0;
        return {static_cast<char*>(const_cast<void*>(all.data)) + skipped * element_size(all), all.type,
                all.stride[first + 1], all.stride[first]};
    }
    std::string extents() const { return list(all.extent, all.rank); }
};

// One number for every token or slot, with the extents of sequences less the channels.
inline void check_sizes(const char* op, const char* argument, const operand& v, const sequences& of) {
    check_operand(op, argument, v);
    for (int i = 0; i < v.rank; ++i) {
        if (v.extent[i] != of.all.extent[i])
            fail(op, argument, "extents " + list(v.extent, v.rank), list(of.all.extent, v.rank));
    }
}
template <class T> struct sequence_numbers {
    T* data;
    std::ptrdiff_t batch_stride, stride;

    static sequence_numbers of(const operand& v) noexcept {
        return {static_cast<T*>(const_cast<void*>(v.data)), v.rank == 2 ? v.stride[0] : 0, v.stride[v.rank - 1]};
    }
    T* at(std::ptrdiff_t sequence) const noexcept { return data ? data + sequence * batch_stride : nullptr; }
};

template <class Plan> dispatch::plan_arrays arrays_of(const Plan& p, std::ptrdiff_t sequence) noexcept {
    return {p.tokens,
            p.slots,
            p.assign + sequence * p.tokens,
            p.rep + sequence * p.capacity,
            p.order + sequence * p.tokens,
            p.offsets + sequence * (p.capacity + 1)};
}

constexpr std::ptrdiff_t most_tokens = std::ptrdiff_t{1} << 28;

template <class Plan> void check_plan_memory(const char* op, const char* argument, const Plan& p) {
    if (p.batch < 0 || p.tokens < 0 || p.tokens > most_tokens || p.capacity < 0)
        fail(op, argument,
             "batch " + std::to_string(p.batch) + ", tokens " + std::to_string(p.tokens) + ", capacity " +
                 std::to_string(p.capacity),
             "numbers of at least 0, and at most 2^28 tokens");
    if (p.batch > 0 && (!p.offsets || (p.tokens > 0 && (!p.assign || !p.order)) || (p.capacity > 0 && !p.rep)))
        fail(op, argument, "data is null", "memory for the indices");
}

// What is wrong with the plan of one sequence; null: nothing.
inline const char* fault_of(const dispatch::plan_arrays& p) noexcept {
    if (p.offsets[0] != 0 || p.offsets[p.slots] > p.tokens)
        return "offsets that do not begin with 0 or exceed the tokens";
    for (std::ptrdiff_t s = 0; s < p.slots; ++s) {
        if (p.offsets[s] > p.offsets[s + 1])
            return "offsets that fall";
    }
    const auto is_token = [&](std::int32_t t) { return t >= 0 && t < p.tokens; };
    for (std::ptrdiff_t s = 0; s <= p.slots; ++s) {
        const bool dropped = s == p.slots;
        const std::ptrdiff_t begin = p.offsets[s];
        const std::ptrdiff_t end = dropped ? p.tokens : p.offsets[s + 1];
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            const std::int32_t t = p.order[i];
            if (!is_token(t) || (i > begin && t <= p.order[i - 1]))
                return "tokens of a slot out of range or out of order";
            if (p.assign[t] != (dropped ? -1 : s))
                return "tokens in another slot than they are assigned to";
        }
        if (!dropped && !(begin == end && p.rep[s] == -1) && !(is_token(p.rep[s]) && p.assign[p.rep[s]] == s))
            return "a slot that no token of its own stands for";
    }
    return nullptr;
}

// One read of the indices.
template <class Plan> void check_plan(const char* op, const Plan& p, const char* argument = "plan") {
    check_plan_memory(op, argument, p);
    if (p.slots < 0 || p.slots > p.tokens || p.slots > p.capacity)
        fail(op, argument, "slots " + std::to_string(p.slots),
             "0 to " + std::to_string(p.tokens < p.capacity ? p.tokens : p.capacity));
    for (std::ptrdiff_t b = 0; b < p.batch; ++b) {
        if (const char* const fault = fault_of(arrays_of(p, b)))
            fail(op, argument, std::string("has ") + fault + " (sequence " + std::to_string(b) + ")",
                 "what tome_plan, merge_plan_from or merge_compose make");
    }
}
// Room for a plan that is to be made.
template <class Plan>
void check_plan_output(const char* op, const Plan& p, std::ptrdiff_t batch, std::ptrdiff_t tokens,
                       std::ptrdiff_t slots) {
    check_plan_memory(op, "plan", p);
    if (p.batch != batch || p.tokens != tokens)
        fail(op, "plan", "batch " + std::to_string(p.batch) + ", tokens " + std::to_string(p.tokens),
             std::to_string(batch) + " and " + std::to_string(tokens));
    if (p.capacity < slots)
        fail(op, "plan", "capacity " + std::to_string(p.capacity), "room for " + std::to_string(slots) + " slots");
}

inline void check_rows(const char* op, const char* argument, const sequences& v, std::ptrdiff_t batch,
                       std::ptrdiff_t rows, std::ptrdiff_t channels) {
    if (v.batch == batch && v.rows == rows && v.channels == channels)
        return;
    const std::ptrdiff_t expected[] = {batch, rows, channels};
    fail(op, argument, "extents " + v.extents(), v.all.rank == 3 ? list(expected, 3) : list(expected + 1, 2));
}

// f(sequence, first, last) for pieces of `rows` tokens of every sequence.
template <class Executor, class F>
void each_rows(const place<Executor>& where, std::ptrdiff_t batch, std::ptrdiff_t rows, double bytes_of_row,
               const F& f) {
    constexpr std::ptrdiff_t together = 16;
    const std::ptrdiff_t pieces = (rows + together - 1) / together;
    const double bytes = bytes_of_row * static_cast<double>(together);
    where.parallel_for(batch * pieces, {bytes, bytes, bytes / 4}, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        while (begin < end) {
            const std::ptrdiff_t sequence = begin / pieces;
            const std::ptrdiff_t first = begin - sequence * pieces;
            const std::ptrdiff_t left = end - begin;
            const std::ptrdiff_t count = left < pieces - first ? left : pieces - first;
            const std::ptrdiff_t last = (first + count) * together;
            f(sequence, first * together, last < rows ? last : rows);
            begin += count;
        }
    });
}

}}}} // namespace tarn::shape
