// SPDX-License-Identifier: BSD-3-Clause
//
// A call takes at most 64 KB of stack.
#include "support/kernels.hpp"
#include "support/rows.hpp"
#include "support/stack.hpp"

namespace {

using namespace support;

constexpr std::ptrdiff_t most = 64 * 1024;

constexpr std::ptrdiff_t lengths[] = {16, 100, 256, 257, 1000, 4096, 8192, 20000};

class softmax_stack : public kernel_test {
protected:
    void SetUp() override {
        kernel_test::SetUp();
        if (sanitized) {
            GTEST_SKIP() << "a sanitizer widens frames";
        }
    }
};
TARN_TEST_ALL_KERNELS(softmax_stack);

TEST(softmax_stack_of, an_array_is_its_size) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames";
    }
    const auto used = stack_of([] {
        volatile char array[50000];
        for (volatile char& c : array)
            c = 1;
    });
    EXPECT_GE(used, 50000);
    EXPECT_LE(used, 51000);
}

TEST_P(softmax_stack, of_a_kernel_is_at_most_64_kb) {
    std::ptrdiff_t greatest = 0;
    for (const std::ptrdiff_t n : lengths) {
        if (n < shortest_row(by()) || n > longest_row(by()))
            continue;
        const std::ptrdiff_t rows = 20;
        const placement place = place_rows(by(), rows, n);
        aligned_floats x(place.size(rows, n)), y(place.size(rows, n)), scratch(scratch_size(by(), n));
        const auto logits = mixed_rows(rows, n, static_cast<std::uint64_t>(n));
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                x.data()[place.at(r, i)] = logits[static_cast<std::size_t>(r * n + i)];
        }
        const std::ptrdiff_t used = stack_of([&] {
            run_kernel(on(), by(), {rows, n}, x.data(), place, by().in_place ? x.data() : y.data(), place,
                       by().scratch ? scratch.data() : nullptr, scratch_size(by(), n));
        });
        EXPECT_LE(used, most) << "length " << n;
        greatest = std::max(greatest, used);
    }
    EXPECT_GT(greatest, 0);
    RecordProperty("bytes", static_cast<int>(greatest));
}

// Calls with the log-sum-exp on elements of any type, along both axes.
template <class T, class Where> std::ptrdiff_t greatest_stack(const Where& where, std::ptrdiff_t n) {
    const auto logits = mixed_rows(20, n, 1);
    const std::vector<T> x(logits.begin(), logits.end());
    std::vector<T> y(x.size()), lse(static_cast<std::size_t>(std::max<std::ptrdiff_t>(n, 20)));
    std::ptrdiff_t greatest = 0;
    for (const int axis : {0, 1}) {
        greatest = std::max(greatest, stack_of([&] {
                                const auto in = tarn::make_view(x.data(), 20, n);
                                const auto out = tarn::make_view(y.data(), 20, n);
                                tarn::softmax(where, in, out, tarn::make_view(lse.data(), axis == 0 ? n : 20), {axis});
                            }));
    }
    return greatest;
}

class softmax_stack_of_calls : public tier_test {};
TARN_TEST_ON_ALL_TIERS(softmax_stack_of_calls);

TEST_P(softmax_stack_of_calls, is_at_most_64_kb) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames";
    }
    for (const std::ptrdiff_t n : lengths) {
        const auto x = mixed_rows(20, n, 1);
        std::vector<float> y(x.size());
        for (const int axis : {0, 1}) {
            for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming}) {
                for (const bool lends : {false, true}) {
                    const std::ptrdiff_t used = stack_of([&] {
                        tarn::softmax_options options;
                        options.axis = axis;
                        options.stores = how;
                        const auto in = tarn::make_view(x.data(), 20, n);
                        const auto out = tarn::make_view(y.data(), 20, n);
                        if (lends)
                            tarn::softmax(tarn::on(GetParam(), tarn::serial, tarn::scratch{}), in, out, options);
                        else
                            tarn::softmax(tarn::on(GetParam()), in, out, options);
                    });
                    EXPECT_LE(used, most) << "length " << n << " axis " << axis;
                }
            }
        }
    }
}

TEST_P(softmax_stack_of_calls, is_at_most_64_kb_for_any_type) {
    if (sanitized) {
        GTEST_SKIP() << "a sanitizer widens frames";
    }
    for (const std::ptrdiff_t n : lengths) {
        EXPECT_LE(greatest_stack<float>(tarn::on(GetParam()), n), most) << "length " << n;
        EXPECT_LE(greatest_stack<double>(tarn::on(GetParam()), n), most) << "length " << n;
        EXPECT_LE(greatest_stack<double>(tarn::on(GetParam(), tarn::serial, tarn::scratch{}), n), most)
            << "length " << n;
        EXPECT_LE(greatest_stack<tarn::bfloat16>(tarn::on(GetParam()), n), most) << "length " << n;
        EXPECT_LE(greatest_stack<tarn::float16>(tarn::on(GetParam(), tarn::serial, tarn::scratch{}), n), most)
            << "length " << n;
    }
}

} // namespace
