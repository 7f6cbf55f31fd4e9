// SPDX-License-Identifier: BSD-3-Clause
//
// The control register's sticky flags: merging needs no denormal numbers.
#include "support/merge.hpp"
#include "support/mxcsr.hpp"

#include <tarn/range.hpp>

namespace {

using namespace support;
using tarn::merge_mode;

class merge_plan_mxcsr : public tier_test {};
TARN_TEST_ON_ALL_TIERS(merge_plan_mxcsr);

constexpr merge_mode all_modes[] = {merge_mode::mean, merge_mode::sum, merge_mode::max, merge_mode::prune};

// No arithmetic meets or makes a denormal number, whatever the range of the data.
TEST_P(merge_plan_mxcsr, no_denormal_numbers) {
    for (const double scale : {1.0, 1e-30, 1e30}) {
        const std::ptrdiff_t tokens = 61;
        const std::ptrdiff_t width = 45;
        std::vector<float> x = normal_logits<float>(tokens * width, scale, 0, 8);
        random_bits random(4);
        for (float& v : x) {
            v = std::fabs(v) < 1e-36f ? 0.0f : v;
            if (random.below(4) == 0)
                v = static_cast<float>(std::ldexp(v >= 0 ? 1.0 : -1.0, static_cast<int>(random.below(250)) - 125));
        }
        std::vector<double> d(x.begin(), x.end());
        for (double& v : d)
            v = random.below(3) ? v : std::ldexp(v >= 0 ? 1.0 : -1.0, static_cast<int>(random.below(2000)) - 1000);
        std::vector<float> y(x.size()), back(x.size()), size(static_cast<std::size_t>(tokens)), slot_size(size.size());
        for (float& s : size)
            s = static_cast<float>(1 + random.below(100));
        tarn::tome_options o;
        o.r = 20;
        tarn::merge_plan plan;
        const std::ptrdiff_t slots = tarn::tome_slots(tokens, o);
        unsigned flags = 0;
        {
            const mxcsr_scope scope(_mm_getcsr() & ~all_flags);
            const auto where = tarn::on(GetParam());
            tarn::tome_plan(where, tarn::make_view(d.data(), tokens, width), plan, o);
            tarn::tome_plan(tarn::on(GetParam(), tarn::serial, tarn::scratch{}),
                            tarn::make_view(d.data(), tokens, width), plan, o);
            tarn::tome_plan(where, tarn::make_view(x.data(), tokens, width), plan, o);
            for (const merge_mode mode : all_modes) {
                tarn::merge_apply(where, tarn::make_view(x.data(), tokens, width), size, plan,
                                  tarn::make_view(y.data(), slots, width), tarn::make_view(slot_size.data(), slots),
                                  {mode});
                tarn::merge_apply_backward(where, tarn::make_view(x.data(), tokens, width), plan,
                                           tarn::make_view(y.data(), slots, width),
                                           tarn::make_view(back.data(), tokens, width), {mode});
            }
            flags = _mm_getcsr();
        }
        EXPECT_EQ(flags & (underflow | denormal_operand), 0u) << scale;
        for (const float v : y)
            EXPECT_FALSE(v != 0 && std::fabs(v) < std::numeric_limits<float>::min());
    }
}

// Sums, means and gradients that would be denormal are 0.
template <class T> void expect_no_tiny_results(tarn::tier tier) {
    constexpr T least = std::numeric_limits<T>::min();
    const std::ptrdiff_t tokens = 40;
    const std::ptrdiff_t channels = 37;
    random_bits random(5);
    std::vector<std::int32_t> assign;
    std::vector<T> x, size;
    for (std::ptrdiff_t t = 0; t < tokens; ++t) {
        assign.push_back(static_cast<std::int32_t>(t / 3));
        size.push_back(static_cast<T>(1 + random.below(3)));
        for (std::ptrdiff_t c = 0; c < channels; ++c)
            x.push_back((random.below(2) ? least : -least) * (1 + static_cast<T>(random.below(8)) / 8));
    }
    const std::ptrdiff_t slots = 14;
    tarn::merge_plan plan;
    tarn::merge_plan_from(assign, slots, plan);
    std::vector<T> y(static_cast<std::size_t>(slots * channels)), slot_size(static_cast<std::size_t>(slots)),
        dx(x.size()), dsize(size.size());
    for (const merge_mode mode : {merge_mode::mean, merge_mode::sum}) {
        unsigned flags = 0;
        {
            const mxcsr_scope scope(_mm_getcsr() & ~all_flags);
            const auto in = tarn::make_view(static_cast<const T*>(x.data()), tokens, channels);
            tarn::merge_apply(tarn::on(tier), in, size, plan, tarn::make_view(y.data(), slots, channels), slot_size,
                              {mode});
            tarn::merge_apply_backward(tarn::on(tier), in, size, plan, tarn::make_view(y.data(), slots, channels),
                                       tarn::make_view(x.data(), slots, channels),
                                       tarn::make_view(dx.data(), tokens, channels), dsize, {mode});
            flags = _mm_getcsr();
        }
        // Doubles have no wider type to be added in.
        if (sizeof(T) == 4) {
            EXPECT_EQ(flags & (underflow | denormal_operand), 0u);
        }
        const auto tiny = [](T v) { return v != 0 && std::fabs(v) < least; };
        EXPECT_EQ(std::count_if(y.begin(), y.end(), tiny), 0);
        EXPECT_EQ(std::count_if(dx.begin(), dx.end(), tiny), 0);
        EXPECT_EQ(std::count_if(dsize.begin(), dsize.end(), tiny), 0);
        EXPECT_GT(std::count(y.begin(), y.end(), T(0)), 20);
    }
}
TEST_P(merge_plan_mxcsr, no_tiny_results) {
    expect_no_tiny_results<float>(GetParam());
    expect_no_tiny_results<double>(GetParam());
}

} // namespace
