// SPDX-License-Identifier: BSD-3-Clause
#include <harness/reference.hpp>

#include <harness/exact.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bench {
namespace {

constexpr std::ptrdiff_t sample_limit = std::ptrdiff_t{1} << 19;
constexpr std::ptrdiff_t ends = 64; // elements at the end of a lane that are always looked at

long double unit_of(long double value, const element_facts& type) {
    if (!std::isfinite(value)) {
        return 1;
    }
    const int exponent = value == 0 ? type.least_exponent : std::max(std::ilogb(value), type.least_exponent);
    return std::ldexp(1.0L, exponent - (type.digits - 1));
}

double error_in_units(element_type type, long double exact, long double unit, long double tolerance,
                      long double result) {
    const long double nearest = nearest_in(type, exact);
    if (!std::isfinite(nearest)) {
        const bool same = std::isnan(nearest) ? std::isnan(result) : result == nearest;
        return same ? 0 : std::numeric_limits<double>::infinity();
    }
    if (!std::isfinite(result)) {
        return std::numeric_limits<double>::infinity();
    }
    const long double error = std::fabs(result - exact);
    return error <= tolerance ? 0 : static_cast<double>(error / unit);
}

} // namespace

reference::reference(const problem& of, const operands& arrays) : type_(of.type) {
    const std::ptrdiff_t wanted = std::max<std::ptrdiff_t>(2, sample_limit / of.lane_length());
    const std::ptrdiff_t count = std::min(of.lanes(), wanted);
    for (std::ptrdiff_t i = 0; i < count; ++i) {
        const std::ptrdiff_t lane = count == 1 ? 0 : i * (of.lanes() - 1) / (count - 1);
        with_number(of.type, [&](auto zero) { add_lane(of, arrays.of<decltype(zero)>(), lane); });
    }
}

template <class T> void reference::add_lane(const problem& of, const operands_of<T>& arrays, std::ptrdiff_t lane) {
    const exact_lane<T> exact(of, of.lane(arrays, lane));
    const std::ptrdiff_t length = of.output_lane_length();
    const std::ptrdiff_t step = (length + sample_limit - 1) / sample_limit;
    for (std::ptrdiff_t i = 0; i < length; i += i < length - ends ? step : 1) {
        const exact_result r = exact.at(i);
        samples_.push_back({of.output_lane_offset(lane) + i * of.element_stride(), r.value,
                            unit_of(r.magnitude, facts_of(of.type)), std::fabs(r.value) < r.small ? r.small : 0});
    }
}

template <class T> double reference::max_ulp(const T* y) const {
    double worst = 0;
    for (const sample& s : samples_) {
        worst = std::max(worst, error_in_units(type_, s.value, s.unit, s.tolerance, y[s.index]));
    }
    return worst;
}

template double reference::max_ulp(const float* y) const;
template double reference::max_ulp(const double* y) const;

} // namespace bench
