// SPDX-License-Identifier: BSD-3-Clause
//
// Masked softmax: a row has the same bits alone or among others, in any layout and order of axes, with operands that are
// broadcast, in place, streamed, with any number of threads, with and without a buffer; elements of 16 bits give those of
// floats, rounded once.
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/masked.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr int some_features[] = {0,
                                 with_keep,
                                 with_causal,
                                 with_scale | with_causal | with_window,
                                 with_bias,
                                 with_keep | with_bias | with_sink,
                                 with_slopes | with_causal,
                                 with_cap | with_keep | with_window,
                                 all_features};
constexpr tarn::stores both_stores[] = {tarn::stores::cached, tarn::stores::streaming};

class masked_softmax_bits : public tier_test {};
TARN_TEST_ON_ALL_TIERS(masked_softmax_bits);

TEST_P(masked_softmax_bits, rows_among_others) {
    for (const std::ptrdiff_t keys : {1, 7, 16, 33, 64, 100, 127, 128, 129, 255, 300, 1000, 5000}) {
        for (const int features : some_features) {
            auto p = masked_problem<float>::of(features, 2, keys > 1000 ? 7 : 37, keys, 1);
            p.x = mixed_rows<float>(p.heads * p.queries, keys, 2);
            const auto together = p.results(tarn::on(GetParam()));
            for (std::ptrdiff_t row = 0; row < p.heads * p.queries; ++row) {
                ASSERT_EQ("",
                          difference(together.data() + row * keys, p.row_alone(tarn::on(GetParam()), row).data(), keys))
                    << "row " << row << " of " << keys << " keys, " << name_of_features(features);
            }
        }
    }
}

// Element (h, q, k) of an operand of heads, queries and keys.
struct strides3 {
    std::ptrdiff_t h, q, k;
    std::ptrdiff_t first = 0;

    // In any order, with gaps, backwards.
    static strides3 any(random_bits& random, std::ptrdiff_t heads, std::ptrdiff_t queries, std::ptrdiff_t keys) {
        strides3 s{0, 0, 0};
        std::ptrdiff_t* const stride[] = {&s.h, &s.q, &s.k};
        const std::ptrdiff_t extent[] = {heads, queries, keys};
        int order[] = {0, 1, 2};
        for (int i = 2; i > 0; --i)
            std::swap(order[i], order[random.below(i + 1)]);
        std::ptrdiff_t step = random.below(4) ? 1 : 2;
        for (const int axis : order) {
            const bool backwards = random.below(4) == 0;
            *stride[axis] = backwards ? -step : step;
            s.first += backwards ? (extent[axis] - 1) * step : 0;
            step = extent[axis] * step + (random.below(3) ? 0 : random.below(5));
        }
        return s;
    }
    // The same number for all of some axes.
    strides3 repeated(random_bits& random) const {
        strides3 s = *this;
        s.h = random.below(2) ? 0 : s.h;
        s.q = random.below(2) ? 0 : s.q;
        s.k = random.below(4) ? s.k : 0;
        return s;
    }
    std::ptrdiff_t at(std::ptrdiff_t a, std::ptrdiff_t b, std::ptrdiff_t c) const {
        return first + a * h + b * q + c * k;
    }
};

