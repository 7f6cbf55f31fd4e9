// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/token_pool.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND {

// T: as for token_pool_options.
template <class T> struct token_pool_backward_options {
    // These three are those of the forward call.
    token_poolings modes = {};
    optional_view<const bool> keep = {};
    optional_view<const T> weights = {};
    // The gradient in the weights: [batch, tokens], without a batch or with offsets [tokens].
    optional_view<T> weight_gradient = {};
};

namespace shape {

// A view in the extents of another, which may lack an axis of extent 1.
inline operand check_weight_gradient(const char* op, const token_sequences& sequences, const operand& v) {
    check_operand(op, "weight_gradient", v);
    const operand r = sequences.of_tokens(op, "weight_gradient", v);
    if (size(r) > 0)
        check_distinct(op, r, "weight_gradient");
    return r;
}

// x, arg: null if there are none.
template <class N, class T, class Executor>
void token_pool_backward(const place<Executor>& where, const operand* x, const operand* offsets,
                         const operand* given_arg, const operand& given_dy, const operand& dx,
                         const token_pool_backward_options<T>& options) {
    constexpr const char* op = "token_pool_backward";
    const dispatch::pooling_list modes = check_poolings(op, options.modes);
    check_operand(op, "output", dx);
    const token_sequences sequences(op, dx, offsets);
    const auto parts = dispatch::token_pool_parts::of(modes);
    const operand dy = sequences.of_results(op, "gradient", given_dy, modes.count);
    const bool has_weights = static_cast<bool>(options.weight_gradient);
    const bool searches = (parts.greatest || parts.least) && !given_arg;
    if (x) {
        check_operand(op, "input", *x);
        check_same_extents(op, dx, *x, "input");
    } else if (searches) {
        fail(op, "input", "none", "the input of the forward call, or the indices, for max and min");
    } else if (has_weights) {
        fail(op, "input", "none", "the input of the forward call, for the gradient in the weights");
    }
    const token_operands of_tokens(op, sequences, options.keep, options.weights, parts.weighted);
    operand arg = {};
    if (given_arg) {
        arg = check_token_indices(op, sequences, modes, *given_arg, sizeof(N) == 4);
        check_index_range(op, sequences, arg, offsets != nullptr);
    } else if (searches) {
        check_token_count(op, sequences, sizeof(N) == 4);
    }
    operand dw = {};
    if (has_weights) {
        if (!parts.weighted)
            fail(op, "weight_gradient", "of modes without weighted_mean", "none");
        dw = check_weight_gradient(op, sequences, erase(options.weight_gradient));
    }
    const tier t = check_tier(op, where.tier_index);
    const dispatch::token_pool_table<N>& kernels = token_pool_kernels_of<N>(t);
    const bool empty = size(dx) == 0;
    if (!empty) {
        check_distinct(op, dx);
        if (x && (searches || has_weights))
            check_overlap(op, *x, dx);
        if (size(dy) > 0)
            check_apart(op, dy, dx, "output", "gradient");
        of_tokens.check_apart_from(op, dx, "output");
        if (given_arg && size(arg) > 0)
            check_apart(op, arg, dx, "output", "indices");
        if (offsets)
            check_apart(op, *offsets, dx, "offsets", "output");
    }
    if (has_weights && size(dw) > 0) {
        of_tokens.check_apart_from(op, dw, "weight_gradient");
        if (!empty) {
            check_apart(op, *x, dw, "weight_gradient");
            check_apart(op, dx, dw, "weight_gradient", "output");
            check_apart(op, dy, dw, "weight_gradient", "gradient");
        }
        if (offsets)
            check_apart(op, *offsets, dw, "offsets", "weight_gradient");
        // Tokens that belong to no sequence, or have no channels.
        if (empty || offsets)
            fill(dw, 0);
    }
    if (empty)
        return;

    // Before dx, which may be x.
    if (has_weights) {
        for_sequences(where, sequences, sequences.channels(), bytes_of_element(*x), 0,
                      [&](std::ptrdiff_t s, std::ptrdiff_t, std::ptrdiff_t channels) {
                          const token_range range = sequences[s];
                          kernels.weights_backward({rows_of_tokens(*x, range, 0), of_tokens.of(range, channels), &modes,
                                                    rows_of_results(dy, s, 0), numbers_of_tokens(dw, range)});
                      });
    }
    const std::ptrdiff_t block = channels_together<N, Executor>(sequences, parts.bytes_of_gradient(sizeof(N)));
    const bool ahead = searches && reads_ahead(*x);
    const auto run = [&](const token_range& range, std::ptrdiff_t s, std::ptrdiff_t channel, std::ptrdiff_t channels,
                         bool outside) {
        static constexpr unsigned char none_is_kept = 0;
        dispatch::token_span span = of_tokens.of(range, channels);
        if (outside) {
            span.keep = &none_is_kept;
            span.keep_along = 0;
        }
        kernels.backward({searches ? rows_of_tokens(*x, range, channel) : dispatch::stored_rows{}, span, &modes,
                          outside ? dispatch::stored_rows{} : rows_of_results(dy, s, channel),
                          indices_of_results(given_arg && !outside ? &arg : nullptr, s, channel),
                          offsets ? range.first : 0, rows_of_tokens(dx, range, channel), ahead});
    };
    if (sequences.count() > 0)
        for_sequences(where, sequences, block, 0, bytes_of_element(dx),
                      [&](std::ptrdiff_t s, std::ptrdiff_t channel, std::ptrdiff_t channels) {
                          run(sequences[s], s, channel, channels, false);
                      });
    for (const bool after : {false, true}) {
        const token_range range = sequences.outside(after);
        for (std::ptrdiff_t channel = 0; range.tokens > 0 && channel < sequences.channels(); channel += block) {
            const std::ptrdiff_t rest = sequences.channels() - channel;
            run(range, 0, channel, rest < block ? rest : block, true);
        }
    }
}

template <class Executor, class X, class Offsets, class Arg, class DY, class DX, class T>
TARN_INLINE void call_token_pool_backward(const place<Executor>& where, const X& x, const Offsets& offsets,
                                          const Arg& arg, const DY& dy, DX&& dx,
                                          const token_pool_backward_options<T>& options) {
    constexpr bool ragged = !detail::is_none<Offsets>;
    constexpr bool has_x = !detail::is_none<X>;
    constexpr bool has_arg = !detail::is_none<Arg>;
    constexpr bool viewable = detail::accepts_input<DY>::value && detail::accepts_output<DX>::value;
    const auto gradient = detail::input_view(dy);
    const auto output = detail::output_view(static_cast<DX&&>(dx));
    using value = typename decltype(gradient)::value_type;
    using number = detail::number_of<value>;
    static_assert(!viewable || detail::is_element_pair<value, typename decltype(output)::value_type>::value,
                  "tarn: token_pool_backward takes operands of float, double, float16 or bfloat16, of one type, or of "
                  "16 bits with results in float");
    constexpr int rank = decltype(output)::rank;
    static_assert(!viewable || rank == 2 || (rank == 3 && !ragged),
                  "tarn: token_pool_backward takes [batch, tokens, channels] or [tokens, channels]; with offsets "
                  "[tokens, channels]");
    constexpr int axes = ragged || rank == 3 ? 1 : 0;
    static_assert(!viewable || decltype(gradient)::rank == axes + 1 || decltype(gradient)::rank == axes + 2,
                  "tarn: the gradient of token_pool is [batch, modes * channels] or [batch, modes, channels], without "
                  "a batch [modes * channels] or [modes, channels]");
    static_assert(std::is_same<detail::number_of<T>, number>::value,
                  "tarn: token_pool_backward takes options of double beside double, and of other types beside others");
    operand input = {}, begins = {}, indices = {};
    if constexpr (has_x) {
        const auto v = detail::input_view(x);
        static_assert(!detail::accepts_input<X>::value || decltype(v)::rank == rank,
                      "tarn: input and output of token_pool_backward have different ranks");
        static_assert(!detail::accepts_input<X>::value ||
                          std::is_same<detail::number_of<typename decltype(v)::value_type>, number>::value,
                      "tarn: token_pool_backward takes an input of double beside double, and of other types beside "
                      "others");
        input = erase(v);
    }
    if constexpr (ragged)
        begins = erase_offsets(offsets);
    if constexpr (has_arg)
        indices = erase_indices(detail::input_view(arg));
    token_pool_backward<number>(where, has_x ? &input : nullptr, ragged ? &begins : nullptr,
                                has_arg ? &indices : nullptr, erase(gradient), erase(output), options);
}

} // namespace shape

