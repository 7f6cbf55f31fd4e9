// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/conversions.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/half.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/token_sequences.hpp>

#if !defined(TARN_DISPATCH)
#include <tarn/dispatch/token_pool_kernels.hpp>
#endif

TARN_DEFINE_KERNELS_OF(token_pool)

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

// One pooling, or several in order: {token_pooling::mean, token_pooling::max}.
struct token_poolings {
    token_pooling pooling[max_token_poolings] = {};
    int count = 1;

    TARN_INLINE constexpr token_poolings() {}
    template <class... P, std::enable_if_t<(std::is_same<P, token_pooling>::value && ...), int> = 0>
    TARN_INLINE constexpr token_poolings(token_pooling first, P... more)
        : pooling{first, more...}, count(1 + static_cast<int>(sizeof...(P))) {
        static_assert(sizeof...(P) < static_cast<std::size_t>(max_token_poolings),
                      "tarn: more poolings than one call may do");
    }
};

// T: the type of x; for x of 16 bits, or of float, the weights may be of any of them. Of the backend: see
// masked_softmax_options.
template <class T> struct token_pool_options {
    token_poolings modes = {};
    // Which tokens take part: [tokens], or [batch, tokens].
    optional_view<const bool> keep = {};
    // For weighted_mean: one weight for every token, of any sign; likewise.
    optional_view<const T> weights = {};
    // The result where no token takes part.
    double empty_value = 0;
};

