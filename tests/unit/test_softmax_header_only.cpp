// SPDX-License-Identifier: BSD-3-Clause
//
// The public function compiled into the user's own file, for the instruction set of that file.
#include "support/cluster.hpp"
#include "support/golden.hpp"
#include "support/masked.hpp"
#include "support/merge.hpp"
#include "support/oracle.hpp"
#include "support/pick.hpp"
#include "support/token_pool.hpp"
#include "support/top.hpp"

#include <tarn/sparse_softmax.hpp>
#include <tarn/token_pool_backward.hpp>

namespace {

using namespace support;

TEST(softmax_header_only, is_within_4_ulp_and_keeps_the_rules) {
    for (const std::ptrdiff_t n : {1, 2, 15, 16, 17, 31, 64, 100, 256, 257, 1000, 5000}) {
        for (int kind = 0; kind < row_kinds; ++kind) {
            for (const float scale : {1.0f, -0.37f}) {
                const auto x = row_of_kind(kind, n, static_cast<std::uint64_t>(n * 100 + kind));
                const auto y = softmax_alone(tarn::best_tier(), x.data(), n, scale, tarn::empty_row::zero);
                EXPECT_LE(worst_error(y.data(), specified_softmax(x.data(), n, scale, 0.0L)), 4.0)
                    << "kind " << kind << " length " << n << " scale " << scale;
            }
        }
    }
}

TEST(softmax_header_only, has_the_tier_of_the_file_alone) {
#if defined(__AVX512F__)
    EXPECT_EQ(tarn::best_tier(), tarn::tier::avx512);
#elif defined(__AVX2__)
    EXPECT_EQ(tarn::best_tier(), tarn::tier::avx2);
#else
    EXPECT_EQ(tarn::best_tier(), tarn::tier::sse2);
#endif
    const float x[2] = {1, 2};
    float y[2] = {-1, -1};
    for (const tarn::tier t : all_tiers) {
        EXPECT_EQ(tarn::available(t), t == tarn::best_tier());
        if (!tarn::available(t)) {
            std::string message = "no exception";
            try {
                tarn::softmax(tarn::on(t), tarn::make_view(x, 2), tarn::make_view(y, 2));
            } catch (const std::invalid_argument& e) {
                message = e.what();
            }
            EXPECT_EQ(message, "tarn::softmax: tier " + name_of(t) + ", expected exactly " +
                                   name_of(tarn::best_tier()) + ", for which this file is compiled");
            EXPECT_EQ(y[0], -1.0f);
        }
    }
}

// Here, since it is made of the kernels of softmax, which take long to compile.
TEST(masked_softmax_header_only, forward_and_backward) {
    for (const int features : {int{with_keep}, with_bias | with_causal, int{all_features}}) {
        for (const std::ptrdiff_t keys : {40, 100, 300}) {
            const auto p = masked_problem<float>::of(features, 2, 20, keys, 1);
            const auto y = p.results(tarn::on(tarn::serial));
            double worst = 0;
            EXPECT_EQ("", p.fault_of(y, 4, &worst));
            tarn::masked_softmax_backward_options<float> o;
            const auto view = [&](auto* data) { return tarn::make_view(data, 2, 20, keys); };
            std::vector<float> dx(y.size());
            tarn::masked_softmax_backward(view(y.data()), view(p.x.data()), view(dx.data()), o);
            for (std::ptrdiff_t row = 0; row < 40; ++row) {
                double sum = 0;
                for (std::ptrdiff_t i = row * keys; i < (row + 1) * keys; ++i)
                    sum += static_cast<double>(y[static_cast<std::size_t>(i)]) *
                           static_cast<double>(p.x[static_cast<std::size_t>(i)]);
                for (std::ptrdiff_t i = row * keys; i < (row + 1) * keys; ++i) {
                    const auto k = static_cast<std::size_t>(i);
                    EXPECT_NEAR(dx[k], static_cast<double>(y[k]) * (static_cast<double>(p.x[k]) - sum),
                                1e-5 * static_cast<double>(y[k]))
                        << k;
                }
            }
        }
    }
}

TEST(token_pool_header_only, forward_and_backward) {
    const tarn::token_poolings modes = {token_pooling::mean, token_pooling::max};
    const auto p = token_problem<float>::batch(6, 30, 50, true, 1);
    const auto r = pool(tarn::on(tarn::serial), p, modes, true);
    for (std::ptrdiff_t s = 0; s < 6; ++s) {
        for (std::ptrdiff_t i = 0; i < 100; ++i) {
            const token_pooling mode = modes.pooling[i / 50];
            EXPECT_EQ("", token_error(r.y[static_cast<std::size_t>(s * 100 + i)], p.exact(s, i % 50, mode), mode, 30));
        }
    }
    std::vector<float> dx(p.x.size());
    tarn::token_pool_backward_options<float> o;
    o.modes = token_pooling::max;
    o.keep = tarn::make_view(static_cast<const bool*>(p.keep.get()), 6, 30);
    tarn::token_pool_backward(tarn::make_view(p.x.data(), 6, 30, 50), tarn::none, tarn::make_view(r.y.data(), 6, 50),
                              tarn::make_view(dx.data(), 6, 30, 50), o);
    for (std::ptrdiff_t i = 0; i < 180; ++i) {
        for (std::ptrdiff_t c = 0; c < 50; ++c) {
            const bool reached = p.exact(i / 30, c, token_pooling::max).token == i;
            EXPECT_EQ(dx[static_cast<std::size_t>(i * 50 + c)],
                      reached ? r.y[static_cast<std::size_t>(i / 30 * 50 + c)] : 0);
        }
    }
}

TEST(softpick_header_only, forward_and_backward) {
    const auto p = pick_problem<float>::of(20, 300, normal_logits<float>(20 * 300, 1, 0, 1), true, 2);
    const auto y = p.results(tarn::on(tarn::serial));
    const auto view = [&](auto* data) { return tarn::make_view(data, 20, 300); };
    std::vector<float> dx(y.size());
    tarn::softpick_backward(view(p.x.data()), view(y.data()), view(p.x.data()), view(dx.data()), p.options());
    for (std::ptrdiff_t row = 0; row < 20; ++row) {
        const auto e = p.exact(row);
        long double s = 0;
        for (std::ptrdiff_t i = 0; i < 300; ++i) {
            const auto k = static_cast<std::size_t>(i);
            const auto at = static_cast<std::size_t>(row * 300 + i);
            const long double exact = std::max(0.0L, e.picked[k]) / e.divisor;
            EXPECT_LE(ulp_error(y[at], exact), 32) << at;
            s += exact * static_cast<long double>(p.x[at]);
        }
        for (std::ptrdiff_t i = 0; i < 300; ++i) {
            const auto at = static_cast<std::size_t>(row * 300 + i);
            const auto x = static_cast<long double>(p.x[at]);
            const long double share = p.keep[at] ? e.whole[static_cast<std::size_t>(i)] / e.divisor : 0;
            EXPECT_NEAR(dx[at], static_cast<double>(share * (x > 0 ? x - s : s)), 1e-6) << at;
        }
    }
}

TEST(token_merge_header_only, plan_apply_and_back) {
    const std::vector<float> x = normal_logits<float>(41 * 20, 1, 0, 1);
    tarn::tome_options o;
    o.r = 9;
    tarn::merge_plan plan;
    tarn::tome_plan(tarn::make_view(x.data(), 41, 20), plan, o);
    expect_same(plan_of(plan), plain_tome(x, 41, 20, o));
    std::vector<float> y(32 * 20), back(x.size()), dx(x.size());
    tarn::merge_apply(tarn::make_view(x.data(), 41, 20), plan, tarn::make_view(y.data(), 32, 20));
    tarn::merge_undo(tarn::make_view(y.data(), 32, 20), plan, tarn::make_view(back.data(), 41, 20));
    tarn::merge_apply_backward(tarn::make_view(x.data(), 41, 20), plan, tarn::make_view(y.data(), 32, 20),
                               tarn::make_view(dx.data(), 41, 20));
    const merged_means means(plan_of(plan), x, 20);
    for (std::size_t i = 0; i < x.size(); ++i) {
        EXPECT_NEAR(back[i], means.of_token(i), 1e-6) << i;
        EXPECT_NEAR(dx[i], means.of_token(i) / means.tokens_beside(i), 1e-6) << i;
    }
}

TEST(token_cluster_header_only, means_and_medoids) {
    random_bits random(7);
    cluster_problem<float> p(1, 41, 20, 9, 0, 0, random);
    tarn::merge_plan now, next;
    std::vector<float> centres(9 * 20), moved(9 * 20);
    const auto rows = [](const std::vector<float>& of) {
        return [&of](std::ptrdiff_t s) {
            return [&of, s](std::ptrdiff_t c) { return exact(of[static_cast<std::size_t>(20 * s + c)]); };
        };
    };
    tarn::weighted_k_means(p.x.first(), tarn::none, now, tarn::make_view(centres.data(), 9, 20), p.options(2));
    tarn::weighted_k_means(p.x.first(), tarn::none, next, tarn::make_view(moved.data(), 9, 20), p.options(3));
    expect_nearest(p, 0, plan_of(now), rows(centres));
    expect_means<float>(p, 0, plan_of(now), rows(centres), rows(moved));
    tarn::weighted_k_medoids(p.x.first(), tarn::none, now, p.options(2));
    tarn::weighted_k_medoids(p.x.first(), tarn::none, next, p.options(3));
    expect_medoids(p, 0, plan_of(now), plan_of(now).rep, plan_of(next).rep);
}

TEST(softmax_header_only, gives_the_bits_of_the_library) {
    EXPECT_EQ(digest_of(tarn::best_tier()), golden_digest(tarn::best_tier()));
}

TEST(softmax_header_only, strided_axes_and_stores) {
    const std::ptrdiff_t rows = 70;
    const std::ptrdiff_t n = 300;
    const auto x = normal_logits(rows * n, 3, 0, 1);
    for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
        std::vector<float> y(x.size());
        tarn::softmax_options options;
        options.axis = 0;
        options.stores = how;
        tarn::softmax(tarn::make_view(x.data(), rows, n), tarn::make_view(y.data(), rows, n), options);
        for (std::ptrdiff_t c = 0; c < n; ++c)
            ASSERT_LE(worst_error(y.data() + c, exact_softmax(x.data() + c, rows, 1.0f, n), n), 4.0);
        options.axis = 1;
        tarn::softmax(tarn::make_view(x.data(), rows, n), tarn::make_view(y.data(), rows, n), options);
        for (std::ptrdiff_t r = 0; r < rows; ++r)
            ASSERT_LE(worst_error(y.data() + r * n, exact_softmax(x.data() + r * n, n, 1.0f)), 4.0);
    }
}