// The gradient of token_pool: what reaches each token of the gradient dy of its results. For each mode, with g its row
// of dy:
//
//   mean, sum, mean_sqrt     g / n, g, g / sqrt(n)
//   weighted_mean            w_i / sum w * g, nothing where sum w is 0; position_weighted_mean likewise
//   max, min                 g of a channel goes to the token that its result is, the first of equal ones
//   cls, last                g goes to the first or the last token that takes part
//
// Several modes are added up. The gradient in the weights of weighted_mean is (x_i . g - y . g) / sum w.
//
//   x        the input of the forward call, or tarn::none; read only for max and min without indices, and for
//            weight_gradient
//   offsets  those of the forward call, if it had any: int32 or int64
//   arg      the indices that token_pool gave, int32 or int64, or tarn::none; -1: nowhere
//   dy       float, double, float16 or bfloat16, the extents of the results of the forward call, any strides
//   dx       the type of dy, or float for dy of 16 bits; [batch, tokens, channels] or [tokens, channels], any strides
//            but 0; x itself or memory apart from it, apart from all others
//   options  see token_pool_backward_options; their operands lie apart from dx
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   tokens that take no part, and those before and after all offsets, get 0, and their x is not read.
//                  NaN in dy stays in its channel. What max, min and indices send is copied; other gradients below
//                  2^-126 (doubles: 2^-1022) are 0.
// Accuracy         floats: one mode within an ulp; several within an ulp of the sum of their magnitudes for each.
//                  Doubles: 2 ulp. weight_gradient: within 2 ulp of (sum |x_i g| + |y . g|) / |sum w|, of doubles
//                  within (channels + tokens) * 2^-52 of that.
// Determinism      the bits of a gradient depend on its sequence and the options only: not on strides, threads,
//                  compiler, nor on AVX2 against AVX-512.
// Memory           dx is written once; x is read once where it is needed, and for weight_gradient twice beyond 1024
//                  tokens. At most 64 KB of stack, no allocation.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: as token_pool; an
//                  input that is needed and not there, indices that are no tokens of their sequence.
template <class Executor, class X, class Arg, class DY, class DX, class T = detail::value_type_of<DY>,
          std::enable_if_t<detail::is_index_argument<Arg>, int> = 0>
