// SPDX-License-Identifier: BSD-3-Clause
//
// What holds of every softmax, on random rows that shrink to small ones when they fail. The seed is printed;
// RC_PARAMS="seed=N" repeats a run.
#include "support/kernels.hpp"
#include "support/rows.hpp"

#include <rapidcheck/gtest.h>

#include <cstdlib>

namespace {

using namespace support;

// More than the hundred cases that are the default, unless the caller says how many.
[[maybe_unused]] const int more_cases = setenv("RC_PARAMS", thinned() ? "max_success=200" : "max_success=2000", 0);

constexpr float eps = 0x1p-24f;

using row = std::vector<float>;

// Rows of 1 to `most` logits, multiples of 1/64 within +-110: sums and differences of them are exact.
rc::Gen<row> logits(int most = 300) {
    return rc::gen::mapcat(rc::gen::inRange(1, most + 1), [](int n) {
        return rc::gen::container<row>(
            static_cast<std::size_t>(n),
            rc::gen::map(rc::gen::inRange(-7000, 7000), [](int v) { return static_cast<float>(v) / 64; }));
    });
}

rc::Gen<tarn::tier> tier() {
    std::vector<tarn::tier> present;
    for (const tarn::tier t : all_tiers) {
        if (tarn::available(t))
            present.push_back(t);
    }
    return rc::gen::elementOf(present);
}

row softmax_of(tarn::tier t, const row& x) { return softmax_alone(t, x.data(), static_cast<std::ptrdiff_t>(x.size())); }

// Distance in units in the last place of the greater; results below 2^-126 are 0 and may come or go within the bound.
bool close(float a, float b, std::int64_t steps) {
    if (std::min(a, b) == 0.0f)
        return std::max(a, b) <= 0x1.00001p-126f;
    return steps_between(a, b) <= steps;
}

RC_GTEST_PROP(softmax_property, rows_sum_to_one, ()) {
    const row x = *logits(3000);
    long double sum = 0;
    for (const float v : softmax_of(*tier(), x))
        sum += static_cast<long double>(v);
    // Each result is wrong by 4 ulp of its own size, up to 8 * 2^-24 of it.
    RC_ASSERT(std::fabs(sum - 1) <= 8.0L * static_cast<long double>(eps));
}

RC_GTEST_PROP(softmax_property, results_lie_between_zero_and_one, ()) {
    for (const float v : softmax_of(*tier(), *logits()))
        RC_ASSERT(v == 0.0f || (v >= 0x1p-126f && v <= 1.0f));
}

RC_GTEST_PROP(softmax_property, permutation_of_a_row_permutes_its_results, ()) {
    const tarn::tier t = *tier();
    const row x = *logits(16);
    std::vector<std::size_t> order(x.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = i;
    const auto shuffles = *rc::gen::container<std::vector<int>>(x.size(), rc::gen::inRange(0, 1000));
    for (std::size_t i = 0; i < order.size(); ++i)
        std::swap(order[i], order[static_cast<std::size_t>(shuffles[i]) % order.size()]);
    row permuted;
    for (const std::size_t i : order)
        permuted.push_back(x[i]);
    const row y = softmax_of(t, x);
    const row z = softmax_of(t, permuted);
    for (std::size_t i = 0; i < order.size(); ++i)
        RC_ASSERT(close(z[i], y[order[i]], 4));
}

RC_GTEST_PROP(softmax_property, an_exact_shift_changes_little, ()) {
    const tarn::tier t = *tier();
    const row x = *logits();
    const float shift = static_cast<float>(*rc::gen::inRange(-2000000, 2000000)) / 64;
    row shifted = x;
    for (float& v : shifted)
        v += shift;
    const row y = softmax_of(t, x);
    const row z = softmax_of(t, shifted);
    for (std::size_t i = 0; i < x.size(); ++i)
        RC_ASSERT(close(z[i], y[i], 8));
}

RC_GTEST_PROP(softmax_property, order_is_kept, ()) {
    const row x = *logits(100);
    const row y = softmax_of(*tier(), x);
    for (std::size_t i = 0; i < x.size(); ++i) {
        for (std::size_t j = 0; j < x.size(); ++j)
            RC_ASSERT(x[i] > x[j] || y[i] <= y[j]);
    }
}

RC_GTEST_PROP(softmax_property, equal_logits_have_equal_results, ()) {
    row x = *logits(100);
    const std::size_t n = x.size();
    x.resize(2 * n);
    std::copy_n(x.begin(), n, x.begin() + static_cast<std::ptrdiff_t>(n));
    const row y = softmax_of(*tier(), x);
    for (std::size_t i = 0; i < n; ++i)
        RC_ASSERT(bits_of(y[i]) == bits_of(y[i + n]));
}

RC_GTEST_PROP(softmax_property, masked_logits_do_not_take_part, ()) {
    const tarn::tier t = *tier();
    const row x = *logits(16);
    row masked = x;
    masked.resize(16, -std::numeric_limits<float>::infinity());
    const row y = softmax_of(t, x);
    const row z = softmax_of(t, masked);
    for (std::size_t i = 0; i < z.size(); ++i)
        RC_ASSERT(bits_of(z[i]) == (i < y.size() ? bits_of(y[i]) : 0u));
}

RC_GTEST_PROP(softmax_property, any_kernel_is_within_4_ulp, ()) {
    const way& w = *rc::gen::elementOf(std::vector<way>(std::begin(all_ways), std::end(all_ways)));
    const tarn::tier t = *tier();
    const std::ptrdiff_t rows = *rc::gen::inRange(1, 70);
    const row one = *logits(200);
    const auto n = static_cast<std::ptrdiff_t>(one.size());
    if (n < shortest_row(w))
        return;
    row x;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (const float v : one)
            x.push_back(v + static_cast<float>(r % 5));
    }
    const float scale = *rc::gen::elementOf(std::vector<float>{1, -1, 0.5f, -0.37f, 7});
    const row y = softmax_by(t, w, {rows, n, scale}, x);
    for (std::ptrdiff_t r = 0; r < rows; ++r)
        RC_ASSERT(worst_error(y.data() + r * n, exact_softmax(x.data() + r * n, n, scale)) <= 4.0);
}

} // namespace
