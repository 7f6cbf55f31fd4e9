// SPDX-License-Identifier: BSD-3-Clause
//
// Denormal elements count as 0: operators give the bits that they give for zeros, whatever a scale would make of such
// elements, and leave MXCSR as it was, with its flags and with their caller's rounding mode.
#include "support/executors.hpp"
#include "support/mxcsr.hpp"
#include "support/rows.hpp"
#include "support/tiers.hpp"

#include <tarn/range.hpp>
#include <tarn/tarn.hpp>

namespace {

using namespace support;

constexpr std::ptrdiff_t rows = 19;

template <class T> struct operands {
    std::vector<T> x, other, result, sums;
    std::ptrdiff_t n;

    // Ordinary elements, and `special` ones among them and in whole rows.
    operands(std::ptrdiff_t columns, double special)
        : x(static_cast<std::size_t>(rows * columns)), other(x.size()), result(x.size()),
          sums(static_cast<std::size_t>(rows)), n(columns) {
        const std::vector<float> logits = normal_logits(rows * n, 1, 0, 5);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const bool is_special = i % 3 == 0 || i / static_cast<std::size_t>(n) % 4 == 1;
            x[i] = static_cast<T>(is_special ? (i % 2 == 0 ? special : -special) : static_cast<double>(logits[i]));
            other[i] = static_cast<T>(i % 5 == 2 ? special : static_cast<double>(logits[x.size() - 1 - i]));
        }
    }
    auto view(std::vector<T>& v) { return tarn::make_view(v.data(), rows, n); }
    auto reduced() { return tarn::make_view(sums.data(), rows); }
};

// Everything that the operators give for operands with `special` elements, and the register after each of them.
template <class T, class Place>
std::vector<std::vector<T>> results(const Place& where, std::ptrdiff_t n, double special,
                                    std::vector<unsigned>* after) {
    std::vector<std::vector<T>> all;
    // A scale that makes differences of denormal logits matter.
    const auto scaled = [](auto options) {
        options.scale = 0x1p120;
        return options;
    };
    const auto run = [&](const auto& f) {
        operands<T> o(n, special);
        {
            const mxcsr_scope set((2u << rounding_shift) | 0x20u);
            f(o);
            if (after)
                after->push_back(_mm_getcsr());
        }
        all.push_back(o.result);
        all.push_back(o.sums);
    };
    run([&](auto& o) { tarn::softmax(where, o.view(o.x), o.view(o.result), scaled(tarn::softmax_options())); });
    run([&](auto& o) { tarn::softmax(where, o.view(o.x), o.view(o.result), o.reduced()); });
    run([&](auto& o) { tarn::log_softmax(where, o.view(o.x), o.view(o.result), scaled(tarn::log_softmax_options())); });
    run([&](auto& o) { tarn::logsumexp(where, o.view(o.x), o.reduced(), scaled(tarn::logsumexp_options())); });
    run([&](auto& o) { tarn::logaddexp(where, o.view(o.x), o.view(o.other), o.view(o.result)); });
    run([&](auto& o) {
        tarn::logaddexp_backward(where, o.view(o.x), o.view(o.other), o.view(o.other), o.view(o.result), tarn::none);
    });
    run([&](auto& o) {
        tarn::softmax_backward(where, o.view(o.x), o.view(o.other), o.view(o.result),
                               scaled(tarn::softmax_backward_options()));
    });
    run([&](auto& o) {
        tarn::log_softmax_backward(where, o.view(o.x), o.view(o.other), o.view(o.result),
                                   scaled(tarn::softmax_backward_options()));
    });
    run([&](auto& o) {
        auto options = scaled(tarn::masked_softmax_options<T>());
        options.causal = true;
        tarn::masked_softmax(where, o.view(o.x), o.view(o.result), options);
    });
    run([&](auto& o) { tarn::softpick(where, o.view(o.x), o.view(o.result), scaled(tarn::softpick_options())); });
    run([&](auto& o) { tarn::softpick_backward(where, o.view(o.x), o.view(o.x), o.view(o.other), o.view(o.result)); });

    // Windows that share columns, or none.
    for (const std::ptrdiff_t stride : {1, 2}) {
        const tarn::pool_window window{{n < 2 ? 1 : 2}, {stride}};
        const auto pooled = [&](auto& o, auto& v) {
            return tarn::make_view(v.data(), rows, tarn::pool_output_extents(o.view(o.x), window)[1]);
        };
        const tarn::soft_pool_options options{0x1p120};
        run([&](auto& o) { tarn::soft_pool(where, o.view(o.x), pooled(o, o.result), window, options); });
        run([&](auto& o) {
            tarn::soft_pool_backward(where, o.view(o.x), pooled(o, o.other), o.view(o.result), window, options);
        });
        run([&](auto& o) { tarn::ada_pool(where, o.view(o.x), 0.5, pooled(o, o.result), window); });
        run([&](auto& o) {
            tarn::ada_pool_backward(where, o.view(o.x), 0.5, pooled(o, o.other), o.view(o.result), o.sums[0], window);
        });
        if (stride == 1 && n > 1)
            continue;
        run([&](auto& o) { tarn::ada_unpool(where, o.view(o.x), 0.5, pooled(o, o.other), o.view(o.result), window); });
        run([&](auto& o) {
            tarn::ada_unpool_backward(where, o.view(o.x), 0.5, o.view(o.other), pooled(o, o.result), window);
        });
    }
    return all;
}

class denormal_elements : public tier_test {};