TEST(top_k_header_only, with_and_without_softmax) {
    for (const std::ptrdiff_t k : {5, 40, 300}) {
        auto p = top_problem<float>{3, 400, k, normal_logits<float>(3 * 400, 1, 0, 1)};
        EXPECT_EQ("", p.fault_on(tarn::best_tier()));
        p.softmax = true;
        EXPECT_EQ("", p.fault_on(tarn::best_tier()));
    }
}

TEST(sparse_softmax_header_only, dense_and_loss) {
    const auto x = normal_logits<float>(400, 1, 0, 1);
    const auto order = order_of_row(x.data(), 400);
    for (const std::ptrdiff_t k : {5, 300}) {
        std::vector<float> y(400), dx(400), chosen;
        for (std::ptrdiff_t i = 0; i < k; ++i)
            chosen.push_back(x[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
        const auto exact = specified_softmax(chosen.data(), k, 1.0, 0.0L);
        const auto view = [](auto* data) { return tarn::make_view(data, 400); };
        tarn::sparse_softmax(view(x.data()), view(y.data()), {-1, k});
        const int target = static_cast<int>(order[0]);
        const float one = 1;
        float loss = -1;
        tarn::sparse_softmax_loss(view(x.data()), target, loss, {-1, k});
        EXPECT_NEAR(loss, static_cast<double>(-std::log(exact[0])), 1e-6);
        tarn::sparse_softmax_loss_backward(view(x.data()), target, one, view(dx.data()), {-1, k});
        for (std::size_t i = 0; i < 400; ++i) {
            const long double e = i < exact.size() ? exact[i] : 0;
            const auto at = static_cast<std::size_t>(order[i]);
            EXPECT_LE(ulp_error(y[at], e), 4) << i;
            EXPECT_NEAR(dx[at], static_cast<double>(e) - (i == 0), 1e-6) << i;
        }
    }
}

} // namespace