// T is read, U written, N holds bias, slopes and sink.
template <class T, class N, class U> class call {
public:
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;

    call(int features, std::ptrdiff_t heads, std::ptrdiff_t queries, std::ptrdiff_t keys, std::uint64_t seed)
        : random_(seed), p_(masked_problem<R>::template of<N>(features, heads, queries, keys, seed)), x_(any()),
          y_(any()), bias_(any().repeated(random_)), keep_(any().repeated(random_)) {
        for (R& v : p_.x)
            v = static_cast<R>(static_cast<T>(v));
        // What is repeated, is so in the dense problem.
        each([&](std::size_t i, std::ptrdiff_t h, std::ptrdiff_t q, std::ptrdiff_t k) {
            const auto source =
                static_cast<std::size_t>(((bias_.h ? h : 0) * queries + (bias_.q ? q : 0)) * keys + (bias_.k ? k : 0));
            if (!p_.bias.empty())
                p_.bias[i] = p_.bias[source];
            const auto kept =
                static_cast<std::size_t>(((keep_.h ? h : 0) * queries + (keep_.q ? q : 0)) * keys + (keep_.k ? k : 0));
            if (p_.keep)
                p_.keep[i] = p_.keep[kept];
        });
    }

    // Keys along axis 2 of {heads, queries, keys}, or along axis 1 of {queries, keys, heads}.
    template <class Where>
    std::string difference_from_dense(tarn::tier t, const Where& where, bool heads_last, bool in_place,
                                      tarn::stores stores) {
        const std::vector<R> expected = p_.results(tarn::on(t));
        const std::size_t size = static_cast<std::size_t>(4 * p_.size() + 200 * (p_.keys + p_.queries + p_.heads));
        std::vector<T> x(size);
        std::vector<U> y(size, U(-77));
        std::vector<N> bias(size);
        const std::unique_ptr<bool[]> keep(new bool[size]());
        const std::vector<N> slopes(p_.slopes.begin(), p_.slopes.end());
        std::vector<N> sink;
        for (const R v : p_.sink) {
            sink.push_back(N(-99));
            sink.push_back(static_cast<N>(v));
        }
        each([&](std::size_t i, std::ptrdiff_t h, std::ptrdiff_t q, std::ptrdiff_t k) {
            x[static_cast<std::size_t>(x_.at(h, q, k))] = static_cast<T>(p_.x[i]);
            if (!p_.bias.empty())
                bias[static_cast<std::size_t>(bias_.at(h, q, k))] = static_cast<N>(p_.bias[i]);
            if (p_.keep)
                keep[static_cast<std::size_t>(keep_.at(h, q, k))] = p_.keep[i];
        });
        const auto view = [&](auto* data, const strides3& s) {
            const tarn::extents e = heads_last ? tarn::extents{p_.queries, p_.keys, p_.heads}
                                               : tarn::extents{p_.heads, p_.queries, p_.keys};
            const tarn::strides steps = heads_last ? tarn::strides{s.q, s.k, s.h} : tarn::strides{s.h, s.q, s.k};
            return tarn::make_view(data + s.first, e, steps);
        };
        auto o = p_.template options<N>();
        o.axis = heads_last ? 1 : -1;
        o.stores = stores;
        if (!p_.bias.empty())
            o.bias = view(static_cast<const N*>(bias.data()), bias_);
        if (p_.keep)
            o.keep = view(static_cast<const bool*>(keep.get()), keep_);
        if (!p_.slopes.empty())
            o.slopes = tarn::make_view(slopes.data(), p_.heads);
        if (!sink.empty())
            o.sink = tarn::make_view(static_cast<const N*>(sink.data() + 1), tarn::extents{p_.heads}, tarn::strides{2});
        const auto from = view(static_cast<const T*>(x.data()), x_);
        U* written = y.data();
        strides3 to = y_;
        if constexpr (std::is_same<T, U>::value) {
            if (in_place) {
                written = x.data();
                to = x_;
            }
        }
        tarn::masked_softmax(where, from, view(written, to), o);
        std::string fault;
        each([&](std::size_t i, std::ptrdiff_t h, std::ptrdiff_t q, std::ptrdiff_t k) {
            const auto got = static_cast<R>(written[to.at(h, q, k)]);
            const auto wanted = static_cast<R>(static_cast<U>(expected[i]));
            if (fault.empty() && bits_of(got) != bits_of(wanted) && (got == got || wanted == wanted))
                fault = name_of_features(p_.features) + " head " + std::to_string(h) + ", query " + std::to_string(q) +
                        ", key " + std::to_string(k) + " of " + std::to_string(p_.keys) + " is " + std::to_string(got) +
                        ", expected " + std::to_string(wanted);
        });
        return fault;
    }

private:
    strides3 any() { return strides3::any(random_, p_.heads, p_.queries, p_.keys); }
    template <class F> void each(F f) {
        std::size_t i = 0;
        for (std::ptrdiff_t h = 0; h < p_.heads; ++h) {
            for (std::ptrdiff_t q = 0; q < p_.queries; ++q) {
                for (std::ptrdiff_t k = 0; k < p_.keys; ++k)
                    f(i++, h, q, k);
            }
        }
    }

    random_bits random_;
    masked_problem<R> p_;
    strides3 x_, y_, bias_, keep_;
};

template <class T, class N, class U> void check_layouts(tarn::tier t, std::uint64_t seeds) {
    for (std::uint64_t seed = 0; seed < seeds && !testing::Test::HasFatalFailure(); ++seed) {
        random_bits random(seed);
        const std::ptrdiff_t keys = 1 + random.below(random.below(3) ? 150 : 700);
        call<T, N, U> c(some_features[random.below(9)], 1 + random.below(3), 1 + random.below(20), keys, seed);
        const bool heads_last = random.below(2);
        const bool in_place = random.below(3) == 0;
        ASSERT_EQ("", c.difference_from_dense(t, tarn::on(t), heads_last, in_place, both_stores[random.below(2)]))
            << "seed " << seed << (heads_last ? ", heads last" : "") << (in_place ? ", in place" : "");
    }
}

