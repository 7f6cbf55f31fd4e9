// SPDX-License-Identifier: BSD-3-Clause
//
// What merging touches and takes: memory, stack, heap and threads; and what it refuses.
#include "support/allocations.hpp"
#include "support/executors.hpp"
#include "support/guarded.hpp"
#include "support/merge.hpp"
#include "support/refusals.hpp"
#include "support/stack.hpp"

#include <tarn/half.hpp>
#include <tarn/range.hpp>

#include <cstring>

namespace {

using namespace support;
using tarn::merge_mode;
using indices = std::vector<std::int32_t>;

class merge_plan_resources : public tier_test {};
TARN_TEST_ON_ALL_TIERS(merge_plan_resources);

constexpr merge_mode all_modes[] = {merge_mode::mean, merge_mode::sum, merge_mode::max, merge_mode::prune};

// Every buffer ends, then begins, at a page that must not be touched.
template <class T> void expect_no_faults(tarn::tier tier) {
    using N = number_of<T>;
    random_bits random(3);
    for (int round = 0; round < 120; ++round) {
        const std::ptrdiff_t tokens = 1 + random.below(40);
        const std::ptrdiff_t width = 1 + random.below(40);
        const std::ptrdiff_t channels = 1 + random.below(70);
        tarn::tome_options o;
        o.r = random.below(tokens);
        o.class_token = round % 2;
        const std::ptrdiff_t slots = tarn::tome_slots(tokens, o);
        guarded_numbers<T> metric(tokens * width), x(tokens * channels), y(slots * channels), back(tokens * channels);
        guarded_numbers<N> size(tokens), slot_size(slots), dsize(tokens);
        guarded_numbers<std::int32_t> plan_memory(tarn::merge_plan_size(1, tokens, slots));
        for (const bool end : {true, false}) {
            const auto place = [&](auto& memory, std::ptrdiff_t n) {
                return end ? memory.against_end(n) : memory.against_start();
            };
            T* const m = place(metric, tokens * width);
            T* const from = place(x, tokens * channels);
            T* const to = place(y, slots * channels);
            T* const tokens_out = place(back, tokens * channels);
            N* const sizes = place(size, tokens);
            N* const slot_sizes = place(slot_size, slots);
            N* const size_gradient = place(dsize, tokens);
            for (std::ptrdiff_t i = 0; i < tokens * width; ++i)
                m[i] = T(static_cast<N>(random.normal()));
            for (std::ptrdiff_t i = 0; i < tokens * channels; ++i)
                from[i] = T(static_cast<N>(random.normal()));
            std::fill_n(sizes, tokens, N(2));
            EXPECT_EQ(fault_in([&] {
                          const auto where = tarn::on(tier);
                          tarn::merge_plan_view plan = tarn::make_merge_plan(
                              place(plan_memory, tarn::merge_plan_size(1, tokens, slots)), 1, tokens, slots);
                          const auto metrics = tarn::make_view<const T>(m, tokens, width);
                          const auto in = tarn::make_view<const T>(from, tokens, channels);
                          const auto out = tarn::make_view(to, slots, channels);
                          const auto in_sizes = tarn::make_view<const N>(sizes, tokens);
                          tarn::tome_plan(where, metrics, plan, o);
                          tarn::tome_plan(tarn::on(tier, tarn::serial, tarn::scratch{}), metrics, plan, o);
                          for (const merge_mode mode : all_modes) {
                              tarn::merge_apply(where, in, in_sizes, plan, out, tarn::make_view(slot_sizes, slots),
                                                {mode});
                              tarn::merge_apply_backward(where, in, in_sizes, plan,
                                                         tarn::make_view<const T>(to, slots, channels),
                                                         tarn::make_view<const T>(to + 0, slots, channels),
                                                         tarn::make_view(tokens_out, tokens, channels),
                                                         tarn::make_view(size_gradient, tokens), {mode});
                          }
                          tarn::merge_undo(where, tarn::make_view<const T>(to, slots, channels), plan,
                                           tarn::make_view(tokens_out, tokens, channels));
                      }),
                      "")
                << "tokens " << tokens << " width " << width << " channels " << channels << " end " << end;
        }
    }
}
TEST_P(merge_plan_resources, guard_pages_of_floats) { expect_no_faults<float>(GetParam()); }
TEST_P(merge_plan_resources, guard_pages_of_doubles) { expect_no_faults<double>(GetParam()); }
TEST_P(merge_plan_resources, guard_pages_of_halves) { expect_no_faults<tarn::float16>(GetParam()); }

TEST_P(merge_plan_resources, stack_and_heap) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames and owns malloc";
    }
    for (const std::ptrdiff_t tokens : {20, 90, 197, 300}) {
        const std::vector<float> m = normal_logits<float>(tokens * 64, 1, 0, 1);
        const std::vector<double> d(m.begin(), m.end());
        const std::vector<tarn::bfloat16> h(m.begin(), m.end());
        std::vector<float> y(m.size()), size(static_cast<std::size_t>(tokens), 1.0f), slot_size(size.size());
        tarn::tome_options o;
        o.r = tokens / 3;
        const std::ptrdiff_t slots = tarn::tome_slots(tokens, o);
        tarn::merge_plan plan;
        const auto in = [&](const auto& v) { return tarn::make_view(v.data(), tokens, 64); };
        EXPECT_LE(stack_of([&] { tarn::tome_plan(tarn::on(GetParam()), in(m), plan, o); }), 64 * 1024) << tokens;
        EXPECT_LE(stack_of([&] { tarn::tome_plan(tarn::on(GetParam()), in(d), plan, o); }), 64 * 1024) << tokens;
        EXPECT_LE(stack_of([&] { tarn::tome_plan(tarn::on(GetParam()), in(h), plan, o); }), 64 * 1024) << tokens;
        EXPECT_LE(
            stack_of([&] { tarn::tome_plan(tarn::on(GetParam(), tarn::serial, tarn::scratch{}), in(d), plan, o); }),
            64 * 1024)
            << tokens;
        const auto calls = [&](auto where) {
            tarn::tome_plan(where, in(m), plan, o);
            tarn::merge_apply(where, in(m), size, plan, tarn::make_view(y.data(), slots, 64),
                              tarn::make_view(slot_size.data(), slots));
        };
        EXPECT_LE(stack_of([&] { calls(tarn::on(GetParam())); }), 64 * 1024) << tokens;
        EXPECT_EQ(allocations_in([&] { calls(tarn::on(GetParam(), tarn::serial, tarn::scratch{})); }).all, 0) << tokens;
        if (tarn::tome_scratch<float>(tokens, 64) == 0) {
            EXPECT_EQ(allocations_in([&] { calls(tarn::on(GetParam())); }).all, 0) << tokens;
        }
        std::vector<char> lent(static_cast<std::size_t>(tarn::tome_scratch<float>(tokens, 64)));
        EXPECT_EQ(allocations_in([&] {
                      calls(tarn::on(GetParam(), tarn::serial,
                                     tarn::scratch{lent.data(), static_cast<std::ptrdiff_t>(lent.size())}));
                  }).all,
                  0)
            << tokens;
    }
}

