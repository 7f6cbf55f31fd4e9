// SPDX-License-Identifier: BSD-3-Clause
//
// Merge plans by plain loops. Shares nothing with the library but the types of its options.
#pragma once

#include "support/inputs.hpp"
#include "support/tiers.hpp"

#include <tarn/half.hpp>
#include <tarn/token_merge.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace support {

struct plain_plan {
    std::ptrdiff_t slots = 0;
    std::vector<std::int32_t> assign, rep;
};

// Numbers of the type that rows of R are worked on in, as the page of tome_plan defines them.
template <class R> std::vector<R> plain_unit(const R* x, std::ptrdiff_t n, bool& finite) {
    constexpr std::ptrdiff_t lanes = 64 / sizeof(R);
    constexpr bool doubles = sizeof(R) == 8;
    double power = 1;
    if (doubles) {
        double greatest = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            if (std::fabs(static_cast<double>(x[i])) > greatest)
                greatest = std::fabs(static_cast<double>(x[i]));
        }
        const int e = greatest == 0 ? -1023 : std::isinf(greatest) ? 1022 : std::ilogb(greatest);
        power = std::ldexp(1.0, -std::min(std::max(e, -600), 1022));
    }
    const auto scaled = [&](std::ptrdiff_t i) {
        const auto v = static_cast<double>(x[i]);
        return doubles && std::fabs(v) < 0x1p-400 / power ? 0.0 : v * power;
    };
    std::vector<double> sums(lanes);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const volatile double square = scaled(i) * scaled(i);
        sums[static_cast<std::size_t>(i % lanes)] += square;
    }
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
        for (std::size_t i = 0; i < half; ++i)
            sums[i] += sums[i + half];
    }
    finite = std::isfinite(sums[0]);
    const double least = power < 1 ? 0 : 1e-12 * power;
    const double factor = 1 / std::max(std::sqrt(sums[0]), least);
    std::vector<R> unit(static_cast<std::size_t>(n));
    for (std::ptrdiff_t i = 0; i < n && finite; ++i) {
        const double v = scaled(i) * factor;
        unit[static_cast<std::size_t>(i)] = std::fabs(v) < (doubles ? 0x1p-400 : 0x1p-30) ? R(0) : static_cast<R>(v);
    }
    return unit;
}

// x: dense rows of `width` numbers.
template <class R>
plain_plan plain_tome(const std::vector<R>& x, std::ptrdiff_t tokens, std::ptrdiff_t width,
                      const tarn::tome_options& o) {
    plain_plan plan;
    const std::ptrdiff_t free = tokens - o.class_token - o.distillation_token;
    const std::ptrdiff_t wanted = o.keep >= 0 ? tokens - o.keep : o.r;
    // A single odd token that is a distillation token leaves nothing to merge into.
    const bool has_partner = tokens / 2 - o.distillation_token > 0;
    const std::ptrdiff_t r = has_partner ? std::max<std::ptrdiff_t>(0, std::min(wanted, free / 2)) : 0;
    plan.slots = tokens - r;
    plan.assign.assign(static_cast<std::size_t>(tokens), -1);
    std::vector<std::vector<R>> unit;
    std::vector<bool> finite;
    for (std::ptrdiff_t t = 0; t < tokens; ++t) {
        bool f = true;
        unit.push_back(plain_unit(x.data() + t * width, width, f));
        finite.push_back(f);
    }
    struct edge {
        std::ptrdiff_t from, to;
        double similarity;
    };
    std::vector<edge> edges;
    for (std::ptrdiff_t a = o.class_token ? 2 : 0; a < tokens && r > 0; a += 2) {
        edge e{a, o.distillation_token ? 3 : 1, -10};
        for (std::ptrdiff_t b = o.distillation_token ? 3 : 1; b < tokens; b += 2) {
            const auto i = static_cast<std::size_t>(a);
            const auto j = static_cast<std::size_t>(b);
            if (!finite[i] || !finite[j])
                continue;
            double s = 0;
            for (std::size_t k = 0; k < static_cast<std::size_t>(width); ++k) {
                const volatile double product = static_cast<double>(unit[i][k]) * static_cast<double>(unit[j][k]);
                s += product;
            }
            if (s > e.similarity)
                e = {a, b, s};
        }
        edges.push_back(e);
    }
    std::stable_sort(edges.begin(), edges.end(),
                     [](const edge& p, const edge& q) { return p.similarity > q.similarity; });
    std::vector<std::ptrdiff_t> into(static_cast<std::size_t>(tokens), -1);
    for (std::ptrdiff_t k = 0; k < r; ++k)
        into[static_cast<std::size_t>(edges[static_cast<std::size_t>(k)].from)] = edges[static_cast<std::size_t>(k)].to;
    std::vector<std::ptrdiff_t> evens, all;
    for (std::size_t k = static_cast<std::size_t>(r); k < edges.size(); ++k)
        evens.push_back(edges[k].from);
    if (o.class_token) {
        evens.push_back(0);
        std::sort(evens.begin(), evens.end());
    }
    if (r == 0 || o.order == tarn::token_order::position) {
        for (std::ptrdiff_t t = 0; t < tokens; ++t) {
            if (into[static_cast<std::size_t>(t)] < 0)
                all.push_back(t);
        }
    } else {
        all = evens;
        for (std::ptrdiff_t t = 1; t < tokens; t += 2)
            all.push_back(t);
        if (o.distillation_token) {
            all.erase(all.begin() + static_cast<std::ptrdiff_t>(evens.size()));
            all.insert(all.begin() + 1, 1);
        }
    }
    for (std::size_t s = 0; s < all.size(); ++s) {
        plan.rep.push_back(static_cast<std::int32_t>(all[s]));
        plan.assign[static_cast<std::size_t>(all[s])] = static_cast<std::int32_t>(s);
    }
    for (std::size_t t = 0; t < plan.assign.size(); ++t) {
        if (into[t] >= 0)
            plan.assign[t] = plan.assign[static_cast<std::size_t>(into[t])];
    }
    return plan;
}

