// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <tarn/dispatch/conversions.hpp>
#include <tarn/dispatch/family.hpp>
#include <tarn/shape/run_parts.hpp>
#include <tarn/shape/token_operands.hpp>

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

    const bool ahead = reads_ahead(x);
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
    constexpr bool ragged = !detail::is_none<Offsets>;
    constexpr bool has_arg = !detail::is_none<Arg>;
    assert_token_pool<X, Y&&, ragged>();
    const auto input = detail::input_view(x);
    using number = detail::number_of<typename decltype(input)::value_type>;
    static_assert(std::is_same<detail::number_of<T>, number>::value,
                  "tarn: token_pool takes options of double beside double, and of other types beside others");
    operand begins = {}, indices = {};
    if constexpr (ragged)
        begins = erase_offsets(offsets);
    if constexpr (has_arg)
        indices = erase_indices(detail::output_view(static_cast<Arg&&>(arg)));
    token_pool<number>(where, erase(input), ragged ? &begins : nullptr, erase(detail::output_view(static_cast<Y&&>(y))),
                       has_arg ? &indices : nullptr, options);
}

} // namespace shape

// Pools the tokens of sequences channel by channel: masked mean, sum, mean over the square root of the length, weighted
// and position-weighted mean, max, min, the first and the last token (cls, last), or several of them from one read of x,
// their results side by side. The modes are those of sentence-transformers (Sentence-BERT, arXiv 1908.10084);
// position_weighted_mean is that of SGPT (arXiv 2202.08904), mean_sqrt that of the Universal Sentence Encoder (arXiv
// 1803.11175).
//
// Tokens that are not kept are skipped, whatever they hold: results do not depend on padding, on which side it is, nor
// on holes. Beware: in sentence-transformers cls is the first token even where that is padding, and the weights of
// weightedmean count padding on the left.
//
//   x        [batch, tokens, channels] or [tokens, channels]: float, double, float16 or bfloat16, any strides
//   y        the type of x, or float for x of 16 bits; [batch, modes * channels] or [batch, modes, channels], without a
//            batch [modes * channels] or [modes, channels]; any strides but 0; apart from x
//   options  see token_pool_options; their operands lie apart from y
//   where    tarn::on(tier, executor) as first argument; default: the best tier, in this thread
//
// Special values   no token kept: empty_value in every mode; weights that add up to 0: empty_value in weighted_mean.
//                  NaN stays in its channel, also in max and min; of infinities sums are what IEEE 754 says. max, min,
//                  cls and last return elements as they are; other results below 2^-126 (doubles: 2^-1022) are 0.
// Accuracy         floats: sums are double, so results are within 0.5001 ulp, and n * 2^-53 of sum |w_i x_i| divided
//                  by what the sum is divided by, n tokens. Doubles: sums keep what their additions and products lose;
//                  0.5 ulp for sum, 1.5 ulp for means, 2.5 for mean_sqrt and weighted_mean. 16-bit
//                  results are the float results rounded once.
// Determinism      tokens are added one after the other. The bits of a result depend on the kept tokens of its channel
//                  only: not on other sequences or modes, on masked tokens, position, strides, threads, compiler, nor on
//                  AVX2 against AVX-512; of floats not on SSE2 either.
// Memory           kept tokens are read once, others never. Threads share out sequences, by their tokens if there are
//                  offsets, and channels if sequences are few. Elements of 16 bits, and channels that lie apart, are
//                  converted in blocks. At most 64 KB of stack, no allocation.
// Errors           std::invalid_argument (message and abort without exceptions), outputs untouched: extents that do not
//                  fit or are negative, operands that do not broadcast, weights that are needed and not there, null
//                  data, outputs that certainly overlap another operand or themselves, a tier that is not available.
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

// The same, and which tokens the results of max and min are: the first of equal ones, or the first NaN; -1 where no token
// is kept.
//
//   arg      int32 or int64, [batch, channels] for each of the modes that are max or min, in their order: extents as for
//            y; apart from x and y; or tarn::none
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

// Sequences of any lengths one after the other: sequence s has the tokens offsets[s] to offsets[s + 1] - 1 of x, which is
// [tokens, channels].
//
//   offsets  int32 or int64, one more than sequences, in ascending order within 0 to tokens (cu_seqlens); tokens before
//            the first and after the last are not read. All are checked before anything is written.
//   y, arg   as above, of sequences instead of a batch; indices are those of rows of x
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