// Any number of threads, any scratch, and sequences alone give the plans and bits of a batch.
TEST_P(merge_plan_resources, threads_batches_and_scratch) {
    const std::ptrdiff_t batch = 5;
    const std::ptrdiff_t tokens = 133;
    const std::ptrdiff_t width = 150;
    std::vector<float> x = normal_logits<float>(batch * tokens * width, 1, 0.2, 5);
    random_bits random(6);
    for (std::ptrdiff_t t = 0; t < batch * tokens; t += 3) // ties, and all but ties
        for (std::ptrdiff_t c = 0; c < width; ++c)
            x[static_cast<std::size_t>(t * width + c)] =
                x[static_cast<std::size_t>(t / 9 * 9 * width + c)] *
                (t % 2 ? 1.0f : 1.0f + 0x1p-22f * static_cast<float>(random.below(3)));
    tarn::tome_options o;
    o.r = 40;
    const auto view = tarn::make_view(static_cast<const float*>(x.data()), batch, tokens, width);
    struct results {
        indices plan;
        std::vector<float> y, back;
        bool operator==(const results& b) const { return plan == b.plan && y == b.y && back == b.back; }
    };
    const std::ptrdiff_t slots = tarn::tome_slots(tokens, o);
    const auto run = [&](auto where) {
        results r{indices(static_cast<std::size_t>(tarn::merge_plan_size(batch, tokens, slots))),
                  std::vector<float>(static_cast<std::size_t>(batch * slots * width)), std::vector<float>(x.size())};
        tarn::merge_plan_view plan = tarn::make_merge_plan(r.plan.data(), batch, tokens, slots);
        tarn::tome_plan(where, view, plan, o);
        tarn::merge_apply(where, view, plan, tarn::make_view(r.y.data(), batch, slots, width));
        tarn::merge_apply_backward(where, view, plan,
                                   tarn::make_view(static_cast<const float*>(r.y.data()), batch, slots, width),
                                   tarn::make_view(r.back.data(), batch, tokens, width));
        return r;
    };
    const results one = run(tarn::on(GetParam()));
    EXPECT_TRUE(one == run(tarn::on(tarn::tier::sse2))) << "floats have the same bits on every tier";
    EXPECT_TRUE(one == run(tarn::on(GetParam(), tarn::serial, tarn::scratch{})));
    for (int threads = 1; threads <= 9; threads += 2) {
        const odd_threads executor{threads, 3};
        EXPECT_TRUE(one == run(tarn::on(GetParam(), executor))) << threads;
        EXPECT_TRUE(one == run(tarn::on(GetParam(), executor, tarn::scratch{}))) << threads;
    }
    for (std::ptrdiff_t b = 0; b < batch; ++b) {
        tarn::merge_plan plan;
        tarn::tome_plan(tarn::on(GetParam()), tarn::make_view(view.data + b * tokens * width, tokens, width), plan, o);
        const std::int32_t* const assign = one.plan.data() + b * tokens;
        EXPECT_EQ(plan_of(plan).assign, indices(assign, assign + tokens)) << b;
    }
}

