// SPDX-License-Identifier: BSD-3-Clause
#include <harness/reference.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bench {
namespace {

constexpr std::ptrdiff_t sample_limit = std::ptrdiff_t{1} << 19;
constexpr std::ptrdiff_t ends = 64; // elements at the end of a lane that are always looked at

struct lane_sum {
    float greatest = -std::numeric_limits<float>::infinity();
    long double sum = 0;
    bool defined = true; // false: NaN or +inf inside, or nothing but -inf
};

// The terms are double's: their error, 2^-53, does not show at 2^-24.
lane_sum sum_lane(const float* x, std::ptrdiff_t length, std::ptrdiff_t stride) {
    lane_sum result;
    for (std::ptrdiff_t i = 0; i < length; ++i) {
        result.defined = result.defined && !std::isnan(x[i * stride]);
        result.greatest = std::max(result.greatest, x[i * stride]);
    }
    result.defined = result.defined && std::isfinite(result.greatest);
    for (std::ptrdiff_t i = 0; result.defined && i < length; ++i) {
        result.sum += std::exp(static_cast<double>(x[i * stride]) - static_cast<double>(result.greatest));
    }
    return result;
}

double error_in_ulp(long double exact, float result) {
    if (std::isnan(exact) || std::isnan(result)) {
        return std::isnan(exact) && std::isnan(result) ? 0 : std::numeric_limits<double>::infinity();
    }
    constexpr float least_normal = std::numeric_limits<float>::min();
    if (exact < static_cast<long double>(least_normal)) {
        return result >= 0 && result <= least_normal ? 0 : std::numeric_limits<double>::infinity();
    }
    const long double unit = std::ldexp(1.0L, std::ilogb(exact) - 23);
    return static_cast<double>(std::fabs(static_cast<long double>(result) - exact) / unit);
}

} // namespace

softmax_reference::softmax_reference(const problem& of, const float* x) {
    const std::ptrdiff_t wanted = std::max<std::ptrdiff_t>(2, sample_limit / of.lane_length());
    const std::ptrdiff_t count = std::min(of.lanes(), wanted);
    for (std::ptrdiff_t i = 0; i < count; ++i) {
        const std::ptrdiff_t lane = count == 1 ? 0 : i * (of.lanes() - 1) / (count - 1);
        add_lane(of, x, lane * of.lane_stride());
    }
}

void softmax_reference::add_lane(const problem& of, const float* x, std::ptrdiff_t begin) {
    const std::ptrdiff_t length = of.lane_length();
    const std::ptrdiff_t stride = of.element_stride();
    const std::ptrdiff_t step = (length + sample_limit - 1) / sample_limit;
    const lane_sum lane = sum_lane(x + begin, length, stride);
    for (std::ptrdiff_t i = 0; i < length; i += i < length - ends ? step : 1) {
        const std::ptrdiff_t index = begin + i * stride;
        const long double exact =
            lane.defined
                ? std::exp(static_cast<long double>(x[index]) - static_cast<long double>(lane.greatest)) / lane.sum
                : std::numeric_limits<long double>::quiet_NaN();
        samples_.push_back({index, exact});
    }
}

double softmax_reference::max_ulp(const float* y) const {
    double worst = 0;
    for (const sample& s : samples_) {
        worst = std::max(worst, error_in_ulp(s.value, y[s.index]));
    }
    return worst;
}

} // namespace bench
