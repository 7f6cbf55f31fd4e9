// SPDX-License-Identifier: BSD-3-Clause
//
// Masked softmax: at most 64 KB of stack, and no allocation where the stack or lent memory will do.
#include "support/allocations.hpp"
#include "support/masked.hpp"
#include "support/stack.hpp"
#include "support/tiers.hpp"

namespace {

using namespace support;

// The greatest stack of calls on elements of T along either of the last two axes.
template <class T, class Where> std::ptrdiff_t greatest_stack(const Where& where, std::ptrdiff_t n, int features) {
    using R = std::conditional_t<std::is_same<T, double>::value, double, float>;
    const auto p = masked_problem<R>::template of<T>(features, 1, n, n > 1000 ? 20 : n, 1);
    const std::vector<T> x(p.x.begin(), p.x.end()), bias(p.bias.begin(), p.bias.end()),
        sink(p.sink.begin(), p.sink.end());
    std::vector<T> y(x.size());
    std::ptrdiff_t greatest = 0;
    for (const bool columns : {false, true}) {
        const auto view = [&](auto* data) {
            return columns ? tarn::make_view(data, tarn::extents{p.keys, p.queries},
                                             tarn::strides{std::ptrdiff_t{1}, p.keys})
                           : tarn::make_view(data, tarn::extents{p.queries, p.keys},
                                             tarn::strides{p.keys, std::ptrdiff_t{1}});
        };
        tarn::masked_softmax_options<T> o;
        o.causal = p.causal;
        o.window = p.window;
        if (p.keep)
            o.keep = view(static_cast<const bool*>(p.keep.get()));
        if (!p.bias.empty())
            o.bias = view(bias.data());
        if (!p.sink.empty())
            o.sink = sink[0];
        greatest =
            std::max(greatest, stack_of([&] { tarn::masked_softmax(where, view(x.data()), view(y.data()), o); }));
    }
    return greatest;
}

class masked_softmax_resources : public tier_test {};
TARN_TEST_ON_ALL_TIERS(masked_softmax_resources);

TEST_P(masked_softmax_resources, at_most_64_kb_of_stack) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames";
    }
    std::ptrdiff_t greatest = 0;
    for (const std::ptrdiff_t n : {16, 100, 127, 128, 129, 300, 4096, 20000}) {
        for (const int features : {0, int{with_keep}, with_causal | with_window, with_bias | with_sink}) {
            const tarn::serial_executor serial;
            const auto bare = tarn::on(GetParam(), serial, tarn::scratch{});
            for (const std::ptrdiff_t used :
                 {greatest_stack<float>(tarn::on(GetParam()), n, features), greatest_stack<float>(bare, n, features),
                  greatest_stack<double>(tarn::on(GetParam()), n, features), greatest_stack<double>(bare, n, features),
                  greatest_stack<tarn::bfloat16>(tarn::on(GetParam()), n, features),
                  greatest_stack<tarn::bfloat16>(bare, n, features)}) {
                EXPECT_LE(used, 64 * 1024) << n << " " << name_of_features(features);
                greatest = std::max(greatest, used);
            }
        }
    }
    RecordProperty("bytes", static_cast<int>(greatest));
}

TEST_P(masked_softmax_resources, no_allocation_without_need) {
    if (!counts_allocations) {
        GTEST_SKIP() << "a sanitizer owns malloc";
    }
    for (const std::ptrdiff_t n : {16, 128, 129, 4096}) {
        for (int features = 0; features <= all_features; features += 3) {
            const auto p = masked_problem<float>::of(features, 1, 20, n, 2);
            std::vector<float> y(p.x.size());
            const auto o = p.dense_options();
            EXPECT_EQ(allocations_in([&] {
                          tarn::masked_softmax(tarn::on(GetParam()), tarn::make_view(p.x.data(), 1, 20, n),
                                               tarn::make_view(y.data(), 1, 20, n), o);
                      }).all,
                      0)
                << n << " " << name_of_features(features);
        }
    }
}

} // namespace