// What stands in a plan of the library, with the sorted part checked against the assignment.
inline plain_plan plan_of(const tarn::merge_plan_view& p, std::ptrdiff_t b = 0) {
    plain_plan r;
    r.slots = p.slots;
    r.assign.assign(p.assign + b * p.tokens, p.assign + (b + 1) * p.tokens);
    r.rep.assign(p.rep + b * p.capacity, p.rep + b * p.capacity + p.slots);
    std::vector<std::int32_t> order;
    std::vector<std::int32_t> offsets(1, 0);
    for (std::int32_t s = 0; s <= p.slots; ++s) {
        for (std::int32_t t = 0; t < p.tokens; ++t) {
            if (r.assign[static_cast<std::size_t>(t)] == (s == p.slots ? -1 : s))
                order.push_back(t);
        }
        if (s < p.slots)
            offsets.push_back(static_cast<std::int32_t>(order.size()));
    }
    const std::int32_t* const at = p.offsets + b * (p.capacity + 1);
    EXPECT_EQ(order, std::vector<std::int32_t>(p.order + b * p.tokens, p.order + (b + 1) * p.tokens));
    EXPECT_EQ(offsets, std::vector<std::int32_t>(at, at + p.slots + 1));
    return r;
}

inline void expect_same(const plain_plan& got, const plain_plan& expected) {
    EXPECT_EQ(got.slots, expected.slots);
    EXPECT_EQ(got.assign, expected.assign);
    EXPECT_EQ(got.rep, expected.rep);
}

// Tokens to slots at random; some are dropped, and some slots stay empty.
inline std::vector<std::int32_t> random_assignment(std::ptrdiff_t tokens, std::ptrdiff_t slots, random_bits& random) {
    std::vector<std::int32_t> a(static_cast<std::size_t>(tokens));
    for (std::int32_t& s : a)
        s = slots == 0 || random.below(8) == 0 ? -1 : static_cast<std::int32_t>(random.below(slots));
    return a;
}

template <class T> using number_of = std::conditional_t<std::is_same<T, double>::value, double, float>;
template <class T> long double exact(T v) { return static_cast<long double>(static_cast<number_of<T>>(v)); }

