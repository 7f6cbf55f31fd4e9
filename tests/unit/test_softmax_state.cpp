// SPDX-License-Identifier: BSD-3-Clause
//
// The online state on every tier against sums in long double: spans, single numbers, any split and order of merging;
// what it says of special values; and the public class in std::reduce and on Eigen's thread pool.
// Flags of denormal numbers are looked at, which would not be raised otherwise.
#define TARN_ZERO_DENORMALS 0
#include "support/guarded.hpp"
#include "support/mxcsr.hpp"
#include "support/refusals.hpp"
#include "support/rows.hpp"

#include <tarn/eigen_thread_pool.hpp>
#include <tarn/half.hpp>
#include <tarn/range.hpp>
#include <tarn/softmax_state.hpp>

#include <cmath>
#include <numeric>

namespace {

using namespace support;
using tarn::dispatch::softmax_readings;
using tarn::dispatch::softmax_sums;

constexpr float inf = std::numeric_limits<float>::infinity();
const float nan_value = std::nanf("");

struct exact_readings {
    long double logsumexp, confidence, entropy, sum_of_squares, greatest;

    template <class T> exact_readings(const std::vector<T>& x, T scale) {
        const auto scaled = [&](T v) { return static_cast<long double>(scale) * static_cast<long double>(v); };
        greatest = -HUGE_VALL;
        for (const T v : x)
            greatest = std::max(greatest, scaled(v));
        long double sum = 0, moment = 0;
        sum_of_squares = 0;
        for (const T v : x) {
            const long double d = scaled(v) - greatest;
            const long double w = std::exp(d);
            sum += w;
            moment += w > 0 ? w * d : 0;
            sum_of_squares += w * w;
        }
        logsumexp = greatest + std::log(sum);
        confidence = 1 / sum;
        entropy = std::log(sum) - moment / sum;
        sum_of_squares /= sum * sum;
    }
};

double error_in_units(float got, long double exact, long double size) {
    const long double unit = std::ldexp(1.0L, std::ilogb(static_cast<double>(size)) - 23);
    return static_cast<double>(std::fabs(static_cast<long double>(got) - exact) / unit);
}

::testing::AssertionResult agrees(const softmax_readings& got, const exact_readings& exact) {
    const long double size = std::max({1.0L, std::fabs(exact.logsumexp), std::fabs(exact.greatest)});
    const double errors[] = {error_in_units(got.logsumexp, exact.logsumexp, size) / 4,
                             error_in_units(got.confidence, exact.confidence, exact.confidence) / 8,
                             static_cast<double>(std::fabs(static_cast<long double>(got.entropy) - exact.entropy)) /
                                 (1e-6 * std::max(1.0, static_cast<double>(exact.entropy))),
                             error_in_units(got.sum_of_squares, exact.sum_of_squares, exact.sum_of_squares) / 8};
    for (int i = 0; i < 4; ++i) {
        if (!(errors[i] <= 1))
            return ::testing::AssertionFailure() << "reading " << i << " is " << errors[i] << " times its bound away";
    }
    return ::testing::AssertionSuccess();
}

class softmax_state : public tier_test {
protected:
    const tarn::dispatch::softmax_state_table<float>& table() const {
        return tarn::dispatch::softmax_state_table_of<float>(GetParam());
    }
    softmax_sums of(const float* x, std::ptrdiff_t n, float scale) const {
        softmax_sums s = {};
        table().push(s, x, n, scale);
        return s;
    }
    softmax_readings read(const std::vector<float>& x, float scale = 1.0f) const {
        return table().read(of(x.data(), static_cast<std::ptrdiff_t>(x.size()), scale));
    }
};
TARN_TEST_ON_ALL_TIERS(softmax_state);

TEST_P(softmax_state, spans) {
    std::uint64_t seed = 1;
    for (const std::ptrdiff_t n : {1, 2, 15, 16, 17, 64, 1000, 70001}) {
        for (const double sd : {0.0, 1e-3, 1.0, 10.0, 50.0}) {
            for (const double offset : {0.0, -3.0, 1000.0, -60000.0, 1e6, -1e8, 1e30}) {
                if (n > 1000 && offset > 0)
                    continue;
                for (const float scale : {1.0f, -1.0f, 0.37f, 1e-3f, 1e3f, 0.0f}) {
                    const auto x = normal_logits(n, sd, offset, ++seed);
                    ASSERT_TRUE(agrees(read(x, scale), exact_readings(x, scale)))
                        << "n " << n << " sd " << sd << " offset " << offset << " scale " << scale;
                }
            }
        }
    }
}

TEST_P(softmax_state, spans_of_doubles) {
    const auto& kernels = tarn::dispatch::softmax_state_table_of<double>(GetParam());
    std::uint64_t seed = 1;
    for (const std::ptrdiff_t n : {1, 2, 7, 8, 9, 64, 1000, 70001}) {
        for (const double sd : {0.0, 1.0, 50.0, 400.0}) {
            for (const double offset : {0.0, -3.0, 300.0, -60000.0, 1e6, -1e8}) {
                for (const double scale : {1.0, -0.37, 1e-3}) {
                    const auto x = normal_logits<double>(n, sd, offset, ++seed);
                    softmax_sums whole = {}, halves = {};
                    kernels.push(whole, x.data(), n, scale);
                    kernels.push(halves, x.data(), n / 2, scale);
                    kernels.push(halves, x.data() + n / 2, n - n / 2, scale);
                    const exact_readings exact(x, scale);
                    for (const softmax_sums& s : {whole, halves})
                        ASSERT_TRUE(agrees(kernels.read(s), exact))
                            << "n " << n << " sd " << sd << " offset " << offset << " scale " << scale;
                }
            }
        }
    }
}

// A span is pushed onto what a state knows: the result is that of a merge, whatever the guess that the state suggests.
TEST_P(softmax_state, bits_of_a_push_are_those_of_a_merge) {
    for (const double offset : {0.0, 30.0, -500.0, 1e5, -1e9}) {
        const auto x = normal_logits(900, 3, 0, 1);
        const auto y = normal_logits(333, 2, offset, 2);
        softmax_sums pushed = of(x.data(), 900, 1.0f);
        softmax_sums merged = pushed;
        table().push(pushed, y.data(), 333, 1.0f);
        table().merge(merged, of(y.data(), 333, 1.0f));
        EXPECT_EQ(pushed.sum, merged.sum) << offset;
        EXPECT_EQ(pushed.moment, merged.moment) << offset;
        EXPECT_EQ(pushed.squares, merged.squares) << offset;
        EXPECT_EQ(pushed.exponent, merged.exponent) << offset;
        EXPECT_EQ(pushed.greatest, merged.greatest) << offset;
    }
}

TEST_P(softmax_state, any_split_in_any_order) {
    random_bits random(9);
    for (int round = 0; round < (thinned() ? 20 : 200); ++round) {
        const float scale = round % 3 == 0 ? -0.3f : 1.0f;
        auto x = normal_logits(1 + random.below(300), round % 2 ? 1 : 60, round % 5 ? 0 : 70000, random.next());
        if (round % 4 == 0)
            x[static_cast<std::size_t>(random.below(static_cast<std::ptrdiff_t>(x.size())))] = scale < 0 ? inf : -inf;
        std::vector<softmax_sums> parts;
        for (std::size_t i = 0; i < x.size();) {
            const auto n = std::min(x.size() - i, static_cast<std::size_t>(1 + random.below(40)));
            parts.push_back(of(x.data() + i, static_cast<std::ptrdiff_t>(n), scale));
            i += n;
        }
        while (parts.size() > 1) {
            const auto a = static_cast<std::size_t>(random.below(static_cast<std::ptrdiff_t>(parts.size())));
            std::swap(parts[a], parts.back());
            const softmax_sums last = parts.back();
            parts.pop_back();
            table().merge(parts[static_cast<std::size_t>(random.below(static_cast<std::ptrdiff_t>(parts.size())))],
                          last);
        }
        bool any = false;
        for (const float v : x)
            any = any || v * scale != -inf;
        if (any) {
            ASSERT_TRUE(agrees(table().read(parts[0]), exact_readings(x, scale))) << "round " << round;
        }
    }
}

TEST_P(softmax_state, special_values) {
    const auto is = [](const softmax_readings& r, float logsumexp, float confidence, float entropy, float squares) {
        const float got[] = {r.logsumexp, r.confidence, r.entropy, r.sum_of_squares};
        const float expected[] = {logsumexp, confidence, entropy, squares};
        return difference(got, expected, 4);
    };
    EXPECT_EQ("", is(read({}), -inf, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read({-inf}), -inf, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read(std::vector<float>(100, -inf)), -inf, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read({1.0f, nan_value}), nan_value, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read({nan_value}), nan_value, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read({inf, nan_value}), nan_value, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read({inf, 1.0f, -inf}), inf, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read({-inf, 3.0f}, -1.0f), inf, nan_value, nan_value, nan_value));
    EXPECT_EQ("", is(read({inf, 3.0f}, 0.0f), nan_value, nan_value, nan_value, nan_value));
    for (const float v : {3.0f, -1e30f, 3.4e38f, -3.4e38f, 1e-40f}) {
        const softmax_readings one = read({v, -inf});
        EXPECT_TRUE(agrees(one, exact_readings({v}, 1.0f))) << v;
        EXPECT_LE(one.entropy, 1e-7f) << v;
    }
    // Infinite and NaN parts stay what they are in any merge.
    for (const float special : {inf, nan_value}) {
        for (const float ordinary : {0.0f, 1e30f, -inf}) {
            softmax_sums a = of(&special, 1, 1.0f);
            const softmax_sums b = of(&ordinary, 1, 1.0f);
            softmax_sums c = b;
            table().merge(c, a);
            table().merge(a, b);
            EXPECT_EQ("", is(table().read(a), special, nan_value, nan_value, nan_value));
            EXPECT_EQ("", is(table().read(c), special, nan_value, nan_value, nan_value));
        }
    }
}

TEST_P(softmax_state, merging_makes_no_denormal) {
    for (const float apart : {10.0f, 300.0f, 345.0f, 346.0f, 347.0f, 350.0f, 400.0f, 690.0f, 700.0f, 1e5f}) {
        const float low = -apart;
        softmax_sums a = of(&low, 1, 1.0f);
        const float high = 0.0f;
        const softmax_sums b = of(&high, 1, 1.0f);
        unsigned after = 0;
        {
            const mxcsr_scope clear(0);
            table().merge(a, b);
            after = _mm_getcsr();
        }
        EXPECT_EQ(after & (denormal_operand | underflow), 0u) << apart;
        EXPECT_TRUE(agrees(table().read(a), exact_readings({low, high}, 1.0f))) << apart;
    }
}

TEST_P(softmax_state, touches_nothing_beyond_the_span) {
    guarded_floats memory(200);
    for (std::ptrdiff_t n = 1; n <= 100; ++n) {
        for (float* const p : {memory.against_start(), memory.against_end(n)}) {
            std::fill_n(p, n, 1.0f);
            EXPECT_EQ("", fault_in([&] { of(p, n, 1.0f); })) << n;
        }
    }
}

TEST(softmax_state_class, reduces) {
    const auto x = normal_logits(5000, 2, 1, 3);
    std::vector<tarn::softmax_state> parts;
    for (std::size_t i = 0; i < x.size(); i += 500) {
        tarn::softmax_state s(0.5f);
        s.push(tarn::make_view(x.data() + i, 500));
        parts.push_back(s);
    }
    const tarn::softmax_state all = std::reduce(parts.begin(), parts.end(), tarn::softmax_state());
    const softmax_readings got{all.logsumexp(), all.confidence(), all.entropy(), all.sum_of_squares()};
    EXPECT_TRUE(agrees(got, exact_readings(x, 0.5f)));
    EXPECT_EQ(all.scale(), 0.5f);
}

TEST(softmax_state_class, fixed_chunks_on_a_thread_pool_have_the_bits_of_one_thread) {
    constexpr std::ptrdiff_t chunk = 1000, chunks = 37;
    const auto x = normal_logits(chunk * chunks, 3, 0, 4);
    tarn::softmax_state serial;
    for (std::ptrdiff_t c = 0; c < chunks; ++c)
        serial.push(tarn::make_view(x.data() + c * chunk, chunk));
    Eigen::ThreadPool pool(4);
    Eigen::ThreadPoolDevice device(&pool, 4);
    std::vector<tarn::softmax_state> parts(static_cast<std::size_t>(chunks));
    device.parallelFor(chunks, Eigen::TensorOpCost(4 * chunk, 0, chunk), [&](Eigen::Index begin, Eigen::Index end) {
        for (Eigen::Index c = begin; c < end; ++c)
            parts[static_cast<std::size_t>(c)].push(tarn::make_view(x.data() + c * chunk, chunk));
    });
    const tarn::softmax_state threaded = std::accumulate(parts.begin(), parts.end(), tarn::softmax_state());
    EXPECT_EQ(threaded.logsumexp(), serial.logsumexp());
    EXPECT_EQ(threaded.entropy(), serial.entropy());
    EXPECT_EQ(threaded.confidence(), serial.confidence());
    EXPECT_EQ(threaded.sum_of_squares(), serial.sum_of_squares());
}

TEST(softmax_state_class, takes_any_view) {
    const auto x = normal_logits(6 * 5000, 2, 1, 5);
    std::vector<tarn::bfloat16> halves(x.begin(), x.end());
    std::vector<float> exact(halves.begin(), halves.end());
    tarn::softmax_state from_halves, strided, singles;
    from_halves.push(halves);
    EXPECT_TRUE(
        agrees({from_halves.logsumexp(), from_halves.confidence(), from_halves.entropy(), from_halves.sum_of_squares()},
               exact_readings(exact, 1.0f)));
    strided.push(tarn::make_view(x.data(), tarn::extents{2, 3, 2500}, tarn::strides{2500, 5000, 1}));
    strided.push(tarn::make_view(x.data() + 29999, tarn::extents{15000}, tarn::strides{-1}));
    EXPECT_TRUE(agrees({strided.logsumexp(), strided.confidence(), strided.entropy(), strided.sum_of_squares()},
                       exact_readings(x, 1.0f)));
    for (std::size_t i = 0; i < 50; ++i)
        singles.push(x[i]);
    EXPECT_TRUE(agrees({singles.logsumexp(), singles.confidence(), singles.entropy(), singles.sum_of_squares()},
                       exact_readings(std::vector<float>(x.begin(), x.begin() + 50), 1.0f)));
}

TEST(softmax_state_class, refuses) {
    EXPECT_EQ(refusal_of([] { tarn::softmax_state s(nan_value); }),
              "tarn::softmax_state: scale nan, expected a number below 2^127 in magnitude");
    tarn::softmax_state a(1.0f), b(2.0f), none(3.0f);
    a.push(1.0f);
    b.push(1.0f);
    EXPECT_EQ(refusal_of([&] { a.merge(b); }), "tarn::softmax_state: scale 2.000000, expected 1.000000");
    EXPECT_EQ(a.logsumexp(), 1.0f);
    EXPECT_EQ(refusal_of([&] { a.merge(none); }), "no exception");
    const float* const null = nullptr;
    EXPECT_EQ(refusal_of([&] { a.push(tarn::make_view(null, 3)); }),
              "tarn::softmax_state: logits data is null with extents {3}, expected a pointer to the elements");
    EXPECT_EQ(refusal_of([&] { a.push(tarn::make_view(null, 0)); }), "no exception");
}

} // namespace
