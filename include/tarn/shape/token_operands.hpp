// SPDX-License-Identifier: BSD-3-Clause
//
// What kernels of token pooling are told of the operands of a call.
#pragma once

#include <tarn/shape/token_sequences.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// One number for every token.
inline dispatch::stored_rows numbers_of_tokens(const operand& v, const token_range& r) noexcept {
    const std::ptrdiff_t along = v.stride[v.rank - 1];
    const std::ptrdiff_t at = (v.rank == 2 ? r.batch * v.stride[0] : 0) + r.first * along;
    return {static_cast<char*>(const_cast<void*>(v.data)) + at * element_size(v), v.type, along, 0};
}

// What keep and weights are beside x.
class token_operands {
public:
    template <class T>
    token_operands(const char* op, const token_sequences& sequences, const optional_view<const bool>& keep,
                   const optional_view<const T>& weights, bool needs_weights)
        : has_keep_(static_cast<bool>(keep)), has_weights_(needs_weights) {
        if (has_keep_)
            keep_ = sequences.of_tokens(op, "keep", erase(keep));
        if (!needs_weights)
            return;
        if (!weights)
            fail(op, "weights", "none", "one for every token, for weighted_mean");
        weights_ = sequences.of_tokens(op, "weights", erase(weights));
    }
    void check_apart_from(const char* op, const operand& y, const char* name) const {
        if (has_keep_ && size(keep_) > 0)
            check_apart(op, keep_, y, "keep", name);
        if (has_weights_ && size(weights_) > 0)
            check_apart(op, weights_, y, "weights", name);
    }
    dispatch::token_span of(const token_range& r, std::ptrdiff_t channels) const noexcept {
        dispatch::token_span s = {r.tokens, channels, nullptr, 0, {}};
        if (has_keep_) {
            s.keep_along = keep_.stride[keep_.rank - 1];
            s.keep = static_cast<const unsigned char*>(keep_.data) + place(keep_, r);
        }
        if (has_weights_)
            s.weights = numbers_of_tokens(weights_, r);
        return s;
    }

private:
    static std::ptrdiff_t place(const operand& v, const token_range& r) noexcept {
        return (v.rank == 2 ? r.batch * v.stride[0] : 0) + r.first * v.stride[v.rank - 1];
    }

    operand keep_ = {}, weights_ = {};
    bool has_keep_, has_weights_;
};

// Rows of x from a token and a channel on. The single channel of rows has no neighbour, so any stride is as good as 1.
inline dispatch::stored_rows rows_of_tokens(const operand& x, const token_range& r, std::ptrdiff_t channel) noexcept {
    const int c = x.rank - 1;
    const std::ptrdiff_t at =
        (x.rank == 3 ? r.batch * x.stride[0] : 0) + r.first * x.stride[c - 1] + channel * x.stride[c];
    return {x.data ? static_cast<char*>(const_cast<void*>(x.data)) + at * element_size(x) : nullptr, x.type,
            x.extent[c] == 1 ? 1 : x.stride[c], x.stride[c - 1]};
}
// Rows of results [sequences, poolings, channels].
inline dispatch::stored_rows rows_of_results(const operand& y, std::ptrdiff_t sequence,
                                             std::ptrdiff_t channel) noexcept {
    const std::ptrdiff_t at = sequence * y.stride[0] + channel * y.stride[2];
    return {static_cast<char*>(const_cast<void*>(y.data)) + at * element_size(y), y.type,
            y.extent[2] == 1 ? 1 : y.stride[2], y.stride[1]};
}
inline dispatch::stored_indices indices_of_results(const operand* v, std::ptrdiff_t sequence,
                                                   std::ptrdiff_t channel) noexcept {
    if (!v)
        return {nullptr, false, 0, 0};
    const dispatch::stored_rows rows = rows_of_results(*v, sequence, channel);
    return {rows.data, v->type == element::int64, v->stride[2], v->stride[1]};
}

constexpr std::ptrdiff_t most_narrow_tokens = 0x7fffffff;
// Kernels of floats count the tokens of a sequence in 32 bits.
inline void check_token_count(const char* op, const token_sequences& sequences, bool single) {
    if (single && sequences.tokens_of_x() > most_narrow_tokens)
        fail(op, "input", std::to_string(sequences.tokens_of_x()) + " tokens", "at most 2147483647 with indices");
}

// Indices of max and min, [sequences, those poolings, channels].
inline operand check_token_indices(const char* op, const token_sequences& sequences,
                                   const dispatch::pooling_list& modes, const operand& v, bool single) {
    int indexed = 0;
    for (int i = 0; i < modes.count; ++i)
        indexed += dispatch::pooling_list::has_index(modes.pooling[i]);
    if (indexed == 0)
        fail(op, "indices", "of modes without max and min", "none");
    const operand r = sequences.of_results(op, "indices", v, indexed);
    if (v.type == element::int32 && sequences.tokens_of_x() > most_narrow_tokens)
        fail(op, "indices", "int32", "int64 for more than 2147483647 tokens");
    check_token_count(op, sequences, single);
    return r;
}
// Every index is a token of its sequence, or -1.
inline void check_index_range(const char* op, const token_sequences& sequences, const operand& arg, bool ragged) {
    for (std::ptrdiff_t s = 0; s < arg.extent[0]; ++s) {
        const token_range range = sequences[s];
        const std::ptrdiff_t first = ragged ? range.first : 0;
        for (std::ptrdiff_t k = 0; k < arg.extent[1]; ++k) {
            for (std::ptrdiff_t c = 0; c < arg.extent[2]; ++c) {
                const std::int64_t v = index_at(arg, s * arg.stride[0] + k * arg.stride[1] + c * arg.stride[2]);
                if (v != -1 && (v < first || v >= first + range.tokens))
                    fail(op, "indices", std::to_string(v) + " of sequence " + std::to_string(s),
                         "-1, or " + std::to_string(first) + " to " + std::to_string(first + range.tokens - 1));
            }
        }
    }
}

}}}} // namespace tarn::shape