// Rows of tokens or slots in memory of any strides, and what must stay untouched between them.
template <class T> struct placed_rows {
    std::ptrdiff_t batch, rows, channels, along, across, sequence;
    std::vector<T> memory;

    placed_rows(std::ptrdiff_t b, std::ptrdiff_t n, std::ptrdiff_t c, int layout)
        : batch(b), rows(n), channels(c), along(layout == 2   ? 3
                                                : layout == 3 ? n + 1
                                                              : 1),
          across(layout == 0   ? c
                 : layout == 3 ? 1
                               : c * along + 5),
          sequence(layout == 0   ? n * c
                   : layout == 3 ? (n + 1) * c
                                 : n * across + 7),
          memory(static_cast<std::size_t>(b * sequence + 3), T(-31000.0f)) {}
    T& at(std::ptrdiff_t b, std::ptrdiff_t r, std::ptrdiff_t c) {
        return memory[static_cast<std::size_t>(b * sequence + r * across + c * along)];
    }
    auto view() {
        return tarn::make_view(memory.data(), tarn::extents{batch, rows, channels},
                               tarn::strides{sequence, across, along});
    }
    tarn::tensor_view<const T, 3> in() { return view(); }
    auto first() { return tarn::make_view(memory.data(), tarn::extents{rows, channels}, tarn::strides{across, along}); }
    // Elements that are still what they were made as.
    std::ptrdiff_t untouched() const { return std::count(memory.begin(), memory.end(), T(-31000.0f)); }
    std::ptrdiff_t gaps() const { return static_cast<std::ptrdiff_t>(memory.size()) - batch * rows * channels; }
};

// A unit in the last place.
template <class T> long double unit_of(long double v) {
    const int digits = std::is_same<T, double>::value          ? 53
                       : std::is_same<T, float>::value         ? 24
                       : std::is_same<T, tarn::float16>::value ? 11
                                                               : 8;
    const int least = std::is_same<T, tarn::float16>::value ? -14 : std::is_same<T, double>::value ? -1022 : -126;
    return std::ldexp(1.0L, std::max(v == 0 ? least : std::ilogb(v), least) + 1 - digits);
}

// A slot of a plan by its definition; magnitude: the sum of the sizes of its terms.
struct plain_slot {
    long double value, magnitude;
};

// Channel c of slot s. x(t), size(t): of tokens.
template <class X, class Size>
plain_slot merged_slot(const plain_plan& plan, std::int32_t s, tarn::merge_mode mode, const X& x, const Size& size) {
    plain_slot r{0, 0};
    long double total = 0;
    bool any = false;
    const bool alone = std::count(plan.assign.begin(), plan.assign.end(), s) == 1;
    for (std::size_t t = 0; t < plan.assign.size(); ++t) {
        if (plan.assign[t] != s)
            continue;
        const long double v = x(t);
        const long double w = std::max(size(t), 0.0L);
        total += w;
        if (mode == tarn::merge_mode::max) {
            r.value = !any || v > r.value || std::isnan(v) ? v : r.value;
        } else if (w != 0) {
            r.value += w * v;
            r.magnitude += std::fabs(w * v);
        }
        any = true;
    }
    if (mode == tarn::merge_mode::prune)
        r.value = plan.rep[static_cast<std::size_t>(s)] < 0
                      ? 0
                      : x(static_cast<std::size_t>(plan.rep[static_cast<std::size_t>(s)]));
    if (mode == tarn::merge_mode::mean && total != 0) {
        r.value /= total;
        r.magnitude /= total;
        if (alone)
            r.value =
                x(static_cast<std::size_t>(std::find(plan.assign.begin(), plan.assign.end(), s) - plan.assign.begin()));
    }
    return r;
}

// The means of slots.
struct merged_means {
    const plain_plan plan;
    const std::vector<float>& x;
    const std::size_t channels;

    merged_means(plain_plan p, const std::vector<float>& tokens, std::size_t c)
        : plan(std::move(p)), x(tokens), channels(c) {}
    // Of tokens in the slot of element i of x.
    double tokens_beside(std::size_t i) const {
        return static_cast<double>(std::count(plan.assign.begin(), plan.assign.end(), plan.assign[i / channels]));
    }
    double of_token(std::size_t i) const {
        double sum = 0;
        for (std::size_t t = 0; t < plan.assign.size(); ++t)
            sum +=
                plan.assign[t] == plan.assign[i / channels] ? static_cast<double>(x[t * channels + i % channels]) : 0;
        return sum / tokens_beside(i);
    }
};

// Twelve tokens of four channels without close decisions.
inline std::vector<double> sample_tokens() {
    std::vector<double> x;
    for (int i = 0; i < 12; ++i) {
        for (int c = 0; c < 4; ++c)
            x.push_back(std::sin(0.7 * i + 1.3 * c + 0.1 * i * c * c) + 0.05 * i);
    }
    return x;
}

} // namespace support