// Returns what the operators give for denormal elements.
template <class T, class Place>
std::vector<std::vector<T>> check_on(const Place& where, std::ptrdiff_t n, double denormal) {
    std::vector<unsigned> registers;
    const auto of_zeros = results<T>(where, n, 0, nullptr);
    auto of_denormals = results<T>(where, n, denormal, &registers);
    for (std::size_t i = 0; i < of_zeros.size(); ++i) {
        for (std::size_t k = 0; k < of_zeros[i].size(); ++k) {
            const bool both_nan = of_zeros[i][k] != of_zeros[i][k] && of_denormals[i][k] != of_denormals[i][k];
            EXPECT_TRUE(both_nan || of_zeros[i][k] == of_denormals[i][k])
                << "operator " << i / 2 << ", " << n << " columns, element " << k << ": " << of_denormals[i][k]
                << ", of zeros " << of_zeros[i][k];
        }
    }
    for (std::size_t i = 0; i < registers.size(); ++i)
        EXPECT_EQ(registers[i], 0x1f80u | (2u << rounding_shift) | 0x20u)
            << "operator " << i << ", " << n << " columns";
    return of_denormals;
}
template <class T> void check(tarn::tier tier, double denormal) {
    for (const std::ptrdiff_t n : {1, 5, 16, 64, 300, 5000}) {
        const auto alone = check_on<T>(tarn::on(tier), n, denormal);
        odd_threads executor{3, 3};
        const auto on_threads = results<T>(tarn::on(tier, executor), n, denormal, nullptr);
        ASSERT_EQ(std::memcmp(on_threads[0].data(), alone[0].data(), alone[0].size() * sizeof(T)), 0)
            << n << " columns, on threads";
    }
}

TEST_P(denormal_elements, of_floats_are_zeros) { check<float>(GetParam(), 0x1.8p-130); }
TEST_P(denormal_elements, of_doubles_are_zeros) { check<double>(GetParam(), 0x1.8p-1030); }

// Calls that name no place, among them those of a few elements.
TEST(denormal_elements_of_plain_calls, are_zeros) {
    for (const std::ptrdiff_t n : {1, 16, 53, 54}) {
        check_on<float>(tarn::on(tarn::serial), n, 0x1.8p-130);
        check_on<double>(tarn::on(tarn::serial), n, 0x1.8p-1030);
    }
    const std::vector<float> x = {3e38f, 0, 0};
    std::vector<float> y(3), of_zero(3);
    tarn::softmax(x, y, {-1, 1e-39});
    tarn::softmax(x, of_zero, {-1, 0});
    EXPECT_EQ(y, of_zero);
}

// So does a scale, also where an executor shares a row: of greatest elements it would make logits of its own.
TEST_P(denormal_elements, scales_are_zeros) {
    for (const std::ptrdiff_t n : {1, 16, 300, 300000}) {
        std::vector<float> x(static_cast<std::size_t>(2 * n));
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = i % 3 == 0 ? 3e38f : 0;
        const auto view = [n](auto& v) { return tarn::make_view(v.data(), 2, n); };
        const auto of = [&](const auto& where, double scale) {
            std::vector<float> y(x.size()), logs(x.size()), sums(4);
            const auto first = tarn::make_view(sums.data(), 2);
            const auto second = tarn::make_view(sums.data() + 2, 2);
            tarn::softmax(where, view(x), view(y), first, {-1, scale});
            tarn::log_softmax(where, view(x), view(logs), {-1, scale});
            tarn::logsumexp(where, view(x), second, {-1, scale});
            y.insert(y.end(), logs.begin(), logs.end());
            y.insert(y.end(), sums.begin(), sums.end());
            return y;
        };
        odd_threads executor{3, 3};
        const std::vector<float> of_zero = of(tarn::on(GetParam()), 0);
        EXPECT_TRUE(of(tarn::on(GetParam()), 1e-39) == of_zero) << n << " columns";
        EXPECT_TRUE(of(tarn::on(GetParam(), executor), 1e-39) == of_zero) << n << " columns, on threads";
    }
}

TARN_TEST_ON_ALL_TIERS(denormal_elements);

// Where elements are compared, denormal ones differ from 0.
TEST(kept_denormal_elements, top_k) {
    const std::vector<float> x = {0, 0x1p-140f, -0x1p-140f, 0x1p-149f, 0x1p-130f, -1, 0, 0};
    std::vector<float> y(3);
    std::vector<std::int32_t> index(3);
    tarn::top_k(tarn::make_view(x.data(), 8), tarn::make_view(y.data(), 3), tarn::make_view(index.data(), 3));
    EXPECT_EQ(index, (std::vector<std::int32_t>{4, 1, 3}));
    EXPECT_EQ(y, (std::vector<float>{0x1p-130f, 0x1p-140f, 0x1p-149f}));
}

// Every element of a state, pushed alone or in a span.
TEST(denormal_elements_of_a_state, are_zeros) {
    const std::vector<float> denormal(100, 0x1.8p-130f);
    const std::vector<float> zero(100);
    const auto read = [](const std::vector<float>& x) {
        tarn::softmax_state s(0x1p120f);
        s.push(tarn::make_view(x.data(), static_cast<std::ptrdiff_t>(x.size())));
        s.push(x[0]);
        return s.logsumexp();
    };
    const mxcsr_scope set(0x20u);
    EXPECT_EQ(read(denormal), read(zero));
    EXPECT_EQ(_mm_getcsr(), 0x1fa0u);
}

} // namespace