class merge_plan_refusals : public refusal_test {};

TEST_F(merge_plan_refusals, plans) {
    using tarn::extents;
    using tarn::make_view;
    tarn::merge_plan good;
    tarn::merge_plan_from(indices{0, 1, 0, -1, 2}, 3, good);
    const auto apply = [&](const tarn::merge_plan_view& p) {
        return message_of([&] { tarn::merge_apply(in(extents{5, 4}), p, out(extents{3, 4})); });
    };
    // One index changed to any small number: whatever is not a plan is refused.
    const std::ptrdiff_t n = tarn::merge_plan_size(1, 5, 3);
    int refused = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        for (const std::int32_t v : {-1000000, -2, -1, 0, 1, 2, 3, 4, 5, 6, 1000000}) {
            tarn::merge_plan_view p = good.view();
            indices memory(p.assign, p.assign + n);
            const bool changed = memory[static_cast<std::size_t>(i)] != v;
            memory[static_cast<std::size_t>(i)] = v;
            const std::ptrdiff_t slots = p.slots;
            p = tarn::make_merge_plan(memory.data(), 1, 5, 3);
            p.slots = slots;
            // Another token of its own may stand for a slot.
            const bool other = i >= n - 3 && v >= 0 && v < 5 && memory[static_cast<std::size_t>(v)] == i - (n - 3);
            if (changed && !other) {
                EXPECT_NE(apply(p).find("tarn::merge_apply: plan has "), std::string::npos) << i << ' ' << v;
                ++refused;
            }
        }
    }
    EXPECT_GT(refused, 150);
    tarn::merge_plan_view p = good.view();
    p.slots = 6;
    EXPECT_EQ(apply(p), "tarn::merge_apply: plan slots 6, expected 0 to 3");
    p = good.view();
    p.order = nullptr;
    EXPECT_EQ(apply(p), "tarn::merge_apply: plan data is null, expected memory for the indices");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_apply(in(extents{6, 4}), good, out(extents{3, 4}));
              }),
              "tarn::merge_apply: input extents {6,4}, expected {5,4}");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_apply(in(extents{5, 4}), good, out(extents{4, 4}));
              }),
              "tarn::merge_apply: output extents {4,4}, expected {3,4}");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_undo(in(extents{3, 4}), good, out(extents{5, 3}));
              }),
              "tarn::merge_undo: output extents {5,3}, expected {5,4}");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_apply(in(extents{5, 4}), make_view(x.data(), 4), good, out(extents{3, 4}),
                                    make_view(y.data() + 100, 3));
              }),
              "tarn::merge_apply: size extents {4}, expected {5}");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_apply(in(extents{5, 4}), good, make_view(x.data() + 8, 3, 4));
              }),
              "tarn::merge_apply: output overlaps the input, expected memory apart from the input");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_apply_backward(in(extents{5, 4}), good, in(extents{3, 4}), make_view(x.data(), 5, 4));
              }),
              "tarn::merge_apply_backward: output overlaps the input, expected memory apart from the input");
}