TARN_INLINE void token_pool_backward(const place<Executor>& where, const X& x, const Arg& arg, const DY& dy, DX&& dx,
                                     const token_pool_backward_options<T>& options = {}) {
    shape::call_token_pool_backward(where, x, none, arg, dy, static_cast<DX&&>(dx), options);
}
template <class X, class Arg, class DY, class DX, class T = detail::value_type_of<DY>,
          std::enable_if_t<!detail::is_place<X>::value && detail::is_index_argument<Arg>, int> = 0>
TARN_INLINE void token_pool_backward(const X& x, const Arg& arg, const DY& dy, DX&& dx,
                                     const token_pool_backward_options<T>& options = {}) {
    shape::call_token_pool_backward(on(serial), x, none, arg, dy, static_cast<DX&&>(dx), options);
}

// The same for sequences one after the other.
template <class Executor, class X, class Offsets, class Arg, class DY, class DX, class T = detail::value_type_of<DY>,
          std::enable_if_t<detail::is_index_operand<Offsets>::value && detail::is_index_argument<Arg>, int> = 0>
TARN_INLINE void token_pool_backward(const place<Executor>& where, const X& x, const Offsets& offsets, const Arg& arg,
                                     const DY& dy, DX&& dx, const token_pool_backward_options<T>& options = {}) {
    shape::call_token_pool_backward(where, x, offsets, arg, dy, static_cast<DX&&>(dx), options);
}
template <class X, class Offsets, class Arg, class DY, class DX, class T = detail::value_type_of<DY>,
          std::enable_if_t<!detail::is_place<X>::value && detail::is_index_operand<Offsets>::value &&
                               detail::is_index_argument<Arg>,
                           int> = 0>
TARN_INLINE void token_pool_backward(const X& x, const Offsets& offsets, const Arg& arg, const DY& dy, DX&& dx,
                                     const token_pool_backward_options<T>& options = {}) {
    shape::call_token_pool_backward(on(serial), x, offsets, arg, dy, static_cast<DX&&>(dx), options);
}

} // namespace TARN_BACKEND
}} // namespace tarn