TEST_P(masked_softmax_bits, any_layout_of_floats) { check_layouts<float, float, float>(GetParam(), 400); }
TEST_P(masked_softmax_bits, any_layout_of_doubles) { check_layouts<double, double, double>(GetParam(), 200); }
TEST_P(masked_softmax_bits, any_layout_of_bfloat16) {
    check_layouts<tarn::bfloat16, tarn::bfloat16, tarn::bfloat16>(GetParam(), 200);
    check_layouts<tarn::bfloat16, float, float>(GetParam(), 100);
}
TEST_P(masked_softmax_bits, any_layout_of_float16) {
    check_layouts<tarn::float16, tarn::float16, tarn::float16>(GetParam(), 200);
    check_layouts<tarn::float16, float, tarn::float16>(GetParam(), 100);
}

// Rows that no buffer holds are read where they are.
TEST_P(masked_softmax_bits, without_a_buffer) {
    for (const std::ptrdiff_t keys : {4600, 10000}) {
        for (const int features : some_features) {
            call<tarn::bfloat16, float, tarn::bfloat16> halves(features, 2, 3, keys, 3);
            call<float, float, float> floats(features, 2, 3, keys, 4);
            call<double, double, double> doubles(features, 2, 3, keys, 5);
            for (const bool lent : {false, true}) {
                const auto check = [&](auto& c, bool in_place) {
                    const tarn::serial_executor serial;
                    return lent ? c.difference_from_dense(GetParam(), tarn::on(GetParam(), serial, tarn::scratch{}),
                                                          false, in_place, tarn::stores::streaming)
                                : c.difference_from_dense(GetParam(), tarn::on(GetParam()), false, in_place,
                                                          tarn::stores::streaming);
                };
                ASSERT_EQ("", check(halves, false)) << lent;
                ASSERT_EQ("", check(floats, false)) << lent;
                ASSERT_EQ("", check(doubles, true)) << lent;
            }
        }
    }
}

// Long dense rows with and without scratch.
TEST_P(masked_softmax_bits, long_rows) {
    for (const int features : some_features) {
        for (const std::ptrdiff_t keys : {5000, 20000, 140000, 300000}) {
            if (keys > 20000 && features == all_features)
                continue;
            const auto p = masked_problem<float>::of(features, 1, 3, keys, 8);
            const auto expected = p.results(tarn::on(GetParam()));
            const auto shape = [&](auto* data) { return tarn::make_view(data, 1, 3, keys); };
            for (const tarn::stores how : both_stores) {
                for (const bool in_place : {false, true}) {
                    for (const bool lent : {false, true}) {
                        std::vector<float> x = p.x;
                        std::vector<float> y(x.size());
                        float* const to = in_place ? x.data() : y.data();
                        auto o = p.dense_options();
                        o.stores = how;
                        const tarn::serial_executor serial;
                        if (lent)
                            tarn::masked_softmax(tarn::on(GetParam(), serial, tarn::scratch{}),
                                                 shape(static_cast<const float*>(x.data())), shape(to), o);
                        else
                            tarn::masked_softmax(tarn::on(GetParam()), shape(static_cast<const float*>(x.data())),
                                                 shape(to), o);
                        ASSERT_EQ("", difference(to, expected.data(), p.size()))
                            << keys << " " << name_of_features(features) << (in_place ? " in place" : "") << lent;
                    }
                }
            }
        }
    }
}

TEST_P(masked_softmax_bits, any_number_of_threads) {
    for (const std::ptrdiff_t keys : {5, 64, 130, 1000}) {
        for (const int features : some_features) {
            const auto p = masked_problem<float>::of(features, 3, 40, keys, 9);
            const auto expected = p.results(tarn::on(GetParam()));
            for (int threads = 1; threads <= 9; ++threads) {
                const odd_threads executor{threads, 7};
                ASSERT_EQ("", difference(p.results(tarn::on(GetParam(), executor)).data(), expected.data(), p.size()))
                    << threads << " threads, " << keys << " " << name_of_features(features);
            }
        }
    }
}