namespace shape {

inline dispatch::pooling_list check_poolings(const char* op, const token_poolings& modes) {
    if (modes.count < 1 || modes.count > max_token_poolings)
        fail(op, "modes", std::to_string(modes.count), "1 to " + std::to_string(max_token_poolings));
    dispatch::pooling_list list = {{}, modes.count};
    for (int i = 0; i < modes.count; ++i) {
        list.pooling[i] = modes.pooling[i];
        if (list.pooling[i] < token_pooling::mean || list.pooling[i] > token_pooling::last)
            fail(op, "modes", "number " + std::to_string(static_cast<int>(list.pooling[i])),
                 "enumerators of token_pooling");
    }
    return list;
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
            s.weights = {static_cast<char*>(const_cast<void*>(weights_.data)) +
                             place(weights_, r) * element_size(weights_),
                         weights_.type, weights_.stride[weights_.rank - 1], 0};
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

// Indices of max and min, [sequences, those poolings, channels].
inline operand check_token_indices(const char* op, const token_sequences& sequences,
                                   const dispatch::pooling_list& modes, const operand& v, bool single) {
    int indexed = 0;
    for (int i = 0; i < modes.count; ++i)
        indexed += dispatch::pooling_list::has_index(modes.pooling[i]);
    if (indexed == 0)
        fail(op, "indices", "of modes without max and min", "none");
    const operand r = sequences.of_results(op, "indices", v, indexed);
    constexpr std::ptrdiff_t most = 0x7fffffff;
    if (v.type == element::int32 && sequences.most_tokens() > most)
        fail(op, "indices", "int32", "int64 for more than 2147483647 tokens");
    if (single && sequences.most_tokens() > most)
        fail(op, "input", std::to_string(sequences.most_tokens()) + " tokens", "at most 2147483647 with indices");
    return r;
}

// N: the type that elements are worked on in. offsets, arg: null if there are none.
template <class N, class T, class Executor>
void token_pool(const place<Executor>& where, const operand& x, const operand* offsets, const operand& given_y,
                const operand* given_arg, const token_pool_options<T>& options) {
    constexpr const char* op = "token_pool";
    const dispatch::pooling_list modes = check_poolings(op, options.modes);
    check_operand(op, "input", x);
    const token_sequences sequences(op, x, offsets);
    const operand y = sequences.of_results(op, "output", given_y, modes.count);
    const auto parts = dispatch::token_pool_parts::of(modes);
    const token_operands of_tokens(op, sequences, options.keep, options.weights, parts.weighted);
    operand arg = {};
    if (given_arg)
        arg = check_token_indices(op, sequences, modes, *given_arg, sizeof(N) == 4);
    const tier t = check_tier(op, where.tier_index);
    const dispatch::token_pool_table<N>& kernels = token_pool_kernels_of<N>(t);
    if (size(y) == 0)
        return;
    check_distinct(op, y);
    if (size(x) > 0)
        check_apart(op, x, y);
    of_tokens.check_apart_from(op, y, "output");
    if (offsets)
        check_apart(op, *offsets, y, "offsets", "output");
    if (given_arg) {
        check_distinct(op, arg, "indices");
        check_apart(op, y, arg, "indices", "output");
        if (size(x) > 0)
            check_apart(op, x, arg, "indices");
        of_tokens.check_apart_from(op, arg, "indices");
        if (offsets)
            check_apart(op, *offsets, arg, "offsets", "indices");
    }

    // What caches hold is there soon enough.
    constexpr double ahead_bytes = 4 * 1024 * 1024;
    const bool ahead = bytes_of(x) > ahead_bytes;
    const std::ptrdiff_t block =
        channels_together<N, Executor>(sequences, parts.bytes_of_channel(sizeof(N), given_arg != nullptr));
    for_sequences(where, sequences, block, bytes_of_element(x), 0,
                  [&](std::ptrdiff_t s, std::ptrdiff_t channel, std::ptrdiff_t channels) {
                      const token_range range = sequences[s];
                      kernels.pool({rows_of_tokens(x, range, channel), of_tokens.of(range, channels), &modes,
                                    rows_of_results(y, s, channel),
                                    indices_of_results(given_arg ? &arg : nullptr, s, channel),
                                    offsets ? range.first : 0, static_cast<N>(options.empty_value), ahead});
                  });
}

template <class X, class Y, bool Ragged> TARN_INLINE constexpr void assert_token_pool() noexcept {
    constexpr bool viewable = detail::accepts_input<X>::value && detail::accepts_output<Y>::value;
    using input = decltype(detail::input_view(std::declval<const X&>()));
    using output = decltype(detail::output_view(std::declval<Y>()));
    static_assert(!viewable || detail::is_element_pair<typename input::value_type, typename output::value_type>::value,
                  "tarn: token_pool takes operands of float, double, float16 or bfloat16, of one type, or of 16 bits "
                  "with results "
                  "in float");
    static_assert(!viewable || input::rank == 2 || (input::rank == 3 && !Ragged),
                  "tarn: token_pool takes [batch, tokens, channels] or [tokens, channels]; with offsets [tokens, "
                  "channels]");
    constexpr int axes = Ragged || input::rank == 3 ? 1 : 0;
    static_assert(!viewable || output::rank == axes + 1 || output::rank == axes + 2,
                  "tarn: the output of token_pool is [batch, modes * channels] or [batch, modes, channels], without a "
                  "batch [modes * channels] or [modes, channels]");
}

template <class Executor, class X, class Offsets, class Y, class Arg, class T>
TARN_INLINE void call_token_pool(const place<Executor>& where, const X& x, const Offsets& offsets, Y&& y, Arg&& arg,
                                 const token_pool_options<T>& options) {
    constexpr bool ragged = !detail::is_none<Offsets>::value;
    constexpr bool has_arg = !detail::is_none<Arg>::value;
    assert_token_pool<X, Y&&, ragged>();
    const auto input = detail::input_view(x);
    using number = detail::number_of<typename decltype(input)::value_type>;
    static_assert(std::is_same<detail::number_of<T>, number>::value,
                  "tarn: token_pool takes options of double beside double, and of other types beside others");
    operand begins = {}, indices = {};
    if constexpr (ragged) {
        const auto v = detail::input_view(offsets);
        static_assert(decltype(v)::rank == 1, "tarn: offsets have rank 1");
        begins = erase_indices(v);
    }
    if constexpr (has_arg)
        indices = erase_indices(detail::output_view(static_cast<Arg&&>(arg)));
    token_pool<number>(where, erase(input), ragged ? &begins : nullptr, erase(detail::output_view(static_cast<Y&&>(y))),
                       has_arg ? &indices : nullptr, options);
}

} // namespace shape

template <class Executor, class X, class Y, class T = detail::value_type_of<X>,
          std::enable_if_t<!detail::is_index_operand<Y>::value, int> = 0>
TARN_INLINE void token_pool(const place<Executor>& where, const X& x, Y&& y,
                            const token_pool_options<T>& options = {}) {
    shape::call_token_pool(where, x, none, static_cast<Y&&>(y), none, options);
}
template <class X, class Y, class T = detail::value_type_of<X>,
          std::enable_if_t<!detail::is_place<X>::value && !detail::is_index_operand<Y>::value, int> = 0>
TARN_INLINE void token_pool(const X& x, Y&& y, const token_pool_options<T>& options = {}) {
    shape::call_token_pool(on(serial), x, none, static_cast<Y&&>(y), none, options);
}

// The same, and which tokens the results of max and min are: the first of equal ones.
template <class Executor, class X, class Y, class Arg, class T = detail::value_type_of<X>,
          std::enable_if_t<!detail::is_index_operand<Y>::value && detail::is_index_argument<Arg>, int> = 0>
TARN_INLINE void token_pool(const place<Executor>& where, const X& x, Y&& y, Arg&& arg,
                            const token_pool_options<T>& options = {}) {
    shape::call_token_pool(where, x, none, static_cast<Y&&>(y), static_cast<Arg&&>(arg), options);
}
template <
    class X, class Y, class Arg, class T = detail::value_type_of<X>,
    std::enable_if_t<
        !detail::is_place<X>::value && !detail::is_index_operand<Y>::value && detail::is_index_argument<Arg>, int> = 0>
TARN_INLINE void token_pool(const X& x, Y&& y, Arg&& arg, const token_pool_options<T>& options = {}) {
    shape::call_token_pool(on(serial), x, none, static_cast<Y&&>(y), static_cast<Arg&&>(arg), options);
}

// Sequences of any lengths one after the other: sequence s has the tokens offsets[s] to offsets[s + 1] - 1 of x.
template <class Executor, class X, class Offsets, class Y, class T = detail::value_type_of<X>,
          std::enable_if_t<detail::is_index_operand<Offsets>::value && !detail::is_index_operand<Y>::value, int> = 0>
TARN_INLINE void token_pool(const place<Executor>& where, const X& x, const Offsets& offsets, Y&& y,
                            const token_pool_options<T>& options = {}) {
    shape::call_token_pool(where, x, offsets, static_cast<Y&&>(y), none, options);
}
template <class X, class Offsets, class Y, class T = detail::value_type_of<X>,
          std::enable_if_t<!detail::is_place<X>::value && detail::is_index_operand<Offsets>::value &&
                               !detail::is_index_operand<Y>::value,
                           int> = 0>
TARN_INLINE void token_pool(const X& x, const Offsets& offsets, Y&& y, const token_pool_options<T>& options = {}) {
    shape::call_token_pool(on(serial), x, offsets, static_cast<Y&&>(y), none, options);
}
template <class Executor, class X, class Offsets, class Y, class Arg, class T = detail::value_type_of<X>,
          std::enable_if_t<detail::is_index_operand<Offsets>::value && detail::is_index_argument<Arg>, int> = 0>
TARN_INLINE void token_pool(const place<Executor>& where, const X& x, const Offsets& offsets, Y&& y, Arg&& arg,
                            const token_pool_options<T>& options = {}) {
    shape::call_token_pool(where, x, offsets, static_cast<Y&&>(y), static_cast<Arg&&>(arg), options);
}
template <class X, class Offsets, class Y, class Arg, class T = detail::value_type_of<X>,
          std::enable_if_t<!detail::is_place<X>::value && detail::is_index_operand<Offsets>::value &&
                               detail::is_index_argument<Arg>,
                           int> = 0>
TARN_INLINE void token_pool(const X& x, const Offsets& offsets, Y&& y, Arg&& arg,
                            const token_pool_options<T>& options = {}) {
    shape::call_token_pool(on(serial), x, offsets, static_cast<Y&&>(y), static_cast<Arg&&>(arg), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