TEST_F(merge_plan_refusals, makers_of_plans) {
    tarn::merge_plan plan;
    tarn::merge_plan_from(indices{0, 0}, 1, plan);
    const auto unchanged = [&] {
        EXPECT_EQ(plan_of(plan).assign, (indices{0, 0}));
        EXPECT_EQ(plan.slots(), 1);
    };
    EXPECT_EQ(message_of([&] {
                  tarn::merge_plan_from(indices{0, 1, 2}, 2, plan);
              }),
              "tarn::merge_plan_from: assignment 2 of token 2, expected -1 to 1");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_plan_from(std::vector<std::int64_t>{0, -2}, 2, plan);
              }),
              "tarn::merge_plan_from: assignment -2 of token 1, expected -1 to 1");
    EXPECT_EQ(message_of([&] {
                  tarn::merge_plan_from(indices{0, 0}, 3, plan);
              }),
              "tarn::merge_plan_from: slots 3, expected 0 to 2");
    unchanged();
    tarn::merge_plan second;
    tarn::merge_plan_from(indices{0, 0}, 1, second);
    EXPECT_EQ(
        message_of([&] { tarn::merge_compose(plan, second, plan); }),
        "tarn::merge_compose: second plan batch 1, tokens 2, expected the batch and slots of the first plan: 1 and 1");
    unchanged();
    indices memory(100);
    tarn::merge_plan_view small = tarn::make_merge_plan(memory.data(), 1, 8, 4);
    tarn::tome_options o;
    o.r = 2;
    EXPECT_EQ(message_of([&] {
                  tarn::tome_plan(in(tarn::extents{8, 4}), small, o);
              }),
              "tarn::tome_plan: plan capacity 4, expected room for 6 slots");
    EXPECT_EQ(message_of([&] {
                  tarn::tome_plan(in(tarn::extents{9, 4}), small, o);
              }),
              "tarn::tome_plan: plan batch 1, tokens 8, expected 1 and 9");
    o.keep = -2;
    EXPECT_EQ(message_of([&] {
                  tarn::tome_plan(in(tarn::extents{2, 4}), plan, o);
              }),
              "tarn::tome_plan: keep -2, expected a number of slots, or -1");
    unchanged();
    EXPECT_EQ(memory, indices(100));
}

} // namespace
