// SPDX-License-Identifier: BSD-3-Clause
#include <harness/reference.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bench {
namespace {

constexpr std::ptrdiff_t sample_limit = std::ptrdiff_t{1} << 19;
constexpr std::ptrdiff_t ends = 64; // elements at the end of a lane that are always looked at
constexpr long double nan = std::numeric_limits<long double>::quiet_NaN();
constexpr long double least_normal = std::numeric_limits<float>::min();

struct lane_sum {
    long double greatest = -std::numeric_limits<long double>::infinity();
    long double others = 0; // sum of exp(x - greatest) over all elements but one that is the greatest
    bool has_nan = false;

    bool finite() const { return !has_nan && std::isfinite(greatest); }
};

// The terms are double's: their error, 2^-53, does not show at 2^-24.
lane_sum sum_lane(const float* x, std::ptrdiff_t length, std::ptrdiff_t stride) {
    lane_sum result;
    std::ptrdiff_t place = 0;
    for (std::ptrdiff_t i = 0; i < length; ++i) {
        result.has_nan = result.has_nan || std::isnan(x[i * stride]);
        place = x[i * stride] > x[place * stride] ? i : place;
    }
    result.greatest = x[place * stride];
    for (std::ptrdiff_t i = 0; result.finite() && i < length; ++i) {
        if (i != place) {
            result.others += std::exp(static_cast<double>(x[i * stride]) - static_cast<double>(result.greatest));
        }
    }
    return result;
}

long double softmax(long double x, const lane_sum& lane) {
    return lane.finite() ? std::exp(x - lane.greatest) / (1 + lane.others) : nan;
}

// Two terms that are not above 0: nothing cancels, so the result is as exact as its terms.
long double log_softmax(long double x, const lane_sum& lane) {
    return lane.finite() ? (x - lane.greatest) - std::log1p(lane.others) : nan;
}

long double logsumexp(const lane_sum& lane) {
    return lane.has_nan ? nan : std::isinf(lane.greatest) ? lane.greatest : lane.greatest + std::log1p(lane.others);
}

long double unit_of(long double value) {
    return std::isfinite(value) ? std::ldexp(1.0L, std::ilogb(std::max(std::fabs(value), least_normal)) - 23) : 1.0L;
}

double error_in_units(long double exact, long double unit, long double tolerance, float result) {
    const float nearest = static_cast<float>(exact);
    if (!std::isfinite(nearest)) {
        const bool same = std::isnan(nearest) ? std::isnan(result) : result == nearest;
        return same ? 0 : std::numeric_limits<double>::infinity();
    }
    if (!std::isfinite(result)) {
        return std::numeric_limits<double>::infinity();
    }
    const long double error = std::fabs(static_cast<long double>(result) - exact);
    return error <= tolerance ? 0 : static_cast<double>(error / unit);
}

} // namespace

reference::reference(const problem& of, const operands& arrays) {
    const std::ptrdiff_t wanted = std::max<std::ptrdiff_t>(2, sample_limit / of.lane_length());
    const std::ptrdiff_t count = std::min(of.lanes(), wanted);
    for (std::ptrdiff_t i = 0; i < count; ++i) {
        add_lane(of, arrays.in[0], count == 1 ? 0 : i * (of.lanes() - 1) / (count - 1));
    }
}

void reference::add_lane(const problem& of, const float* x, std::ptrdiff_t lane) {
    const std::ptrdiff_t length = of.lane_length();
    const std::ptrdiff_t stride = of.element_stride();
    const std::ptrdiff_t step = (length + sample_limit - 1) / sample_limit;
    const std::ptrdiff_t begin = lane * of.lane_stride();
    const lane_sum sum = sum_lane(x + begin, length, stride);
    if (of.what == op::logsumexp) {
        const long double exact = logsumexp(sum);
        const long double largest = std::max({std::fabs(exact), std::fabs(sum.greatest), std::log1p(sum.others)});
        samples_.push_back({lane, exact, unit_of(largest), 0});
        return;
    }
    for (std::ptrdiff_t i = 0; i < length; i += i < length - ends ? step : 1) {
        const std::ptrdiff_t index = begin + i * stride;
        const bool logarithm = of.what == op::log_softmax;
        const long double exact = logarithm ? log_softmax(x[index], sum) : softmax(x[index], sum);
        const long double small = logarithm ? 0x1p-52L : least_normal;
        samples_.push_back({index, exact, unit_of(exact), std::fabs(exact) < small ? small : 0});
    }
}

double reference::max_ulp(const float* y) const {
    double worst = 0;
    for (const sample& s : samples_) {
        worst = std::max(worst, error_in_units(s.value, s.unit, s.tolerance, y[s.index]));
    }
    return worst;
}

} // namespace bench
