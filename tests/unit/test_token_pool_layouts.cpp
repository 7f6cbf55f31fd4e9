// SPDX-License-Identifier: BSD-3-Clause
//
// Token pooling and its gradient in any layout and type, with threads, between guard pages, and what they refuse.
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/mxcsr.hpp"
#include "support/refusals.hpp"
#include "support/rows.hpp"
#include "support/token_pool.hpp"

#include <tarn/range.hpp>
#include <tarn/token_pool_backward.hpp>

namespace {

using namespace support;
using t = token_pooling;

const tarn::token_poolings mixed = {t::max, t::weighted_mean, t::cls,      t::mean, t::position_weighted_mean,
                                    t::min, t::last,          t::mean_sqrt};

class token_pool_layouts : public tier_test {};
TARN_TEST_ON_ALL_TIERS(token_pool_layouts);

// A batch [sequences, tokens, channels] in memory of any order, with gaps that must stay as they are.
template <class T> struct scattered {
    std::vector<T> memory;
    tarn::tensor_view<T, 3> view;

    static constexpr float gap = -55;

    scattered(int order, std::ptrdiff_t a, std::ptrdiff_t b, std::ptrdiff_t c) {
        const std::ptrdiff_t extent[3] = {a, b, c};
        constexpr int axes[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
        std::ptrdiff_t step = order >= 6 ? 2 : 1;
        view = tarn::make_view(static_cast<T*>(nullptr), a, b, c);
        std::ptrdiff_t first = 0;
        for (int i = 2; i >= 0; --i) {
            const int axis = axes[order % 6][i];
            const bool backwards = order >= 6 && i == 1;
            view.stride[axis] = backwards ? -step : step;
            first += backwards ? (extent[axis] - 1) * step : 0;
            step = step * extent[axis] + (order >= 6 ? 3 : 0);
        }
        memory.assign(static_cast<std::size_t>(step), static_cast<T>(gap));
        view.data = memory.data() + first;
    }
    std::size_t gaps() const {
        std::size_t n = 0;
        for (const T v : memory)
            n += static_cast<float>(v) == gap;
        return n;
    }
};

// T is read, U written.
template <class T, class U, class Where>
void check_layout(tarn::tier tier, const Where& where, int order, std::ptrdiff_t tokens, std::ptrdiff_t channels) {
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;
    constexpr std::ptrdiff_t sequences = 6;
    auto p = token_problem<R>::batch(sequences, tokens, channels, true, 3);
    for (R& v : p.x)
        v = static_cast<R>(static_cast<T>(v));
    for (R& v : p.weights)
        v = static_cast<R>(static_cast<T>(v));
    const auto expected = pool(tarn::on(tier), p, mixed, true);
    scattered<T> x(order, sequences, tokens, channels);
    for (std::ptrdiff_t i = 0; i < sequences * tokens; ++i) {
        for (std::ptrdiff_t c = 0; c < channels; ++c)
            x.view(i / tokens, i % tokens, c) = static_cast<T>(p.at(i, c));
    }
    scattered<U> y((order + 1) % 12, sequences, mixed.count, channels);
    scattered<float> index((order + 2) % 12, sequences, 2, channels);
    std::vector<std::int32_t> integers(index.memory.size(), -77);
    const auto index_view = tarn::make_view(
        integers.data() + (index.view.data - index.memory.data()), tarn::extents{sequences, 2, channels},
        tarn::strides{index.view.stride[0], index.view.stride[1], index.view.stride[2]});
    // A mask with a stride, and weights for the tokens of all sequences in one.
    const std::unique_ptr<bool[]> keep(new bool[static_cast<std::size_t>(3 * sequences * tokens)]());
    std::vector<T> weights;
    for (std::ptrdiff_t i = 0; i < sequences * tokens; ++i) {
        keep[static_cast<std::size_t>(3 * i)] = p.keeps(i);
        weights.push_back(static_cast<T>(p.weights[static_cast<std::size_t>(i)]));
    }
    tarn::token_pool_options<T> o;
    o.modes = mixed;
    o.keep = tarn::make_view(static_cast<const bool*>(keep.get()), tarn::extents{sequences, tokens},
                             tarn::strides{3 * tokens, std::ptrdiff_t{3}});
    o.weights = tarn::make_view(static_cast<const T*>(weights.data()), sequences, tokens);
    tarn::token_pool(where, x.view, y.view, index_view, o);
    for (std::ptrdiff_t s = 0; s < sequences; ++s) {
        for (int k = 0; k < mixed.count; ++k) {
            for (std::ptrdiff_t c = 0; c < channels; ++c) {
                const auto wanted = static_cast<R>(
                    static_cast<U>(expected.y[static_cast<std::size_t>((s * mixed.count + k) * channels + c)]));
                const auto got = static_cast<R>(y.view(s, k, c));
                ASSERT_EQ(bits_of(got), bits_of(wanted)) << "sequence " << s << ", pooling " << k << ", channel " << c
                                                         << ": " << got << ", expected " << wanted;
                if (k < 2) {
                    const std::int64_t e = expected.index[static_cast<std::size_t>((s * 2 + k) * channels + c)];
                    ASSERT_EQ(index_view(s, k, c), e < 0 ? -1 : e - s * tokens) << s << ' ' << k << ' ' << c;
                }
            }
        }
    }
    ASSERT_GE(y.gaps(), y.memory.size() - static_cast<std::size_t>(sequences * mixed.count * channels));

    // The gradient of dense operands is the reference for the others.
    const auto dy = normal_logits<R>(sequences * mixed.count * channels, 1, 0, 5);
    std::vector<R> dense_dx(p.x.size());
    std::vector<R> dense_dw(p.weights.size());
    std::vector<R> rounded(dy.size());
    for (std::size_t i = 0; i < dy.size(); ++i)
        rounded[i] = static_cast<R>(static_cast<T>(dy[i]));
    tarn::token_pool_backward_options<R> dense_options;
    dense_options.modes = mixed;
    dense_options.keep = tarn::make_view(static_cast<const bool*>(p.keep.get()), sequences, tokens);
    dense_options.weights = tarn::make_view(static_cast<const R*>(p.weights.data()), sequences, tokens);
    dense_options.weight_gradient = tarn::make_view(dense_dw.data(), sequences, tokens);
    tarn::token_pool_backward(
        tarn::on(tier), tarn::make_view(static_cast<const R*>(p.x.data()), sequences, tokens, channels), tarn::none,
        tarn::make_view(static_cast<const R*>(rounded.data()), sequences, mixed.count * channels),
        tarn::make_view(dense_dx.data(), sequences, tokens, channels), dense_options);
    scattered<T> gradient((order + 3) % 12, sequences, mixed.count, channels);
    for (std::ptrdiff_t i = 0; i < sequences * mixed.count * channels; ++i)
        gradient.view(i / channels / mixed.count, i / channels % mixed.count, i % channels) =
            static_cast<T>(rounded[static_cast<std::size_t>(i)]);
    scattered<U> dx((order + 4) % 12, sequences, tokens, channels);
    std::vector<T> dw(static_cast<std::size_t>(2 * sequences * tokens), static_cast<T>(-55.0f));
    tarn::token_pool_backward_options<T> options;
    options.modes = mixed;
    options.keep = o.keep;
    options.weights = o.weights;
    options.weight_gradient =
        tarn::make_view(dw.data(), tarn::extents{sequences, tokens}, tarn::strides{2 * tokens, std::ptrdiff_t{2}});
    for (const bool with_index : {false, true}) {
        if (with_index)
            tarn::token_pool_backward(where, x.view, index_view, gradient.view, dx.view, options);
        else
            tarn::token_pool_backward(where, x.view, tarn::none, gradient.view, dx.view, options);
        for (std::ptrdiff_t i = 0; i < sequences * tokens; ++i) {
            for (std::ptrdiff_t c = 0; c < channels; ++c) {
                const auto wanted =
                    static_cast<R>(static_cast<U>(dense_dx[static_cast<std::size_t>(i * channels + c)]));
                ASSERT_EQ(bits_of(static_cast<R>(dx.view(i / tokens, i % tokens, c))), bits_of(wanted))
                    << "gradient of token " << i << ", channel " << c << " of " << channels;
            }
            ASSERT_EQ(bits_of(static_cast<R>(dw[static_cast<std::size_t>(2 * i)])),
                      bits_of(static_cast<R>(static_cast<T>(dense_dw[static_cast<std::size_t>(i)]))))
                << "gradient of weight " << i;
            ASSERT_EQ(static_cast<float>(dw[static_cast<std::size_t>(2 * i + 1)]), -55.0f);
        }
        ASSERT_GE(dx.gaps(), dx.memory.size() - static_cast<std::size_t>(sequences * tokens * channels));
    }
}

TEST_P(token_pool_layouts, any_layout_and_type) {
    for (const std::ptrdiff_t channels : {1, 7, 16, 33, 300, 600}) {
        for (int order = 0; order < 12; ++order) {
            const std::ptrdiff_t tokens = channels > 100 ? 21 : 40;
            SCOPED_TRACE(std::to_string(channels) + " channels, order " + std::to_string(order));
            const odd_threads threads{1 + order % 9, 1 + order % 4};
            check_layout<float, float>(GetParam(), tarn::on(GetParam()), order, tokens, channels);
            check_layout<float, float>(GetParam(), tarn::on(GetParam(), threads), order, tokens, channels);
            check_layout<double, double>(GetParam(), tarn::on(GetParam(), threads), order, tokens, channels);
            check_layout<tarn::bfloat16, tarn::bfloat16>(GetParam(), tarn::on(GetParam()), order, tokens, channels);
            check_layout<tarn::float16, float>(GetParam(), tarn::on(GetParam()), order, tokens, channels);
            if (HasFatalFailure())
                return;
        }
    }
}

// Uneven sequences dealt to threads, few of them with many channels, and many.
TEST_P(token_pool_layouts, threads_do_not_show) {
    random_bits random(6);
    for (const std::ptrdiff_t sequences : {1, 2, 40, 300}) {
        std::vector<std::ptrdiff_t> offsets{0};
        for (std::ptrdiff_t i = 0; i < sequences; ++i)
            offsets.push_back(offsets.back() + (random.below(3) ? random.below(6) : random.below(90)));
        const auto p = token_problem<float>::of(offsets, sequences < 10 ? 700 : 40, true, 7);
        const auto alone = pool(tarn::on(GetParam()), p, mixed, true);
        for (int count = 1; count <= 9; count += 2) {
            for (const std::ptrdiff_t widest : {1, 5}) {
                const odd_threads threads{count, widest};
                const auto r = pool(tarn::on(GetParam(), threads), p, mixed, true);
                ASSERT_EQ("", difference(r.y.data(), alone.y.data(), static_cast<std::ptrdiff_t>(r.y.size())));
                ASSERT_EQ(r.index, alone.index);
            }
        }
    }
}

TEST_P(token_pool_layouts, nothing_outside_the_operands) {
    constexpr std::ptrdiff_t most = 2 * 20 * 70;
    guarded_floats x(most), y(8 * 2 * 70), w(40), dx(most), dw(40);
    guarded_numbers<bool> keep(40);
    guarded_numbers<std::int32_t> index(2 * 2 * 70);
    for (const std::ptrdiff_t channels : {1, 3, 15, 16, 17, 31, 33, 70}) {
        for (const std::ptrdiff_t tokens : {1, 2, 9, 20}) {
            const auto p = token_problem<float>::batch(2, tokens, channels, true, 8);
            for (const bool at_end : {false, true}) {
                const auto at = [&](auto& memory, std::ptrdiff_t n, const auto* from) {
                    auto* const to = at_end ? memory.against_end(n) : memory.against_start();
                    if (from)
                        std::copy(from, from + n, to);
                    return to;
                };
                const float* const none_of = nullptr;
                const auto from = tarn::make_view(at(x, 2 * tokens * channels, p.x.data()), 2, tokens, channels);
                const auto to = tarn::make_view(at(y, 16 * channels, none_of), 2, 8 * channels);
                const auto arg =
                    tarn::make_view(at(index, 4 * channels, static_cast<std::int32_t*>(nullptr)), 2, 2 * channels);
                const auto back = tarn::make_view(at(dx, 2 * tokens * channels, none_of), 2, tokens, channels);
                tarn::token_pool_options<float> o;
                o.modes = mixed;
                o.keep = tarn::make_view(static_cast<const bool*>(at(keep, 2 * tokens, p.keep.get())), 2, tokens);
                o.weights = tarn::make_view(static_cast<const float*>(at(w, 2 * tokens, p.weights.data())), 2, tokens);
                tarn::token_pool_backward_options<float> b{o.modes, o.keep, o.weights,
                                                           tarn::make_view(at(dw, 2 * tokens, none_of), 2, tokens)};
                ASSERT_EQ("", fault_in([&] {
                              tarn::token_pool(tarn::on(GetParam()), from, to, arg, o);
                              tarn::token_pool(tarn::on(GetParam()), from, to, o);
                              tarn::token_pool_backward(tarn::on(GetParam()), from, arg, to, back, b);
                              tarn::token_pool_backward(tarn::on(GetParam()), from, tarn::none, to, back, b);
                          }))
                    << tokens << "x" << channels << at_end;
            }
        }
    }
}

TEST_P(token_pool_layouts, no_denormal_is_met_or_made) {
    for (const double sd : {1e-30, 1e-9, 1.0, 1e30}) {
        const auto p = token_problem<float>::batch(3, 40, 37, true, 9, sd);
        const auto d = token_problem<double>::batch(3, 40, 37, true, 9, sd);
        std::vector<float> dx(p.x.size());
        tarn::token_pool_backward_options<float> o;
        o.modes = mixed;
        o.weights = tarn::make_view(p.weights.data(), 3, 40);
        unsigned after = 0;
        {
            const mxcsr_scope clear(0);
            pool(tarn::on(GetParam()), p, mixed, true);
            pool(tarn::on(GetParam()), d, mixed, true);
            tarn::token_pool_backward(tarn::on(GetParam()), tarn::make_view(p.x.data(), 3, 40, 37), tarn::none,
                                      tarn::make_view(p.x.data(), 3, 8 * 37), tarn::make_view(dx.data(), 3, 40, 37), o);
            after = _mm_getcsr();
        }
        ASSERT_EQ(after & (denormal_operand | underflow), 0u) << sd;
    }
    // Means below the smallest normal number.
    auto p = token_problem<float>::batch(1, 40, 37, false, 10);
    std::fill(p.x.begin(), p.x.end(), 0.0f);
    for (std::ptrdiff_t c = 0; c < 37; ++c)
        p.at(3, c) = 1.2e-38f * static_cast<float>(1 + c);
    unsigned after = 0;
    std::vector<float> y;
    {
        const mxcsr_scope clear(0);
        y = pool(tarn::on(GetParam()), p, t::mean).y;
        after = _mm_getcsr();
    }
    EXPECT_EQ(after & (denormal_operand | underflow), 0u);
    for (std::ptrdiff_t c = 0; c < 37; ++c)
        EXPECT_EQ(y[static_cast<std::size_t>(c)], 0) << c;
}

TEST(token_pool_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    for (const std::ptrdiff_t channels : {1, 16, 100, 300}) {
        const auto p = token_problem<float>::batch(5, 50, channels, true, 11);
        const auto d = token_problem<double>::batch(5, 50, channels, true, 11);
        const auto n = 5 * 8 * channels;
        ASSERT_EQ("", difference(pool(tarn::on(tarn::tier::avx512), p, mixed).y.data(),
                                 pool(tarn::on(tarn::tier::avx2), p, mixed).y.data(), n));
        ASSERT_EQ("", difference(pool(tarn::on(tarn::tier::avx512), d, mixed).y.data(),
                                 pool(tarn::on(tarn::tier::avx2), d, mixed).y.data(), n));
        ASSERT_EQ("", difference(pool(tarn::on(tarn::tier::sse2), p, mixed).y.data(),
                                 pool(tarn::on(tarn::tier::avx2), p, mixed).y.data(), n));
    }
}

class token_pool_errors : public refusal_test {};

TEST_F(token_pool_errors, are_told) {
    using tarn::extents;
    const auto x3 = in(extents{2, 5, 8});
    const auto told = [&](auto to, const tarn::token_pool_options<float>& o) {
        return message_of([&] { tarn::token_pool(x3, to, o); });
    };
    tarn::token_pool_options<float> o;
    EXPECT_EQ(told(out(extents{2, 9}), o), "tarn::token_pool: output extents {2,9}, expected {2,8}");
    EXPECT_EQ(told(out(extents{2, 2, 8}), o), "tarn::token_pool: output extents {2,2,8}, expected {2,1,8}");
    o.modes = {t::max, t::mean};
    EXPECT_EQ(told(out(extents{2, 8}), o), "tarn::token_pool: output extents {2,8}, expected {2,16}");
    o.modes = t::weighted_mean;
    EXPECT_EQ(told(out(extents{2, 8}), o),
              "tarn::token_pool: weights none, expected one for every token, for weighted_mean");
    o.weights = in(extents{4});
    EXPECT_EQ(told(out(extents{2, 8}), o),
              "tarn::token_pool: weights extents {4}, expected extents that broadcast to {2,5}");
    o = {};
    o.modes.count = 9;
    EXPECT_EQ(told(out(extents{2, 8}), o), "tarn::token_pool: modes 9, expected 1 to 8");
    o = {};
    const bool keep[10] = {};
    o.keep = tarn::make_view(keep, 2);
    EXPECT_EQ(told(out(extents{2, 8}), o),
              "tarn::token_pool: keep extents {2}, expected extents that broadcast to {2,5}");

    const auto x2 = in(extents{10, 8});
    std::vector<std::int64_t> arg(16, -77);
    const auto ragged = [&](std::vector<int> offsets) {
        const std::string message = message_of([&] {
            tarn::token_pool(x2, offsets, out(extents{2, 8}), tarn::make_view(arg.data(), 2, 8), {t::max});
        });
        EXPECT_EQ(arg, std::vector<std::int64_t>(16, -77));
        return message;
    };
    EXPECT_EQ(ragged({0, 6, 4}), "tarn::token_pool: offsets 4 at 2, expected 6 to 10");
    EXPECT_EQ(ragged({0, 6, 11}), "tarn::token_pool: offsets 11 at 2, expected 6 to 10");
    EXPECT_EQ(ragged({-1, 6, 7}), "tarn::token_pool: offsets -1 at 0, expected 0 to 10");
    EXPECT_EQ(ragged({}), "tarn::token_pool: offsets extents {0}, expected one for every sequence and one more");
    EXPECT_EQ(message_of([&] {
                  tarn::token_pool(x3, out(extents{2, 8}), tarn::make_view(arg.data(), 2, 8));
              }),
              "tarn::token_pool: indices of modes without max and min, expected none");
    EXPECT_EQ(message_of([&] { tarn::token_pool(x3, tarn::make_view(x.data() + 3, 2, 8)); }),
              "tarn::token_pool: output overlaps the input, expected memory apart from the input");

    EXPECT_EQ(message_of([&] {
                  tarn::token_pool_backward(tarn::none, tarn::none, in(extents{2, 8}), out(extents{2, 5, 8}), {t::max});
              }),
              "tarn::token_pool_backward: input none, expected the input of the forward call, or the indices, for max "
              "and min");
    arg.assign(16, 4);
    arg[9] = 5;
    EXPECT_EQ(message_of([&] {
                  tarn::token_pool_backward(tarn::none, tarn::make_view(arg.data(), 2, 8), in(extents{2, 8}),
                                            out(extents{2, 5, 8}), {t::max});
              }),
              "tarn::token_pool_backward: indices 5 of sequence 1, expected -1, or 0 to 4");
}

} // namespace