// Operands with extents of 1, or with fewer axes, give what full ones give.
TEST_P(masked_softmax_bits, operands_are_broadcast) {
    constexpr std::ptrdiff_t heads = 3, queries = 10;
    struct shape {
        std::ptrdiff_t heads, queries, keys; // 1: repeated; heads 0: of rank 2, queries 0 as well: of rank 1
    };
    for (const std::ptrdiff_t keys : {5, 40, 300}) {
        for (const shape e : {shape{0, 0, keys}, shape{0, 1, keys}, shape{0, queries, 1}, shape{0, queries, keys},
                              shape{1, queries, keys}, shape{heads, 1, keys}, shape{heads, 1, 1},
                              shape{heads, queries, 1}, shape{1, 1, 1}}) {
            auto p = masked_problem<float>::of(with_bias | with_keep, heads, queries, keys, 12);
            for (std::ptrdiff_t i = 0; i < p.size(); ++i) {
                const std::ptrdiff_t h = i / keys / queries, q = i / keys % queries, k = i % keys;
                const auto from = static_cast<std::size_t>(
                    ((e.heads > 1 ? h : 0) * queries + (e.queries > 1 ? q : 0)) * keys + (e.keys > 1 ? k : 0));
                p.bias[static_cast<std::size_t>(i)] = p.bias[from];
                p.keep[static_cast<std::size_t>(i)] = p.keep[from];
            }
            // The elements of their own, side by side.
            std::vector<float> bias;
            const std::unique_ptr<bool[]> keep(new bool[static_cast<std::size_t>(p.size())]());
            for (std::ptrdiff_t h = 0; h < std::max<std::ptrdiff_t>(e.heads, 1); ++h) {
                for (std::ptrdiff_t q = 0; q < std::max<std::ptrdiff_t>(e.queries, 1); ++q) {
                    for (std::ptrdiff_t k = 0; k < e.keys; ++k) {
                        const auto from = static_cast<std::size_t>((h * queries + q) * keys + k);
                        keep[bias.size()] = p.keep[from];
                        bias.push_back(p.bias[from]);
                    }
                }
            }
            const auto expected = p.results(tarn::on(GetParam()));
            auto o = p.options<float>();
            const bool* const kept = keep.get();
            if (e.heads > 0) {
                o.bias = tarn::make_view(static_cast<const float*>(bias.data()), e.heads, e.queries, e.keys);
                o.keep = tarn::make_view(kept, e.heads, e.queries, e.keys);
            } else if (e.queries > 0) {
                o.bias = tarn::make_view(static_cast<const float*>(bias.data()), e.queries, e.keys);
                o.keep = tarn::make_view(kept, e.queries, e.keys);
            } else {
                o.bias = tarn::make_view(static_cast<const float*>(bias.data()), e.keys);
                o.keep = tarn::make_view(kept, e.keys);
            }
            std::vector<float> y(p.x.size());
            tarn::masked_softmax(tarn::on(GetParam()), tarn::make_view(p.x.data(), heads, queries, keys),
                                 tarn::make_view(y.data(), heads, queries, keys), o);
            ASSERT_EQ("", difference(y.data(), expected.data(), p.size()))
                << e.heads << " " << e.queries << " " << e.keys << " of " << keys;
        }
    }
}

// Limits leave what a mask leaves; the results may differ in the last bit.
TEST_P(masked_softmax_bits, limits_are_masks) {
    for (const std::ptrdiff_t keys : {20, 100, 400}) {
        auto p = masked_problem<float>::of(with_causal | with_window, 2, 30, keys, 10);
        auto q = masked_problem<float>::of(with_keep, 2, 30, keys, 10);
        q.x = p.x;
        for (std::ptrdiff_t i = 0; i < p.size(); ++i)
            q.keep[static_cast<std::size_t>(i)] = p.keeps(i / keys, i % keys);
        const auto a = p.results(tarn::on(GetParam()));
        const auto b = q.results(tarn::on(GetParam()));
        for (std::size_t i = 0; i < a.size(); ++i)
            ASSERT_NEAR(a[i], b[i], 4e-7f * a[i]) << i << " of " << keys;
    }
}

// What the AVX2 tier gives, AVX-512 gives.
TEST(masked_softmax_tiers, avx2_and_avx512_agree) {
    if (!tarn::available(tarn::tier::avx512)) {
        GTEST_SKIP() << why_skipped(tarn::tier::avx512);
    }
    for (const std::ptrdiff_t keys : {1, 16, 100, 129, 1000}) {
        for (const int features : some_features) {
            const auto p = masked_problem<float>::of(features, 2, 30, keys, 11);
            ASSERT_EQ("", difference(p.results(tarn::on(tarn::tier::avx512)).data(),
                                     p.results(tarn::on(tarn::tier::avx2)).data(), p.size()))
                << keys << " " << name_of_features(features);
        }
    }
}

} // namespace
